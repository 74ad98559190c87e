"""When a decision may be shown, and as what: durable first, never stale, and silence made explicit."""

from dataclasses import dataclass

from surgical_ml.ros.running_case import Judged, RunningCase

DURABLE_WITHIN_NS = 100_000_000
RECOVERED_NS = 1_000_000_000
"""Records must have been durable in time for this long before anything else is shown again."""

STALLED_NS = 500_000_000
"""The session is told of time every 50 ms, later every 250 ms: no decision for this long, and judging has stopped."""

UNRECORDED, LATE, STALLED = "unrecorded", "late", "stalled"


@dataclass(frozen=True, slots=True)
class Shown:
    """A decision that is shown now; `withheld` is a reason that arose after it was made, empty if none did."""

    judged: Judged
    withheld: str


class Publication:
    """Takes a case's decisions in order and says which may be shown. Used by one thread; reads no clock.

    A decision whose record is not durable within 100 ms is shown as withheld, `unrecorded`, and so is every later one
    until records have been durable in time for a second.

    Args:
        case: whose decisions.
        max_age_ns: a frame's result that is older than this is withheld as `late`.
        now_ns: the monotonic clock.
    """

    def __init__(self, case: RunningCase, max_age_ns: int, now_ns: int) -> None:
        self._case, self._max_age_ns = case, max_age_ns
        self._newest_ns = now_ns
        self._lost_ns = 0
        self.unrecorded_since_ns: int | None = None
        self.newly_unrecorded: Judged | None = None

    def take(self, now_ns: int) -> list[Shown]:
        """What may be shown now, oldest first; `newly_unrecorded` is set when records have just begun to be late."""
        shown, pending = [], self._case.pending
        self.newly_unrecorded = None
        while pending:
            judged = pending[0]
            ticket = judged.decision.ticket
            durable = ticket is not None and ticket.durable
            lost = ticket is None or bool(ticket.decided and not durable)
            if not durable and not lost and now_ns - judged.decided_ns < DURABLE_WITHIN_NS:
                break
            pending.popleft()
            self._newest_ns = max(self._newest_ns, judged.decided_ns)
            if not durable:
                self._lost_ns = now_ns
                if self.unrecorded_since_ns is None:
                    self.unrecorded_since_ns = judged.decision.stamp_ns
                    self.newly_unrecorded = judged
            elif self.unrecorded_since_ns is not None and now_ns - self._lost_ns >= RECOVERED_NS:
                self.unrecorded_since_ns = None
            unrecorded = self.unrecorded_since_ns is not None
            shown.append(Shown(judged, UNRECORDED if unrecorded else self._late(judged, now_ns)))
        return shown

    @property
    def waiting(self) -> bool:
        """There are decisions that were neither shown nor given up."""
        return bool(self._case.pending)

    def stalled(self, now_ns: int) -> bool:
        """Nothing was decided for too long, although the session is told of time."""
        waiting = self._case.pending[-1].decided_ns if self._case.pending else self._newest_ns
        return now_ns - max(waiting, self._newest_ns) > STALLED_NS

    def age_ns(self, judged: Judged, now_ns: int) -> int:
        """From the acquisition of the frame that is answered, or from the arrival of another event, until now."""
        if judged.frame is None:
            return now_ns - judged.received_ns
        feed_now = self._case.feed.now_ns()
        return max(0, feed_now - judged.decision.stamp_ns)

    def _late(self, judged: Judged, now_ns: int) -> str:
        return LATE if judged.frame is not None and self.age_ns(judged, now_ns) > self._max_age_ns else ""
