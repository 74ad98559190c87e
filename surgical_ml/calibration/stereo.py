"""Calibration of two cameras that look at one scene: both lenses, and how the right one stands to the left one."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from surgical_ml.calibration.adjustment import Adjusted, Observation, adjust
from surgical_ml.calibration.camera import FOLDS, MIN_VIEWS, CameraFit, calibrate_camera, coverage, observe_view, rms
from surgical_ml.calibration.lens import Lens, LensModel
from surgical_ml.calibration.model import Covariance, FitQuality, RejectedView
from surgical_ml.calibration.rigid import (
    Floats,
    inverse,
    mean_rotation,
    nudge,
    rigid,
    rotation_matrix,
    rotation_vector,
    skew,
)
from surgical_ml.calibration.view import View
from surgical_ml.errors import InputError

MOTION = ("rx", "ry", "rz", "tx", "ty", "tz")
_UNITS = ("deg", "deg", "deg", "mm", "mm", "mm")
_STEP = 1e-5
"""Radians and metres, of the derivatives by the right camera's place; smaller, and OpenCV takes a rotation for none."""

Pair = tuple[View, View]


@dataclass(frozen=True, slots=True, eq=False)
class StereoFit:
    """A calibrated pair of cameras and everything that speaks for or against it.

    Attributes:
        left, right: the lenses.
        right_from_left: (4, 4) points of the left optical frame to the right one, metres.
        covariance: of the motion (rotation about the right frame's axes in degrees, translation in mm), then of the left
            and the right lens's parameters.
        pairs: those that took part; residuals: for each, (N, 2) seen minus projected pixels, left and right.
        quality: the summary that goes into the file; its hold-out error is the distance of right points from the
            epipolar lines of the left ones, by a fit that did not see the pair.
    """

    left: Lens
    right: Lens
    right_from_left: Floats
    covariance: Covariance
    pairs: tuple[Pair, ...]
    residuals: tuple[tuple[Floats, Floats], ...]
    quality: FitQuality


def calibrate_stereo(
    pairs: Sequence[Pair], model: LensModel = "pinhole", rejected: Sequence[RejectedView] = ()
) -> StereoFit:
    """Calibrate two cameras from pictures that both took at the same moments.

    Each camera is calibrated alone first, which finds the views that disagree; then everything is solved together.

    Args:
        pairs: left and right view of the same pattern, the same points in both (others are left out); five or more, better
            fifteen.
        model: of both lenses.
        rejected: pairs that were left out before, to be named in the result.

    Raises:
        InputError: as `calibrate_camera`, for either side; or pairs that no fixed pair of cameras explains.
    """
    matched = [_matched(left, right) for left, right in pairs]
    alone = [_alone(side, [pair[index] for pair in matched], model) for index, side in enumerate(("left", "right"))]
    names = [{view.name for view in fit.views} for fit in alone]
    kept = [pair for pair in matched if pair[0].name in names[0] and pair[1].name in names[1]]
    left_out = [*rejected]
    for side, fit in zip(("left", "right"), alone, strict=True):
        left_out += [RejectedView(name=one.name, reason=f"{side}: {one.reason}") for one in fit.quality.rejected]
    if len(kept) < MIN_VIEWS:
        raise InputError("pairs", f"at least {MIN_VIEWS} that both cameras saw well", str(len(kept)))
    poses = [
        {view.name: pose for view, pose in zip(fit.views, fit.poses, strict=True)} for fit in alone
    ]  # the pattern in either camera
    own = [poses[0][left.name] for left, _ in kept]
    motions = np.stack([_motion(poses[1][right.name]) @ inverse(_motion(poses[0][left.name])) for left, right in kept])
    _check_that_it_is_one(kept, motions)
    start = rigid(mean_rotation(motions[:, :3, :3]), np.median(motions[:, :3, 3], axis=0))
    fitted = _fit(kept, alone[0].lens, alone[1].lens, start, own)
    residuals = tuple(
        (r[: 2 * len(left.pixels)].reshape(-1, 2), r[2 * len(left.pixels) :].reshape(-1, 2))
        for r, (left, _) in zip(fitted.adjusted.residuals, kept, strict=True)
    )
    unit = np.concatenate([np.full(3, 180 / np.pi), np.full(3, 1000.0), np.ones(fitted.adjusted.shared.size - 6)])
    lens_names = [f"{side} {name}" for side in ("left", "right") for name in fitted.left.parameter_names]
    lens_units = (("px",) * 4 + ("1",) * len(fitted.left.distortion)) * 2
    flat = list(chain.from_iterable(residuals))
    quality = FitQuality(
        views=len(kept),
        points=sum(len(left.pixels) for left, _ in kept),
        rms_px=rms(flat),
        holdout_rms_px=_holdout(kept, fitted),
        view_rms_px=tuple((left.name, rms(both)) for (left, _), both in zip(kept, residuals, strict=True)),
        rejected=tuple(left_out),
        coverage=coverage([left for left, _ in kept]),
    )
    return StereoFit(
        fitted.left,
        fitted.right,
        fitted.motion,
        Covariance.of(
            (*MOTION, *lens_names), (*_UNITS, *lens_units), fitted.adjusted.covariance * np.outer(unit, unit)
        ),
        tuple(kept),
        residuals,
        quality,
    )


def epipolar_px(left: Lens, right: Lens, right_from_left: Floats, seen_left: Floats, seen_right: Floats) -> Floats:
    """How far points (N, 2) of the right picture lie from the epipolar lines of the left picture's, pixels (N,).

    Both are undistorted; the distance is that in the right picture without its distortion.
    """
    rays = [
        np.column_stack([lens.rays(pixels), np.ones(len(pixels))])
        for lens, pixels in ((left, seen_left), (right, seen_right))
    ]
    essential = skew(right_from_left[:3, 3]) @ right_from_left[:3, :3]
    lines = rays[0] @ essential.T
    across = np.hypot(lines[:, 0] / right.fx, lines[:, 1] / right.fy)
    return np.asarray(np.abs(np.sum(rays[1] * lines, axis=1)) / across, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    left: Lens
    right: Lens
    motion: Floats
    adjusted: Adjusted


def _matched(left: View, right: View) -> Pair:
    """The points that both views have, in one order; numbered by where they are on the pattern."""
    where = {tuple(np.round(point, 7)): index for index, point in enumerate(right.points)}
    both = [(k, where[key]) for k, point in enumerate(left.points) if (key := tuple(np.round(point, 7))) in where]
    first, second = ([pair[side] for pair in both] for side in (0, 1))
    return (
        View(left.name, left.pixels[first], left.points[first], left.image_size),
        View(left.name, right.pixels[second], right.points[second], right.image_size),
    )


def _alone(side: str, views: Sequence[View], model: LensModel) -> CameraFit:
    try:
        return calibrate_camera(views, model)
    except InputError as error:
        raise InputError(f"{side} {error.thing}", error.expected, error.found) from error


def _motion(pose: Floats) -> Floats:
    return rigid(rotation_matrix(pose[:3]), pose[3:])


def _check_that_it_is_one(pairs: Sequence[Pair], motions: Floats) -> None:
    """Pairs that were not taken at one moment, or sorted differently on either side, each give another motion."""
    middle = np.median(motions[:, :3, 3], axis=0)
    away = np.linalg.norm(motions[:, :3, 3] - middle, axis=1)
    depth = 0.05 * np.median([np.ptp(left.points[:, :2], axis=0).max() for left, _ in pairs]) + 0.001
    if np.median(away) > depth:
        worst = pairs[int(np.argmax(away))][0].name
        raise InputError(
            "pairs",
            "left and right pictures of the same moments, named in the same order",
            f"cameras that stand elsewhere in every pair, by {1000 * np.median(away):.0f} mm; farthest in {worst}",
        )


def _fit(pairs: Sequence[Pair], left: Lens, right: Lens, start: Floats, own: Sequence[Floats]) -> _Fitted:
    observations = [_observe(pair, left, right, start) for pair in pairs]
    shared = np.concatenate([np.zeros(6), left.parameters, right.parameters])
    adjusted = adjust(observations, shared, list(own))
    middle = 6 + left.parameters.size
    return _Fitted(
        left.with_parameters(adjusted.shared[6:middle]),
        right.with_parameters(adjusted.shared[middle:]),
        nudge(start, adjusted.shared[:6]),
        adjusted,
    )


def _observe(pair: Pair, left: Lens, right: Lens, start: Floats) -> Observation:
    """What one pair says of the motion (6), the left and the right lens, and of its pattern's pose in the left camera."""
    in_left, in_right = observe_view(pair[0], left), observe_view(pair[1], right)
    middle = 6 + left.parameters.size

    def moved(step: Floats, own: Floats) -> Floats:
        pose = nudge(start, step) @ _motion(own)
        return np.concatenate([rotation_vector(pose[:3, :3]), pose[:3, 3]])

    def observe(shared: Floats, own: Floats) -> tuple[Floats, Floats, Floats]:
        one, one_lens, one_own = in_left(shared[6:middle], own)
        step = shared[:6]
        other, other_lens, other_pose = in_right(shared[middle:], moved(step, own))
        by_step, by_own = np.empty((6, 6)), np.empty((6, 6))
        for k in range(6):
            change = np.zeros(6)
            change[k] = _STEP
            by_step[:, k] = (moved(step + change, own) - moved(step - change, own)) / (2 * _STEP)
            by_own[:, k] = (moved(step, own + change) - moved(step, own - change)) / (2 * _STEP)
        by_shared = np.zeros((one.size + other.size, shared.size))
        by_shared[: one.size, 6:middle] = one_lens
        by_shared[one.size :, :6] = other_pose @ by_step
        by_shared[one.size :, middle:] = other_lens
        return np.concatenate([one, other]), by_shared, np.concatenate([one_own, other_pose @ by_own])

    return observe


def _holdout(pairs: Sequence[Pair], fitted: _Fitted) -> float | None:
    """RMS distance from epipolar lines, every pair judged by a fit without its fifth of them; None where too few."""
    folds = min(FOLDS, len(pairs))
    if len(pairs) - len(pairs) // folds - 1 < MIN_VIEWS:
        return None
    held = []
    for fold in range(folds):
        inside = [index for index in range(len(pairs)) if index % folds != fold]
        trained = _fit(
            [pairs[index] for index in inside],
            fitted.left,
            fitted.right,
            fitted.motion,
            [fitted.adjusted.own[index] for index in inside],
        )
        for left, right in pairs[fold::folds]:
            held.append(epipolar_px(trained.left, trained.right, trained.motion, left.pixels, right.pixels))
    return float(np.sqrt(np.mean(np.concatenate(held) ** 2)))
