"""What can be done to a signed log, and whether it is noticed. Counts are arguments: tests do a little, a campaign all.

The log under attack was written by two sessions of one device, each with a case key of its own. Every fault is made on a
copy, verified, and undone. A fault counts as found if the log is not whole any more and, where it lies in one file, if that
file is named.
"""

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from made_logs import BOOT, some_bodies, write_log

from surgical_ml.audit import wal
from surgical_ml.audit.entry import leaf_hash
from surgical_ml.audit.keys import Keyring
from surgical_ml.audit.merkle import root_of
from surgical_ml.audit.public import newest
from surgical_ml.audit.tiles import Edge, bundle, bundles_of, split_bundle, tiles_of
from surgical_ml.audit.verify import Report, verify

SMALL = 600
"""Files up to so many bytes have every bit flipped, and are cut at every length."""

Verifier = Callable[[Path], Report]


@dataclass
class Found:
    """What became of the faults, by kind; `missed` names those that nobody noticed, `astray` those told of elsewhere."""

    made: dict[str, int] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    astray: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.made.values())


def attacked_log(folder: Path) -> tuple[Path, Keyring]:
    """A log of two sessions, given away without what is private in it, and its device."""
    keyring = Keyring(folder / "keyring")
    log = write_log(folder / "log", keyring, some_bodies(7))
    write_log(log, keyring, some_bodies(270, 7))
    (log / "private" / "lock").unlink()
    return log, keyring


@dataclass(frozen=True)
class Fault:
    """A change: what it is, which file it is in, and what that file holds afterwards; None for no file."""

    kind: str
    path: Path
    told: str
    content: bytes | None


def faults(log: Path, draw: random.Random, count: int | None) -> Iterator[Fault]:
    """Changes to single files.

    Args:
        log: left as it is.
        draw: chooses.
        count: how many of each file and kind; None for every bit and length of small files and 400 of larger ones.
    """
    files = sorted(path for path in log.rglob("*") if path.is_file())
    for path in files:
        data = path.read_bytes()
        bits = list(range(len(data) * 8)) if len(data) <= SMALL else draw.sample(range(len(data) * 8), 400)
        for bit in bits if count is None else draw.sample(bits, min(count, len(bits))):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            yield Fault("bit flipped", path, f"bit {bit}", bytes(changed))
        lengths = list(range(len(data))) if len(data) <= SMALL else draw.sample(range(len(data)), 60)
        for length in lengths if count is None else draw.sample(lengths, min(count, len(lengths))):
            yield Fault("cut off", path, f"at {length}", data[:length])
        yield Fault("bytes added", path, "at the end", data + draw.randbytes(1 + draw.randrange(40)))
        yield Fault("deleted", path, "", None)
        other = draw.choice([one for one in files if one != path and one.read_bytes() != data])
        yield Fault("replaced by another file", path, other.name, other.read_bytes())
    yield from _entries_moved(log, draw, 5 if count is None else 1)
    yield from _records_moved(log, draw, 5 if count is None else 1)
    for name in (
        "tile/0/005",
        "tile/9/000",
        "tile/entries/000.p/3",
        "keys/00000000.vkey",
        "note",
        "checkpoints/5.note",
    ):
        yield Fault("file added", log / name, name, b"\x00" * 32)


def attack(log: Path, scratch: Path, check: Verifier, *, count: int | None, seed: int = 0) -> Found:
    """Make every fault, one at a time, and have each checked."""
    draw, found = random.Random(seed), Found()
    copied = shutil.copytree(log, scratch)
    assert check(copied).ok
    for fault in faults(copied, draw, count):
        before = fault.path.read_bytes() if fault.path.exists() else None
        if fault.content == before or _harmless(copied, fault):
            continue
        if fault.content is None:
            fault.path.unlink()
        else:
            fault.path.parent.mkdir(parents=True, exist_ok=True)
            fault.path.write_bytes(fault.content)
        name = fault.path.relative_to(copied).as_posix()
        report = check(copied)
        found.made[fault.kind] = found.made.get(fault.kind, 0) + 1
        if report.ok:
            found.missed.append(f"{fault.kind}: {name}: {fault.told}")
        elif not any(name.startswith(one.file) for one in report.faults):
            found.astray.append(f"{fault.kind}: {name}: {fault.told}: {report.problems[0]}")
        if before is None:
            fault.path.unlink()
        else:
            fault.path.write_bytes(before)
    assert check(copied).ok
    return found


def rebuilt(log: Path, out: Path, change: Callable[[list[bytes]], list[bytes]]) -> Path:
    """The log with other entries and every tile, bundle and write-ahead record made anew for them; without a key."""
    shutil.copytree(log, out)
    entries = change([record.payload for segment in wal.segments(log) for record in wal.scan(segment).records])
    shutil.rmtree(out / "tile")
    edge, files, rest = Edge(), dict[str, bytes](), list[bytes]()
    for entry in entries:
        rest.append(entry)
        files |= {tile.path: data for tile, data in edge.append(leaf_hash(entry))}
    files |= {tile.path: data for tile, data in edge.partial()}
    for index in range(0, len(rest), 256):
        part = rest[index : index + 256]
        name = f"tile/entries/{index // 256:03d}" + (f".p/{len(part)}" if len(part) < 256 else "")
        files[name] = bundle(part)
    for name, data in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)
    for path in (out / wal.FOLDER).glob("*.wal"):
        path.unlink()
    records = b"".join(wal.frame(wal.FIRST, entry)[0] for entry in entries)
    (out / wal.FOLDER / wal.name(0)).write_bytes(wal.file_header(0, 0, bytes(32)) + records + wal.END)
    assert edge.root() == root_of(map(leaf_hash, entries))
    return out


def pinned(keyring: Keyring) -> Verifier:
    """The verifier of somebody who knows the device."""
    return lambda log: verify(log, pins={keyring.first.fingerprint})


def _harmless(log: Path, fault: Fault) -> bool:
    """A deletion that takes nothing away: a kept checkpoint, or a part of a tile that a larger part has replaced.

    The tree is held against those checkpoints that are there, the newest of which contains what the others did.
    """
    size = newest(log).checkpoint.size if fault.kind == "deleted" else 0
    needed = {log / tile.path for tile in (*tiles_of(size), *bundles_of(size))}
    spare = fault.path.parent == log / "checkpoints" or log / "tile" in fault.path.parents
    return fault.kind == "deleted" and spare and fault.path not in needed


def _entries_moved(log: Path, draw: random.Random, times: int) -> Iterator[Fault]:
    """Entries of a bundle deleted, duplicated, swapped, or replaced, the bundle being well formed afterwards."""
    for path in sorted((log / "tile" / "entries").rglob("*")):
        if not path.is_file():
            continue
        width = int(path.name) if path.parent.name.endswith(".p") else 256
        entries = split_bundle(path.read_bytes(), width, "bundle")
        for _ in range(times):
            k, other = draw.sample(range(len(entries)), 2)
            yield Fault("entry deleted", path, str(k), bundle([*entries[:k], *entries[k + 1 :]]))
            yield Fault("entry inserted", path, str(k), bundle([*entries[:k], entries[other], *entries[k:]]))
            swapped = list(entries)
            swapped[k], swapped[other] = swapped[other], swapped[k]
            yield Fault("entries reordered", path, f"{k} {other}", bundle(swapped))
            copied = list(entries)
            copied[k] = entries[other]
            yield Fault("entry duplicated", path, f"{k} {other}", bundle(copied))
            edited = list(entries)
            edited[k] = entries[k].replace(b'"type":"', b'"type":"x', 1)
            yield Fault("entry edited", path, str(k), bundle(edited))


def _records_moved(log: Path, draw: random.Random, times: int) -> Iterator[Fault]:
    """The same in the write-ahead log, with every checksum made right again."""
    for segment in wal.segments(log):
        records = [record.payload for record in wal.scan(segment).records]
        header, end = segment.path.read_bytes()[: wal.HEADER_BYTES], wal.END

        def written(payloads: list[bytes], header: bytes = header, end: bytes = end) -> bytes:
            return header + b"".join(wal.frame(wal.FIRST, one)[0] for one in payloads) + end

        for _ in range(times):
            k, other = draw.sample(range(len(records)), 2)
            yield Fault("record deleted", segment.path, str(k), written([*records[:k], *records[k + 1 :]]))
            yield Fault("record replayed", segment.path, str(k), written([*records, records[k]]))
            edited = list(records)
            edited[other] = records[other].replace(BOOT.encode(), b"f" * len(BOOT))
            yield Fault("record edited", segment.path, str(other), written(edited))
