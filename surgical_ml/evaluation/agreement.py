"""Whether two engines, or two models, say the same of a case: what a model is checked by before it is signed."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.engine import Engine, Model, open_engine
from surgical_ml.errors import InputError
from surgical_ml.evaluation.overlay import label_map
from surgical_ml.perception import Observation, Perceiver, Refusal
from surgical_ml.perception.observation import PPM, Grid
from surgical_ml.simulation import Renderer, plan_case
from surgical_ml.simulation.plan import Split
from surgical_ml.video import Frame, Image, open_source

LEAST_IOU_PPM = {"fp32": 995_000, "fp16": 995_000, "int8": 970_000}
"""Of the masks, by the coarser precision of the two."""

LEAST_PHASE_PPM = 999_000
FRAMES = 240
"""Of all rendered operations together."""

OPERATIONS = range(4400, 4408)
"""Seeds of those that two are compared on; nothing of another precision is chosen by looking at them."""

_FPS, _SIZE = 5, (480, 270)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared: a model, and what its frame network runs on."""

    model: Model
    engine: str = "onnxruntime"
    bf16: bool = False
    threads: int = 2

    def __str__(self) -> str:
        manifest = self.model.manifest
        runs = f"{self.engine} bf16" if self.bf16 else self.engine
        return f"{manifest.name}/{manifest.version} {manifest.precision} on {runs}"


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the two agree over the frames of a case, or of several.

    Attributes:
        left, right: what was compared.
        case: what on.
        frames: how many, in all cases.
        mask_iou_ppm: intersection over union of the label maps, per class over all frames of a case, mean over the classes
            that either shows, background being one; then mean over the cases.
        lowest_case: the case with the lowest, and its value in ppm.
        lowest: the class with the lowest over all frames, and its value in ppm.
        phase_ppm: share of the frames that either admits, which both admit and give the same likeliest phase.
        admission_ppm: share of all frames that both admit, or both refuse for the same reason.
        worst_case, worst_index: the frame whose own mean is the lowest. worst_iou_ppm: that mean.
        least_iou_ppm, least_phase_ppm: what passes. One case alone decides nothing: a class of four cells in all its
            frames, one of which differs, would fail it.
    """

    left: str
    right: str
    case: str
    frames: int
    mask_iou_ppm: int
    lowest_case: tuple[str, int]
    lowest: tuple[str, int]
    phase_ppm: int
    admission_ppm: int
    worst_case: str
    worst_index: int
    worst_iou_ppm: int
    least_iou_ppm: int
    least_phase_ppm: int

    @property
    def passed(self) -> bool:
        """Whether both are as near to each other as they must be."""
        return self.mask_iou_ppm >= self.least_iou_ppm and self.phase_ppm >= self.least_phase_ppm

    def to_json(self) -> dict[str, Any]:
        """Every number under its name."""
        return {"schema": 2, "passed": self.passed} | asdict(self)


Progress = Callable[[int, int | None], None]


def compare(
    left: Side, right: Side, video: str | None = None, *, picture: Path | None = None, progress: Progress | None = None
) -> Agreement:
    """Let both see the same case or cases, each with its own memory, which begins anew with each.

    Args:
        left, right: what is compared.
        video: what `open_source` takes; `FRAMES` frames, evenly of the rendered `OPERATIONS`, if None.
        picture: file to write the worst frame to: left, right, and where they differ.
        progress: told (frames done, frames or None).

    Raises:
        InputError: an engine or the video cannot be opened, an engine failed on a frame, the models do not have the same
            classes and phases, or the case has no frame.
    """
    manifest = left.model.manifest
    for name in ("segmentation", "phases", "input"):
        ours, theirs = getattr(manifest, name), getattr(right.model.manifest, name)
        if ours != theirs:
            raise InputError(f"{right}: {name}", str(ours), str(theirs))
    counts: dict[str, npt.NDArray[np.int64]] = {}
    frames = judged = same_phase = same_admission = 0
    worst: tuple[float, str, Frame, Grid, Grid] | None = None
    with ExitStack() as stack:
        engines = [_engines(side, stack) for side in (left, right)]
        for case, shown, total in _cases(video, stack):
            pair = [Perceiver(side.model.manifest, *own) for side, own in zip((left, right), engines, strict=True)]
            for frame in shown:
                seen = [one.perceive(frame) for one in pair]
                grids = [_grid(side, one) for side, one in zip((left, right), seen, strict=True)]
                overlap = _overlap(grids[0].labels, grids[1].labels, len(manifest.segmentation))
                counts[case] = counts.get(case, 0) + overlap
                own_iou = _mean_iou(overlap)
                if worst is None or own_iou < worst[0]:
                    worst = (own_iou, case, replace(frame, image=frame.image.copy()), grids[0], grids[1])
                frames += 1
                same_admission += seen[0].refusal == seen[1].refusal
                if seen[0].admitted or seen[1].admitted:
                    judged += 1
                    both = seen[0].admitted and seen[1].admitted
                    same_phase += both and int(np.argmax(seen[0].phase_ppm)) == int(np.argmax(seen[1].phase_ppm))
                if progress is not None:
                    progress(frames, total)
    if worst is None or not judged:
        raise InputError(video or "case", "a frame that either admits", "none")
    if picture is not None:
        _write(picture, _draw(worst[2].image, worst[3], worst[4]))
    by_case = {case: int(PPM * _mean_iou(own)) for case, own in counts.items()}
    pooled = np.sum(list(counts.values()), axis=0)
    classes = np.flatnonzero(pooled[1])
    each = pooled[0][classes] / pooled[1][classes]
    low = int(each.argmin())
    coarser = max((left.model.manifest.precision, right.model.manifest.precision), key=list(LEAST_IOU_PPM).index)
    return Agreement(
        str(left),
        str(right),
        video or f"{len(counts)} rendered operations from seed {OPERATIONS[0]}, {_SIZE[0]}x{_SIZE[1]}",
        frames,
        sum(by_case.values()) // len(by_case),
        min(by_case.items(), key=lambda one: one[1]),
        (manifest.segmentation[int(classes[low])], int(PPM * each[low])),
        PPM * same_phase // judged,
        PPM * same_admission // frames,
        worst[1],
        worst[2].index,
        int(PPM * worst[0]),
        LEAST_IOU_PPM[coarser],
        LEAST_PHASE_PPM,
    )


def rendered(
    seed: int, frames: int, *, split: Split = "held-out", disturbances: tuple[str, ...] = ()
) -> Iterable[Frame]:
    """So many frames, evenly over a rendered operation; the same for the same arguments. `plan_case` says what they mean."""
    plan = plan_case(seed, duration_s=frames / _FPS, split=split, disturbances=disturbances)
    renderer = Renderer(plan, _SIZE)
    for k in range(frames):
        t_s = (k + 0.5) * plan.duration_s / frames
        yield Frame(renderer.at(t_s).image, round(1e9 * k / _FPS), k)


def _cases(video: str | None, stack: ExitStack) -> Iterable[tuple[str, Iterable[Frame], int | None]]:
    """Name and frames of each case, and how many frames all have."""
    if video is not None:
        source = stack.enter_context(open_source(video))
        yield video, source, source.info.frames
        return
    each = max(1, FRAMES // len(OPERATIONS))
    for seed in OPERATIONS:
        yield f"operation {seed}", rendered(seed, each), each * len(OPERATIONS)


def _engines(side: Side, stack: ExitStack) -> tuple[Engine, Engine]:
    """Of the frame network and the phase network, as a case has them."""
    frame = open_engine(side.engine, side.model.file("frame"), threads=side.threads, bf16=side.bf16)
    stack.callback(frame.close)
    phase = open_engine("onnxruntime", side.model.file("phase"), threads=1)
    stack.callback(phase.close)
    return frame, phase


def _grid(side: Side, seen: Observation) -> Grid:
    if seen.refusal is Refusal.ENGINE_FAULT or seen.grid is None:
        raise InputError(str(side), "an answer to every frame", f"a fault at frame {seen.index}")
    return seen.grid


def _overlap(left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8], classes: int) -> npt.NDArray[np.int64]:
    """(2, classes): cells that both give a class, and that either does."""
    table = np.bincount(left.astype(np.int64).ravel() * classes + right.ravel(), minlength=classes * classes)
    table = table.reshape(classes, classes)
    both = table.diagonal()
    return np.stack([both, table.sum(0) + table.sum(1) - both]).astype(np.int64)


def _mean_iou(overlap: npt.NDArray[np.int64]) -> float:
    shown = overlap[1] > 0
    return float((overlap[0][shown] / overlap[1][shown]).mean())


def _draw(image: Image, left: Grid, right: Grid) -> Image:
    """The frame three times: the one's masks, the other's, and in red where they differ."""
    height, width = image.shape[:2]
    labels = [label_map(grid, width, height) for grid in (left, right)]
    hues = np.zeros((1, 256, 3), np.uint8)
    hues[0, 1:, 0], hues[0, 1:, 1:] = np.arange(255) * 53 % 180, 230
    colours = cv2.cvtColor(hues, cv2.COLOR_HSV2BGR)
    panels = []
    for own in labels:
        painted = cv2.LUT(cv2.merge([own, own, own]), colours)
        mixed = cv2.addWeighted(image, 0.55, painted, 0.45, 0)
        panels.append(np.where(own[:, :, None] > 0, mixed, image))
    differing = (labels[0] != labels[1])[:, :, None]
    panels.append(np.where(differing, np.array([0, 0, 255], np.uint8), image // 2))
    return np.ascontiguousarray(np.hstack(panels), np.uint8)


def _write(path: Path, picture: Image) -> None:
    """Whole or not at all."""
    good, content = cv2.imencode(".png", picture)
    if not good:
        raise InputError(path, "a picture that can be written", "none")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    aside.write_bytes(content.tobytes())
    aside.replace(path)
