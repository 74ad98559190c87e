"""Calibration of an oblique scope: which views may be believed, and how sure the result is."""

from collections.abc import Sequence

import numpy as np

from surgical_ml.calibration.camera import FOLDS, coverage, rms, usable_views
from surgical_ml.calibration.lens import LensModel
from surgical_ml.calibration.model import (
    Covariance,
    FitQuality,
    Provenance,
    RejectedView,
    ScopeCalibration,
    Validity,
)
from surgical_ml.calibration.rigid import Floats
from surgical_ml.calibration.scope_fit import ScopeFit, TurnedView, fit_scope, predicted, stands_of, start_from
from surgical_ml.errors import InputError

MIN_TURN_DEG = 30.0
"""How far the scope must have been turned under one stand of the head; over less, the axis is a guess."""

READING_SD_DEG = 0.05
"""Of a turn that was read from the notch: half a pixel at the rim of a 1080p picture."""

WRONG_READING = 6.0
"""Standard deviations past which a reading is not believed."""

CENTRE_LIMIT_PX = 5.0
AXIS_LIMIT_DEG = 1.0
OUTLIER_RATIO = 2.5
OUTLIER_FLOOR_PX = 0.3
_SCOPE_NAMES = ("centre_x", "centre_y", "axis_1", "axis_2", "point_1", "point_2")
_SCOPE_UNITS = ("px", "px", "rad", "rad", "m", "m")


def calibrate_scope(
    views: Sequence[TurnedView],
    provenance: Provenance,
    *,
    model: LensModel = "pinhole",
    notch_zero_deg: float = 0.0,
    reading_sd_deg: float = READING_SD_DEG,
    rejected: Sequence[RejectedView] = (),
    validity: Validity = Validity(),  # noqa: B008  frozen
) -> ScopeCalibration:
    """Calibrate an oblique scope from pictures at several turns, under one or, better, five stands of head and pattern.

    Args:
        views: five or more; some turns may be unknown, but at least two of every stand are known, and those of one stand
            are 30 degrees or more apart.
        provenance: of the result.
        model: of the lens.
        notch_zero_deg: what the notch reads at the reference.
        reading_sd_deg: how sure the turns are that are known.
        rejected: pictures that were left out before, to be named in the result.
        validity: of the result.

    Returns:
        The scope. Its hold-out error is that of views at turns that the fit did not see, predicted from the reading of
        their turn and where the rest of their stand says that the pattern is: nothing is fitted to them.

    Raises:
        InputError: too few views, turns that are all alike, turns that are counted the other way round, or views that do
            not tell the axis or the centre.
    """
    usable, left_out = usable_views([one.view for one in views])
    kept = [one for one in views if any(one.view is view for view in usable)]
    kept, more = _anchored(kept)
    left_out = [*rejected, *left_out, *more]
    _check_turns(kept)
    start = start_from(kept, model)
    while True:
        fit = fit_scope(kept, start, reading_sd_deg)
        worst = _worst(fit, kept, reading_sd_deg)
        if worst is None:
            break
        index, reason = worst
        left_out.append(RejectedView(name=kept[index].view.name, reason=reason))
        if len(left_out) > len(views) / 3:
            raise InputError("views", "views that one oblique scope explains", f"{kept[index].view.name}: {reason}")
        kept, more = _anchored([one for position, one in enumerate(kept) if position != index])
        left_out += more
        _check_turns(kept)
        start = fit.guess(kept)
    lens, axis, point = fit.lens, fit.axis, fit.point
    covariance = fit.adjusted.covariance
    deviations = np.sqrt(np.diag(covariance).clip(min=0))
    n = lens.parameters.size
    centre_sd, axis_sd = float(deviations[n : n + 2].max()), float(np.degrees(deviations[n + 2 : n + 4].max()))
    if fit.adjusted.singular or centre_sd > CENTRE_LIMIT_PX or axis_sd > AXIS_LIMIT_DEG:
        raise InputError(
            "views",
            f"views that tell the centre to {CENTRE_LIMIT_PX:g} px and the axis to {AXIS_LIMIT_DEG:g} degree: more stands, "
            "a tilted pattern, wider turns",
            f"{centre_sd:.1f} px and {axis_sd:.2f} degrees from {len(kept)} views",
        )
    return ScopeCalibration(
        schema="surgical_ml/scope@1",
        lens=lens,
        centre_px=(float(fit.centre[0]), float(fit.centre[1])),
        axis=(float(axis[0]), float(axis[1]), float(axis[2])),
        axis_point_m=(float(point[0]), float(point[1]), float(point[2])),
        notch_zero_deg=notch_zero_deg % 360,
        view_angle_deg=float(np.degrees(np.arccos(np.clip(axis[2], -1, 1)))),
        covariance=Covariance.of(
            (*lens.parameter_names, *_SCOPE_NAMES),
            (*("px",) * 4, *("1",) * len(lens.distortion), *_SCOPE_UNITS),
            covariance,
        ),
        quality=FitQuality(
            views=len(kept),
            points=sum(len(one.view.pixels) for one in kept),
            rms_px=rms(fit.residuals),
            holdout_rms_px=_holdout(kept, fit, reading_sd_deg),
            view_rms_px=tuple((one.view.name, rms([r])) for one, r in zip(kept, fit.residuals, strict=True)),
            rejected=tuple(left_out),
            coverage=coverage([one.view for one in kept]),
        ),
        provenance=provenance,
        validity=validity,
    )


def _anchored(views: Sequence[TurnedView]) -> tuple[list[TurnedView], list[RejectedView]]:
    """Views of stands at which two turns or more are known; the others say nothing of the axis."""
    known = {stand: sum(views[k].turn_deg is not None for k in rows) for stand, rows in stands_of(views).items()}
    kept = [one for one in views if known[one.stand] >= 2]
    left_out = [
        RejectedView(name=one.view.name, reason=f"{known[one.stand]} known turn at its stand {one.stand}, 2 are needed")
        for one in views
        if known[one.stand] < 2
    ]
    return kept, left_out


def _check_turns(views: Sequence[TurnedView]) -> None:
    widest = 0.0
    for rows in stands_of(views).values():
        turns = [turn for k in rows if (turn := views[k].turn_deg) is not None]
        widest = max(widest, *(abs((a - b + 180) % 360 - 180) for a in turns for b in turns))
    if widest < MIN_TURN_DEG:
        raise InputError(
            "views",
            f"the scope turned by {MIN_TURN_DEG:.0f} degrees or more while head and pattern stand still",
            f"{widest:.0f} degrees" if views else "no stand with two known turns",
        )


def _worst(fit: ScopeFit, views: Sequence[TurnedView], reading_sd_deg: float) -> tuple[int, str] | None:
    """The view that stands out most, by its points or by its reading, and why; None where none does."""
    errors = np.array([rms([r]) for r in fit.residuals])
    typical = float(np.median(errors))
    limit = max(OUTLIER_RATIO * typical, OUTLIER_FLOOR_PX)
    off = np.array(
        [
            0.0 if one.turn_deg is None else abs(np.degrees(turn) - one.turn_deg)
            for one, turn in zip(views, fit.turns, strict=True)
        ]
    )
    far = max(WRONG_READING * reading_sd_deg, OUTLIER_RATIO * float(np.median(off)))
    score = np.maximum(errors / limit, off / far)
    index = int(np.argmax(score))
    if score[index] <= 1:
        return None
    if errors[index] / limit >= off[index] / far:
        return index, f"{errors[index]:.2f} px reprojection, other views {typical:.2f} px"
    return (
        index,
        f"its turn was read as {views[index].turn_deg:.1f} degrees, its points are turned by {off[index]:.1f} more",
    )


def _holdout(views: Sequence[TurnedView], fit: ScopeFit, reading_sd_deg: float) -> float | None:
    """RMS error of known turns that a fit did not see, of five fits; None where too few are left to fit."""
    known = [[k for k in rows if views[k].turn_deg is not None] for rows in stands_of(views).values()]
    spare = [k for rows in known if len(rows) >= 3 for k in rows]  # of any stand a fold takes one of three, two of six
    held: list[Floats] = []
    for fold in range(FOLDS if len(spare) >= FOLDS else 0):
        outside = set(spare[fold::FOLDS])
        kept = [one for k, one in enumerate(views) if k not in outside]
        trained = fit_scope(kept, fit.guess(kept), reading_sd_deg)
        for k in sorted(outside):
            one = views[k]
            assert one.turn_deg is not None
            held.append(one.view.pixels - predicted(one.view, trained, one.stand, float(np.deg2rad(one.turn_deg))))
    return rms(held) if held else None
