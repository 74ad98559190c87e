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
        torn_tail: the end of the last file is an unfinished record, as after a power cut; nothing acknowledged is in it.
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
        if scanned.bad_at is not None and scanned.later:
            raise AuditError(f"{segment.path}: byte {scanned.bad_at}", "an undamaged record", "a damaged one")
        for record in scanned.records:
            if after is not None and seq == after.first_seq:
                # Written before a failed flush, never acknowledged, and written again in the next segment.
                break
            values = parse(record.payload, f"{segment.path}: byte {record.start}")
            if values["seq"] != seq or values["prev"] != prev.hex():
                raise AuditError(f"{segment.path}: byte {record.start}", f"entry {seq}", f"entry {values['seq']}")
            yield segment, record, values
            seq, prev = seq + 1, record.leaf
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

    A changed or missing *last* entry of a log without a signed checkpoint cannot be told from an unfinished write: compare
    `entries` and `head` with what was shown elsewhere.

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
