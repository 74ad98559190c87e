"""Duration: a phase that takes much longer, or was over much sooner, than it does elsewhere."""

from surgical_ml.workflow.estimate import Certainty, Deviation
from surgical_ml.workflow.moment import EvidenceFrames, Moment, Visit
from surgical_ml.workflow.protocol import Phase, Protocol, TimeAlarms

FAR = 10.0
"""How many times rarer than the bound a duration must be to be far beyond it."""

EVERY_NS = 10_000_000_000
"""A frame of so often stands as evidence for how long a phase has lasted."""


class DurationDetector:
    """Compares the time that a phase could be watched with the protocol's distribution of its durations.

    `too-long` begins when the bound is crossed, and lasts as long as the phase. `too-short` begins when the phase is left,
    and lasts as long as the phase after it; it is not asked of a phase in which the case was joined, that had a blind
    stretch, or that was left out of order, which is told already. Nothing is asked of a phase without a distribution.

    Args:
        protocol: of the procedure; its `time_alarms` hold the bounds, as shares of the durations of normal cases.
        time_scale: how many times faster than real the case runs.
    """

    def __init__(self, protocol: Protocol, time_scale: float) -> None:
        self._protocol, self._scale = protocol, time_scale
        self._short: Deviation | None = None
        self._long: Deviation | None = None
        self._frames = EvidenceFrames()
        self._newest_ns = 0

    def step(self, moment: Moment) -> tuple[Deviation, ...]:
        """As `Detector.step`."""
        visit = moment.course.visit
        if visit is None:
            return ()
        if moment.change is not None:
            self._short = self._too_short(moment, moment.course.before)
            self._long = None
            self._frames.clear()
        if moment.seen is not None:
            if moment.stamp_ns - self._newest_ns >= EVERY_NS / self._scale or moment.change is not None:
                self._frames.add(moment.seen.index)
                self._newest_ns = moment.stamp_ns
            self._long = self._too_long(moment.stamp_ns, visit)
        return tuple(one for one in (self._short, self._long) if one is not None)

    @property
    def _alarms(self) -> TimeAlarms:
        return self._protocol.time_alarms

    def _too_long(self, stamp_ns: int, visit: Visit) -> Deviation | None:
        phase = self._protocol.phase(visit.phase)
        if phase.duration is None:
            return None
        bound_s = max(phase.duration.quantile_s(self._alarms.too_long), phase.duration.median_s + self._alarms.least_s)
        watched_s = visit.watched_ns(stamp_ns) / 1e9 * self._scale
        if watched_s < bound_s:
            return None
        far = phase.duration.share_over(watched_s) * FAR <= 1 - self._alarms.too_long
        onset_ns = (
            stamp_ns - round(1e9 * (watched_s - bound_s) / self._scale) if self._long is None else self._long.onset_ns
        )
        return self._deviation(
            "too-long", phase, onset_ns, f"at most {bound_s:.0f} s", f"{bound_s:.0f} s and going on", far
        )

    def _too_short(self, moment: Moment, left: Visit | None) -> Deviation | None:
        assert moment.change is not None
        if left is None or left.joined or left.blind_ns:
            return None
        phase = self._protocol.phase(left.phase)
        if phase.duration is None or moment.change.after not in (*phase.next, *phase.rare):
            return None
        bound_s = min(phase.duration.quantile_s(self._alarms.too_short), phase.duration.median_s - self._alarms.least_s)
        lasted_s = (moment.change.onset_ns - left.onset_ns) / 1e9 * self._scale
        if lasted_s >= bound_s:
            return None
        far = (1 - phase.duration.share_over(lasted_s)) * FAR <= self._alarms.too_short
        return self._deviation(
            "too-short", phase, moment.change.onset_ns, f"at least {bound_s:.0f} s", f"{lasted_s:.0f} s", far
        )

    def _deviation(self, kind: str, phase: Phase, onset_ns: int, expected: str, observed: str, far: bool) -> Deviation:
        return Deviation(
            kind=kind,
            subject=phase.name,
            onset_ns=onset_ns,
            rule=f"{self._protocol.name}/{phase.name}/duration",
            phase=phase.name,
            expected=(expected,),
            observed=(observed,),
            evidence_frames=self._frames.some(),
            certainty=Certainty.HIGH if far else Certainty.MEDIUM,
            clears="the next change of phase",
        )
