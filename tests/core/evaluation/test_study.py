"""A study says what the cases say: right on what is known, silent with a reason on what is not, and never better than it is."""

import itertools
import json

import cv2
import numpy as np
import pytest
from made_cases import decision, write_case
from made_evaluation import FPS, case_names, made_evaluation

from surgical_ml.errors import InputError
from surgical_ml.evaluation.external import evaluate_deviations, evaluate_phases, evaluate_tools
from surgical_ml.evaluation.study import FILE, StudyShape, compare_studies, write_study
from surgical_ml.evaluation.study.predictors import CLOCK, COMMITTED, KNOWING_CLOCK, NETWORK


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return made_evaluation(tmp_path_factory.mktemp("made"), cases=6, announced=lambda k: k != 2)


@pytest.fixture(scope="module")
def study(made):
    out, labels = made
    return write_study(out, labels)


def test_the_file_is_of_the_agreed_shape_and_what_is_returned(study):
    text = (study.folder / FILE).read_text()
    StudyShape.model_validate_json(text)
    assert json.loads(text) == json.loads(json.dumps(study.values))


def test_phases_are_scored_as_two_folders_would_be_in_every_convention(study, made):
    out, labels = made
    for protocol in ("strict", "per-phase", "pooled", "official", "corrected"):
        alone = evaluate_phases(labels, out / "cases", fps=FPS, protocol=protocol).to_json()
        for measure in ("accuracy", "jaccard"):
            assert study.values["conventions"][protocol][measure] == alone[measure]["interval"]
        assert study.values["conventions"][protocol]["frames"] == alone["frames"]


def test_tools_and_deviations_are_scored_as_two_folders_would_be(study, made):
    out, labels = made
    assert study.values["tools"]["map"] == evaluate_tools(labels, out / "cases").to_json()["map"]
    alone = evaluate_deviations(labels, out / "cases").to_json()
    assert study.values["deviations"]["sensitivity"] == alone["sensitivity"]
    assert study.values["deviations"]["misses"] == alone["misses"]


def test_confusion_and_ribbons_hold_every_scored_frame(study):
    values = study.values
    assert np.sum(values["confusion"]["counts"]) == sum(case["scored"] for case in values["cases"])
    for case in values["cases"]:
        for ribbon in (case["ribbons"][key] for key in ("truth", "committed", "network", "validity")):
            assert ribbon[0][0] == 0
            assert all(before[1] == after[0] for before, after in itertools.pairwise(ribbon))
            assert ribbon[-1][1] == pytest.approx(case["frames"] / FPS)


def test_what_looks_is_ranked_before_what_only_knows_the_time(study):
    ranks = {row["predictor"]: row["ranks"]["strict jaccard"] for row in study.values["ranking"]}
    assert ranks[COMMITTED] == ranks[NETWORK] == 1
    assert (ranks[KNOWING_CLOCK], ranks[CLOCK]) == (3, 4)


def test_predictions_from_elsewhere_are_ranked_with_the_others(made, tmp_path):
    out, labels = made
    for name in case_names(6):
        text = (labels / name / "video-phase.txt").read_text()
        (tmp_path / f"{name}-phase.txt").write_text(text)
    values = write_study(out, labels, also={"oracle": tmp_path}).values
    assert {row["predictor"]: row["ranks"]["strict f1"] for row in values["ranking"]}["oracle"] == 1
    (tmp_path / "case00003-phase.txt").unlink()
    with pytest.raises(InputError, match="none for case00003"):
        write_study(out, labels, also={"oracle": tmp_path})


def test_an_advisory_that_had_to_stand_longer_would_have_found_no_more(study):
    held = [point for point in study.values["deviations"]["curve"] if point["family"] == "held"]
    assert held[0]["operating"]
    assert held[0]["sensitivity"] == study.values["deviations"]["sensitivity"]["estimate"]
    shares = [point["sensitivity"] for point in held]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < shares[0]


def test_a_miss_is_listed_and_among_the_worst_moments(study):
    misses = study.values["deviations"]["misses"]
    assert [miss["case"] for miss in misses] == ["case00002"]
    assert any(
        moment["case"] == "case00002" and moment["why"].startswith("missed: ") for moment in study.values["worst"]
    )


def test_a_moment_without_a_video_has_no_image_and_the_study_says_so(study):
    assert study.values["worst"]
    assert all(moment["image"] is None for moment in study.values["worst"])
    assert any("its video is not at hand" in note for note in study.values["notes"])


def test_without_labels_nothing_is_scored_and_the_reason_is_said(made):
    out, _ = made
    values = write_study(out, None).values
    StudyShape.model_validate(values)
    assert values["conventions"] == {}
    assert values["deviations"] is None
    assert all(case["ribbons"]["truth"] is None for case in values["cases"])
    assert "No case has true phases: no phase is scored." in values["notes"]


def test_a_folder_without_the_truth_of_any_case_is_refused(made, tmp_path):
    with pytest.raises(InputError, match="the truth of case00000 or another of 6 cases, found none"):
        write_study(made[0], tmp_path)


def test_a_table_of_groups_divides_the_cases(made, tmp_path):
    out, labels = made
    table = tmp_path / "groups.csv"
    table.write_text("case,site\n" + "".join(f"{name},{'AB'[k % 2]}\n" for k, name in enumerate(case_names(6))))
    values = write_study(out, labels, groups=table).values
    site = next(one for one in values["subgroups"] if one["by"] == "site")
    assert [(row["group"], row["cases"], row["verdict"]) for row in site["rows"]] == [
        ("A", 3, "insufficient"),
        ("B", 3, "insufficient"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,site\n", "line 1: expected a header: case"),
        ("case,site\ncase00000\n", "line 2: expected 2 fields, found 1"),
        ("case,site\ncase00000,A\ncase00000,B\n", "line 3: expected each case once, found case00000 again"),
        ("case,site\ncase00000,A\n", "a row for each case, found none for case00001 and 4 more"),
    ],
)
def test_a_table_that_does_not_say_it_for_every_case_is_refused(made, tmp_path, text, message):
    (tmp_path / "groups.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        write_study(*made, groups=tmp_path / "groups.csv")


def test_cases_of_two_models_are_no_study(tmp_path):
    (tmp_path / "out" / "cases").mkdir(parents=True)
    for name, digest in (("a", "aa"), ("b", "bb")):
        model = {"name": "cholecystectomy", "version": "1", "sha256": digest}
        write_case(tmp_path / "out" / "cases" / name, [decision(0), decision(1)], model=model)
    with pytest.raises(InputError, match="b, model: expected"):
        write_study(tmp_path / "out", None)


def test_a_damaged_decision_is_named_by_its_line(tmp_path):
    (tmp_path / "out" / "cases").mkdir(parents=True)
    write_case(tmp_path / "out" / "cases" / "a", [decision(0), '{"schema":1,"event":"frame"}\n'])
    with pytest.raises(InputError, match=r"decisions.jsonl: line 2: expected one decision"):
        write_study(tmp_path / "out", None)


def test_a_case_that_is_being_written_is_passed_over(made, tmp_path):
    out, labels = made_evaluation(tmp_path, cases=2)
    (out / "cases" / "case00009.partial").mkdir()
    assert [case["name"] for case in write_study(out, labels).values["cases"]] == case_names(2)


def test_the_same_model_is_not_inferior_to_itself(study):
    done = compare_studies(study.folder, study.folder, margin=0.1)
    assert done.passed
    assert all(one.comparison.difference.estimate == 0 for one in done.measures)


def test_a_large_study_is_read_on_several_cores_with_the_same_result(study, made, monkeypatch):
    monkeypatch.setattr("surgical_ml.evaluation.study.evaluated.LARGE_BYTES", 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    told = []
    values = write_study(*made, progress=lambda done, total: told.append((done, total))).values
    assert values == study.values
    assert told == [(k, 6) for k in range(1, 7)]


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """An evaluation of one case whose video is there: grey, with the number of the frame as its brightness."""
    folder = tmp_path_factory.mktemp("pictured")
    out, labels = made_evaluation(
        folder, cases=1, announced=lambda k: False, deviation="tool-mismatch", errors=lambda k: 0.2
    )
    frames = json.loads((out / "cases" / "case00000" / "summary.json").read_text())["frames"]
    writer = cv2.VideoWriter(str(folder / "a.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (64, 48))
    for k in range(frames):
        writer.write(np.full((48, 64, 3), k, np.uint8))
    writer.release()
    data = {"folder": str(folder), "cases": [{"name": "case00000", "video": "a.mp4"}]}
    (out / "run.json").write_text(json.dumps({"mode": "throughput", "data": data}))
    return write_study(out, labels)


def test_a_worst_moment_shows_its_own_frame_with_what_was_said_drawn_on_it(pictured):
    assert {moment["why"].split(":")[0].split(" ")[0] for moment in pictured.values["worst"]} >= {"missed"}
    for moment in pictured.values["worst"]:
        picture = cv2.imread(str(pictured.folder / moment["image"]))
        assert picture.shape == (480, 640, 3)
        # words are drawn at the top; below them the frame is as it was
        assert np.median(picture[240:]) == pytest.approx(moment["index"], abs=4)
        assert picture[:200].max() > 230


def test_a_moment_that_was_withheld_keeps_nothing_of_its_picture(pictured):
    path = pictured.folder / "cases" / "case00000" / "decisions.jsonl"
    before = path.read_text()
    silent = {"withheld": "blurred", "validity": "WITHHELD", "state": "WITHHELD", "phase": None, "instruments": []}
    path.write_text("".join(json.dumps(json.loads(line) | silent) + "\n" for line in before.splitlines()))
    try:
        study = write_study(pictured.folder, pictured.folder.parent / "labels")
    finally:
        path.write_text(before)
    missed = study.values["worst"][0]
    assert missed["why"].startswith("missed")
    assert cv2.imread(str(study.folder / missed["image"]))[240:].max() < 10


def test_the_first_minute_after_a_restart_is_a_group_of_its_own(tmp_path):
    out, labels = made_evaluation(tmp_path, cases=1, seconds=200, errors=lambda k: 0)
    path = out / "cases" / "case00000" / "decisions.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines[40:44]:
        line |= {"withheld": "restarted", "validity": "WITHHELD", "state": "WITHHELD", "phase": None, "instruments": []}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    values = write_study(out, labels).values
    scores = values["cases"][0]["group_scores"]["restart"]
    # the minute counts from the last of the four frames that were withheld; they are unanswered, so not right
    assert scores["first minute after"] == pytest.approx(100 * (1 - 4 / (60 * FPS + 3)))
    assert scores["otherwise"] == 100


def test_latency_is_of_every_frame_in_real_time_and_throughput_is_not_there(tmp_path):
    out, labels = made_evaluation(tmp_path, cases=2)
    (out / "run.json").write_text(json.dumps({"mode": "realtime", "data": {"folder": str(tmp_path), "cases": []}}))
    told = {"frames": {"dropped": 3}, "result_age_ms": {"p50": 500.0, "max": 900.0}}
    for k, name in enumerate(case_names(2)):
        folder = out / "cases" / name
        (folder / "realtime.json").write_text(json.dumps(told | {"result_age_ms": {"p50": 500.0, "max": 900.0 + k}}))
        rows = [{"index": j, "stages_us": {"decode": 10, "end_to_end": 1000 * (j + 1)}} for j in range(50)]
        (folder / "timings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = write_study(out, labels).values
    StudyShape.model_validate(values)
    latency = values["latency"]
    assert values["throughput"] is None
    assert (latency["frames"], latency["drops"], latency["max_ms"]) == (100, 6, 50.0)
    assert (latency["p50_ms"], latency["age_ms"]["max"]) == (25.5, 901.0)
    assert sum(count for *_, count in latency["histogram"]) == 100


def test_in_real_time_a_case_without_its_measurements_is_refused(tmp_path):
    out, labels = made_evaluation(tmp_path, cases=1)
    (out / "run.json").write_text(json.dumps({"mode": "realtime", "data": {"folder": str(tmp_path), "cases": []}}))
    with pytest.raises(
        InputError, match=r"realtime.json: expected what a case in real time measured, found No such file"
    ):
        write_study(out, labels)


def test_frames_outside_the_body_are_counted_from_why_nothing_was_shown(tmp_path):
    out, labels = made_evaluation(tmp_path, cases=1)
    plan = json.loads((labels / "case00000" / "case.json").read_text())
    plan["disturbances"] = [{"kind": "out_of_body", "start_s": 10.0, "end_s": 20.0, "strength": 1.0}]
    (labels / "case00000" / "case.json").write_text(json.dumps(plan))
    path = out / "cases" / "case00000" / "decisions.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines[24:40]:
        line |= {
            "withheld": "out-of-body",
            "validity": "WITHHELD",
            "state": "WITHHELD",
            "phase": None,
            "instruments": [],
        }
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = write_study(out, labels).values["out_of_body"]
    assert (found["recall"], found["leaked_s"]["mean"]) == (0.8, 2.0)
    assert found["auroc"] == "NaN", "these cases have no record"
