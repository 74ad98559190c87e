"""A protocol from accumulated cases: the same cases give the same protocol, in whatever order they come.

What too few cases show is not stated. The rule: a phase's duration, what follows it, and its tools are learned from
`LEAST_CASES` cases or more that visit it; a step is ordinary when `LEAST_SHOWN` cases show it, and rare when fewer do. Steps,
tools and prerequisites of the protocol that one starts from stay until the cases contradict it.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from pydantic import ValidationError

from surgical_ml.errors import InputError
from surgical_ml.workflow.protocol import END, Phase, Protocol, first_problem
from surgical_ml.workflow.protocol_course import CaseCourse
from surgical_ml.workflow.protocol_duration import LONGEST_S, with_unit
from surgical_ml.workflow.protocol_statistics import WIDEST, LogNormal, fit, mean_interval, rounded_shares, wilson

LEAST_CASES = 5
"""Fewer cases say nothing of a phase."""

LEAST_SHOWN = 3
"""So many cases make a step an ordinary one, and a tool one that is seen in a phase."""

CLEARLY = 0.1
"""A share is as good as none when its 95 % interval ends below this."""

OBEYED = 0.01
"""A prerequisite is contradicted when the 95 % interval of the share of cases that do not keep it begins above this."""

SEEN_S = 2.0
"""A tool counts as seen in a phase from so many seconds on, summed over its visits in a case."""

PSEUDO = 0.5
"""How many cases an ordinary step, or a beginning, counts besides those that show it."""


@dataclass(frozen=True, slots=True)
class PhaseCount:
    """What the cases show of one phase.

    Attributes:
        lengths_s: of each case that visits it, the length of each visit.
        times, shown: what followed: how often, and in how many cases.
        seen: of each tool, in how many cases it was seen in the phase; empty where nobody looked for tools.
        rates: of each tool, for which share of the phase's time, in each case where somebody looked.
        looked: cases in which somebody looked.
        broken: of each prerequisite, how many cases began the phase without it.
    """

    lengths_s: tuple[tuple[float, ...], ...]
    times: Mapping[str, int]
    shown: Mapping[str, int]
    seen: Mapping[str, int]
    rates: Mapping[str, tuple[float, ...]]
    looked: int
    broken: Mapping[str, int]

    @property
    def cases(self) -> int:
        """That visit the phase."""
        return len(self.lengths_s)

    @property
    def visits(self) -> int:
        """To the phase."""
        return sum(map(len, self.lengths_s))


def learn_protocol(
    template: Protocol, courses: Sequence[CaseCourse], *, name: str | None = None, version: str | None = None
) -> Protocol:
    """A protocol of a procedure as these cases show it.

    Args:
        template: the procedure's protocol: its phases, tools, evidence times, critical steps and prerequisites.
        courses: of the cases, in any order.
        name: of the new protocol; the template's otherwise.
        version: of the new protocol; the first digits of the cases' digest otherwise.

    Raises:
        InputError: fewer than `LEAST_CASES` cases, or one of them twice.
    """
    ordered = in_order(courses)
    if len(ordered) < LEAST_CASES:
        raise InputError("cases", f"{LEAST_CASES} or more to learn a protocol from", str(len(ordered)))
    counts = count(template, ordered)
    sha256 = digest_of(ordered)
    first = Counter(one.visits[0].phase for one in ordered)
    for phase in template.begins:
        first[phase] += 0
    values = {
        "schema": 2,
        "name": name or template.name,
        "version": version or sha256[:12],
        **carried_over(template),
        "starts": smoothed([name for name in template.phase_names if name in first], first),
        "learned": {"cases": len(ordered), "sha256": sha256, "from": origin(template)},
        "phases": [_phase(phase, counts, template) for phase in template.phases],
    }
    return made(values)


def made(values: Mapping[str, Any]) -> Protocol:
    """The protocol that a file with these values would hold.

    Raises:
        InputError: they do not make a valid one.
    """
    try:
        return Protocol.model_validate(values)
    except ValidationError as error:
        raise InputError("the cases", "a course that can be learned", first_problem(error)) from error


def origin(protocol: Protocol) -> dict[str, str]:
    """What a protocol that comes from another one says of it."""
    return {"name": protocol.name, "version": protocol.version, "sha256": protocol.digest}


def carried_over(protocol: Protocol) -> dict[str, Any]:
    """What no case teaches: the tools there are, how much evidence a change needs, and when a time is an alarm."""
    kept = protocol.model_dump(mode="json", by_alias=True)
    return {key: kept[key] for key in ("tools", "commit", "mismatch", "time_alarms")}


def in_order(courses: Iterable[CaseCourse]) -> tuple[CaseCourse, ...]:
    """The cases in the order of what they hold, which is the same whatever they are called and wherever they lie.

    Raises:
        InputError: two hold the same.
    """
    found: dict[str, CaseCourse] = {}
    for one in courses:
        content = _content(one)
        if content in found:
            raise InputError(one.case, "a case that is not there already", f"the same course as {found[content].case}")
        found[content] = one
    return tuple(found[content] for content in sorted(found))


def digest_of(ordered: Iterable[CaseCourse]) -> str:
    """SHA-256, hex, of the courses."""
    return hashlib.sha256("\n".join(_content(one) for one in ordered).encode()).hexdigest()


def _content(one: CaseCourse) -> str:
    visits = [(v.phase, round(v.start_s, 3), round(v.end_s, 3), _rounded(v.tools_s)) for v in one.visits]
    return json.dumps(visits, sort_keys=True)


def _rounded(tools_s: Mapping[str, float] | None) -> dict[str, float] | None:
    return None if tools_s is None else {tool: round(seconds, 3) for tool, seconds in tools_s.items()}


def count(template: Protocol, ordered: Iterable[CaseCourse]) -> dict[str, PhaseCount]:
    """What the cases show of each phase of a protocol."""
    lengths: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    times: dict[str, Counter[str]] = defaultdict(Counter)
    shown: dict[str, Counter[str]] = defaultdict(Counter)
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    rates: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    looked: Counter[str] = Counter()
    broken: dict[str, Counter[str]] = defaultdict(Counter)
    for course in ordered:
        for before, after in course.steps:
            times[before][after] += 1
        for before, after in sorted(set(course.steps)):
            shown[before][after] += 1
        for name in sorted({visit.phase for visit in course.visits}):
            visits = [visit for visit in course.visits if visit.phase == name]
            lengths[name].append(tuple(visit.length_s for visit in visits))
            broken[name].update(_missing(template.phase(name), course))
            tools = [visit.tools_s for visit in visits if visit.tools_s is not None]
            if not tools:
                continue
            looked[name] += 1
            length_s = fsum(visit.length_s for visit in visits)
            for tool in template.tools:
                seconds = fsum(one.get(tool, 0.0) for one in tools)
                seen[name][tool] += seconds >= SEEN_S
                rates[name][tool].append(min(1.0, seconds / length_s) if length_s > 0 else 0.0)
    return {
        name: PhaseCount(
            tuple(lengths[name]),
            dict(times[name]),
            dict(shown[name]),
            dict(seen[name]),
            {tool: tuple(values) for tool, values in rates[name].items()},
            looked[name],
            dict(broken[name]),
        )
        for name in template.phase_names
    }


def _missing(phase: Phase, course: CaseCourse) -> list[str]:
    """The prerequisites that had not come when the case first began a phase."""
    before = []
    for visit in course.visits:
        if visit.phase == phase.name:
            break
        before.append(visit)
    done = {visit.phase for visit in before}
    missing = [name for name in phase.requires.completed if name not in done]
    if before and all(visit.tools_s is not None for visit in before):
        held = {tool for tool in phase.requires.seen if fsum((v.tools_s or {}).get(tool, 0.0) for v in before) < SEEN_S}
        missing += sorted(held)
    return missing


def _phase(phase: Phase, counts: Mapping[str, PhaseCount], template: Protocol) -> dict[str, Any]:
    """One phase of the file."""
    seen = counts[phase.name]
    known = seen.cases >= LEAST_CASES
    values: dict[str, Any] = {"name": phase.name}
    length = fit(seen.lengths_s) if known else None
    if length is not None:
        values["duration"] = duration(length)
    ordinary = [name for name in (*template.phase_names, END) if seen.shown.get(name, 0) >= LEAST_SHOWN]
    if known and ordinary:
        values["next"] = smoothed(ordinary, seen.times)
        kept = [name for name in phase.next if not _ruled_out(counts, seen, name)]
    else:
        values["next"] = dict(phase.next)
        kept = list(phase.rare)
    rare = {*seen.shown, *kept} - {*values["next"]}
    values["rare"] = [name for name in (*template.phase_names, END) if name in rare]
    values["tools"], tool_evidence = _tools(phase, seen, template.tools)
    values["requires"], contradicted = requires(phase, seen)
    values["critical"] = phase.critical
    not_learned = [
        what
        for what, learned in (
            ("duration", known),
            ("next", known and bool(ordinary)),
            ("tools", bool(tool_evidence) or not template.tools),
        )
        if not learned
    ]
    values["evidence"] = {
        "cases": seen.cases,
        "visits": seen.visits,
        **({} if length is None else duration_intervals(length)),
        "next": step_evidence(seen.times, seen.shown, template.phase_names),
        "tools": tool_evidence,
        "not_learned": not_learned,
        "contradicted": contradicted,
    }
    return values


def _ruled_out(counts: Mapping[str, PhaseCount], seen: PhaseCount, target: str) -> bool:
    """Whether enough cases show that a step is not taken; one to a phase that hardly any case visits cannot be."""
    if target != END and counts[target].cases < LEAST_CASES:
        return False
    return wilson(seen.times.get(target, 0), seen.visits)[1] < CLEARLY


def duration(length: LogNormal) -> dict[str, Any]:
    """A duration as the file has it."""
    return {"median": with_unit(round(length.median_s, 1)), "spread": round(length.spread, 3)}


def duration_intervals(length: LogNormal) -> dict[str, Any]:
    """The intervals of a duration as the file has them, which no operation exceeds."""
    return {
        "median": [with_unit(round(min(value, LONGEST_S), 1)) for value in length.median_interval_s],
        "spread": [round(min(value, WIDEST), 3) for value in length.spread_interval],
    }


def smoothed(names: Sequence[str], times: Mapping[str, float]) -> dict[str, float]:
    """The probability of each name: how often it came, and `PSEUDO` times more."""
    weights = [times.get(name, 0) + PSEUDO for name in names]
    return dict(zip(names, rounded_shares([weight / fsum(weights) for weight in weights]), strict=True))


def step_evidence(times: Mapping[str, int], shown: Mapping[str, int], names: Sequence[str]) -> dict[str, Any]:
    """What followed a phase, as the file has it, in the order of `names` and `END`."""
    total = sum(times.values())
    return {
        name: {"times": times[name], "cases": shown[name], "share": bounds(wilson(times[name], total))}
        for name in (*names, END)
        if name in times
    }


def _tools(phase: Phase, seen: PhaseCount, tools: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tools of a phase, and what stands behind them; as they were, and nothing, where too few cases say anything."""
    if seen.looked < LEAST_CASES:
        return phase.tools.model_dump(mode="json", exclude_none=True), {}
    kinds: dict[str, list[str]] = {"expected": [], "allowed": [], "unexpected": []}
    evidence = {}
    for tool in tools:
        kind = tool_kind(phase, tool, seen.seen[tool], seen.seen[tool], seen.looked)
        if kind is not None:
            kinds[kind].append(tool)
        rate, low, high = mean_interval(seen.rates[tool])
        evidence[tool] = {
            "cases": seen.seen[tool],
            "of": seen.looked,
            "share": bounds(wilson(seen.seen[tool], seen.looked)),
            "rate": round(rate, 4),
            "rate_interval": bounds((low, high)),
        }
    return kinds, evidence


def tool_kind(phase: Phase, tool: str, cases: int, weighed: float, of: float) -> str | None:
    """Where a tool stands in a phase.

    Args:
        phase: as it was before.
        tool: its name.
        cases: in which it was seen in the phase.
        weighed, of: the same with what was known before, and of how many.

    Returns:
        `expected` where at least half of the cases have it, by the lower bound. `unexpected` where fewer than
        `LEAST_SHOWN` have it, and the phase did not admit it before or the upper bound is below `CLEARLY`. `allowed` where it
        was seen, or was admitted before. None where nothing is known.
    """
    low, high = wilson(weighed, of)
    if low >= 0.5:
        return "expected"
    if cases < LEAST_SHOWN and (not phase.tools.admits(tool) or high < CLEARLY):
        return "unexpected"
    known = tool in phase.tools.expected or tool in phase.tools.allowed
    return "allowed" if cases > 0 or known else None


def requires(phase: Phase, seen: PhaseCount) -> tuple[dict[str, list[str]], list[str]]:
    """The prerequisites that the cases do not contradict, and those that they do."""
    contradicted = [
        name
        for name in (*phase.requires.completed, *phase.requires.seen)
        if seen.broken.get(name, 0) >= LEAST_SHOWN and wilson(seen.broken[name], seen.cases)[0] > OBEYED
    ]
    kept = {
        "completed": [name for name in phase.requires.completed if name not in contradicted],
        "seen": [name for name in phase.requires.seen if name not in contradicted],
    }
    return kept, contradicted


def bounds(interval: tuple[float, float]) -> list[float]:
    """The interval of a share as the file has it."""
    return [round(value, 4) for value in interval]
