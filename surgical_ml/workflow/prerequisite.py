"""Prerequisite: a phase that has begun although something that it needs has not come before it."""

from surgical_ml.workflow.estimate import Certainty, Deviation
from surgical_ml.workflow.moment import Moment
from surgical_ml.workflow.order import HASTY
from surgical_ml.workflow.protocol import Phase, Protocol
from surgical_ml.workflow.recognition import DOUBTFUL_PPM, recognition

SEEN_NS = 1_000_000_000
"""How long a tool must have been seen, all together, to count as one that has come."""


class PrerequisiteDetector:
    """Compares a phase's `requires` with the phases that were completed and the tools that were seen.

    Nothing is missing that may have come unseen: in a case that was joined in another phase than it begins with, or in which
    the blind stretches are as long as a hasty phase; for a tool, those in phases that expect it. A phase that was entered
    out of order is told already, and asked nothing more.

    Args:
        protocol: of the procedure.
        time_scale: how many times faster than real the case runs.
    """

    def __init__(self, protocol: Protocol, time_scale: float) -> None:
        self._protocol, self._scale = protocol, time_scale
        self._seen_ns = dict.fromkeys(protocol.tools, 0)
        self._entered: Phase | None = None
        self._onset_ns = 0
        self._frames: tuple[int, ...] = ()

    def step(self, moment: Moment) -> tuple[Deviation, ...]:
        """As `Detector.step`; present until it has come, or the next change of phase."""
        if moment.seen is not None and self._seen_ns:
            for tool, score in recognition(moment.seen).items():
                if score > DOUBTFUL_PPM:
                    self._seen_ns[tool] = min(SEEN_NS, self._seen_ns[tool] + moment.dt_ns)
        if moment.change is not None:
            self._enter(moment)
        if self._entered is None:
            return ()
        needs = self._entered.requires
        missing = [
            name for name in needs.completed if name not in moment.course.done and not self._hidden(name, moment)
        ]
        missing += [t for t in needs.seen if self._seen_ns[t] < SEEN_NS and not self._tool_hidden(t, moment)]
        return tuple(self._deviation(self._entered, name) for name in missing)

    def _hidden(self, phase: str, moment: Moment) -> bool:
        """Whether a phase may have come and gone unseen."""
        return self._hasty(phase, sum(moment.course.blind_in_ns.values()))

    def _tool_hidden(self, tool: str, moment: Moment) -> bool:
        """Whether a tool may have done its work unseen."""
        return any(
            self._hasty(phase.name, moment.course.blind_in_ns.get(phase.name, 0))
            for phase in self._protocol.phases
            if tool in phase.tools.expected
        )

    def _hasty(self, phase: str, blind_ns: int) -> bool:
        return blind_ns / 1e9 * self._scale >= self._protocol.phase(phase).usual.quantile_s(HASTY)

    def _enter(self, moment: Moment) -> None:
        assert moment.change is not None
        change, course = moment.change, moment.course
        self._entered, self._onset_ns, self._frames = None, change.onset_ns, change.frames
        if course.first not in self._protocol.begins:
            return
        left = None if change.before is None else self._protocol.phase(change.before)
        if left is None or change.after in (*left.next, *left.rare):
            self._entered = self._protocol.phase(change.after)

    def _deviation(self, phase: Phase, missing: str) -> Deviation:
        return Deviation(
            kind="prerequisite",
            subject=missing,
            onset_ns=self._onset_ns,
            rule=f"{self._protocol.name}/{phase.name}/requires",
            phase=phase.name,
            expected=(missing,),
            observed=(),
            evidence_frames=self._frames,
            certainty=Certainty.HIGH,
            clears=f"{missing}, or the next change of phase",
        )
