"""Tool mismatch: an instrument in view that has no business in the phase."""

from dataclasses import dataclass, field

from surgical_ml.workflow.estimate import Certainty, Deviation
from surgical_ml.workflow.moment import EvidenceFrames, Moment
from surgical_ml.workflow.protocol import Protocol
from surgical_ml.workflow.recognition import DOUBTFUL_PPM, SURE_PPM, recognition

PLAUSIBLE = 0.25
"""A tool is no mismatch while phases that admit it hold this much of the belief."""

NEAR_NEXT = 2.0
"""A tool of the phase that comes next needs this many times the evidence: it may only be early."""

LONGEST_STEP_NS = 200_000_000
"""One frame stands for no more, however rarely frames come: a single odd one is no evidence."""


@dataclass(slots=True)
class _Suspicion:
    """A cumulative sum of time in which a tool was where it should not be, less the time in which it was not."""

    seen_ns: int = 0
    onset_ns: int = 0
    raised: bool = False
    phase: str = ""
    frames: EvidenceFrames = field(default_factory=EvidenceFrames)


class ToolMismatchDetector:
    """Sums up, tool by tool, the time in which it was seen and did not belong; the protocol's `mismatch` raises it.

    What is hardly recognised counts in proportion. The sum falls as fast as it rose while the tool is away or belongs, and
    stands still while nothing is admitted. Raised, it lasts until the sum is back at nothing.

    Args:
        protocol: of the procedure.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._suspicion = {tool: _Suspicion() for tool in protocol.tools}
        self._homes = {tool: [phase.tools.admits(tool) for phase in protocol.phases] for tool in protocol.tools}
        self._following = {
            phase.name: {tool for name in phase.following for tool in protocol.phase(name).tools.expected}
            for phase in protocol.phases
        }

    def step(self, moment: Moment) -> tuple[Deviation, ...]:
        """As `Detector.step`."""
        phase = moment.phase
        if moment.seen is not None and phase is not None:
            scores = recognition(moment.seen)
            dt_ns = min(moment.dt_ns, LONGEST_STEP_NS)
            for tool, one in self._suspicion.items():
                score = min(scores.get(tool, 0), SURE_PPM) - DOUBTFUL_PPM
                if score > 0 and self._belongs(tool, moment) < PLAUSIBLE:
                    self._suspect(one, moment.seen.index, moment, dt_ns * score // (SURE_PPM - DOUBTFUL_PPM))
                    needed_s = self._protocol.mismatch_s * (NEAR_NEXT if tool in self._following[phase] else 1.0)
                    one.seen_ns = min(one.seen_ns, round(1.5e9 * needed_s))
                    one.raised |= one.seen_ns >= round(1e9 * needed_s)
                elif one.seen_ns:
                    one.seen_ns = max(0, one.seen_ns - dt_ns)
                    one.raised &= one.seen_ns > 0
        return tuple(self._deviation(tool, one, moment) for tool, one in self._suspicion.items() if one.raised)

    def _suspect(self, one: _Suspicion, index: int, moment: Moment, worth_ns: int) -> None:
        if one.seen_ns == 0:
            one.onset_ns, one.phase = moment.stamp_ns, moment.phase or ""
            one.frames.clear()
        one.seen_ns += worth_ns
        one.frames.add(index)

    def _belongs(self, tool: str, moment: Moment) -> float:
        """How much of the belief lies on phases that admit the tool."""
        return float(sum(share for share, home in zip(moment.belief, self._homes[tool], strict=True) if home))

    def _deviation(self, tool: str, one: _Suspicion, moment: Moment) -> Deviation:
        return Deviation(
            kind="tool-mismatch",
            subject=tool,
            onset_ns=one.onset_ns,
            rule=f"{self._protocol.name}/{one.phase}/tools",
            phase=one.phase,
            expected=self._protocol.phase(one.phase).tools.expected,
            observed=(tool,),
            evidence_frames=one.frames.some(),
            certainty=Certainty.HIGH if self._belongs(tool, moment) < 0.05 else Certainty.MEDIUM,
            clears=f"{tool} out of view, or a phase that it belongs to",
        )
