"""The life of advisories: what is announced when, what stays, and what ends (after IEC 60601-1-8, in words of BICEPS).

Everything is decided from stamps and from what is so. Nothing is forgotten in silence: each step of each condition is a
`Transition`, also of those that nobody was told of.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from surgical_ml.guidance.advisory import (
    MAX_WORDS,
    Activation,
    Advisory,
    Alerting,
    Condition,
    Kind,
    Presence,
    Priority,
    Reason,
)
from surgical_ml.guidance.life import LIFE, Cause, Life, Transition
from surgical_ml.guidance.risk import INACTIVE, SECOND_NS, Risk, risk_of

LATCH_NS = 5 * SECOND_NS
"""A LOW advisory whose condition has gone stays latched for this long; higher ones until they are acknowledged or reset."""

BANNER_NS = 5 * SECOND_NS
"""While a banner is this young and unanswered, advisories below HIGH about the operation join it, or wait."""

COOL_NS = 10 * SECOND_NS
"""What returns within this time of its announcement is listed again, and below HIGH calls nobody again."""

DEFER_NS = 300 * SECOND_NS
"""The longest that a deferrable one waits for a boundary of phases."""

PAUSE_NS = 120 * SECOND_NS
REMINDER_NS = 300 * SECOND_NS
"""How long signals are paused; how often people are reminded that signals are off."""

CAPACITY = 64
"""Conditions that are followed at once; the most urgent, of those the ones that hold, of those the oldest."""

SIGNALS_INACTIVE = "signals-inactive"
"""Code of the advisory that says so; its subject is the activation."""

_ORDER = (Priority.HIGH, Priority.MEDIUM, Priority.LOW, Priority.NONE)
_ENDLESS = (Activation.AUDIO_OFF, Activation.OFF)
_PAUSED = (Activation.AUDIO_PAUSED, Activation.PAUSED)
_BANNERLESS = (Activation.PAUSED, Activation.OFF)
_LISTED = (Life.ON, Life.LATCHED, Life.ACKNOWLEDGED)
_WORDS = {
    Activation.AUDIO_PAUSED: "Sound of advisories is paused by a person",
    Activation.AUDIO_OFF: "Sound of advisories is off by a person",
    Activation.PAUSED: "Announcing of advisories is paused by a person",
    Activation.OFF: "Announcing of advisories is off by a person",
}

_Key = tuple[str, str]


@dataclass(slots=True)
class _Followed:
    """One condition that is followed: what it is, where it is in its life, and since when."""

    one: Condition
    risk: Risk
    priority: Priority
    life: Life
    onset_ns: int
    came_ns: int
    seen_ns: int
    present: bool = True
    on_ns: int = 0
    announced_ns: int = 0
    banner: int = 0
    gone_ns: int = 0
    raised: bool = False

    @property
    def urgency(self) -> tuple[int, int, str, str]:
        return _ORDER.index(self.priority), self.onset_ns, self.one.code, self.one.subject

    def due(self, one: Condition | None) -> Priority:
        """The priority it gets from what is said of it now; None where nothing is."""
        if one is None:
            return self.priority
        return _raised(one.priority) if self.raised and self.life is not Life.LATCHED else one.priority


@dataclass(slots=True)
class _Banner:
    """The newest call for attention."""

    number: int = 0
    code: str = ""
    rank: int = 0
    begun_ns: int = 0


class AdvisoryMachine:
    """Holds the active set of one case. `LIFE` is its table; this class says which row applies when.

    Args:
        risk: gives the row of the risk table of a code and a subject.
    """

    def __init__(self, risk: Callable[[str, str], Risk] = risk_of) -> None:
        self._risk = risk
        self._followed: dict[_Key, _Followed] = {}
        self._crowded: set[_Key] = set()
        self._banner = _Banner()
        self._activation = Activation.ON
        self._activated_ns = self._since_ns = self._reminded_ns = 0
        self._back = False
        self._transitions: list[Transition] = []

    @property
    def active(self) -> tuple[Advisory, ...]:
        """Everything that was announced and is not over: most urgent first, then oldest."""
        listed = (f for f in self._followed.values() if f.life in _LISTED)
        return tuple(_advisory(f) for f in sorted(listed, key=lambda f: f.urgency))

    @property
    def alerting(self) -> Alerting:
        """How announcements reach people."""
        until_ns = self._activated_ns + PAUSE_NS if self._activation in _PAUSED else 0
        return Alerting(self._activation, until_ns, len(self._crowded))

    def take_transitions(self) -> tuple[Transition, ...]:
        """What has changed since this was last asked."""
        taken, self._transitions = tuple(self._transitions), []
        return taken

    def update(self, stamp_ns: int, conditions: tuple[Condition, ...], *, boundary: bool = False) -> None:
        """Take everything that is so now; what is not among it has gone.

        Args:
            stamp_ns: never less than that of the call before.
            conditions: one of each code and subject.
            boundary: a phase has just ended, and what may wait for that is announced.

        Raises:
            ValueError: a sentence has more than `MAX_WORDS` words.
        """
        if self._activation in _PAUSED and stamp_ns - self._activated_ns >= PAUSE_NS:
            self.activate(stamp_ns, Activation.ON)
        now = {(one.code, one.subject): one for one in (*conditions, *self._inactive())}
        for key, one in now.items():
            if len(one.text.split()) > MAX_WORDS:
                raise ValueError(f"advisory {key[0]}: expected at most {MAX_WORDS} words, found {one.text!r}")
        for key in [key for key in self._followed if key not in now]:
            self._absent(stamp_ns, key)
        self._make_room(stamp_ns, now)
        for key, one in now.items():
            if key in self._followed:
                self._present(stamp_ns, self._followed[key], one)
            elif key not in self._crowded:
                risk = self._risk(*key)
                self._followed[key] = _Followed(one, risk, one.priority, Life.OFF, one.onset_ns, stamp_ns, stamp_ns)
                self._step(stamp_ns, key, Cause.BEGAN)
        for key, followed in self._followed.items():
            if (
                followed.life is Life.WAITING
                and followed.present
                and stamp_ns - followed.came_ns >= followed.risk.delay_ns
            ):
                self._step(stamp_ns, key, Cause.LASTED)
        self._resume(stamp_ns)
        self._announce(stamp_ns, boundary)
        self._insist(stamp_ns)

    def acknowledge(self, stamp_ns: int, code: str, subject: str) -> None:
        """A person has seen it: an advisory that is on turns quiet, a latched one ends. Empty texts mean every one.

        What was not announced yet is not touched.
        """
        for key in self._chosen(code, subject, (Life.ON, Life.LATCHED)):
            self._step(stamp_ns, key, Cause.ACKNOWLEDGED)

    def reset(self, stamp_ns: int) -> None:
        """End whatever is latched: its condition has gone."""
        for key in self._chosen("", "", (Life.LATCHED,)):
            self._step(stamp_ns, key, Cause.RESET)

    def activate(self, stamp_ns: int, activation: Activation) -> None:
        """A person, or the end of a pause, changes how announcements reach people.

        When banners come back, the next `update` announces everything that is still on once more, in one banner.
        """
        self._back |= self._activation in _BANNERLESS and activation not in _BANNERLESS
        if activation is not self._activation:
            self._since_ns = self._reminded_ns = stamp_ns
        self._activation, self._activated_ns = activation, stamp_ns

    def _inactive(self) -> tuple[Condition, ...]:
        """That signals are inactive is a condition like any other."""
        if self._activation is Activation.ON:
            return ()
        ends = "the end of the pause, or a person" if self._activation in _PAUSED else "a person"
        reason = Reason("signals/activation", ("on",), (self._activation.value,), (), "high", (), ends)
        subject, text = self._activation.value, _WORDS[self._activation]
        priority, since_ns = INACTIVE.priority, self._since_ns
        return (Condition(SIGNALS_INACTIVE, subject, Kind.TECHNICAL, priority, since_ns, text, reason),)

    def _make_room(self, stamp_ns: int, now: dict[_Key, Condition]) -> None:
        """Follow no more than `CAPACITY`; say of each that is left out that it is."""
        new = {key: one for key, one in now.items() if key not in self._followed}
        self._crowded &= new.keys()
        if len(self._followed) + len(new) <= CAPACITY:
            self._crowded.clear()
            return
        ranked = [
            (_ORDER.index(f.due(now.get(key))), key not in now, f.life not in _LISTED, f.onset_ns, key)
            for key, f in self._followed.items()
        ]
        ranked += [(_ORDER.index(one.priority), False, True, one.onset_ns, key) for key, one in new.items()]
        for *_, key in sorted(ranked)[CAPACITY:]:
            if key in self._followed:
                self._step(stamp_ns, key, Cause.CROWDED)
            elif key not in self._crowded:
                one = new[key]
                delay_ns = stamp_ns - one.onset_ns
                self._transitions.append(Transition(*key, Life.OFF, Life.OFF, Cause.CROWDED, one.priority, 0, delay_ns))
            if key in now:
                self._crowded.add(key)
        self._crowded -= {key for *_, key in sorted(ranked)[:CAPACITY]}

    def _present(self, stamp_ns: int, followed: _Followed, one: Condition) -> None:
        """It is so, as it was the last time, or again."""
        key = (one.code, one.subject)
        before, followed.seen_ns, followed.present = followed.priority, stamp_ns, True
        priority = followed.due(one)
        if followed.life is Life.LATCHED:
            # Another onset: nothing is left of how long the last one stood.
            followed.one, followed.priority, followed.raised = one, one.priority, False
            if one.priority is Priority.HIGH or stamp_ns - followed.announced_ns >= COOL_NS:
                followed.onset_ns, followed.announced_ns = one.onset_ns, stamp_ns
                followed.banner = self._call(stamp_ns, followed)
            followed.on_ns = stamp_ns
            self._step(stamp_ns, key, Cause.RETURNED)
            return
        followed.one, followed.priority = one, priority
        if followed.life in (Life.ON, Life.ACKNOWLEDGED) and priority is not before:
            if _ORDER.index(priority) < _ORDER.index(before):
                followed.banner, followed.on_ns = self._call(stamp_ns, followed), stamp_ns
                self._step(stamp_ns, key, Cause.ESCALATED)
            else:
                self._step(stamp_ns, key, Cause.LOWERED)

    def _absent(self, stamp_ns: int, key: _Key) -> None:
        """It is not so; whether it has gone depends on how long it has been away."""
        followed = self._followed[key]
        followed.present = False
        if followed.life is Life.LATCHED:
            if followed.priority is Priority.LOW and stamp_ns - followed.gone_ns >= LATCH_NS:
                self._step(stamp_ns, key, Cause.EXPIRED)
        elif stamp_ns - followed.seen_ns >= followed.risk.clear_ns:
            followed.gone_ns = stamp_ns
            informs = followed.life is Life.ON and followed.priority is Priority.NONE
            self._step(stamp_ns, key, Cause.EXPIRED if informs else Cause.GONE)

    def _announce(self, stamp_ns: int, boundary: bool) -> None:
        """Whatever has lasted is listed, the most urgent first, unless it has to wait for its turn."""
        held = sorted(
            (f for f in self._followed.values() if f.life is Life.HELD and f.present), key=lambda f: f.urgency
        )
        for followed in held:
            if followed.risk.deferrable and not boundary and stamp_ns - followed.came_ns < DEFER_NS:
                continue
            if not self._has_turn(stamp_ns, followed):
                continue
            followed.announced_ns = followed.on_ns = stamp_ns
            joins = self._joins(stamp_ns, followed)
            followed.banner = self._banner.number if joins else self._call(stamp_ns, followed)
            self._step(stamp_ns, (followed.one.code, followed.one.subject), Cause.ANNOUNCED)

    def _has_turn(self, stamp_ns: int, followed: _Followed) -> bool:
        urgent = followed.priority in (Priority.HIGH, Priority.NONE) or followed.one.kind is Kind.TECHNICAL
        if urgent or self._activation in _BANNERLESS or stamp_ns - self._banner.begun_ns >= BANNER_NS:
            return True
        unanswered = any(f.life is Life.ON and f.banner == self._banner.number for f in self._followed.values())
        return not unanswered or self._joins(stamp_ns, followed)

    def _joins(self, stamp_ns: int, followed: _Followed) -> bool:
        """Whether it is of one kind with the newest banner, and no more urgent; a HIGH one only in the very same moment."""
        banner, age_ns = self._banner, stamp_ns - self._banner.begun_ns
        alike = banner.number > 0 and banner.code == followed.one.code and self._activation not in _BANNERLESS
        young = age_ns == 0 if followed.priority is Priority.HIGH else age_ns < BANNER_NS
        return alike and young and _ORDER.index(followed.priority) >= banner.rank and followed.priority != Priority.NONE

    def _call(self, stamp_ns: int, followed: _Followed) -> int:
        """A new banner's number; 0 where nobody is to be called."""
        silent = self._activation in _BANNERLESS and followed.one.code != SIGNALS_INACTIVE
        if silent or followed.priority is Priority.NONE:
            return 0
        rank = _ORDER.index(followed.priority)
        self._banner = _Banner(self._banner.number + 1, followed.one.code, rank, stamp_ns)
        return self._banner.number

    def _resume(self, stamp_ns: int) -> None:
        """Banners are back: one for everything that is on."""
        if not self._back or self._activation in _BANNERLESS:
            return
        self._back = False
        missed = [f for f in self._followed.values() if f.life is Life.ON and f.priority is not Priority.NONE]
        missed = [f for f in missed if f.one.code != SIGNALS_INACTIVE]
        if missed:
            number = self._call(stamp_ns, min(missed, key=lambda f: f.urgency))
            for followed in missed:
                followed.banner = number
                self._step(stamp_ns, (followed.one.code, followed.one.subject), Cause.RESUMED)

    def _insist(self, stamp_ns: int) -> None:
        """What nobody answers is announced once more, one priority higher; that signals are off, again and again."""
        for key, followed in self._followed.items():
            patience_ns = followed.risk.escalates_ns
            waits = followed.life is Life.ON and 0 < patience_ns <= stamp_ns - followed.on_ns
            if waits and not followed.raised:
                followed.raised, followed.priority = True, _raised(followed.priority)
                followed.banner = self._call(stamp_ns, followed)
                self._step(stamp_ns, key, Cause.ESCALATED)
        if self._activation in _ENDLESS and stamp_ns - self._reminded_ns >= REMINDER_NS:
            self._reminded_ns = stamp_ns
            key = (SIGNALS_INACTIVE, self._activation.value)
            if key in self._followed:
                self._followed[key].banner = self._call(stamp_ns, self._followed[key])
                self._step(stamp_ns, key, Cause.REMINDED)

    def _chosen(self, code: str, subject: str, lives: Iterable[Life]) -> list[_Key]:
        return [
            key
            for key, followed in self._followed.items()
            if followed.life in lives and code in ("", key[0]) and subject in ("", key[1])
        ]

    def _step(self, stamp_ns: int, key: _Key, cause: Cause) -> None:
        """Take the row of the table, and tell it."""
        followed = self._followed[key]
        before, followed.life = followed.life, LIFE[followed.life, cause]
        if followed.life is Life.OFF:
            del self._followed[key]
        delay_ns = stamp_ns - followed.onset_ns
        self._transitions.append(
            Transition(*key, before, followed.life, cause, followed.priority, followed.banner, delay_ns)
        )


def announce(one: Condition, stamp_ns: int) -> Advisory:
    """A condition that is announced now, outside of any machine."""
    return Advisory(
        one.code, one.subject, one.kind, one.priority, Presence.ON, one.onset_ns, stamp_ns, one.text, one.reason
    )


def _advisory(followed: _Followed) -> Advisory:
    one = followed.one
    return Advisory(
        code=one.code,
        subject=one.subject,
        kind=one.kind,
        priority=followed.priority,
        presence=Presence(followed.life.value),
        onset_ns=followed.onset_ns,
        announced_ns=followed.announced_ns,
        text=one.text,
        reason=one.reason,
        banner=followed.banner,
    )


def _raised(priority: Priority) -> Priority:
    """One priority up; NONE and HIGH stay."""
    return {Priority.LOW: Priority.MEDIUM, Priority.MEDIUM: Priority.HIGH}.get(priority, priority)
