"""The report of an evaluation: its numbers are those of the study, it stands alone, and it says what is not there."""

import base64
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_cases import JPEG, read_page
from made_study import LATENCY, PHASES, made_study

from surgical_ml.errors import InputError
from surgical_ml.evaluation.study.shape import CaseShape
from surgical_ml.evaluation.study_report import write_study_report
from surgical_ml.evaluation.study_report.axes import Axis, round_up
from surgical_ml.evaluation.study_report.ribbons import MOST_OPEN, over_steps

EVIL = """<script>alert(1)</script>"><img src=x onerror='alert(1)'>&lt;&amp;--></style></title>"""
SECTIONS = (
    *("course", "confusion", "phases", "conventions", "calibration", "deviations"),
    *("further", "latency", "subgroups", "worst", "identity"),
)
NO_TRUTH = {
    "conventions": {},
    "per_phase": [],
    "confusion": None,
    "ranking": [],
    "ranking_flips": [],
    "segments": None,
    "calibration": None,
    "deviations": None,
    "tools": None,
    "tips": None,
    "progress": None,
    "out_of_body": None,
    "subgroups": [],
    "gate": None,
    "worst": [],
    "mean_worst": {},
    "fps": None,
}


def page_of(folder, **changes):
    return read_page(write_study_report(made_study(**changes), folder))


def blinded(study):
    """The same cases, of which nobody knows the truth."""
    for case in study["cases"]:
        case |= {"events": None, "scores": {}, "group_scores": {}, "scored": 0}
        case["ribbons"]["truth"] = None
        case["advisories"] = [one | {"matched": None, "delay_s": None} for one in case["advisories"]]
    return study


def numbers(row):
    """The numbers of a row as they are written, its name left out."""
    return [cell.split() for cell in row[1:]]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_needs_nothing_outside_itself(tmp_path):
    (tmp_path / "worst").mkdir()
    (tmp_path / "worst" / "a.jpg").write_bytes(JPEG)
    worst = [{"case": "a", "at_s": 3.0, "index": 15, "why": "wrong", "image": "worst/a.jpg"}]
    page = page_of(tmp_path, worst=worst, latency=LATENCY, mode="realtime")
    for name in ("script", "link", "iframe", "object", "form"):
        assert not page.all(name)
    for element in page.all():
        for name, value in element.attributes.items():
            assert not name.startswith("on")
            if name == "href":
                assert value.startswith("#")
            if name == "src":
                assert value == "data:image/jpeg;base64," + base64.b64encode(JPEG).decode()
            if name in ("fill", "style") and "url(" in value:
                assert value == "url(#hatching)"
    style = page.all("style")[0].inside[0]
    assert "@import" not in style
    assert "url(" not in style
    assert any("default-src 'none'" in one.attributes.get("content", "") for one in page.all("meta"))


def test_every_link_leads_to_something_on_the_page(tmp_path):
    page = page_of(tmp_path)
    ids = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    links = [one.attributes["href"][1:] for one in page.all("nav")[0].all("a")]
    assert links == list(SECTIONS)
    assert set(links) <= set(ids)


def test_sections_stand_in_the_order_in_which_they_are_read(tmp_path):
    assert [one.attributes["id"] for one in page_of(tmp_path).all("h2")] == list(SECTIONS)


def test_every_drawing_says_in_words_what_it_shows_or_is_repeated_in_its_row(tmp_path):
    page = page_of(tmp_path, latency=LATENCY)
    for drawing in page.all("svg"):
        said = drawing.attributes.get("aria-label") if drawing.attributes.get("role") == "img" else None
        assert said or drawing.attributes.get("aria-hidden") == "true"
    for table in page.all("table"):
        if "identity" not in table.attributes["class"]:
            assert table.all("caption")[0].text
            assert table.all("th", scope="col")
        assert table.all("th", scope="row")


def test_the_same_study_gives_the_same_page_and_leaves_nothing_else(tmp_path):
    first = write_study_report(made_study(), tmp_path).read_bytes()
    assert write_study_report(made_study(), tmp_path).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_study_that_was_written_and_read_again_gives_the_same_page(tmp_path):
    first = write_study_report(made_study(), tmp_path).read_bytes()
    assert write_study_report(json.loads(json.dumps(made_study())), tmp_path).read_bytes() == first


def test_the_page_on_how_to_read_it_explains_its_sections_by_their_names_and_in_their_order(tmp_path):
    docs = Path(__file__).resolve().parents[3] / "docs"
    text = (docs / "report.md").read_text("utf-8")
    explained = re.findall(r"^\*\*(.+?)\.?\*\*", text, re.MULTILINE)
    titles = [one.text for one in page_of(tmp_path).all("h2")]
    assert explained == [one for one in titles if one != "Instruments, tips, masks, time and view"]
    for link in re.findall(r"\]\((.+?)\)", text):
        assert (docs / link).is_file()


# --- the head ---------------------------------------------------------------------------------------------------------


def test_the_head_says_what_was_run_on_what_and_how(tmp_path):
    study = made_study()
    head = page_of(tmp_path).all("header")[0]
    assert head.all("h1")[0].text == "cholecystectomy, version 1"
    assert (
        f"24 cases, 1 h 57 min of video, {study['data']['frames']:,} judged frames, scored at 5.0 frames/s."
        in head.text
    )
    assert "Judged as fast as it went, which says nothing of latency." in head.text


def test_what_the_study_notes_stands_before_any_result(tmp_path):
    head = page_of(tmp_path).all("header")[0]
    first = head.text.index("The cases are synthetic: no number here says how the module does on a patient.")
    assert first < head.text.index("Release gate") < head.text.index("94.2 %")


def test_that_the_cases_are_synthetic_is_the_first_note_of_all(tmp_path):
    notes = ["No latency.", "The cases are synthetic: no number here is about a patient.", "No masks."]
    listed = page_of(tmp_path, notes=notes).all("ul", class_="notes")[0].all("li")
    assert [one.text for one in listed] == [notes[1], notes[0], notes[2]]


def test_an_interval_without_width_is_not_sold_as_certainty(tmp_path):
    deviations = made_study()["deviations"]
    deviations["sensitivity"] |= {"estimate": 1.0, "low": 1.0, "high": 1.0}
    page = page_of(tmp_path, deviations=deviations)
    assert "1.00 to 1.00, all draws alike" in page.all("header")[0].text
    assert ["Sensitivity", "1.00 1.00 to 1.00, all draws alike"] in [
        row[:2] for row in page.section("deviations").rows()
    ]


def test_a_blocked_gate_names_the_group_and_how_far_it_is_below(tmp_path):
    (notice,) = page_of(tmp_path).all("div", class_="notice gate blocked")
    assert "Release gate: blocked." in notice.text
    assert (
        "The worst group, site: B, lies 14.9 points below all cases in strict jaccard; 5 points are allowed."
        in notice.text
    )
    assert "never a pass: smoke: present, case length: short" in notice.text


def test_a_gate_that_passes_and_one_that_cannot_say_are_told_apart_by_more_than_colour(tmp_path):
    good = {"verdict": "pass", "worst": "site: A", "drop": -0.8, "largest_drop": 5.0, "insufficient": []}
    (notice,) = page_of(tmp_path, gate=good).all("div", class_="notice gate pass")
    assert "✓ Release gate: pass. The worst group, site: A, lies 0.8 points above all cases" in notice.text
    few = {"verdict": "insufficient", "worst": "", "drop": "NaN", "largest_drop": 5.0, "insufficient": ["site: A"]}
    (notice,) = page_of(tmp_path, gate=few).all("div", class_="notice gate insufficient")
    assert "? Release gate: insufficient. No group is large enough to be judged; 5 points are allowed." in notice.text


def test_without_a_gate_the_head_says_so(tmp_path):
    assert "No release gate was applied" in page_of(tmp_path, gate=None).all("header")[0].text


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_the_conventions_are_those_of_the_study_with_their_intervals(tmp_path):
    study = made_study()
    section = page_of(tmp_path).section("conventions")
    rows = {row[0].split()[0]: numbers(row) for row in section.all("table")[0].rows()[1:]}
    assert list(rows) == list(study["conventions"])
    for name, one in study["conventions"].items():
        for measure, cell in zip(("accuracy", "precision", "recall", "jaccard", "f1"), rows[name], strict=False):
            value = one[measure]
            expected = ["–"] if value is None else [f"{value[k]:.1f}" for k in ("estimate", "low", "high")]
            assert [part for part in cell if part != "to"] == expected


def test_a_ranking_that_flips_is_told_in_words_and_marked(tmp_path):
    section = page_of(tmp_path).section("conventions")
    assert made_study()["ranking_flips"][0] in section.text
    assert [one.text for one in section.all("span", class_="below moved")] == ["place 2", "place 1"]
    ranking, table = made_study()["ranking"], section.all("table")[-1].rows()
    assert table[0] == ["Convention and measure", *(one["predictor"] for one in ranking)]
    for (name, *cells), key in zip(table[1:], ranking[0]["values"], strict=True):
        assert name.lower() == key
        assert cells == [f"{one['values'][key]:.1f} place {one['ranks'][key]}" for one in ranking]
    steady = page_of(tmp_path, ranking_flips=[]).section("conventions")
    assert "The order of the predictors is the same by every convention." in steady.text


def test_the_confusion_matrix_has_every_count_and_its_share_of_the_row(tmp_path):
    counts = made_study()["confusion"]["counts"]
    rows = page_of(tmp_path).section("confusion").rows()[1:]
    assert len(rows) == len(PHASES)
    for row, expected in zip(rows, counts, strict=True):
        *cells, whole = numbers(row)
        assert whole == [f"{sum(expected):,}"]
        assert cells == [[f"{100 * n / sum(expected):.1f}", f"{n:,}"] for n in expected]


def test_words_on_the_confusion_matrix_can_be_read_on_any_shade(tmp_path):
    counts = [[share, 100 - share] for share in range(101)]
    names = {"row_names": [f"phase {k}" for k in range(101)], "column_names": ["one", "other"]}
    confusion = {"counts": counts, "rows": "truth", "columns": "prediction"} | names
    cells = page_of(tmp_path, confusion=confusion).section("confusion").all("td")
    shaded = [one.attributes["style"] for one in cells if "style" in one.attributes]
    assert len(set(shaded)) == 101
    for style in shaded:
        ground, ink = (part.split(": ")[1] for part in style.split("; "))
        assert contrast(ground, ink) >= 4.5


def contrast(first, second):
    """As WCAG defines it."""
    lights = []
    for colour in (first, second):
        parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        lights.append(float(linear @ (0.2126, 0.7152, 0.0722)))
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_each_phase_is_told_under_the_name_of_its_convention(tmp_path):
    section = page_of(tmp_path).section("phases")
    table = section.all("table")[0]
    assert table.all("caption")[0].text.startswith("Convention strict: ")
    assert table.rows()[1] == ["1 Preparation", "92.0", "91.0", "86.0", "91.5", "24"]
    assert "transitions is 2.4 s, that of nine in ten 6.8 s at most; 2 were missed." in section.text


def test_reliability_is_split_and_every_group_of_frames_is_counted(tmp_path):
    calibration = made_study()["calibration"]
    section = page_of(tmp_path).section("calibration")
    assert "Boundary , within 10 s of a true transition. ECE 0.133 of 9,000 frames" in section.text
    tables = section.all("details")[0].all("table")
    for name, table in zip(("boundary", "interior"), tables, strict=True):
        filled = [one for one in calibration[name]["bins"] if one["count"]]
        assert [row[3] for row in table.rows()[1:]] == [f"{one['count']:,}" for one in filled]
        assert [row[2] for row in table.rows()[1:]] == [f"{one['accuracy']:.3f}" for one in filled]
    first, second = (one.all("circle") for one in section.all("figure"))
    assert len(first) == len(second) == 12


def test_every_miss_and_every_false_advisory_is_listed(tmp_path):
    deviations = made_study()["deviations"]
    section = page_of(tmp_path).section("deviations")
    rows = section.rows()
    for one in deviations["misses"]:
        assert [one["case"], "Tool mismatch", "Clipper"] in [row[:3] for row in rows]
    for one in deviations["false"]:
        assert [one["case"], "Tool mismatch", "Irrigator", "MEDIUM"] in [row[:4] for row in rows]
    assert "6 of 8 deviations announced, 2 missed." in section.text
    assert "So many were missed that no delay covers 95 % of them." in section.text
    said = [one.text for one in section.all("title")]
    assert sum(one.startswith("Missed: ") for one in said) == 2
    assert sum(one.startswith("False: ") for one in said) == 3
    assert len([one for one in said if one.startswith("Announced: ") and " after the onset" in one]) == 6


def test_the_curve_has_every_point_and_rings_what_was_recorded(tmp_path):
    curve = made_study()["deviations"]["curve"]
    section = page_of(tmp_path).section("deviations")
    (table,) = [one for one in section.all("table") if one.all("caption")[0].text == "Every point of the curves"]
    assert [row[0] for row in table.rows()[1:]] == [one["what"] for one in curve]
    assert [row[1] for row in table.rows()[1:]] == [f"{one['sensitivity']:.2f}" for one in curve]
    assert [row[3] for row in table.rows()[1:]] == ["yes" if one["operating"] else "" for one in curve]
    (drawing,) = section.all("svg", **{"aria-label": "Sensitivity over false advisories per hour"})
    assert len(drawing.all("circle", r="10")) == 2


def test_a_curve_without_cases_free_of_deviations_says_why_it_is_not_drawn(tmp_path):
    deviations = made_study()["deviations"]
    deviations["curve"] = [one | {"false_per_hour": "NaN"} for one in deviations["curve"]]
    section = page_of(tmp_path, deviations=deviations).section("deviations")
    assert "No curve: without cases that are free of deviations" in section.text


def test_latency_is_measured_in_real_time_only_and_throughput_never_takes_its_place(tmp_path):
    section = page_of(tmp_path).section("latency")
    assert "Not measured: the cases were judged as fast as they went" in section.text
    assert "48.2 frames/s by one worker on 2 cores, x86_64, Linux, Python 3.11" in section.text
    assert not section.all("svg")
    section = page_of(tmp_path, mode="realtime", latency=LATENCY, throughput=None).section("latency")
    assert section.rows()[1] == ["Whole way", "14.2", "18.9", "22.4", "41.0"]
    assert "14 frames were dropped." in section.text
    assert "Throughput" not in section.text


def test_the_area_of_a_bar_of_the_histogram_is_its_number_of_frames(tmp_path):
    section = page_of(tmp_path, mode="realtime", latency=LATENCY).section("latency")
    bars = [one for one in section.all("rect") if one.all("title")]
    areas = [float(one.attributes["width"]) * float(one.attributes["height"]) for one in bars]
    frames = [one[2] for one in LATENCY["histogram"] if one[2]]
    assert len(areas) == len(frames)
    for area, number in zip(areas, frames, strict=True):
        assert area / areas[1] == pytest.approx(number / frames[1], rel=0.1)


def test_a_group_that_is_too_small_has_no_number_and_is_called_insufficient(tmp_path):
    section = page_of(tmp_path).section("subgroups")
    few = section.all("tr", class_="few")
    assert [row.inside[0].text for row in few] == ["present", "short", "middle", "long"]
    for row in few:
        assert row.inside[3].text.startswith("insufficient, n = ")
        assert not row.all("circle")
    assert ["A", "21", "", "87.0", "85.4 to 88.6"] in [row[:5] for row in section.rows()]
    assert "decides the gate" in next(row for row in section.rows() if row[0].startswith("B"))[0]


def test_a_group_that_nobody_can_judge_decides_nothing(tmp_path):
    few = {"verdict": "insufficient", "worst": "smoke: present", "drop": "NaN", "largest_drop": 5.0}
    section = page_of(tmp_path, gate=few | {"insufficient": ["smoke: present"]}).section("subgroups")
    assert "present" in [row[0] for row in section.rows()]
    assert "decides the gate" not in section.text


def test_identity_has_every_digest_and_how_intervals_were_made(tmp_path):
    section = page_of(tmp_path).section("identity")
    rows = dict(section.rows())
    assert rows["Model"] == f"cholecystectomy, version 1 {'aa' * 32}"
    assert rows["Protocol"] == f"cholecystectomy {'cc' * 32}"
    assert rows["Configuration"] == "bb" * 32
    assert rows["Intervals"] == "BCa 95 % intervals from a bootstrap over cases, 2,000 draws"
    assert rows["Undefined values"] == made_study()["nan_policy"]
    assert rows["Frame rate"] == "judged at 5.0 frames/s; phases scored at 5.0 frames/s"


# --- ribbons ----------------------------------------------------------------------------------------------------------


def test_the_worst_cases_are_open_and_the_rest_is_folded(tmp_path):
    section = page_of(tmp_path).section("course")
    ordered = [c["name"] for c in sorted(made_study()["cases"], key=lambda c: c["scores"]["accuracy"])]
    (first, *rest) = [one for one in section.all("svg") if one.attributes.get("role") == "img"]
    assert [one.all("title")[0].text for one in first.all("text", class_="strong") if one.all("title")] == ordered[
        :MOST_OPEN
    ]
    folded = [one for detail in section.all("details") for one in detail.all("svg")]
    assert folded == rest
    assert [row[0] for row in section.all("table")[0].rows()[1:]] == ordered


def case(truth, committed, validity, duration=100.0):
    ribbons = {"truth": truth, "committed": committed, "network": committed, "validity": validity}
    whole = made_study()["cases"][0] | {"duration_s": duration, "ribbons": ribbons}
    return CaseShape.model_validate(whole)


def test_a_mistake_shorter_than_a_step_is_not_lost():
    course = over_steps(case([[0, 100, 0]], [[0, 50.0, 0], [50.0, 50.1, 1], [50.1, 100, 0]], [[0, 100, "OK"]]), 10)
    assert course.shown == [0] * 10
    assert course.wrong[5] == pytest.approx(0.01)
    assert course.wrong.sum() == pytest.approx(0.01)


def test_what_was_withheld_is_not_called_wrong():
    course = over_steps(case([[0, 100, 0]], [[0, 100, 1]], [[0, 50, "OK"], [50, 100, "WITHHELD"]]), 4)
    assert course.shown == [1, 1, "WITHHELD", "WITHHELD"]
    assert course.wrong.tolist() == [1, 1, 0, 0]


def test_between_spans_there_was_no_phase():
    course = over_steps(case(None, [[0, 25, 0], [75, 100, 2]], [[0, 100, "OK"]]), 4)
    assert course.truth is None
    assert course.shown == [0, None, None, 2]


spans = st.lists(st.tuples(st.floats(0.1, 30), st.integers(0, 2) | st.none()), min_size=1, max_size=12)


@given(truth=spans, committed=spans, steps=st.integers(1, 40))
def test_no_second_is_lost_and_none_is_counted_twice(truth, committed, steps):
    def laid(pieces):
        at, found = 0.0, []
        for length, what in pieces:
            found.append([at, at + length, what])
            at += length
        return found, at

    (one, first_s), (other, second_s) = laid(truth), laid(committed)
    whole = max(first_s, second_s)
    course = over_steps(case(one, other, [[0, whole, "OK"]], whole), steps)
    wrong_s = sum(
        max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
        for a in one
        for b in other
        if a[2] is not None and b[2] is not None and a[2] != b[2]
    )
    assert math.isclose(course.wrong.sum() * whole / steps, wrong_s, rel_tol=1e-6, abs_tol=1e-6)
    assert len(course.shown) == steps


# --- what is not there ------------------------------------------------------------------------------------------------


def test_cases_without_truth_give_a_page_that_says_what_is_missing_and_draws_no_empty_box(tmp_path):
    study = blinded(made_study(**NO_TRUTH))
    page = read_page(write_study_report(study, tmp_path))
    for name in ("confusion", "phases", "conventions", "calibration", "deviations", "subgroups", "worst"):
        section = page.section(name)
        assert len(section.all("p", class_="absent")) == 1
        if name != "deviations":
            assert not section.all("svg")
            assert not section.all("table")
    assert "Nobody has labelled the phases of these cases" in page.section("course").text
    assert len(page.section("further").all("p", class_="absent")) == 5
    assert "not scored" in page.all("header")[0].text
    assert not [one for one in page.section("course").all("title") if one.text.startswith("True: ")]
    assert [one for one in page.section("course").all("title") if one.text.startswith("Shown: ")]
    assert [one for one in page.section("deviations").all("title") if one.text.startswith("Advisory: ")]


@pytest.mark.parametrize("name", ["tools", "tips", "progress", "out_of_body"])
def test_a_measure_that_was_not_scored_is_one_sentence(tmp_path, name):
    before = len(page_of(tmp_path).section("further").all("p", class_="absent"))
    section = page_of(tmp_path, **{name: None}).section("further")
    assert len(section.all("p", class_="absent")) == before + 1


def test_a_study_without_deviations_says_that_there_was_none(tmp_path):
    deviations = made_study()["deviations"] | {"deviations": 0, "misses": [], "false": [], "by_kind": [], "curve": []}
    section = page_of(tmp_path, deviations=deviations).section("deviations")
    assert "None: there was no deviation." in section.text
    assert "No advisory was announced" in section.text


def test_a_moment_without_a_picture_is_listed_with_the_reason(tmp_path):
    section = page_of(tmp_path).section("worst")
    assert not section.all("img")
    assert "Without a picture: the video was not at hand" in section.text
    assert section.rows()[1] == [
        "case00001",
        "1:01.2",
        "306",
        "18 s of ClippingCutting shown as CalotTriangleDissection",
    ]


# --- whatever the study says ------------------------------------------------------------------------------------------


def test_markup_in_the_study_is_text_on_the_page(tmp_path):
    study = json.loads(json.dumps(made_study()).replace("case00001", "C1").replace("Preparation", "P0"))
    study = json.loads(
        json.dumps(study)
        .replace('"C1"', json.dumps(EVIL))
        .replace('"P0"', json.dumps(EVIL))
        .replace('"clipper"', json.dumps(EVIL))
        .replace('"strict jaccard"', json.dumps(EVIL))
    )
    study["notes"], study["platform"], study["engine"] = [EVIL], EVIL, EVIL
    study["model"]["name"] = study["data"]["labels"] = study["worst"][0]["why"] = EVIL
    page = read_page(write_study_report(study, tmp_path))
    assert not page.all("script")
    assert not page.all("img")
    assert page.all("h1")[0].text == f"{EVIL}, version 1"
    assert page.all("header")[0].all("li")[0].text == EVIL
    assert not [one for one in page.all() for name in one.attributes if name.startswith("on")]


@pytest.mark.parametrize("image", ["../secret.jpg", "/etc/passwd", "worst/../../secret.jpg", "worst/a.svg"])
def test_a_picture_from_outside_the_evaluation_is_refused(tmp_path, image):
    (tmp_path / "secret.jpg").write_bytes(JPEG)
    out = tmp_path / "out"
    out.mkdir()
    worst = [{"case": "a", "at_s": 3.0, "index": 15, "why": "wrong", "image": image}]
    with pytest.raises(InputError, match="worst moment of a: expected a picture"):
        write_study_report(made_study(worst=worst), out)
    assert not list(out.iterdir())


def test_a_picture_that_is_missing_is_named(tmp_path):
    worst = [{"case": "a", "at_s": 3.0, "index": 15, "why": "wrong", "image": "worst/gone.jpg"}]
    with pytest.raises(InputError, match=r"gone\.jpg: expected the picture that the evaluation names"):
        write_study_report(made_study(worst=worst), tmp_path)


def test_a_study_of_another_shape_is_refused_by_what_is_wrong_with_it(tmp_path):
    with pytest.raises(InputError, match=r"evaluation\.json: expected what a study of schema 1 holds, found mode: "):
        write_study_report(made_study(mode="fast"), tmp_path)
    with pytest.raises(InputError, match=r"evaluation\.json: expected at least one case, found none"):
        write_study_report(made_study(cases=[]), tmp_path)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    with pytest.raises(InputError, match=r"report\.html: expected a place that can be written to"):
        write_study_report(made_study(), tmp_path / "nowhere")


# --- axes -------------------------------------------------------------------------------------------------------------


@given(low=st.floats(-1e3, 1e3), span=st.floats(1e-3, 1e4), most=st.integers(1, 12))
def test_ticks_are_round_and_lie_on_the_axis(low, span, most):
    axis = Axis(low, low + span, 0, 100)
    ticks = [value for value, _ in axis.ticks(most)]
    assert len(ticks) <= most + 1
    for value in ticks:
        assert low - 1e-6 * span <= value <= low + span * (1 + 1e-6)
    assert len({words for _, words in axis.ticks(most)}) == len(ticks)


@given(value=st.floats(1e-6, 1e9))
def test_an_axis_ends_at_or_above_what_it_must_show_and_not_far_above(value):
    assert value * (1 - 1e-6) <= round_up(value) <= 2.1 * value
