"""Residuals measured in pictures: as large as what was bumped, and nothing where there is nothing to compare."""

import numpy as np
import pytest
from seen_by_bumped import LENS, RADIUS_M, SHAFT, as_seen_from, bump, frame, picture, within_field

from surgical_ml.calibration.davinci_arm import psm_shaft_m
from surgical_ml.calibration.measure import LEARNED, Arm, Measurer
from surgical_ml.calibration.model import (
    CameraCalibration,
    FieldOfView,
    HandEyeCalibration,
    Provenance,
    RigidTransform,
    StereoCalibration,
    Validity,
)
from surgical_ml.calibration.residuals import shaft_residual, shaft_width_px
from surgical_ml.calibration.rigid import rigid
from surgical_ml.calibration.shaft import find_shaft
from surgical_ml.errors import InputError

MADE = Provenance(made_by="test")
STATED = Validity(field=FieldOfView(x=480.0, y=270.0, radius=255.0))
CAMERA = CameraCalibration(schema="surgical_ml/camera@1", lens=LENS, provenance=MADE, validity=STATED)
ARM = Arm(np.eye(4), 2 * RADIUS_M)
CLEAR = picture(shaft_m=SHAFT)


def values(residuals):
    return {one.check: one.value_milli / 1000 for one in residuals}


# The field of view


def test_a_field_of_view_that_has_moved_is_off_by_as_much():
    moved = Measurer(CAMERA).look(frame(within_field(picture(), x=482.0, y=269.0), 1), ())
    assert values(moved) == pytest.approx({"field-x": 2.0, "field-y": -1.0, "field-radius": 0.0}, abs=0.2)


def test_a_field_that_nobody_stated_is_learned_first():
    unstated = CAMERA.model_copy(update={"validity": Validity()})
    measurer, still, moved = Measurer(unstated), within_field(picture()), within_field(picture(), y=272.0)
    found = [values(measurer.look(frame(still, second), ())) for second in range(LEARNED)]
    assert found[:-1] == [{}] * (LEARNED - 1)
    assert found[-1] == pytest.approx({"field-x": 0.0, "field-y": 0.0, "field-radius": 0.0}, abs=0.01)
    assert values(measurer.look(frame(moved, 11), ()))["field-y"] == pytest.approx(2.0, abs=0.2)


def test_a_picture_without_a_round_field_says_nothing_of_one():
    assert Measurer(CAMERA).look(frame(picture(), 1), ()) == ()


def test_one_look_a_second_is_due():
    measurer = Measurer(CAMERA)
    looked = []
    for k in range(50):
        at = frame(CLEAR, k / 25)
        if measurer.due(at.stamp_ns):
            measurer.look(at, ())
            looked.append(k)
    assert looked == [0, 23, 46]


# The pair


RIGHT_FROM_LEFT = rigid(np.array([0.0, 0.01, 0.002]), np.array([-0.0045, 0.0001, 0.0]))
PAIR = StereoCalibration(
    schema="surgical_ml/stereo@1",
    left=LENS,
    right=LENS,
    right_from_left=RigidTransform.of("right", "left", RIGHT_FROM_LEFT),
    provenance=MADE,
)
RIGHT_STANDS = np.linalg.inv(RIGHT_FROM_LEFT)


def test_points_of_a_pair_that_stands_as_calibrated_lie_on_their_epipolar_lines():
    right = picture(RIGHT_STANDS, seed=2)
    assert values(Measurer(PAIR).look(frame(picture(), 1, right), ()))["epipolar"] < 0.3


def test_a_right_camera_that_nods_lifts_points_off_their_lines():
    nodding = RIGHT_STANDS @ bump(turn_deg=(0.2, 0, 0))
    moved_px = np.deg2rad(0.2) * LENS.fy
    found = values(Measurer(PAIR).look(frame(picture(), 1, picture(nodding, seed=2)), ()))["epipolar"]
    assert found == pytest.approx(moved_px / np.sqrt(2), rel=0.25)


# The shaft


def measured(image, shaft_m=SHAFT, tips=None, arm=ARM, said=2):
    measurer = Measurer(CAMERA.model_copy(update={"validity": Validity()}), {"PSM1": arm})
    for k in range(said):
        measurer.say_shaft("PSM1", 900_000_000 + 50_000_000 * k, shaft_m)
        measurer.say_tip("PSM1", 900_000_000 + 50_000_000 * k, shaft_m[1])
    tips = [tuple(LENS.project(shaft_m)[1])] if tips is None else tips
    return measurer.look(frame(image, 1), tips)


def test_a_shaft_that_is_where_the_robot_says_has_next_to_no_residual():
    found = measured(CLEAR)
    assert {one.source for one in found} == {"PSM1"}
    off = values(found)
    assert off["shaft-angle"] == pytest.approx(0, abs=0.15)
    assert off["shaft-offset"] == pytest.approx(0, abs=1.0)
    assert off["shaft-along"] == pytest.approx(0, abs=1.0)
    assert off["shaft-width"] == pytest.approx(0, abs=1.0)


@pytest.mark.parametrize(
    ("turn_deg", "shift_mm"), [((0, 0, 1.0), (0, 0, 0)), ((0.7, 0.7, 0), (0, 0, 0)), ((0, 0, 0), (0, 1.5, 2.0))]
)
def test_a_camera_that_was_turned_or_moved_shows_in_the_shaft_as_geometry_has_it(turn_deg, shift_mm):
    camera = bump(turn_deg, shift_mm)
    stands = as_seen_from(camera, SHAFT)
    seen_px = LENS.project(stands)
    off = values(measured(picture(camera, SHAFT), tips=[tuple(seen_px[1])]))
    expected = shaft_residual(LENS, seen_px, SHAFT)
    assert off["shaft-angle"] == pytest.approx(expected.angle_deg, abs=0.15)
    assert off["shaft-offset"] == pytest.approx(expected.offset_px, abs=1.2)
    assert off["shaft-along"] == pytest.approx(expected.along_px, abs=1.2)
    wider = shaft_width_px(LENS, stands, 2 * RADIUS_M) - shaft_width_px(LENS, SHAFT, 2 * RADIUS_M)
    assert off["shaft-width"] == pytest.approx(wider, abs=1.0)


def test_an_arm_that_moves_is_not_compared():
    measurer = Measurer(CAMERA, {"PSM1": ARM})
    measurer.say_shaft("PSM1", 800_000_000, SHAFT)
    measurer.say_shaft("PSM1", 900_000_000, SHAFT + np.array([0.001, 0, 0]))
    assert measurer.look(frame(CLEAR, 1), [tuple(LENS.project(SHAFT)[1])]) == ()


def test_an_arm_that_said_nothing_lately_is_not_compared():
    measurer = Measurer(CAMERA, {"PSM1": ARM})
    for stamp_ns in (0, 50_000_000):
        measurer.say_shaft("PSM1", stamp_ns, SHAFT)
    assert measurer.look(frame(CLEAR, 1), [tuple(LENS.project(SHAFT)[1])]) == ()


def test_of_two_tips_that_could_be_the_arms_none_is_taken():
    x, y = LENS.project(SHAFT)[1]
    assert measured(CLEAR, tips=[(x, y), (x + 20, y)]) == ()
    assert measured(CLEAR, tips=[]) == ()


def test_no_shaft_is_found_where_there_is_none():
    assert find_shaft(LENS, picture(), LENS.project(SHAFT), shaft_width_px(LENS, SHAFT, 2 * RADIUS_M)) is None


def test_a_camera_on_the_arm_cannot_be_compared_with_that_arms_shaft():
    motion = RigidTransform.of("hand", "camera", np.eye(4))
    mounted = HandEyeCalibration.model_construct(arrangement="camera-on-arm", camera=motion)
    with pytest.raises(InputError, match=r"hand-eye calibration of PSM1: expected camera-fixed.* found camera-on-arm"):
        Arm.of("PSM1", mounted, 0.008)


# The arm


def modified_dh(alpha, a, theta, d):
    turn, lean = rigid(np.array([0, 0, theta]), np.zeros(3)), rigid(np.array([alpha, 0, 0]), np.zeros(3))
    return lean @ rigid(np.zeros(3), np.array([a, 0, 0])) @ turn @ rigid(np.zeros(3), np.array([0, 0, d]))


@pytest.mark.parametrize("joints", [(0.0, 0.0, 0.1), (0.5, -0.3, 0.15), (-0.8, 0.6, 0.2)])
def test_the_shaft_follows_from_the_joints_as_the_dvrks_table_has_it(joints):
    yaw, pitch, insertion = joints
    half = np.pi / 2
    roll = (
        modified_dh(half, 0, yaw + half, 0)
        @ modified_dh(-half, 0, pitch - half, 0)
        @ modified_dh(half, 0, 0, insertion - 0.4318)
        @ modified_dh(0, 0, 0.3, 0.4162)
    )
    back, wrist = psm_shaft_m(np.array(joints))
    assert wrist == pytest.approx(roll[:3, 3], abs=1e-9)
    assert (wrist - back) / 0.05 == pytest.approx(roll[:3, 2], abs=1e-9)


def test_joints_that_are_too_few_or_no_numbers_are_refused():
    with pytest.raises(InputError, match=r"yaw, pitch and insertion, finite, found \[0.1, 0.2\]"):
        psm_shaft_m(np.array([0.1, 0.2]))
    with pytest.raises(InputError):
        psm_shaft_m(np.array([0.1, np.nan, 0.2]))
