"""The report of a case: what it says, that it says it of any case, and that it stands alone."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from made_cases import FPS, JPEG, advisory, decision, read_page, silence, write_case

from surgical_ml.errors import InputError
from surgical_ml.evaluation.cases import replay_case
from surgical_ml.evaluation.report import write_report
from surgical_ml.evaluation.report_groups import MOST_ALIKE, MOST_GROUPS

EVIL = """<script>alert(1)</script>"><img src=x onerror='alert(1)'>&lt;&amp;--></style></title>"""


def page_of(folder, decisions, **changes):
    return read_page(write_report(write_case(folder / "case", decisions, **changes)))


def frames(number, **state):
    return [decision(k, **state) for k in range(number)]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_needs_nothing_outside_itself(tmp_path):
    page = page_of(tmp_path, frames(30, tools=("hook",), advisories=[advisory()]), keyframes=[(3, "a hook")])
    assert not page.all("script")
    assert not page.all("link")
    for element in page.all():
        for name, value in element.attributes.items():
            assert not name.startswith("on")
            if name == "href":
                assert value.startswith("#")
            if name == "src":
                assert value == "data:image/jpeg;base64," + base64.b64encode(JPEG).decode()
    assert "@import" not in page.all("style")[0].inside[0]
    assert "url(" not in page.all("style")[0].inside[0]
    assert any("default-src 'none'" in one.attributes.get("content", "") for one in page.all("meta"))


def test_every_link_leads_to_something_on_the_page(tmp_path):
    page = page_of(tmp_path, frames(40, advisories=[advisory()]), keyframes=[(20, "announced")])
    ids = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    links = {one.attributes["href"] for one in page.all("a")}
    assert {"#frame-20", "#advisory-1", "#course"} <= links
    assert {link[1:] for link in links} <= set(ids)


def test_it_says_first_that_the_module_advises_and_that_silence_is_not_safety(tmp_path):
    page = page_of(tmp_path, frames(5))
    header = page.all("header")[0].text
    assert "This module advises. No advisory never means safe." in header
    body = page.all("body")[0]
    assert body.inside[0] is page.all("header")[0]


def test_the_head_says_what_the_video_is_how_long_and_how_much_was_shown(tmp_path):
    case = [*frames(70), *(decision(k, degraded=("blurred",)) for k in range(70, 90))]
    case += [decision(k, withheld="no-signal") for k in range(90, 100)]
    header = page_of(tmp_path, case, video="left.mp4").all("header")[0]
    assert header.all("h1")[0].text == "left.mp4"
    assert "10 s of video at 10 frames/s. 100 frames judged." in header.text
    shown = [[part.text for part in one.inside] for one in header.all("dl")[0].all("div")]
    assert shown == [
        ["OK", "70.0 %", "70 frames judged and shown"],
        ["Degraded", "20.0 %", "20 frames shown as poorly seen"],
        ["Withheld", "10.0 %", "10 frames with only the reason why"],
    ]


def test_a_case_of_which_only_some_frames_were_judged_says_so(tmp_path):
    page = page_of(tmp_path, [decision(k, at=k / 2) for k in range(20)], every=5)
    assert "10 s of video at 10 frames/s. 20 frames judged, one in 5." in page.text


def test_the_same_case_gives_the_same_page(tmp_path):
    case = write_case(tmp_path / "case", frames(30, tools=("hook",), advisories=[advisory()]), keyframes=[(3, "x")])
    first = write_report(case).read_bytes()
    assert write_report(case).read_bytes() == first
    assert sorted(path.name for path in case.iterdir() if path.name.startswith((".", "report"))) == ["report.html"]


# --- what happened ----------------------------------------------------------------------------------------------------


def test_phases_are_told_with_their_times(tmp_path):
    case = [decision(k, phase=None) for k in range(10)]
    case += [decision(k, phase="Preparation", candidate="ClippingCutting") for k in range(10, 40)]
    case += [decision(k, phase="ClippingCutting") for k in range(40, 100)]
    page = page_of(tmp_path, case)
    assert page.section("course").rows()[1:] == [
        ["1 Preparation", "0:01.0", "1", "3.0 s", "3.0 s", "30.0 %"],
        ["2 Calot triangle dissection", "not seen", "", "", "", ""],
        ["3 Clipping cutting", "0:04.0", "1", "6.0 s", "6.0 s", "60.0 %"],
        ["No phase established yet", "0:00.0", "1", "1.0 s", "1.0 s", "10.0 %"],
    ]
    assert boxes(page) == [
        ("No phase established yet", 0, 72),
        ("1 Preparation", 72, 288),
        ("3 Clipping cutting", 288, 720),
        ("Candidate: Clipping cutting", 72, 288),
    ]


def boxes(page):
    """What the drawing's boxes say, and from which step of the axis to which."""
    drawn = [one for one in page.all("rect") if one.all("title")]
    left = min(float(one.attributes["x"]) for one in drawn)
    return [
        (
            one.text,
            float(one.attributes["x"]) - left,
            float(one.attributes["x"]) + float(one.attributes["width"]) - left,
        )
        for one in drawn
    ]


def test_withheld_stretches_are_hatched_and_named_with_their_reason_or_its_letter(tmp_path):
    case = frames(20)
    case += [decision(k, withheld="out-of-body") for k in range(20, 40)]
    case += [decision(k, withheld="out-of-body" if 60 <= k < 63 else "") for k in range(40, 90)]
    case += [decision(k, withheld="no-signal") for k in range(90, 100)]
    page = page_of(tmp_path, case)
    assert page.section("withheld").rows()[1:] == [
        ["a out-of-body", "23", "0:02.0", "2", "2.0 s", "2.3 s", "23.0 %"],
        ["b no-signal", "10", "0:09.0", "1", "1.0 s", "1.0 s", "10.0 %"],
    ]
    hatched = [one for one in page.all("rect", fill="url(#hatching)") if one.all("title")]
    assert [one.text for one in hatched] == ["Withheld: out-of-body"] * 2 + ["Withheld: no-signal"]
    assert [one.text for one in page.all("text", class_="inside halo")] == ["out-of-body", "a", "no-signal"]
    assert page.all("pattern", id="hatching")


def test_what_was_poor_is_told_apart_from_what_was_withheld(tmp_path):
    case = [decision(k, degraded=("blurred", "dropped-frames") if k < 20 else ()) for k in range(100)]
    page = page_of(tmp_path, case)
    assert "Something was shown for every judged frame." in page.section("withheld").text
    assert page.section("withheld").rows()[1:] == [
        ["blurred", "0:00.0", "1", "2.0 s", "2.0 s", "20.0 %"],
        ["dropped-frames", "0:00.0", "1", "2.0 s", "2.0 s", "20.0 %"],
    ]
    assert "2.0 s · 20.0 %" in [one.text for one in page.all("text")]


def test_a_gap_in_the_video_is_never_filled_with_the_last_answer(tmp_path):
    case = [decision(k, at=k / FPS) for k in range(50)] + [decision(k, at=100 + k / FPS) for k in range(50)]
    (row,) = [row for row in page_of(tmp_path, case).section("course").rows() if row[0] == "1 Preparation"]
    assert row[2:4] == ["2", "5.2 s"]


def test_each_instrument_has_a_row_and_one_that_was_never_seen_says_so(tmp_path):
    case = [decision(k, tools=("hook", "hook") if k < 50 else ()) for k in range(100)]
    said = [one.text for one in page_of(tmp_path, case).all("text")]
    assert said.count("none") == 3  # nothing withheld, no grasper, no bag
    assert {"Grasper", "Hook", "Specimen bag", "5.0 s · 50.0 %"} <= set(said)


def test_a_frame_that_was_overtaken_does_not_turn_time_back(tmp_path):
    case = [decision(0, at=0), decision(1, at=0.2), decision(2, at=0.1), decision(3, at=0.3)]
    assert page_of(tmp_path, case).section("course").rows()[1][4] == "0.4 s"


# --- advisories -------------------------------------------------------------------------------------------------------


def test_an_advisory_is_told_from_onset_to_end_with_its_reason_in_full(tmp_path):
    case = [decision(k) for k in range(20)]
    case += [decision(k, advisories=[advisory("on")]) for k in range(20, 40)]
    case += [decision(k, advisories=[advisory("latched")]) for k in range(40, 60)]
    case += [decision(k) for k in range(60, 100)]
    page = page_of(tmp_path, case)
    advisories = page.section("advisories")
    sentence = "Unexpected instrument: hook during Preparation"
    ended = ["1", "MEDIUM", "0:01.0", "0:02.0", "0:04.0", "0:06.0", "on, latched, off", sentence]
    assert ended in advisories.rows()
    terms = [one.text for one in advisories.all("dt")]
    assert dict(zip(terms, [one.text for one in advisories.all("dd")], strict=True)) == {
        "Rule": "p/Preparation/tools",
        "Certainty": "medium",
        "Expected": "Grasper",
        "Evidence frames": "11, 13",
        "Observed": "Hook",
        "Degraded inputs": "none",
        "Clears with": "hook out of view",
    }
    assert "1 advisory about the operation: 1 MEDIUM." in page.all("header")[0].text
    assert boxes(page)[-3:] == [
        ("Evidence gathered, not announced yet", 72, 144),
        ("On", 144, 288),
        ("Latched", 288, 432),
    ]


def test_an_advisory_that_stays_to_the_end_is_not_called_ended(tmp_path):
    case = [
        decision(k, advisories=[advisory("acknowledged" if k > 30 else "on")] if k >= 20 else []) for k in range(50)
    ]
    # Ending a case clears every condition, which says nothing about the operation.
    case.append(decision(50, at=4.9, event="operator-action", withheld="no-case", advisories=[advisory("latched")]))
    (row,) = [row for row in page_of(tmp_path, case).section("advisories").rows() if row[0] == "1"]
    assert row[4:7] == ["not yet", "not yet, still acknowledged", "on, acknowledged"]


def test_an_advisory_announced_by_a_persons_action_counts_from_there(tmp_path):
    first = decision(0, at=0, event="operator-action", withheld="starting", advisories=[silence("starting", onset=0)])
    case = [
        first,
        *(decision(k, withheld="starting", advisories=[silence("starting", "latched", onset=0)]) for k in (1, 2)),
    ]
    assert ["", "LOW", "0:00.0", "0:00.0", "0:00.1", "not yet, still latched"] in [
        row[:6] for row in page_of(tmp_path, case).section("advisories").rows()
    ]


def test_inputs_that_turned_poor_later_belong_to_the_reason(tmp_path):
    case = frames(20, advisories=[advisory()])
    case += [decision(k, advisories=[advisory(reason={"degraded_inputs": ["blurred"]})]) for k in range(20, 40)]
    advisories = page_of(tmp_path, case).section("advisories")
    assert advisories.all("dd")[5].text == "blurred"


def test_advisories_that_say_the_same_are_told_with_each_time_and_one_reason(tmp_path):
    case = [
        decision(k, withheld="blurred", advisories=[silence("blurred", onset=k // 10)]) if k % 10 < 5 else decision(k)
        for k in range(30 * 10)
    ]
    advisories = page_of(tmp_path, case).section("advisories")
    assert [row[2] for row in advisories.rows() if row[1] == "LOW"] == [f"0:{k:02}.0" for k in range(MOST_ALIKE)]
    assert "and 10 more that say the same for the same reason, the last from 0:29.0" in advisories.text
    assert len(advisories.all("dl")) == 1


def test_the_most_urgent_advisories_are_listed_and_the_rest_is_counted(tmp_path):
    case = []
    for k in range(100):
        priority = "high" if k > 90 else "low"
        case.append(
            decision(k, advisories=[advisory(announced=k / 10, onset=0, subject=f"tool {k}", priority=priority)])
        )
    page = page_of(tmp_path, case)
    listed = [row[1] for row in page.section("advisories").rows() if row[0].isdigit()]
    assert listed == ["LOW"] * (MOST_GROUPS - 9) + ["HIGH"] * 9
    assert f"{100 - MOST_GROUPS} less urgent advisories are not listed; decisions.jsonl has all." in page.text
    assert "100 advisories about the operation: 9 HIGH, 91 LOW." in page.all("header")[0].text


def test_a_case_without_advisories_claims_nothing_from_that(tmp_path):
    case = frames(90) + [decision(k, withheld="no-signal") for k in range(90, 100)]
    page = page_of(tmp_path, case)
    words = "No advisory about the operation was announced in the 90.0 % of frames that were shown."
    assert words in page.all("header")[0].text
    assert "That does not mean that nothing departed from the expected course." in page.section("advisories").text
    assert not page.section("advisories").all("table")


def test_a_wholly_withheld_case_shows_its_reason_and_no_phase_and_no_instrument(tmp_path):
    case = frames(100, withheld="out-of-body", advisories=[silence("out-of-body", onset=0)])
    page = page_of(tmp_path, case)
    assert "could be announced: nothing was shown in the whole case." in page.all("header")[0].text
    assert [row[1] for row in page.section("course").rows()[1:]] == ["not seen"] * 3
    assert boxes(page) == [("Withheld: out-of-body", 0, 720)]
    assert [one.text for one in page.all("text")].count("none") == 3
    assert page.section("withheld").rows()[1][-2:] == ["10 s", "100 %"]


# --- measured, seen, identified ---------------------------------------------------------------------------------------


def test_latency_is_a_table_of_stages_measured_on_this_run(tmp_path):
    timings = [{"decode": 10, "total": 1000 * (k + 1)} for k in range(100)]
    section = page_of(tmp_path, frames(100), timings=timings).section("latency")
    assert [row[:6] for row in section.rows()[1:]] == [
        ["Decode", "0.01", "0.01", "0.01", "0.01", "100"],
        ["Total", "50.00", "95.00", "99.00", "100.00", "100"],
    ]
    assert "Measured on this run, on a device that the summary does not name" in section.text


def test_the_device_is_named_where_the_summary_names_it(tmp_path):
    section = page_of(tmp_path, frames(3), platform="a blue box").section("latency")
    assert "Measured on this run, on a blue box, with the engine onnxruntime;" in section.text


def test_a_case_without_timings_says_that_nothing_was_timed(tmp_path):
    assert "No stage was timed." in page_of(tmp_path, frames(3), timings=[]).section("latency").text


def test_pictures_carry_their_time_and_caption(tmp_path):
    page = page_of(tmp_path, frames(40), keyframes=[(0, "phase Preparation"), (37, "a hook")])
    assert [one.text for one in page.section("pictures").all("figcaption")] == [
        "0:00.0, frame 0 phase Preparation",
        "0:03.7, frame 37 a hook",
    ]
    assert len(page.all("img")) == 2


@pytest.mark.parametrize(("ok", "verdict"), [(True, "whole"), (False, "DAMAGED")])
def test_identity_names_everything_by_digest_and_gives_the_verdict_on_the_log(tmp_path, ok, verdict):
    page = page_of(tmp_path, frames(3), audit={"entries": 6, "head": "dd" * 32, "ok": ok})
    assert page.section("identity").rows() == [
        ["Software", "surgical_ml 0.1.0"],
        ["Model", f"cholecystectomy, version 1 {'aa' * 32}"],
        ["Protocol", f"cholecystectomy {'cc' * 32}"],
        ["Configuration", "bb" * 32],
        ["Audit log", f"{verdict} when the case was over, 6 entries"],
        ["Audit head", "dd" * 32],
    ]


# --- whatever the files say -------------------------------------------------------------------------------------------


def test_markup_in_the_files_is_text_on_the_page(tmp_path):
    told = advisory(
        text=EVIL, code=EVIL, subject=EVIL, reason={"rule": EVIL, "expected": [EVIL], "certainty": EVIL, "clears": EVIL}
    )
    case = frames(40, tools=[EVIL], phase=EVIL, candidate=EVIL, degraded=[EVIL], advisories=[told])
    case += [decision(k, withheld=EVIL) for k in range(40, 80)]
    page = page_of(
        tmp_path,
        case,
        keyframes=[(3, EVIL)],
        timings=[{EVIL: 3}],
        video=EVIL,
        engine=EVIL,
        model={"name": EVIL, "version": EVIL, "sha256": EVIL},
        phases=[EVIL],
        tools=[EVIL],
    )
    assert not page.all("script")
    assert len(page.all("img")) == 1
    assert page.all("img")[0].attributes["alt"] == f"Frame 3: {EVIL}"
    assert page.all("h1")[0].text == EVIL
    assert page.all("title")[0].text == f"Case report: {EVIL}"
    assert page.section("pictures").text.endswith(EVIL)
    assert not [one for one in page.all() for name in one.attributes if name.startswith("on")]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(words=st.text(max_size=30))
@example(words="\x00\x1b\x7f\x85\ufffe")
@example(words="]]>\r\n-->")
def test_any_text_is_read_back_as_it_was_written(tmp_path_factory, words):
    page = page_of(tmp_path_factory.mktemp("any"), frames(2), video=words, keyframes=[(1, words)])
    dark = {chr(k) for k in (*range(9), *range(11, 32), *range(127, 160), 0xFFFE, 0xFFFF)}
    expected = "".join("\ufffd" if letter in dark else letter for letter in words)
    assert page.all("h1")[0].inside == ([expected] if expected else [])
    assert page.all("img")[0].attributes["alt"] == f"Frame 1: {expected}"


def test_half_a_surrogate_pair_is_refused_by_its_line(tmp_path):
    case = write_case(tmp_path / "case", ['{"schema":1,"withheld":"\\ud800"}\n'])
    with pytest.raises(InputError, match=r"decisions\.jsonl: line 1: expected one JSON object, found"):
        write_report(case)


# --- long cases -------------------------------------------------------------------------------------------------------


def chattering(number):
    """Everything changes with almost every frame: the worst case for a drawing."""
    lines = [
        decision(
            k,
            withheld="blurred" if k % 7 == 0 else "",
            degraded=("overexposed",) if k % 5 == 0 else (),
            phase=("Preparation", "ClippingCutting")[k % 2],
            candidate=("ClippingCutting", None)[k % 2],
            tools=("grasper", "hook")[: k % 3],
            advisories=[advisory(("on", "latched")[k % 2], announced=k // 2)] if k % 11 < 4 else [],
        )
        for k in range(2310)
    ]
    patterns = [json.dumps(line) + "\n" for line in lines]
    for k in range(number):
        line = lines[k % 2310]
        own = f'"index": {line["index"]}, "stamp_ns": {line["stamp_ns"]},'
        yield patterns[k % 2310].replace(own, f'"index": {k}, "stamp_ns": {k * 10**8},', 1)


def test_a_case_of_100_000_decisions_gives_a_page_no_larger_than_a_short_one(tmp_path):
    sizes = []
    for number in (2_310, 100_000):
        path = write_report(write_case(tmp_path / str(number), chattering(number), timings=[]))
        sizes.append(path.stat().st_size)
    assert sizes[1] < 1.2 * sizes[0]
    assert sizes[1] < 500_000
    page = read_page(path)
    assert "2 h 46 min of video" in page.text
    drawing = page.all("svg")[0]
    assert len(drawing.all()) < 5_000


def test_one_withheld_frame_in_hours_is_drawn_and_not_larger_than_its_share(tmp_path):
    number = 36_000
    case = (decision(k, at=k, withheld="black" if k == 20_000 else "") for k in range(number))
    page = page_of(tmp_path, case, fps=1.0)
    assert page.section("withheld").rows()[1][1:5] == ["1", "5:33:20.0", "1", "1.0 s"]
    (bar,) = [one for one in page.all("path") if one.text == "Withheld: 1.0 s"]
    assert bar.attributes["d"].endswith("h1v1h-1z")  # one step wide, one of thirteen pixels high


# --- bad input --------------------------------------------------------------------------------------------------------


def refused(folder):
    with pytest.raises(InputError) as caught:
        write_report(folder)
    assert not (folder / "report.html").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_is_no_case_is_refused_by_what_it_lacks(tmp_path):
    assert refused(tmp_path / "nowhere").endswith("found no folder")
    for name in ("summary.json", "decisions.jsonl", "timings.jsonl"):
        case = write_case(tmp_path / name, frames(2))
        (case / name).unlink()
        words = "expected a case folder with summary.json, decisions.jsonl and timings.jsonl, found no"
        assert f"{case}: {words} {name}" == refused(case)


def test_a_line_that_is_no_decision_is_named(tmp_path):
    lines = [json.dumps(line) + "\n" for line in frames(5)]
    lines[3] = lines[3].replace('"stamp_ns": ', '"stamp_ns": "late", "was": ')
    message = refused(write_case(tmp_path / "case", lines))
    assert "decisions.jsonl: line 4: stamp_ns: " in message
    assert message.endswith("found 'late'")


def test_a_case_that_was_cut_off_is_refused(tmp_path):
    case = write_case(tmp_path / "torn", frames(5))
    whole = (case / "decisions.jsonl").read_bytes()
    (case / "decisions.jsonl").write_bytes(whole[:-20])
    assert "decisions.jsonl: last line" in refused(case)
    (case / "decisions.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:3]))
    assert refused(case).endswith("expected 5 judged frames, as the summary says, found 3")
    (case / "decisions.jsonl").write_bytes(b"")
    assert refused(case).endswith("found 0")


@pytest.mark.parametrize("file", ["../secret.jpg", "/etc/passwd", "keyframes/../secret.jpg", "keyframes/x.png"])
def test_a_picture_from_outside_the_case_is_refused(tmp_path, file):
    (tmp_path / "secret.jpg").write_bytes(JPEG)
    case = write_case(tmp_path / "case", frames(2))
    summary = json.loads((case / "summary.json").read_text())
    summary["keyframes"] = [{"index": 0, "file": file, "caption": ""}]
    (case / "summary.json").write_text(json.dumps(summary))
    assert "keyframes.0.file" in refused(case)


def test_a_picture_that_is_missing_is_named(tmp_path):
    case = write_case(tmp_path / "case", frames(2), keyframes=[(1, "gone")])
    (case / "keyframes" / "000001.jpg").unlink()
    assert "000001.jpg: expected the picture that the summary names" in refused(case)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(damage=st.data())
def test_damaged_files_are_told_or_refused_in_one_line(tmp_path_factory, damage):
    case = write_case(tmp_path_factory.mktemp("damaged") / "case", frames(6, advisories=[advisory()]))
    path = case / damage.draw(st.sampled_from(["decisions.jsonl", "timings.jsonl", "summary.json"]))
    content = bytearray(path.read_bytes())
    at = damage.draw(st.integers(0, len(content) - 1))
    content[at : at + damage.draw(st.integers(0, 3))] = damage.draw(st.binary(max_size=3))
    path.write_bytes(content)
    try:
        read_page(write_report(case))
    except InputError as error:
        assert "\n" not in str(error)
        assert not (case / "report.html").exists()


# --- a real case ------------------------------------------------------------------------------------------------------


@dataclass
class Replayed:
    first: Path
    second: Path


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """The same few pictures, replayed twice."""
    folder = tmp_path_factory.mktemp("replayed")
    (folder / "pictures").mkdir()
    rng = np.random.default_rng(3)
    for k in range(12):
        cv2.imwrite(str(folder / "pictures" / f"{k:03d}.png"), rng.integers(0, 255, (180, 320, 3), np.uint8))
    for name in ("first", "second"):
        replay_case(str(folder / "pictures"), folder / name)
    return Replayed(folder / "first", folder / "second")


def test_a_replay_writes_the_report_of_its_case(replayed):
    page = read_page(replayed.first / "report.html")
    summary = json.loads((replayed.first / "summary.json").read_text())
    assert "12 frames judged." in page.all("header")[0].text
    assert [row[0].split()[-1] for row in page.section("withheld").rows()[1:]] == sorted(
        summary["withheld"], key=lambda reason: -summary["withheld"][reason]
    )
    assert {"Decode", "Total"} <= {row[0] for row in page.section("latency").rows()}
    assert len(page.all("img")) == len(summary["keyframes"]) > 0
    assert summary["audit"]["head"] in page.section("identity").text


def test_a_second_replay_gives_the_same_decisions_and_differs_in_what_was_measured_only(replayed):
    first, second = replayed.first, replayed.second
    assert (first / "decisions.jsonl").read_bytes() == (second / "decisions.jsonl").read_bytes()
    for section in ("course", "advisories", "withheld", "pictures"):
        assert read_page(first / "report.html").section(section) == read_page(second / "report.html").section(section)
    assert read_page(first / "report.html").all("header") == read_page(second / "report.html").all("header")
