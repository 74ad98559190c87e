"""The command prints named numbers, writes them for machines, and refuses in one line."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from surgical_ml.cli import main
from surgical_ml.evaluation.metrics import PROTOCOLS

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
GOLDEN, JIGSAWS = DATA / "phase-golden", DATA / "jigsaws-gestures"


@pytest.fixture
def evaluate(monkeypatch, capsys):
    """The command, run in this process: exit status, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["surgical-ml", "evaluate", *map(str, arguments)])
        monkeypatch.setattr("signal.signal", lambda *_: None)
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return run


@pytest.fixture
def folders(tmp_path):
    truth, mine = tmp_path / "truth", tmp_path / "mine"

    def write(truths, predictions):
        for folder, cases in ((truth, truths), (mine, predictions)):
            folder.mkdir(exist_ok=True)
            for case, labels in cases.items():
                rows = "".join(f"{k}\t{label}\n" for k, label in enumerate(labels))
                (folder / f"{case}-phase.txt").write_text("Frame\tPhase\n" + rows)
        return "--labels", truth, "--predictions", mine

    return write


LABELS = [k for k in range(7) for _ in range(20)]


def refused(result):
    status, out, err = result
    assert status == 2
    assert out == ""
    assert err.startswith("surgical-ml: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.shared_data
@pytest.mark.skipif(not GOLDEN.is_dir(), reason="../shared/data/phase-golden is not beside the project")
@pytest.mark.parametrize(("phases", "procedure"), [("7", "cholec80"), ("8", "m2cai16")])
def test_the_official_protocol_equals_the_script_in_every_run_nan_and_infinity_included(
    evaluate, folders, phases, procedure
):
    labels = {"gt": {}, "pred": {}}
    with (GOLDEN / "cases.csv").open() as file:
        for row in csv.DictReader(file):
            if row["nphase"] == phases:
                labels[row["kind"]][f"video{row['case']}"] = [int(one) - 1 for one in row["labels"].split()]
    with (GOLDEN / "expected.csv").open() as file:
        expected = [row for row in csv.DictReader(file) if row["nphase"] == phases]
    options = (
        "--protocol",
        "official",
        "--procedure",
        procedure,
        "--json",
        "-",
        *folders(labels["gt"], labels["pred"]),
    )
    found = {}
    for fps in ("1", "2"):
        status, out, err = evaluate("phases", *options, "--fps", fps)
        assert status == 0, err
        found |= {(one["case"], fps): one for one in json.loads(out)["per_case"]}
    assert len(found) == {"7": 200, "8": 100}[phases]
    for row in expected:
        case = found[f"video{row['case']}", row["fps"]]
        phase = case["phases"][int(row["phase"]) - 1]
        values = [case["accuracy"], phase["jaccard"], phase["precision"], phase["recall"]]
        wanted = [row["acc"], row["jaccard"], row["precision"], row["recall"]]
        assert [float(one) for one in values] == pytest.approx([float(one) for one in wanted], abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_result_names_its_protocol_rate_policy_cases_frames_and_version(evaluate, folders, protocol):
    options = folders({"video01": LABELS, "video02": LABELS}, {"video01": LABELS, "video02": LABELS[::-1]})
    status, out, _ = evaluate("phases", *options, "--fps", 2, "--protocol", protocol)
    assert status == 0
    assert out.startswith(f"protocol {protocol}, cholec80, 2 samples/s, 2 cases, 280 frames, surgical_ml ")
    assert "\nNaN policy: " in out
    _, out, _ = evaluate("phases", *options, "--fps", 2, "--protocol", protocol, "--json", "-")
    values = json.loads(out)
    assert {"protocol", "fps", "nan_policy", "cases", "frames", "version", "procedure"} <= values.keys()
    assert values["accuracy"]["interval"]["n"] == 2


def test_json_goes_to_a_file_and_replaces_it_whole(evaluate, folders, tmp_path):
    options = folders({"video01": LABELS}, {"video01": LABELS})
    file = tmp_path / "scores.json"
    file.write_text("old")
    status, out, _ = evaluate("phases", *options, "--fps", 1, "--json", file)
    assert status == 0
    assert "accuracy  100.00" in out
    assert json.loads(file.read_text())["accuracy"]["mean"] == 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "scores.json", "truth"]


def test_a_file_that_cannot_be_written_is_one_line(evaluate, folders, tmp_path):
    options = folders({"video01": LABELS}, {"video01": LABELS})
    assert "a file that can be written" in refused(
        evaluate("phases", *options, "--fps", 1, "--json", tmp_path / "no" / "x")
    )


@pytest.mark.parametrize(
    ("truths", "predictions", "more", "complaint"),
    [
        ({"video01": [0], "video02": [0]}, {"video01": [0]}, (), "none for video02"),
        ({"video01": [0]}, {"video01": [0], "video03": [0]}, (), "video03 without a truth"),
        ({"video01": [0, 0]}, {"video01": [0]}, (), "expected 2 samples"),
        ({"video01": [0]}, {"video01": ["Suturing"]}, (), "line 2: expected a label of cholec80"),
        ({"video01": [0, -1]}, {"video01": [0, 0]}, (), "video01, truth: expected a phase in every sample"),
        ({"video01": [0, -1]}, {"video01": [0, 0]}, ("--protocol", "official"), "found the last 1 of 2 undefined"),
        ({"video01": [0]}, {"video01": [0]}, ("--protocol", "relaxed"), "protocol: expected one of ['strict'"),
        ({"video01": [0]}, {"video01": [0]}, ("--procedure", "appendectomy"), "procedure appendectomy"),
        ({"video01": [0]}, {"video01": [0]}, ("--fps", 0), "above 0"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(evaluate, folders, truths, predictions, more, complaint):
    fps = () if "--fps" in more else ("--fps", 1)
    assert complaint in refused(evaluate("phases", *folders(truths, predictions), *fps, *more))


def test_a_wrong_frame_rate_is_caught(evaluate, tmp_path):
    for name in ("truth", "mine"):
        (tmp_path / name).mkdir()
        rows = "".join(f"{25 * k}\tPreparation\n" for k in range(50))
        (tmp_path / name / "video41-phase.txt").write_text("Frame\tPhase\n" + rows)
    options = ("--labels", tmp_path / "truth", "--predictions", tmp_path / "mine", "--protocol", "official")
    assert evaluate("phases", *options, "--fps", 1)[0] == 0
    assert "every 25th frame of the video" in refused(evaluate("phases", *options, "--fps", 25))


@pytest.mark.shared_data
@pytest.mark.skipif(not JIGSAWS.is_dir(), reason="../shared/data/jigsaws-gestures is not beside the project")
def test_gestures_are_scored_per_split_and_over_all(evaluate):
    folder = JIGSAWS / "sensors_ED-TCN_L2_C15"
    status, out, _ = evaluate("gestures", "--predictions", folder, "--fps", 30, "--json", "-")
    assert status == 0
    values = json.loads(out)
    assert values["edit"]["mean"] == pytest.approx(84.867807, abs=1e-6)
    assert values["splits"][0]["f1@10"] == pytest.approx(87.828424, abs=1e-6)
    assert (values["cases"], len(values["splits"])) == (39, 8)
    status, out, _ = evaluate("gestures", "--predictions", folder, "--fps", 30)
    assert "mean over splits: edit 84.95" in out


def test_segments_of_phase_files_are_scored_too(evaluate, folders):
    status, out, _ = evaluate("gestures", *folders({"video01": LABELS}, {"video01": LABELS}), "--fps", 1)
    assert status == 0
    assert "edit              100.00" in out
    assert "6 transitions, held 2 s: median 0.00 s" in out


def test_the_command_runs_from_a_shell(tmp_path):
    command = [sys.executable, "-m", "surgical_ml.cli", "evaluate", "phases", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "120"})
    assert done.returncode == 0
    assert "Example: surgical-ml evaluate phases" in done.stdout


# --- masks, tools, deviations -----------------------------------------------------------------------------------------

HEADER = "Frame\tGrasper\tBipolar\tHook\tScissors\tClipper\tIrrigator\tSpecimenBag\n"


def write_masks(folder, frames, names=("background", "hook")):
    cv2 = pytest.importorskip("cv2")
    for case, masks in frames.items():
        inner = folder / case / "masks"
        inner.mkdir(parents=True)
        (inner / "classes.json").write_text(json.dumps({str(k): name for k, name in enumerate(names)}))
        for k, mask in enumerate(masks):
            cv2.imwrite(str(inner / f"{k:06d}.png"), np.array(mask, np.uint8))
    return folder


def test_masks_of_case_folders_are_scored_by_name(evaluate, tmp_path):
    mask = np.zeros((20, 30), int)
    mask[5:10, 5:10] = 1
    truth = write_masks(tmp_path / "truth", {"case1": [mask, mask], "case2": [mask]})
    mine = write_masks(tmp_path / "mine", {"case1": [mask, np.zeros_like(mask)], "case2": [mask]})
    status, out, err = evaluate("segmentation", "--labels", truth, "--predictions", mine, "--json", "-")
    assert status == 0, err
    values = json.loads(out)
    assert values["challenge_iou"] == pytest.approx(2 / 3)
    assert [one["class"] for one in values["classes"]] == ["hook"]
    assert [(one["case"], one["frames"]) for one in values["per_case"]] == [("case1", 2), ("case2", 1)]
    status, out, _ = evaluate("segmentation", "--labels", truth, "--predictions", mine)
    assert "Challenge IoU  0.6667" in out


def test_masks_without_names_are_scored_by_their_ids(evaluate, tmp_path):
    mask = np.full((4, 4), 7)
    folders = [write_masks(tmp_path / name, {"a": [mask]}) for name in ("truth", "mine")]
    for folder in folders:
        (folder / "a" / "masks" / "classes.json").unlink()
    _, out, _ = evaluate("segmentation", "--labels", folders[0], "--predictions", folders[1], "--json", "-")
    assert [one["class"] for one in json.loads(out)["classes"]] == ["7"]


def test_masks_that_do_not_fit_are_refused(evaluate, tmp_path):
    mask = np.ones((4, 4), int)
    truth = write_masks(tmp_path / "truth", {"a": [mask, mask]})
    options = ("segmentation", "--labels", truth, "--predictions")
    assert "none for a/masks/000001.png and 0 more" in refused(
        evaluate(*options, write_masks(tmp_path / "b", {"a": [mask]}))
    )
    other = write_masks(tmp_path / "c", {"a": [mask, mask]}, ("background", "clipper"))
    assert "expected the classes of" in refused(evaluate(*options, other))
    wrong = write_masks(tmp_path / "d", {"a": [mask, mask * 2]})
    assert "a, frame 1, prediction: expected ids from 0 to 1, found 2" in refused(evaluate(*options, wrong))
    (tmp_path / "names.json").write_text('["background"]')
    assert "a list of names" in refused(evaluate(*options, truth, "--classes", tmp_path / "names.json"))
    assert "one of ['label-map'" in refused(evaluate(*options, truth, "--truth-format", "jpeg"))


def write_decisions(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for k, (instruments, advisories) in enumerate(frames):
        lines.append(
            {
                "schema": 1,
                "event": "frame",
                "index": k,
                "stamp_ns": 10_000_000_000 + k * 1_000_000_000,
                "phase": None,
                "instruments": [{"type": t, "score": s, "tip_px": tip} for t, s, tip in instruments],
                "advisories": advisories,
            }
        )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_tools_and_tips_of_a_replay_are_scored_on_the_frames_of_the_truth(evaluate, tmp_path):
    case = tmp_path / "truth" / "case1"
    case.mkdir(parents=True)
    (case / "video-tool.txt").write_text(HEADER + "0\t0\t0\t1\t0\t0\t0\t0\n2\t0\t0\t0\t0\t0\t0\t0\n")
    (case / "tips.csv").write_text("frame,tool,x_px,y_px\n0,hook,10.0,10.0\n")
    seen = [[("hook", 900_000, [12, 10])], [("clipper", 100_000, None)], []]
    write_decisions(tmp_path / "mine" / "case1" / "decisions.jsonl", [(one, []) for one in seen])
    options = ("tools", "--labels", tmp_path / "truth", "--predictions", tmp_path / "mine", "--size", "300x400")
    status, out, err = evaluate(*options, "--json", "-")
    assert status == 0, err
    values = json.loads(out)
    assert values["map"]["mean"] == 100
    assert values["frames"] == 2
    assert values["tips"]["pck"]["mean"] == 100
    assert values["tips"]["median_px"] == 2
    assert "mAP 100.00" in evaluate(*options)[1]
    assert "WIDTHxHEIGHT" in refused(evaluate(*options[:-1], "large"))


def test_tools_without_a_score_for_a_frame_are_refused(evaluate, tmp_path):
    for name, rows in (
        ("truth", "0\t1\t0\t0\t0\t0\t0\t0\n25\t1\t0\t0\t0\t0\t0\t0\n"),
        ("mine", "0\t1\t0\t0\t0\t0\t0\t0\n"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "video01-tool.txt").write_text(HEADER + rows)
    options = ("tools", "--labels", tmp_path / "truth", "--predictions", tmp_path / "mine")
    assert "found none for frame 25 and 0 more" in refused(evaluate(*options))


def advisory(code, at_s, kind="procedural", subject="hook"):
    announced = 10_000_000_000 + int(at_s * 1e9)
    return {"code": code, "subject": subject, "kind": kind, "priority": "high", "announced_ns": announced}


def test_deviations_are_matched_with_the_advisories_of_a_replay(evaluate, tmp_path):
    for name, deviations in (
        ("case1", [{"kind": "order", "subject": "x", "onset_s": 1.0, "end_s": 2.0}]),
        ("case2", []),
    ):
        folder = tmp_path / "truth" / name
        folder.mkdir(parents=True)
        (folder / "case.json").write_text(json.dumps({"duration_s": 1800, "deviations": deviations}))
    told = advisory("order", 2)
    technical = advisory("assistance-withheld", 0, "technical")
    write_decisions(
        tmp_path / "mine" / "case1" / "decisions.jsonl", [([], [technical]), ([], []), ([], [told]), ([], [told])]
    )
    write_decisions(tmp_path / "mine" / "case2" / "decisions.jsonl", [([], []), ([], [advisory("tool-mismatch", 1)])])
    options = ("deviations", "--labels", tmp_path / "truth", "--predictions", tmp_path / "mine")
    status, out, err = evaluate(*options, "--json", "-")
    assert status == 0, err
    values = json.loads(out)
    assert values["sensitivity"]["estimate"] == 1
    assert values["precision"]["estimate"] == 0.5
    assert values["delay_s"]["median"] == 1
    assert values["false_per_hour"] == {"high": 2}
    assert values["misses"] == []
    assert "false advisories per hour in 0.50 hours without deviations: high 2.00" in evaluate(*options)[1]


def test_a_missed_deviation_is_listed(evaluate, tmp_path):
    (tmp_path / "truth" / "case1").mkdir(parents=True)
    plan = {"duration_s": 60, "deviations": [{"kind": "order", "subject": "packaging", "onset_s": 1.0, "end_s": 2.0}]}
    (tmp_path / "truth" / "case1" / "case.json").write_text(json.dumps(plan))
    write_decisions(tmp_path / "mine" / "case1" / "decisions.jsonl", [([], [])])
    _, out, _ = evaluate("deviations", "--labels", tmp_path / "truth", "--predictions", tmp_path / "mine")
    assert "missed: case1, order packaging from 1 to 2 s" in out
    assert "median inf s" in out.lower()
