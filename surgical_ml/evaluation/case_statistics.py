"""What a site's cases were like: how long phases took, which tools were used, what followed what, and what departed.

Durations are medians with quartiles; a number from fewer than `LEAST_CASES` cases is left out.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from math import fsum
from statistics import median, quantiles
from typing import Any

from surgical_ml.errors import InputError
from surgical_ml.evaluation.case_store import StoredCase
from surgical_ml.workflow.protocol_learning import LEAST_CASES, SEEN_S
from surgical_ml.workflow.protocol_statistics import wilson

UNDATED = "undated"

PERIODS: dict[str, Callable[[date], str]] = {
    "month": lambda day: f"{day.year:04}-{day.month:02}",
    "quarter": lambda day: f"{day.year:04}-Q{(day.month + 2) // 3}",
}


def chosen_cases(
    cases: Iterable[StoredCase], *, procedure: str | None = None, since: date | None = None, until: date | None = None
) -> tuple[StoredCase, ...]:
    """The cases of one procedure between two days, both counted.

    Args:
        cases: of a store.
        procedure: by name; the only one there is where it is None.
        since, until: days; a case without a date is left out where one is given.

    Raises:
        InputError: several procedures and none named, or no case is left.
    """
    cases = tuple(cases)
    names = sorted({one.procedure for one in cases})
    if procedure is None and len(names) > 1:
        raise InputError("procedure", f"one of {names}", "none")
    wanted = procedure or "".join(names)
    left = tuple(
        one
        for one in cases
        if one.procedure == wanted
        and (since is None or (one.day is not None and one.day >= since))
        and (until is None or (one.day is not None and one.day <= until))
    )
    if not left:
        raise InputError("cases", f"at least one of {wanted or 'a procedure'} in that time", f"none of {len(cases)}")
    return left


def describe_cases(cases: Sequence[StoredCase]) -> dict[str, Any]:
    """What the cases of one procedure were like, as JSON has it.

    Returns:
        `procedure`, `cases`, `hours`, `first` and `last` day; `length_s`; `phases`: for each phase the `cases` that visit it,
        `visits`, `visit_s` and the share of cases in which each tool was seen; `steps`: from, to, `times` and `cases`;
        `departures`: by kind and subject, `times`, `cases` and `per_hour`.
    """
    days = sorted(one.day for one in cases if one.day is not None)
    hours = fsum(one.length_s for one in cases) / 3600
    return {
        "procedure": cases[0].procedure,
        "cases": len(cases),
        "hours": round(hours, 3),
        "first": days[0].isoformat() if days else None,
        "last": days[-1].isoformat() if days else None,
        "length_s": spread_of([[one.length_s] for one in cases]),
        "phases": _phases(cases),
        "steps": _steps(cases),
        "departures": _departures(cases, hours),
    }


def trends(cases: Sequence[StoredCase], by: str) -> list[dict[str, Any]]:
    """The same for each month or quarter, oldest first: how long cases and phases took, and how often something departed.

    Args:
        cases: of one procedure.
        by: one of `PERIODS`.

    Raises:
        InputError: another period.
    """
    if by not in PERIODS:
        raise InputError("by", f"one of {list(PERIODS)}", by)
    periods: dict[str, list[StoredCase]] = defaultdict(list)
    for one in cases:
        periods[UNDATED if one.day is None else PERIODS[by](one.day)].append(one)
    found = []
    for period in sorted(periods):
        told = describe_cases(periods[period])
        kinds: Counter[str] = Counter()
        for one in told["departures"]:
            kinds[one["code"]] += one["times"]
        found.append(
            {
                "period": period,
                "cases": told["cases"],
                "hours": told["hours"],
                "length_s": told["length_s"],
                "phases": {name: phase["visit_s"] for name, phase in told["phases"].items()},
                "departures": {
                    code: {"times": n, "per_hour": _rate(n, told["hours"])} for code, n in sorted(kinds.items())
                },
            }
        )
    return found


def spread_of(cases: Sequence[Sequence[float]]) -> dict[str, float] | None:
    """Median and quartiles of all values, in seconds; None from fewer than `LEAST_CASES` cases."""
    values = [value for case in cases for value in case]
    if len(cases) < LEAST_CASES:
        return None
    low, _, high = quantiles(values, n=4, method="inclusive")
    return {"median": round(median(values), 1), "low": round(low, 1), "high": round(high, 1)}


def _phases(cases: Sequence[StoredCase]) -> dict[str, Any]:
    lengths: dict[str, list[list[float]]] = defaultdict(list)
    looked: Counter[str] = Counter()
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for case in cases:
        # In the order in which they came, so that the course of an operation can be read down the page.
        for name in dict.fromkeys(visit.phase for visit in case.course.visits):
            visits = [visit for visit in case.course.visits if visit.phase == name]
            lengths[name].append([visit.length_s for visit in visits])
            tools: Counter[str] = Counter()
            for visit in visits:
                tools.update(visit.tools_s or {})
            if tools:
                looked[name] += 1
                seen[name].update({tool: int(seconds >= SEEN_S) for tool, seconds in tools.items()})
    return {
        name: {
            "cases": len(found),
            "visits": sum(map(len, found)),
            "visit_s": spread_of(found),
            "tools": {tool: _share(n, looked[name]) for tool, n in sorted(seen[name].items())},
        }
        for name, found in lengths.items()
    }


def _share(count: int, of: int) -> dict[str, Any]:
    low, high = wilson(count, of)
    return {"cases": count, "of": of, "share": [round(low, 4), round(high, 4)]}


def _steps(cases: Sequence[StoredCase]) -> list[dict[str, Any]]:
    times: Counter[tuple[str, str]] = Counter()
    shown: Counter[tuple[str, str]] = Counter()
    for case in cases:
        times.update(case.course.steps)
        shown.update(set(case.course.steps))
    return [
        {"from": step[0], "to": step[1], "times": n, "cases": shown[step]}
        for step, n in sorted(times.items(), key=lambda item: (-item[1], item[0]))
    ]


def _departures(cases: Sequence[StoredCase], hours: float) -> list[dict[str, Any]]:
    times: Counter[tuple[str, str, str]] = Counter()
    shown: Counter[tuple[str, str, str]] = Counter()
    for case in cases:
        kinds = [(one.code, one.subject, one.priority) for one in case.departures]
        times.update(kinds)
        shown.update(set(kinds))
    return [
        {
            "code": kind[0],
            "subject": kind[1],
            "priority": kind[2],
            "times": n,
            "cases": shown[kind],
            "per_hour": _rate(n, hours),
        }
        for kind, n in sorted(times.items(), key=lambda item: (-item[1], item[0]))
    ]


def _rate(count: int, hours: float) -> float | None:
    return round(count / hours, 3) if hours > 0 else None
