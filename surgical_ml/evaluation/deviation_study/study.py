"""Whether departures are announced, how soon, and how often nothing was the matter, on cases without pixels."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from surgical_ml.engine import load_model
from surgical_ml.evaluation.deviation_study.labelled_case import JudgedCase, judge_plan
from surgical_ml.evaluation.metrics import EventCase, EventScores, score_events
from surgical_ml.evaluation.metrics.events import Announcement, match_events
from surgical_ml.evaluation.metrics.summary import plain_number, quantile
from surgical_ml.guidance import Priority
from surgical_ml.guidance.risk import PROCEDURAL
from surgical_ml.simulation import CasePlan, NoiseModel, plan_case
from surgical_ml.simulation.departures import STRUCTURAL, Bounds, depart
from surgical_ml.workflow import Protocol, load_protocol

PROCEDURE = "cholecystectomy"
CASE_S, FPS = 360.0, 5
TIME_SCALE = 5.0
"""The cases are operations of half an hour in six minutes."""

HELD_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""How long a condition may have to stand before it is announced: the curve's other operating points."""

OTHERS = ("tool-mismatch", "tool-mismatch", "too-long", "too-short", "instrument-lost")


@dataclass(frozen=True, slots=True)
class StudyCases:
    """Which cases: `normal` and `departing` ones, from the seeds `first` and `first + normal` on, and of the errors."""

    normal: int = 200
    departing: int = 200
    first: int = 990_000
    errors: int = 1


@dataclass(frozen=True, slots=True)
class DeviationStudy:
    """What came of it.

    Attributes:
        cases: every one.
        stood_s: how long each announcement of each case stood.
        noise: its source, or `pixels`.
        setup: the cases in words.
    """

    cases: tuple[EventCase, ...]
    stood_s: tuple[tuple[float, ...], ...]
    noise: str
    setup: str

    def to_json(self) -> dict[str, Any]:
        """Plain values: over all kinds, for advisories of MEDIUM or HIGH, and of HIGH; by kind; the curve."""
        return {
            "setup": self.setup,
            "noise": self.noise,
            "all": score_events(self.cases).to_json(),
            "medium_or_high": score_events(self._only({Priority.MEDIUM, Priority.HIGH})).to_json(),
            "high": score_events(self._only({Priority.HIGH})).to_json(),
            "by_kind": self.by_kind(),
            "curve": self.curve(),
        }

    def _only(self, priorities: set[Priority]) -> tuple[EventCase, ...]:
        """The cases with only these advisories, and the departures that are announced by them."""
        kinds = {kind for kind, row in PROCEDURAL.items() if row.priority in priorities}
        return tuple(
            replace(
                case,
                truths=tuple(one for one in case.truths if one.kind in kinds),
                announced=tuple(one for one in case.announced if one.priority in {p.value for p in priorities}),
            )
            for case in self.cases
            # a case whose departures are all of other kinds is not a normal one
            if not case.truths or any(one.kind in kinds for one in case.truths)
        )

    def by_kind(self) -> list[dict[str, Any]]:
        """Of each kind: how many there are and were found, delays, and false ones per hour of the normal cases."""
        normal = [case for case in self.cases if not case.truths]
        hours = sum(case.duration_s for case in normal) / 3600
        delays: dict[str, list[float]] = {}
        for case in self.cases:
            for event, advisory in zip(case.truths, match_events(case.truths, case.announced), strict=True):
                late = np.inf if advisory is None else advisory.at_s - event.onset_s
                delays.setdefault(event.kind, []).append(late)
        false = [one.kind for case in normal for one in case.announced]
        rows = []
        for kind in sorted({*delays, *false}):
            found = np.array(delays.get(kind, []), np.float64)
            rows.append(
                {
                    "kind": kind,
                    "priority": PROCEDURAL[kind].priority.value,
                    "events": len(found),
                    "found": int(np.isfinite(found).sum()),
                    "delay_median_s": plain_number(quantile(found, 0.5)) if len(found) else None,
                    "delay_p95_s": plain_number(quantile(found, 0.95)) if len(found) else None,
                    "false_per_hour": plain_number(false.count(kind) / hours) if hours else None,
                }
            )
        return rows

    def curve(self) -> list[dict[str, Any]]:
        """Sensitivity over false alarms of MEDIUM or HIGH per hour, if conditions had had to stand longer."""
        loud = {Priority.MEDIUM.value, Priority.HIGH.value}
        points = []
        for held_s in HELD_S:
            true = found = false = 0
            clean_s = 0.0
            for case, stood_s in zip(self.cases, self.stood_s, strict=True):
                kept = [
                    replace(one, at_s=one.at_s + held_s)
                    for one, stood in zip(case.announced, stood_s, strict=True)
                    if stood >= held_s
                ]
                true += len(case.truths)
                found += sum(one is not None for one in match_events(case.truths, kept))
                if not case.truths:
                    clean_s += case.duration_s
                    false += sum(one.priority in loud for one in kept)
            points.append(
                {
                    "held_s": held_s,
                    "sensitivity": plain_number(found / true if true else np.nan),
                    "false_per_hour": plain_number(3600 * false / clean_s if clean_s else np.nan),
                }
            )
        return points

    def to_markdown(self) -> str:
        """The same for people."""
        told = self.to_json()
        lines = [f"{self.setup} Noise: {self.noise}.", ""]
        lines += [
            "| advisories | departures | sensitivity (95 %) | precision (95 %) | false per hour |",
            "|---|---|---|---|---|",
        ]
        for name, priorities in (("all", None), ("medium_or_high", ("medium", "high")), ("high", ("high",))):
            one = told[name]
            rate = sum(float(v) for k, v in one["false_per_hour"].items() if priorities is None or k in priorities)
            share, precise = (_interval(one[key]) for key in ("sensitivity", "precision"))
            lines.append(
                f"| {name.replace('_', ' ')} | {one['delay_s']['events']} | {share} | {precise} | {rate:.2f} |"
            )
        lines += ["", "| kind | priority | events | found | delay, median | delay, p95 | false per hour |"]
        lines += ["|---|---|---|---|---|---|---|"]
        for row in told["by_kind"]:
            delays = (_seconds(row[key]) for key in ("delay_median_s", "delay_p95_s"))
            false = "" if row["false_per_hour"] is None else f"{float(row['false_per_hour']):.2f}"
            lines.append(
                f"| {row['kind']} | {row['priority']} | {row['events']} | {row['found']} | {' | '.join(delays)} | {false} |"
            )
        lines += [
            "",
            "| a condition must stand for | sensitivity | false of MEDIUM or HIGH per hour |",
            "|---|---|---|",
        ]
        for point in told["curve"]:
            shares = (point[key] for key in ("sensitivity", "false_per_hour"))
            sensitivity, false = (f"{float(share):.2f}" for share in shares)
            lines.append(f"| {point['held_s']:g} s | {sensitivity} | {false} |")
        return "\n".join(lines)


def _interval(one: dict[str, Any]) -> str:
    estimate, low, high = (float(one[key]) for key in ("estimate", "low", "high"))
    return "" if np.isnan(estimate) else f"{estimate:.3f} ({low:.3f} to {high:.3f})"


def _seconds(value: float | str | None) -> str:
    late = np.nan if value is None else float(value)
    return "" if np.isnan(late) else "missed" if np.isinf(late) else f"{late:.1f} s"


def bounds_of(protocol: Protocol, time_scale: float) -> Bounds:
    """When a phase of a case is too long, and too short, by the protocol's time alarms; seconds of the case."""
    alarms = protocol.time_alarms
    known = {k: phase.duration for k, phase in enumerate(protocol.phases) if phase.duration is not None}
    return Bounds(
        {k: one.quantile_s(alarms.too_long) / time_scale for k, one in known.items()},
        {k: one.quantile_s(alarms.too_short) / time_scale for k, one in known.items()},
    )


def normal_plan(seed: int) -> CasePlan:
    """A held-out case without departures."""
    return plan_case(seed, duration_s=CASE_S, split="held-out")


def departing_plan(seed: int, bounds: Bounds) -> CasePlan:
    """A held-out case with one departure of its course, and others in the phases that are left."""
    return depart(seed, (STRUCTURAL[seed % len(STRUCTURAL)], *OTHERS), duration_s=CASE_S, bounds=bounds)


def judge_seed(seed: int, departs: bool, *, protocol: Protocol, noise: NoiseModel, errors: int) -> JudgedCase:
    """One case of the study."""
    plan = departing_plan(seed, bounds_of(protocol, TIME_SCALE)) if departs else normal_plan(seed)
    return judge_plan(load_model(PROCEDURE), protocol, plan, noise, seed=errors, fps=FPS, time_scale=TIME_SCALE)


def run_study(
    cases: StudyCases,
    *,
    noise: NoiseModel | None = None,
    protocol: Protocol | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> DeviationStudy:
    """Judge every case through a session.

    Args:
        cases: how many of which.
        noise: of the answers; the shipped, fitted one by default.
        protocol: with other thresholds than the shipped one.
        workers: processes.
        progress: told (cases done, cases).
    """
    model_noise, known = noise or NoiseModel.read(), protocol or load_protocol(PROCEDURE)
    seeds = range(cases.first, cases.first + cases.normal + cases.departing)
    departs = [k >= cases.normal for k in range(len(seeds))]
    judge = partial(judge_seed, protocol=known, noise=model_noise, errors=cases.errors)
    judged: list[JudgedCase] = []
    told = progress or (lambda done, total: None)
    if workers == 1:
        for seed, one in zip(seeds, departs, strict=True):
            judged.append(judge(seed, one))
            told(len(judged), len(seeds))
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for case in pool.map(judge, seeds, departs, chunksize=4):
                judged.append(case)
                told(len(judged), len(seeds))
    setup = (
        f"{cases.normal} normal and {cases.departing} departing label-only cases of about {CASE_S / 60:g} minutes "
        f"({TIME_SCALE:g} times faster than real) at {FPS} frames/s, seeds from {cases.first}."
    )
    return summed_up(judged, model_noise.source, setup)


def summed_up(judged: Sequence[JudgedCase], noise: str, setup: str) -> DeviationStudy:
    """Cases that were judged, as a study."""
    return DeviationStudy(tuple(c.events for c in judged), tuple(c.stood_s for c in judged), noise, setup)


def scores(study: DeviationStudy) -> EventScores:
    """Over all kinds."""
    return score_events(study.cases)


def false_per_hour(study: DeviationStudy, kinds: Sequence[str]) -> float:
    """Announcements of these kinds in normal cases, per hour."""
    normal = [case for case in study.cases if not case.truths]
    told: list[Announcement] = [one for case in normal for one in case.announced if one.kind in kinds]
    return len(told) / (sum(case.duration_s for case in normal) / 3600)
