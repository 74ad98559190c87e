"""How far what is seen lies from what a calibration says must be seen: the numbers that tell whether it still holds."""

from dataclasses import dataclass

import numpy as np

from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.model import StereoCalibration
from surgical_ml.calibration.rigid import Floats, skew
from surgical_ml.errors import InputError

MIN_MATCHES = 8
MIN_SHAFT_PX = 20.0
"""A shaft that points at the camera projects to a point, and has no direction."""


def epipolar_residuals_px(stereo: StereoCalibration, left_px: Floats, right_px: Floats) -> Floats:
    """How far matched points are from being sights of one point in space.

    The Sampson distance (Hartley and Zisserman, 2nd edition, 11.4.3) of undistorted directions, times the mean focal
    length of both lenses.

    Args:
        stereo: with its `right_from_left`.
        left_px, right_px: (N, 2) where the same points are seen, pixels.

    Returns:
        (N,) signed distances, pixels.

    Raises:
        InputError: the calibration does not say how the cameras stand to each other.
    """
    if stereo.right_from_left is None:
        raise InputError("stereo calibration", "how the right camera stands to the left one", "nothing of it")
    motion = stereo.right_from_left.matrix
    essential = skew(motion[:3, 3]) @ motion[:3, :3]
    left, right = (
        np.column_stack([lens.rays(pixels), np.ones(len(pixels))])
        for lens, pixels in ((stereo.left, left_px), (stereo.right, right_px))
    )
    lines_right, lines_left = left @ essential.T, right @ essential
    slope = np.sqrt((lines_right[:, :2] ** 2).sum(axis=1) + (lines_left[:, :2] ** 2).sum(axis=1))
    focal = float(np.mean([side for lens in stereo.lenses for side in (lens.fx, lens.fy)]))
    return np.asarray(focal * (right * lines_right).sum(axis=1) / np.maximum(slope, 1e-12), np.float64)


def epipolar_level_px(stereo: StereoCalibration, left_px: Floats, right_px: Floats) -> float | None:
    """The median size of `epipolar_residuals_px`, which a wrong match does not move; None of fewer than eight matches."""
    if len(left_px) < MIN_MATCHES:
        return None
    return float(np.median(np.abs(epipolar_residuals_px(stereo, left_px, right_px))))


@dataclass(frozen=True, slots=True)
class ShaftResidual:
    """Between an instrument's axis as seen and as the robot says.

    Attributes:
        angle_deg: from the projected to the seen axis, clockwise in the picture, -90 to 90.
        offset_px: from the seen axis to the projected tip end, across it, positive to the right of its direction.
        along_px: from the seen to the projected tip end, along the seen axis, positive the way that the tip points.
    """

    angle_deg: float
    offset_px: float
    along_px: float


def shaft_residual(lens: Lens, seen_px: Floats, shaft_m: Floats) -> ShaftResidual | None:
    """Compare an instrument's axis in the picture with the one that robot and hand-eye calibration predict.

    Both are compared undistorted, where axes are straight.

    Args:
        lens: of the picture.
        seen_px: (2, 2) two points of the seen axis, pixels; the second is the tip end.
        shaft_m: (2, 3) two points of the axis in the optical frame, metres; the second is the one nearer to the tip.

    Returns:
        The residual; None where the shaft points at the camera or lies behind it, or the two seen points are too close.
    """
    if np.any(shaft_m[:, 2] <= 0):
        return None
    focal = np.array([lens.fx, lens.fy])
    said = focal * shaft_m[:, :2] / shaft_m[:, 2:]
    seen = focal * lens.rays(seen_px)
    along, axis = said[1] - said[0], seen[1] - seen[0]
    if min(np.linalg.norm(along), np.linalg.norm(axis)) < MIN_SHAFT_PX:
        return None
    axis = axis / np.linalg.norm(axis)
    if axis @ along < 0:
        axis = -axis
    angle = np.degrees(np.arctan2(along[0] * axis[1] - along[1] * axis[0], along @ axis))
    off = said[1] - seen[1]
    return ShaftResidual(float(angle), float(axis[0] * off[1] - axis[1] * off[0]), float(axis @ off))


def shaft_width_px(lens: Lens, shaft_m: Floats, diameter_m: float) -> float | None:
    """How wide a round shaft looks at its tip end, undistorted, across its axis.

    The outline of a cylinder lies in the two planes through the optical centre that touch it.

    Args:
        lens: of the picture.
        shaft_m: (2, 3) two points of the axis in the optical frame, metres; the second is the tip end.
        diameter_m: of the shaft, metres.

    Returns:
        The width in pixels; None where the shaft points at the camera, lies behind it, or holds it.
    """
    axis = shaft_m[1] - shaft_m[0]
    axis = axis / np.linalg.norm(axis)
    plane = np.cross(shaft_m[0], axis)
    away = float(np.linalg.norm(plane))
    if np.any(shaft_m[:, 2] <= 0) or away <= diameter_m / 2:
        return None
    plane = plane / away
    lean = np.arcsin(diameter_m / 2 / away)
    focal = np.array([lens.fx, lens.fy])
    tip = focal * shaft_m[1, :2] / shaft_m[1, 2]
    along = tip - focal * shaft_m[0, :2] / shaft_m[0, 2]
    if np.linalg.norm(along) < MIN_SHAFT_PX:
        return None
    across = np.array([-along[1], along[0]]) / np.linalg.norm(along)
    ends = []
    for side in (1, -1):
        # The plane of the axis, turned about it until it touches the shaft; the axis passes at `away` from the centre.
        touching = np.cos(lean) * plane + side * np.sin(lean) * np.cross(axis, plane)
        line = np.array([touching[0] / lens.fx, touching[1] / lens.fy, touching[2]])
        slope = line[:2] @ across
        ends.append(-(line[:2] @ tip + line[2]) / slope)
    return float(abs(ends[0] - ends[1]))
