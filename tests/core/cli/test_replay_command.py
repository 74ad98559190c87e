"""`surgical-ml replay`: what it writes, what it refuses, and that it leaves all or nothing."""

import json
import os
import pty
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from commands import LONGEST_S, many, start, wait_for

from surgical_ml.calibration.files import read, write
from surgical_ml.places import shared_folder

SINUS = Path(__file__).resolve().parents[4] / "shared" / "data" / "sinus-endoscopy"
FILES = {"audit", "decisions.jsonl", "keyframes", "report.html", "summary.json", "timings.jsonl"}


def nothing_is_left(out: Path) -> bool:
    return not list(out.parent.glob(f"{out.name}*"))


@pytest.mark.parametrize("name", ["text.mp4", "empty.mp4", "missing.mp4"])
def test_what_is_no_video_is_named_and_leaves_nothing(name: str, tmp_path: Path, cli) -> None:
    if name != "missing.mp4":
        (tmp_path / name).write_text("not a video\n" * (100 if name == "text.mp4" else 0))
    assert str(tmp_path / name) in cli("replay", tmp_path / name, "--out", tmp_path / "out").line
    assert nothing_is_left(tmp_path / "out")


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--procedure", "appendectomy", "appendectomy"),
        ("--model", "nephrectomy", "nephrectomy"),
        ("--engine", "abacus", "abacus"),
        ("--calibration", "nowhere.yaml", "nowhere.yaml"),
        ("--calibration", str(shared_folder("calibration") / "example-camera.yaml"), "an example"),
        ("--config", "nowhere.yaml", "nowhere.yaml"),
        ("--fps", "-1", "fps"),
        ("--every", "0", "every"),
        ("--time-scale", "0", "time_scale"),
    ],
)
def test_a_wrong_option_is_named_and_leaves_nothing(
    option: str, value: str, named: str, tmp_path: Path, pictures: Path, cli
) -> None:
    assert named in cli("replay", pictures, "--out", tmp_path / "out", option, value).line
    assert nothing_is_left(tmp_path / "out")


def test_a_changed_model_is_refused(tmp_path: Path, pictures: Path, cli) -> None:
    model = shutil.copytree(shared_folder("models") / "cholecystectomy" / "1", tmp_path / "model")
    content = bytearray((model / "frame.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (model / "frame.onnx").write_bytes(content)
    line = cli("replay", pictures, "--out", tmp_path / "out", "--model", model).line
    assert "frame.onnx" in line
    assert line.count("sha256") == 2
    assert nothing_is_left(tmp_path / "out")


def test_a_folder_with_files_in_it_is_not_written_to(tmp_path: Path, pictures: Path, cli) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    assert str(tmp_path / "out") in cli("replay", pictures, "--out", tmp_path / "out").line
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_one_video_writes_its_case_into_the_folder_and_says_where_the_report_is(
    tmp_path: Path, pictures: Path, cli
) -> None:
    done = cli("replay", pictures, "--out", tmp_path / "case")
    assert done.status == 0
    assert done.err == ""
    assert {path.name for path in (tmp_path / "case").iterdir()} == FILES
    assert f"report: {tmp_path / 'case' / 'report.html'}" in done.out
    assert "12 frames" in done.out


def test_several_videos_write_a_folder_each_named_like_the_video(tmp_path: Path, pictures: Path, cli) -> None:
    other = shutil.copytree(pictures, tmp_path / "other")
    done = cli("replay", pictures, other, "--out", tmp_path / "cases", "--every", 6, "--json")
    assert done.status == 0
    assert {path.name for path in (tmp_path / "cases").iterdir()} == {pictures.name, "other"}
    cases = json.loads(done.out)["cases"]
    assert [case["frames"] for case in cases] == [2, 2]
    for case in cases:
        assert {path.name for path in Path(case["folder"]).iterdir()} == FILES


def test_videos_of_one_name_are_refused_before_any_is_run(tmp_path: Path, pictures: Path, cli) -> None:
    other = shutil.copytree(pictures, tmp_path / "elsewhere" / pictures.name)
    assert pictures.name in cli("replay", pictures, other, "--out", tmp_path / "cases").line
    assert nothing_is_left(tmp_path / "cases")


def test_a_calibration_of_other_pictures_is_refused_and_nothing_left(tmp_path: Path, pictures: Path, cli) -> None:
    example = read(shared_folder("calibration") / "example-camera.yaml")
    measured = example.provenance.model_copy(update={"example": False})
    write(example.model_copy(update={"provenance": measured}), tmp_path / "camera.yaml")
    done = cli("replay", pictures, "--out", tmp_path / "case", "--calibration", tmp_path / "camera.yaml")
    assert "expected a calibration for 320x180 pictures, found one for 1920x1080" in done.line
    assert not list(tmp_path.glob("case*"))


def test_a_calibration_is_part_of_what_a_case_is(tmp_path: Path, pictures: Path, cli) -> None:
    example = read(shared_folder("calibration") / "example-camera.yaml")
    small = example.lens.model_copy(update={"cx": 159.5, "cy": 89.5, "image_size": (320, 180)})
    measured = example.provenance.model_copy(update={"example": False})
    own = example.model_copy(update={"lens": small, "provenance": measured})
    write(own, tmp_path / "camera.yaml")
    summaries = []
    for name, options in (("without", ()), ("with", ("--calibration", tmp_path / "camera.yaml"))):
        done = cli("replay", pictures, "--out", tmp_path / name, "--every", 12, "--json", *options)
        assert done.status == 0
        summaries.append(json.loads(done.out))
    assert summaries[0]["config_sha256"] != summaries[1]["config_sha256"]


def test_masks_have_the_size_of_the_frame_and_the_overlay_plays(tmp_path: Path, pictures: Path, cli) -> None:
    out = tmp_path / "case"
    assert cli("replay", pictures, "--out", out, "--masks", "--overlay", "--every", 3, "--fps", 10).status == 0
    assert [path.name for path in sorted(out.glob("masks/*.png"))] == [f"{k:06d}.png" for k in (0, 3, 6, 9)]
    assert cv2.imread(str(out / "masks" / "000003.png"), cv2.IMREAD_UNCHANGED).shape == (180, 320)
    assert json.loads((out / "masks" / "classes.json").read_text())["0"] == "background"
    assert cv2.VideoCapture(str(out / "overlay.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 4


def test_two_replays_give_the_same_bytes(tmp_path: Path, pictures: Path, cli) -> None:
    for name in ("a", "b"):
        assert cli("replay", pictures, "--out", tmp_path / name).status == 0
    assert (tmp_path / "a" / "decisions.jsonl").read_bytes() == (tmp_path / "b" / "decisions.jsonl").read_bytes()


def test_a_terminal_shows_how_fast_it_goes_and_what_is_left(tmp_path: Path, pictures: Path) -> None:
    video = many(tmp_path / "many", pictures / "000.png", 30)
    ours, theirs = pty.openpty()
    process = start("replay", video, "--out", tmp_path / "case", stderr=theirs)
    os.close(theirs)
    shown = bytearray()
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.wait(LONGEST_S) == 0
    assert b"frames/s" in shown
    assert b"/30" in shown
    assert b"left" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_it_leaves_nothing(number: signal.Signals, tmp_path: Path, pictures: Path) -> None:
    out = tmp_path / "case"
    process = start("replay", many(tmp_path / "many", pictures / "000.png"), "--out", out)
    # With the first frame comes the first of the few that tell a case.
    wait_for((tmp_path / "case.partial" / "keyframes").is_dir)
    process.send_signal(number)
    _, err = process.communicate(timeout=LONGEST_S)
    assert process.returncode == 128 + number
    assert err == ""
    assert nothing_is_left(out)


def test_a_limit_on_the_size_of_files_ends_in_one_line(tmp_path: Path, pictures: Path) -> None:
    """What a quota does: the log cannot be made as large as it must be."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    process = start("replay", pictures, "--out", tmp_path / "case", preexec_fn=limit)
    _, err = process.communicate(timeout=LONGEST_S)
    assert process.returncode == 2
    assert err.count("\n") == 1
    assert str(tmp_path / "case") in err
    assert nothing_is_left(tmp_path / "case")


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of so many kibibytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs to be root, and allowed to mount a tmpfs")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize("small_disk", [4096, 16384 + 192], indirect=True, ids=["at the start", "in the middle"])
def test_a_full_disk_ends_in_one_line_and_leaves_nothing(small_disk: Path, pictures: Path, cli) -> None:
    """The log takes 16 MiB beforehand; the second disk holds that, and then not much more."""
    line = cli("replay", pictures, "--out", small_disk / "case", "--overlay", "--masks").line
    assert "No space left on device" in line
    assert list(small_disk.iterdir()) == []


@pytest.mark.shared_data
@pytest.mark.skipif(not SINUS.is_dir(), reason="../shared/data is not beside the project")
def test_a_real_recording_unlike_training_is_withheld_with_its_reason(tmp_path: Path, cli) -> None:
    """The novelty limit was never tuned on this recording."""
    done = cli("replay", SINUS, "--out", tmp_path / "sinus", "--json")
    assert done.status == 0
    summary = json.loads(done.out)
    assert summary["content"]["shape"] == "circle"
    assert summary["validity"] == {"WITHHELD": summary["frames"]}
    assert summary["withheld"] == {"unlike-training": summary["frames"]}
