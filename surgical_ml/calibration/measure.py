"""Residuals of a running case: measured in its pictures, beside what calibration and robot say, at most once a second."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.calibration.field import Field, field_residuals, look_at_field, turn_residual
from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.model import HandEyeCalibration, ScopeCalibration, StereoCalibration, WithLens
from surgical_ml.calibration.residuals import epipolar_level_px, shaft_residual, shaft_width_px
from surgical_ml.calibration.rigid import Floats, apply, inverse
from surgical_ml.calibration.shaft import find_shaft
from surgical_ml.calibration.validity import Residual
from surgical_ml.errors import InputError
from surgical_ml.video import Frame, Image

EVERY_NS = 900_000_000
"""Between two looks; a little less than the second that counts once, so that no second goes without."""

LEARNED = 5
"""Looks from whose medians the field is learned, where the calibration does not state it."""

FRESH_NS = 500_000_000
STILL_M = 0.0003
"""How far the wrist may have moved in the last half second: what moves is not where it was said to be a moment ago."""

REACH_PX = 120.0
"""At a focal length of 1000 px: how far from its predicted place an instrument's tip is believed to be the arm's."""

_MATCHES = 300


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """A robot's arm that holds an instrument.

    Attributes:
        camera_from_base: (4, 4) takes points of the arm's base to the optical frame, metres.
        diameter_m: of the instrument's shaft.
    """

    camera_from_base: Floats
    diameter_m: float

    @classmethod
    def of(cls, name: str, calibration: HandEyeCalibration, diameter_m: float) -> "Arm":
        """From its hand-eye calibration.

        Raises:
            InputError: the calibration is of a camera on that arm.
        """
        if calibration.arrangement != "camera-fixed":
            raise InputError(f"hand-eye calibration of {name}", "camera-fixed: the camera in the arm's base",
                             calibration.arrangement)  # fmt: skip
        return cls(inverse(calibration.camera.matrix), diameter_m)


class Measurer:
    """Measures what a bumped camera changes. It reads no clock, and remembers half a second of each arm.

    - The field of view beside the one that the calibration holds for; where that states none, beside the first
      `LEARNED` looks, so that only a bump during the case shows.
    - Points matched between the two pictures of a stereo endoscope, beside the epipolar geometry.
    - The shaft of each arm that stands still, beside its kinematics.

    Args:
        calibration: of the camera.
        arms: by name; a scope that turns has no lens of its own, and its arms are not compared.
    """

    def __init__(self, calibration: WithLens, arms: Mapping[str, Arm] | None = None) -> None:
        self._calibration = calibration
        self._arms = {} if isinstance(calibration, ScopeCalibration) or arms is None else dict(arms)
        self._said: dict[str, deque[tuple[int, Floats]]] = {name: deque(maxlen=64) for name in self._arms}
        self._tips: dict[str, tuple[int, Floats]] = {}
        stated = calibration.validity.field
        self._field = None if stated is None else Field(stated.x, stated.y, stated.radius)
        self._notch = None if stated is None else stated.notch_deg
        self._learned: list[Field] | None = [] if stated is None else None
        self._looked_ns: int | None = None

    def say_shaft(self, arm: str, stamp_ns: int, shaft_m: Floats) -> None:
        """What an arm says of its shaft: (2, 3) two points of its axis in its base, metres, the second is the wrist."""
        if arm in self._said:
            self._said[arm].append((stamp_ns, shaft_m))

    def say_tip(self, arm: str, stamp_ns: int, tip_m: Floats) -> None:
        """What an arm says of its instrument's tip: (3,) in its base, metres."""
        if arm in self._said:
            self._tips[arm] = (stamp_ns, tip_m)

    def due(self, stamp_ns: int) -> bool:
        """Whether a frame of that stamp should be looked at."""
        return self._looked_ns is None or not 0 <= stamp_ns - self._looked_ns < EVERY_NS

    def look(self, frame: Frame, tips_px: Sequence[tuple[float, float]]) -> tuple[Residual, ...]:
        """Measure everything that can be measured in one frame; about 0.1 s for a 1080p picture.

        Args:
            frame: admitted: inside the body, lit and sharp.
            tips_px: the tips of instruments that are seen in it, pixels.

        Returns:
            Residuals with the frame's stamp; none where the picture shows nothing to compare.
        """
        self._looked_ns = frame.stamp_ns
        return (*self._of_field(frame), *self._of_pair(frame), *self._of_arms(frame, tips_px))

    def _of_field(self, frame: Frame) -> tuple[Residual, ...]:
        try:
            found, notch_deg = look_at_field(frame.image)
        except InputError:
            return ()  # a picture without a round field says nothing about one
        if self._learned is not None:
            self._learned.append(found)
            if len(self._learned) < LEARNED:
                return ()
            middle = (median(getattr(one, name) for one in self._learned) for name in ("x", "y", "radius"))
            self._field, self._learned = Field(*middle), None
        if self._field is None:
            return ()
        moved = field_residuals(frame.stamp_ns, found, self._field)
        if self._notch is None or notch_deg is None:
            return moved
        return (*moved, turn_residual(frame.stamp_ns, notch_deg, self._notch))

    def _of_pair(self, frame: Frame) -> tuple[Residual, ...]:
        pair = self._calibration
        if frame.right is None or not isinstance(pair, StereoCalibration) or pair.right_from_left is None:
            return ()
        level = epipolar_level_px(pair, *match_points(frame.image, frame.right))
        return () if level is None else (Residual(frame.stamp_ns, "epipolar", round(1000 * level)),)

    def _of_arms(self, frame: Frame, tips_px: Sequence[tuple[float, float]]) -> tuple[Residual, ...]:
        lens = self._calibration.lenses[0]
        return tuple(
            residual
            for name, arm in self._arms.items()
            if (shaft_m := self._still(name, frame.stamp_ns)) is not None
            for residual in self._of_arm(frame, lens, name, arm, apply(arm.camera_from_base, shaft_m), tips_px)
        )

    def _still(self, name: str, now_ns: int) -> Floats | None:
        """The shaft of an arm that has stood still for the last half second."""
        latest = [shaft for stamp_ns, shaft in self._said[name] if 0 <= now_ns - stamp_ns <= FRESH_NS]
        if len(latest) < 2:
            return None
        wrists = np.array([shaft[1] for shaft in latest])
        return latest[-1] if float(np.ptp(wrists, axis=0).max()) <= STILL_M else None

    def _of_arm(
        self, frame: Frame, lens: Lens, name: str, arm: Arm, shaft_m: Floats, tips_px: Sequence[tuple[float, float]]
    ) -> tuple[Residual, ...]:
        width_px = shaft_width_px(lens, shaft_m, arm.diameter_m)
        said_ns, tip_m = self._tips.get(name, (-FRESH_NS - 1, shaft_m[1]))
        fresh = 0 <= frame.stamp_ns - said_ns <= FRESH_NS
        tip_m = apply(arm.camera_from_base, tip_m[None])[0] if fresh else shaft_m[1]
        if width_px is None or tip_m[2] <= 0 or not tips_px:
            return ()
        tip_px, *ends = lens.project(np.stack([tip_m, *shaft_m]))
        apart = np.array(tips_px, np.float64) - tip_px
        near = np.flatnonzero(np.linalg.norm(apart, axis=1) <= REACH_PX * lens.fx / 1000)
        if len(near) != 1:
            return ()  # whose it is has to be beyond doubt
        shift = apart[near[0]]
        seen = find_shaft(lens, frame.image, np.array(ends) + shift, width_px)
        off = None if seen is None else shaft_residual(lens, seen.axis_px, shaft_m)
        if seen is None or off is None:
            return ()
        values = {"shaft-angle": off.angle_deg, "shaft-offset": off.offset_px, "shaft-width": seen.width_px - width_px}
        if fresh:
            axis = np.diff(lens.rays(seen.axis_px), axis=0)[0]
            values["shaft-along"] = -float(axis @ shift / np.linalg.norm(axis))
        return tuple(Residual(frame.stamp_ns, check, round(1000 * value), name) for check, value in values.items())


def match_points(left: Image, right: Image) -> tuple[Floats, Floats]:
    """Points of the left picture and where the right one shows them, each found in the other: (N, 2) and (N, 2) pixels.

    Corners are followed from the left to the right picture (Lucas and Kanade, 1981) and back; those that do not come back
    to within half a pixel are left out.
    """
    greys = [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in (left, right)]
    usable = ((greys[0] > 15) & (greys[0] < 250)).astype(np.uint8)
    corners = cv2.goodFeaturesToTrack(greys[0], _MATCHES, 0.01, 8, mask=usable)
    if corners is None:
        return np.empty((0, 2)), np.empty((0, 2))
    start = np.asarray(corners, np.float32)
    there, found = _follow(greys[0], greys[1], start)
    back, returned = _follow(greys[1], greys[0], there)
    same = np.linalg.norm(back - start, axis=2)[:, 0] < 0.5
    keep = same & found & returned
    return start[keep, 0].astype(np.float64), there[keep, 0].astype(np.float64)


def _follow(
    before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], points: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    # OpenCV writes into the array that it is given: a new one each time.
    nowhere = np.zeros_like(points)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, nowhere, winSize=(21, 21), maxLevel=4)
    return moved, found[:, 0] == 1
