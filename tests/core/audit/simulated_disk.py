"""A disk that loses power: everything that a writer asked of it in order, and what may be left of that at any moment.

What was written and not flushed reaches the disk in any order, sector by sector, or not at all; a name that was given or
taken away and not flushed with its folder, likewise. What was flushed is there. This is what POSIX promises, and no more.
"""

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from log_faults import check, entries

from surgical_ml.audit import AuditError, AuditWriter, Disk, Keyring, disk, verify, wal

SECTOR = 512
Operation = tuple[Any, ...]


class JournalOs:
    """The module `os`, as the disk sees it: everything is done, and written down in its order."""

    def __init__(self) -> None:
        self.journal: list[Operation] = []
        self.lock = threading.RLock()
        self.inodes: dict[Path, int] = {}
        self._descriptors: dict[int, int | Path] = {}
        self._made = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        with self.lock:
            descriptor = os.open(path, flags, mode)
            if flags & os.O_DIRECTORY:
                self._descriptors[descriptor] = Path(path)
                return descriptor
            if path not in self.inodes:
                self._made += 1
                self.inodes[path] = self._made
                self.journal.append(("link", path, self._made))
            elif flags & os.O_TRUNC:
                self.journal.append(("cut", self.inodes[path], 0))
            self._descriptors[descriptor] = self.inodes[path]
            return descriptor

    def pwrite(self, descriptor: int, data: bytes, at: int) -> int:
        with self.lock:
            self.journal.append(("write", self._descriptors[descriptor], at, bytes(data)))
            return os.pwrite(descriptor, data, at)

    def posix_fallocate(self, descriptor: int, at: int, size: int) -> None:
        with self.lock:
            self.journal.append(("extend", self._descriptors[descriptor], at + size))
            os.posix_fallocate(descriptor, at, size)

    def ftruncate(self, descriptor: int, size: int) -> None:
        with self.lock:
            self.journal.append(("cut", self._descriptors[descriptor], size))
            os.ftruncate(descriptor, size)

    def fsync(self, descriptor: int) -> None:
        with self.lock:
            self.journal.append(("sync", self._descriptors[descriptor]))

    fdatasync = fsync


class JournalDisk(Disk):
    """Writes down what happens to names; `JournalOs` does so for what happens to files."""

    def __init__(self, calls: JournalOs) -> None:
        self.calls = calls

    def add_folder(self, folder: Path) -> None:
        with self.calls.lock:
            self.calls.journal.append(("folder", folder))
            super().add_folder(folder)

    def rename(self, path: Path, name: Path) -> None:
        with self.calls.lock:
            inode = self.calls.inodes.pop(path)
            self.calls.inodes[name] = inode
            self.calls.journal += [("link", name, inode), ("unlink", path)]
            super().rename(path, name)

    def remove(self, path: Path) -> None:
        with self.calls.lock:
            if self.calls.inodes.pop(path, None) is not None:
                self.calls.journal.append(("unlink", path))
            super().remove(path)


@contextmanager
def journalled() -> Iterator[JournalDisk]:
    """A disk whose calls are written down, for all writers that use it meanwhile."""
    calls = JournalOs()
    disk.os = calls  # type: ignore[attr-defined]
    try:
        yield JournalDisk(calls)
    finally:
        disk.os = os  # type: ignore[attr-defined]


@dataclass
class _File:
    content: bytearray = field(default_factory=bytearray)
    waiting: list[Operation] = field(default_factory=list)

    def flush(self) -> None:
        for operation in self.waiting:
            self.apply(operation)
        self.waiting.clear()

    def apply(self, operation: Operation) -> None:
        kind, _, *rest = operation
        if kind == "write":
            at, data = rest
            self._reach(at + len(data))
            self.content[at : at + len(data)] = data
        elif kind == "extend":
            self._reach(rest[0])
        else:
            self._reach(rest[0])
            del self.content[rest[0] :]

    def lose_power(self, draw: random.Random) -> None:
        """Keep what the drawn lots say of that which was not flushed. Sizes change in their order."""
        sizes_end = draw.randint(0, len(self.waiting))
        for number, operation in enumerate(self.waiting):
            if operation[0] != "write":
                if number < sizes_end:
                    self.apply(operation)
                continue
            kind, inode, at, data = operation
            fate = draw.choice(("lost", "whole", "torn"))
            for start in range(at - at % SECTOR, at + len(data), SECTOR):
                first, last = max(at, start), min(at + len(data), start + SECTOR)
                if fate == "whole" or (fate == "torn" and draw.random() < 0.5):
                    self.apply((kind, inode, first, data[first - at : last - at]))

    def _reach(self, size: int) -> None:
        self.content.extend(bytes(max(0, size - len(self.content))))


def power_cut(journal: list[Operation], root: Path, place: Path, draw: random.Random) -> dict[int, str]:
    """Make what a power cut after the given operations may leave of `root` under `place`; what was acknowledged before."""
    files: dict[int, _File] = {}
    names: dict[Path, Path | int | None] = {}
    waiting: dict[Path, list[tuple[Path, Path | int | None]]] = {}
    acknowledged: dict[int, str] = {}
    for operation in journal:
        kind, what, *rest = operation
        if kind == "acknowledged":
            acknowledged[what] = rest[0]
        elif kind == "folder":
            waiting.setdefault(what.parent, []).append((what, what))
        elif kind == "link":
            waiting.setdefault(what.parent, []).append((what, rest[0]))
        elif kind == "unlink":
            waiting.setdefault(what.parent, []).append((what, None))
        elif kind == "sync" and isinstance(what, Path):
            names.update(waiting.pop(what, []))
        elif kind == "sync":
            files.setdefault(what, _File()).flush()
        else:
            files.setdefault(what, _File()).waiting.append(operation)
    for listed in waiting.values():
        by_name: dict[Path, list[Path | int | None]] = {}
        for name, what in listed:
            by_name.setdefault(name, []).append(what)
        for name, changes in by_name.items():
            reached = draw.randint(0, len(changes))
            if reached:
                names[name] = changes[reached - 1]
    for one in files.values():
        one.lose_power(draw)
    place.mkdir()
    for name, what in sorted(names.items()):
        # A file in a folder that was lost is lost with it.
        target = place / name.relative_to(root)
        if what is None or not target.parent.is_dir():
            continue
        if isinstance(what, Path):
            target.mkdir()
        else:
            target.write_bytes(files.get(what, _File()).content)
    return acknowledged


def record_life(folder: Path, keyring: Keyring | None, seed: int, *, lives: int = 2) -> list[Operation]:
    """Everything that a few lives of a log ask of its disk, with what was acknowledged in between."""
    draw = random.Random(seed)
    with journalled() as recording:
        calls = recording.calls
        calls.journal.append(("folder", folder))
        folder.mkdir()
        for life in range(lives):
            with AuditWriter(
                folder, keyring=keyring, disk=recording, segment_bytes=draw.choice((3_000, 9_000)), checkpoint_s=0.01
            ) as writer:
                for burst in range(draw.randrange(2, 6)):
                    tickets = []
                    for n in range(draw.randrange(1, 12)):
                        name = f"{life}-{burst}-{n}"
                        body = {"name": name, "text": "x" * draw.randrange(300)}
                        ticket = writer.append("event", body, urgent=draw.random() < 0.3)
                        ticket.when_settled(_acknowledge(calls, ticket, name))
                        tickets.append(ticket)
                    assert all(ticket.wait(60) for ticket in tickets)
    return calls.journal


def _acknowledge(calls: JournalOs, ticket: Any, name: str) -> Any:
    def note() -> None:
        if ticket.durable:
            calls.journal.append(("acknowledged", ticket.seq, name))

    return note


def power_campaign(work: Path, *, seeds: int, each: int, first: int = 0, keyring: Keyring | None = None) -> int:
    """Cut the power `seeds` times, `each` times in the same recorded lives, and take the log up again after each.

    Returns:
        How many acknowledged entries were looked for in all.
    """
    looked_for = 0
    for seed in range(first, first + seeds):
        if (seed - first) % each == 0:
            root = work / f"lives-{seed}"
            journal = record_life(root, keyring, seed)
            # The folder itself is there before: who makes it is not the log's to say.
            begin = next(k for k, one in enumerate(journal) if one[0] == "folder") + 1
        draw = random.Random(seed)
        place = work / f"cut-{seed}"
        acknowledged = power_cut(journal[begin : draw.randint(begin, len(journal))], root, place, draw)
        after_power_cut(place, acknowledged, keyring)
        looked_for += len(acknowledged)
    return looked_for


def after_power_cut(folder: Path, acknowledged: dict[int, str], keyring: Keyring | None) -> None:
    """Every acknowledged entry is there; the log verifies, and is taken up again."""
    if any((folder / wal.FOLDER).glob("*.wal")):
        check(folder, acknowledged)
    else:
        assert not acknowledged
    with AuditWriter(folder, keyring=keyring, segment_bytes=4096) as writer:
        ticket = writer.append("event", {"name": "next"}, urgent=True)
        assert ticket.wait(60)
    check(folder, acknowledged | {ticket.seq: "next"})
    assert not verify(folder).torn_tail


class LyingDisk(JournalDisk):
    """Says that it flushed, and did not: a disk that the campaign has to find wanting."""

    def flush(self, descriptor: int) -> None:
        return


__all__ = ["AuditError", "LyingDisk", "entries", "journalled", "power_campaign", "power_cut", "record_life"]
