"""Intrinsic calibration of one camera from views of a flat pattern, with its uncertainty and its proof."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from surgical_ml.calibration.adjustment import Adjusted, Observation, adjust
from surgical_ml.calibration.lens import DISTORTION_NAMES, Lens, LensModel
from surgical_ml.calibration.model import Covariance, FitQuality, RejectedView
from surgical_ml.calibration.rigid import Floats
from surgical_ml.calibration.view import View, is_mirrored, planar_pose
from surgical_ml.errors import InputError

MIN_VIEWS = 5
MIN_POINTS = 8
OUTLIER_RATIO = 2.5  # a view this many times worse than the median view is left out
OUTLIER_FLOOR_PX = 0.1
FOLDS = 5
FOCAL_LIMIT = 0.02  # relative standard deviation past which the views do not tell the focal length
TYPICAL_NOISE_PX = 0.2
RATIONAL_SPREAD = np.array([0.5, 0.2, 0.05] * 2)
"""Of k1, k2, k3 and k4, k5, k6: the higher a power, the less of it glass has, and the further it reaches where no view is."""

COVERAGE_GRID = (6, 8)
FOCAL_GUESSES = np.geomspace(0.25, 5.0, 16)  # of the image's width


@dataclass(frozen=True, slots=True, eq=False)
class CameraFit:
    """A calibrated camera and everything that speaks for or against it.

    Attributes:
        lens: the result.
        covariance: of its parameters.
        views: those that took part; poses: the pattern's pose in each, rotation vector and translation (6,) in metres.
        residuals: for each, (N, 2) seen minus projected, pixels.
        quality: the summary that goes into the file.
    """

    lens: Lens
    covariance: Covariance
    views: tuple[View, ...]
    poses: tuple[Floats, ...]
    residuals: tuple[Floats, ...]
    quality: FitQuality


def calibrate_camera(
    views: Sequence[View], model: LensModel = "pinhole", rejected: Sequence[RejectedView] = ()
) -> CameraFit:
    """Calibrate one camera.

    Args:
        views: of one pattern, from one camera; five or more, better fifteen, tilted and all over the image.
        model: of the lens.
        rejected: views that were left out before, to be named in the result.

    Returns:
        The lens, its covariance, hold-out error (every view predicted by a fit without its fifth of the views, only
        its pose estimated) and the spread over those fits.

    Raises:
        InputError: too few usable views, of different sizes, mirrored, or not able to tell the focal length.
    """
    usable, left_out = usable_views(views)
    left_out = [*rejected, *left_out]
    kept, more, adjusted, lens = _without_outliers(usable, model)
    left_out += more
    covariance = adjusted.covariance
    focal_spread = float(np.sqrt(max(covariance[0, 0], covariance[1, 1]))) / lens.fx
    if adjusted.singular or focal_spread > FOCAL_LIMIT:
        raise InputError(
            "views",
            f"views that tell the focal length to {FOCAL_LIMIT:.0%}: tilt the pattern by 20 to 45 degrees, "
            "about both axes, and vary its distance",
            f"{'no' if adjusted.singular else f'only {focal_spread:.1%} from'} {len(kept)} views, tilted by at most "
            f"{_largest_tilt_deg(adjusted.own):.0f} degrees",
        )
    residuals = tuple(r.reshape(-1, 2) for r in adjusted.residuals)
    holdout, spread = _cross_validate(kept, lens, adjusted.own)
    units = ("px",) * 4 + ("1",) * len(lens.distortion)
    quality = FitQuality(
        views=len(kept),
        points=sum(len(view.pixels) for view in kept),
        rms_px=rms(residuals),
        holdout_rms_px=holdout,
        view_rms_px=tuple((view.name, rms([r])) for view, r in zip(kept, residuals, strict=True)),
        rejected=tuple(left_out),
        coverage=coverage(kept),
        resampling=tuple(zip(lens.parameter_names, spread, strict=True)) if spread else (),
    )
    return CameraFit(
        lens,
        Covariance.of(lens.parameter_names, units, covariance),
        tuple(kept),
        adjusted.own,
        residuals,
        quality,
    )


def usable_views(views: Sequence[View]) -> tuple[list[View], list[RejectedView]]:
    """Views that a calibration may rest on, and the others with their reasons.

    Raises:
        InputError: fewer than five are left, their image sizes differ, or most of them are mirrored.
    """
    if not views:
        raise InputError("views", f"at least {MIN_VIEWS} views of the pattern", "none")
    sizes = {view.image_size: view.name for view in views}
    if len(sizes) > 1:
        (one, first), (two, second) = list(sizes.items())[:2]
        raise InputError(
            "views", "pictures of one size", f"{one[0]}x{one[1]} ({first}) and {two[0]}x{two[1]} ({second})"
        )
    kept, left_out = [], []
    mirrored = 0
    for view in views:
        if len(view.pixels) < MIN_POINTS:
            left_out.append(RejectedView(name=view.name, reason=f"only {len(view.pixels)} points"))
        elif is_mirrored(view):
            mirrored += 1
            left_out.append(RejectedView(name=view.name, reason="mirrored"))
        else:
            kept.append(view)
    if mirrored > len(views) / 2:
        raise InputError(
            "views",
            "a pattern seen from its front",
            f"{mirrored} of {len(views)} mirrored: a mirrored print or picture",
        )
    if len(kept) < MIN_VIEWS:
        reasons = "; ".join(f"{view.name}: {view.reason}" for view in left_out[:3])
        raise InputError(
            "views", f"at least {MIN_VIEWS} usable views", f"{len(kept)}" + (f" ({reasons})" if reasons else "")
        )
    return kept, left_out


def rms(residuals: Sequence[Floats]) -> float:
    """Root mean square length of residuals (N, 2), over all of them."""
    stacked = np.concatenate([r.reshape(-1, 2) for r in residuals])
    return float(np.sqrt(np.mean(np.sum(stacked**2, axis=1))))


def coverage(views: Sequence[View]) -> tuple[tuple[int, ...], ...]:
    """How many points fell into each cell of a grid of 6 rows and 8 columns over the image."""
    width, height = views[0].image_size
    pixels = np.concatenate([view.pixels for view in views])
    counts, _, _ = np.histogram2d(pixels[:, 1], pixels[:, 0], bins=COVERAGE_GRID, range=[[0, height], [0, width]])
    return tuple(tuple(int(cell) for cell in row) for row in counts)


def observe_view(view: View, lens: Lens) -> Observation:
    """The observation that one view makes of a lens like `lens` (shared) and of its pose (own), in pixels."""

    def observe(shared: Floats, own: Floats) -> tuple[Floats, Floats, Floats]:
        projected, jacobian = lens.with_parameters(shared).project_with_jacobian(view.points, own[:3], own[3:])
        return (view.pixels - projected).ravel(), -jacobian[:, 6:], -jacobian[:, :6]

    return _guarded(observe, view, lens)


def fit_views(views: Sequence[View], start: Lens, poses: Sequence[Floats]) -> tuple[Lens, Adjusted]:
    """All parameters of a lens and all poses, from a start that is nearly right."""
    observations = [observe_view(view, start) for view in views]
    own = list(poses)
    if start.model == "rational":
        observations.append(_hold_rational)
        own.append(np.zeros(0))
    adjusted = adjust(observations, start.parameters, own)
    if start.model == "rational":
        adjusted = replace(adjusted, own=adjusted.own[:-1], residuals=adjusted.residuals[:-1])
    return start.with_parameters(adjusted.shared), adjusted


def fit_pose(view: View, lens: Lens, start: Floats) -> Adjusted:
    """One view's pose under a known lens."""
    shared = lens.parameters
    return adjust([observe_view(view, lens)], shared, [start], free=[False] * shared.size)


def first_guess(views: Sequence[View], model: LensModel) -> tuple[Lens, list[Floats]]:
    """A lens near enough to start from: the best of sixteen focal lengths, then the main terms only.

    Raises:
        InputError: no focal length explains the views at all.
    """
    width, height = views[0].image_size
    some = views[:: max(1, len(views) // 8)]
    best: tuple[float, Lens] | None = None
    for ratio in FOCAL_GUESSES:
        guess = Lens(
            model=model,
            fx=ratio * width, fy=ratio * width, cx=(width - 1) / 2, cy=(height - 1) / 2,
            distortion=(0.0,) * len(DISTORTION_NAMES[model]),
            image_size=(width, height),
        )  # fmt: skip
        errors = [_pose_error(view, guess) for view in some]
        error = float(np.median(errors))
        if np.isfinite(error) and (best is None or error < best[0]):
            best = (error, guess)
    if best is None:
        raise InputError("views", "views of a flat pattern", "points that no camera sees like that")
    lens = best[1]
    starts = [planar_pose(view, lens) for view in views]
    poses = [np.array([0, 0, 0, 0, 0, 1.0]) if start is None else start for start in starts]
    observations = [observe_view(view, lens) for view in views]
    free = np.zeros(lens.parameters.size, bool)
    free[[0, 1, 4]] = True  # focal lengths and k1 first: the rest would chase their errors
    first = adjust(observations, lens.parameters, poses, free.tolist(), iterations=15)
    lens = lens.with_parameters(first.shared)
    return lens, list(first.own)


def _hold_rational(shared: Floats, own: Floats) -> tuple[Floats, Floats, Floats]:
    """A weak belief that the six radial coefficients of a rational lens are of ordinary size.

    Numerator and denominator can grow together without moving a pixel; views alone do not say where along that valley
    the lens lies, and where they leave a corner empty the highest powers run away in it. The belief is weak enough not
    to be seen in the pixels of any view.
    """
    radial = np.array([4, 5, 8, 9, 10, 11])
    weight = TYPICAL_NOISE_PX / RATIONAL_SPREAD
    derivative = np.zeros((radial.size, shared.size))
    derivative[np.arange(radial.size), radial] = weight
    return weight * shared[radial], derivative, np.zeros((radial.size, 0))


def _guarded(observe: Observation, view: View, lens: Lens) -> Observation:
    """Numbers that are no lens give infinite residuals, so that the solver steps back."""

    def guarded(shared: Floats, own: Floats) -> tuple[Floats, Floats, Floats]:
        if shared[0] <= 0 or shared[1] <= 0 or not np.all(np.isfinite(shared)) or not np.all(np.isfinite(own)):
            m = 2 * len(view.pixels)
            return np.full(m, np.inf), np.zeros((m, shared.size)), np.zeros((m, own.size))
        return observe(shared, own)

    return guarded


def _pose_error(view: View, lens: Lens) -> float:
    pose = planar_pose(view, lens)
    if pose is None:
        return float("inf")
    projected, _ = lens.project_with_jacobian(view.points, pose[:3], pose[3:])
    return rms([view.pixels - projected])


def _without_outliers(views: Sequence[View], model: LensModel) -> tuple[list[View], list[RejectedView], Adjusted, Lens]:
    """Fit, leave out the worst view while it stands out, fit again; never more than a third of them."""
    kept, left_out = list(views), list[RejectedView]()
    guess, poses = first_guess(kept, model)
    lens, adjusted = fit_views(kept, guess, poses)
    while True:
        errors = np.array([rms([r]) for r in adjusted.residuals])
        typical = float(np.median(errors))
        limit = max(OUTLIER_RATIO * typical, OUTLIER_FLOOR_PX)
        worst = int(np.argmax(errors))
        if errors[worst] <= limit:
            return kept, left_out, adjusted, lens
        reason = f"{errors[worst]:.2f} px reprojection, other views {typical:.2f} px"
        left_out.append(RejectedView(name=kept[worst].name, reason=reason))
        if len(left_out) > len(views) / 3 or len(kept) - 1 < MIN_VIEWS:
            raise InputError(
                "views",
                f"views that one {model} camera explains",
                f"{len(left_out)} of {len(views)} that it does not; the last, {kept[worst].name}, by {reason}",
            )
        own = [pose for index, pose in enumerate(adjusted.own) if index != worst]
        kept = [view for index, view in enumerate(kept) if index != worst]
        # From the first guess again: the bad view may have pulled the lens to where the way back is long.
        own = [_better_start(view, guess, pose) for view, pose in zip(kept, own, strict=True)]
        lens, adjusted = fit_views(kept, guess, own)


def _better_start(view: View, lens: Lens, pose: Floats) -> Floats:
    found = planar_pose(view, lens)
    return pose if found is None else found


def _cross_validate(views: Sequence[View], lens: Lens, poses: Sequence[Floats]) -> tuple[float | None, list[float]]:
    """Hold-out error over five folds and, from the same fits, the spread of each parameter.

    The spread is the delete-a-group jackknife: sqrt((G - 1) / G * sum of squared differences from their mean).
    """
    folds = min(FOLDS, len(views))
    if len(views) - len(views) // folds - 1 < MIN_VIEWS:
        return None, []
    held: list[Floats] = []
    found: list[Floats] = []
    for fold in range(folds):
        inside = [index for index in range(len(views)) if index % folds != fold]
        trained, adjusted = fit_views([views[index] for index in inside], lens, [poses[index] for index in inside])
        found.append(adjusted.shared)
        for index in range(fold, len(views), folds):
            held.append(fit_pose(views[index], trained, poses[index]).residuals[0])
    groups = np.stack(found)
    spread = np.sqrt((folds - 1) / folds * np.sum((groups - groups.mean(axis=0)) ** 2, axis=0))
    return rms(held), [float(value) for value in spread]


def _largest_tilt_deg(poses: Sequence[Floats]) -> float:
    import cv2

    return max(float(np.degrees(np.arccos(np.clip(abs(cv2.Rodrigues(pose[:3])[0][2, 2]), 0, 1)))) for pose in poses)
