"""A case of the rich look brings its parts, poses and camera along, and a faulty stream says what each of its frames shows."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.simulation import (
    PARTS,
    PHASES,
    RICH_DISTURBANCES,
    STREAM_FAULTS,
    TOOLS,
    NoiseModel,
    StreamFault,
    events,
    plan_case,
    simulate,
    stream_faults,
    stream_frames,
    stream_observations,
)

SMALL = {"size": (96, 64), "fps": 1, "duration_s": 42.0, "look": "rich"}
FAULTY = {"disturbances": ("smoke", "out_of_body", *RICH_DISTURBANCES), "stream": STREAM_FAULTS}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rich") / "cases"
    simulate(out, cases=2, seed=1, **SMALL, **FAULTY)
    return out


def test_one_worker_and_two_write_the_same_labels_and_frames(cases: Path, tmp_path: Path) -> None:
    simulate(tmp_path, cases=2, seed=1, workers=2, **SMALL, **FAULTY)
    assert contents(tmp_path) == contents(cases)


def test_every_frame_has_its_parts_its_poses_and_its_row(cases: Path) -> None:
    for folder in sorted(cases.iterdir()):
        case = json.loads((folder / "case.json").read_text())
        assert case["look"] == "rich" and case["parts"] == list(PARTS)
        poses = [json.loads(line) for line in (folder / "poses.jsonl").read_text().splitlines()]
        header, *rows = [line.split(",") for line in (folder / "frames.csv").read_text().splitlines()]
        video = cv2.VideoCapture(str(folder / "video.mp4"))
        frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        assert len(poses) == len(rows) == frames > 20
        for k, (pose, row) in enumerate(zip(poses, rows, strict=True)):
            mask, parts = (
                cv2.imread(str(folder / name / f"{k:06d}.png"), cv2.IMREAD_UNCHANGED) for name in ("masks", "parts")
            )
            np.testing.assert_array_equal(parts > 0, (mask > 0) & (mask <= len(TOOLS)))
            values = dict(zip(header, map(int, row), strict=True))
            assert pose["frame"] == values["frame"] == k
            assert (pose["field_from_camera"] is not None) == bool(values["in_body"])
            assert 0 <= values["progress_ppm"] < 1_000_000
            # A bag or a shaft may be in the picture while its tip is not; nothing without a pose is.
            drawn = {TOOLS[label - 1] for label in np.unique(mask) if 0 < label <= len(TOOLS)}
            assert drawn <= {one["tool"] for one in pose["instruments"]}


def test_the_camera_is_written_as_ros_reads_it_and_projects_the_tips(cases: Path) -> None:
    folder = cases / "case00001"
    info = yaml.safe_load((folder / "camera_info.yaml").read_text())
    matrix = np.array(info["camera_matrix"]["data"]).reshape(3, 3)
    assert (info["image_width"], info["image_height"]) == SMALL["size"]
    shown = {}
    for line in (folder / "tips.csv").read_text().splitlines()[1:]:
        frame, tool, x, y = line.split(",")
        shown.setdefault((int(frame), tool), []).append((float(x), float(y)))
    checked = 0
    for line in (folder / "poses.jsonl").read_text().splitlines():
        pose = json.loads(line)
        for arm in pose["instruments"]:
            x, y, depth = matrix @ np.array(arm["tip_m"])
            near = [np.hypot(x / depth - u, y / depth - v) for u, v in shown.get((pose["frame"], arm["tool"]), [])]
            checked += len(near)
            assert not near or min(near) < 0.2
    assert checked > 10


def test_the_plain_look_writes_no_more_files_than_ever(tmp_path: Path) -> None:
    (folder,) = simulate(tmp_path, **(SMALL | {"look": "plain"}))
    names = {path.name for path in folder.iterdir()}
    assert names == {"video.mp4", "masks", "video-phase.txt", "video-tool.txt", "tips.csv", "case.json"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"look": "shiny"}, "look: expected one of .*'rich'.*, found shiny"),
        ({"look": "plain", "scene": "tissue"}, "scene: expected one of .*, found tissue"),
        ({"scene": "images"}, "scene: expected images where there are backgrounds, and only there, found images"),
        ({"stream": ("hiccup",)}, "fault: expected one of .*'freeze'.*, found hiccup"),
        ({"meshes": Path("nowhere")}, "nowhere: expected a folder of STL files, found none"),
        ({"backgrounds": Path("nowhere"), "scene": "images"}, "nowhere: expected a folder of pictures, found none"),
        ({"look": "plain", "meshes": Path("nowhere")}, "look: expected rich, .*, found plain"),
    ],
)
def test_what_the_rich_look_cannot_show_is_refused_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, object], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        simulate(tmp_path / "cases", **(SMALL | arguments))
    assert not (tmp_path / "cases").exists()


def test_a_background_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "one.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"one\.png: expected a picture, found a file that is none"):
        simulate(tmp_path / "cases", scene="images", backgrounds=tmp_path / "pictures", **SMALL)
    assert list((tmp_path / "cases").iterdir()) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sets(st.sampled_from(STREAM_FAULTS)), st.integers(1, 30))
def test_a_stream_tells_of_every_frame_what_it_shows(seed: int, kinds: set[str], fps: int) -> None:
    plan = plan_case(seed, duration_s=60.0)
    faults = stream_faults(plan, kinds)
    frames = stream_frames(plan, fps, faults)
    assert {one.kind for one in faults} == kinds
    stamps = [frame.stamp_ns for frame in frames]
    assert all(a < b for a, b in pairwise(stamps))
    if "drops" not in kinds:
        assert len(frames) == int(plan.duration_s * fps)
    for frame in frames:
        active = {one.kind for one in faults if one.start_s <= frame.t_s < one.end_s}
        if not active:
            assert frame.shown_s == frame.t_s
            assert frame.stamp_ns == round(1e9 * frame.t_s) or "jitter" in kinds
        assert (frame.shown_s is None) <= bool(active & {"black", "duplicates"})
        assert frame.shown_s is None or frame.shown_s <= frame.t_s


def test_a_frozen_stream_shows_the_last_frame_before_it_froze() -> None:
    plan = plan_case(0, duration_s=60.0)
    frames = stream_frames(plan, 10, [StreamFault("freeze", 5.0, 7.0)])
    assert {frame.shown_s for frame in frames if 5.0 <= frame.t_s < 7.0} == {4.9}
    assert [frame.shown_s for frame in frames if frame.t_s >= 7.0][:2] == [7.0, 7.1]


def test_events_follow_from_the_plan() -> None:
    for seed in range(6):
        plan = plan_case(seed, disturbances=("blood",))
        found = events(plan)
        assert found == events(plan_case(seed, disturbances=("blood",), look="rich"))
        for one in found:
            if one.kind == "cautery":
                assert {use.tool for use in plan.tools_at(one.start_s)} & {"hook", "bipolar"}
        assert sum(one.kind == "bleeding" for one in found) == len(plan.disturbances)
        assert [one.start_s for one in found if one.kind == "clip"] == [plan.clipped_s]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 25), st.integers(1, 500))
def test_answers_without_pixels_do_not_depend_on_how_they_are_cut(seed: int, fps: int, chunk: int) -> None:
    plan = plan_case(seed, duration_s=60.0, deviation="random")
    whole = list(stream_observations(plan, fps))
    parts = list(stream_observations(plan, fps, chunk=chunk))
    assert sum(len(one.phase) for one in parts) == int(plan.duration_s * fps)
    for name in ("stamp_ns", "phase", "tools", "phase_scores", "tool_scores"):
        np.testing.assert_array_equal(
            *(np.concatenate([getattr(one, name) for one in all_]) for all_ in (whole, parts))
        )
    for one in parts:
        for t_ns, phase, tools in zip(one.stamp_ns.tolist(), one.phase.tolist(), one.tools, strict=True):
            assert phase == plan.segment_at(t_ns / 1e9).phase
            assert {TOOLS[k] for k in np.flatnonzero(tools)} == {use.tool for use in plan.tools_at(t_ns / 1e9)}
        np.testing.assert_allclose(one.phase_scores.sum(axis=1), 1.0, atol=1e-5)


def test_errors_are_as_frequent_as_the_noise_says_and_hold_as_long() -> None:
    n = len(PHASES)
    table = tuple(tuple(0.7 if a == b else 0.3 / (n - 1) for b in range(n)) for a in range(n))
    plan = plan_case(3, duration_s=7200.0)
    model = NoiseModel(confusion=table, hold_s=2.0, sharpness=9.0, tool_miss=0.1, tool_false=0.0)
    chunks = list(stream_observations(plan, 5, model))
    right = np.concatenate([one.phase_scores.argmax(axis=1) == one.phase for one in chunks])
    assert right.mean() == pytest.approx(0.7, abs=0.03)
    # Answers are drawn anew every 2 s on average, and the same right answer may be drawn again.
    changes = np.flatnonzero(np.diff(right.astype(int)))
    assert len(right) / 5 / len(changes) == pytest.approx(2.0 / (2 * 0.7 * 0.3), rel=0.15)
    seen = np.concatenate([one.tool_scores > 0.5 for one in chunks])
    truth = np.concatenate([one.tools for one in chunks])
    assert (~seen[truth]).mean() == pytest.approx(0.1, abs=0.03)
    assert not seen[~truth].any()


@pytest.mark.parametrize(
    "values", [{"confusion": ((1.0,),)}, {"hold_s": 0.0}, {"tool_miss": 1.0}, {"tool_false": -0.1}, {"lag_s": -1.0}]
)
def test_noise_that_means_nothing_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"confusion|noise"):
        replace(NoiseModel.read(), **values)
