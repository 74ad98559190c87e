"""`surgical-ml calibrate scope`: from pictures at several turns to a file."""

import sys

import cv2
import numpy as np
import pytest
from pictures_of_patterns import picture
from turned_scopes import TRUTH, carried

from surgical_ml.calibration.files import read
from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.pattern import parse_pattern
from surgical_ml.calibration.rigid import apply, inverse
from surgical_ml.calibration.scope_files import Turn, notch_turns, read_turns
from surgical_ml.calibration.scope_turn import lens_at, pose_at
from surgical_ml.calibration.synthetic import FlatPattern, board_poses
from surgical_ml.cli import main
from surgical_ml.errors import InputError

BOARD = "chessboard:8x5:4mm"
SCOPE = TRUTH.model_copy(
    update={
        "lens": Lens(
            model="pinhole",
            fx=222.0, fy=221.0, cx=237.0, cy=137.0,
            distortion=(-0.212, 0.058, 0.0, 0.0, 0.0),
            image_size=(480, 270),
        ),
        "centre_px": (242.0, 133.0),
    }
)  # fmt: skip
TURNS = (0.0, 20.0, 40.0, 60.0, 80.0, 100.0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of pictures under four stands, and the list of their turns, a third of them unknown."""
    folder = tmp_path_factory.mktemp("turned") / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(3)
    pattern = parse_pattern(BOARD)
    rows, stand = ["name,stand,turn_deg"], 0
    while stand < 4:
        (pose,) = board_poses(rng, SCOPE.lens, FlatPattern(8, 5, 0.004), 1, tilt_deg=25)
        pose[:3, 3] *= 1.6  # farther away, where it stays in the picture for longer
        pose = carried(SCOPE, TURNS[(2 * stand + 1) % 6]) @ pose
        seen = []
        for turn in TURNS:
            place = inverse(pose_at(SCOPE, turn)) @ pose
            pixels = lens_at(SCOPE, turn).project(apply(place, pattern.points))
            if np.all((pixels > 14) & (pixels < [466, 256])) and place[2, 2] > 0.7:
                seen.append((turn, place))
        if len(seen) < 4:
            continue
        for k, (turn, place) in enumerate(seen):
            name = f"{stand}-{turn:03.0f}.png"
            cv2.imwrite(str(folder / name), picture(pattern, lens_at(SCOPE, turn), place, rng))
            rows.append(f"{name},stand {stand},{'' if k == 2 else turn}")
        stand += 1
    listed = folder.parent / "turns.csv"
    listed.write_text("\n".join(rows) + "\n")
    return folder, listed


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the command in this process; gives its exit code, and what it said."""
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["surgical-ml", "calibrate", "scope", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return run


def test_a_scope_is_calibrated_from_pictures_and_a_list_of_turns(command, pictures, tmp_path):
    folder, listed = pictures
    out = tmp_path / "scope.yaml"
    code, told, _ = command(folder, "--turns", listed, "--pattern", BOARD, "--out", out)
    assert code == 0, told
    assert "looks aside by" in told
    found = read(out)
    assert found.view_angle_deg == pytest.approx(30.0, abs=1.0)
    assert found.centre_px == pytest.approx(SCOPE.centre_px, abs=2.0)
    assert found.quality.rms_px < 0.4
    assert {one.name for one in found.provenance.sources} == {"pictures", "turns.csv"}


def test_a_list_of_other_pictures_is_refused(command, pictures, tmp_path):
    listed = tmp_path / "turns.csv"
    listed.write_text("name,stand,turn_deg\nother.png,a,0\n")
    code, _, told = command(pictures[0], "--turns", listed, "--pattern", BOARD, "--out", tmp_path / "scope.yaml")
    assert code == 2
    assert "turns of pictures such as" in told
    assert not (tmp_path / "scope.yaml").exists()


def test_a_board_that_looks_alike_upside_down_is_refused(command, pictures, tmp_path):
    out = tmp_path / "scope.yaml"
    code, _, told = command(pictures[0], "--turns", pictures[1], "--pattern", "chessboard:7x5:4mm", "--out", out)
    assert code == 2
    assert "one that half a turn changes" in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,stand\na.png,b\n", "no turn_deg in name,stand"),
        ("name,stand,turn_deg\na.png,b,far\n", r"line 2, turn_deg: expected a finite number, found 'far'"),
        ("name,stand,turn_deg\na.png,b,1\na.png,b,2\n", r"line 3: expected each picture's name once"),
        ("name,stand,turn_deg\na.png,,1\n", r"line 2, stand: expected a name"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_by_its_line(text, message, tmp_path):
    path = tmp_path / "turns.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_turns(path)


def test_turns_that_are_not_listed_are_read_from_the_notch_where_there_is_one(tmp_path):
    from test_field import picture as field

    cv2.imwrite(str(tmp_path / "a.png"), field(130.0))
    cv2.imwrite(str(tmp_path / "b.png"), field())
    turns = {"a.png": Turn("s", None), "b.png": Turn("s", None)}
    found = notch_turns(turns, str(tmp_path), 90.0)
    assert found["a.png"].turn_deg == pytest.approx(40.0, abs=0.3)
    assert found["b.png"] == turns["b.png"]
