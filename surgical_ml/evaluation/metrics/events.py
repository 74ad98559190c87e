"""Deviations and the advisories that announce them, as events.

An advisory matches a deviation of its case and kind if it comes within [onset - 2 s, end + 10 s]. Matching is one to
one and as large as it can be: advisories in order of time, each to the deviation whose window closes first. A second
advisory of a matched deviation is a false one.

    sensitivity = matched / deviations      precision = matched / advisories      F1 = 2 matched / (both)
    delay       = time of the advisory - onset, infinite for a miss
    false advisories per hour: those in cases without any deviation, over the hours of those cases
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import surgical_ml
from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.cases import Numbers
from surgical_ml.evaluation.metrics.statistics import Indices, Interval, Statistic, bootstrap
from surgical_ml.evaluation.metrics.summary import plain_number, quantile

BEFORE_S = 2.0
AFTER_S = 10.0


@dataclass(frozen=True, slots=True)
class TrueEvent:
    """A deviation that happened, from `onset_s` to `end_s`, seconds of the case."""

    kind: str
    subject: str
    onset_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Announcement:
    """An advisory, at the time it was first shown, seconds of the case; `priority` as in the risk table."""

    kind: str
    subject: str
    priority: str
    at_s: float


@dataclass(frozen=True, slots=True)
class EventCase:
    """One case of `duration_s` seconds.

    Raises:
        InputError: the duration is not above 0, or a deviation ends before it begins.
    """

    name: str
    duration_s: float
    truths: tuple[TrueEvent, ...]
    announced: tuple[Announcement, ...]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.duration_s) and self.duration_s > 0):
            raise InputError(f"{self.name}, duration", "seconds above 0", str(self.duration_s))
        for event in self.truths:
            if not event.onset_s <= event.end_s:
                found = f"{event.onset_s} to {event.end_s}"
                raise InputError(f"{self.name}, {event.kind}", "an onset before the end", found)


@dataclass(frozen=True, slots=True)
class Miss:
    """A deviation that no advisory announced."""

    case: str
    event: TrueEvent


@dataclass(frozen=True, slots=True)
class EventScores:
    """Detection of events over a set of cases.

    Attributes:
        sensitivity, precision, f1: shares from 0 to 1, with case-bootstrap intervals.
        delays_s: of every deviation, in the order of cases; infinite for a miss.
        false_per_hour: priority -> advisories per hour in the cases without a deviation; empty where there is none.
        clean_hours: of those cases.
        kinds: kind -> deviations, matched, advisories of that kind.
        misses: every one.
    """

    version: str
    cases: tuple[str, ...]
    sensitivity: Interval
    precision: Interval
    f1: Interval
    delays_s: Numbers
    false_per_hour: dict[str, float]
    clean_hours: float
    kinds: dict[str, tuple[int, int, int]]
    misses: tuple[Miss, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "protocol": f"events within [onset - {BEFORE_S:g} s, end + {AFTER_S:g} s], one to one, by kind",
            "nan_policy": "a miss has an infinite delay; no sensitivity without deviations, no precision without any",
            "version": self.version,
            "cases": len(self.cases),
            "sensitivity": self.sensitivity.to_json(),
            "precision": self.precision.to_json(),
            "f1": self.f1.to_json(),
            "delay_s": {
                "events": len(self.delays_s),
                "median": plain_number(quantile(self.delays_s, 0.5)),
                "p95": plain_number(quantile(self.delays_s, 0.95)),
            },
            "false_per_hour": {name: plain_number(rate) for name, rate in self.false_per_hour.items()},
            "clean_hours": plain_number(self.clean_hours),
            "kinds": [
                {"kind": kind, "deviations": true, "matched": hit, "advisories": announced}
                for kind, (true, hit, announced) in self.kinds.items()
            ],
            "misses": [
                {
                    "case": miss.case,
                    "kind": miss.event.kind,
                    "subject": miss.event.subject,
                    "onset_s": plain_number(miss.event.onset_s),
                    "end_s": plain_number(miss.event.end_s),
                }
                for miss in self.misses
            ],
        }


def score_events(cases: Sequence[EventCase], *, seed: int = 0) -> EventScores:
    """Score how deviations are announced.

    Args:
        cases: with and without deviations.
        seed: of the bootstrap.

    Raises:
        InputError: there is no case, or a name stands there twice.
    """
    if not cases:
        raise InputError("cases", "at least one", "none")
    names = [case.name for case in cases]
    if len(set(names)) != len(names):
        raise InputError("cases", "names that differ", f"{next(n for n in names if names.count(n) > 1)} twice")
    delays: list[float] = []
    misses, counts = [], []
    true, matched, announced = Counter[str](), Counter[str](), Counter[str]()
    false, clean_s = Counter[str](), 0.0
    for case in cases:
        found = match_events(case.truths, case.announced)
        for event, advisory in zip(case.truths, found, strict=True):
            true[event.kind] += 1
            matched[event.kind] += advisory is not None
            delays.append(math.inf if advisory is None else advisory.at_s - event.onset_s)
            if advisory is None:
                misses.append(Miss(case.name, event))
        announced.update(advisory.kind for advisory in case.announced)
        counts.append((sum(one is not None for one in found), len(case.truths), len(case.announced)))
        if not case.truths:
            clean_s += case.duration_s
            false.update(advisory.priority for advisory in case.announced)
    priorities = sorted({advisory.priority for case in cases for advisory in case.announced})
    hours = clean_s / 3600
    table = np.array(counts, np.float64)
    sensitivity, precision, f1 = (
        bootstrap(_share(table, *one), len(cases), seed=seed) for one in (((1,), 1), ((2,), 1), ((1, 2), 2))
    )
    return EventScores(
        surgical_ml.__version__,
        tuple(names),
        sensitivity,
        precision,
        f1,
        np.array(delays, np.float64),
        {priority: false[priority] / hours for priority in priorities} if hours else {},
        hours,
        {kind: (true[kind], matched[kind], announced[kind]) for kind in sorted(true.keys() | announced.keys())},
        tuple(misses),
    )


def match_events(truths: Sequence[TrueEvent], announced: Sequence[Announcement]) -> list[Announcement | None]:
    """The advisory that announces each deviation, or None; in the order of the deviations.

    Args:
        truths, announced: of one case.
    """
    found: list[Announcement | None] = [None] * len(truths)
    for advisory in sorted(announced, key=lambda one: one.at_s):
        open_windows = [
            (event.end_s, event.onset_s, k)
            for k, event in enumerate(truths)
            if found[k] is None
            and event.kind == advisory.kind
            and event.onset_s - BEFORE_S <= advisory.at_s <= event.end_s + AFTER_S
        ]
        if open_windows:
            found[min(open_windows)[2]] = advisory
    return found


def _share(table: Numbers, wholes: tuple[int, ...], factor: int) -> Statistic:
    """The sum of matches times a factor over the sum of some columns of (cases, 3) matched, deviations, advisories."""

    def statistic(cases: Indices) -> Numbers:
        sums = table[cases].sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(factor * sums[:, 0] / sums[:, list(wholes)].sum(axis=1), np.float64)

    return statistic
