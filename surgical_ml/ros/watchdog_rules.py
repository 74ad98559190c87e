"""When the watchdog speaks: rules over what arrives from the assistant and when. No ROS in here, and no clock."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from surgical_ml.errors import InputError

MS = 1_000_000

RETURN_NS = 1_000 * MS
"""What was silent must be heard for this long before its advisory ends: one message is no recovery."""

RESTARTED_NS = 10_000 * MS
"""How long a restart stays announced."""

LATE_NS = 250 * MS
"""The watchdog is asked every 50 ms. Asked later than this, it slept itself, and knows nothing of that time."""

HOLD_NS = 50 * MS
"""After it slept, it waits for what has arrived meanwhile before it accuses anyone."""


class Code(StrEnum):
    """What the watchdog announces, most serious first."""

    LOST = "assistant-lost"
    ABSENT = "assistant-absent"
    SILENT = "assistant-silent"
    RESTARTED = "assistant-restarted"


SUBJECT = "assistant"
_ORDER = tuple(Code)


class Level(StrEnum):
    """Priority of a finding: the names of the messages' constants."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long silence may last, in milliseconds.

    Attributes:
        phase_ms: between two judged frames while a case runs.
        status_ms: between two messages of the assistant's process.
        startup_ms: from the watchdog's start to the first message.

    Raises:
        InputError: one is not positive.
    """

    phase_ms: int = 300
    status_ms: int = 1_000
    startup_ms: int = 10_000

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise InputError(f"parameter {name}", "a positive number of milliseconds", str(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class PhaseSeen:
    """A `phase` message: a frame was judged."""

    seq: int
    frame_index: int


@dataclass(frozen=True, slots=True)
class StatusSeen:
    """A `status` message: the process lives.

    Attributes:
        seq: number of the latest decision in the case.
        case_id: the running case; empty outside one.
        paused: a person has paused the assistant.
        withheld: why the assistant shows nothing; empty while it does.
        run: random name of the run of the process.
    """

    seq: int
    case_id: str
    paused: bool = False
    withheld: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class LeaseSeen:
    """The lease of the `phase` publisher, which each judged frame renews, has run out or is held again."""

    alive: bool


Fact = PhaseSeen | StatusSeen | LeaseSeen


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to announce, with its reason; the fields mean what they mean in Advisory.msg and Reason.msg.

    Times are on the watchdog's clock. The certainty is always high: silence is observed, not estimated.
    """

    code: Code
    level: Level
    onset_ns: int
    announced_ns: int
    text: str
    rule: str
    expected: tuple[str, ...]
    observed: tuple[str, ...]
    clears: str
    evidence_frames: tuple[int, ...] = ()
    degraded_inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the watchdog has to say now.

    Attributes:
        withheld: why it cannot say that the assistant is judging: the code of a finding, or `starting`, `no-case`,
            `paused`; empty while the assistant is judging frames of a running case.
        case_id: the case that runs, or was interrupted; empty without one.
        findings: all of them, most urgent first.
    """

    withheld: str
    case_id: str
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """For the record: integers, text and lists."""
        return {
            "withheld": self.withheld,
            "case_id": self.case_id,
            "findings": [
                {
                    "code": one.code.value,
                    "level": one.level.value,
                    "onset_ns": one.onset_ns,
                    "announced_ns": one.announced_ns,
                    "text": one.text,
                    "rule": one.rule,
                    "expected": list(one.expected),
                    "observed": list(one.observed),
                    "clears": one.clears,
                    # As text: an index may have 64 bits, one more than a number in the record.
                    "evidence_frames": [str(index) for index in one.evidence_frames],
                    "degraded_inputs": list(one.degraded_inputs),
                }
                for one in self.findings
            ],
        }


def transitions(before: Judgement, after: Judgement) -> tuple[tuple[Code, str, str], ...]:
    """Each code that came or went between two judgements, as (code, presence before, presence after)."""
    old, new = ({one.code for one in judgement.findings} for judgement in (before, after))
    came = ((code, "off", "on") for code in _ORDER if code in new - old)
    went = ((code, "on", "off") for code in _ORDER if code in old - new)
    return (*went, *came)


class WatchdogRules:
    """Judges the assistant by when its messages are received, on the caller's clock.

    A case runs while the latest status names one and is not paused. A case that ends or pauses properly is no fault. A
    restarted assistant that knows nothing of the running case has not ended it: the case stays interrupted, and silent,
    until a case is judged again.

    Args:
        limits: how long silence may last.
        started_ns: now.
    """

    def __init__(self, limits: Limits, started_ns: int) -> None:
        self._limits = limits
        self._started_ns = started_ns
        self._phase: PhaseSeen | None = None
        self._status: StatusSeen | None = None
        # When each was received last, and since when it has been received without a gap.
        self._phase_ns = self._phase_since_ns = started_ns
        self._status_ns = self._status_since_ns = started_ns
        self._case_id = ""
        self._running_ns: int | None = None
        self._interrupted = False
        self._restarted_ns: int | None = None
        self._alive = True
        self._asked_ns = self._held_until_ns = started_ns
        self._late = False
        self._active: dict[Code, Finding] = {}
        self._judgement = Judgement("starting", "", ())

    def take(self, now_ns: int, fact: Fact) -> None:
        """Note what was received at `now_ns`."""
        match fact:
            case PhaseSeen():
                self._take_phase(now_ns, fact)
            case StatusSeen():
                self._take_status(now_ns, fact)
            case LeaseSeen():
                self._alive = fact.alive

    def judge(self, now_ns: int) -> Judgement:
        """What there is to say at `now_ns`; equal to the last answer while nothing has changed."""
        late = now_ns - self._asked_ns > LATE_NS
        if late and not self._late:
            self._held_until_ns = now_ns + HOLD_NS
        self._late = late or now_ns < self._held_until_ns
        self._asked_ns = now_ns
        # Once only: a watchdog that is always late judges all the same, and says that it is late.
        if now_ns >= self._held_until_ns:
            for code, finding in (
                (Code.LOST, self._lost(now_ns)),
                (Code.ABSENT, self._absent(now_ns)),
                (Code.SILENT, self._silent(now_ns)),
                (Code.RESTARTED, self._restarted(now_ns)),
            ):
                self._set(code, finding, now_ns)
            findings = sorted(self._active.values(), key=lambda one: (one.level is Level.LOW, _ORDER.index(one.code)))
            self._judgement = Judgement(self._withheld(now_ns), self._case_id, tuple(findings))
        return self._judgement

    def _take_phase(self, now_ns: int, phase: PhaseSeen) -> None:
        if phase == self._phase:
            return  # the same frame again is no newly judged one
        if now_ns - self._phase_ns > self._limits.phase_ms * MS:
            self._phase_since_ns = now_ns
        self._phase, self._phase_ns = phase, now_ns

    def _take_status(self, now_ns: int, status: StatusSeen) -> None:
        before, self._status = self._status, status
        gap_ns = now_ns - self._status_ns
        if before is None or gap_ns > self._limits.status_ms * MS:
            self._status_since_ns = now_ns
        restarted = before is not None and before.run != status.run
        self._status_ns = now_ns
        if restarted:
            self._restarted_ns = now_ns
        if status.case_id:
            self._interrupted = False
        elif restarted and self._running_ns is not None:
            self._interrupted = True
        running = self._interrupted or (status.case_id != "" and not status.paused)
        if not running:
            self._running_ns = None
        elif self._running_ns is None or (status.case_id and status.case_id != self._case_id):
            self._running_ns = now_ns
        if not self._interrupted:
            self._case_id = status.case_id

    def _phase_arrives(self, now_ns: int) -> bool:
        return self._phase is not None and now_ns - self._phase_ns <= self._limits.phase_ms * MS

    def _status_arrives(self, now_ns: int) -> bool:
        return self._status is not None and now_ns - self._status_ns <= self._limits.status_ms * MS

    def _set(self, code: Code, finding: Finding | None, now_ns: int) -> None:
        """Announce, keep or end one finding."""
        known = self._active.get(code)
        if finding is None:
            self._active.pop(code, None)
        elif known is None:
            late = ("watchdog was late",) if self._late else ()
            self._active[code] = replace(finding, announced_ns=now_ns, degraded_inputs=late)
        else:
            self._active[code] = replace(
                finding,
                onset_ns=known.onset_ns,
                announced_ns=known.announced_ns,
                degraded_inputs=known.degraded_inputs,
            )

    def _silent(self, now_ns: int) -> Finding | None:
        if self._running_ns is None:
            return None
        onset_ns = max(self._phase_ns, self._running_ns)
        if now_ns - onset_ns <= self._limits.phase_ms * MS and not self._interrupted:
            steady = self._phase_arrives(now_ns) and now_ns - self._phase_since_ns >= RETURN_NS
            return None if steady else self._active.get(Code.SILENT)
        observed = [f"no phase message for more than {self._limits.phase_ms} ms"]
        observed.append("no frame was judged yet" if self._phase is None else f"last frame {self._phase.frame_index}")
        observed.append(self._status_in_words(now_ns))
        if not self._alive:
            observed.append("lease of the phase publisher has run out")
        if self._interrupted:
            observed.append("the restarted assistant does not know the case")
        return Finding(
            code=Code.SILENT,
            level=Level.MEDIUM,
            onset_ns=onset_ns,
            announced_ns=now_ns,
            text="Assistance lost: assistant stopped judging video frames",
            rule="watchdog/phase",
            expected=(f"a judged frame at least every {self._limits.phase_ms} ms while a case runs",),
            observed=tuple(observed),
            clears="judged frames for 1 s, or a person pauses or ends the case",
            evidence_frames=() if self._phase is None else (self._phase.frame_index,),
        )

    def _status_in_words(self, now_ns: int) -> str:
        if not self._status_arrives(now_ns):
            return "status does not arrive"
        withheld = self._status.withheld if self._status is not None else ""
        return f"status still arrives and says {withheld}" if withheld else "status still arrives"

    def _lost(self, now_ns: int) -> Finding | None:
        if self._status is None:
            return None
        if self._status_arrives(now_ns):
            steady = now_ns - self._status_since_ns >= RETURN_NS
            return None if steady else self._active.get(Code.LOST)
        return Finding(
            code=Code.LOST,
            level=Level.LOW if self._running_ns is None else Level.MEDIUM,
            onset_ns=self._status_ns,
            announced_ns=now_ns,
            text="Assistance lost: assistant process does not answer",
            rule="watchdog/status",
            expected=(f"a status message at least every {self._limits.status_ms} ms",),
            observed=(
                f"no status for more than {self._limits.status_ms} ms",
                "phase still arrives" if self._phase_arrives(now_ns) else "phase does not arrive",
                f"a case was {'not running' if self._running_ns is None else 'running'}",
            ),
            clears="status messages for 1 s",
        )

    def _absent(self, now_ns: int) -> Finding | None:
        if self._status is not None:
            steady = now_ns - self._status_since_ns >= RETURN_NS
            return None if steady else self._active.get(Code.ABSENT)
        if now_ns - self._started_ns <= self._limits.startup_ms * MS:
            return None
        return Finding(
            code=Code.ABSENT,
            level=Level.LOW,
            onset_ns=self._started_ns,
            announced_ns=now_ns,
            text="Assistance absent: assistant process was never seen",
            rule="watchdog/startup",
            expected=(f"a status message within {self._limits.startup_ms} ms of the watchdog's start",),
            observed=("no status message at all",),
            clears="status messages for 1 s",
        )

    def _restarted(self, now_ns: int) -> Finding | None:
        if self._restarted_ns is None or now_ns - self._restarted_ns >= RESTARTED_NS:
            return None
        known = self._active.get(Code.RESTARTED)
        if known is not None and known.onset_ns == self._restarted_ns:
            return known
        self._active.pop(Code.RESTARTED, None)  # another restart is another announcement
        observed = "the numbers of its messages fell back"
        return Finding(
            code=Code.RESTARTED,
            level=Level.LOW,
            onset_ns=self._restarted_ns,
            announced_ns=now_ns,
            text="Assistant restarted: what it found before is lost",
            rule="watchdog/restart",
            expected=("one assistant process from start to end",),
            observed=(f"{observed} inside a case" if self._interrupted or self._case_id else observed,),
            clears=f"{RESTARTED_NS // 1_000_000_000} s after the restart",
        )

    def _withheld(self, now_ns: int) -> str:
        for code in (Code.LOST, Code.ABSENT, Code.SILENT):
            if code in self._active:
                return code.value
        if self._status is None:
            return "starting"
        if self._running_ns is None:
            return "paused" if self._status.case_id else "no-case"
        return "" if self._phase_arrives(now_ns) and self._phase_ns >= self._running_ns else "starting"
