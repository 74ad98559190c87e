"""The gate: the only piece that decides whether something may be shown, and that says why when it may not."""

from dataclasses import dataclass

from surgical_ml.guidance.advisory import GateState, Validity
from surgical_ml.guidance.gate_table import (
    DEGRADED_NS,
    PATIENT_NS,
    RETURN_NS,
    STALE_NS,
    TABLE,
    UNRECORDED_NS,
    Finding,
)

_PATIENT = {"out-of-body": Finding.OUTSIDE, "unlike-training": Finding.UNLIKE}

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
    """Says what each event amounts to; where that leads is `TABLE`.

    Withholds by default: READY before a case, then WITHHELD `starting` until good input has lasted a second.

    A case that is `resumed` after the assistant failed says `restarted` instead of `starting`.

    A hard refusal (no signal, frozen, engine fault, ...) withholds at once, an odd picture after `PATIENT_NS`, a missing
    frame after `STALE_NS` or three frame periods, whichever is longer, and a lost record for at least `UNRECORDED_NS`.
    """

    def __init__(self, nominal_period_ns: int, *, resumed: bool = False) -> None:
        self._first = "restarted" if resumed else "starting"
        self._started_ns: int | None = None
        self._stale_ns = max(STALE_NS, 3 * nominal_period_ns)
        self._drop_ns = round(2.5 * nominal_period_ns)
        # A session is opened only once everything is loaded and has run: `Assets.load` refuses anything else.
        state = TABLE[TABLE[GateState.INIT, Finding.LOADED].after, Finding.PASSED].after
        self._view = GateView(state, Validity.WITHHELD, "no-case", (), 0)
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
        finding, reason = self._obstacle(stamp_ns, given)
        if finding is not None:
            self._good_since_ns = None
            return self._enter(stamp_ns, finding, reason, ())
        if not self._shown and not self._lasted(stamp_ns, given):
            return self._enter(stamp_ns, Finding.BRIEFLY, self._still(), ())
        for name in (*given.degraded, *(("dropped-frames",) if dropped else ())):
            self._poor[name] = stamp_ns
        poor = tuple(name for name, last in self._poor.items() if stamp_ns - last < DEGRADED_NS)
        if not poor:
            return self._enter(stamp_ns, Finding.GOOD, "", ())
        only_drops = poor == ("dropped-frames",)
        return self._enter(stamp_ns, Finding.POOR_DROPS if only_drops else Finding.POOR_VIEW, "", poor)

    @property
    def _shown(self) -> bool:
        return self._view.validity in (Validity.OK, Validity.DEGRADED)

    def _lasted(self, stamp_ns: int, given: GateInput) -> bool:
        """Whether good input has lasted; only a good frame can say so."""
        good = given.frame and not given.refusal
        if good and self._good_since_ns is None:
            self._good_since_ns = stamp_ns
        return good and self._good_since_ns is not None and stamp_ns - self._good_since_ns >= RETURN_NS

    def _still(self) -> str:
        """Why nothing is shown while good input has not lasted: what it was, unless a case begins or a pause ends."""
        before = self._view.reason
        return self._first if before == "no-case" else "starting" if before == "paused" else before

    def _obstacle(self, stamp_ns: int, given: GateInput) -> tuple[Finding | None, str]:
        """What keeps anything from being shown now, and its code; None and an empty text if nothing does."""
        if not given.started:
            return Finding.NO_CASE, "no-case"
        if given.paused:
            return Finding.PAUSED, "paused"
        if stamp_ns < self._unrecorded_until_ns:
            return Finding.UNRECORDED, "unrecorded"
        if given.frame:
            return self._refused(stamp_ns, given.refusal)
        newest_ns = self._frame_ns if self._frame_ns is not None else self._started_ns
        stale = newest_ns is not None and stamp_ns - newest_ns > self._stale_ns
        return (Finding.STALE, "stale") if stale else (None, "")

    def _refused(self, stamp_ns: int, refusal: str) -> tuple[Finding | None, str]:
        """The same of a frame."""
        if not refusal:
            self._odd_since_ns = None
            return None, ""
        if refusal not in _PATIENT:
            return Finding.ENGINE_FAULT if refusal == "engine-fault" else Finding.REFUSED, refusal
        if self._odd_since_ns is None:
            self._odd_since_ns = stamp_ns
        waited = stamp_ns - self._odd_since_ns >= PATIENT_NS
        return (_PATIENT[refusal], refusal) if waited or not self._shown else (None, "")

    def _enter(self, stamp_ns: int, finding: Finding, reason: str, degraded: tuple[str, ...]) -> GateView:
        state = TABLE[self._view.state, finding].after
        same = state is self._view.state and reason == self._view.reason
        since_ns = self._view.since_ns if same else stamp_ns
        self._view = GateView(state, _VALIDITY.get(state, Validity.WITHHELD), reason, degraded, since_ns)
        return self._view
