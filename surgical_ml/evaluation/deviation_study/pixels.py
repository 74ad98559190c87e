"""The study of departures on pixels: each case is drawn, and the networks look at it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from surgical_ml.engine import Model, load_model, open_engine
from surgical_ml.evaluation.deviation_study.labelled_case import JudgedCase, announced, judged
from surgical_ml.evaluation.deviation_study.study import (
    CASE_S,
    FPS,
    PROCEDURE,
    TIME_SCALE,
    DeviationStudy,
    StudyCases,
    bounds_of,
    departing_plan,
    normal_plan,
    summed_up,
)
from surgical_ml.evaluation.metrics import TrueEvent
from surgical_ml.perception import Observation, Perceiver
from surgical_ml.simulation import CasePlan, Renderer
from surgical_ml.video import Frame
from surgical_ml.workflow import load_protocol

SIZE = (480, 270)


def seen(model: Model, plan: CasePlan) -> Iterator[Observation]:
    """What the networks make of each frame of a case."""
    engines = (open_engine("onnxruntime", model.file(name), threads=1) for name in ("frame", "phase"))
    perceiver, renderer = Perceiver(model.manifest, *engines), Renderer(plan, SIZE)
    for k in range(int(plan.duration_s * FPS)):
        yield perceiver.perceive(Frame(renderer.at(k / FPS).image, round(k * 1e9 / FPS), k))


def judge_drawn(seed: int, departs: bool, *, model: str) -> JudgedCase:
    """One case of the study, drawn."""
    loaded, protocol = load_model(model), load_protocol(PROCEDURE)
    plan = departing_plan(seed, bounds_of(protocol, TIME_SCALE)) if departs else normal_plan(seed)
    told = announced(loaded, protocol, seen(loaded, plan), fps=FPS, time_scale=TIME_SCALE)
    truths = tuple(TrueEvent(one.kind, one.subject, one.onset_s, one.end_s) for one in plan.deviations)
    return judged(f"case-{seed}", plan.duration_s, truths, told)


def run_pixel_study(
    cases: StudyCases,
    *,
    model: str = PROCEDURE,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> DeviationStudy:
    """Draw every case, and judge it through the networks and a session.

    Args:
        cases: how many of which.
        model: shipped model, or model folder.
        workers: processes.
        progress: told (cases done, cases).

    Raises:
        InputError: the model is not what it must be.
    """
    sha256 = load_model(model).sha256
    seeds = range(cases.first, cases.first + cases.normal + cases.departing)
    departs = [k >= cases.normal for k in range(len(seeds))]
    judged_cases: list[JudgedCase] = []
    # A forked copy of a process in which OpenCV has threads waits for them for ever.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for case in pool.map(partial(judge_drawn, model=model), seeds, departs):
            judged_cases.append(case)
            if progress is not None:
                progress(len(judged_cases), len(seeds))
    setup = (
        f"{cases.normal} normal and {cases.departing} departing cases of about {CASE_S / 60:g} minutes ({TIME_SCALE:g} times "
        f"faster than real) at {FPS} frames/s, {SIZE[0]}x{SIZE[1]}, seeds from {cases.first}."
    )
    return summed_up(judged_cases, f"none; seen by model {sha256[:12]}", setup)
