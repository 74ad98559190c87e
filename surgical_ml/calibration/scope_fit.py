"""Lens, axis, poses and turns of an oblique scope, fitted to the views of a pattern through it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from surgical_ml.calibration.adjustment import Adjusted, Observation, adjust
from surgical_ml.calibration.camera import TYPICAL_NOISE_PX, first_guess, fit_views, rms
from surgical_ml.calibration.lens import Lens, LensModel
from surgical_ml.calibration.rigid import Floats, apply, inverse, nudge, rigid, rotation_matrix, rotation_vector
from surgical_ml.calibration.scope_turn import into_view, turned_lens
from surgical_ml.calibration.view import View
from surgical_ml.errors import InputError

_STEP = 1e-5


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


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """Where a fit starts: lens, scope, where the pattern is at each stand (in the reference frame), turns in radians."""

    lens: Lens
    centre: Floats
    axis: Floats
    point: Floats
    stands: dict[str, Floats]
    turns: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class ScopeFit:
    """A solved problem, in the order of the views."""

    lens: Lens
    centre: Floats
    axis: Floats
    point: Floats
    stands: dict[str, Floats]
    turns: tuple[float, ...]
    residuals: tuple[Floats, ...]
    adjusted: Adjusted

    def guess(self, views: Sequence[TurnedView]) -> Guess:
        """To start from again, with other views of the same stands."""
        return Guess(self.lens, self.centre, self.axis, self.point, self.stands, known_turns(views))


def stands_of(views: Sequence[TurnedView]) -> dict[str, list[int]]:
    """The places of the views of each stand."""
    found: dict[str, list[int]] = {}
    for index, one in enumerate(views):
        found.setdefault(one.stand, []).append(index)
    return found


def known_turns(views: Sequence[TurnedView]) -> dict[str, float]:
    """By view name, the turns in radians that were read."""
    return {one.view.name: float(np.deg2rad(one.turn_deg)) for one in views if one.turn_deg is not None}


def start_from(views: Sequence[TurnedView], model: LensModel) -> Guess:
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
    turns = known_turns(views)
    for one, pattern in zip(views, patterns, strict=True):
        if one.stand not in stands and one.view.name in turns:
            stands[one.stand] = inverse(into_view(axis, point, turns[one.view.name])) @ pattern
    return Guess(lens, np.array([lens.cx, lens.cy]), axis, point, stands, turns)


def _axis_of(views: Sequence[TurnedView], patterns: Sequence[Floats], way: float) -> tuple[Floats, Floats, float]:
    """The axis, its point, and how far (radians, RMS) the motions between known turns are from turns about it."""
    motions: list[tuple[Floats, float]] = []
    for rows in stands_of(views).values():
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


def fit_scope(views: Sequence[TurnedView], start: Guess, reading_sd_deg: float) -> ScopeFit:
    """All of lens, scope, stands and turns. Turns that are not known are looked for first, all the way round."""
    basis = _across(start.axis)
    offsets = basis @ start.point
    shared = np.concatenate([start.lens.parameters, start.centre, [0.0, 0.0], offsets])
    groups = stands_of(views)
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
    return ScopeFit(
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
    members: Sequence[TurnedView], start: Guess, stand: str, known: Sequence[float | None], weight: float
) -> Observation:
    """What the views of one stand say of lens and scope (shared), of its pose and of their turns (own), in pixels."""
    basis, n = _across(start.axis), start.lens.parameters.size
    readings = [index for index, turn in enumerate(known) if turn is not None]

    def placed(four: Floats, pose: Floats, turn: float) -> Floats:
        axis, point = _axis_and_point(four, start.axis, basis)
        return into_view(axis, point, turn) @ nudge(start.stands[stand], pose)

    def observe(shared: Floats, own: Floats) -> tuple[Floats, Floats, Floats]:
        rows = sum(2 * len(one.view.pixels) for one in members) + len(readings)
        r, by_shared, by_own = np.zeros(rows), np.zeros((rows, shared.size)), np.zeros((rows, own.size))
        if shared[0] <= 0 or shared[1] <= 0 or not np.isfinite(shared).all() or not np.isfinite(own).all():
            return np.full(rows, np.inf), by_shared, by_own
        at = np.concatenate([shared[n + 2 :], own[:6]])
        begin = 0
        for index, one in enumerate(members):
            turn = float(own[6 + index])
            parameters, slope = turned_lens(start.lens, shared[:n], shared[n : n + 2], turn)
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


def predicted(view: View, guess: "Guess | ScopeFit", stand: str, turn: float) -> Floats:
    """Where the points of a view must be seen at a turn in radians, (N, 2) pixels."""
    parameters, _ = turned_lens(guess.lens, guess.lens.parameters, guess.centre, turn)
    pose = into_view(guess.axis, guess.point, turn) @ guess.stands[stand]
    return guess.lens.with_parameters(parameters).project(apply(pose, view.points))


def _looked_for(view: View, guess: Guess, stand: str) -> float:
    """The turn in radians, of every second degree, at which a view is explained best."""

    def off(turn: float) -> float:
        error = view.pixels - predicted(view, guess, stand, turn)
        return float("inf") if np.isnan(error).any() else rms([error])

    return min((float(turn) for turn in np.deg2rad(np.arange(-180.0, 180.0, 2.0))), key=off)
