"""Reads a log in order, from whichever copy of its entries there is, and goes on reading while it grows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from surgical_ml.audit import wal
from surgical_ml.audit.entry import GENESIS, leaf_hash, parse
from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.note import Checkpoint, Note
from surgical_ml.audit.public import published_entries, read_bytes
from surgical_ml.audit.publisher import CHECKPOINT


def read(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every entry in order: (seq, its fields), each behind the one before it.

    They come from the write-ahead log; a log that was given away has none, and its published entries are read. What
    is signed and by whom, `verify` says.

    Raises:
        AuditError: there is no log, or it is damaged; entries before the damage have been given out.
    """
    for seq, _, values in stored(folder):
        yield seq, values


def stored(folder: Path, start: int = 0, prev: bytes = GENESIS) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """As `read`, with the stored bytes of each entry: (seq, bytes, fields).

    Args:
        folder: of the log.
        start: number of the first entry wanted.
        prev: leaf hash of the entry before it.

    Raises:
        AuditError: as `read`.
    """
    if (folder / wal.FOLDER).is_dir() or not (folder / CHECKPOINT).exists():
        for _, record, values in wal.follow(wal.segments(folder), start, prev):
            yield values["seq"], record.payload, values
        return
    size = Checkpoint.parse(Note.parse(read_bytes(folder / CHECKPOINT), CHECKPOINT).text, CHECKPOINT).size
    for seq, entry in enumerate(published_entries(folder, size, start), start):
        values = parse(entry, f"{folder}: entry {seq}")
        if values["seq"] != seq or values["prev"] != prev.hex():
            told = f"entry {values['seq']} behind {values['prev'][:8]}"
            raise AuditError(f"{folder}: entry {seq}", f"entry {seq} behind {prev.hex()[:8]}", told)
        prev = leaf_hash(entry)
        yield seq, entry, values


def watch(folder: Path, wait: Callable[[], bool]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every entry that there is, and those that come.

    Args:
        folder: of the log.
        wait: called when nothing new is there; it returns when it is time to look again, False to stop.

    Raises:
        AuditError: as `read`.
    """
    start, prev = 0, GENESIS
    while True:
        for seq, entry, values in stored(folder, start, prev):
            start, prev = seq + 1, leaf_hash(entry)
            yield seq, values
        if not wait():
            return
