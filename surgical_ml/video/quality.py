"""Whether the input is a picture at all, with persistence: one odd frame changes nothing."""

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.video.content import ContentArea
from surgical_ml.video.frame import Frame, Image

ENTER_NS = 100_000_000
FROZEN_NS = 400_000_000
LEAVE_NS = 300_000_000
_COLUMNS = 192

_BARS = np.array(
    [(180, 180, 180), (16, 180, 180), (180, 180, 16), (16, 180, 16), (180, 16, 180), (16, 16, 180), (180, 16, 16)],
    np.float32,
)
"""Colour bars in BGR, 75 %: grey, yellow, cyan, green, magenta, red, blue; the order of SMPTE EG 1."""


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

    A fault counts after `ENTER_NS` (frozen: `FROZEN_NS`, measured from the first of the identical frames), and is over
    after `LEAVE_NS` without it. A changed size counts at once: no later stage may mix two sizes.
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
        found = QualityState.WRONG_SIZE if size != self._size else self._judge(frame, content)
        if found is not self._candidate:
            self._candidate, self._candidate_ns = found, now
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
        if frame.stamp_ns - self._moved_ns >= FROZEN_NS:
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
    """Seven upright bars in SMPTE's order: the upper half of each is nearly its own colour."""
    height, width = seen.shape[:2]
    if width < 28:
        return False
    for k, colour in enumerate(_BARS):
        left, right = round((k + 0.25) * width / 7), round((k + 0.75) * width / 7)
        mean = seen[height // 8 : height // 2, left:right].reshape(-1, 3).mean(axis=0)
        # 75 % and 100 % bars share their signs: compare what is bright with what is dark.
        bright = colour > 100
        if float(mean[bright].min()) < 120 or (not bright.all() and float(mean[~bright].max()) > 80):
            return False
    return True


def _blurred(image: Image, content: ContentArea) -> bool:
    """No edge anywhere: the strongest Laplacian in the middle of the view, against its own brightness."""
    x, y, width, height = content.box
    middle = image[y + height // 4 : y + 3 * height // 4 : 2, x + width // 4 : x + 3 * width // 4 : 2, 1]
    small = cv2.GaussianBlur(np.ascontiguousarray(middle), (3, 3), 0)
    edges = cv2.Laplacian(small, cv2.CV_16S)
    return float(edges.std()) < 0.006 * max(40.0, float(small.mean()))
