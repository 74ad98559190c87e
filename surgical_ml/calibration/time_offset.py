"""The offset between the video's clock and the robot's, from one motion that both of them saw.

What the video measures is how far the picture (or the pattern in it) moved from one frame to the next; what the robot
measures is its speed, more often. For an offset o and a drift d the robot's path, integrated between the two frames'
stamps on its own clock, is compared with the video's motion m_k:

    m_k = a (S(u_k) - S(u_{k-1})) + b + noise,   u_k = t_k + o + d (t_k - t_ref),   S(u) = path of the robot up to u

The offset with the largest share of explained motion is searched on a grid and refined by Gauss-Newton; how sure it is
comes from leaving out one stretch of the recording at a time, for neighbouring frames are no independent evidence.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.calibration.model import Provenance, TimeCalibration, Validity
from surgical_ml.calibration.rigid import Floats, rotation_angle
from surgical_ml.errors import InputError

Stamps = npt.NDArray[np.int64]

LEAST_S = 10.0
LEAST_FOR_DRIFT_S = 120.0
LEAST_EXPLAINED = 0.5
"""Of the video's motion; less, and the two did not see the same motion."""

AMBIGUOUS = 0.98
"""A second peak this high beside the first, more than half a second away, means a motion that repeats itself."""

APART_S = 0.5
STRETCHES = 20
DRIFT_STRETCHES = 8
_NS = 1e9
_ITERATIONS = 20
_GRID_OF_FRAME = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class VideoMotion:
    """How far the picture moved between consecutive frames.

    Attributes:
        stamps_ns: (n + 1,) of the frames, rising, on the video's clock.
        motion: (n,) between frame k and k + 1, in any unit, 0 or more.
    """

    stamps_ns: Stamps
    motion: Floats


@dataclass(frozen=True, slots=True, eq=False)
class RobotMotion:
    """How fast the robot moved.

    Attributes:
        stamps_ns: (m,) rising, on the robot's clock.
        speed: (m,) in any unit, 0 or more.
    """

    stamps_ns: Stamps
    speed: Floats


def motion_of_rotations(stamps_ns: Stamps, rotations: Floats) -> VideoMotion:
    """The turning of a pattern, seen in every frame.

    Args:
        stamps_ns: (n + 1,) of the frames.
        rotations: (n + 1, 3, 3) of the pattern in the camera.
    """
    turned = [rotation_angle(first.T @ second) for first, second in pairwise(rotations)]
    return VideoMotion(np.asarray(stamps_ns, np.int64), np.array(turned))


def picture_motion(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> float:
    """How far (H, W) grey pictures of 32 pixels or more are shifted against each other, in pixels, to about 0.3.

    By phase correlation of their middles.
    """
    middle = []
    for size in first.shape:
        # sides that the transform takes as they are: OpenCV pads others, and padding pulls the answer towards 0
        side = max(size * 2 // 3 // 32 * 32, 32)
        middle.append(slice((size - side) // 2, (size - side) // 2 + side))
    one, other = (np.ascontiguousarray(picture[tuple(middle)], np.float32) for picture in (first, second))
    (x, y), _ = cv2.phaseCorrelate(one, other, cv2.createHanningWindow(one.shape[::-1], cv2.CV_32F))
    return math.hypot(x, y)


def calibrate_time(
    video: VideoMotion,
    robot: RobotMotion,
    provenance: Provenance,
    *,
    largest_offset_s: float = 2.0,
    validity: Validity = Validity(),  # noqa: B008  frozen
) -> TimeCalibration:
    """Find robot stamp minus video stamp of the same moment.

    Args:
        video, robot: of the same ten seconds or more, with irregular motion; two minutes or more also tell the drift.
        provenance: of the result.
        largest_offset_s: the offset is searched within plus and minus this.
        validity: of the result.

    Raises:
        InputError: the recordings are malformed, too short or do not overlap, one of them shows no motion, the motion
            repeats itself, or they do not show the same motion.
    """
    _check(video, robot)
    reference_ns = int(video.stamps_ns[len(video.stamps_ns) // 2])
    problem = _Problem.of(video, robot, reference_ns, largest_offset_s)
    if problem.length_s < LEAST_S:
        raise InputError(
            "recording",
            f"{LEAST_S:.0f} s of video that the robot's covers by {largest_offset_s:g} s more on either side",
            f"{problem.length_s:.1f} s",
        )
    start = np.array([_search(problem, largest_offset_s), 0.0])
    drifting = problem.length_s >= LEAST_FOR_DRIFT_S
    found = problem.refined(start, drifting)
    stretches = DRIFT_STRETCHES if drifting else STRETCHES
    half = _quantile(stretches) * _jackknife(problem, found, stretches, drifting)
    low_ns, high_ns = (round((found[0] + side * half[0]) * _NS) for side in (-1, 1))
    ppm = 1e6 * float(found[1])
    return TimeCalibration(
        schema="surgical_ml/time@1",
        reference_ns=reference_ns,
        offset_ns=round(found[0] * _NS),
        interval_ns=(low_ns, high_ns),
        drift_ppm=ppm if drifting else None,
        interval_ppm=(ppm - 1e6 * float(half[1]), ppm + 1e6 * float(half[1])) if drifting else None,
        explained=min(1.0, problem.explained(found)),
        provenance=provenance,
        validity=validity,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """The video's motion between frames, and the robot's path; seconds from the reference.

    Attributes:
        before_s, after_s: (n,) stamps of the frames on either side of each motion.
        motion: (n,).
        robot_s, path: (m,) the robot's stamps and its path up to them.
        speed: (m,) the robot's.
    """

    before_s: Floats
    after_s: Floats
    motion: Floats
    robot_s: Floats
    path: Floats
    speed: Floats

    @classmethod
    def of(cls, video: VideoMotion, robot: RobotMotion, reference_ns: int, margin_s: float) -> "_Problem":
        """The part of the video that the robot's recording covers with a margin."""
        frames_s = (video.stamps_ns - reference_ns) / _NS
        robot_s = (robot.stamps_ns - reference_ns) / _NS
        steps = np.diff(robot_s) * (robot.speed[1:] + robot.speed[:-1]) / 2
        inside = (frames_s[:-1] - margin_s >= robot_s[0]) & (frames_s[1:] + margin_s <= robot_s[-1])
        path = np.concatenate(([0.0], np.cumsum(steps)))
        return cls(frames_s[:-1][inside], frames_s[1:][inside], video.motion[inside], robot_s, path, robot.speed)

    @property
    def length_s(self) -> float:
        """Of the video that is left."""
        return float((self.after_s - self.before_s).sum())

    def without(self, chosen: npt.NDArray[np.bool_]) -> "_Problem":
        """The same without some of the motions."""
        kept = ~chosen
        return _Problem(self.before_s[kept], self.after_s[kept], self.motion[kept], self.robot_s, self.path, self.speed)

    def predicted(self, clock: Floats) -> Floats:
        """(n,) the robot's path between the frames for offset and drift (2,)."""
        after, before = (np.interp(t + clock[0] + clock[1] * t, self.robot_s, self.path) for t in self._frames)
        return np.asarray(after - before, np.float64)

    @property
    def _frames(self) -> tuple[Floats, Floats]:
        return self.after_s, self.before_s

    def explained(self, clock: Floats) -> float:
        """Squared correlation of the two motions; 0 where they go against each other."""
        predicted = self.predicted(clock)
        if predicted.std() == 0:
            return 0.0
        return max(0.0, float(np.corrcoef(predicted, self.motion)[0, 1])) ** 2

    def refined(self, start: Floats, drifting: bool) -> Floats:
        """Gauss-Newton for offset (s) and, where asked for, drift, beside gain and bias of the motion."""
        clock = start.copy()
        for _ in range(_ITERATIONS):
            predicted = self.predicted(clock)
            speeds = [np.interp(t + clock[0] + clock[1] * t, self.robot_s, self.speed) for t in self._frames]
            gain, _ = np.polyfit(predicted, self.motion, 1)
            columns = [gain * (speeds[0] - speeds[1])]
            if drifting:
                columns.append(gain * (speeds[0] * self.after_s - speeds[1] * self.before_s))
            matrix = np.column_stack([*columns, predicted, np.ones_like(predicted)])
            scale = np.linalg.norm(matrix, axis=0)
            step = np.linalg.lstsq(matrix / scale, self.motion, rcond=None)[0] / scale
            moved = step[: len(columns)]
            clock[: len(columns)] += moved
            if abs(moved[0]) < 1e-6:
                break
        return clock


def _check(video: VideoMotion, robot: RobotMotion) -> None:
    sizes = (("video", video.stamps_ns, video.motion, 1), ("robot", robot.stamps_ns, robot.speed, 0))
    for name, stamps, values, more in sizes:
        if len(stamps) != len(values) + more or len(values) < 3:
            raise InputError(
                name, f"three values or more, and {more} stamps more", f"{len(values)}, {len(stamps)} stamps"
            )
        if (np.diff(stamps) <= 0).any():
            place = int(np.argmax(np.diff(stamps) <= 0)) + 1
            raise InputError(
                f"{name}, stamp {place}", "one later than the last", f"{stamps[place]} after {stamps[place - 1]}"
            )
        if not np.isfinite(values).all() or (values < 0).any():
            raise InputError(name, "finite motion of 0 or more", "something else")
        if values.std() <= 1e-9 * max(float(values.mean()), 1e-300):
            raise InputError(name, "motion that changes", "none")


def _search(problem: _Problem, largest_s: float) -> float:
    """The offset on a grid that explains most."""
    step = _GRID_OF_FRAME * float(np.median(problem.after_s - problem.before_s))
    offsets = np.arange(-largest_s, largest_s + step / 2, step)
    shares = np.array([problem.explained(np.array([offset, 0.0])) for offset in offsets])
    best = int(np.argmax(shares))
    if shares[best] < LEAST_EXPLAINED:
        raise InputError(
            "recording",
            f"video and robot that show one motion, {LEAST_EXPLAINED:.0%} of it in common",
            f"{shares[best]:.0%} at the best offset within {largest_s:g} s",
        )
    elsewhere = np.abs(offsets - offsets[best]) > APART_S
    if elsewhere.any() and shares[elsewhere].max() > AMBIGUOUS * shares[best]:
        other = offsets[elsewhere][int(np.argmax(shares[elsewhere]))]
        raise InputError(
            "recording",
            "irregular motion, which fits at one offset only",
            f"motion that repeats itself: it fits at {offsets[best]:.2f} s and at {other:.2f} s",
        )
    return float(offsets[best])


def _jackknife(problem: _Problem, found: Floats, stretches: int, drifting: bool) -> Floats:
    """(2,) standard deviations of offset and drift, leaving out one stretch of the recording at a time.

    The delete-a-group jackknife: sqrt((G - 1) / G * sum of squared differences from their mean).
    """
    which = np.arange(len(problem.motion)) * stretches // len(problem.motion)
    left = np.stack([problem.without(which == k).refined(found, drifting) for k in range(stretches)])
    return np.asarray(np.sqrt((stretches - 1) / stretches * ((left - left.mean(axis=0)) ** 2).sum(axis=0)), np.float64)


def _quantile(stretches: int) -> float:
    """Student's t at 97.5 % for one degree of freedom fewer than there are stretches (Abramowitz and Stegun 26.7.5)."""
    z, f = 1.959964, stretches - 1
    return z + (z**3 + z) / (4 * f) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * f**2)
