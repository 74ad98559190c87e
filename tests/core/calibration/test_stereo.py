"""Two known cameras are found again together, as surely as it is said; pairs that are none are refused."""

from dataclasses import replace

import numpy as np
import pytest
from known_cameras import RIGHT, RIGHT_FROM_LEFT

from surgical_ml.calibration.model import INTERVAL_95
from surgical_ml.calibration.rigid import difference, rotation_angle
from surgical_ml.calibration.stereo import calibrate_stereo, epipolar_px
from surgical_ml.calibration.synthetic import ENDOSCOPE, stereo_views
from surgical_ml.errors import InputError


def pairs(seed, count=15):
    return stereo_views(np.random.default_rng(seed), ENDOSCOPE, RIGHT, RIGHT_FROM_LEFT, count)


def test_two_known_cameras_are_found_again():
    fit = calibrate_stereo(pairs(1, 20))
    assert fit.quality.holdout_rms_px <= 0.5
    assert fit.quality.rms_px == pytest.approx(0.2 * np.sqrt(2), rel=0.05)
    for found, truth in ((fit.left, ENDOSCOPE), (fit.right, RIGHT)):
        assert found.fx == pytest.approx(truth.fx, rel=0.002)
        assert np.hypot(found.cx - truth.cx, found.cy - truth.cy) <= 2
    assert fit.right_from_left[:3, 3] == pytest.approx(RIGHT_FROM_LEFT[:3, 3], abs=5e-5)
    assert np.degrees(rotation_angle(fit.right_from_left[:3, :3].T @ RIGHT_FROM_LEFT[:3, :3])) < 0.1


def test_stated_intervals_hold_where_the_right_camera_stands():
    held = []
    for seed in range(8):
        fit = calibrate_stereo(pairs([2, seed]))
        step = difference(RIGHT_FROM_LEFT, fit.right_from_left)
        off = np.concatenate([np.degrees(step[:3]), 1000 * step[3:]])
        half = [INTERVAL_95 * fit.covariance.deviation(name) for name in ("rx", "ry", "rz", "tx", "ty", "tz")]
        held.append(np.abs(off) <= half)
    assert np.mean(held) >= 0.85


def test_true_points_lie_on_their_epipolar_lines():
    for left, right in stereo_views(np.random.default_rng(3), ENDOSCOPE, RIGHT, RIGHT_FROM_LEFT, 2, noise_px=0):
        away = epipolar_px(ENDOSCOPE, RIGHT, RIGHT_FROM_LEFT, left.pixels, right.pixels)
        assert away.max() < 1e-3
        moved = epipolar_px(ENDOSCOPE, RIGHT, RIGHT_FROM_LEFT, left.pixels, right.pixels + np.array([0, 2]))
        assert np.median(moved) == pytest.approx(2, rel=0.15)


def test_a_pair_with_a_bad_side_is_left_out_and_the_side_named():
    given = pairs(4)
    left, right = given[3]
    shaken = right.pixels + np.random.default_rng(5).normal(0, 3, right.pixels.shape)
    given[3] = (left, replace(right, pixels=shaken))
    (rejected,) = calibrate_stereo(given).quality.rejected
    assert (rejected.name, rejected.reason.partition(":")[0]) == ("view 03", "right")


def test_only_points_that_both_saw_take_part():
    given = pairs(6)
    left, right = given[0]
    given[0] = (left, replace(right, pixels=right.pixels[40:], points=right.points[40:]))
    fit = calibrate_stereo(given)
    assert fit.quality.points == 14 * 88 + 48
    assert fit.quality.rms_px < 0.32


def test_pictures_of_other_moments_are_no_pairs():
    given = pairs(7)
    lefts, rights = zip(*given, strict=True)
    shifted = [
        (left, replace(right, name=left.name)) for left, right in zip(lefts, rights[1:] + rights[:1], strict=True)
    ]
    with pytest.raises(InputError, match="pairs: expected left and right pictures of the same moments"):
        calibrate_stereo(shifted)


def test_what_one_camera_cannot_tell_is_refused_by_its_side():
    lefts, rights = zip(*pairs(8), strict=True)
    mirrored = [replace(view, pixels=[1920, 0] + [-1, 1] * view.pixels) for view in rights]
    with pytest.raises(InputError, match="right views: expected a pattern seen from its front"):
        calibrate_stereo(list(zip(lefts, mirrored, strict=True)))
