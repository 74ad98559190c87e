"""Known cameras are found again, as surely as it is said; what no camera can be told from is refused."""

from dataclasses import replace

import numpy as np
import pytest
from known_cameras import KNOWN, share_held

from surgical_ml.calibration.camera import calibrate_camera
from surgical_ml.calibration.rigid import apply, rigid, rotation_matrix
from surgical_ml.calibration.synthetic import ENDOSCOPE, FlatPattern, camera_views, see
from surgical_ml.errors import InputError

PATTERN = FlatPattern()


def held(poses, rng, lens=ENDOSCOPE):
    """Views of a pattern at (rotation vector, translation) pairs."""
    return [
        see(lens, PATTERN, rigid(rotation_matrix(np.array(turn)), np.array(shift)), f"view {k:02d}", rng)
        for k, (turn, shift) in enumerate(poses)
    ]


@pytest.mark.parametrize("model", KNOWN)
@pytest.mark.parametrize("count", [15, 25])
def test_a_known_camera_is_found_again(model, count):
    truth = KNOWN[model]
    for seed in range(3):
        fit = calibrate_camera(camera_views(np.random.default_rng([count, seed]), truth, count), model)
        assert fit.quality.holdout_rms_px <= 0.5
        assert fit.lens.fx == pytest.approx(truth.fx, rel=0.002)
        assert fit.lens.fy == pytest.approx(truth.fy, rel=0.002)
        assert np.hypot(fit.lens.cx - truth.cx, fit.lens.cy - truth.cy) <= 2


def test_stated_intervals_hold_the_truth_as_often_as_they_say():
    main, every, _ = share_held(50)
    assert 0.90 <= main <= 0.99  # of 200 intervals that are not independent; the campaign does the full count
    assert 0.92 <= every <= 0.98


def test_refits_with_views_left_out_scatter_as_the_covariance_says():
    fit = calibrate_camera(camera_views(np.random.default_rng(1), count=25))
    spread = dict(fit.quality.resampling)
    assert 0.3 < spread["fx"] / fit.covariance.deviation("fx") < 3


def test_a_view_that_disagrees_is_left_out_with_the_reason():
    views = camera_views(np.random.default_rng(2))
    shift = np.random.default_rng(3).normal(0, 3, views[4].pixels.shape)
    views[4] = replace(views[4], pixels=views[4].pixels + shift)
    fit = calibrate_camera(views)
    (rejected,) = fit.quality.rejected
    assert rejected.name == "view 04"
    assert "px reprojection, other views 0.2" in rejected.reason
    assert fit.quality.views == 19
    assert fit.lens.fx == pytest.approx(ENDOSCOPE.fx, rel=0.002)


def test_a_calibration_says_where_it_saw_points():
    fit = calibrate_camera(camera_views(np.random.default_rng(4)))
    assert np.shape(fit.quality.coverage) == (6, 8)
    assert np.sum(fit.quality.coverage) == fit.quality.points == 20 * 88


def test_views_that_are_all_frontal_do_not_tell_the_focal_length():
    rng = np.random.default_rng(5)
    poses = [((0, 0, angle), (x, y, 0.1)) for angle in (0, 0.3) for x in (-0.04, 0.0) for y in (-0.03, -0.005)]
    with pytest.raises(
        InputError, match=r"views that tell the focal length to 2%.*found .* 8 views, tilted by at most"
    ):
        calibrate_camera(held(poses, rng))


def test_the_same_view_again_and_again_tells_nothing():
    (view,) = held([((0.4, 0.1, 0), (-0.02, -0.015, 0.09))], np.random.default_rng(6))
    with pytest.raises(InputError, match="views that tell the focal length"):
        calibrate_camera([replace(view, name=str(k)) for k in range(10)])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda views: [], "at least 5 views of the pattern, found none"),
        (lambda views: views[:4], "at least 5 usable views, found 4"),
        (
            lambda views: [*views[:9], replace(views[9], image_size=(1280, 720))],
            r"pictures of one size, found 1920x1080 \(view 08\) and 1280x720 \(view 09\)",
        ),
        (
            lambda views: [replace(view, pixels=[1920, 0] + [-1, 1] * view.pixels) for view in views],
            "a pattern seen from its front, found 20 of 20 mirrored",
        ),
        (
            lambda views: [replace(view, pixels=view.pixels[:5], points=view.points[:5]) for view in views],
            r"found 0 \(view 00: only 5 points",
        ),
    ],
)
def test_views_that_cannot_be_used_are_refused_with_the_reason(spoil, message):
    with pytest.raises(InputError, match=message):
        calibrate_camera(spoil(camera_views(np.random.default_rng(8))))


@pytest.mark.parametrize("model", KNOWN)
def test_a_pixel_becomes_a_ray_and_the_ray_that_pixel(model):
    lens = KNOWN[model]
    pixels = np.random.default_rng(10).uniform((100, 100), (1820, 980), (50, 2))
    rays = np.column_stack([lens.rays(pixels), np.ones(50)])
    assert lens.project(rays) == pytest.approx(pixels, abs=0.01)


@pytest.mark.parametrize("model", KNOWN)
def test_derivatives_are_those_of_the_projection(model):
    lens, step = KNOWN[model], 1e-6
    points = apply(rigid(np.array([0.3, -0.2, 0.1]), np.array([-0.02, -0.01, 0.1])), PATTERN.points)
    _, told = lens.project_with_jacobian(points, np.full(3, 0.01), np.zeros(3))
    for k in range(lens.parameters.size):
        change = np.zeros(lens.parameters.size)
        change[k] = step
        ends = [
            lens.with_parameters(lens.parameters + side * change).project_with_jacobian(
                points, np.full(3, 0.01), np.zeros(3)
            )[0]
            for side in (1, -1)
        ]
        assert told[:, 6 + k] == pytest.approx(((ends[0] - ends[1]) / (2 * step)).ravel(), rel=1e-3, abs=1e-3)


def test_a_lens_that_folds_within_its_picture_says_where():
    strong = ENDOSCOPE.with_parameters([600, 600, 960, 540, -0.4, 0, 0, 0, 0])
    assert strong.fold_radius_px() == pytest.approx(600 * 2 / 3 * np.sqrt(1 / 1.2), rel=0.01)
    assert ENDOSCOPE.fold_radius_px() is None
