"""`surgical-ml calibrate time`, from a video and a robot's CSV; and what such a CSV must be."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moving_video import panned

from surgical_ml.calibration import files
from surgical_ml.calibration.robot_files import read_motion, read_poses
from surgical_ml.cli import main
from surgical_ml.errors import InputError

POSES = "name,x,y,z,qx,qy,qz,qw\na.png,0.1,0,0,0,0,0,1\nb.png,0.2,0,0,0,0,0.7071,0.7071\n"


def test_a_video_and_a_robot_that_saw_one_motion_tell_the_offset(tmp_path, monkeypatch, capsys):
    panned(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    given_ = ("--video", tmp_path / "v.avi", "--robot", tmp_path / "robot.csv", "--out", tmp_path / "time.yaml")
    monkeypatch.setattr(sys, "argv", ["surgical-ml", "calibrate", "time", *map(str, given_), "--largest-offset", "0.5"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    assert "the robot's clock is 13" in capsys.readouterr().out
    assert files.read(tmp_path / "time.yaml").offset_ns / 1e6 == pytest.approx(137, abs=5)


def test_poses_are_read_by_name(tmp_path):
    (tmp_path / "p.csv").write_text("# hand in base\n" + POSES)
    found = read_poses(tmp_path / "p.csv")
    assert found["b.png"][:3, 3] == pytest.approx([0.2, 0, 0])
    assert found["b.png"][:3, :3] == pytest.approx(np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]), abs=1e-3)
    assert read_poses(tmp_path / "p.csv", "dvrk")["a.png"][:3, :3] == pytest.approx(np.diag([-1, -1, 1]))


def test_poses_in_time_are_a_speed(tmp_path):
    (tmp_path / "p.csv").write_text(
        "stamp_ns,x,y,z,qx,qy,qz,qw\n0,0,0,0,0,0,0,1\n100000000,0.01,0,0,0,0,0.7071,0.7071\n200000000,0.01,0,0,0,0,0.7071,0.7071\n"
    )
    assert read_motion(tmp_path / "p.csv", turning=False).speed == pytest.approx([0.1, 0])
    assert read_motion(tmp_path / "p.csv", turning=True).speed == pytest.approx([5 * np.pi, 0], abs=1e-3)
    assert read_motion(tmp_path / "p.csv", turning=True).stamps_ns.tolist() == [50_000_000, 150_000_000]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("qw\n", "qv\n", "line 1: expected the columns name,x.*found no qw"),
        ("b.png", "a.png", "line 3: expected each picture's name once, found 'a.png'"),
        ("0.2", "far", "line 3, x: expected a finite number, found 'far'"),
        ("0.2", "nan", "line 3, x: expected a finite number"),
        ("0.7071\n", "0.2\n", "line 3, qx to qw: expected a quaternion of unit length"),
        ("0.2,", "", "line 3: expected 8 values, found 7"),
    ],
)
def test_poses_that_are_none_are_refused_by_their_line(old, new, message, tmp_path):
    assert old in POSES
    (tmp_path / "p.csv").write_text(POSES.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_poses(tmp_path / "p.csv")


@given(
    st.lists(
        st.sampled_from([*POSES.splitlines(), "# said", "stamp_ns,speed", "5,1"]) | st.text(max_size=20), max_size=6
    )
)
def test_any_csv_is_read_or_refused(tmp_path_factory, lines):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes("\n".join(lines).encode("utf-8", "replace"))
    for reader in (read_poses, lambda one: read_motion(one, turning=True)):
        try:
            reader(path)
        except InputError as error:
            assert str(path) in error.thing
