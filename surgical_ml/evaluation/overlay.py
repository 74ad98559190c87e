"""A decision drawn on its frame, for people; never part of the primary video path."""

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.decision import Decision
from surgical_ml.guidance import Priority
from surgical_ml.perception import Grid, Refusal
from surgical_ml.video import Frame, Image

# Okabe and Ito's colours, told apart with any colour vision; as BGR. Tools first, then structures, by channel.
_COLOURS: tuple[tuple[int, int, int], ...] = (
    (233, 180, 86),
    (0, 159, 230),
    (66, 228, 240),
    (178, 114, 0),
    (167, 121, 204),
    (115, 158, 0),
    (230, 230, 230),
    (0, 94, 213),
    (120, 200, 120),
    (60, 220, 220),
    (80, 80, 255),
)
_PRIORITY_COLOURS = {
    Priority.HIGH: (60, 60, 255),
    Priority.MEDIUM: (66, 228, 240),
    Priority.LOW: (233, 180, 86),
    Priority.NONE: (220, 220, 220),
}
_WHITE = (245, 245, 245)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


_FINER = 8
"""Between cells logits are interpolated so many times as finely: a contour then runs in halves of an input pixel."""


def label_map(grid: Grid, width: int, height: int) -> npt.NDArray[np.uint8]:
    """The grid's labels at the frame's size, (height, width) uint8; 0 where the grid does not reach.

    Where the grid has its logits, they are interpolated between its cells, and contours do not follow the cells' corners.
    """
    labels, scale = grid.labels, grid.scale
    if grid.logits is not None:
        labels, scale = _between_cells(grid.logits, grid.labels), grid.scale / _FINER
    to_grid = np.array(
        [
            [1 / scale, 0, -grid.offset_px[0] / scale - 0.5 + 0.5 / scale],
            [0, 1 / scale, -grid.offset_px[1] / scale - 0.5 + 0.5 / scale],
        ]
    )
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(labels, to_grid, (width, height), flags=flags, borderValue=0), np.uint8)


def _between_cells(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The largest of the interpolated logits, `_FINER` times the grid's size; only classes that are the largest somewhere."""
    size = labels.shape[1] * _FINER, labels.shape[0] * _FINER
    shown = np.unique(labels)
    best = cv2.resize(logits[shown[0]], size, interpolation=cv2.INTER_LINEAR)
    fine = np.full(best.shape, shown[0], np.uint8)
    for label in shown[1:]:
        own = cv2.resize(logits[label], size, interpolation=cv2.INTER_LINEAR)
        fine[own > best] = label
        np.maximum(best, own, out=best)
    return fine


def draw(frame: Frame, decision: Decision) -> Image:
    """A copy of the frame with contours, tips, the state of things, and the advisories in words.

    While the decision is withheld, nothing of the network is drawn: only that it is withheld, and why. A frame from
    outside the body may show people, so nothing of its picture is kept.
    """
    picture = frame.image.copy()
    if decision.observation is not None and decision.observation.refusal is Refusal.OUT_OF_BODY:
        picture[:] = 0
    scale = frame.height / 720
    if not decision.withheld:
        if decision.observation is not None and decision.observation.grid is not None:
            _contours(picture, decision.observation.grid, scale)
        for track in decision.instruments:
            if track.tip_px is not None:
                cv2.circle(
                    picture, track.tip_px, max(2, round(7 * scale)), _WHITE, max(1, round(2 * scale)), cv2.LINE_AA
                )
                at = (track.tip_px[0] + round(12 * scale), track.tip_px[1])
                _text(picture, f"{track.type} #{track.id}", at, 0.8 * scale, _WHITE)
    line = round(30 * scale)
    x, y = round(16 * scale), round(34 * scale)
    for words, colour in _words(decision):
        _text(picture, words, (x, y), 0.75 * scale, colour)
        y += line
    return picture


def _words(decision: Decision) -> list[tuple[str, tuple[int, int, int]]]:
    lines: list[tuple[str, tuple[int, int, int]]] = []
    if decision.withheld:
        lines.append((f"WITHHELD: {decision.withheld}", _PRIORITY_COLOURS[Priority.MEDIUM]))
    elif decision.phase is not None:
        phase = decision.phase
        candidate = f"  (candidate {phase.candidate})" if phase.candidate else ""
        lines.append((f"{phase.committed or 'no phase yet'}{candidate}", _WHITE))
    if decision.degraded:
        lines.append((f"degraded: {', '.join(decision.degraded)}", _WHITE))
    lines += [(advisory.text, _PRIORITY_COLOURS[advisory.priority]) for advisory in decision.advisories]
    return lines


def _contours(picture: Image, grid: Grid, scale: float) -> None:
    for label in np.unique(grid.labels):
        if label == 0:
            continue
        own = (grid.labels == label).view(np.uint8)
        contours, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        # A cell's index is its corner; its centre lies half a cell further.
        moved = [
            np.round((contour.astype(np.float64) + 0.5) * grid.scale + np.array(grid.offset_px)).astype(np.int32)
            for contour in contours
        ]
        colour = _COLOURS[(int(label) - 1) % len(_COLOURS)]
        cv2.polylines(picture, moved, True, colour, max(1, round(2 * scale)), cv2.LINE_AA)


def _text(picture: Image, words: str, at: tuple[int, int], size: float, colour: tuple[int, int, int]) -> None:
    """Text with a dark edge, readable on any tissue."""
    thick = max(1, round(2 * size))
    cv2.putText(picture, words, at, _FONT, size, (0, 0, 0), thick + 2, cv2.LINE_AA)
    cv2.putText(picture, words, at, _FONT, size, colour, thick, cv2.LINE_AA)
