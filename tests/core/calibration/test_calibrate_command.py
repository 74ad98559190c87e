"""`surgical-ml calibrate`: from pictures to a file, its page, and one clear line for what cannot be used."""

import csv
import json
import re
import shlex
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from moving_video import panned
from rendered_boards import RIGHT_FROM_LEFT, SMALL, SPECIFICATION, poses, render

from surgical_ml.calibration import files
from surgical_ml.calibration.model import CameraCalibration, Provenance
from surgical_ml.calibration.rigid import inverse, quaternion_of_rotation, rigid
from surgical_ml.cli import main

PAGE = Path(__file__).resolve().parents[3] / "docs" / "calibration.md"
MOUNTED = rigid(np.array([0.1, -0.2, 0.3]), np.array([0.01, 0.02, 0.05]))


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs a command in this process; gives its exit code, and what it said on stdout and stderr."""
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["surgical-ml", "calibrate", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return run


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    return render(tmp_path_factory.mktemp("boards") / "left")


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    return render(tmp_path_factory.mktemp("boards") / "right", motion=RIGHT_FROM_LEFT)


def write_poses(path, scale=1):
    """Where a hand stood that carries the camera at `MOUNTED`."""
    place = rigid(np.array([2.5, 0.1, 0.0]), np.array([0.1, 0.2, 0.0]))
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "x", "y", "z", "qx", "qy", "qz", "qw"])
        for k, pose in enumerate(poses()):
            hand = place @ inverse(pose) @ inverse(MOUNTED)
            rows.writerow([f"{k:02d}", *(scale * hand[:3, 3]), *quaternion_of_rotation(hand[:3, :3])])


def shape(text):
    """A line without what differs from run to run: numbers and digests."""
    return re.sub(r"\b[0-9a-f]{64}\b|\d+(\.\d+)?", "N", text)


def line(done):
    """The one line of a refusal."""
    code, out, err = done
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


def test_a_camera_is_calibrated_from_a_folder_and_shown_on_a_page(command, left, tmp_path):
    out, page = tmp_path / "camera.yaml", tmp_path / "camera.html"
    code, said, _ = command(
        "camera", left, "--pattern", SPECIFICATION, "--out", out, "--report", page, "--camera", "head 7", "--json"
    )
    assert code == 0
    told, made = json.loads(said), files.read(out)
    assert told["digest"] == files.digest(made)
    assert told["missing"][0] == "3 more views"
    assert "the pattern in the upper left of the picture" in told["missing"]
    assert "the pattern in the middle centre of the picture" not in told["missing"]
    assert made.validity.camera == "head 7"
    assert made.provenance.sources[0].name == "left"
    assert made.lens.fx == pytest.approx(SMALL.fx, rel=0.01)
    assert made.quality.holdout_rms_px < 0.3
    html = page.read_text()
    for heading in ("How well it fits", "how they miss", "without its distortion", "Every parameter"):
        assert heading in html
    assert told["digest"] in html
    assert "http" not in html.replace("http-equiv", "")


def test_a_pair_is_calibrated_from_two_folders(command, left, right, tmp_path):
    out, page = tmp_path / "stereo.yaml", tmp_path / "stereo.html"
    code, said, _ = command("stereo", left, right, "--pattern", SPECIFICATION, "--out", out, "--report", page)
    assert code == 0
    assert "baseline 4.5" in said
    made = files.read(out)
    assert made.baseline_m == pytest.approx(0.0045, abs=1e-4)
    assert page.read_text().count("<svg") == 2


def test_the_hand_is_calibrated_from_poses_and_pictures(command, left, tmp_path):
    camera = tmp_path / "camera.yaml"
    lens = CameraCalibration(schema="surgical_ml/camera@1", lens=SMALL, provenance=Provenance(made_by="test"))
    files.write(lens, camera)
    listed = tmp_path / "poses.csv"

    def calibrate():
        return command(
            *("hand-eye", "--poses", listed, "--images", left, "--camera", camera, "--pattern", SPECIFICATION),
            *("--arrangement", "camera-on-arm", "--out", tmp_path / "hand.yaml"),
        )

    write_poses(listed)
    code, said, _ = calibrate()
    assert code == 0
    assert "camera in hand: " in said
    made = files.read(tmp_path / "hand.yaml")
    assert np.linalg.norm(1000 * (made.camera.matrix - MOUNTED)[:3, 3]) < 0.5
    assert made.provenance.sources[1].name == "poses.csv"
    write_poses(listed, scale=1000)
    assert "translation in metres" in line(calibrate())


def test_a_board_of_another_size_is_named_in_one_line(command, left, tmp_path):
    said = line(command("camera", left, "--pattern", "chessboard:8x7:4mm", "--out", tmp_path / "c.yaml"))
    assert "chessboard of 9x6 inner corners" in said
    assert not (tmp_path / "c.yaml").exists()


def test_an_empty_folder_is_said_to_be_one(command, tmp_path):
    said = line(command("camera", tmp_path, "--pattern", SPECIFICATION, "--out", tmp_path / "c.yaml"))
    assert "expected a folder with pictures" in said


def test_a_pattern_that_half_a_turn_does_not_change_tells_no_hand(command, left, tmp_path):
    said = line(
        command(
            *(
                "hand-eye",
                "--poses",
                "p.csv",
                "--images",
                left,
                "--camera",
                "c.yaml",
                "--pattern",
                "chessboard:9x7:4mm",
            ),
            *("--arrangement", "camera-on-arm", "--out", tmp_path / "hand.yaml"),
        )
    )
    assert "half a turn changes" in said


def test_check_reads_any_layout_and_states_what_is_open(command, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "intrinsic: [[800, 0, 400], [0, 800, 240], [0, 0, 1]]\ndistortion: [0, 0, 0, 0, 0]\n"
    )
    code, said, _ = command("check", tmp_path / "c.yaml")
    assert code == 0
    assert "no image size" in said
    command("check", tmp_path / "c.yaml", "--image-size", "800x480", "--out", tmp_path / "d.yaml")
    assert files.read(tmp_path / "d.yaml").lens.image_size == (800, 480)
    said = line(command("check", tmp_path / "d.yaml", "--image-size", "640x480"))
    assert "expected an image size of 640x480, found 800x480" in said


def test_every_command_of_the_how_to_page_runs_and_prints_what_it_says(command, left, right, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, folder in (("left", left), ("right", right)):
        (tmp_path / name).symlink_to(folder)
    write_poses(tmp_path / "poses.csv")
    panned(tmp_path)
    (tmp_path / "v.avi").rename(tmp_path / "moving.avi")
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for block in blocks:
        line_, *said = block.splitlines()
        code, out, err = command(*shlex.split(line_.removeprefix("$ surgical-ml calibrate ")))
        assert code == 0, err
        assert {shape(one) for one in said} <= {shape(one) for one in out.splitlines()}, out
    assert len(blocks) == 5


def test_a_camera_is_calibrated_from_a_video_that_is_looked_at_twice_a_second(command, left, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 4, SMALL.image_size)
    for path in sorted(left.iterdir()):
        for picture in (cv2.imread(str(path)), np.full((270, 480, 3), 90, np.uint8)):
            writer.write(picture)
    writer.release()
    code, said, err = command(
        "camera", tmp_path / "v.avi", "--pattern", SPECIFICATION, "--out", tmp_path / "c.yaml", "--json"
    )
    assert code == 0, err
    quality = json.loads(said)["quality"]
    assert quality["views"] >= 10
    # the grey frames lie between those that are looked at; the codec may spoil a view, and that is another reason
    assert "no pattern found" not in {one["reason"] for one in quality["rejected"]}
    assert quality["views"] + len(quality["rejected"]) == 12
    assert files.read(tmp_path / "c.yaml").lens.fx == pytest.approx(SMALL.fx, rel=0.01)
