"""The oblique scope, against one whose truth is known and that is projected the long way."""

from dataclasses import replace

import numpy as np
import pytest
from turned_scopes import TRUTH, seen_through, turned_views

from surgical_ml.calibration.files import read, write
from surgical_ml.calibration.model import Provenance
from surgical_ml.calibration.rigid import apply, inverse
from surgical_ml.calibration.scope import calibrate_scope
from surgical_ml.calibration.scope_fit import TurnedView
from surgical_ml.calibration.scope_turn import lens_at, pose_at, turn_of_notch
from surgical_ml.errors import InputError

MADE = Provenance(made_by="test")
TURNS = np.linspace(0, 180, 10)
POINTS = np.random.default_rng(1).uniform((-0.01, 0.01, 0.07), (0.01, 0.03, 0.09), (6, 3))


@pytest.fixture(scope="module")
def calibrated():
    return calibrate_scope(turned_views(np.random.default_rng(2), TURNS), MADE, notch_zero_deg=90.0)


@pytest.mark.parametrize("turn_deg", [0.0, 37.0, -90.0, 180.0, 300.0])
def test_lens_and_pose_of_a_turn_show_what_the_turned_scope_shows(turn_deg):
    pixels = lens_at(TRUTH, turn_deg).project(apply(inverse(pose_at(TRUTH, turn_deg)), POINTS))
    assert pixels == pytest.approx(seen_through(TRUTH, POINTS, turn_deg), abs=1e-6)


def test_nothing_has_turned_at_the_reference():
    assert pose_at(TRUTH, 0.0) == pytest.approx(np.eye(4))
    assert lens_at(TRUTH, 0.0) == TRUTH.lens


def test_a_straight_scope_looks_the_same_at_every_turn_but_for_its_principal_point():
    straight = TRUTH.model_copy(update={"axis": (0.0, 0.0, 1.0), "axis_point_m": (0.0, 0.0, 0.0)})
    assert pose_at(straight, 120.0) == pytest.approx(np.eye(4), abs=1e-12)
    assert np.hypot(lens_at(straight, 120.0).cx - TRUTH.lens.cx, lens_at(straight, 120.0).cy - TRUTH.lens.cy) > 5


def test_the_principal_point_goes_clockwise_round_the_centre_when_the_scope_does():
    square = TRUTH.model_copy(update={"lens": TRUTH.lens.model_copy(update={"fy": TRUTH.lens.fx})})
    x, y = square.centre_px
    turned = lens_at(square, 90.0)
    # clockwise on a screen: what was to the right of the centre is below it
    assert (turned.cx - x, turned.cy - y) == pytest.approx((-(square.lens.cy - y), square.lens.cx - x))


def test_a_scope_that_looks_aside_sees_its_axis_stand_still_in_space():
    on_axis = np.array(TRUTH.axis_point_m) + 0.07 * np.array(TRUTH.axis)
    seen = [apply(inverse(pose_at(TRUTH, turn)), on_axis[None])[0] for turn in (0.0, 60.0, 170.0)]
    assert [one[2] for one in seen] == pytest.approx([seen[0][2]] * 3)
    assert np.linalg.norm(seen[0][:2] - seen[2][:2]) > 0.01  # while it goes round in the picture


def test_turns_from_0_to_180_degrees_are_predicted_to_a_pixel_and_a_half(calibrated):
    assert calibrated.quality.holdout_rms_px <= 1.5
    assert calibrated.quality.rms_px == pytest.approx(0.2 * np.sqrt(2), rel=0.05)
    assert calibrated.view_angle_deg == pytest.approx(30.0, abs=0.2)
    off = [lens_at(calibrated, turn).project(apply(inverse(pose_at(calibrated, turn)), POINTS))
           - seen_through(TRUTH, POINTS, turn) for turn in TURNS]  # fmt: skip
    assert np.sqrt(np.mean(np.sum(np.square(off), axis=2))) <= 1.5


def test_what_is_stated_of_the_scope_covers_the_truth(calibrated):
    n = len(TRUTH.lens.parameter_names)
    found = [*calibrated.lens.parameters, *calibrated.centre_px]
    wanted = [*TRUTH.lens.parameters, *TRUTH.centre_px]
    deviations = [calibrated.covariance.deviation(name) for name in calibrated.covariance.parameters[: n + 2]]
    assert np.max(np.abs(np.subtract(found, wanted)) / deviations) < 4


def test_a_turn_that_is_not_known_is_found_from_its_view(calibrated):
    views = turned_views(np.random.default_rng(3), TURNS)
    blind = [replace(one, turn_deg=None) if k % 4 == 1 else one for k, one in enumerate(views)]
    found = calibrate_scope(blind, MADE)
    assert found.quality.views == len(views)
    assert found.quality.rms_px < 0.35
    assert found.view_angle_deg == pytest.approx(30.0, abs=0.2)


def test_a_wrong_reading_is_left_out_and_named():
    views = turned_views(np.random.default_rng(4), TURNS)
    views[5] = replace(views[5], turn_deg=views[5].turn_deg + 4)
    found = calibrate_scope(views, MADE)
    (rejected,) = found.quality.rejected
    assert rejected.name == views[5].view.name
    assert "points are turned by" in rejected.reason
    assert found.view_angle_deg == pytest.approx(30.0, abs=0.2)


@pytest.mark.parametrize(
    ("turns", "message"),
    [([20.0], "known turn"), ([20.0, 22.0, 25.0, 28.0], "turned by 30 degrees or more .* found 8 degrees")],
)
def test_a_scope_that_was_hardly_turned_is_refused(turns, message):
    views = turned_views(np.random.default_rng(5), turns, reading_sd_deg=0.0)
    with pytest.raises(InputError, match=message):
        calibrate_scope(views, MADE)


def test_turns_counted_the_other_way_round_are_refused():
    views = [replace(one, turn_deg=-one.turn_deg) for one in turned_views(np.random.default_rng(6), TURNS)]
    with pytest.raises(InputError, match="counted the other way round"):
        calibrate_scope(views, MADE)


def test_too_few_views_are_refused():
    views = turned_views(np.random.default_rng(7), [0.0, 40.0, 80.0], stands=1)
    with pytest.raises(InputError, match="at least 5 usable views"):
        calibrate_scope(views, MADE)


def test_views_without_any_known_turn_are_refused():
    views = [TurnedView(one.view, one.stand, None) for one in turned_views(np.random.default_rng(8), TURNS, stands=3)]
    with pytest.raises(InputError, match="no stand with two known turns"):
        calibrate_scope(views, MADE)


@pytest.mark.parametrize(("notch_deg", "turn_deg"), [(90, 0), (95, 5), (80, -10), (269, 179), (271, -179)])
def test_a_reading_of_the_notch_means_a_turn_from_the_reference(notch_deg, turn_deg):
    assert turn_of_notch(TRUTH, notch_deg) == pytest.approx(turn_deg)


def test_a_scope_survives_its_file(calibrated, tmp_path):
    write(calibrated, tmp_path / "scope.yaml")
    assert read(tmp_path / "scope.yaml") == calibrated
