"""Departures in the courses of real operations: labels in place of networks, with noise that is stated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from surgical_ml.engine import Model, load_model
from surgical_ml.errors import InputError
from surgical_ml.evaluation.deviation_study.labelled_case import JudgedCase, announced, judged, observation
from surgical_ml.evaluation.metrics import TrueEvent
from surgical_ml.evaluation.metrics.events import match_events
from surgical_ml.evaluation.metrics.summary import plain_number, quantile
from surgical_ml.guidance.risk import PROCEDURAL
from surgical_ml.perception import PPM, Observation
from surgical_ml.workflow import Protocol
from surgical_ml.workflow.protocol_course import CaseCourse, Visit, read_courses
from surgical_ml.workflow.protocol_learning import learn_protocol

FPS = 1
OF_THE_COURSE = ("order", "skipped", "repeated", "prerequisite")
"""Kinds of advisories that tell a swap, or an omission: which of them it is depends on what the protocol lists."""

COURSE = "course"
MANDATORY = 0.9
"""A phase that this share of the cases visits can be left out, or swapped with the next one, as a departure."""

OVER = 1.25
"""How many times longer than the bound an overlong phase is made."""

INJECTIONS = ("swap", "omission", "overlong")


@dataclass(frozen=True, slots=True)
class CourseNoise:
    """How answers differ from the labels: with probability `error` another phase, drawn anew every `hold_s` on average."""

    error: float = 0.04
    hold_s: float = 2.0
    confidence: float = 0.9

    def __str__(self) -> str:
        return (
            f"{100 * self.error:g} % of the answers another phase, which holds {self.hold_s:g} s on average; "
            f"{self.confidence:g} on the answer"
        )


def told(course: CaseCourse, names: Sequence[str], noise: CourseNoise, seed: int) -> Iterator[Observation]:
    """What a network with these errors might say of an operation, a frame a second."""
    rng = np.random.default_rng([seed, 51])
    start_s, end_s = course.visits[0].start_s, course.visits[-1].end_s
    times = np.arange(0.0, end_s - start_s, 1.0 / FPS)
    ends = np.array([visit.end_s - start_s for visit in course.visits])
    phases = np.array([names.index(visit.phase) for visit in course.visits])
    truth = phases[np.minimum(np.searchsorted(ends, times, side="right"), len(phases) - 1)]
    answers = _with_errors(truth, len(names), noise, rng)
    rest = round((1 - noise.confidence) * PPM / (len(names) - 1))
    for k, answer in enumerate(answers.tolist()):
        scores = [rest] * len(names)
        scores[answer] = round(noise.confidence * PPM)
        yield observation(k, round(k * 1e9 / FPS), tuple(scores), [], round(PPM * k / len(answers)))


def _with_errors(
    truth: npt.NDArray[np.int64], phases: int, noise: CourseNoise, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Answers: an error, once drawn, is the same phase until the next draw."""
    drawn = rng.random(len(truth)) < 1.0 / max(1.0, noise.hold_s * FPS)
    drawn[:1] = True
    group = np.cumsum(drawn) - 1
    wrong = rng.random(group[-1] + 1) < noise.error
    other = rng.integers(1, phases, group[-1] + 1)
    return np.where(wrong[group], (truth + other[group]) % phases, truth)


def mandatory(courses: Sequence[CaseCourse], share: float = MANDATORY) -> tuple[str, ...]:
    """The phases that nearly every case visits, by name."""
    counts: dict[str, int] = {}
    for course in courses:
        for name in {visit.phase for visit in course.visits}:
            counts[name] = counts.get(name, 0) + 1
    return tuple(sorted(name for name, count in counts.items() if count >= share * len(courses)))


def inject(
    course: CaseCourse, kind: str, needed: Sequence[str], protocol: Protocol, seed: int
) -> tuple[CaseCourse, TrueEvent] | None:
    """The operation with one departure, and when it can be seen; None where it has no place for one.

    `swap`: two neighbouring mandatory phases change places. `omission`: a mandatory phase that is visited once, neither
    first nor last, is cut out. `overlong`: a phase with a known duration lasts `OVER` times what the protocol bears.
    """
    rng = np.random.default_rng([seed, 52])
    visits = list(course.visits)
    names = [visit.phase for visit in visits]
    once = [k for k in range(1, len(visits) - 1) if names[k] in needed and names.count(names[k]) == 1]
    if kind == "swap":
        places = [k for k in once if k + 1 in once]
    elif kind == "omission":
        places = [k for k in once if names[k - 1] != names[k + 1]]
    else:
        places = [k for k in range(len(visits)) if protocol.phase(names[k]).duration is not None]
    if not places:
        return None
    k = int(rng.choice(places))
    if kind == "overlong":
        known = protocol.phase(names[k]).duration
        assert known is not None
        bound_s = max(known.quantile_s(protocol.time_alarms.too_long), known.median_s + protocol.time_alarms.least_s)
        changed = _relaid(visits, [*range(len(visits))], {k: OVER * bound_s})
        begun_s = changed[k].start_s - changed[0].start_s
        event = TrueEvent("too-long", names[k], begun_s + bound_s, begun_s + OVER * bound_s)
    elif kind == "swap":
        changed = _relaid(visits, [*range(k), k + 1, k, *range(k + 2, len(visits))], {})
        event = TrueEvent(
            COURSE, "swap", changed[k].start_s - changed[0].start_s, changed[k + 1].end_s - changed[0].start_s
        )
    else:
        changed = _relaid(visits, [*range(k), *range(k + 1, len(visits))], {})
        event = TrueEvent(
            COURSE, "omission", changed[k].start_s - changed[0].start_s, changed[k].end_s - changed[0].start_s
        )
    return CaseCourse(f"{course.case}-{kind}", changed), event


def _relaid(visits: Sequence[Visit], order: Sequence[int], lengths_s: Mapping[int, float]) -> tuple[Visit, ...]:
    """Visits in another order, one after the other, some of another length."""
    laid, at_s = [], visits[0].start_s
    for k in order:
        end_s = at_s + lengths_s.get(k, visits[k].length_s)
        laid.append(replace(visits[k], start_s=at_s, end_s=end_s))
        at_s = end_s
    return tuple(laid)


def judge_course(
    model: Model, protocol: Protocol, course: CaseCourse, events: tuple[TrueEvent, ...], noise: CourseNoise, seed: int
) -> JudgedCase:
    """An operation through a session whose network speaks of the protocol's phases."""
    stream = told(course, protocol.phase_names, noise, seed)
    found = announced(model, protocol, stream, fps=FPS, time_scale=1.0)
    if events:
        for one in found:
            one.kind = COURSE if one.kind in OF_THE_COURSE else one.kind
    return judged(course.case, course.visits[-1].end_s - course.visits[0].start_s, events, found)


def speaking_of(protocol: Protocol) -> Model:
    """The shipped model, as if it had been trained on a protocol's phases and tools; nothing is ever run on it."""
    shipped = load_model("cholecystectomy")
    manifest = shipped.manifest.model_copy(update={"phases": protocol.phase_names, "tools": protocol.tools})
    return replace(shipped, manifest=manifest)


@dataclass(frozen=True, slots=True)
class CourseResult:
    """One split.

    Attributes:
        hours: of the operations as they were.
        false: what was announced in them, by kind.
        true, found: injected departures, and those announced, by injection.
        delays_s: of those found.
    """

    hours: float
    false: Mapping[str, int]
    true: Mapping[str, int]
    found: Mapping[str, int]
    delays_s: Mapping[str, tuple[float, ...]]


def run_split(
    protocol: Protocol, courses: Sequence[CaseCourse], needed: Sequence[str], noise: CourseNoise, seed: int
) -> CourseResult:
    """Judge operations as they were, and each once more with a departure in it."""
    model = speaking_of(protocol)
    false: dict[str, int] = {}
    true, found = dict.fromkeys(INJECTIONS, 0), dict.fromkeys(INJECTIONS, 0)
    delays: dict[str, list[float]] = {kind: [] for kind in INJECTIONS}
    seconds = 0.0
    for k, course in enumerate(courses):
        normal = judge_course(model, protocol, course, (), noise, seed + k)
        seconds += normal.events.duration_s
        for one in normal.events.announced:
            false[one.kind] = false.get(one.kind, 0) + 1
        kind = INJECTIONS[k % len(INJECTIONS)]
        injected = inject(course, kind, needed, protocol, seed + k)
        if injected is None:
            continue
        changed, event = injected
        true[kind] += 1
        departing = judge_course(model, protocol, changed, (event,), noise, seed + k)
        (match,) = match_events(departing.events.truths, departing.events.announced)
        if match is not None:
            found[kind] += 1
            delays[kind].append(match.at_s - event.onset_s)
    return CourseResult(seconds / 3600, false, true, found, {kind: tuple(values) for kind, values in delays.items()})


@dataclass(frozen=True, slots=True)
class CourseStudy:
    """All splits, with what was done in words."""

    setup: str
    splits: tuple[CourseResult, ...]

    def to_json(self) -> dict[str, Any]:
        """False advisories per hour by kind and by priority, over the splits; what was found of each injection."""
        kinds = sorted({kind for one in self.splits for kind in one.false})
        rates = {kind: self._rates({kind}) for kind in kinds}
        loud = {
            name: self._rates({kind for kind, row in PROCEDURAL.items() if row.priority.value in priorities})
            for name, priorities in (("medium_or_high", ("medium", "high")), ("high", ("high",)), ("low", ("low",)))
        }
        return {
            "setup": self.setup,
            "splits": len(self.splits),
            "hours": plain_number(sum(one.hours for one in self.splits)),
            "false_per_hour": {name: _spread(values) for name, values in {**loud, **rates}.items()},
            "injected": [
                {
                    "injection": kind,
                    "events": sum(one.true[kind] for one in self.splits),
                    "found": sum(one.found[kind] for one in self.splits),
                    "delay_median_s": plain_number(
                        quantile(np.array([late for one in self.splits for late in one.delays_s[kind]]), 0.5)
                    )
                    if any(one.found[kind] for one in self.splits)
                    else None,
                }
                for kind in INJECTIONS
            ],
        }

    def _rates(self, kinds: set[str]) -> list[float]:
        return [sum(one.false.get(kind, 0) for kind in kinds) / one.hours for one in self.splits]

    def to_markdown(self) -> str:
        """The same for people."""
        told = self.to_json()
        lines = [
            told["setup"],
            "",
            "| false advisories per hour | mean over splits | lowest | highest |",
            "|---|---|---|---|",
        ]
        for name, one in told["false_per_hour"].items():
            lines.append(
                f"| {name.replace('_', ' ')} | {float(one['mean']):.2f} | {float(one['low']):.2f} | {float(one['high']):.2f} |"
            )
        lines += ["", "| injected | events | found | delay, median |", "|---|---|---|---|"]
        for row in told["injected"]:
            late = "" if row["delay_median_s"] is None else f"{float(row['delay_median_s']):.1f} s"
            lines.append(f"| {row['injection']} | {row['events']} | {row['found']} | {late} |")
        return "\n".join(lines)


def _spread(values: Sequence[float]) -> dict[str, Any]:
    mean, low, high = float(np.mean(values)), min(values), max(values)
    return {"mean": plain_number(mean), "low": plain_number(low), "high": plain_number(high)}


def study_courses(
    labels: Path,
    template: Protocol,
    *,
    learn: int = 50,
    test: int = 20,
    splits: int = 5,
    seed: int = 0,
    noise: CourseNoise | None = None,
    change: Callable[[Protocol, Sequence[CaseCourse]], Protocol] = learn_protocol,
    progress: Callable[[int, int], None] | None = None,
) -> CourseStudy:
    """Learn a protocol from some operations and judge others by it, over random splits.

    Args:
        labels: folder of cases, as `surgical-ml learn protocol` takes it.
        template: the protocol to start from.
        learn, test: operations of each split to learn from, and to judge; 0 to learn from judges by the template itself.
        splits, seed: how many, and of what is random.
        noise: of the answers.
        change: what is made of the template by the operations to learn from: learning afresh, or adapting.
        progress: told (splits done, splits).

    Raises:
        InputError: fewer operations than are asked for, or labels that the readers refuse.
    """
    courses = read_courses(labels, template)
    if learn + test > len(courses) or test < 1:
        raise InputError(labels, f"{learn + test} operations, one of them to judge", f"{len(courses)} operations")
    model = noise or CourseNoise()
    results = []
    for split in range(splits):
        order = np.random.default_rng([seed, split]).permutation(len(courses))
        known, others = [courses[k] for k in order[:learn]], [courses[k] for k in order[learn : learn + test]]
        protocol = change(template, known) if learn else template
        results.append(run_split(protocol, others, mandatory(known or courses), model, 1000 * (seed + split)))
        if progress is not None:
            progress(split + 1, splits)
    source = (
        f"{template.name}, changed by {learn} operations" if learn else f"{template.name}/{template.version} as it is"
    )
    setup = (
        f"Protocol: {source}; judged on {test} others as they were and with a departure each, over {splits} random splits "
        f"(seed {seed}), a frame a second. Noise: {model}."
    )
    return CourseStudy(setup, tuple(results))
