"""Reads a log, and says whether it is whole: every entry in its place, each naming the one before it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surgical_ml.audit.entry import GENESIS, parse
from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.wal import Record, Segment, scan, segments


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found.

    Attributes:
        ok: every entry is in its place and nothing was changed.
        entries: that are whole.
        head: leaf hash of the last one, hex; of zeros for an empty log.
        segments: files of the log.
        torn_tail: the end of the last file is an unfinished batch, as after a power cut; nothing acknowledged is in it.
        problems: one line each, naming file and byte; empty when ok.
    """

    ok: bool
    entries: int
    head: str
    segments: int
    torn_tail: bool
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a log ends: what a writer has to continue from."""

    seq: int
    head: bytes
    segment: Segment
    torn_at: int | None
    end: int


def walk(folder: Path) -> Iterator[tuple[Segment, Record, dict[str, Any]]]:
    """Every entry with its place, checked: its hash, its number, and its predecessor's hash.

    Raises:
        AuditError: at the first entry that is damaged, missing, changed or out of its place.
    """
    seq, prev = 0, GENESIS
    found = segments(folder)
    for segment, after in zip(found, [*found[1:], None], strict=True):
        if segment.first_seq != seq or segment.prev != prev:
            raise AuditError(f"{segment.path}: byte 0", f"to follow entry {seq - 1}", f"a start at {segment.first_seq}")
        scanned = scan(segment)
        expected, before = seq, prev
        for record in scanned.records:
            values = parse(record.payload, f"{segment.path}: byte {record.start}")
            if values["seq"] != expected or values["prev"] != before.hex():
                other = f"entry {values['seq']} behind {values['prev'][:8]}"
                wanted = f"entry {expected} behind {before.hex()[:8]}"
                raise AuditError(f"{segment.path}: byte {record.start}", wanted, other)
            expected, before = expected + 1, record.leaf
            # What reaches beyond the next segment's start was written before a failed flush, and again there.
            if after is None or expected <= after.first_seq:
                yield segment, record, values
                seq, prev = expected, before
        # A segment that failed is followed by another, and may hold anything behind what was acknowledged.
        if scanned.damaged and (after is None or scanned.closed):
            raise AuditError(f"{segment.path}: byte {scanned.bad_at}", "an undamaged record", "a damaged one")
        if after is not None and seq != after.first_seq:
            at = scanned.bad_at if scanned.bad_at is not None else segment.path.stat().st_size
            raise AuditError(f"{segment.path}: byte {at}", f"entry {seq}", "the end of the segment")


def read(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every entry in order: (seq, its fields).

    Raises:
        AuditError: there is no log, or it is damaged; entries before the damage have been given out.
    """
    for _, _, values in walk(folder):
        yield values["seq"], values


def verify(folder: Path) -> Report:
    """Check a whole log; damage is told, not raised.

    In a log that was not closed, a change to the last batch cannot be told from an unfinished write. In any log, last
    entries that are missing cannot be noticed: compare `entries` and `head` with what was shown elsewhere.

    Raises:
        AuditError: there is no log at all.
    """
    entries, head, problems = 0, GENESIS, []
    if not (folder / "private" / "wal").is_dir():
        raise AuditError(folder, "an audit log", "none")
    try:
        for _, record, _ in walk(folder):
            entries, head = entries + 1, record.leaf
        torn = scan(segments(folder)[-1]).bad_at is not None
    except AuditError as error:
        problems.append(str(error))
        torn = False
    count = len(list((folder / "private" / "wal").glob("*.wal")))
    return Report(not problems, entries, head.hex(), count, torn, tuple(problems))


def tail(folder: Path) -> Tail:
    """Where to continue.

    Raises:
        AuditError: the log is damaged before its end; it must be kept as it is, and a new one begun elsewhere.
    """
    seq, head = 0, GENESIS
    for _, record, _ in walk(folder):
        seq, head = seq + 1, record.leaf
    last = segments(folder)[-1]
    scanned = scan(last)
    end = scanned.records[-1].end if scanned.records else 0
    return Tail(seq, head, last, scanned.bad_at, end)
