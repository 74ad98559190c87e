"""Deviations that were put into synthetic operations, and the advisories of a replay of them."""

import re
from pathlib import Path
from typing import Any

from surgical_ml.errors import InputError
from surgical_ml.evaluation.announcements import Announcements
from surgical_ml.evaluation.external.tools import DECISIONS
from surgical_ml.evaluation.metrics import Announcement, EventCase, EventScores, TrueEvent, score_events
from surgical_ml.labels import check_same_cases, find_cases, member, read_decisions, read_json

PLANS = {"case folders of surgical-ml simulate": re.compile(r"(?P<case>[^/]+)/case\.json")}


def evaluate_deviations(labels: Path, predictions: Path) -> EventScores:
    """Score how the deviations of cases were announced; technical advisories are not about deviations and left out.

    Args:
        labels: case folders of `surgical-ml simulate`, with `case.json`.
        predictions: case folders of `surgical-ml replay` of the same names, with `decisions.jsonl`.

    Raises:
        InputError: a file, or the set of cases, is not what it must be.
    """
    _, plans = find_cases(labels, PLANS)
    _, decisions = find_cases(predictions, DECISIONS)
    check_same_cases(plans, decisions, predictions)
    cases = []
    for case, path in plans.items():
        duration_s, truths = true_deviations(read_json(path, "the plan of a case"), str(path))
        cases.append(EventCase(case, duration_s, truths, _announced(decisions[case])))
    return score_events(cases)


def true_deviations(plan: Any, where: str) -> tuple[float, tuple[TrueEvent, ...]]:
    """What the `case.json` of a synthetic operation says of its length in seconds and of its deviations.

    Raises:
        InputError: it does not say it.
    """
    duration_s = float(member(plan, "duration_s", (int, float), where))
    deviations = member(plan, "deviations", list, where)
    return duration_s, tuple(_deviation(one, f"{where}, deviation {k}") for k, one in enumerate(deviations))


def _deviation(values: Any, where: str) -> TrueEvent:
    onset, end = (float(member(values, key, (int, float), where)) for key in ("onset_s", "end_s"))
    return TrueEvent(member(values, "kind", str, where), member(values, "subject", str, where), onset, end)


def _announced(path: Path) -> tuple[Announcement, ...]:
    """Each advisory once, at the time it was first shown, from the first judged frame on."""
    began: int | None = None
    announcements = Announcements()
    for where, values in read_decisions(path):
        if began is None and values["event"] == "frame":
            began = int(values["stamp_ns"])
        advisories = member(values, "advisories", list, where)
        if began is not None:
            announcements.take(advisories, values["stamp_ns"], where)
    if began is None:
        raise InputError(path, "at least one judged frame", "none")
    return tuple(one.at(began) for one in announcements.all)
