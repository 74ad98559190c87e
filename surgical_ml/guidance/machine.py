"""The life of advisories: on, latched, acknowledged, off."""

from dataclasses import dataclass, replace

from surgical_ml.guidance.advisory import MAX_WORDS, Advisory, Condition, Presence, Priority

_ORDER = (Priority.HIGH, Priority.MEDIUM, Priority.LOW, Priority.NONE)

LATCH_NS = 5_000_000_000
"""A LOW advisory whose condition has gone stays latched for this long; higher ones until they are acknowledged."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One advisory changed its presence."""

    code: str
    subject: str
    before: Presence
    after: Presence


class AdvisoryMachine:
    """Holds the active set. A condition is announced once per onset; an acknowledged one is quiet until it has gone."""

    def __init__(self) -> None:
        self._active: dict[tuple[str, str], Advisory] = {}
        self._gone_ns: dict[tuple[str, str], int] = {}
        self._transitions: list[Transition] = []

    @property
    def active(self) -> tuple[Advisory, ...]:
        """The full active set, most urgent first, then oldest."""
        return tuple(
            sorted(self._active.values(), key=lambda a: (_ORDER.index(a.priority), a.onset_ns, a.code, a.subject))
        )

    def take_transitions(self) -> tuple[Transition, ...]:
        """What has changed since this was last asked."""
        taken, self._transitions = tuple(self._transitions), []
        return taken

    def update(self, stamp_ns: int, conditions: tuple[Condition, ...]) -> None:
        """Take everything that is so now; what is not among it has gone."""
        now = {(one.code, one.subject): one for one in conditions}
        for key, one in now.items():
            if len(one.text.split()) > MAX_WORDS:
                raise ValueError(f"advisory {one.code}: expected at most {MAX_WORDS} words, found {one.text!r}")
            self._gone_ns.pop(key, None)
            known = self._active.get(key)
            if known is None:
                self._set(key, announce(one, stamp_ns), Presence.OFF)
            elif known.presence is Presence.LATCHED:
                self._set(key, announce(one, stamp_ns), Presence.LATCHED)
            else:
                self._active[key] = replace(known, reason=one.reason, text=one.text, priority=one.priority)
        for key in [key for key in self._active if key not in now]:
            self._gone(key, stamp_ns)

    def acknowledge(self, code: str, subject: str) -> None:
        """A person has seen it: an advisory that is on turns quiet, a latched one ends. Empty texts mean every one."""
        for key, advisory in list(self._active.items()):
            if code in ("", key[0]) and subject in ("", key[1]):
                if advisory.presence is Presence.ON:
                    self._set(key, replace(advisory, presence=Presence.ACKNOWLEDGED), Presence.ON)
                elif advisory.presence is Presence.LATCHED:
                    self._end(key)

    def reset(self) -> None:
        """End whatever is latched."""
        for key in [key for key, advisory in self._active.items() if advisory.presence is Presence.LATCHED]:
            self._end(key)

    def _gone(self, key: tuple[str, str], stamp_ns: int) -> None:
        advisory = self._active[key]
        if advisory.presence is Presence.ACKNOWLEDGED or advisory.priority is Priority.NONE:
            self._end(key)
        elif advisory.presence is Presence.ON:
            self._gone_ns[key] = stamp_ns
            self._set(key, replace(advisory, presence=Presence.LATCHED), Presence.ON)
        elif advisory.priority is Priority.LOW and stamp_ns - self._gone_ns[key] >= LATCH_NS:
            self._end(key)

    def _set(self, key: tuple[str, str], advisory: Advisory, before: Presence) -> None:
        self._active[key] = advisory
        self._transitions.append(Transition(*key, before, advisory.presence))

    def _end(self, key: tuple[str, str]) -> None:
        advisory = self._active.pop(key)
        self._gone_ns.pop(key, None)
        self._transitions.append(Transition(*key, advisory.presence, Presence.OFF))


def announce(one: Condition, stamp_ns: int) -> Advisory:
    """A condition that is announced now."""
    return Advisory(
        one.code, one.subject, one.kind, one.priority, Presence.ON, one.onset_ns, stamp_ns, one.text, one.reason
    )
