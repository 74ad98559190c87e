"""A procedure's protocol: its phases, how long they take, what follows what, and which tools belong where."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from math import fsum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from surgical_ml.workflow.protocol_duration import Duration, Seconds
from surgical_ml.workflow.protocol_evidence import Learned, PhaseEvidence

END = "end"
"""What follows the last phase of a case; no phase has this name."""

VAGUE = Duration.model_validate({"median": "4 min", "spread": 1.2})
"""How long a phase takes of which a protocol does not say it: from half a minute to half an hour."""

LONGEST_NAME = 4
"""Words in a name of a phase or a tool; a sentence about two of them stays within the twelve words of an advisory."""

SUM_WITHIN = 0.001
"""How far the probabilities of what follows a phase may be from 1: rounding, and no more."""

_WORD_BEGINS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_")

Probability = Annotated[float, Field(gt=0, le=1, strict=True, allow_inf_nan=False)]


def spoken(name: str) -> str:
    """A name as a person says it: `CalotTriangleDissection` as `Calot triangle dissection`, `ICGDye` as `ICG dye`."""
    first, *others = _WORD_BEGINS.sub(" ", name).split() or [""]
    return " ".join([first, *(word if word.isupper() and len(word) > 1 else word.lower() for word in others)])


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PhaseTools(_Strict):
    """The tools of a phase.

    Attributes:
        expected: belong to it.
        allowed: raise nothing.
        unexpected: have no business in it; None, as where the file does not say, means every other tool. A tool that is
            in none of three given lists is one of which nothing is known.
    """

    expected: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    unexpected: tuple[str, ...] | None = None

    def admits(self, tool: str) -> bool:
        """Whether a tool may be seen in the phase without a word."""
        if self.unexpected is not None:
            return tool not in self.unexpected
        return tool in self.expected or tool in self.allowed


class Requires(_Strict):
    """What has to have come before a phase: phases that were `completed`, and tools that were `seen`."""

    completed: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()


class Phase(_Strict):
    """One phase.

    Attributes:
        name: of the phase.
        duration: of one visit to it; None where nothing is known, and nothing may be called too long or too short.
        next: what ordinarily follows, with its probability; `end` is the end of the case.
        rare: phases, or `end`, that have been seen to follow, too seldom for a probability: unusual, but not unheard of.
        tools: which tools belong to it.
        requires: what has to have come before it.
        critical: whether it may not be left out, nor cut short, without a word of high priority.
        evidence: what stands behind these numbers, where they were learned.
    """

    name: str = Field(min_length=1)
    duration: Duration | None = None
    next: dict[str, Probability] = Field(min_length=1)
    rare: tuple[str, ...] = ()
    tools: PhaseTools = PhaseTools()
    requires: Requires = Requires()
    critical: bool = Field(default=False, strict=True)
    evidence: PhaseEvidence | None = None

    @property
    def usual(self) -> Duration:
        """Its duration; `VAGUE` where nothing is known."""
        return self.duration or VAGUE

    @property
    def mean_s(self) -> float:
        """Mean of its usual duration, seconds."""
        return self.usual.mean_s

    @property
    def following(self) -> tuple[str, ...]:
        """The phases that ordinarily follow, without the end."""
        return tuple(name for name in self.next if name != END)


class TimeAlarms(_Strict):
    """When a visit to a phase is too long or too short.

    Attributes:
        too_long: share of the phase's durations that are shorter than what is too long.
        too_short: share of them that are shorter than what is called too short.
        least_s: seconds that it is to be over or under its bound; `least: 10 s` in the file.
    """

    too_long: float = Field(default=0.99, gt=0.5, lt=1, strict=True)
    too_short: float = Field(default=0.01, gt=0, lt=0.5, strict=True)
    least_s: Seconds = Field(default=10.0, alias="least", ge=0, le=3600)


class Protocol(_Strict):
    """A protocol file. `commit` and `mismatch`: how much evidence a phase, and a tool mismatch, need.

    Both have to be more than one frame can give, whatever the frame rate.

    Attributes:
        name: of the procedure.
        version: of the protocol.
        tools: that it speaks of; none in a protocol of phases only.
        commit_s, mismatch_s: seconds.
        starts: with which phase a case begins, with probabilities; the first one where it does not say.
        time_alarms: when a phase is too long or too short.
        phases: in the order of the network's.
        learned: where it comes from, where it was learned.
    """

    schema_: Literal[2] = Field(alias="schema")
    name: str = Field(min_length=1)
    version: str
    tools: tuple[str, ...] = ()
    commit_s: Seconds = Field(alias="commit", ge=1, le=600)
    mismatch_s: Seconds = Field(default=1.5, alias="mismatch", ge=0.5, le=600)
    starts: dict[str, Probability] = {}
    time_alarms: TimeAlarms = TimeAlarms()
    learned: Learned | None = None
    phases: tuple[Phase, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _consistent(self) -> "Protocol":
        for problem in _problems(self):
            raise ValueError(problem)
        return self

    @property
    def phase_names(self) -> tuple[str, ...]:
        """The phases, in the protocol's order."""
        return tuple(phase.name for phase in self.phases)

    @property
    def begins(self) -> Mapping[str, float]:
        """With which phase a case begins, with probabilities."""
        return self.starts or {self.phases[0].name: 1.0}

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical content, hex."""
        return hashlib.sha256(self.model_dump_json(by_alias=True, exclude_none=True).encode()).hexdigest()

    def phase(self, name: str) -> Phase:
        """The phase of that name."""
        return self.phases[self.phase_names.index(name)]


def _problems(protocol: Protocol) -> Iterator[str]:
    """What is wrong with a protocol: its names, then what refers to them, then what cannot happen."""
    names = protocol.phase_names
    for key, given in (("phases", names), ("tools", protocol.tools)):
        if len(set(given)) != len(given):
            yield f"{key}: a name stands there twice"
        for name in given:
            if not name.isprintable() or not 1 <= len(spoken(name).split()) <= LONGEST_NAME:
                yield f"{key}: {name!r} is not a name of one to {LONGEST_NAME} words"
    if END in names:
        yield f"phases: {END} is the end of a case, and no phase"
    yield from _unknown("starts", protocol.starts, names)
    yield from _sum("starts", protocol.starts)
    for phase in protocol.phases:
        yield from _phase_problems(phase, names, protocol.tools)
    yield from _unreachable(protocol)
    yield from _endless(protocol)
    yield from _impossible(protocol)


def _phase_problems(phase: Phase, names: tuple[str, ...], tools: tuple[str, ...]) -> Iterator[str]:
    targets = (*(name for name in names if name != phase.name), END)
    others = tuple(name for name in names if name != phase.name)
    yield from _unknown(f"{phase.name}: next", phase.next, targets)
    yield from _unknown(f"{phase.name}: rare", phase.rare, targets)
    yield from _sum(f"{phase.name}: next", phase.next)
    yield from _twice(f"{phase.name}: next and rare", (*phase.next, *phase.rare))
    named = (*phase.tools.expected, *phase.tools.allowed, *(phase.tools.unexpected or ()))
    yield from _unknown(f"{phase.name}: tools", named, tools)
    yield from _twice(f"{phase.name}: tools", named)
    yield from _unknown(f"{phase.name}: requires: completed", phase.requires.completed, others)
    yield from _unknown(f"{phase.name}: requires: seen", phase.requires.seen, tools)
    yield from _twice(f"{phase.name}: requires: completed", phase.requires.completed)
    yield from _twice(f"{phase.name}: requires: seen", phase.requires.seen)


def _unknown(place: str, used: Iterable[str], known: tuple[str, ...]) -> Iterator[str]:
    for name in used:
        if name not in known:
            yield f"{place}: {name} is not one of {list(known)}"


def _twice(place: str, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if names.count(name) > 1:
            yield f"{place}: {name} stands there twice"


def _sum(place: str, shares: Mapping[str, float]) -> Iterator[str]:
    total = fsum(shares.values())
    if shares and abs(total - 1) > SUM_WITHIN:
        yield f"{place}: probabilities add up to {total:.6g}, not to 1"


def _unreachable(protocol: Protocol) -> Iterator[str]:
    onward = {phase.name: (*phase.following, *phase.rare) for phase in protocol.phases}
    reached = _closure(set(protocol.begins), onward)
    for name in protocol.phase_names:
        if name not in reached:
            yield f"{name}: no course from {', '.join(protocol.begins)} leads to it"


def _endless(protocol: Protocol) -> Iterator[str]:
    back: dict[str, list[str]] = {}
    for phase in protocol.phases:
        for name in (*phase.next, *phase.rare):
            back.setdefault(name, []).append(phase.name)
    ending = _closure({END}, back)
    for phase in protocol.phases:
        if phase.name not in ending:
            yield f"{phase.name}: a cycle without exit: from here no course leads to {END}"


def _impossible(protocol: Protocol) -> Iterator[str]:
    needs = {phase.name: phase.requires.completed for phase in protocol.phases}
    for name in protocol.phase_names:
        if name in _closure(set(needs[name]), needs):
            yield f"{name}: requires itself, by way of {', '.join(needs[name])}"


def _closure(begin: set[str], onward: Mapping[str, Iterable[str]]) -> set[str]:
    """Everything that can be reached from somewhere."""
    reached, waiting = set(begin), list(begin)
    while waiting:
        for name in onward.get(waiting.pop(), ()):
            if name not in reached:
                reached.add(name)
                waiting.append(name)
    return reached


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, with its place, on one line."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "protocol"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"
