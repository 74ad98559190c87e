"""Order: a phase that does not follow from the one before it; what was passed over, and what is done again."""

from heapq import heappop, heappush
from math import log

from surgical_ml.workflow.estimate import Certainty, Deviation
from surgical_ml.workflow.moment import Moment, Visit
from surgical_ml.workflow.phases import PhaseChange
from surgical_ml.workflow.protocol import END, Phase, Protocol

RARE = 0.001
"""Probability that counts for a step that the protocol calls rare: a course by way of it is a last resort."""

JUST_AFTER_NS = 10_000_000_000
"""A phase whose evidence begins within this of a blind stretch may have begun in it, and so may others before it."""

HASTY = 0.05
"""A phase may have come and gone unseen in a stretch that is as long as this share of its durations."""


class OrderDetector:
    """Finds a change to a phase that the protocol lists neither as ordinary nor as rare after the one before.

    `repeated`: it was done before. `skipped`: the ordinary course leads to it by way of phases that were not done, none of
    them critical. `order`: it leads to it by way of a critical phase, or not at all. No departure is: what leads to it was
    all done before; what was passed over may have been done in a blind stretch; the phase in which a case is joined.

    Args:
        protocol: of the procedure.
        time_scale: how many times faster than real the case runs.
    """

    def __init__(self, protocol: Protocol, time_scale: float) -> None:
        self._protocol, self._scale = protocol, time_scale
        self._present: Deviation | None = None

    def step(self, moment: Moment) -> tuple[Deviation, ...]:
        """As `Detector.step`; a departure is present until the next change of phase."""
        if moment.change is not None:
            self._present = self._judge(moment, moment.change, moment.course.before)
        return () if self._present is None else (self._present,)

    def _judge(self, moment: Moment, change: PhaseChange, before: Visit | None) -> Deviation | None:
        if change.before is None or before is None:
            return None
        left = self._protocol.phase(change.before)
        if change.after in (*left.next, *left.rare):
            return None
        if change.after in moment.course.done:
            return self._deviation("repeated", change.after, change, left, left.following)
        passed = self._passed(left, change.after, moment.course.done)
        if passed is None:
            return self._deviation("order", change.after, change, left, left.following)
        if not passed or self._unseen(passed, change.onset_ns, before):
            return None
        if any(self._protocol.phase(name).critical for name in passed):
            return self._deviation("order", change.after, change, left, left.following)
        return self._deviation("skipped", passed[0], change, left, passed)

    def _passed(self, left: Phase, after: str, done: frozenset[str]) -> tuple[str, ...] | None:
        """What was not done of the likeliest ordinary course to a phase; None where there is none."""
        waiting: list[tuple[float, tuple[str, ...]]] = [(0.0, (left.name,))]
        reached: set[str] = set()
        while waiting:
            cost, course = heappop(waiting)
            if course[-1] == after:
                return tuple(name for name in course[1:-1] if name not in done)
            if course[-1] in reached:
                continue
            reached.add(course[-1])
            phase = self._protocol.phase(course[-1])
            steps = phase.next | dict.fromkeys(phase.rare, RARE)
            for name, probability in steps.items():
                if name != END and name not in reached:
                    heappush(waiting, (cost - log(probability), (*course, name)))
        return None

    def _unseen(self, passed: tuple[str, ...], onset_ns: int, before: Visit) -> bool:
        """Whether all of it may have been done in the blind stretch from which the phase emerged."""
        if before.gap_ns == 0 or onset_ns - before.gap_end_ns > JUST_AFTER_NS:
            return False
        hasty_s = sum(self._protocol.phase(name).usual.quantile_s(HASTY) for name in passed)
        return before.gap_ns / 1e9 * self._scale >= hasty_s

    def _deviation(
        self, kind: str, subject: str, change: PhaseChange, left: Phase, expected: tuple[str, ...]
    ) -> Deviation:
        return Deviation(
            kind=kind,
            subject=subject,
            onset_ns=change.onset_ns,
            rule=f"{self._protocol.name}/{left.name}/next",
            phase=change.after if kind == "skipped" else left.name,
            expected=expected,
            observed=(change.after,),
            evidence_frames=change.frames,
            certainty=Certainty.HIGH,
            clears="the next change of phase",
        )
