"""Instrument lost from view: nothing is in view any more although the phase is worked on with instruments."""

from surgical_ml.workflow.estimate import Certainty, Deviation
from surgical_ml.workflow.moment import EvidenceFrames, Moment
from surgical_ml.workflow.protocol import Protocol
from surgical_ml.workflow.recognition import recognition

LOST_NS = 8_000_000_000
"""Watched time without any instrument; exchanging one takes less. Far above it, the detector is sure."""

THERE_NS = 1_000_000_000
"""An instrument must have been in view this long before it can be lost."""


class InstrumentLostDetector:
    """Counts the watched time since an instrument was last in view, in a phase whose protocol expects tools.

    Only of a phase in which one was in view; blind stretches stop the count. Lasts until one is in view.

    Args:
        protocol: of the procedure.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._frames = EvidenceFrames()
        self._forget()

    def _forget(self) -> None:
        self._there_ns = self._away_ns = self._onset_ns = 0
        self._last = ""
        self._frames.clear()

    def step(self, moment: Moment) -> tuple[Deviation, ...]:
        """As `Detector.step`."""
        if moment.change is not None:
            self._forget()
        phase = moment.phase
        if phase is None or not self._protocol.phase(phase).tools.expected:
            return ()
        if moment.seen is not None:
            # Hardly recognised is in view as well.
            in_view = recognition(moment.seen)
            if in_view:
                self._there_ns = min(THERE_NS, self._there_ns + moment.dt_ns)
                self._last = max(in_view, key=lambda tool: in_view[tool])
                self._away_ns = 0
                self._frames.clear()
            elif self._there_ns >= THERE_NS:
                if self._away_ns == 0:
                    self._onset_ns = moment.stamp_ns
                self._away_ns = min(2 * LOST_NS, self._away_ns + moment.dt_ns)
                self._frames.add(moment.seen.index)
        return (self._deviation(phase),) if self._away_ns >= LOST_NS else ()

    def _deviation(self, phase: str) -> Deviation:
        return Deviation(
            kind="instrument-lost",
            subject=self._last,
            onset_ns=self._onset_ns,
            rule=f"{self._protocol.name}/{phase}/tools",
            phase=phase,
            expected=self._protocol.phase(phase).tools.expected,
            observed=(),
            evidence_frames=self._frames.some(),
            certainty=Certainty.HIGH if self._away_ns >= 2 * LOST_NS else Certainty.MEDIUM,
            clears="an instrument in view",
        )
