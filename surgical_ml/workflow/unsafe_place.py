"""Instrument in an unsafe place: a tip that stays in a no-go zone, or nearer to it than its margin."""

from dataclasses import dataclass, field

from surgical_ml.geometry import Scene
from surgical_ml.workflow.estimate import Certainty, Deviation
from surgical_ml.workflow.moment import EvidenceFrames, Moment
from surgical_ml.workflow.protocol import Protocol

STAYS_NS = 400_000_000
"""A tip that is out again sooner was passing by."""


@dataclass(slots=True)
class _Near:
    """An instrument at one zone, since when, and how near it is."""

    onset_ns: int
    instrument: str
    observed: str
    inside: bool
    frames: EvidenceFrames = field(default_factory=EvidenceFrames)


class UnsafePlaceDetector:
    """Tells of each zone of geometry whether a tip has been within its margin for long enough; one finding a zone.

    Lasts until an admitted frame shows no tip there; time without one changes nothing.

    Args:
        protocol: of the procedure.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._near: dict[str, _Near] = {}

    def step(self, moment: Moment) -> tuple[Deviation, ...]:
        """As `Detector.step`."""
        if moment.seen is not None and moment.scene is not None:
            found = _within(moment.scene)
            for zone in [zone for zone in self._near if zone not in found]:
                del self._near[zone]
            for zone, now in found.items():
                known = self._near.setdefault(zone, now)
                known.onset_ns = min(known.onset_ns, now.onset_ns)
                known.instrument, known.observed, known.inside = now.instrument, now.observed, now.inside
                known.frames.add(moment.seen.index)
        return tuple(
            self._deviation(zone, near, moment.phase or "")
            for zone, near in self._near.items()
            if moment.stamp_ns - near.onset_ns >= STAYS_NS
        )

    def _deviation(self, zone: str, near: _Near, phase: str) -> Deviation:
        return Deviation(
            kind="unsafe-place",
            subject=zone,
            onset_ns=near.onset_ns,
            rule=f"{self._protocol.name}/zones/{zone}",
            phase=phase,
            expected=(f"tips outside {zone}",),
            observed=(f"{near.instrument} {near.observed}",),
            evidence_frames=near.frames.some(),
            certainty=Certainty.HIGH if near.inside else Certainty.MEDIUM,
            clears=f"{near.instrument} away from {zone}",
        )


def _within(scene: Scene) -> dict[str, _Near]:
    """The zones with a tip within their margin, by name; of several tips the nearest, of pixels and metres the metres."""
    found: dict[str, _Near] = {}
    for one in reversed(scene.distances):
        if one.within_ns is not None:
            inside = one.distance_px == 0
            found[one.structure] = _Near(one.within_ns, one.instrument, f"at {one.distance_px} px", inside)
    for metric in reversed(scene.metric):
        if metric.within_ns is not None:
            low, high = (value / 1000 for value in (metric.interval.low_um, metric.interval.high_um))
            words = f"at {low:.1f} to {high:.1f} mm"
            found[metric.structure] = _Near(metric.within_ns, metric.instrument, words, metric.interval.high_um == 0)
    return found
