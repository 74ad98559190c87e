"""The shaft of an instrument in a picture, finer than its mask: the two straight edges beside where it should be."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.rigid import Floats

BACK_WIDTHS = (0.3, 4.0)
"""From the tip end backwards, in widths: the stretch of the shaft that is looked at."""

BESIDE_WIDTHS = 1.1
"""To either side of the axis, in widths: how far the edges are looked for."""

STEP_PX = 0.5
ROWS = 96
MIN_SHARE = 0.5
"""Of the rows that must agree on each of the edges."""

AGREE_PX = 1.5
LARGEST_TURN = 0.1
"""Between the edges, and of the axis from where it should be at the second look: tangent of the angle."""


@dataclass(frozen=True, slots=True, eq=False)
class SeenShaft:
    """A shaft as its edges show it.

    Attributes:
        axis_px: (2, 2) two points of its axis in the picture, pixels; the second is the tip end.
        width_px: between its edges at the tip end, undistorted, pixels.
    """

    axis_px: Floats
    width_px: float


def find_shaft(lens: Lens, picture: npt.NDArray[np.uint8], axis_px: Floats, width_px: float) -> SeenShaft | None:
    """Find the edges of a shaft near where one is expected, in the undistorted picture, where they are straight.

    Args:
        lens: of the picture.
        picture: (H, W, 3) uint8.
        axis_px: (2, 2) two points of the expected axis in the picture, pixels; the second is the tip end.
        width_px: expected width, undistorted, pixels.

    Returns:
        The shaft; None where no two edges stand out for most of its length.
    """
    focal = np.array([lens.fx, lens.fy])
    back, tip = focal * lens.rays(axis_px)
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (0, 0), 1.0).astype(np.float32)
    found: tuple[Floats, Floats, float] | None = None
    for _ in range(2):  # the second look is along the axis that the first one found
        found = _look(lens, grey, back, tip, width_px)
        if found is None:
            return None
        back, tip, width_px = found
    ends = np.column_stack([np.stack([back, tip]) / focal, np.ones(2)])
    return SeenShaft(lens.project(ends), width_px)


def _look(
    lens: Lens, grey: npt.NDArray[np.float32], back: Floats, tip: Floats, width: float
) -> tuple[Floats, Floats, float] | None:
    along = (tip - back) / np.linalg.norm(tip - back)
    across = np.array([-along[1], along[0]])
    behind = np.linspace(width * BACK_WIDTHS[0], width * BACK_WIDTHS[1], ROWS)
    beside = np.arange(-BESIDE_WIDTHS * width, BESIDE_WIDTHS * width, STEP_PX)
    places = tip - behind[:, None, None] * along + beside[:, None] * across
    focal = np.array([lens.fx, lens.fy])
    flat = np.column_stack([(places.reshape(-1, 2) / focal), np.ones(places.shape[0] * places.shape[1])])
    at = lens.project(flat).reshape(*places.shape[:2], 2).astype(np.float32)
    values = cv2.remap(grey, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    height, wide = grey.shape
    inside = (at[..., 0] > 1) & (at[..., 0] < wide - 2) & (at[..., 1] > 1) & (at[..., 1] < height - 2)
    steep = np.abs(np.gradient(cv2.blur(values, (5, 1)), axis=1)) * inside
    lines = []
    for side in (beside < -0.15 * width, beside > 0.15 * width):
        line = _edge(behind, beside[side], steep[:, side])
        if line is None:
            return None
        lines.append(line)
    (left, left_slope), (right, right_slope) = lines
    if abs(left_slope - right_slope) > LARGEST_TURN or right - left < 0.3 * width:
        return None
    slope = (left_slope + right_slope) / 2
    tip_now = tip + (left + right) / 2 * across
    back_now = tip_now - BACK_WIDTHS[1] * width * (along - slope * across)
    return back_now, tip_now, float((right - left) / np.sqrt(1 + slope * slope))


def _edge(behind: Floats, beside: Floats, steep: Floats) -> tuple[float, float] | None:
    """Where the steepest places of most rows lie on one line: its place at the tip end, and its slope backwards."""
    best = np.argmax(steep, axis=1)
    rows = np.arange(len(behind))
    seen = steep[rows, best] > 0
    best = np.clip(best, 1, len(beside) - 2)
    low, middle, high = (steep[rows, best + k] for k in (-1, 0, 1))
    bend = low - 2 * middle + high
    # The top of the parabola through the steepest place and its neighbours.
    shift = np.where(bend < 0, 0.5 * (low - high) / np.where(bend < 0, bend, 1.0), 0.0).clip(-1, 1)
    place = beside[best] + STEP_PX * shift
    if seen.sum() < MIN_SHARE * len(rows):
        return None
    x, y = behind[seen], place[seen]
    slope, height = _through_most(x, y)
    near = np.abs(y - height - slope * x) <= AGREE_PX
    if near.sum() < MIN_SHARE * len(rows):
        return None
    slope, height = np.polyfit(x[near], y[near], 1)
    return float(height), float(slope)


def _through_most(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope and height of the line that most points lie near to, of those through a point of each half of them."""
    half = len(x) // 2
    first, second = np.arange(0, half, 2), np.arange(half, len(x), 2)
    slopes = (y[second][:, None] - y[first]) / (x[second][:, None] - x[first])
    heights = y[first] - slopes * x[first]
    off = np.abs(y - heights[..., None] - slopes[..., None] * x)
    count = np.where(np.abs(slopes) <= LARGEST_TURN, (off <= AGREE_PX).sum(axis=2), -1)
    at = np.unravel_index(int(np.argmax(count)), count.shape)
    return float(slopes[at]), float(heights[at])
