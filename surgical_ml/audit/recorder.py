"""What a session writes to: entries in, tickets out."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from surgical_ml.audit.canonical import decode, encode
from surgical_ml.audit.entry import MODULE


class Ticket:
    """Says when an entry is durable. Made by a recorder; read by whoever must not show anything before."""

    __slots__ = ("_done", "_settled", "failed", "seq")

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.failed = ""
        self._done = threading.Event()
        self._settled: Callable[[], None] | None = None

    @property
    def decided(self) -> bool:
        """It is known whether the entry is durable."""
        return self._done.is_set()

    @property
    def durable(self) -> bool:
        """The entry survives a power cut."""
        return self._done.is_set() and not self.failed

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is decided, at most so long; whether it is durable."""
        self._done.wait(timeout_s)
        return self.durable

    def settle(self, failed: str = "") -> None:
        """The recorder's word: durable, or why not."""
        self.failed = failed
        self._done.set()
        if self._settled is not None:
            self._settled()

    def when_settled(self, call: Callable[[], None]) -> None:
        """Have `call` made once it is decided: at once, or from the recorder's thread. It may be made twice."""
        self._settled = call
        if self._done.is_set():
            call()


class Recorder(Protocol):
    """Takes entries in order."""

    def append(
        self,
        type: str,
        body: Mapping[str, Any],
        *,
        case: str = "",
        actor: str = MODULE,
        identity: str = "",
        requirements: Sequence[str] = (),
        hazards: Sequence[str] = (),
        urgent: bool = False,
    ) -> Ticket:
        """Queue one entry; returns at once. What the arguments mean, `Draft.of` says.

        Args:
            urgent: a safety event: written without waiting for others, kept when there is room for little else, and
                followed by a signed checkpoint.

        Raises:
            AuditError: the body has no canonical form (a float, for instance).
        """
        ...


class MemoryRecorder:
    """Keeps entries in a list, for replays that compare and for tests; everything is durable at once."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def append(
        self,
        type: str,
        body: Mapping[str, Any],
        *,
        case: str = "",
        actor: str = MODULE,
        identity: str = "",
        requirements: Sequence[str] = (),
        hazards: Sequence[str] = (),
        urgent: bool = False,
    ) -> Ticket:
        """Keep what a log would have kept."""
        ticket = Ticket(len(self.entries))
        kept = {"type": type, "case": case, "actor": actor, "identity": identity, "body": decode(encode(dict(body)))}
        self.entries.append(kept | {"requirements": list(requirements), "hazards": list(hazards)})
        ticket.settle()
        return ticket
