"""What the detectors of deviations are told of each event, and the course of the case so far that they share."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol as Interface

import numpy as np
import numpy.typing as npt

from surgical_ml.geometry import Scene
from surgical_ml.perception import Observation
from surgical_ml.workflow.estimate import Deviation
from surgical_ml.workflow.phases import PhaseChange

BLIND_NS = 2_000_000_000
"""Time without evidence, from which it is a stretch in which something may have happened that nobody saw."""

SHORTEST_NS = 20_000_000
"""What a frame stands for at least; the first one after a blind stretch stands for no more."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One stay in a phase.

    Attributes:
        phase: that was committed.
        onset_ns: when its evidence began.
        joined: the case was joined in it: when it began is not known.
        blind_ns: of it, in blind stretches.
        gap_ns, gap_end_ns: the latest blind stretch in it: how long it was, and when it ended.
    """

    phase: str
    onset_ns: int
    joined: bool
    blind_ns: int = 0
    gap_ns: int = 0
    gap_end_ns: int = 0

    def watched_ns(self, stamp_ns: int) -> int:
        """How much of it, up to a moment, could be watched: blind stretches stop the clock."""
        return max(0, stamp_ns - self.onset_ns - self.blind_ns)


@dataclass(frozen=True, slots=True)
class Course:
    """The case so far, as far as it was seen; as large at its end as at its beginning.

    Attributes:
        visit: the present one; None until a phase is committed.
        before: the one before it.
        first: the phase that was committed first.
        done: phases that were visited before the present one.
        blind_in_ns: time in blind stretches, by the phase that was committed then.
    """

    visit: Visit | None = None
    before: Visit | None = None
    first: str | None = None
    done: frozenset[str] = frozenset()
    blind_in_ns: Mapping[str, int] = field(default_factory=dict)

    def changed(self, change: PhaseChange) -> "Course":
        """After a change of phase."""
        visit = Visit(change.after, change.onset_ns, joined=self.visit is None)
        done = self.done if self.visit is None else self.done | {self.visit.phase}
        return replace(self, visit=visit, before=self.visit, first=self.first or change.after, done=done)

    def blind(self, gap_ns: int, end_ns: int) -> "Course":
        """After a blind stretch."""
        visit = self.visit
        if visit is not None:
            visit = replace(visit, blind_ns=visit.blind_ns + gap_ns, gap_ns=gap_ns, gap_end_ns=end_ns)
        phase = "" if visit is None else visit.phase
        blind_in_ns = {**self.blind_in_ns, phase: self.blind_in_ns.get(phase, 0) + gap_ns}
        return replace(self, visit=visit, blind_in_ns=blind_in_ns)


@dataclass(frozen=True, slots=True)
class Moment:
    """One event.

    Attributes:
        stamp_ns: of the event.
        frame: index of the frame that arrived, admitted or not; None for any other event.
        seen: the admitted observation; None where time passed without one.
        scene: the tracks and distances; None where nobody follows them.
        dt_ns: what `seen` stands for: the time since the admitted frame before it, at most `BLIND_NS`; after a blind
            stretch a moment. 0 without `seen`.
        belief: probability of each phase, in the protocol's order.
        course: of the case, this event included.
        change: the change of phase that this event established; None where there was none.
    """

    stamp_ns: int
    frame: int | None
    seen: Observation | None
    scene: Scene | None
    dt_ns: int
    belief: npt.NDArray[np.float64]
    course: Course
    change: PhaseChange | None

    @property
    def phase(self) -> str | None:
        """The committed phase."""
        return None if self.course.visit is None else self.course.visit.phase


class Detector(Interface):
    """One kind of departure, or several of one root; it remembers what it needs between events."""

    def step(self, moment: Moment) -> tuple[Deviation, ...]:
        """Take one event; answer with every departure that is present now."""


class EvidenceFrames:
    """Indices of frames spread over the whole time that something was seen; never more than 64 of them."""

    def __init__(self) -> None:
        self._kept: list[int] = []

    def add(self, index: int) -> None:
        """One more frame."""
        self._kept.append(index)
        if len(self._kept) > 64:
            self._kept = self._kept[::2]

    def clear(self) -> None:
        """Begin again."""
        self._kept = []

    def some(self) -> tuple[int, ...]:
        """At most eight of them, oldest first."""
        return tuple(self._kept[:: max(1, len(self._kept) // 8)][:8])
