"""Whether the input is a picture at all, with persistence: one odd frame changes nothing."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.video.content import ContentArea
from surgical_ml.video.frame import Frame, Image

ENTER_NS = 100_000_000
FROZEN_NS = 400_000_000
LEAVE_NS = 300_000_000
_COLUMNS = 192

_SHARP = 0.08
"""Edges against contrast, below which nothing is sharp. Sharp synthetic pictures have 0.14 and more, real ones 0.22; of
those out of focus by 3 % of the height (a Gaussian of that deviation) nine in ten have less, of real ones all."""

_BARS = np.array(
    [(1, 1, 1), (0, 1, 1), (1, 1, 0), (0, 1, 0), (1, 0, 1), (0, 0, 1), (1, 0, 0), (0, 0, 0)],
    np.bool_,
)
"""Which of B, G and R shine in each bar: grey, yellow, cyan, green, magenta, red, blue, black."""

_LAYOUTS = ((7, 0.0, 1.0), (8, 0.0, 1.0), (7, 0.125, 0.875))
"""How many of the bars there are, and between which shares of the width: SMPTE EG 1, EBU, SMPTE RP 219."""


class QualityState(StrEnum):
    """What is wrong with the input; NO_SIGNAL: a uniform picture that no camera makes."""

    OK = "ok"
    NO_SIGNAL = "no-signal"
    BLACK = "black"
    SATURATED = "saturated"
    COLOUR_BARS = "colour-bars"
    FROZEN = "frozen"
    BLURRED = "blurred"
    WRONG_SIZE = "wrong-size"


@dataclass(frozen=True, slots=True)
class Quality:
    """The state, and the stamp since when it holds."""

    state: QualityState
    since_ns: int


class QualityMonitor:
    """Judges every frame on a small copy, and changes its state only when a finding persists.

    A fault counts after `ENTER_NS` (frozen: `FROZEN_NS`, measured from the first of the identical frames), also where one
    kind turns into another meanwhile, and is over after `LEAVE_NS` without any. A changed size counts at once: no later
    stage may mix two sizes.
    """

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None
        self._last: npt.NDArray[np.uint8] | None = None
        self._moved_ns = 0
        self._state = Quality(QualityState.OK, 0)
        self._candidate = QualityState.OK
        self._candidate_ns = 0

    def update(self, frame: Frame, content: ContentArea) -> Quality:
        """Judge one frame."""
        size, now = (frame.width, frame.height), frame.stamp_ns
        if self._size is None:
            self._size, self._moved_ns = size, now
            self._state, self._candidate_ns = Quality(QualityState.OK, now), now
        if size != self._size:
            self._last, found = None, QualityState.WRONG_SIZE
        else:
            found = self._judge(frame, content)
        # As long as the state is OK, faults that alternate count as one: what matters is that there is one at all.
        one_fault = self._state.state is QualityState.OK and QualityState.OK not in (found, self._candidate)
        if found is not self._candidate and not one_fault:
            self._candidate_ns = now
        self._candidate = found
        if found is self._state.state:
            return self._state
        wait = LEAVE_NS if found is QualityState.OK else ENTER_NS
        if found in (QualityState.WRONG_SIZE, QualityState.FROZEN) or now - self._candidate_ns >= wait:
            self._state = Quality(found, now)
        return self._state

    def _judge(self, frame: Frame, content: ContentArea) -> QualityState:
        step = max(1, frame.width // _COLUMNS)
        # Every n-th pixel as it is: averaging would hide the noise that tells a frozen picture from a quiet one.
        raw = np.ascontiguousarray(frame.image[::step, ::step])
        if self._last is None or self._last.shape != raw.shape or not np.array_equal(raw, self._last):
            self._moved_ns = frame.stamp_ns
        self._last = raw
        x, y, width, height = (value // step for value in content.box)
        seen = raw[y : y + max(1, height), x : x + max(1, width)]
        state = _still(seen)
        if state is not QualityState.OK:
            return state
        # A picture that moved once after it froze is still frozen, unless it goes on moving.
        limit_ns = ENTER_NS if self._state.state is QualityState.FROZEN else FROZEN_NS
        if frame.stamp_ns - self._moved_ns >= limit_ns:
            return QualityState.FROZEN
        return QualityState.BLURRED if _blurred(frame.image, content) else QualityState.OK


def _still(seen: Image) -> QualityState:
    """What one small picture shows by its colours alone."""
    # A ninth of the small picture is enough for what its colours alone can say.
    few = np.ascontiguousarray(seen[::3, ::3])
    if np.count_nonzero(few.max(axis=2) >= 18) < 0.01 * few.shape[0] * few.shape[1]:
        return QualityState.BLACK
    flat = few.reshape(-1, 3)
    if float(flat.std(axis=0).max()) < 1.0:
        return QualityState.NO_SIGNAL
    if float((few.min(axis=2) >= 250).mean()) > 0.6:
        return QualityState.SATURATED
    return QualityState.COLOUR_BARS if _bars(seen) else QualityState.OK


def _bars(seen: Image) -> bool:
    """Upright bars in the order of one of the layouts: the upper half of each is nearly its own colour."""
    height, width = seen.shape[:2]
    if width < 40 or height < 8:
        return False
    columns = seen[height // 8 : height // 2 : 4].mean(axis=0, dtype=np.float32)

    def shown(count: int, start: float, end: float) -> bool:
        edges = width * (start + (end - start) * np.arange(count + 1) / count)
        for (a, b), bright in zip(pairwise(edges), _BARS[:count], strict=True):
            bar = columns[round(0.75 * a + 0.25 * b) : round(0.25 * a + 0.75 * b)].mean(axis=0)
            # 75 % and 100 % bars share their signs: compare what is bright with what is dark.
            if not np.where(bright, bar >= 120, bar <= 80).all():
                return False
        return True

    return any(shown(*layout) for layout in _LAYOUTS)


def _blurred(image: Image, content: ContentArea) -> bool:
    """Nothing is sharp in the middle of the view: its edges are weak against its own contrast, which smoke lowers alike.

    Both are measured twice, on pixels beside each other, and multiplied: what is not the same in both is a sensor's noise,
    which is neither. A grain as fine as the step between them shows with opposite signs in the two, and is sharp all the
    more. In doubt a picture is sharp.
    """
    x, y, width, height = content.box
    step = max(2, image.shape[1] // 320)
    inner_width, inner_height = width // 2 // step * step, height // 2 // step * step
    if min(inner_width, inner_height) < 8 * step:
        return False
    left, top = x + width // 4, y + height // 4
    middle = image[top : top + inner_height, left : left + inner_width, 1]
    contrasts, edges = [], []
    for start in (0, step // 2):
        picked = np.ascontiguousarray(middle[start::step, start::step])
        columns = min(96, picked.shape[1])
        size = columns, max(4, round(columns * picked.shape[0] / picked.shape[1]))
        small = cv2.resize(picked, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        contrasts.append(small - small.mean())
        edges.append(cv2.Laplacian(small, cv2.CV_32F))
    contrast = max(4.0, float((contrasts[0] * contrasts[1]).mean()))
    both = edges[0] * edges[1]
    at_most = abs(float(both.mean())) + 2.0 * float(both.std()) / np.sqrt(both.size)
    return bool(at_most < _SHARP**2 * contrast)
