"""How deviations are announced, and how they would have been at other operating points."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from surgical_ml.evaluation.announcements import Announced
from surgical_ml.evaluation.metrics import Announcement, EventCase, TrueEvent, bootstrap, score_events
from surgical_ml.evaluation.metrics.cases import Numbers
from surgical_ml.evaluation.metrics.events import match_events
from surgical_ml.evaluation.metrics.statistics import Indices, Statistic
from surgical_ml.evaluation.metrics.summary import plain_number, quantile
from surgical_ml.evaluation.study.decided import CERTAINTIES
from surgical_ml.evaluation.study.evaluated import EvaluatedCase
from surgical_ml.evaluation.study.phase_results import SEED

HELD_S = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
"""How long a condition may have to stand before it is announced: what can be varied after the fact, because how long each
did stand is recorded."""


def event_case(case: EvaluatedCase, announced: Sequence[Announcement]) -> EventCase:
    """The deviations of a case beside advisories."""
    return EventCase(case.name, case.seconds, case.truth.deviations or (), tuple(announced))


def announcements(case: EvaluatedCase) -> list[Announcement]:
    """What was announced in a case, as the metrics take it."""
    began_ns = int(case.decided.stamp_ns[0])
    return [one.at(began_ns) for one in case.decided.announced]


def matches(case: EvaluatedCase) -> tuple[list[Announcement | None], dict[int, TrueEvent]]:
    """The advisory of each deviation; and, by its place among those of the case, the deviation of each advisory."""
    told = announcements(case)
    found = match_events(case.truth.deviations or (), told)
    places = {id(one): k for k, one in enumerate(told)}
    events = case.truth.deviations or ()
    return found, {places[id(a)]: e for e, a in zip(events, found, strict=True) if a is not None}


def deviations_json(cases: Sequence[EvaluatedCase]) -> dict[str, Any] | None:
    """As `DeviationsShape`; None where no case says which deviations it has."""
    known = [case for case in cases if case.truth.deviations is not None]
    if not known:
        return None
    events = [event_case(case, announcements(case)) for case in known]
    scores = score_events(events, seed=SEED)
    told = scores.to_json()
    clean = [one for one in events if not one.truths]
    priorities = sorted({a.priority for one in events for a in one.announced})
    rates = {
        priority: bootstrap(
            _rate([sum(a.priority == priority for a in one.announced) for one in clean], clean), len(clean), seed=SEED
        ).to_json()
        for priority in priorities
        if clean
    }
    return {
        **{key: told[key] for key in ("protocol", "nan_policy", "version", "sensitivity", "precision", "f1", "misses")},
        "cases": len(events),
        "deviations": len(scores.delays_s),
        "clean_hours": plain_number(scores.clean_hours),
        "delay_median_s": told["delay_s"]["median"],
        "delay_p95_s": told["delay_s"]["p95"],
        "false_per_hour": rates,
        "by_kind": _by_kind(known, scores.kinds),
        "false": _false(known),
        "curve": _curve(known),
    }


def _by_kind(cases: Sequence[EvaluatedCase], kinds: dict[str, tuple[int, int, int]]) -> list[dict[str, Any]]:
    delays: dict[str, list[float]] = {kind: [] for kind in kinds}
    for case in cases:
        found, _ = matches(case)
        for event, advisory in zip(case.truth.deviations or (), found, strict=True):
            delays[event.kind].append(np.inf if advisory is None else advisory.at_s - event.onset_s)
    return [
        {
            "kind": kind,
            "true": true,
            "found": found,
            "advisories": advisories,
            "false": advisories - found,
            "sensitivity": plain_number(found / true if true else np.nan),
            "delay_median_s": plain_number(quantile(np.array(delays[kind]), 0.5)),
        }
        for kind, (true, found, advisories) in kinds.items()
    ]


def _false(cases: Sequence[EvaluatedCase]) -> list[dict[str, Any]]:
    """Every advisory that announced nothing, in cases with and without deviations."""
    found = []
    for case in cases:
        _, matched = matches(case)
        found += [
            {
                "case": case.name,
                "kind": one.kind,
                "subject": one.subject,
                "priority": one.priority,
                "at_s": plain_number(one.at_s),
            }
            for k, one in enumerate(announcements(case))
            if k not in matched
        ]
    return found


def _curve(cases: Sequence[EvaluatedCase]) -> list[dict[str, Any]]:
    """What would have been announced if conditions had had to stand longer, or to be surer, than they had to."""
    points = [
        _point(cases, "held", held_s, f"held for {held_s:g} s", held_s == 0, _held(held_s), held_s) for held_s in HELD_S
    ]
    for k, band in enumerate(CERTAINTIES):
        surer = CERTAINTIES[k:]
        words = f"announced with certainty {band} or more"
        points.append(_point(cases, "certainty", float(k), words, k == 0, _as_sure_as(surer), 0.0))
    return points


def _held(least_s: float) -> Callable[[Announced], bool]:
    return lambda one: one.until_ns - one.at_ns >= least_s * 1e9


def _as_sure_as(bands: tuple[str, ...]) -> Callable[[Announced], bool]:
    # what does not say how sure it is was announced all the same, and stays where everything is
    return lambda one: one.certainty in bands or (not one.certainty and bands == CERTAINTIES)


def _point(
    cases: Sequence[EvaluatedCase],
    family: str,
    threshold: float,
    words: str,
    operating: bool,
    kept: Callable[[Announced], bool],
    later_s: float,
) -> dict[str, Any]:
    true = found = false = 0
    clean_s = 0.0
    for case in cases:
        told = [
            replace(one, at_s=one.at_s + later_s)
            for one, whole in zip(announcements(case), case.decided.announced, strict=True)
            if kept(whole)
        ]
        events = case.truth.deviations or ()
        true += len(events)
        found += sum(one is not None for one in match_events(events, told))
        if not events:
            clean_s += case.seconds
            false += len(told)
    return {
        "threshold": threshold,
        "what": words,
        "family": family,
        "sensitivity": plain_number(found / true if true else np.nan),
        "false_per_hour": plain_number(false / clean_s * 3600 if clean_s else np.nan),
        "operating": operating,
    }


def _rate(counts: Sequence[int], cases: Sequence[EventCase]) -> Statistic:
    """Advisories per hour over cases."""
    count, hours = np.array(counts, np.float64), np.array([case.duration_s / 3600 for case in cases])

    def statistic(drawn: Indices) -> Numbers:
        return np.asarray(count[drawn].sum(axis=1) / hours[drawn].sum(axis=1), np.float64)

    return statistic


def advisories_json(case: EvaluatedCase) -> list[dict[str, Any]]:
    """Every advisory of a case, as `AdvisoryShape`."""
    _, matched = matches(case)
    known = case.truth.deviations is not None
    rows = []
    for k, (one, whole) in enumerate(zip(announcements(case), case.decided.announced, strict=True)):
        event = matched.get(k)
        rows.append(
            {
                "kind": one.kind,
                "subject": one.subject,
                "priority": one.priority,
                "certainty": whole.certainty,
                "at_s": plain_number(one.at_s),
                "lasted_s": plain_number((whole.until_ns - whole.at_ns) / 1e9),
                "matched": (event is not None) if known else None,
                "delay_s": None if event is None else plain_number(one.at_s - event.onset_s),
            }
        )
    return rows
