"""Reads a log, and says whether it is whole: every entry in its place, each naming the one before it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surgical_ml.audit.entry import GENESIS
from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.wal import Record, Segment, follow, scan, segments


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


def walk(folder: Path) -> Iterator[tuple[Segment, Record, dict[str, Any]]]:
    """Every entry with its place, checked: its hash, its number, and its predecessor's hash.

    Raises:
        AuditError: at the first entry that is damaged, missing, changed or out of its place.
    """
    return follow(segments(folder), 0, GENESIS)


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
