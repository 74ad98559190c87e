"""The writer: one thread, batches of entries, one flush a batch, and tickets that settle only after it."""

import errno
import fcntl
import os
import secrets
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from surgical_ml.audit import keys, wal
from surgical_ml.audit.canonical import decode, encode
from surgical_ml.audit.clock import ClockState, read_clock_state
from surgical_ml.audit.disk import Disk
from surgical_ml.audit.entry import GENESIS, MODULE, Draft, clock_text
from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.keys import CaseKey, Keyring
from surgical_ml.audit.publisher import AFTER_S, NEW, Published, Publisher, published
from surgical_ml.audit.recorder import Ticket
from surgical_ml.audit.tiles import Edge
from surgical_ml.audit.vault import IDENTITY, Vault, identity

BATCH_ENTRIES = 64
QUEUE_ENTRIES = 20_000
QUEUE_BYTES = 64 * 1024 * 1024
"""More waiting than this, and the disk has been gone for minutes: appends fail instead of filling memory."""

SAFETY_ENTRIES = 2_000
"""As many urgent entries may wait besides."""

CATCH_UP_ENTRIES = 4096
"""Entries of a log that was never signed, or not for long, are published so many at a time when it is opened."""

RESERVE = "reserve"

SHRED_S = 30.0

CLOCK_S = 1.0
STEP_NS = 100_000_000
SLEW = 1_000
"""UTC may drift by a thousandth against the monotonic clock while NTP pulls it; beyond that, and 100 ms, it jumped."""

CERTIFIED = "key-certified"
GAP = "gap"
SPACE_LOW = "space-low"
CLOCK_STEPPED = "clock-stepped"
CHECKPOINT_FAILED = "checkpoint-failed"
REFUSED = "refused"
SECRET_KEPT, SHREDDED = "secret-kept", "secrets-shredded"
TORN_TAIL = "recovery.torn-tail"
SEGMENT_FAILED = "recovery.segment-failed"

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TYPES_TOLD = 20


@dataclass(slots=True)
class _Gap:
    """Entries that were turned away since the last one that was taken."""

    first_ns: int
    last_ns: int
    types: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Waiting:
    draft: Draft
    ticket: Ticket
    urgent: bool


class AuditWriter:
    """Appends to one log. A context manager; closing it writes what is queued.

    With a keyring, durable entries are published as tiles under signed checkpoints, by a second thread that nothing
    waits for: within a second, and at once after an urgent entry. Without one the log is private and unsigned: whoever
    can write to it can write it anew.

    Args:
        folder: of the log; made if missing, continued if there is one.
        keyring: of the device.
        clock_ns: UTC in nanoseconds. monotonic_ns: of this boot. clock_state: what is known of UTC.
        boot: names the run of the machine or process that `monotonic_ns` belongs to.
        batch_ms: a batch closes after this time, after 64 entries, or at an urgent one.
        checkpoint_s: how long an entry that is not urgent may wait for its checkpoint.
        reserve_bytes: kept free for the rest of a case when the disk is full; 0 for offline work. It is drawn on a segment
            at a time, and the last segment takes urgent entries only.
        disk: the file system's calls.

    Raises:
        AuditError: another writer holds the log, it is damaged or another device's, or there is no room for it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keyring: Keyring | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        clock_state: Callable[[], ClockState] = read_clock_state,
        boot: str | None = None,
        batch_ms: float = 2.0,
        checkpoint_s: float = AFTER_S,
        reserve_bytes: int = 0,
        segment_bytes: int = wal.SEGMENT_BYTES,
        disk: Disk | None = None,
    ) -> None:
        self._folder = folder
        self._clock_ns, self._monotonic_ns, self._clock_state = clock_ns, monotonic_ns, clock_state
        self._boot = encode(boot or uuid.uuid4().hex, "boot")
        self._batch_s, self._segment_bytes = batch_ms / 1000, segment_bytes
        self._disk = disk or Disk()
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._gap: _Gap | None = None
        self._wake = threading.Condition()
        self._closing = False
        self._failed = ""
        self._clock, self._clock_read_ns = b"", 0
        self._offset: tuple[int, int] | None = None
        self._descriptor, self._number, self._end = -1, -1, 0
        self._seq, self._head = 0, GENESIS
        self._torn_at: int | None = None
        self._reserve, self._safety_only = 0, False
        self._publisher: Publisher | None = None
        self._vault: Vault | None = None
        self._people: dict[str, str] = {}
        try:
            self._disk.make_folder(folder / wal.FOLDER)
            self._lock = os.open(folder / "private" / "lock", os.O_RDWR | os.O_CREAT, 0o640)
        except OSError as error:
            raise AuditError(folder, "a place for an audit log", error.strerror or str(error)) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            key = self._recover(keyring, checkpoint_s)
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
        if self._publisher is not None and key is not None and keyring is not None:
            self._publisher.start()
            self.append(CERTIFIED, _told_of(key, keyring), urgent=True)

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

    @property
    def published(self) -> int:
        """Number of entries under this writer's last signed checkpoint."""
        return 0 if self._publisher is None else self._publisher.size

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
        """Queue one entry; its ticket settles when it is durable, or is known never to be.

        Raises:
            AuditError: the body or a text has no canonical form.
        """
        draft = Draft.of(
            type,
            body,
            case=case,
            actor=actor,
            identity=identity,
            requirements=requirements,
            hazards=hazards,
            t_utc=self._clock_ns(),
            t_mono=self._monotonic_ns(),
        )
        with self._wake:
            refusal = self._refusal(urgent)
            if refusal:
                ticket = Ticket(self._next_ticket)
                ticket.settle(refusal)
                self._note_gap(type, draft.t_utc)
                return ticket
            if self._gap is not None:
                self._queue_one(self._told_gap(self._gap, draft), True)
                self._gap = None
            return self._queue_one(draft, urgent)

    def keep_secret(self, kind: str, data: bytes, *, case: str = "") -> str:
        """Keep an identity or a picture, encrypted, and say in the log that it is there. Waits for the disk.

        Returns:
            The SHA-256, hex, of the ciphertext: its name in `blobs/`, and the only thing that the log holds of it.

        Raises:
            AuditError: the log has no keys, or there is no room.
        """
        digest = self._secrets().keep(kind, data)
        self.append(SECRET_KEPT, {"kind": kind, "sha256": digest}, case=case)
        return digest

    def pseudonym(self, name: str, *, case: str = "") -> str:
        """What stands for a person in this log; whom it stands for is kept as a secret, once. Waits for the disk then.

        Raises:
            AuditError: as `keep_secret`.
        """
        if name not in self._people:
            made = self._secrets().pseudonym(name)
            self.keep_secret(IDENTITY, identity(made, name), case=case)
            self._people[name] = made
        return self._people[name]

    def shred(self) -> None:
        """Destroy the key of every secret in this log, and say so in it. Proofs stay valid; the secrets are gone.

        Raises:
            AuditError: the log has no keys, the key could not be destroyed, or that could not be recorded.
        """
        destroyed = self._secrets().destroy_key()
        self._people.clear()
        ticket = self.append(SHREDDED, {"destroyed": destroyed}, urgent=True)
        if not ticket.wait(SHRED_S):
            raise AuditError(self._folder, "the key destroyed, and that recorded", ticket.failed or "no answer in time")

    def _secrets(self) -> Vault:
        if self._vault is None:
            raise AuditError(self._folder, "a log with keys", "one without")
        return self._vault

    def close(self) -> None:
        """Write what is queued, sign it, give back what was preallocated, and let go of the log. May be called twice."""
        with self._wake:
            if self._closing:
                return
            if self._gap is not None and not self._failed:
                now = Draft.of(GAP, {}, t_utc=self._clock_ns(), t_mono=self._monotonic_ns())
                self._queue_one(self._told_gap(self._gap, now), True)
            self._closing = True
            self._wake.notify()
        self._thread.join()
        if self._publisher is not None:
            self._publisher.close()
        # What is durable stays so, whatever the disk has to say now.
        if not self._failed:
            with suppress(OSError):
                descriptor, self._descriptor = self._descriptor, -1
                self._disk.finish(descriptor, self._end, wal.END)
        with suppress(OSError):
            self._disk.shrink(self._folder / "private" / RESERVE, 0)
        self._let_go()

    def _let_go(self) -> None:
        """Close the segment, if one is open, and the lock."""
        if self._descriptor >= 0:
            with suppress(OSError):
                self._disk.close(self._descriptor)
        os.close(self._lock)

    def _refusal(self, urgent: bool) -> str:
        """Why an entry cannot be taken; empty if it can."""
        if self._failed or self._closing:
            return self._failed or "closed"
        if self._safety_only and not urgent:
            return "the disk is full: what room is left is kept for safety events"
        limit = QUEUE_ENTRIES + SAFETY_ENTRIES * urgent
        if len(self._queue) >= limit or self._queued_bytes >= QUEUE_BYTES * (1 + urgent):
            return "too many entries wait for the disk"
        return ""

    def _note_gap(self, type: str, t_utc: int) -> None:
        if not self._failed and not self._closing:
            self._gap = self._gap or _Gap(t_utc, t_utc)
            self._gap.last_ns = t_utc
            self._gap.types[type[:200]] += 1

    def _told_gap(self, gap: _Gap, before: Draft) -> Draft:
        """The entry that stands for those that were turned away, just before the next one that was not."""
        body = {
            "count": gap.types.total(),
            "from": str(gap.first_ns),
            "to": str(gap.last_ns),
            "types": [[name, count] for name, count in gap.types.most_common(_TYPES_TOLD)],
        }
        return Draft.of(GAP, body, t_utc=before.t_utc, t_mono=before.t_mono)

    def _queue_one(self, draft: Draft, urgent: bool) -> Ticket:
        ticket = Ticket(self._next_ticket)
        self._next_ticket += 1
        self._queue.append(_Waiting(draft, ticket, urgent))
        self._queued_bytes += len(draft.body)
        # The writer sleeps until there is a first entry, a full batch, or something urgent; nothing else wakes it.
        if urgent or len(self._queue) in (1, BATCH_ENTRIES):
            self._wake.notify()
        return ticket

    def _note(self, type: str, body: Mapping[str, Any], *, urgent: bool = True) -> None:
        """Queue an entry of the log's own. It comes last: tickets already carry the numbers of their entries."""
        draft = Draft.of(type, body, t_utc=self._clock_ns(), t_mono=self._monotonic_ns())
        with self._wake:
            if not self._failed:
                self._queue_one(draft, urgent)

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

    def _take(self) -> list[_Waiting]:
        """Wait for a batch; empty when closing and done."""
        with self._wake:
            while not self._queue and not self._closing:
                self._wake.wait()
            until = time.monotonic() + self._batch_s
            while (
                self._queue
                and len(self._queue) < BATCH_ENTRIES
                and not self._closing
                and not any(one.urgent for one in self._queue)
                and (left := until - time.monotonic()) > 0
            ):
                self._wake.wait(left)
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_ENTRIES))]
            self._queued_bytes -= sum(len(one.draft.body) for one in batch)
            return batch

    def _write_somewhere(self, batch: list[_Waiting]) -> list[tuple[Ticket, str]]:
        """Write a batch; where that fails, once more in a new segment."""
        self._look_at_clock(batch)
        try:
            return self._write(batch)
        except OSError as error:
            return self._write_again(batch, error)

    def _look_at_clock(self, batch: list[_Waiting]) -> None:
        """Keep what is known of the clock fresh, and note where UTC jumped between entries."""
        now = batch[-1].draft.t_mono
        if not self._clock or now - self._clock_read_ns > CLOCK_S * 1e9:
            self._clock, self._clock_read_ns = clock_text(self._clock_state()), now
        for draft in (one.draft for one in batch):
            offset = draft.t_utc - draft.t_mono
            if self._offset is not None:
                step, since = offset - self._offset[0], draft.t_mono - self._offset[1]
                if abs(step) > STEP_NS + abs(since) // SLEW:
                    self._note(CLOCK_STEPPED, {"by_ns": step}, urgent=False)
            self._offset = offset, draft.t_mono

    def _write(self, batch: list[_Waiting]) -> list[tuple[Ticket, str]]:
        """Write a batch into the segment and flush once; each ticket with the reason why it failed, or none."""
        written, outcomes, entries = bytearray(), [], []
        seq, head = self._seq, self._head
        for one in batch:
            draft, failed = one.draft, ""
            try:
                payload = draft.payload(seq, head, self._boot, self._clock)
            except AuditError as error:
                failed = str(error)
                told = {"type": decode(draft.type)[:200], "why": failed}
                stand_in = Draft.of(REFUSED, told, t_utc=draft.t_utc, t_mono=draft.t_mono)
                payload = stand_in.payload(seq, head, self._boot, self._clock)
            record, head = wal.frame(wal.FOLLOWING if written else wal.FIRST, payload)
            written += record
            outcomes.append((one.ticket, failed))
            entries.append((head, payload))
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
        if self._publisher is not None:
            self._publisher.take(entries, at_once=any(one.urgent for one in batch))
        return outcomes

    def _write_again(self, batch: list[_Waiting], error: OSError) -> list[tuple[Ticket, str]]:
        """A failed write or flush is the end of its segment: nothing that the old descriptor says is believed again."""
        while True:
            told = {"segment": self._number, "why": _why(error)}
            drawn = error.errno in _FULL and self._draw_on_reserve()
            try:
                abandoned = self._descriptor
                self._next_segment()
                with suppress(OSError):
                    self._disk.close(abandoned)
                outcomes = self._write(batch)
            except OSError as again:
                if again.errno not in _FULL or not self._reserve:
                    raise
                error = again
                continue
            self._note(SEGMENT_FAILED, told)
            if drawn:
                self._note(SPACE_LOW, {"reserve_bytes": self._reserve, "safety_only": self._safety_only})
            return outcomes

    def _draw_on_reserve(self) -> bool:
        """Give the file system room for one segment more, as long as there is some; whether there was."""
        if not self._reserve:
            return False
        self._reserve = max(0, self._reserve - self._segment_bytes)
        self._disk.shrink(self._folder / "private" / RESERVE, self._reserve)
        self._safety_only = self._reserve < self._segment_bytes
        return True

    def _give_up(self, batch: list[_Waiting], error: Exception) -> None:
        with self._wake:
            self._failed = _why(error)
            waiting = list(self._queue)
            self._queue.clear()
        for one in batch + waiting:
            with suppress(Exception):
                one.ticket.settle(self._failed)

    def _next_segment(self) -> None:
        """Begin a segment behind the last durable entry; the one before it is the caller's to close."""
        number = self._number + 1
        header = wal.file_header(number, self._seq, self._head)
        path = self._folder / wal.FOLDER / wal.name(number)
        self._descriptor = self._disk.create(path, self._segment_bytes, header)
        self._number, self._end = number, wal.HEADER_BYTES

    def _recover(self, keyring: Keyring | None, checkpoint_s: float) -> CaseKey | None:
        """Continue an existing log behind its last whole entry, or begin one; the key that signs it from now on."""
        last = Published("", GENESIS, Edge(), []) if keyring is None else published(self._folder, keyring)
        publisher = Publisher(self._folder, self._disk, last, after_s=checkpoint_s, failed=self._note_unpublished)
        self._seq, self._head, origin = last.size, last.head, last.origin
        if any((self._folder / wal.FOLDER).glob("*.wal")) or last.size:
            found, unpublished = wal.segments(self._folder), list[tuple[bytes, bytes]]()
            newest, end = found[-1], None
            for segment, record, values in wal.follow(found, last.size, last.head):
                self._seq, self._head = self._seq + 1, record.leaf
                if values["type"] == CERTIFIED and not origin:
                    origin = str(values["body"]["origin"])
                if segment is newest:
                    end = record.end
                if keyring is not None:
                    unpublished.append((record.leaf, record.payload))
                if len(unpublished) >= CATCH_UP_ENTRIES:
                    publisher.catch_up(unpublished)
                    unpublished.clear()
            publisher.catch_up(unpublished)
            scanned = wal.scan(newest)
            self._number, self._torn_at = newest.number, scanned.bad_at
            self._end = end or (scanned.records[-1].end if scanned.records else wal.HEADER_BYTES)
            self._descriptor = self._disk.reopen(newest.path, self._end, self._segment_bytes)
        else:
            self._next_segment()
        if keyring is None:
            return None
        self._publisher = publisher
        key = keyring.certify(origin or f"{keyring.key.name}/{secrets.token_hex(8)}", last.size, self._clock_ns())
        self._vault = Vault(self._folder, keyring.folder, key.origin)
        keys.publish(self._folder, self._disk, key, keyring, self._folder / NEW)
        publisher.begin(key)
        return key

    def _note_unpublished(self, why: str) -> None:
        self._note(CHECKPOINT_FAILED, {"why": why}, urgent=False)

    def _make_reserve(self, size: int) -> None:
        if size:
            path = self._folder / "private" / RESERVE
            path.unlink(missing_ok=True)
            self._disk.close(self._disk.create(path, size, b""))
            self._reserve = size


def _told_of(key: CaseKey, keyring: Keyring) -> dict[str, Any]:
    """What the log itself says of the key that signs it."""
    return {
        "origin": key.origin,
        "key": key.key.text,
        "certificate": key.certificate.encode().decode(),
        "rotations": [note.encode().decode() for note in keyring.rotations],
    }


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
