"""Hand-eye calibration: how a camera is mounted on a robot's hand, or how the robot's base stands to a fixed camera.

Camera on the arm, pattern standing still:   hand_i  camera  pattern_i = place of the pattern in the base
Camera fixed, pattern on the arm:            the same with every hand pose inverted, and hand and base exchanged

All solvers of the field give a start; what is reported is the least-squares refinement of the best of them, in the
pattern's pose in the camera, turns and shifts weighted by how much each of them scatters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from surgical_ml.calibration.adjustment import Adjusted, Observation, adjust, with_numeric_derivatives
from surgical_ml.calibration.hand_eye_solvers import SOLVERS
from surgical_ml.calibration.model import (
    Covariance,
    HandEyeCalibration,
    Provenance,
    RejectedView,
    RigidTransform,
    SolverResult,
    Validity,
)
from surgical_ml.calibration.rigid import (
    Floats,
    difference,
    inverse,
    mean_rotation,
    nudge,
    rigid,
    rotation_angle,
    rotation_vector,
)
from surgical_ml.errors import InputError

Arrangement = Literal["camera-on-arm", "camera-fixed"]

MIN_POSES = 5
MIN_SPAN_DEG = 10.0
"""How far the hand must have turned about a second axis; about one axis alone, the place along it is not told."""

MOST_SPREAD_MM = 2.0
"""Standard deviation of the camera's place past which the poses do not tell it."""

SAME_POSE_MM, SAME_POSE_DEG = 0.5, 0.2
FARTHEST_M = 10.0
"""No surgical robot reaches further; a longer translation is one in millimetres."""

SCALE_TOLERANCE = 0.02
OUTLIER_RATIO = 4.0
OUTLIER_FLOOR_MM, OUTLIER_FLOOR_DEG = 0.5, 0.2
_WEIGHTINGS = 3
_STEPS = np.array([1e-4] * 3 + [1e-5] * 3)
"""Of the derivatives, radians and metres; below 1e-5 rad OpenCV takes a rotation for none."""

_PARAMETERS = ("rx", "ry", "rz", "tx", "ty", "tz")
_UNITS = ("deg", "deg", "deg", "mm", "mm", "mm")


@dataclass(frozen=True, slots=True, eq=False)
class PosePair:
    """One moment at which the robot stood still and the camera saw the pattern.

    Attributes:
        name: of the picture.
        hand: (4, 4) the hand in the robot's base, metres.
        pattern: (4, 4) the pattern in the camera's optical frame, metres.
    """

    name: str
    hand: Floats
    pattern: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """Camera in hand, pattern in base, and the solved problem in steps from them."""

    camera: Floats
    place: Floats
    adjusted: Adjusted


def calibrate_hand_eye(
    pairs: Sequence[PosePair],
    arrangement: Arrangement,
    provenance: Provenance,
    *,
    frames: tuple[str, str, str, str] = ("base", "hand", "camera", "pattern"),
    rejected: Sequence[RejectedView] = (),
    validity: Validity = Validity(),  # noqa: B008  frozen
) -> HandEyeCalibration:
    """Calibrate from poses of hand and pattern at the same moments.

    Args:
        pairs: five or more, better fifteen, turned by 20 degrees or more about two axes.
        arrangement: `camera-on-arm` or `camera-fixed`.
        provenance: of the result.
        frames: names of base, hand, camera and pattern frame.
        rejected: pictures that were left out before, to be named in the result.
        validity: of the result.

    Raises:
        InputError: too few poses, poses that do not tell the camera's place (with the axis that is missing), poses in
            millimetres, a pattern of another size than stated, or poses that no single mounting explains.
    """
    _check_units(pairs)
    kept, left_out = _distinct(pairs)
    left_out = [*rejected, *left_out]
    if len(kept) < MIN_POSES:
        raise InputError("poses", f"at least {MIN_POSES} that differ", str(len(kept)))
    on_arm = arrangement == "camera-on-arm"
    hands = [pair.hand if on_arm else inverse(pair.hand) for pair in kept]
    patterns = [pair.pattern for pair in kept]
    span = _rotation_span_deg(hands)
    if span[1] < MIN_SPAN_DEG:
        raise InputError(
            "poses",
            f"rotations about two axes, each by {MIN_SPAN_DEG:.0f} degrees or more",
            "no rotation" if span[0] < MIN_SPAN_DEG else
            f"rotations that span {span[0]:.0f} degrees about one axis and only {span[1]:.0f} degrees about any other",
        )  # fmt: skip
    names = [pair.name for pair in kept]
    fit = _fit(hands, patterns, _best_start(hands, patterns))
    # before any pose is called an outlier: a wrong scale makes all of them disagree
    scale = _scale(hands, patterns, fit.camera)
    while True:
        errors_deg, errors_m = _errors(hands, patterns, fit)
        score = np.maximum(
            errors_m / max(OUTLIER_RATIO * float(np.median(errors_m)), OUTLIER_FLOOR_MM / 1000),
            errors_deg / max(OUTLIER_RATIO * float(np.median(errors_deg)), OUTLIER_FLOOR_DEG),
        )
        worst = int(np.argmax(score))
        if score[worst] <= 1:
            break
        reason = f"{1000 * errors_m[worst]:.1f} mm and {errors_deg[worst]:.2f} degrees from what the others say"
        left_out.append(RejectedView(name=names[worst], reason=reason))
        if len(names) - 1 < MIN_POSES or len(names) - 1 < 2 / 3 * len(kept):
            raise InputError("poses", "poses that one mounting explains", f"{names[worst]} is {reason}")
        for values in (names, hands, patterns):
            del values[worst]
        fit = _fit(hands, patterns, _best_start(hands, patterns))
    unit = np.array([180 / np.pi] * 3 + [1000.0] * 3)
    covariance = fit.adjusted.covariance[:6, :6] * np.outer(unit, unit)
    spread = float(np.sqrt(np.diag(covariance)[3:].max()))
    if fit.adjusted.singular or spread > MOST_SPREAD_MM:
        raise InputError(
            "poses",
            f"poses that tell the camera's place to {MOST_SPREAD_MM:g} mm: more of them, turned further",
            f"{spread:.1f} mm from {len(names)} poses that span {span[0]:.0f}, {span[1]:.0f} and {span[2]:.0f} degrees",
        )
    base, hand, camera, pattern = frames
    of_camera, of_pattern = (hand, base) if on_arm else (base, hand)
    left = [_left_out(hands, patterns, fit, index) for index in range(len(names))]
    by_mm, by_deg = (
        sorted(zip(names, values, strict=True), key=lambda one: -one[1]) for values in zip(*left, strict=True)
    )
    return HandEyeCalibration(
        schema="surgical_ml/hand-eye@1",
        arrangement=arrangement,
        camera=RigidTransform.of(of_camera, camera, fit.camera),
        pattern=RigidTransform.of(of_pattern, pattern, fit.place),
        covariance=Covariance.of(_PARAMETERS, _UNITS, covariance),
        poses=len(names),
        rejected=tuple(left_out),
        residual_mm=1000 * _rms(errors_m),
        residual_deg=_rms(errors_deg),
        leave_one_out_mm=tuple(by_mm),
        leave_one_out_deg=tuple(by_deg),
        rotation_span_deg=span,
        scale=scale,
        solvers=tuple(_compared(name, hands, patterns, fit) for name in SOLVERS),
        provenance=provenance,
        validity=validity,
    )


def _check_units(pairs: Sequence[PosePair]) -> None:
    for what in ("hand", "pattern"):
        for pair in pairs:
            pose = getattr(pair, what)
            length = float(np.linalg.norm(pose[:3, 3]))
            if not np.isfinite(pose).all() or not np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-4):
                raise InputError(f"{what} pose of {pair.name}", "a rotation and a translation", "something else")
            if length > FARTHEST_M:
                raise InputError(
                    f"{what} pose of {pair.name}", "a translation in metres", f"{length:.0f}: these are millimetres"
                )


def _distinct(pairs: Sequence[PosePair]) -> tuple[list[PosePair], list[RejectedView]]:
    """Each pose once: the same one again would only pretend to add evidence."""
    kept: list[PosePair] = []
    left_out = []
    for pair in pairs:
        for other in kept:
            step = difference(pair.hand, other.hand)
            shift, turn = float(np.linalg.norm(step[3:])), float(np.linalg.norm(step[:3]))
            if 1000 * shift < SAME_POSE_MM and np.degrees(turn) < SAME_POSE_DEG:
                left_out.append(RejectedView(name=pair.name, reason=f"the same pose as {other.name}"))
                break
        else:
            kept.append(pair)
    return kept, left_out


def _rotation_span_deg(hands: Sequence[Floats]) -> tuple[float, float, float]:
    """How far the hand was turned about its three principal axes of turning, widest first."""
    rotations = np.stack([hand[:3, :3] for hand in hands])
    middle = mean_rotation(rotations)
    vectors = np.stack([rotation_vector(middle.T @ rotation) for rotation in rotations])
    _, _, axes = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=True)
    spans = sorted(np.degrees(np.ptp(vectors @ axes.T, axis=0)), reverse=True)
    return float(spans[0]), float(spans[1]), float(spans[2])


def _place(hands: Sequence[Floats], patterns: Sequence[Floats], camera: Floats) -> Floats:
    """Where the pattern is in the base, on average."""
    places = np.stack([hand @ camera @ pattern for hand, pattern in zip(hands, patterns, strict=True)])
    return rigid(mean_rotation(places[:, :3, :3]), places[:, :3, 3].mean(axis=0))


def _steps(hands: Sequence[Floats], patterns: Sequence[Floats], camera: Floats, place: Floats) -> Floats:
    """(N, 6) from the pattern poses that were seen to those that the mounting predicts."""
    back = inverse(camera)
    return np.stack(
        [difference(back @ inverse(hand) @ place, pattern) for hand, pattern in zip(hands, patterns, strict=True)]
    )


def _best_start(hands: Sequence[Floats], patterns: Sequence[Floats]) -> Floats:
    """The solver's answer that explains the poses best."""
    found: list[tuple[float, Floats]] = []
    for solve in SOLVERS.values():
        try:
            camera = solve(hands, patterns)
        except np.linalg.LinAlgError:
            continue  # one solver's failure is not all of them; `_compared` reports it
        if np.isfinite(camera).all():
            steps = _steps(hands, patterns, camera, _place(hands, patterns, camera))
            found.append((_rms(np.linalg.norm(steps[:, 3:], axis=1)), camera))
    if not found:
        raise InputError("poses", "poses that some solver can solve", "none that any of them could")
    return min(found, key=lambda one: one[0])[1]


def _fit(hands: Sequence[Floats], patterns: Sequence[Floats], start: Floats, *, weightings: int = _WEIGHTINGS) -> _Fit:
    camera, place = start, _place(hands, patterns, start)
    for _ in range(weightings):
        sigma_rad, sigma_m = _scatter(_steps(hands, patterns, camera, place))
        weights = np.array([1 / sigma_rad] * 3 + [1 / sigma_m] * 3)
        observations = [
            _observation(hand, pattern, camera, place, weights) for hand, pattern in zip(hands, patterns, strict=True)
        ]
        adjusted = adjust(observations, np.zeros(12), [np.zeros(0)] * len(hands))
        camera, place = nudge(camera, adjusted.shared[:6]), nudge(place, adjusted.shared[6:])
    return _Fit(camera, place, adjusted)


def _observation(hand: Floats, pattern: Floats, camera: Floats, place: Floats, weights: Floats) -> Observation:
    back = inverse(hand)

    def residual(shared: Floats, own: Floats) -> Floats:
        predicted = inverse(nudge(camera, shared[:6])) @ back @ nudge(place, shared[6:])
        return weights * difference(predicted, pattern)

    return with_numeric_derivatives(residual, np.concatenate([_STEPS, _STEPS]), np.zeros(0))


def _scatter(steps: Floats) -> tuple[float, float]:
    """Standard deviations of turns and of shifts; each half of the data pays for half of the twelve parameters."""
    freedom = max(3 * len(steps) - 6, 1)
    turn, shift = (float(np.sqrt((part**2).sum() / freedom)) for part in (steps[:, :3], steps[:, 3:]))
    return max(turn, 1e-6), max(shift, 1e-7)  # of poses without any noise: what rounding leaves


def _errors(hands: Sequence[Floats], patterns: Sequence[Floats], fit: _Fit) -> tuple[Floats, Floats]:
    """Of each pose, degrees and metres."""
    steps = _steps(hands, patterns, fit.camera, fit.place)
    return np.degrees(np.linalg.norm(steps[:, :3], axis=1)), np.linalg.norm(steps[:, 3:], axis=1)


def _left_out(hands: Sequence[Floats], patterns: Sequence[Floats], fit: _Fit, index: int) -> tuple[float, float]:
    """How far (mm, degrees) one pose lies from what all the others predict."""
    others = [k for k in range(len(hands)) if k != index]
    without = _fit([hands[k] for k in others], [patterns[k] for k in others], fit.camera, weightings=1)
    turn_deg, shift_m = _errors([hands[index]], [patterns[index]], without)
    return float(1000 * shift_m[0]), float(turn_deg[0])


def _scale(hands: Sequence[Floats], patterns: Sequence[Floats], camera: Floats) -> float:
    """The pattern's motion over the robot's; refuses what is surely not 1.

    Least squares of t_A = s R t_B + (I - R_A) t over the motions between poses, for 1 / s and the camera's place t: a
    translation may be wrong by a factor, a rotation cannot.
    """
    rows, wanted = [], []
    for i, j in combinations(range(len(hands)), 2):
        a, b = inverse(hands[j]) @ hands[i], patterns[j] @ inverse(patterns[i])
        rows.append(np.column_stack([camera[:3, :3] @ b[:3, 3], np.eye(3) - a[:3, :3]]))
        wanted.append(a[:3, 3])
    matrix, target = np.concatenate(rows), np.concatenate(wanted)
    solution = np.linalg.lstsq(matrix, target, rcond=None)[0]
    scatter = float(np.mean((matrix @ solution - target) ** 2))
    # pairs of N poses are not N (N - 1) / 2 independent motions
    deviation = float(np.sqrt(scatter * np.linalg.pinv(matrix.T @ matrix)[0, 0] * len(hands) / 2))
    ratio = float(solution[0])
    for times, what in ((1000, "hand poses in millimetres"), (0.001, "pattern poses in millimetres")):
        if 0.5 * times < ratio < 2 * times:
            raise InputError("poses", "hand and pattern poses in metres", what)
    if abs(ratio - 1) > SCALE_TOLERANCE + 3 * deviation:
        raise InputError(
            "pattern",
            "one whose size is the stated one",
            f"the robot moved {ratio:.3f} times as far as the pattern says: is its spacing {ratio:.3f} times the stated?",
        )
    return 1 / ratio


def _compared(name: str, hands: Sequence[Floats], patterns: Sequence[Floats], fit: _Fit) -> SolverResult:
    try:
        camera = SOLVERS[name](hands, patterns)
    except np.linalg.LinAlgError as error:
        return _failed(name, str(error))
    if not np.isfinite(camera).all():
        return _failed(name, "not a number")
    steps = _steps(hands, patterns, camera, _place(hands, patterns, camera))
    return SolverResult(
        solver=name,
        distance_mm=1000 * float(np.linalg.norm(camera[:3, 3] - fit.camera[:3, 3])),
        distance_deg=float(np.degrees(rotation_angle(camera[:3, :3].T @ fit.camera[:3, :3]))),
        residual_mm=1000 * _rms(np.linalg.norm(steps[:, 3:], axis=1)),
        residual_deg=_rms(np.degrees(np.linalg.norm(steps[:, :3], axis=1))),
    )


def _failed(name: str, why: str) -> SolverResult:
    nothing = {"distance_mm": None, "distance_deg": None, "residual_mm": None, "residual_deg": None}
    return SolverResult(solver=name, failed=why, **nothing)


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
