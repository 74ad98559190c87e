"""The oblique scope: how picture and line of sight go when it turns in its camera head, and how that is calibrated.

The scope is one rigid thing whose objective looks past its shaft at an angle. Turned by t about the shaft, clockwise as
seen from the head, its objective goes along, and so does the picture that it hands to the sensor:

    seen = centre + turn(t) (lens(turned(t)^-1 point) - centre)

with the turn of the picture where pixels are square (the lens's fy over fx is the sensor's affair and does not turn).
Of a straight scope the two turns cancel, but for the principal point. What is stated of a turn is a lens and a pose whose
picture stands upright on the sensor, so that whoever measures in it needs to know nothing of turning.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from surgical_ml.calibration.adjustment import Adjusted, Observation, adjust
from surgical_ml.calibration.camera import FOLDS, TYPICAL_NOISE_PX, coverage, first_guess, fit_views, rms, usable_views
from surgical_ml.calibration.lens import Lens, LensModel
from surgical_ml.calibration.model import (
    Covariance,
    FitQuality,
    Provenance,
    RejectedView,
    ScopeCalibration,
    Validity,
)
from surgical_ml.calibration.rigid import Floats, apply, inverse, nudge, rigid, rotation_matrix, rotation_vector
from surgical_ml.calibration.view import View
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
_STEP = 1e-5
_SCOPE_NAMES = ("centre_x", "centre_y", "axis_1", "axis_2", "point_1", "point_2")
_SCOPE_UNITS = ("px", "px", "rad", "rad", "m", "m")


@dataclass(frozen=True, slots=True, eq=False)
class TurnedView:
    """A view of a pattern through a scope that was turned in its head.

    Attributes:
        view: what was seen.
        stand: names where head and pattern stood; views of one stand differ by the scope's turn alone.
        turn_deg: by how much the scope was turned from the reference, clockwise in the picture; None where not known.
    """

    view: View
    stand: str
    turn_deg: float | None


def lens_at(scope: ScopeCalibration, turn_deg: float) -> Lens:
    """The lens when the scope is turned: its principal point and its tangential distortion go round with the picture.

    Args:
        scope: calibrated.
        turn_deg: from the reference, positive from the picture's x to its y axis (clockwise on a screen).
    """
    parameters, _ = _turned_lens(scope.lens, scope.lens.parameters, np.array(scope.centre_px), np.deg2rad(turn_deg))
    return scope.lens.with_parameters(parameters)


def pose_at(scope: ScopeCalibration, turn_deg: float) -> Floats:
    """The optical frame of `lens_at` when the scope is turned, in the optical frame of the reference.

    Returns:
        (4, 4) motion, metres; the identity at 0.
    """
    axis, point = np.array(scope.axis), np.array(scope.axis_point_m)
    return inverse(_into_view(axis, point, np.deg2rad(turn_deg)))


def turn_of_notch(scope: ScopeCalibration, notch_deg: float) -> float:
    """The turn from the reference, -180 to 180 degrees, that a reading of the notch (`notch_angle`) means."""
    return (notch_deg - scope.notch_zero_deg + 180) % 360 - 180


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
    start = _start(kept, model)
    while True:
        fit = _fit(kept, start, reading_sd_deg)
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


def _into_view(axis: Floats, point: Floats, turn: float) -> Floats:
    """(4, 4) from the optical frame of the reference to the one of a turn in radians."""
    back = rotation_matrix(-turn * axis)
    c, s = np.cos(turn), np.sin(turn)
    upright = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return rigid(upright @ back, upright @ (point - back @ point))


def _turned_lens(lens: Lens, parameters: Floats, centre: Floats, turn: float) -> tuple[Floats, Floats]:
    """A lens's parameters (n,) at a turn in radians, and their derivatives (n, n + 3) by lens, centre and turn."""
    n = parameters.size
    fx, fy = parameters[:2]
    c, s = np.cos(turn), np.sin(turn)
    square = fx / fy
    turning = np.array([[c, -square * s], [s / square, c]])
    arm = parameters[2:4] - centre
    found, slope = parameters.copy(), np.zeros((n, n + 3))
    slope[:, :n] = np.eye(n)
    found[2:4] = centre + turning @ arm
    slope[2:4, 2:4] = turning
    slope[2:4, n : n + 2] = np.eye(2) - turning
    slope[2:4, n + 2] = np.array([[-s, -square * c], [c / square, -s]]) @ arm
    by_square = np.array([[0.0, -s], [-s / square**2, 0.0]]) @ arm
    slope[2:4, 0], slope[2:4, 1] = by_square / fy, -by_square * fx / fy**2
    if lens.model != "fisheye":
        # p2 and p1, in this order, are the x and y of one vector
        p1, p2 = parameters[6:8]
        found[6:8] = s * p2 + c * p1, c * p2 - s * p1
        slope[6:8, 6:8] = [[c, s], [-s, c]]
        slope[6:8, n + 2] = c * p2 - s * p1, -s * p2 - c * p1
    return found, slope


@dataclass(frozen=True, slots=True, eq=False)
class _Guess:
    """Where a fit starts: lens, scope, where the pattern is at each stand (in the reference frame), turns in radians."""

    lens: Lens
    centre: Floats
    axis: Floats
    point: Floats
    stands: dict[str, Floats]
    turns: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """A solved problem, in the order of the views."""

    lens: Lens
    centre: Floats
    axis: Floats
    point: Floats
    stands: dict[str, Floats]
    turns: tuple[float, ...]
    residuals: tuple[Floats, ...]
    adjusted: Adjusted

    def guess(self, views: Sequence[TurnedView]) -> _Guess:
        """To start from again, with other views of the same stands."""
        return _Guess(self.lens, self.centre, self.axis, self.point, self.stands, _known_turns(views))


def _stands(views: Sequence[TurnedView]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, one in enumerate(views):
        found.setdefault(one.stand, []).append(index)
    return found


def _anchored(views: Sequence[TurnedView]) -> tuple[list[TurnedView], list[RejectedView]]:
    """Views of stands at which two turns or more are known; the others say nothing of the axis."""
    known = {stand: sum(views[k].turn_deg is not None for k in rows) for stand, rows in _stands(views).items()}
    kept = [one for one in views if known[one.stand] >= 2]
    left_out = [
        RejectedView(name=one.view.name, reason=f"{known[one.stand]} known turn at its stand {one.stand}, 2 are needed")
        for one in views
        if known[one.stand] < 2
    ]
    return kept, left_out


def _check_turns(views: Sequence[TurnedView]) -> None:
    widest = 0.0
    for rows in _stands(views).values():
        turns = [turn for k in rows if (turn := views[k].turn_deg) is not None]
        widest = max(widest, *(abs((a - b + 180) % 360 - 180) for a in turns for b in turns))
    if widest < MIN_TURN_DEG:
        raise InputError(
            "views",
            f"the scope turned by {MIN_TURN_DEG:.0f} degrees or more while head and pattern stand still",
            f"{widest:.0f} degrees" if views else "no stand with two known turns",
        )


def _known_turns(views: Sequence[TurnedView]) -> dict[str, float]:
    return {one.view.name: float(np.deg2rad(one.turn_deg)) for one in views if one.turn_deg is not None}


def _start(views: Sequence[TurnedView], model: LensModel) -> _Guess:
    """One lens for all turns is nearly right; how its pose goes round with known turns tells the axis."""
    seen = [one.view for one in views]
    lens, poses = first_guess(seen, model)
    lens, adjusted = fit_views(seen, lens, poses)
    patterns = [rigid(own[:3], own[3:]) for own in adjusted.own]
    found = [(_axis_of(views, patterns, way), way) for way in (1.0, -1.0)]
    ((axis, point, apart), _), ((_, _, other), _) = found
    if other < 0.5 * apart and apart > np.deg2rad(2.0):
        raise InputError(
            "views",
            "turns counted positive when the picture turns clockwise",
            f"turns that fit when counted the other way round ({np.degrees(other):.1f} instead of "
            f"{np.degrees(apart):.1f} degrees)",
        )
    stands: dict[str, Floats] = {}
    turns = _known_turns(views)
    for one, pattern in zip(views, patterns, strict=True):
        if one.stand not in stands and one.view.name in turns:
            stands[one.stand] = inverse(_into_view(axis, point, turns[one.view.name])) @ pattern
    return _Guess(lens, np.array([lens.cx, lens.cy]), axis, point, stands, turns)


def _axis_of(views: Sequence[TurnedView], patterns: Sequence[Floats], way: float) -> tuple[Floats, Floats, float]:
    """The axis, its point, and how far (radians, RMS) the motions between known turns are from turns about it."""
    motions: list[tuple[Floats, float]] = []
    for rows in _stands(views).values():
        known = [(k, way * np.deg2rad(turn)) for k in rows if (turn := views[k].turn_deg) is not None]
        for position, (i, turn_i) in enumerate(known):
            for j, turn_j in known[position + 1 :]:
                turn = (turn_j - turn_i + np.pi) % (2 * np.pi) - np.pi
                if np.deg2rad(10) < abs(turn) < np.deg2rad(170):
                    spun = [rigid(np.array([0.0, 0.0, -t]), np.zeros(3)) for t in (turn_i, turn_j)]
                    motions.append(((spun[0] @ patterns[i]) @ inverse(spun[1] @ patterns[j]), turn))
    if not motions:
        raise InputError("views", "known turns of one stand that are 10 to 170 degrees apart", "none")
    vectors = np.stack([rotation_vector(motion[:3, :3]) for motion, _ in motions])
    turns = np.array([turn for _, turn in motions])
    axis = (vectors * turns[:, None]).sum(axis=0)
    axis /= np.linalg.norm(axis)
    apart = float(np.sqrt(np.mean(np.sum((vectors - turns[:, None] * axis) ** 2, axis=1))))
    # t = (1 - R) point, with the point as near to the optical centre as the axis comes
    rows_of = [np.eye(3) - motion[:3, :3] for motion, _ in motions] + [axis[None, :]]
    wanted = [motion[:3, 3] for motion, _ in motions] + [np.zeros(1)]
    point = np.linalg.lstsq(np.concatenate(rows_of), np.concatenate(wanted), rcond=None)[0]
    return axis, point, apart


def _fit(views: Sequence[TurnedView], start: _Guess, reading_sd_deg: float) -> _Fit:
    """All of lens, scope, stands and turns. Turns that are not known are looked for first, all the way round."""
    basis = _across(start.axis)
    offsets = basis @ start.point
    shared = np.concatenate([start.lens.parameters, start.centre, [0.0, 0.0], offsets])
    groups = _stands(views)
    observations, own = [], []
    for stand, rows in groups.items():
        members = [views[k] for k in rows]
        names = [one.view.name for one in members]
        found = [
            start.turns[name] if name in start.turns else _looked_for(one.view, start, stand)
            for name, one in zip(names, members, strict=True)
        ]
        known = [None if one.turn_deg is None else float(np.deg2rad(one.turn_deg)) for one in members]
        weight = TYPICAL_NOISE_PX / np.deg2rad(reading_sd_deg)
        observations.append(_observe_stand(members, start, stand, known, weight))
        own.append(np.concatenate([np.zeros(6), found]))
    adjusted = adjust(observations, shared, own)
    n = start.lens.parameters.size
    axis, point = _axis_and_point(adjusted.shared[n + 2 :], start.axis, basis)
    stands, turned = {}, np.zeros(len(views))
    residuals = [np.zeros(0)] * len(views)
    for (stand, rows), local, all_of_it in zip(groups.items(), adjusted.own, adjusted.residuals, strict=True):
        stands[stand] = nudge(start.stands[stand], local[:6])
        begin = 0
        for k, turn in zip(rows, local[6:], strict=True):
            count = 2 * len(views[k].view.pixels)
            residuals[k] = all_of_it[begin : begin + count]
            turned[k] = turn
            begin += count
    return _Fit(
        start.lens.with_parameters(adjusted.shared[:n]),
        adjusted.shared[n : n + 2],
        axis,
        point,
        stands,
        tuple(float(turn) for turn in turned),
        tuple(residuals),
        adjusted,
    )


def _across(axis: Floats) -> Floats:
    """(2, 3) two unit directions across an axis."""
    _, _, rows = np.linalg.svd(axis[None, :])
    return np.asarray(rows[1:], np.float64)


def _axis_and_point(four: Floats, axis: Floats, basis: Floats) -> tuple[Floats, Floats]:
    """Axis and its nearest point, of two leans and two offsets from where they started."""
    leaning = rotation_matrix(four[:2] @ basis)
    return leaning @ axis, leaning @ (four[2:] @ basis)


def _observe_stand(
    members: Sequence[TurnedView], start: _Guess, stand: str, known: Sequence[float | None], weight: float
) -> Observation:
    """What the views of one stand say of lens and scope (shared), of its pose and of their turns (own), in pixels."""
    basis, n = _across(start.axis), start.lens.parameters.size
    readings = [index for index, turn in enumerate(known) if turn is not None]

    def placed(four: Floats, pose: Floats, turn: float) -> Floats:
        axis, point = _axis_and_point(four, start.axis, basis)
        return _into_view(axis, point, turn) @ nudge(start.stands[stand], pose)

    def observe(shared: Floats, own: Floats) -> tuple[Floats, Floats, Floats]:
        rows = sum(2 * len(one.view.pixels) for one in members) + len(readings)
        r, by_shared, by_own = np.zeros(rows), np.zeros((rows, shared.size)), np.zeros((rows, own.size))
        if shared[0] <= 0 or shared[1] <= 0 or not np.isfinite(shared).all() or not np.isfinite(own).all():
            return np.full(rows, np.inf), by_shared, by_own
        at = np.concatenate([shared[n + 2 :], own[:6]])
        begin = 0
        for index, one in enumerate(members):
            turn = float(own[6 + index])
            parameters, slope = _turned_lens(start.lens, shared[:n], shared[n : n + 2], turn)
            pose = placed(at[:4], at[4:], turn)
            pixels, jacobian = start.lens.with_parameters(parameters).project_with_jacobian(
                apply(pose, one.view.points), np.zeros(3), np.zeros(3)
            )
            moves = np.stack(
                [_slope(lambda x: placed(x[:4], x[4:10], x[10]), np.append(at, turn), k) for k in range(11)]
            )
            by_move, by_lens = jacobian[:, :6] @ moves.T, jacobian[:, 6:] @ slope
            here = slice(begin, begin + pixels.size)
            begin += pixels.size
            r[here] = (one.view.pixels - pixels).ravel()
            by_shared[here, : n + 2] = -by_lens[:, : n + 2]
            by_shared[here, n + 2 :] = -by_move[:, :4]
            by_own[here, :6] = -by_move[:, 4:10]
            by_own[here, 6 + index] = -by_move[:, 10] - by_lens[:, n + 2]
        for row, index in enumerate(readings, begin):
            reading = known[index]
            assert reading is not None
            r[row] = weight * (reading - own[6 + index])
            by_own[row, 6 + index] = -weight
        return r, by_shared, by_own

    return observe


def _slope(placed: Callable[[Floats], Floats], at: Floats, which: int) -> Floats:
    """(6,) how a pose moves, turn then shift, in the frame that it leads to, by one of its parameters."""
    step = np.zeros_like(at)
    step[which] = _STEP
    motion = placed(at + step) @ inverse(placed(at - step))
    turn = np.array([motion[2, 1] - motion[1, 2], motion[0, 2] - motion[2, 0], motion[1, 0] - motion[0, 1]]) / 2
    return np.concatenate([turn, motion[:3, 3]]) / (2 * _STEP)


def _predicted(view: View, guess: "_Guess | _Fit", stand: str, turn: float) -> Floats:
    """Where the points of a view must be seen at a turn in radians, (N, 2) pixels."""
    parameters, _ = _turned_lens(guess.lens, guess.lens.parameters, guess.centre, turn)
    pose = _into_view(guess.axis, guess.point, turn) @ guess.stands[stand]
    return guess.lens.with_parameters(parameters).project(apply(pose, view.points))


def _looked_for(view: View, guess: _Guess, stand: str) -> float:
    """The turn in radians, of every second degree, at which a view is explained best."""

    def off(turn: float) -> float:
        error = view.pixels - _predicted(view, guess, stand, turn)
        return float("inf") if np.isnan(error).any() else rms([error])

    return min((float(turn) for turn in np.deg2rad(np.arange(-180.0, 180.0, 2.0))), key=off)


def _worst(fit: _Fit, views: Sequence[TurnedView], reading_sd_deg: float) -> tuple[int, str] | None:
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


def _holdout(views: Sequence[TurnedView], fit: _Fit, reading_sd_deg: float) -> float | None:
    """RMS error of known turns that a fit did not see, of five fits; None where too few are left to fit."""
    known = [[k for k in rows if views[k].turn_deg is not None] for rows in _stands(views).values()]
    spare = [k for rows in known if len(rows) >= 3 for k in rows]  # of any stand a fold takes one of three, two of six
    held: list[Floats] = []
    for fold in range(FOLDS if len(spare) >= FOLDS else 0):
        outside = set(spare[fold::FOLDS])
        kept = [one for k, one in enumerate(views) if k not in outside]
        trained = _fit(kept, fit.guess(kept), reading_sd_deg)
        for k in sorted(outside):
            one = views[k]
            assert one.turn_deg is not None
            held.append(one.view.pixels - _predicted(one.view, trained, one.stand, float(np.deg2rad(one.turn_deg))))
    return rms(held) if held else None
