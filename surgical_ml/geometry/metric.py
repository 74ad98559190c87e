"""Places and distances in metres, each with what it may be off: from two cameras, or from one and a shaft of known width.

One camera alone gives pixels. How far a tip is from tissue needs the depth of both.
"""

import math
from dataclasses import dataclass

import numpy as np

from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.model import StereoCalibration
from surgical_ml.calibration.rigid import Floats
from surgical_ml.errors import InputError
from surgical_ml.geometry.scene import Interval


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A point in the optical frame of the left, or only, camera.

    Attributes:
        point_m: (3,) metres, z forward.
        covariance_m2: (3, 3) square metres.
    """

    point_m: Floats
    covariance_m2: Floats


def stereo_place(
    pair: StereoCalibration, left_px: tuple[float, float], right_px: tuple[float, float], sd_px: float
) -> Place | None:
    """Where both cameras see a point: the middle of the shortest line between the two rays.

    Args:
        pair: calibrated together.
        left_px, right_px: the point in the two pictures, pixels.
        sd_px: standard deviation of each coordinate of both, pixels; the covariance is propagated from it.

    Returns:
        None where the rays do not meet in front of the cameras.

    Raises:
        InputError: the calibration does not say how the two cameras stand to each other.
    """
    if pair.right_from_left is None:
        raise InputError("stereo calibration", "how the right camera stands to the left one", "nothing")
    seen = np.array([*left_px, *right_px], np.float64)
    steps = np.concatenate([np.zeros((1, 4)), np.eye(4)])
    points = _meet(pair, seen + steps)
    if not np.all(points[:, 2] > 0):
        return None
    slope = (points[1:] - points[0]).T
    return Place(points[0], sd_px**2 * slope @ slope.T)


def _meet(pair: StereoCalibration, seen: Floats) -> Floats:
    """(N, 3) middles between the rays of (N, 4) pixels, left then right; in the left camera's frame."""
    left, right = pair.lenses
    motion = np.linalg.inv(pair.right_from_left.matrix) if pair.right_from_left is not None else np.eye(4)
    ones = np.ones((len(seen), 1))
    one = np.concatenate([left.rays(seen[:, :2]), ones], axis=1)
    other = np.concatenate([right.rays(seen[:, 2:]), ones], axis=1) @ motion[:3, :3].T
    start = motion[:3, 3]
    aa, bb, ab = (one * one).sum(1), (other * other).sum(1), (one * other).sum(1)
    a0, b0 = one @ start, other @ start
    det = aa * bb - ab * ab
    with np.errstate(divide="ignore", invalid="ignore"):
        s, t = (bb * a0 - ab * b0) / det, (ab * a0 - aa * b0) / det
        middle = 0.5 * (s[:, None] * one + start + t[:, None] * other)
    behind = ~((s > 0) & (t > 0))
    middle[behind] = -1.0
    return np.asarray(middle, np.float64)


def shaft_place(lens: Lens, at_px: tuple[float, float], width_px: float, diameter_m: float, sd_px: float) -> Place:
    """Where a shaft of known diameter is, from how wide it looks; across the view it is known far better than along it.

    Args:
        lens: of the camera.
        at_px: the middle of the shaft, pixels.
        width_px: between its two edges there, undistorted, pixels.
        diameter_m: of the shaft, metres.
        sd_px: standard deviation of the width, pixels.
    """
    ray = np.append(lens.rays(np.array([at_px], np.float64))[0], 1.0)
    focal = math.sqrt(lens.fx * lens.fy)
    depth = focal * diameter_m / width_px
    along = ray * depth * sd_px / width_px
    across = np.diag([(depth * sd_px / focal) ** 2] * 2 + [0.0])
    return Place(ray * depth, np.outer(along, along) + across)


def distance(one: Place, other: Place) -> Interval:
    """Between two places that were measured independently."""
    apart = one.point_m - other.point_m
    length = float(np.linalg.norm(apart))
    way = apart / length if length > 0 else np.array([0.0, 0.0, 1.0])
    return Interval.about(length, math.sqrt(float(way @ (one.covariance_m2 + other.covariance_m2) @ way)))
