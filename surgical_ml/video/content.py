"""Where in the frame the endoscope's picture is: everywhere, a box between black borders, or a circle."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.video.frame import Frame, Image

_SMALL = 160
_DARK = 14
_LOOK_EVERY = 15
_AGREE = 3
_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class ContentArea:
    """The field of view.

    Attributes:
        shape: full, box or circle.
        box: (x, y, width, height) in the frame's pixels; of a circle, the part of its square that is in the frame.
        centre: (x, y) of the box or circle in pixels. radius: of a circle in pixels; 0 otherwise.
    """

    shape: str
    box: tuple[int, int, int, int]
    centre: tuple[int, int]
    radius: int


class ContentTracker:
    """Finds the area on a small copy of the first frames, looks again every 15th, and changes only on agreement.

    A dark picture does not show where it ends: the area stays what it was, and is full until there has been another.
    """

    def __init__(self) -> None:
        self._area: ContentArea | None = None
        self._size = (0, 0)
        self._waiting: ContentArea | None = None
        self._agreed = 0
        self._since = 0

    def update(self, frame: Frame) -> ContentArea:
        """The area of this frame. Its cost is that of reading 160 columns, once it is stable on every 15th frame only."""
        if (frame.width, frame.height) != self._size:
            self._size, self._area, self._waiting, self._since = (frame.width, frame.height), None, None, 0
        if self._area is None or self._waiting is not None or self._since % _LOOK_EVERY == 0:
            found = find_content(frame.image)
            if found is not None:
                self._consider(found)
        self._since += 1
        return self._area or _full(*self._size)

    def _consider(self, found: ContentArea) -> None:
        if self._area is None:
            self._area = found
        elif _near(found, self._area, self._size[0]):
            self._waiting = None
        elif self._waiting is not None and _near(found, self._waiting, self._size[0]):
            self._agreed += 1
            if self._agreed >= _AGREE:
                self._area, self._waiting = found, None
        else:
            self._waiting, self._agreed = found, 1


def _near(left: ContentArea, right: ContentArea, width: int) -> bool:
    gap = max(abs(a - b) for a, b in zip(left.box, right.box, strict=True))
    return left.shape == right.shape and gap <= max(2, _TOLERANCE * width)


def find_content(image: Image) -> ContentArea | None:
    """Look at one picture; None where it is dark all over."""
    height, width = image.shape[:2]
    step = max(1, width // _SMALL)
    bright = image[::step, ::step].max(axis=2) > _DARK
    if bright.mean() < 0.05:
        return None
    bright = cv2.morphologyEx(bright.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(bool)
    rows, columns = np.flatnonzero(bright.mean(axis=1) > 0.1), np.flatnonzero(bright.mean(axis=0) > 0.05)
    if len(rows) == 0 or len(columns) == 0:
        return None
    circle = _circle(bright)
    if circle is not None:
        x, y, radius = (value * step for value in circle)
        left, top = max(0, round(x - radius)), max(0, round(y - radius))
        right, bottom = min(width, round(x + radius)), min(height, round(y + radius))
        box = _even(left, top, right, bottom)
        return ContentArea("circle", box, (round(x), round(y)), round(radius))
    left, top = int(columns[0]) * step, int(rows[0]) * step
    right, bottom = min(width, (int(columns[-1]) + 1) * step), min(height, (int(rows[-1]) + 1) * step)
    if (right - left) >= 0.97 * width and (bottom - top) >= 0.97 * height:
        return _full(width, height)
    box = _even(left, top, right, bottom)
    return ContentArea("box", box, (box[0] + box[2] // 2, box[1] + box[3] // 2), 0)


def _circle(bright: npt.NDArray[np.bool_]) -> tuple[float, float, float] | None:
    """Least-squares circle through the outermost bright pixels of each row, in small pixels; None if it is none.

    Source of the fit: Kasa, 1976: x^2 + y^2 + a x + b y + c = 0 is linear in a, b and c.
    """
    height, width = bright.shape
    points: list[tuple[int, int]] = []
    for y in range(1, height - 1, 2):
        lit = np.flatnonzero(bright[y])
        if len(lit) == 0:
            continue
        # Where the picture runs into the frame's border, it does not show where the circle ends.
        if lit[0] > 1:
            points.append((int(lit[0]), y))
        if lit[-1] < width - 2:
            points.append((int(lit[-1]), y))
    if len(points) < max(8, height // 3):
        return None
    xy = np.array(points, np.float64)
    for _ in range(3):
        system = np.column_stack([xy, np.ones(len(xy))])
        (a, b, c), *_rest = np.linalg.lstsq(system, -(xy**2).sum(axis=1), rcond=None)
        squared = a * a / 4 + b * b / 4 - c
        if squared <= 0:
            return None
        x, y, radius = -a / 2, -b / 2, float(np.sqrt(squared))
        off = np.abs(np.hypot(xy[:, 0] - x, xy[:, 1] - y) - radius)
        keep = off <= max(1.5, 2.0 * float(np.median(off)))
        if keep.all() or keep.sum() < height // 3:
            break
        xy = xy[keep]
    curved = 0.35 * height <= radius <= 0.9 * height
    if not curved or float(np.median(off)) > 0.02 * radius:
        return None
    # Of a circle, the corners of its bounding square are dark.
    rows, columns = np.mgrid[0:height, 0:width]
    distance = np.hypot(columns - x, rows - y)
    outside, inside = distance > radius + 2, distance < radius - 2
    if outside.sum() < 0.04 * bright.size or bright[outside].mean() > 0.05 or bright[inside].mean() < 0.75:
        return None
    return float(x) + 0.5, float(y) + 0.5, radius


def _even(left: int, top: int, right: int, bottom: int) -> tuple[int, int, int, int]:
    left, top = left - left % 2, top - top % 2
    return left, top, max(2, (right - left) // 2 * 2), max(2, (bottom - top) // 2 * 2)


def _full(width: int, height: int) -> ContentArea:
    return ContentArea("full", (0, 0, width, height), (width // 2, height // 2), 0)
