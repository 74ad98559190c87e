"""What happened in a case, told from its folder in a memory that does not grow with its length."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from surgical_ml.errors import InputError
from surgical_ml.evaluation.case_files import (
    DECISIONS,
    AdvisoryTold,
    DecisionTold,
    SummaryTold,
    last_decision,
    read_decisions,
    read_summary,
    read_timings,
)
from surgical_ml.guidance import Kind, Presence, Priority

COLUMNS = 720
"""Steps of the time axis: one for each pixel that a chart is wide. What is shorter is added up within its step."""

STANDS_NS = 200_000_000
"""A decision speaks for the time until the next one, and at most for this long or three frame periods: a gap in the
video is a gap in the report, never the last answer again."""

GATHERING = "gathering"
"""Between the onset of a condition and its announcement, while evidence was gathered."""

URGENCY = (Priority.HIGH, Priority.MEDIUM, Priority.LOW, Priority.NONE)

# These speak for time; whatever else happens (a person's action, a lost record), the next of them answers for it.
_TIMED = frozenset({"frame", "tick"})
_NO_CASE = "no-case"


@dataclass(frozen=True, slots=True)
class Axis:
    """The time of a case, from its first decision to the end of its last, in `COLUMNS` equal steps."""

    begin_ns: int
    length_ns: int

    def column(self, stamp_ns: int) -> float:
        """Where on the axis a time lies, from 0 to `COLUMNS`; what lies outside is put at the nearest end."""
        return min(max(stamp_ns - self.begin_ns, 0), self.length_ns) * COLUMNS / self.length_ns


class Trace:
    """When one thing was so: how long altogether, in how many stretches, and how long in each step of the axis.

    Attributes:
        total_ns, longest_ns, stretches, first_ns: over the whole case; `first_ns` is None while there was no stretch.
        columns: nanoseconds times `COLUMNS` in each step, so that a step is exact in whole numbers.
    """

    __slots__ = ("_axis", "_since_ns", "_until_ns", "columns", "first_ns", "longest_ns", "stretches", "total_ns")

    def __init__(self, axis: Axis) -> None:
        self._axis = axis
        self._since_ns = 0
        self._until_ns: int | None = None
        self.columns = [0] * COLUMNS
        self.total_ns = self.longest_ns = self.stretches = 0
        self.first_ns: int | None = None

    def add(self, start_ns: int, end_ns: int) -> None:
        """It was so from one time to another; a stretch that begins where the last one ended continues it."""
        if self._until_ns != start_ns:
            self._since_ns = start_ns
            self.stretches += 1
        if self.first_ns is None:
            self.first_ns = start_ns
        self._until_ns = end_ns
        self.total_ns += end_ns - start_ns
        self.longest_ns = max(self.longest_ns, end_ns - self._since_ns)
        length = self._axis.length_ns
        begin, end = ((min(max(t - self._axis.begin_ns, 0), length)) * COLUMNS for t in (start_ns, end_ns))
        while begin < end:
            column = begin // length
            upto = min(end, (column + 1) * length)
            self.columns[column] += upto - begin
            begin = upto

    def shares(self, levels: int) -> list[int]:
        """For each step, how much of it this fills: 0 for nothing, then from 1 for a little to `levels` for all."""
        length = self._axis.length_ns
        return [-(-filled * levels // length) for filled in self.columns]


class Traces(dict[str, Trace]):
    """Traces by name, each begun when its name is first heard."""

    def __init__(self, axis: Axis, names: Iterable[str] = ()) -> None:
        super().__init__((name, Trace(axis)) for name in names)
        self._axis = axis

    def __missing__(self, name: str) -> Trace:
        self[name] = Trace(self._axis)
        return self[name]


@dataclass(slots=True)
class Episode:
    """One advisory, from its onset to its end.

    Attributes:
        told: as it was announced.
        priority: the highest it had.
        sentences: each that it was announced with, the first one first.
        degraded: every input that was poor while it was active.
        presences: those it went through, in order.
        gone_ns: when its condition had gone; None if it had not when the case ended.
        ended_ns: when it left the active set; None if it was still there when the case ended.
    """

    told: AdvisoryTold
    priority: Priority
    sentences: dict[str, None] = field(default_factory=dict)
    degraded: dict[str, None] = field(default_factory=dict)
    presences: list[Presence] = field(default_factory=list)
    gone_ns: int | None = None
    ended_ns: int | None = None

    def take(self, now: AdvisoryTold, stamp_ns: int) -> None:
        """What a later decision says of it."""
        self.priority = min(self.priority, now.priority, key=URGENCY.index)
        self.sentences.setdefault(now.text)
        self.degraded.update(dict.fromkeys(now.reason.degraded_inputs))
        if not self.presences or self.presences[-1] is not now.presence:
            self.presences.append(now.presence)
            if now.presence is Presence.LATCHED:
                self.gone_ns = stamp_ns

    def end(self, stamp_ns: int) -> None:
        """It is not in the active set any more."""
        self.presences.append(Presence.OFF)
        self.ended_ns = stamp_ns
        self.gone_ns = stamp_ns if self.gone_ns is None else self.gone_ns


class Durations:
    """How long a stage took over a whole case: to three digits, which keeps the memory small; the maximum exactly."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.max_us = 0

    def add(self, microseconds: int) -> None:
        """One more."""
        step = 10 ** max(0, len(str(microseconds)) - 3)
        self._counts[microseconds // step * step] += 1
        self.count += 1
        self.max_us = max(self.max_us, microseconds)

    def percentile_us(self, percent: int) -> int:
        """The smallest duration that is not exceeded by `percent` of all (nearest rank), to three digits."""
        rank = -(-self.count * percent // 100)
        for value in sorted(self._counts):
            rank -= self._counts[value]
            if rank <= 0:
                return value
        return 0


@dataclass(frozen=True, slots=True)
class CaseStory:
    """What happened in a case.

    Attributes:
        summary: what `summary.json` says.
        axis: the time of the case.
        frames: judged frames by validity.
        withheld_frames: judged frames by the reason for which nothing was shown.
        silent, poor: while nothing was shown, and while something was shown of a poor view, whatever the reason.
        withheld, degraded: the same, by reason; several things may be poor at once.
        committed, candidates: phases, in the protocol's order.
        unsettled: while something was shown and no phase was committed.
        tools: instruments seen, in the model's order.
        advisories: of each that is about the operation, by code and subject, when it had which presence or `GATHERING`.
        episodes: every advisory, in the order of announcement.
        durations: of each stage, in the order of the stages.
        keyframes_ns: stamps of the kept frames, by index.
    """

    summary: SummaryTold
    axis: Axis
    frames: Counter[str]
    withheld_frames: Counter[str]
    silent: Trace
    poor: Trace
    withheld: Traces
    degraded: Traces
    committed: Traces
    candidates: Traces
    unsettled: Trace
    tools: Traces
    advisories: dict[tuple[str, str], Traces]
    episodes: list[Episode]
    durations: defaultdict[str, Durations]
    keyframes_ns: dict[int, int]


def read_story(folder: Path) -> CaseStory:
    """Read a case folder, each file once and a line at a time.

    Raises:
        InputError: the folder is no case folder, a line is not what it must be, or the files disagree.
    """
    summary = read_summary(folder)
    period_ns = round(1e9 * summary.every / (summary.fps or 30.0))
    story: CaseStory | None = None
    for decision in read_decisions(folder):
        if story is None:
            length_ns = last_decision(folder).stamp_ns - decision.stamp_ns + period_ns
            story = _empty(summary, Axis(decision.stamp_ns, max(length_ns, 1)))
            reader = _Reader(story, period_ns)
        reader.take(decision)
    judged = 0 if story is None else story.frames.total()
    if story is None or judged != summary.frames:
        raise InputError(folder / DECISIONS, f"{summary.frames} judged frames, as the summary says", str(judged))
    reader.end()
    for timing in read_timings(folder):
        for stage, microseconds in timing.stages_us.items():
            story.durations[stage].add(microseconds)
    return story


def _empty(summary: SummaryTold, axis: Axis) -> CaseStory:
    return CaseStory(
        summary,
        axis,
        frames=Counter(),
        withheld_frames=Counter(),
        silent=Trace(axis),
        poor=Trace(axis),
        withheld=Traces(axis),
        degraded=Traces(axis),
        committed=Traces(axis, summary.phases),
        candidates=Traces(axis, summary.phases),
        unsettled=Trace(axis),
        tools=Traces(axis, summary.tools),
        advisories={},
        episodes=[],
        durations=defaultdict(Durations),
        keyframes_ns={},
    )


@dataclass(frozen=True, slots=True)
class _State:
    """What a chart shows of one decision."""

    withheld: str
    degraded: tuple[str, ...]
    committed: str | None
    candidate: str | None
    tools: frozenset[str]
    advisories: tuple[tuple[tuple[str, str], Presence], ...]

    @classmethod
    def of(cls, decision: DecisionTold) -> "_State":
        phase = decision.phase
        return cls(
            decision.withheld,
            decision.degraded,
            None if phase is None else phase.committed,
            None if phase is None else phase.candidate,
            frozenset(one.type for one in decision.instruments),
            tuple(((a.code, a.subject), a.presence) for a in decision.advisories if a.kind is Kind.PROCEDURAL),
        )


class _Reader:
    """Adds decisions to a story: equal states are one run, and only runs reach the traces."""

    def __init__(self, story: CaseStory, period_ns: int) -> None:
        self._story = story
        self._period_ns = period_ns
        self._stands_ns = max(STANDS_NS, 3 * period_ns)
        self._kept = {one.index for one in story.summary.keyframes}
        self._active: dict[tuple[str, str, int], Episode] = {}
        self._state: _State | None = None
        self._since_ns = self._now_ns = story.axis.begin_ns

    def take(self, decision: DecisionTold) -> None:
        """The next decision."""
        # Stamps are those of acquisition; a frame that was overtaken counts from when time stood.
        now_ns = max(self._now_ns, decision.stamp_ns)
        if decision.event in _TIMED:
            self._judge(decision, now_ns)
        elif decision.withheld == _NO_CASE:
            # A person has ended the case: that clears every condition, and says nothing about the operation.
            return
        self._follow(decision, now_ns)

    def _judge(self, decision: DecisionTold, now_ns: int) -> None:
        state = _State.of(decision)
        stood = now_ns - self._now_ns <= self._stands_ns
        if state != self._state or not stood:
            self._close(now_ns if stood else self._now_ns + self._stands_ns)
            self._state, self._since_ns = state, now_ns
        self._now_ns = now_ns
        if decision.event == "frame":
            self._story.frames[decision.validity.value] += 1
            if decision.withheld:
                self._story.withheld_frames[decision.withheld] += 1
            if decision.index is not None and decision.index in self._kept:
                self._story.keyframes_ns[decision.index] = decision.stamp_ns

    def end(self) -> None:
        """There are no more decisions; the last one stands for one frame period."""
        self._close(self._now_ns + self._period_ns)

    def _close(self, end_ns: int) -> None:
        state, start_ns, story = self._state, self._since_ns, self._story
        if state is None or end_ns == start_ns:
            return
        if state.withheld:
            story.silent.add(start_ns, end_ns)
            story.withheld[state.withheld].add(start_ns, end_ns)
        if state.degraded:
            story.poor.add(start_ns, end_ns)
        for name in state.degraded:
            story.degraded[name].add(start_ns, end_ns)
        if not state.withheld and state.committed is None:
            story.unsettled.add(start_ns, end_ns)
        if state.committed is not None:
            story.committed[state.committed].add(start_ns, end_ns)
        if state.candidate is not None:
            story.candidates[state.candidate].add(start_ns, end_ns)
        for tool in state.tools:
            story.tools[tool].add(start_ns, end_ns)
        for key, presence in state.advisories:
            story.advisories[key][presence.value].add(start_ns, end_ns)

    def _follow(self, decision: DecisionTold, now_ns: int) -> None:
        """Follow each advisory from its announcement until it is listed no more."""
        listed = {(a.code, a.subject, a.announced_ns): a for a in decision.advisories}
        for key, advisory in listed.items():
            if key not in self._active:
                episode = self._active[key] = Episode(advisory, advisory.priority)
                self._story.episodes.append(episode)
                if advisory.kind is Kind.PROCEDURAL:
                    traces = self._story.advisories.setdefault(key[:2], Traces(self._story.axis))
                    if advisory.onset_ns < advisory.announced_ns:
                        traces[GATHERING].add(advisory.onset_ns, advisory.announced_ns)
            self._active[key].take(advisory, now_ns)
        if len(listed) < len(self._active):
            for key in [key for key in self._active if key not in listed]:
                self._active.pop(key).end(now_ns)
