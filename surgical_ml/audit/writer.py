"""The writer: one thread, batches of entries, one flush a batch, and tickets that settle only after it."""

import fcntl
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from surgical_ml.audit import wal
from surgical_ml.audit.canonical import decode, encode
from surgical_ml.audit.disk import Disk
from surgical_ml.audit.entry import GENESIS, MODULE, Draft
from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.reader import tail
from surgical_ml.audit.recorder import Ticket

BATCH_ENTRIES = 64
QUEUE_ENTRIES = 20_000
"""More waiting entries than this, and the disk has been gone for minutes: appends fail instead of filling memory."""

RESERVE = "reserve"
RESERVE_BYTES = 4 * wal.SEGMENT_BYTES

REFUSED = "refused"
TORN_TAIL = "recovery.torn-tail"
SEGMENT_FAILED = "recovery.segment-failed"


class AuditWriter:
    """Appends to one log. A context manager; closing it writes what is queued.

    Args:
        folder: of the log; made if missing, continued if there is one.
        clock_ns: UTC in nanoseconds. monotonic_ns: of this boot.
        boot: names the run of the machine or process that `monotonic_ns` belongs to.
        batch_ms: a batch closes after this time, after 64 entries, or at an urgent one.
        reserve_bytes: kept free for the rest of a case when the disk is full; 0 for offline work.
        disk: the file system's calls.

    Raises:
        AuditError: another writer holds the log, it is damaged, or there is no room for it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        boot: str | None = None,
        batch_ms: float = 2.0,
        reserve_bytes: int = 0,
        segment_bytes: int = wal.SEGMENT_BYTES,
        disk: Disk | None = None,
    ) -> None:
        self._folder = folder
        self._clock_ns, self._monotonic_ns = clock_ns, monotonic_ns
        self._boot = encode(boot or uuid.uuid4().hex, "boot")
        self._batch_s, self._segment_bytes = batch_ms / 1000, segment_bytes
        self._disk = disk or Disk()
        self._queue: deque[tuple[Draft, Ticket, bool]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._failed = ""
        self._descriptor, self._number, self._end = -1, -1, 0
        self._seq, self._head = 0, GENESIS
        self._torn_at: int | None = None
        try:
            self._disk.make_folder(folder / wal.FOLDER)
            self._lock = os.open(folder / "private" / "lock", os.O_RDWR | os.O_CREAT, 0o640)
        except OSError as error:
            raise AuditError(folder, "a place for an audit log", error.strerror or str(error)) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._recover()
            self._make_reserve(reserve_bytes)
        except BlockingIOError as error:
            self._let_go()
            raise AuditError(folder, "a log that nobody else writes", "another writer") from error
        except OSError as error:
            self._let_go()
            raise AuditError(folder, "room for an audit log", error.strerror or str(error)) from error
        except AuditError:
            self._let_go()
            raise
        self._durable = (self._seq, self._head)
        self._next_ticket = self._seq
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()
        if self._torn_at is not None:
            self.append(TORN_TAIL, {"segment": self._number, "byte": self._torn_at}, urgent=True)

    def __enter__(self) -> "AuditWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def failed(self) -> str:
        """Why nothing more can be written; empty while all is well."""
        return self._failed

    @property
    def head(self) -> tuple[int, str]:
        """Number of durable entries, and the leaf hash of the last one, hex."""
        count, leaf = self._durable
        return count, leaf.hex()

    def append(
        self, type: str, body: Mapping[str, Any], *, case: str = "", actor: str = MODULE, urgent: bool = False
    ) -> Ticket:
        """Queue one entry; its ticket settles when it is durable, or is known never to be.

        Raises:
            AuditError: the body or a text has no canonical form.
        """
        draft = Draft.of(type, body, case=case, actor=actor, t_utc=self._clock_ns(), t_mono=self._monotonic_ns())
        with self._wake:
            ticket = Ticket(self._next_ticket)
            if self._failed or self._closing or len(self._queue) >= QUEUE_ENTRIES:
                ticket.settle(self._failed or ("closed" if self._closing else "too many entries wait for the disk"))
                return ticket
            self._next_ticket += 1
            self._queue.append((draft, ticket, urgent))
            # The writer sleeps until there is a first entry, a full batch, or something urgent; nothing else wakes it.
            if urgent or len(self._queue) in (1, BATCH_ENTRIES):
                self._wake.notify()
        return ticket

    def close(self) -> None:
        """Write what is queued, give back what was preallocated, and let go of the log. May be called twice."""
        with self._wake:
            if self._closing:
                return
            self._closing = True
            self._wake.notify()
        self._thread.join()
        # What is durable stays so, whatever the disk has to say now.
        if not self._failed:
            with suppress(OSError):
                descriptor, self._descriptor = self._descriptor, -1
                self._disk.finish(descriptor, self._end, wal.END)
        with suppress(OSError):
            (self._folder / "private" / RESERVE).unlink(missing_ok=True)
        self._let_go()

    def _let_go(self) -> None:
        """Close the segment, if one is open, and the lock."""
        if self._descriptor >= 0:
            with suppress(OSError):
                self._disk.close(self._descriptor)
        os.close(self._lock)

    def _run(self) -> None:
        while batch := self._take():
            try:
                outcomes = self._write_somewhere(batch)
            except Exception as error:  # whatever it is, nobody may wait for ever
                self._give_up(batch, error)
                continue
            for ticket, why in outcomes:
                # A listener that fails must not take the others' answers with it.
                with suppress(Exception):
                    ticket.settle(why)

    def _take(self) -> list[tuple[Draft, Ticket]]:
        """Wait for a batch; empty when closing and done."""
        with self._wake:
            while not self._queue and not self._closing:
                self._wake.wait()
            until = time.monotonic() + self._batch_s
            while (
                self._queue
                and len(self._queue) < BATCH_ENTRIES
                and not self._closing
                and not any(urgent for _, _, urgent in self._queue)
                and (left := until - time.monotonic()) > 0
            ):
                self._wake.wait(left)
            count = min(len(self._queue), BATCH_ENTRIES)
            return [self._queue.popleft()[:2] for _ in range(count)]

    def _write_somewhere(self, batch: list[tuple[Draft, Ticket]]) -> list[tuple[Ticket, str]]:
        """Write a batch; where that fails, once more in a new segment."""
        try:
            return self._write(batch)
        except OSError as error:
            return self._write_again(batch, error)

    def _write(self, batch: list[tuple[Draft, Ticket]]) -> list[tuple[Ticket, str]]:
        """Write a batch into the segment and flush once; each ticket with the reason why it failed, or none."""
        written, outcomes = bytearray(), []
        seq, head = self._seq, self._head
        for draft, ticket in batch:
            failed = ""
            try:
                payload = draft.payload(seq, head, self._boot)
            except AuditError as error:
                failed = str(error)
                told = {"type": decode(draft.type)[:200], "why": failed}
                stand_in = Draft.of(REFUSED, told, t_utc=draft.t_utc, t_mono=draft.t_mono)
                payload = stand_in.payload(seq, head, self._boot)
            record, head = wal.frame(wal.FOLLOWING if written else wal.FIRST, payload)
            written += record
            outcomes.append((ticket, failed))
            seq += 1
        if self._end + len(written) > self._segment_bytes:
            full, end = self._descriptor, self._end
            self._next_segment()
            with suppress(OSError):
                self._disk.finish(full, end, wal.END)
        self._disk.write(self._descriptor, bytes(written), self._end)
        self._disk.flush(self._descriptor)
        self._end += len(written)
        self._seq, self._head = seq, head
        self._durable = (seq, head)
        return outcomes

    def _write_again(self, batch: list[tuple[Draft, Ticket]], error: OSError) -> list[tuple[Ticket, str]]:
        """A failed write or flush is the end of its segment: nothing that the old descriptor says is believed again."""
        told = {"segment": self._number, "why": _why(error)}
        note = Draft.of(SEGMENT_FAILED, told, t_utc=self._clock_ns(), t_mono=self._monotonic_ns())
        (self._folder / "private" / RESERVE).unlink(missing_ok=True)
        failed = self._descriptor
        self._next_segment()
        with suppress(OSError):
            self._disk.close(failed)
        outcomes = self._write(batch)
        with self._wake:
            # The note comes last: tickets already carry the numbers of their entries.
            self._queue.append((note, Ticket(self._next_ticket), True))
            self._next_ticket += 1
        return outcomes

    def _give_up(self, batch: list[tuple[Draft, Ticket]], error: Exception) -> None:
        with self._wake:
            self._failed = _why(error)
            waiting = [ticket for _, ticket, _ in self._queue]
            self._queue.clear()
        for ticket in [ticket for _, ticket in batch] + waiting:
            with suppress(Exception):
                ticket.settle(self._failed)

    def _next_segment(self) -> None:
        """Begin a segment behind the last durable entry; the one before it is the caller's to close."""
        number = self._number + 1
        header = wal.file_header(number, self._seq, self._head)
        path = self._folder / wal.FOLDER / wal.name(number)
        self._descriptor = self._disk.create(path, self._segment_bytes, header)
        self._number, self._end = number, wal.HEADER_BYTES

    def _recover(self) -> None:
        """Continue an existing log behind its last whole entry, or begin one."""
        if not any((self._folder / wal.FOLDER).glob("*.wal")):
            self._next_segment()
            return
        last = tail(self._folder)
        self._number, self._seq, self._head = last.segment.number, last.seq, last.head
        self._torn_at = last.torn_at
        self._end = last.end or wal.HEADER_BYTES
        self._descriptor = self._disk.reopen(last.segment.path, self._end, self._segment_bytes)

    def _make_reserve(self, size: int) -> None:
        if size:
            path = self._folder / "private" / RESERVE
            path.unlink(missing_ok=True)
            self._disk.close(self._disk.create(path, size, b""))


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
