"""The advisories of a case, each once: when it was first shown, how sure it was, and how long its condition stood."""

from dataclasses import dataclass
from typing import Any

from surgical_ml.evaluation.metrics import Announcement
from surgical_ml.guidance import Kind, Presence
from surgical_ml.labels import member


@dataclass(slots=True)
class Announced:
    """One advisory about the operation.

    Attributes:
        kind, subject, priority, certainty: as it was first shown; `certainty` is empty where nobody said it.
        at_ns: when it was first shown.
        until_ns: when its condition had gone, or was last seen to stand.
    """

    kind: str
    subject: str
    priority: str
    certainty: str
    at_ns: int
    until_ns: int
    over: bool = False

    def at(self, began_ns: int) -> Announcement:
        """The same for the metrics, in seconds from the first judged frame."""
        return Announcement(self.kind, self.subject, self.priority, (self.at_ns - began_ns) / 1e9)


class Announcements:
    """Follows the advisories of one case, decision by decision; technical ones are not about the operation and left out."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str, int], Announced] = {}
        self._standing: dict[tuple[str, str, int], Announced] = {}

    def take(self, advisories: list[Any], stamp_ns: int, where: str) -> None:
        """The full active set of the next decision.

        Args:
            advisories: of a line of `decisions.jsonl`.
            stamp_ns: of the decision.
            where: the line, for an error.

        Raises:
            InputError: one of them is not what it must be.
        """
        if not advisories and not self._standing:
            return
        listed = set()
        for one in advisories:
            if member(one, "kind", str, where) != Kind.PROCEDURAL:
                continue
            kind, subject, priority = (member(one, key, str, where) for key in ("code", "subject", "priority"))
            at_ns = member(one, "announced_ns", int, where)
            key = kind, subject, at_ns
            if key not in self._all:
                certainty = str(one.get("reason", {}).get("certainty", ""))
                self._all[key] = self._standing[key] = Announced(kind, subject, priority, certainty, at_ns, at_ns)
            if not self._all[key].over:
                listed.add(key)
                self._all[key].until_ns = max(at_ns, stamp_ns)
                self._all[key].over = one.get("presence") == Presence.LATCHED
        for key in [key for key in self._standing if key not in listed or self._all[key].over]:
            gone = self._standing.pop(key)
            gone.until_ns, gone.over = max(gone.until_ns, stamp_ns), True

    @property
    def all(self) -> tuple[Announced, ...]:
        """Every one so far, in the order of first showing."""
        return tuple(self._all.values())
