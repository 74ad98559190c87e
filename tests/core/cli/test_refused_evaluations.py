"""Whatever `surgical-ml evaluate` cannot score, it refuses in one line that names the file, the expectation and the finding."""

import json
import sys

import cv2
import numpy as np
import pytest

from surgical_ml.cli import main

TOOLS = "Frame\tGrasper\tBipolar\tHook\tScissors\tClipper\tIrrigator\tSpecimenBag\n"
TICK = {"schema": 1, "event": "tick", "index": None, "stamp_ns": 0, "advisories": []}
FRAME = {"schema": 1, "event": "frame", "index": 0, "stamp_ns": 0, "phase": None, "instruments": [], "advisories": []}


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """What the command says of `truth` and `mine` below a folder of its own."""

    def run(group, *options):
        arguments = ["surgical-ml", "evaluate", group, "--labels", "truth", "--predictions", "mine", *options]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("signal.signal", lambda *_: None)
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        assert (caught.value.code, out) == (2, "")
        assert err.startswith("surgical-ml: ")
        assert err.count("\n") == 1
        return err

    return run


@pytest.fixture
def write(tmp_path):
    def run(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, np.ndarray):
            assert cv2.imwrite(str(path), content)
        elif isinstance(content, list):
            path.write_text("".join(json.dumps(line) + "\n" for line in content))
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return run


# --- phases -----------------------------------------------------------------------------------------------------------


def test_two_files_of_one_case(refused, write):
    write("truth/workflow_video_01.txt", "0\t0\n")
    write("truth/workflow_video_01_pred.txt", "0\t0\n")
    write("mine/workflow_video_01.txt", "0\t0\n")
    err = refused("phases", "--fps", "1", "--procedure", "m2cai16")
    assert "truth: expected one file of workflow_video_01, found " in err
    assert "workflow_video_01_pred.txt" in err


def test_a_protocol_file_that_is_none(refused, write):
    write("own.yaml", "phases: 7\n")
    assert "own.yaml" in refused("phases", "--fps", "1", "--procedure", "own.yaml")


@pytest.mark.parametrize("group", ["phases", "tools", "segmentation", "deviations"])
def test_no_folder_of_truth_at_all(refused, group):
    options = ("--fps", "1") if group == "phases" else ()
    assert "truth: expected a folder, found none" in refused(group, *options)


# --- masks ------------------------------------------------------------------------------------------------------------


def test_a_file_in_the_place_of_a_folder_of_masks(refused, write):
    write("truth", "not a folder")
    assert "truth: expected a folder, found a file" in refused("segmentation")


def test_a_folder_without_masks(refused, write):
    write("truth/readme.txt", "nothing")
    assert "truth: expected pictures *.png, found none" in refused("segmentation")


@pytest.mark.parametrize("broken", ["../masks/0000000.png", ""])
def test_a_mask_of_20_bytes_or_none(refused, write, broken):
    mask = np.ones((8, 8), np.uint8)
    write("truth/a/masks/000000.png", mask)
    write("mine/a/masks/000000.png", broken)
    err = refused("segmentation")
    assert "mine/a/masks/000000.png: expected a " in err
    assert err.endswith("found 20 bytes that are none\n" if broken else "found an empty file\n")


def test_a_truncated_mask(refused, write):
    mask = np.random.default_rng(0).integers(0, 2, (64, 64)).astype(np.uint8)
    write("mine/a/masks/000000.png", mask)
    path = write("truth/a/masks/000000.png", mask)
    path.write_bytes(path.read_bytes()[:60])
    assert "truth/a/masks/000000.png: expected a whole picture, found 60 bytes that are none" in refused("segmentation")


# --- tools ------------------------------------------------------------------------------------------------------------


def triplets(instruments):
    sizes = {"triplet": 1, "instrument": instruments, "verb": 1, "target": 1, "phase": 1}
    categories = {key: {str(k): f"{key} {k}" for k in range(n)} for key, n in sizes.items()}
    return {"fps": 1, "num_frames": 1, "categories": categories, "annotations": {"0": []}}


def test_tools_of_other_classes(refused, write):
    write("truth/VID01.json", triplets(2))
    write("mine/VID01.json", triplets(3))
    assert "mine/VID01.json: expected the classes instrument 0, instrument 1, found instrument 0, " in refused("tools")


def test_a_replay_without_a_judged_frame_has_no_tools(refused, write):
    write("truth/case1/video-tool.txt", TOOLS + "0\t1\t0\t0\t0\t0\t0\t0\n")
    write("mine/case1/decisions.jsonl", [TICK])
    assert "mine/case1/decisions.jsonl: expected at least one judged frame, found none" in refused("tools")


def test_a_replay_with_a_tool_that_nobody_knows(refused, write):
    write("truth/case1/video-tool.txt", TOOLS + "0\t1\t0\t0\t0\t0\t0\t0\n")
    knife = {"type": "knife", "score": 1, "tip_px": None}
    write("mine/case1/decisions.jsonl", [FRAME | {"instruments": [knife]}])
    err = refused("tools")
    assert "decisions.jsonl, line 1: expected a label of cholec80-tools: Grasper, " in err
    assert err.endswith("found knife\n")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("frame,tool,x,y\n", "tips.csv, line 1: expected frame,tool,x_px,y_px, found another header"),
        ("frame,tool,x_px,y_px\n0,hook,1\n", "line 2: expected a frame, a tool and two numbers, found 0,hook,1"),
        ("frame,tool,x_px,y_px\n0,hook,1,left\n", "found 0,hook,1,left"),
    ],
)
def test_tips_that_are_no_table_of_tips(refused, write, table, complaint):
    write("truth/case1/video-tool.txt", TOOLS + "0\t1\t0\t0\t0\t0\t0\t0\n")
    write("truth/case1/tips.csv", table)
    write("mine/case1/decisions.jsonl", [FRAME])
    assert complaint in refused("tools", "--size", "32x24")


# --- deviations -------------------------------------------------------------------------------------------------------


def test_a_replay_without_a_judged_frame_announces_nothing_that_can_be_scored(refused, write):
    write("truth/case1/case.json", {"duration_s": 60, "deviations": []})
    write("mine/case1/decisions.jsonl", [TICK])
    assert "decisions.jsonl: expected at least one judged frame, found none" in refused("deviations")


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        ({"deviations": []}, "case.json: expected a member duration_s"),
        ({"duration_s": 0, "deviations": []}, "case1, duration: expected seconds above 0, found 0.0"),
        ({"duration_s": 60, "deviations": [{"onset_s": 1}]}, "case.json, deviation 0: expected a member end_s"),
        (
            {"duration_s": 60, "deviations": [{"kind": "order", "subject": "x", "onset_s": 2, "end_s": 1}]},
            "case1, order: expected an onset before the end, found 2.0 to 1.0",
        ),
    ],
)
def test_a_plan_that_is_none(refused, write, plan, complaint):
    write("truth/case1/case.json", plan)
    write("mine/case1/decisions.jsonl", [FRAME])
    assert complaint in refused("deviations")
