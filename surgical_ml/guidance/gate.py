"""The gate: the only piece that decides whether something may be shown, and that says why when it may not."""

from dataclasses import dataclass

from surgical_ml.guidance.advisory import GateState, Validity

STALE_NS = 200_000_000
PATIENT_NS = 300_000_000
"""How long the picture may be odd (out of the body, unlike training) before it is withheld: one odd frame is no reason."""

RETURN_NS = 1_000_000_000
"""Good input must last this long before something is shown again."""

UNRECORDED_NS = 2_000_000_000
DEGRADED_NS = 500_000_000

_PATIENT = frozenset({"out-of-body", "unlike-training"})

_VALIDITY = {
    GateState.ACTIVE: Validity.OK,
    GateState.DEGRADED_VIEW: Validity.DEGRADED,
    GateState.DEGRADED_DROPS: Validity.DEGRADED,
    GateState.FAULT: Validity.FAULT,
}


@dataclass(frozen=True, slots=True)
class GateInput:
    """What the gate is told of one event.

    Attributes:
        frame: the event is a frame.
        refusal: why the frame was not admitted; empty if it was, or for other events.
        degraded: qualities that are poor but tolerable.
        started, paused: a case runs; a person has paused the module.
        record_failed: the event says that a record did not become durable.
    """

    frame: bool
    refusal: str = ""
    degraded: tuple[str, ...] = ()
    started: bool = True
    paused: bool = False
    record_failed: bool = False


@dataclass(frozen=True, slots=True)
class GateView:
    """What the gate says: its state, what a message shows of it, why nothing is shown, since when."""

    state: GateState
    validity: Validity
    reason: str
    degraded: tuple[str, ...]
    since_ns: int


class Gate:
    """Withholds by default: READY before a case, then WITHHELD `starting` until good input has lasted a second.

    A case that is `resumed` after the assistant failed says `restarted` instead of `starting`.

    A hard refusal (no signal, frozen, engine fault, ...) withholds at once, an odd picture after `PATIENT_NS`, a missing
    frame after `STALE_NS` or three frame periods, whichever is longer, and a lost record for at least `UNRECORDED_NS`.
    """

    def __init__(self, nominal_period_ns: int, *, resumed: bool = False) -> None:
        self._first = "restarted" if resumed else "starting"
        self._started_ns: int | None = None
        self._stale_ns = max(STALE_NS, 3 * nominal_period_ns)
        self._drop_ns = round(2.5 * nominal_period_ns)
        self._view = GateView(GateState.READY, Validity.WITHHELD, "no-case", (), 0)
        self._frame_ns: int | None = None
        self._odd_since_ns: int | None = None
        self._good_since_ns: int | None = None
        self._unrecorded_until_ns = 0
        self._poor: dict[str, int] = {}

    @property
    def view(self) -> GateView:
        """The latest answer."""
        return self._view

    def update(self, stamp_ns: int, given: GateInput) -> GateView:
        """Take one event and answer."""
        if given.record_failed:
            self._unrecorded_until_ns = stamp_ns + UNRECORDED_NS
        dropped = False
        if given.frame:
            dropped = self._frame_ns is not None and stamp_ns - self._frame_ns > self._drop_ns
            self._frame_ns = stamp_ns
        if given.started and self._started_ns is None:
            self._started_ns = stamp_ns
        reason = self._reason(stamp_ns, given)
        if reason:
            self._good_since_ns = None
            state = GateState.READY if reason == "no-case" else GateState.WITHHELD
            if reason == "engine-fault":
                state = GateState.FAULT
            return self._enter(stamp_ns, state, reason, ())
        shown = self._view.validity in (Validity.OK, Validity.DEGRADED)
        if not shown:
            if given.frame and not given.refusal and self._good_since_ns is None:
                self._good_since_ns = stamp_ns
            if (
                self._good_since_ns is None
                or stamp_ns - self._good_since_ns < RETURN_NS
                or not given.frame
                or given.refusal
            ):
                return self._enter(stamp_ns, GateState.WITHHELD, self._still(), ())
        for name in (*given.degraded, *(("dropped-frames",) if dropped else ())):
            self._poor[name] = stamp_ns
        poor = tuple(name for name, last in self._poor.items() if stamp_ns - last < DEGRADED_NS)
        if not poor:
            return self._enter(stamp_ns, GateState.ACTIVE, "", ())
        only_drops = poor == ("dropped-frames",)
        return self._enter(stamp_ns, GateState.DEGRADED_DROPS if only_drops else GateState.DEGRADED_VIEW, "", poor)

    def _still(self) -> str:
        """Why nothing is shown while good input has not lasted: what it was, unless a case begins or a pause ends."""
        before = self._view.reason
        return self._first if before == "no-case" else "starting" if before == "paused" else before

    def _reason(self, stamp_ns: int, given: GateInput) -> str:
        """Why nothing may be shown now; empty if nothing speaks against it."""
        if not given.started:
            return "no-case"
        if given.paused:
            return "paused"
        if stamp_ns < self._unrecorded_until_ns:
            return "unrecorded"
        if given.frame:
            if not given.refusal:
                self._odd_since_ns = None
                return ""
            if given.refusal not in _PATIENT:
                return given.refusal
            if self._odd_since_ns is None:
                self._odd_since_ns = stamp_ns
            waited = stamp_ns - self._odd_since_ns >= PATIENT_NS
            withheld = self._view.validity not in (Validity.OK, Validity.DEGRADED)
            return given.refusal if waited or withheld else ""
        newest_ns = self._frame_ns if self._frame_ns is not None else self._started_ns
        return "stale" if newest_ns is not None and stamp_ns - newest_ns > self._stale_ns else ""

    def _enter(self, stamp_ns: int, state: GateState, reason: str, degraded: tuple[str, ...]) -> GateView:
        same = state is self._view.state and reason == self._view.reason
        since_ns = self._view.since_ns if same else stamp_ns
        self._view = GateView(state, _VALIDITY.get(state, Validity.WITHHELD), reason, degraded, since_ns)
        return self._view
