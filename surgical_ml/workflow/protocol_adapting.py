"""A protocol moved toward a new site by a few of its cases, as a new version that says so.

The rule is Bayesian. The protocol that there is counts as `weight` cases of the new site, or as those that it was learned from
if they are fewer. Durations are updated as normal-inverse-gamma distributions of the logarithm, steps and beginnings as
Dirichlet distributions, tools as Beta distributions. What is ordinary stays ordinary; what the site shows in `LEAST_SHOWN`
cases, together with those that the protocol was learned from, becomes ordinary; what it shows in fewer becomes rare.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from math import fsum
from typing import Any

from surgical_ml.errors import InputError
from surgical_ml.workflow.protocol import END, Phase, Protocol
from surgical_ml.workflow.protocol_course import CaseCourse
from surgical_ml.workflow.protocol_learning import (
    LEAST_CASES,
    LEAST_SHOWN,
    PhaseCount,
    bounds,
    carried_over,
    count,
    digest_of,
    duration,
    duration_intervals,
    in_order,
    made,
    origin,
    requires,
    step_evidence,
    tool_kind,
)
from surgical_ml.workflow.protocol_statistics import fit, mean_interval, rounded_shares, update, wilson

WEIGHT = 10.0
"""For how many cases of the new site the protocol that there is counts."""

RARE = 0.25
"""For how many visits a rare step counts, whatever the weight."""

_SHARES = {"expected": 0.8, "allowed": 0.3, "unexpected": 0.02}
"""In which share of the cases a tool is seen in a phase, where a protocol says no more than where it stands."""


def adapt_protocol(
    protocol: Protocol, courses: Sequence[CaseCourse], *, version: str | None = None, weight: float = WEIGHT
) -> Protocol:
    """A new version of a protocol, adapted to a site by its cases.

    Args:
        protocol: that there is.
        courses: of the site's cases, in any order; one is enough, and moves it little.
        version: of the new one; otherwise the old one's with the first digits of the cases' digest.
        weight: for how many cases the old one counts.

    Raises:
        InputError: no case, one of them twice, a weight that is not above 0, or the version of the old one.
    """
    if not 0 < weight <= 1e6:
        raise InputError("weight", "cases, above 0", str(weight))
    ordered = in_order(courses)
    if not ordered:
        raise InputError("cases", "one or more to adapt a protocol to", "none")
    sha256 = digest_of(ordered)
    version = version or f"{protocol.version}+{sha256[:8]}"
    if version == protocol.version:
        raise InputError("version", f"another one than {protocol.version}, which there is", version)
    counts = count(protocol, ordered)
    held = weight if protocol.learned is None else min(weight, protocol.learned.cases)
    first = Counter(one.visits[0].phase for one in ordered)
    begins = {name: held * share for name, share in protocol.begins.items()}
    return made(
        {
            "schema": 2,
            "name": protocol.name,
            "version": version,
            **carried_over(protocol),
            "starts": _mixed([*begins, *(name for name in protocol.phase_names if name in first)], begins, first),
            "learned": {"cases": len(ordered), "sha256": sha256, "from": origin(protocol), "weight": held},
            "phases": [_phase(phase, counts[phase.name], protocol, weight) for phase in protocol.phases],
        }
    )


def _phase(phase: Phase, seen: PhaseCount, protocol: Protocol, weight: float) -> dict[str, Any]:
    """One phase of the file; as it was where the site never visits it."""
    held = weight if phase.evidence is None else min(weight, max(1, phase.evidence.cases))
    values = {"name": phase.name, "critical": phase.critical}
    lengths_s = tuple(chain.from_iterable(seen.lengths_s))
    length = None
    if phase.duration is not None:
        length = update(phase.duration.median_s, phase.duration.spread, held, lengths_s)
    elif seen.cases >= LEAST_CASES:
        length = fit(seen.lengths_s)
    if length is not None:
        values["duration"] = duration(length)
    before = {} if phase.evidence is None else phase.evidence.next
    times = {
        name: seen.times.get(name, 0) + (before[name].times if name in before else 0) for name in {*seen.times, *before}
    }
    shown = {name: seen.shown.get(name, 0) + (before[name].cases if name in before else 0) for name in times}
    targets = (*protocol.phase_names, END)
    ordinary = [name for name in targets if name in phase.next or shown.get(name, 0) >= LEAST_SHOWN]
    prior = {name: held * share for name, share in phase.next.items()} | dict.fromkeys(phase.rare, RARE)
    values["next"] = _mixed(ordinary, prior, seen.times)
    rare = {*phase.rare, *seen.shown} - {*ordinary}
    values["rare"] = [name for name in targets if name in rare]
    values["tools"], tools = _tools(phase, seen, protocol.tools, held)
    values["requires"], contradicted = requires(phase, seen)
    values["evidence"] = {
        "cases": seen.cases + (0 if phase.evidence is None else phase.evidence.cases),
        "visits": seen.visits + (0 if phase.evidence is None else phase.evidence.visits),
        **({} if length is None else duration_intervals(length)),
        "next": step_evidence(times, shown, protocol.phase_names),
        "tools": tools,
        "not_learned": [] if length is not None else ["duration"],
        "contradicted": contradicted,
    }
    return values


def _mixed(names: Sequence[str], prior: Mapping[str, float], times: Mapping[str, int]) -> dict[str, float]:
    """Mean of the Dirichlet distribution of what came before and what the site shows; names in their order, once each."""
    names = list(dict.fromkeys(names))
    weights = [prior.get(name, 0.0) + times.get(name, 0) for name in names]
    total = fsum(weights)
    return dict(zip(names, rounded_shares([one / total for one in weights]), strict=True))


def _tools(phase: Phase, seen: PhaseCount, tools: Sequence[str], held: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tools of a phase, and what stands behind them; as they were where nobody looked."""
    before = {} if phase.evidence is None else phase.evidence.tools
    if seen.looked == 0:
        kept = {tool: one.model_dump(mode="json") for tool, one in before.items()}
        return phase.tools.model_dump(mode="json", exclude_none=True), kept
    kinds: dict[str, list[str]] = {"expected": [], "allowed": [], "unexpected": []}
    evidence = {}
    for tool in tools:
        weighed, of = held * _share(phase, tool) + seen.seen[tool], held + seen.looked
        kind = tool_kind(phase, tool, seen.seen[tool], weighed, of)
        if kind is not None:
            kinds[kind].append(tool)
        rate, low, high = mean_interval(seen.rates[tool])
        was = before.get(tool)
        evidence[tool] = {
            "cases": seen.seen[tool] + (0 if was is None else was.cases),
            "of": seen.looked + (0 if was is None else was.of),
            "share": bounds(wilson(weighed, of)),
            "rate": round(rate, 4),
            "rate_interval": bounds((low, high)),
        }
    return kinds, evidence


def _share(phase: Phase, tool: str) -> float:
    """In which share of the cases a tool was seen in a phase before."""
    was = None if phase.evidence is None else phase.evidence.tools.get(tool)
    if was is not None and was.of > 0:
        return was.cases / was.of
    if tool in phase.tools.expected:
        return _SHARES["expected"]
    return _SHARES["allowed" if phase.tools.admits(tool) else "unexpected"]
