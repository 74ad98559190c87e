"""Hand-eye calibration, against robots and cameras whose truth is known."""

import numpy as np
import pytest

from surgical_ml.calibration.camera import fit_pose
from surgical_ml.calibration.hand_eye import PosePair, calibrate_hand_eye
from surgical_ml.calibration.hand_eye_solvers import SOLVERS
from surgical_ml.calibration.model import Provenance
from surgical_ml.calibration.rigid import difference, inverse, nudge, rigid
from surgical_ml.calibration.synthetic import ENDOSCOPE, FlatPattern, board_poses, see
from surgical_ml.calibration.view import planar_pose
from surgical_ml.errors import InputError

MADE = Provenance(made_by="test")
ROBOT_DEG, ROBOT_MM = 0.03, 0.1


def pairs_of(rng, count=15, *, turned=(0.6, 0.6, 0.8), noise=1.0, arrangement="camera-on-arm", pattern_scale=1.0):
    """The camera's true mounting, and pose pairs with the noise of a robot and of a pattern's pose."""
    camera, place = (rigid(rng.normal(0, 1, 3), rng.normal(0, 0.03, 3)) for _ in range(2))
    pairs = []
    for k in range(count):
        lean = rng.uniform(-1, 1, 3) * turned
        pattern = rigid(lean, [*rng.uniform(-0.02, 0.02, 2), rng.uniform(0.06, 0.12)])
        hand = nudge(place @ inverse(pattern) @ inverse(camera), noise * robot_noise(rng))
        seen = nudge(pattern, noise * rng.normal(0, 1, 6) * [*[np.deg2rad(0.08)] * 3, 3e-5, 3e-5, 1.5e-4])
        seen[:3, 3] *= pattern_scale
        pairs.append(PosePair(f"picture {k:02d}", hand if arrangement == "camera-on-arm" else inverse(hand), seen))
    return camera, pairs


def robot_noise(rng):
    return rng.normal(0, 1, 6) * [*[np.deg2rad(ROBOT_DEG)] * 3, *[ROBOT_MM / 1000] * 3]


def off_by(found, truth):
    """(mm, degrees)"""
    step = difference(found, truth)
    return 1000 * np.linalg.norm(step[3:]), np.degrees(np.linalg.norm(step[:3]))


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_finds_the_mounting_of_poses_without_noise(name):
    camera, pairs = pairs_of(np.random.default_rng(1), noise=0.0)
    found = SOLVERS[name]([pair.hand for pair in pairs], [pair.pattern for pair in pairs])
    assert off_by(found, camera) == pytest.approx((0, 0), abs=1e-6)


@pytest.mark.parametrize("arrangement", ["camera-on-arm", "camera-fixed"])
def test_the_mounting_is_found_from_poses_without_noise(arrangement):
    camera, pairs = pairs_of(np.random.default_rng(2), noise=0.0, arrangement=arrangement)
    found = calibrate_hand_eye(pairs, arrangement, MADE)
    assert off_by(found.camera.matrix, camera) == pytest.approx((0, 0), abs=1e-4)
    assert (found.camera.parent, found.camera.child) == ("hand" if arrangement == "camera-on-arm" else "base", "camera")


def test_fifteen_pictures_of_a_pattern_tell_the_mounting_to_half_a_millimetre_and_a_tenth_of_a_degree():
    rng = np.random.default_rng(3)
    camera, place = (rigid(rng.normal(0, 1, 3), rng.normal(0, 0.03, 3)) for _ in range(2))
    pairs = []
    for k, pose in enumerate(board_poses(rng, ENDOSCOPE, FlatPattern(), 15)):
        view = see(ENDOSCOPE, FlatPattern(), pose, f"picture {k:02d}", rng, noise_px=0.2)
        seen = fit_pose(view, ENDOSCOPE, planar_pose(view, ENDOSCOPE)).own[0]
        hand = nudge(place @ inverse(pose) @ inverse(camera), robot_noise(rng))
        pairs.append(PosePair(view.name, hand, rigid(seen[:3], seen[3:])))
    found = calibrate_hand_eye(pairs, "camera-on-arm", MADE)
    mm, degrees = off_by(found.camera.matrix, camera)
    assert mm <= 0.5
    assert degrees <= 0.1
    assert found.scale == pytest.approx(1, abs=0.02)
    assert max(one.distance_mm for one in found.solvers) < 2
    assert len(found.solvers) == len(SOLVERS)


def test_the_stated_deviations_are_those_of_repeated_calibrations():
    errors, stated = [], []
    for seed in range(24):
        camera, pairs = pairs_of(np.random.default_rng([4, seed]), count=8)
        found = calibrate_hand_eye(pairs, "camera-on-arm", MADE)
        step = difference(found.camera.matrix, camera)
        errors.append([*np.degrees(step[:3]), *(1000 * step[3:])])
        stated.append([found.covariance.deviation(name) for name in found.covariance.parameters])
    inside = np.abs(np.array(errors) / stated) < 1.96
    assert 0.85 <= inside.mean() <= 1.0
    assert 0.6 <= np.sqrt(np.mean((np.array(errors) / stated) ** 2)) <= 1.5


def test_a_pose_that_the_others_contradict_is_left_out_and_named():
    camera, pairs = pairs_of(np.random.default_rng(5))
    bumped = nudge(pairs[6].hand, np.array([0, 0, 0, 0.01, 0, 0]))
    pairs[6] = PosePair(pairs[6].name, bumped, pairs[6].pattern)
    found = calibrate_hand_eye(pairs, "camera-on-arm", MADE)
    assert [one.name for one in found.rejected] == ["picture 06"]
    assert "from what the others say" in found.rejected[0].reason
    assert off_by(found.camera.matrix, camera)[0] < 0.5


def test_a_pose_that_is_there_twice_counts_once():
    _, pairs = pairs_of(np.random.default_rng(6))
    again = PosePair("again", pairs[0].hand, pairs[0].pattern)
    found = calibrate_hand_eye([*pairs, again], "camera-on-arm", MADE)
    assert found.poses == 15
    assert [(one.name, one.reason) for one in found.rejected] == [("again", "the same pose as picture 00")]


def test_the_worst_pose_comes_first_when_each_is_predicted_from_the_others():
    _, pairs = pairs_of(np.random.default_rng(7))
    found = calibrate_hand_eye(pairs, "camera-on-arm", MADE)
    values = [value for _, value in found.leave_one_out_mm]
    assert values == sorted(values, reverse=True)
    assert {name for name, _ in found.leave_one_out_mm} == {pair.name for pair in pairs}
    assert values[0] >= found.residual_mm


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"turned": (0, 0, 0.8), "noise": 0.0}, "about one axis and only 0 degrees about any other"),
        ({"turned": (0.03, 0.03, 0.8)}, r"rotations that span \d+ degrees about one axis and only [1-9] degrees"),
        ({"turned": (0, 0, 0)}, "found no rotation"),
        ({"count": 4}, "at least 5 that differ, found 4"),
        ({"pattern_scale": 1000}, "expected a translation in metres, found .* millimetres"),
        ({"pattern_scale": 0.8}, "is its spacing 1.25. times the stated"),
    ],
)
def test_poses_that_tell_no_mounting_are_refused_with_the_reason(made, message):
    _, pairs = pairs_of(np.random.default_rng(8), **made)
    with pytest.raises(InputError, match=message):
        calibrate_hand_eye(pairs, "camera-on-arm", MADE)


def test_hand_poses_in_millimetres_are_refused():
    _, pairs = pairs_of(np.random.default_rng(9))
    for pair in pairs:
        pair.hand[:3, 3] *= 1000
    with pytest.raises(InputError, match="hand pose of picture 00: expected a translation in metres"):
        calibrate_hand_eye(pairs, "camera-on-arm", MADE)


def test_the_wrong_arrangement_is_not_mistaken_for_the_right_one():
    _, pairs = pairs_of(np.random.default_rng(10), arrangement="camera-fixed")
    with pytest.raises(InputError, match=r"pattern: expected one whose size|one mounting explains|2 mm"):
        calibrate_hand_eye(pairs, "camera-on-arm", MADE)
