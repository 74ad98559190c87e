"""What a model's networks say of a held-out synthetic case, beside what is true of it, frame by frame."""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from surgical_ml.engine import Model, load_model, open_engine
from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.tools import pair_tips
from surgical_ml.evaluation.overlay import label_map
from surgical_ml.perception import Observation, Perceiver
from surgical_ml.simulation import DISTURBANCES, QUALITIES, RICH_DISTURBANCES, TOOLS, Picture, Renderer, plan_case
from surgical_ml.simulation.plan import Look
from surgical_ml.video import Frame
from surgical_ml.workflow import Workflow, load_protocol

CONDITIONS = ("clean", *QUALITIES)
CLEAN_BELOW, SPOILT_FROM = 0.1, 0.3
"""A frame is clean if no quality is spoilt by more than the one, and smoky, bloody, ... from the other on."""

PRESENT_SHARE = 96 / (320 * 192)
"""Of the picture, from which a tool counts as present: the 6 cells that training asks for."""

UNCOMMITTED = -1
NO_LIMIT = 1e6


@dataclass(frozen=True, slots=True)
class CaseSpec:
    """Which synthetic cases: how long on average (s), how many frames/s, in which look, and (width, height) in pixels."""

    seconds: float = 360.0
    fps: float = 5.0
    look: Look = "rich"
    size: tuple[int, int] = (480, 270)


@dataclass(frozen=True, slots=True)
class NetworkCase:
    """One case; n frames, of which what is told beside `in_body` holds for those inside the body.

    Attributes:
        seed: of the case.
        conditions: (n, `CONDITIONS`) bool.
        in_body: (n,) bool; in_body_score: (n,) float64.
        overlap, union: (n, classes of the model) pixels, background first; instrument_overlap, instrument_union: (n,)
            pixels, of all tools as one.
        present: (n, tools) bool; presence_score: (n, tools) float64.
        tip_frame: (tips,) the frame of each true tip; tip_error: (tips,) its distance from the tip that was found, in
            widths of the picture, NaN where none was. tips_extra: tips found where none is.
        phase: (n,) true id; likeliest: (n,) of the network, `UNCOMMITTED` where the frame was refused; committed: (n,) of the
            workflow, `UNCOMMITTED` before its first.
        refused: (n,) bool, not admitted as evidence where the module judges; what is unlike training counts as refused and is
            scored all the same.
    """

    seed: int
    conditions: npt.NDArray[np.bool_]
    in_body: npt.NDArray[np.bool_]
    in_body_score: npt.NDArray[np.float64]
    overlap: npt.NDArray[np.int64]
    union: npt.NDArray[np.int64]
    instrument_overlap: npt.NDArray[np.int64]
    instrument_union: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]
    presence_score: npt.NDArray[np.float64]
    tip_frame: npt.NDArray[np.int64]
    tip_error: npt.NDArray[np.float64]
    tips_extra: int
    phase: npt.NDArray[np.int64]
    likeliest: npt.NDArray[np.int64]
    committed: npt.NDArray[np.int64]
    refused: npt.NDArray[np.bool_]


def run_cases(
    model: Model,
    seeds: Iterable[int],
    spec: CaseSpec,
    *,
    engine: str = "onnxruntime",
    workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[NetworkCase]:
    """Render each case and look at it; what comes out does not depend on the number of workers.

    Args:
        model: in a folder that workers can read.
        seeds: a case each, of the simulation's held-out split.
        spec: what the cases are like.
        engine: of the frame network, on one thread.
        workers: processes.
        progress: told (cases done, cases).

    Raises:
        InputError: the model or the engine is not what it must be.
    """
    seeds = list(seeds)
    found = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_run_case, model.folder, seed, spec, engine) for seed in seeds]
        for job in jobs:
            found.append(job.result())
            progress(len(found), len(seeds))
    return found


@cache
def _perceiver(folder: Path, engine: str) -> tuple[Model, Perceiver]:
    """The networks answer to every picture from inside the body: what they are worth is asked, not whether they may say it."""
    model = load_model(folder)
    thresholds = model.manifest.thresholds.model_copy(update={"novelty": NO_LIMIT})
    frame = open_engine(engine, model.file("frame"), threads=1)
    phase = open_engine("onnxruntime", model.file("phase"), threads=1)
    return model, Perceiver(model.manifest.model_copy(update={"thresholds": thresholds}), frame, phase)


def _run_case(folder: Path, seed: int, spec: CaseSpec, engine: str) -> NetworkCase:
    model, perceiver = _perceiver(folder, engine)
    manifest = model.manifest
    perceiver.reset()
    plan = plan_case(
        seed,
        duration_s=spec.seconds,
        disturbances=(*DISTURBANCES, *(RICH_DISTURBANCES if spec.look == "rich" else ())),
        split="held-out",
        look=spec.look,
    )
    protocol = load_protocol("cholecystectomy")
    real_s = sum(phase.mean_s for phase in protocol.phases)
    workflow = Workflow(protocol, phases=manifest.phases, tools=manifest.tools, time_scale=real_s / plan.duration_s)
    renderer = Renderer(plan, spec.size)
    rows: list[dict[str, Any]] = []
    tips: list[tuple[int, float]] = []
    extra = 0
    for k in range(int(plan.duration_s * spec.fps)):
        t_s = k / spec.fps
        picture, stamp_ns = renderer.at(t_s), round(1e9 * t_s)
        seen = perceiver.perceive(Frame(picture.image, stamp_ns, k))
        estimate, _ = workflow.step(stamp_ns, seen, None)
        committed = UNCOMMITTED if estimate.committed is None else manifest.phases.index(estimate.committed)
        phases = {"phase": plan.segment_at(t_s).phase, "committed": committed}
        rows.append(
            _masks(picture, seen, len(manifest.segmentation))
            | _frame(picture, seen, manifest.thresholds.novelty)
            | phases
        )
        if picture.in_body:
            errors, more = _tips(picture, seen, spec.size[0])
            tips += [(k, error) for error in errors]
            extra += more
    return NetworkCase(
        seed=seed,
        tip_frame=np.array([frame for frame, _ in tips], np.int64),
        tip_error=np.array([error for _, error in tips], np.float64),
        tips_extra=extra,
        **{name: np.array([row[name] for row in rows]) for name in rows[0]},
    )


def _masks(picture: Picture, seen: Observation, classes: int) -> dict[str, Any]:
    """Overlap and union of each class and of all tools, in pixels, and which tools are there."""
    if seen.grid is None:
        raise InputError(f"frame {seen.index}", "an answer of the frame network", "a fault of its engine")
    guess, truth = label_map(seen.grid, picture.mask.shape[1], picture.mask.shape[0]), picture.mask
    table = np.bincount(truth.astype(np.int64).ravel() * classes + guess.ravel(), minlength=classes * classes)
    table = table.reshape(classes, classes)
    tools = slice(1, 1 + len(TOOLS))
    both = int(table[tools, tools].sum())
    return {
        "overlap": table.diagonal(),
        "union": table.sum(0) + table.sum(1) - table.diagonal(),
        "instrument_overlap": both,
        "instrument_union": int(table[tools].sum() + table[:, tools].sum()) - both,
        "present": table.sum(1)[tools] >= PRESENT_SHARE * truth.size,
        "presence_score": np.array(seen.presence_ppm) / 1e6,
    }


def _frame(picture: Picture, seen: Observation, novelty: float) -> dict[str, Any]:
    quality = np.array(picture.quality)
    return {
        "conditions": np.concatenate([[quality.max() < CLEAN_BELOW], quality >= SPOILT_FROM]),
        "in_body": picture.in_body,
        "in_body_score": seen.in_body_ppm / 1e6,
        "refused": not seen.admitted or seen.novelty_ppm > 1e6 * novelty,
        "likeliest": int(np.argmax(seen.phase_ppm)) if seen.phase_ppm else UNCOMMITTED,
    }


def _tips(picture: Picture, seen: Observation, width: int) -> tuple[list[float], int]:
    """The error of each true tip in widths, NaN where none of its tool was found; and how many were found in vain."""
    errors: list[float] = []
    paired = 0
    found = [(one.type, (float(one.tip_px[0]), float(one.tip_px[1]))) for one in seen.instruments if one.tip_px]
    for tool in TOOLS:
        truth = [(x, y) for name, x, y in picture.tips if name == tool]
        distances = pair_tips(truth, [point for name, point in found if name == tool])
        paired += len(distances)
        errors += [distance / width for distance in distances] + [np.nan] * (len(truth) - len(distances))
    return errors, len(found) - paired
