"""Synthetic instruments: shafts that enter from their trocars, and the seven working ends of the Cholec80 tools."""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.simulation.plan import CLASSES, Split, ToolUse

Bytes = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

_ENTRY = {0: (-0.95, 0.62), 1: (0.95, 0.55), 2: (0.55, -0.75)}
"""Where the shaft of each slot comes into view, from the middle, in heights of the picture."""

_STEEL, _BLACK, _BLUE, _WHITE = (175.0, 172.0, 168.0), (42.0, 40.0, 40.0), (150.0, 95.0, 45.0), (215.0, 220.0, 222.0)
_SHIFT = 4


@dataclass(frozen=True, slots=True)
class Pose:
    """An instrument in one frame: tip and entry in picture pixels, opening 0..1 of its jaws, and its width in pixels."""

    tip: Points
    entry: Points
    opening: float
    width: float


class Instruments:
    """Moves and draws the instruments of one case.

    Args:
        seed: of the case.
        size: (width, height) of the picture in pixels.
        split: family of looks.
    """

    def __init__(self, seed: int, size: tuple[int, int], split: Split) -> None:
        rng = np.random.default_rng([seed, 3])
        self._size = np.array(size, np.float64)
        self._speed = rng.uniform(0.12, 0.5, (3, 2, 4))
        self._phase = rng.uniform(0, 2 * np.pi, (3, 2, 4))
        self._reach = rng.uniform(0.02, 0.07, (3, 2, 4))
        self._thick = float(rng.uniform(0.050, 0.072))
        self._dark = float(rng.uniform(0.6, 1.4) if split == "train" else rng.uniform(0.8, 1.2))
        self._gloss = float(rng.uniform(0.3, 1.0))
        self._steel_shaft = bool(rng.random() < 0.3)
        self._entry_shift = rng.uniform(-0.18, 0.18, (3, 2))
        self._offset = rng.uniform(-0.07, 0.07, (3, 2))

    def pose(self, use: ToolUse, t_s: float, target: Points) -> Pose:
        """Where an instrument is: around `target` (picture pixels), sliding in and out within 0.6 s at its ends."""
        height = self._size[1]
        wave = np.sin(2 * np.pi * self._speed[use.slot] * t_s + self._phase[use.slot])
        tip = target + height * (self._offset[use.slot] + (self._reach[use.slot] * wave).sum(axis=1))
        entry = self._size / 2 + height * (np.array(_ENTRY[use.slot]) + self._entry_shift[use.slot])
        out = max(0.0, 1.0 - min(t_s - use.start_s, use.end_s - t_s) / 0.6)
        tip = tip + (entry - tip) * (1.1 * out * out)
        opening = 0.5 + 0.5 * float(np.sin(2 * np.pi * 0.35 * t_s + self._phase[use.slot, 0, 0]))
        return Pose(tip, entry, opening, self._thick * height)

    def draw(self, image: Bytes, mask: Bytes, tool: str, pose: Pose) -> tuple[float, float] | None:
        """Draw one instrument in place, its shadow first; its tip in pixels, or None outside the picture."""
        axis = pose.tip - pose.entry
        length = float(np.linalg.norm(axis))
        if length < pose.width:
            return None
        axis /= length
        brush = _Brush(image, mask, CLASSES.index(tool), pose.tip, axis, pose.width, self._dark, self._gloss)
        brush.shadow(length)
        shaft = _STEEL if self._steel_shaft or tool in ("irrigator", "clipper") else _BLACK
        getattr(self, f"_{tool}")(brush, length / pose.width, shaft, pose.opening)
        x, y = pose.tip
        inside = 0 <= x < self._size[0] and 0 <= y < self._size[1]
        return (float(x), float(y)) if inside else None

    def _grasper(self, brush: "_Brush", length: float, shaft: tuple[float, ...], opening: float) -> None:
        brush.rod(1.6, length, 1.0, shaft)
        brush.rod(1.4, 1.9, 0.75, _STEEL)
        for side in (-1, 1):
            gap = side * (0.12 + 0.4 * opening)
            brush.shape(
                [(1.5, 0.3 * side), (0.7, 0.25 * side + gap), (0.0, gap), (0.1, gap - 0.22 * side), (1.4, 0)], _STEEL
            )

    def _bipolar(self, brush: "_Brush", length: float, shaft: tuple[float, ...], opening: float) -> None:
        brush.rod(2.2, length, 0.95, _BLUE)
        for side in (-1, 1):
            gap = side * (0.10 + 0.22 * opening)
            brush.shape([(2.3, 0.4 * side), (0.6, gap + 0.20 * side), (0.0, gap), (0.5, gap - 0.05 * side)], _WHITE)

    def _hook(self, brush: "_Brush", length: float, shaft: tuple[float, ...], opening: float) -> None:
        brush.rod(2.6, length, 0.95, shaft)
        brush.rod(1.3, 2.7, 0.42, _WHITE)
        brush.shape([(1.4, -0.14), (0.0, -0.14), (0.0, 0.75), (0.24, 0.75), (0.28, 0.14), (1.4, 0.14)], _STEEL)

    def _scissors(self, brush: "_Brush", length: float, shaft: tuple[float, ...], opening: float) -> None:
        brush.rod(2.0, length, 0.9, shaft)
        brush.shape([(2.2, -0.35), (1.6, -0.3), (1.6, 0.3), (2.2, 0.35)], _STEEL)
        for side in (-1, 1):
            gap = side * (0.1 + 0.7 * opening)
            brush.shape(
                [(1.8, -0.2 * side), (0.8, 0.55 * gap + 0.25 * side), (0.0, gap), (0.9, 0.4 * gap - 0.1 * side)], _STEEL
            )

    def _clipper(self, brush: "_Brush", length: float, shaft: tuple[float, ...], opening: float) -> None:
        brush.rod(1.7, length, 1.25, shaft)
        brush.shape([(1.9, -0.6), (1.4, -0.75), (1.4, 0.75), (1.9, 0.6)], _BLACK)
        for side in (-1, 1):
            brush.shape([(1.5, 0.75 * side), (0.0, 0.6 * side), (0.0, 0.25 * side), (1.2, 0.3 * side)], _STEEL)

    def _irrigator(self, brush: "_Brush", length: float, shaft: tuple[float, ...], opening: float) -> None:
        brush.rod(0.2, length, 0.8, _STEEL)
        brush.shape([(0.4, -0.4), (0.0, -0.2), (0.0, 0.2), (0.4, 0.4)], _STEEL)
        for at in (0.5, 0.9, 1.3):
            brush.shape([(at, -0.12), (at + 0.2, -0.12), (at + 0.2, 0.12), (at, 0.12)], _BLACK)

    def _specimen_bag(self, brush: "_Brush", length: float, shaft: tuple[float, ...], opening: float) -> None:
        brush.rod(2.0, length, 0.9, shaft)
        angle = np.linspace(0, 2 * np.pi, 28)
        wobble = 1 + 0.08 * np.sin(3 * angle + 5 * opening)
        outline = [
            (1.6 + 1.6 * w * np.cos(a), (1.9 + 0.5 * opening) * w * np.sin(a))
            for a, w in zip(angle, wobble, strict=True)
        ]
        brush.shape(outline, (205.0, 190.0, 165.0))
        for side in (-0.9, 0.0, 0.8):
            brush.shape(
                [(0.6, side), (2.4, side * 0.7), (2.4, side * 0.7 + 0.12), (0.6, side + 0.14)], (165.0, 150.0, 125.0)
            )


class _Brush:
    """Draws in an instrument's own coordinates: u backwards from the tip, v across, both in shaft widths."""

    def __init__(
        self, image: Bytes, mask: Bytes, label: int, tip: Points, axis: Points, width: float, dark: float, gloss: float
    ) -> None:
        self._image, self._mask, self._label = image, mask, label
        self._tip, self._axis, self._width = tip, axis, width
        self._across = np.array([-axis[1], axis[0]])
        self._dark, self._gloss = dark, gloss

    def _pixels(self, points: list[tuple[float, float]]) -> npt.NDArray[np.int32]:
        uv = np.asarray(points, np.float64) * self._width
        xy = self._tip - uv[:, :1] * self._axis + uv[:, 1:] * self._across
        return np.asarray(np.round(xy * 2**_SHIFT), np.int32)

    def shadow(self, length: float) -> None:
        """A soft darkening beside the shaft."""
        end = length / self._width
        shifted = self._pixels([(0.6, 0.4), (end, 0.6), (end, 1.3), (0.6, 1.0)])
        x0, y0 = np.maximum(shifted.min(axis=0) >> _SHIFT, 0)
        x1, y1 = np.minimum((shifted.max(axis=0) >> _SHIFT) + 2, self._image.shape[1::-1])
        if x1 <= x0 or y1 <= y0:
            return
        window = self._image[y0:y1, x0:x1]
        dark = window.copy()
        cv2.fillPoly(
            dark, [shifted - np.array([x0, y0], np.int32) * 2**_SHIFT], (20.0, 15.0, 30.0), cv2.LINE_AA, _SHIFT
        )
        cv2.addWeighted(window, 0.65, dark, 0.35, 0.0, dst=window)

    def rod(self, start: float, end: float, thickness: float, colour: tuple[float, ...]) -> None:
        """A round shaft, lit from above."""
        edges = np.linspace(-0.5, 0.5, 7)
        for low, high in pairwise(edges):
            middle = (low + high) / 2
            shine = (
                0.55
                + 0.75 * np.sqrt(max(0.0, 1 - (2 * middle + 0.25) ** 2))
                + self._gloss * (abs(middle + 0.15) < 0.09)
            )
            self._fill(
                [(start, low * thickness), (end, low * thickness), (end, high * thickness), (start, high * thickness)],
                colour,
                shine,
            )

    def shape(self, outline: list[tuple[float, float]], colour: tuple[float, ...]) -> None:
        """A flat piece with a brighter rim."""
        self._fill(outline, colour, 0.95)
        pixels = self._pixels(outline)
        rim = tuple(min(255.0, value * self._dark * 1.25) for value in colour)
        cv2.polylines(self._image, [pixels], True, rim, 1, cv2.LINE_AA, _SHIFT)

    def _fill(self, outline: list[tuple[float, float]], colour: tuple[float, ...], light: float) -> None:
        pixels = self._pixels(outline)
        lit = tuple(float(np.clip(value * light * self._dark, 0, 255)) for value in colour)
        cv2.fillPoly(self._image, [pixels], lit, cv2.LINE_AA, _SHIFT)
        cv2.fillPoly(self._mask, [pixels], self._label, cv2.LINE_8, _SHIFT)
