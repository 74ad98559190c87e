"""Novelty: pictures that are still admitted, yet less like what the networks were trained on than they ordinarily are."""

from surgical_ml.workflow.estimate import Certainty, Deviation
from surgical_ml.workflow.moment import BLIND_NS, EvidenceFrames, Moment
from surgical_ml.workflow.protocol import Protocol

REFERENCE_PPM = 900_000
"""Distance from the training data, of the 1,000,000 from which a picture is refused, above which it counts as odd."""

LIMIT = 1_000_000_000_000_000
"""ppm x ns above the reference that raise it: a second at twice the reference's distance from nothing, or ten seconds at
100,000 ppm above it."""


class NoveltyDetector:
    """A cumulative sum (CUSUM) of how far pictures lie above the reference distance, less how far they lie below it.

    Controlled for the quality of the picture: smoke, blood, blur and light explain a distance, and a frame in which one of
    them is poor counts for nothing.

    Args:
        protocol: of the procedure.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._sum = 0
        self._onset_ns = 0
        self._raised = False
        self._frames = EvidenceFrames()

    def step(self, moment: Moment) -> tuple[Deviation, ...]:
        """As `Detector.step`; lasts until the sum is back at nothing."""
        seen = moment.seen
        if seen is not None and not seen.degraded:
            odd = (seen.novelty_ppm - REFERENCE_PPM) * min(moment.dt_ns, BLIND_NS)
            if self._sum == 0 and odd > 0:
                self._onset_ns = moment.stamp_ns
                self._frames.clear()
            self._sum = min(max(0, self._sum + odd), 2 * LIMIT)
            if odd > 0:
                self._frames.add(seen.index)
            self._raised = self._sum > 0 if self._raised else self._sum >= LIMIT
        return (self._deviation(moment.phase or ""),) if self._raised else ()

    def _deviation(self, phase: str) -> Deviation:
        return Deviation(
            kind="novelty",
            subject="picture",
            onset_ns=self._onset_ns,
            rule=f"{self._protocol.name}/pictures",
            phase=phase,
            expected=(f"a distance from the training data of at most {REFERENCE_PPM} ppm",),
            observed=(f"{self._sum // 1_000_000_000} ppm s above it",),
            evidence_frames=self._frames.some(),
            certainty=Certainty.HIGH if self._sum >= 2 * LIMIT else Certainty.MEDIUM,
            clears="pictures like the training data",
        )
