"""Stream: frames that stop, that are dropped, or that begin again after an interruption."""

from surgical_ml.workflow.estimate import Certainty, Deviation
from surgical_ml.workflow.moment import BLIND_NS, Moment
from surgical_ml.workflow.protocol import Protocol

INTERRUPTED_NS = 10_000_000_000
"""Without a frame for so long, the stream was interrupted; as much good video again ends the finding."""

DROPPED_PPM = 600_000
"""Share of the frames that did not arrive, over the last seconds, from which too much is dropped."""

LASTING_NS = 10_000_000_000
"""Over which time the share is taken: its weight falls to a third."""


class StreamDetector:
    """Watches stamps and indices of the frames that arrive, admitted or not.

    `stale`: no frame for longer than a blink of the stream. `dropped`: indices leap, so that most frames do not arrive.
    `restarted`: frames arrive again after an interruption, or their indices begin anew; what is said of the phase is from
    before it until `INTERRUPTED_NS` of frames have come.

    Args:
        protocol: of the procedure.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._frame_ns: int | None = None
        self._index = 0
        self._dropped_ppm = 0
        self._dropping_since_ns = 0
        self._restarted_ns: int | None = None

    def step(self, moment: Moment) -> tuple[Deviation, ...]:
        """As `Detector.step`."""
        now = moment.stamp_ns
        if moment.frame is not None:
            if self._frame_ns is not None:
                self._arrived(now, max(0, now - self._frame_ns), moment.frame - self._index)
            self._frame_ns, self._index = now, moment.frame
        found = []
        if self._frame_ns is not None and now - self._frame_ns >= BLIND_NS:
            found.append(self._deviation("stale", self._frame_ns, moment, "no frame", "frames arrive again"))
        if self._restarted_ns is not None and now - self._restarted_ns < INTERRUPTED_NS:
            found.append(
                self._deviation("restarted", self._restarted_ns, moment, "frames after none", "ten seconds of frames")
            )
        if self._dropped_ppm >= DROPPED_PPM:
            lost = f"{self._dropped_ppm // 10_000} % of the frames lost"
            found.append(self._deviation("dropped", self._dropping_since_ns, moment, lost, "most frames arrive"))
        return tuple(found)

    def _arrived(self, now: int, dt_ns: int, leap: int) -> None:
        if dt_ns >= INTERRUPTED_NS or leap <= 0:
            self._restarted_ns, self._dropped_ppm = now, 0
            return
        share = min(dt_ns, LASTING_NS) / LASTING_NS
        before = self._dropped_ppm
        self._dropped_ppm += round(share * (1_000_000 * (leap - 1) / leap - before))
        if before < DROPPED_PPM <= self._dropped_ppm:
            self._dropping_since_ns = now

    def _deviation(self, subject: str, onset_ns: int, moment: Moment, observed: str, clears: str) -> Deviation:
        return Deviation(
            kind="stream",
            subject=subject,
            onset_ns=onset_ns,
            rule=f"{self._protocol.name}/stream/{subject}",
            phase=moment.phase or "",
            expected=("frames one after the other",),
            observed=(observed,),
            evidence_frames=(self._index,),
            certainty=Certainty.HIGH,
            clears=clears,
        )
