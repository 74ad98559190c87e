"""What bit flips, power cuts and kills do to a log. Counts are arguments: tests run a few, a campaign runs them all."""

import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from surgical_ml.audit import AuditError, AuditWriter, Disk, read, verify, wal

WRITER = Path(__file__).parent / "killed_writer.py"


def entries(folder: Path) -> list[dict[str, Any]]:
    """Every entry of a log that is whole."""
    return [values for _, values in read(folder)]


def segment_paths(folder: Path) -> list[Path]:
    return sorted((folder / wal.FOLDER).glob("*.wal"))


@contextmanager
def open_log(folder: Path, bodies: Iterable[dict[str, Any]], **options: Any) -> Iterator[AuditWriter]:
    """A writer that is still open, and whose entries are durable, each in a batch of its own."""
    with AuditWriter(folder, **options) as writer:
        for body in bodies:
            assert writer.append("event", body, urgent=True).wait(20)
        yield writer


def flip_campaign(folder: Path, scratch: Path, *, count: int | None, seed: int = 0) -> list[str]:
    """Flip single bits of a log's segments, verify each time, and name the flips that nothing was said about.

    The end marks of segments that another one follows are left out: there, the next one's number says where the end is.

    Args:
        folder: a log that verifies; left as it is.
        scratch: a folder for the changed copy.
        count: how many bits, drawn with `seed`; None for every one.

    Returns:
        `file: byte: bit` of each flip after which the report is what it was.
    """
    shutil.copytree(folder, scratch)
    whole = verify(scratch)
    *full, last = segment_paths(scratch)
    places = [(path, at) for path in full for at in range(path.stat().st_size - len(wal.END))]
    places += [(last, at) for at in range(last.stat().st_size)]
    flips: Iterable[tuple[Path, int, int]] = ((path, at, bit) for path, at in places for bit in range(8))
    if count is not None:
        draw = random.Random(seed)
        flips = [(*draw.choice(places), draw.randrange(8)) for _ in range(count)]
    unnoticed = []
    for path, at, bit in flips:
        with path.open("r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << bit]))
        found = verify(scratch)
        if found == whole:
            unnoticed.append(f"{path.name}: {at}: {bit}")
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes([byte]))
    assert verify(scratch) == whole
    return unnoticed


def kill_campaign(folder: Path, *, kills: int, seed: int = 0) -> int:
    """Kill a writer of one log again and again, and look for everything that it said was durable.

    Returns:
        How many entries were acknowledged in all.
    """
    draw = random.Random(seed)
    acknowledged: dict[int, str] = {}
    for run in range(kills):
        command = [sys.executable, str(WRITER), "stream", str(folder), str(draw.randrange(2**31))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            # Where the kill falls inside a batch, a segment or a recovery is left to chance.
            for _ in range(draw.randrange(1, 60)):
                note(acknowledged, process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:
                note(acknowledged, line)
        assert process.returncode == -signal.SIGKILL, run
        check(folder, acknowledged)
    return len(acknowledged)


def note(acknowledged: dict[int, str], line: str) -> None:
    """Remember a line that a writer printed for a durable entry; the last one may be torn."""
    if line.endswith("\n"):
        seq, name = line.split()
        acknowledged[int(seq)] = name


def check(folder: Path, acknowledged: dict[int, str]) -> None:
    """The log is whole, and every acknowledged entry stands under its number."""
    report = verify(folder)
    assert report.ok, report.problems
    found = {values["seq"]: values["body"].get("name") for values in entries(folder)}
    assert {seq: found.get(seq) for seq in acknowledged} == acknowledged


def goes_on(folder: Path) -> None:
    """A writer takes the log up again, and it is whole afterwards."""
    before = verify(folder)
    with AuditWriter(folder, segment_bytes=4096) as writer:
        ticket = writer.append("event", {"name": "next"}, urgent=True)
        assert ticket.wait(20)
    report = verify(folder)
    assert report.ok
    assert not report.torn_tail
    # The next entry, and before it a note where the end was torn.
    assert report.entries == before.entries + 1 + before.torn_tail
    assert entries(folder)[-1]["body"] == {"name": "next"}


class RecordingDisk(Disk):
    """Remembers what was written where, batch by batch, and can hold the disk busy."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.busy = threading.Event()
        self.writes: list[tuple[int, bytes]] = []

    def write(self, descriptor: int, data: bytes, at: int) -> None:
        if at >= wal.HEADER_BYTES:
            self.writes.append((at, bytes(data)))
        super().write(descriptor, data, at)

    def flush(self, descriptor: int) -> None:
        self.busy.set()
        assert self.free.wait(60)
        super().flush(descriptor)


class FaultyDisk(Disk):
    """Fails at the calls that it is told, counted over all that a running writer makes; a failing write is cut short.

    The calls: a segment is created, records or the end mark are written, the segment is flushed.

    Args:
        faults: what the n-th call raises.
        for_ever: what every call from the first fault on raises, too.
    """

    def __init__(self, faults: dict[int, Exception], *, for_ever: bool = False) -> None:
        self.faults = faults
        self.for_ever = for_ever
        self.armed = False
        self.calls = 0
        self.given_up: set[int] = set()
        self.used_again: list[int] = []

    def create(self, path: Path, size: int, header: bytes) -> int:
        self._fail()
        return super().create(path, size, header)

    def close(self, descriptor: int) -> None:
        # From here on its number may be another file's.
        self.given_up.discard(descriptor)
        super().close(descriptor)

    def finish(self, descriptor: int, at: int, end: bytes) -> None:
        try:
            super().finish(descriptor, at, end)
        finally:
            self.given_up.discard(descriptor)

    def write(self, descriptor: int, data: bytes, at: int) -> None:
        if at >= wal.HEADER_BYTES:
            self._look(descriptor)
            try:
                self._fail()
            except Exception:
                self.given_up.add(descriptor)
                super().write(descriptor, data[: len(data) // 2], at)
                raise
        super().write(descriptor, data, at)

    def flush(self, descriptor: int) -> None:
        self._look(descriptor)
        try:
            self._fail()
        except Exception:
            self.given_up.add(descriptor)
            raise
        super().flush(descriptor)

    def _look(self, descriptor: int) -> None:
        if descriptor in self.given_up:
            self.used_again.append(descriptor)

    def _fail(self) -> None:
        if not self.armed:
            return
        self.calls += 1
        fault = self.faults.get(self.calls)
        if fault is None and self.for_ever and self.faults and self.calls > min(self.faults):
            fault = self.faults[min(self.faults)]
        if fault is not None:
            raise fault


def recovers(folder: Path) -> bool:
    """Whether a writer takes the log up."""
    try:
        goes_on(folder)
    except AuditError:
        return False
    return True
