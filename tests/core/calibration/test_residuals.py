"""Residuals of points, shafts and their kind, against geometry that is known."""

import numpy as np
import pytest

from surgical_ml.calibration.model import Provenance, RigidTransform, StereoCalibration
from surgical_ml.calibration.residuals import epipolar_level_px, epipolar_residuals_px, shaft_residual, shaft_width_px
from surgical_ml.calibration.rigid import apply, rigid
from surgical_ml.calibration.synthetic import ENDOSCOPE
from surgical_ml.errors import InputError

RIGHT = ENDOSCOPE.model_copy(update={"cx": 970.0, "cy": 540.0})
RIGHT_FROM_LEFT = rigid(np.array([0.002, 0.03, -0.004]), np.array([-0.0042, 0.0001, 0.0]))
STEREO = StereoCalibration(
    schema="surgical_ml/stereo@1",
    left=ENDOSCOPE,
    right=RIGHT,
    right_from_left=RigidTransform.of("right", "left", RIGHT_FROM_LEFT),
    provenance=Provenance(made_by="test"),
)
SHAFT = np.array([[-0.04, 0.02, 0.07], [-0.005, 0.0, 0.085]])


def matches(rng, count=200):
    points = np.column_stack([rng.uniform(-0.02, 0.02, (count, 2)), rng.uniform(0.06, 0.12, count)])
    return ENDOSCOPE.project(points), RIGHT.project(apply(RIGHT_FROM_LEFT, points))


def test_sights_of_one_point_lie_on_each_others_epipolar_lines():
    assert epipolar_residuals_px(STEREO, *matches(np.random.default_rng(1))) == pytest.approx(0, abs=1e-3)


def test_a_picture_that_is_two_pixels_too_low_is_off_by_what_both_pictures_share_of_it():
    left, right = matches(np.random.default_rng(2))
    # the Sampson distance moves both sights, by half of the way in all
    expected = 2 / np.sqrt(2)
    assert np.median(np.abs(epipolar_residuals_px(STEREO, left, right + np.array([0, 2])))) == pytest.approx(
        expected, rel=0.1
    )
    assert np.median(np.abs(epipolar_residuals_px(STEREO, left, right + np.array([2, 0])))) < 0.2  # along the lines


def test_wrong_matches_do_not_move_the_level():
    left, right = matches(np.random.default_rng(3))
    right[:40] += np.random.default_rng(3).uniform(-200, 200, (40, 2))
    assert epipolar_level_px(STEREO, left, right) < 0.1


def test_few_matches_have_no_level():
    left, right = matches(np.random.default_rng(4), 7)
    assert epipolar_level_px(STEREO, left, right) is None


def test_a_pair_that_nobody_calibrated_has_no_epipolar_lines():
    with pytest.raises(InputError, match="how the right camera stands to the left one"):
        epipolar_residuals_px(STEREO.model_copy(update={"right_from_left": None}), *matches(np.random.default_rng(5)))


def test_a_shaft_that_is_seen_where_it_is_said_to_be_has_no_residual():
    found = shaft_residual(ENDOSCOPE, ENDOSCOPE.project(SHAFT), SHAFT)
    assert (found.angle_deg, found.offset_px, found.along_px) == pytest.approx((0, 0, 0), abs=0.01)


@pytest.mark.parametrize("turn_deg", [-3.0, 1.0, 20.0])
def test_a_shaft_turned_in_the_picture_tells_by_how_much_and_which_way(turn_deg):
    turned = apply(rigid(np.array([0, 0, np.deg2rad(turn_deg)]), np.zeros(3)), SHAFT)
    # by the axes' scale, 0.5 % apart, an angle in the picture is nearly the one in space
    assert shaft_residual(ENDOSCOPE, ENDOSCOPE.project(turned), SHAFT).angle_deg == pytest.approx(turn_deg, rel=0.01)


def test_a_shaft_two_millimetres_lower_is_off_by_what_two_millimetres_are_there():
    level = np.array([[-0.04, 0.0, 0.08], [0.0, 0.0, 0.08]])
    found = shaft_residual(ENDOSCOPE, ENDOSCOPE.project(level + np.array([0, 0.002, 0])), level)
    assert found.offset_px == pytest.approx(-0.002 / 0.08 * ENDOSCOPE.fy, rel=0.01)
    assert found.angle_deg == pytest.approx(0, abs=0.01)


def test_a_tip_that_is_seen_short_of_where_it_is_said_to_be_is_off_along_the_shaft():
    level = np.array([[-0.04, 0.0, 0.08], [0.0, 0.0, 0.08]])
    found = shaft_residual(ENDOSCOPE, ENDOSCOPE.project(level - np.array([0.002, 0, 0])), level)
    assert found.along_px == pytest.approx(0.002 / 0.08 * ENDOSCOPE.fx, rel=0.01)
    assert found.offset_px == pytest.approx(0, abs=0.01)


def test_a_shaft_looks_as_wide_as_its_outline():
    rng = np.random.default_rng(6)
    pinhole = ENDOSCOPE.model_copy(update={"distortion": (0.0,) * len(ENDOSCOPE.distortion)})
    axis = (SHAFT[1] - SHAFT[0]) / np.linalg.norm(SHAFT[1] - SHAFT[0])
    side = np.cross(axis, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    about = rng.uniform(0, 2 * np.pi, 40_000)
    rim = 0.004 * (np.cos(about)[:, None] * side + np.sin(about)[:, None] * np.cross(axis, side))
    points = SHAFT[1] + rng.uniform(-0.02, 0.02, 40_000)[:, None] * axis + rim
    pixels, (back, tip) = pinhole.project(points), pinhole.project(SHAFT)
    along = (tip - back) / np.linalg.norm(tip - back)
    off = pixels - tip
    near = np.abs(off @ along) < 3
    across = off[near] @ np.array([-along[1], along[0]])
    assert shaft_width_px(pinhole, SHAFT, 0.008) == pytest.approx(across.max() - across.min(), rel=0.02)


def test_a_shaft_that_comes_nearer_looks_wider_by_as_much():
    level = np.array([[-0.04, 0.0, 0.08], [0.0, 0.0, 0.08]])
    nearer = level - np.array([0, 0, 0.002])
    ratio = shaft_width_px(ENDOSCOPE, nearer, 0.008) / shaft_width_px(ENDOSCOPE, level, 0.008)
    assert ratio == pytest.approx(80 / 78, rel=1e-3)


@pytest.mark.parametrize(
    "shaft", [[[0.001, 0, 0.02], [0.002, 0, 0.04]], [[0, 0, -0.01], [0.01, 0, 0.08]]], ids=["end-on", "behind"]
)
def test_a_shaft_without_a_direction_in_the_picture_has_no_residual(shaft):
    assert shaft_residual(ENDOSCOPE, ENDOSCOPE.project(SHAFT), np.array(shaft)) is None
    assert shaft_width_px(ENDOSCOPE, np.array(shaft), 0.008) is None
