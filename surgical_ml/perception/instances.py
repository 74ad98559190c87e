"""Instruments and structures as things, from the network's grids."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.engine import Manifest
from surgical_ml.perception.observation import PPM, SeenInstrument, SeenStructure
from surgical_ml.perception.preprocess import STRIDE, Placement

MIN_CELLS = 8
"""Smaller components are noise: 8 cells are 128 pixels of a 192 x 320 input."""

MOST = 32
"""More pieces than this are noise, too: the largest are kept, so that every frame has a record that fits."""

Grid2 = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]


def label_grid(logits: npt.NDArray[np.float32]) -> tuple[Labels, Grid2]:
    """Arg-max labels (h, w) uint8 and their soft-max probability (h, w) float32, of logits (classes, h, w)."""
    labels = logits.argmax(axis=0)
    peak = np.take_along_axis(logits, labels[None], axis=0)
    probability = 1.0 / np.exp(logits - peak).sum(axis=0)
    return labels.astype(np.uint8), probability.astype(np.float32)


def find_instruments(
    labels: Labels,
    probability: Grid2,
    tips: npt.NDArray[np.float32],
    manifest: Manifest,
    placement: Placement,
    content_box: tuple[int, int, int, int],
) -> tuple[SeenInstrument, ...]:
    """Connected components of each tool, largest first within a tool, tools in the manifest's order; at most `MOST`.

    Args:
        labels: (h, w) uint8 segmentation ids at stride 4.
        probability: (h, w) float32, of the label.
        tips: (tools, h, w) float32 heat-maps, probabilities.
        manifest: names and thresholds.
        placement: how the network's input lies on the frame.
        content_box: (x, y, width, height) in the frame's pixels.
    """
    found: list[SeenInstrument] = []
    for tool, name in enumerate(manifest.tools):
        own = (labels == tool + 1).view(np.uint8)
        if not own.any():
            continue
        count, component, stats, _ = cv2.connectedComponentsWithStats(own, connectivity=8)
        order = sorted(range(1, count), key=lambda k: (-int(stats[k, cv2.CC_STAT_AREA]), k))
        for k in order:
            x, y, width, height, cells = (int(value) for value in stats[k])
            if cells < MIN_CELLS:
                continue
            window = component[y : y + height, x : x + width] == k
            tip, tip_score = _tip(tips[tool], (x, y, width, height), manifest.thresholds.tip)
            box = _to_frame_box((x, y, width, height), placement)
            found.append(
                SeenInstrument(
                    type=name,
                    score_ppm=_ppm(probability[y : y + height, x : x + width][window].mean()),
                    tip_px=None if tip is None else _to_frame_point(tip, placement),
                    tip_score_ppm=tip_score,
                    area_px=round(cells * (STRIDE / placement.scale) ** 2),
                    box_px=box,
                    axis_mrad=_axis(window),
                    at_border=_touches(box, content_box, STRIDE / placement.scale),
                )
            )
    if len(found) > MOST:
        kept = sorted(found, key=lambda one: -one.area_px)[:MOST]
        found = [one for one in found if one in kept]
    return tuple(found)


def find_structures(labels: Labels, manifest: Manifest, placement: Placement) -> tuple[SeenStructure, ...]:
    """Area and bounding box of each critical structure that is seen, in the manifest's order."""
    found: list[SeenStructure] = []
    for offset, name in enumerate(manifest.structures):
        label = 1 + len(manifest.tools) + offset
        own = (labels == label).view(np.uint8)
        cells = int(np.count_nonzero(own))
        if cells < MIN_CELLS:
            continue
        box = tuple(int(value) for value in cv2.boundingRect(own))
        area = round(cells * (STRIDE / placement.scale) ** 2)
        found.append(SeenStructure(name, label, area, _to_frame_box((box[0], box[1], box[2], box[3]), placement)))
    return tuple(found)


def _tip(heat: Grid2, box: tuple[int, int, int, int], threshold: float) -> tuple[tuple[float, float] | None, int]:
    """The heat-map's peak within one cell of the box, refined over 3 x 3 cells; (None, 0) below the threshold."""
    rows, columns = heat.shape
    x0, y0 = max(0, box[0] - 1), max(0, box[1] - 1)
    x1, y1 = min(columns, box[0] + box[2] + 1), min(rows, box[1] + box[3] + 1)
    window = heat[y0:y1, x0:x1]
    at = int(window.argmax())
    y, x = y0 + at // window.shape[1], x0 + at % window.shape[1]
    peak = float(heat[y, x])
    if peak < threshold:
        return None, 0
    ys, xs = slice(max(0, y - 1), min(rows, y + 2)), slice(max(0, x - 1), min(columns, x + 2))
    weight = np.maximum(heat[ys, xs], 0.0).astype(np.float64)
    grid_y, grid_x = np.mgrid[ys, xs]
    total = float(weight.sum())
    return (float((weight * grid_x).sum() / total), float((weight * grid_y).sum() / total)), _ppm(peak)


def _axis(window: npt.NDArray[np.bool_]) -> int:
    """Direction of the component's long axis, milliradians in [0, pi): half the angle of its second moments."""
    ys, xs = np.nonzero(window)
    dx, dy = xs - xs.mean(), ys - ys.mean()
    angle = 0.5 * math.atan2(2.0 * float((dx * dy).sum()), float((dx * dx).sum() - (dy * dy).sum()))
    return round(1000 * (angle % math.pi)) % 3142


def _to_frame_point(cell: tuple[float, float], placement: Placement) -> tuple[int, int]:
    x, y = placement.to_frame((cell[0] + 0.5) * STRIDE, (cell[1] + 0.5) * STRIDE)
    return round(x), round(y)


def _to_frame_box(box: tuple[int, int, int, int], placement: Placement) -> tuple[int, int, int, int]:
    x0, y0 = placement.to_frame(box[0] * STRIDE, box[1] * STRIDE)
    x1, y1 = placement.to_frame((box[0] + box[2]) * STRIDE, (box[1] + box[3]) * STRIDE)
    return round(x0), round(y0), round(x1) - round(x0), round(y1) - round(y0)


def _touches(box: tuple[int, int, int, int], content: tuple[int, int, int, int], cell_px: float) -> bool:
    """Whether the box reaches the content area's border, within two cells."""
    reach = 2 * cell_px
    return (
        box[0] - content[0] <= reach
        or box[1] - content[1] <= reach
        or content[0] + content[2] - (box[0] + box[2]) <= reach
        or content[1] + content[3] - (box[1] + box[3]) <= reach
    )


def _ppm(probability: float | np.floating[npt.NBitBase]) -> int:
    return round(PPM * float(probability))
