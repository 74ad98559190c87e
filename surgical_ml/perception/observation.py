"""What one frame shows, in numbers that compare exactly.

Probabilities are integers in parts per million (ppm): a record holds no floats, and two runs agree or differ,
never nearly.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

PPM = 1_000_000


class Refusal(StrEnum):
    """Why an observation may not count as evidence; each is also the reason the gate shows."""

    NO_SIGNAL = "no-signal"
    BLACK = "black"
    SATURATED = "saturated"
    COLOUR_BARS = "colour-bars"
    FROZEN = "frozen"
    BLURRED = "blurred"
    WRONG_SIZE = "wrong-size"
    OUT_OF_BODY = "out-of-body"
    UNLIKE_TRAINING = "unlike-training"
    ENGINE_FAULT = "engine-fault"


@dataclass(frozen=True, slots=True)
class SeenInstrument:
    """One connected instrument in one frame.

    Attributes:
        type: the manifest's name of the tool.
        score_ppm: mean probability of the type over its pixels.
        tip_px: (x, y) of its working end in the frame's own pixels, or None where it is hidden.
        tip_score_ppm: the heat-map's peak there; 0 without a tip.
        area_px: its area in the frame's pixels.
        box_px: (x, y, width, height) in the frame's pixels.
        axis_mrad: direction of its long axis, in [0, pi) milliradians from the x axis, y down.
        at_border: it enters from the border of the content area.
    """

    type: str
    score_ppm: int
    tip_px: tuple[int, int] | None
    tip_score_ppm: int
    area_px: int
    box_px: tuple[int, int, int, int]
    axis_mrad: int
    at_border: bool


@dataclass(frozen=True, slots=True)
class SeenStructure:
    """One kind of critical structure in one frame: its id in the label map, its area and box in the frame's pixels."""

    type: str
    label: int
    area_px: int
    box_px: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Grid:
    """The network's label map and how it lies on the frame.

    Attributes:
        labels: (h, w) uint8, the manifest's segmentation ids at stride 4 of the network's input.
        scale: frame pixels a grid cell covers.
        offset_px: frame position (x, y) of the grid's upper left corner; negative where bars were added.
        logits: (classes, h, w) float32 that the labels are the largest of; None from an engine that keeps them to itself.
    """

    labels: npt.NDArray[np.uint8]
    scale: float
    offset_px: tuple[float, float]
    logits: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that is taken from one frame.

    Attributes:
        index, stamp_ns: the frame's.
        input_sha256: digest of the network's resized input, hex.
        size_px: (width, height) of the frame.
        content_box_px: (x, y, width, height) of the content area; `content_shape` is full, circle or box.
        refusal: why it may not count as evidence; None when it was admitted.
        degraded: qualities that are poor but tolerable (smoke, blood, ...), in the manifest's order.
        instruments, structures: what is seen; empty when not admitted.
        presence_ppm: probability that each tool of the manifest is present.
        phase_ppm, next_ppm: probability of each phase of the manifest now, and of the phase that follows.
        progress_ppm: share of the operation that has passed.
        boundary_ppm: probability that a phase boundary is near.
        in_body_ppm: probability that the endoscope is inside the body.
        novelty_ppm: distance from the training data; 1,000,000 is the calibrated limit.
        grid: the label map, kept in memory and never recorded; None when no network ran.
    """

    index: int
    stamp_ns: int
    input_sha256: str
    size_px: tuple[int, int]
    content_shape: str
    content_box_px: tuple[int, int, int, int]
    refusal: Refusal | None
    degraded: tuple[str, ...] = ()
    instruments: tuple[SeenInstrument, ...] = ()
    structures: tuple[SeenStructure, ...] = ()
    presence_ppm: tuple[int, ...] = ()
    phase_ppm: tuple[int, ...] = ()
    next_ppm: tuple[int, ...] = ()
    progress_ppm: int = 0
    boundary_ppm: int = 0
    in_body_ppm: int = 0
    novelty_ppm: int = 0
    grid: Grid | None = field(default=None, compare=False, repr=False)

    @property
    def admitted(self) -> bool:
        """Whether it may count as evidence."""
        return self.refusal is None
