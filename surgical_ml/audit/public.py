"""The public side of a log, read: signed checkpoints and the keys behind them, tiles and entries. Nothing here is private."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from surgical_ml.audit.disk import Disk
from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.keys import FOLDER as KEYS
from surgical_ml.audit.keys import Certificate, Rotation, case_keys, follow_rotations
from surgical_ml.audit.note import Checkpoint, Note, VerifierKey, check
from surgical_ml.audit.publisher import CHECKPOINT, CHECKPOINTS, stored_tile
from surgical_ml.audit.tiles import ENTRIES, WIDTH, Tile, TiledTree, split_bundle

TOKENS = "tsr"
WITNESSED = "witnessed"


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint whose signature was checked.

    Attributes:
        path: of its file.
        note: with every signature on it.
        checkpoint: what it says.
        keys: by which it is signed, of those that are trusted.
    """

    path: Path
    note: Note
    checkpoint: Checkpoint
    keys: tuple[VerifierKey, ...]


def device_keys(folder: Path, pins: Collection[str] = ()) -> tuple[VerifierKey, ...]:
    """The device keys that may certify a log's case keys.

    Args:
        folder: of the log.
        pins: fingerprints of device keys, hex. Each leads to the keys that it was rotated to. Without any, the log's own
            word is taken for its oldest one.

    Raises:
        AuditError: a key or a rotation is damaged, stands apart from the others, or none of them is pinned.
    """
    devices, rotations = _devices(folder)
    notes = [Note.parse(read_bytes(path), str(path)) for path in rotations]
    newer = {Rotation.of(note, str(path)).new for note, path in zip(notes, rotations, strict=True)}
    first = [key for key in devices.values() if key not in newer]
    if len(first) != 1:
        raise AuditError(folder / KEYS, "one oldest device key", ", ".join(key.name for key in first) or "none")
    chain = follow_rotations(first[0], notes)
    apart = [path for path, key in devices.items() if key not in chain]
    if apart or len(chain) != len(notes) + 1:
        raise AuditError(apart[0] if apart else folder / KEYS, "device keys that rotations tie together", "another key")
    if not pins:
        return chain
    pinned = [key for key in chain if key.fingerprint in pins]
    if not pinned:
        fingerprints = ", ".join(key.fingerprint for key in chain)
        raise AuditError(folder / KEYS, f"the pinned key {', '.join(sorted(pins))}", fingerprints)
    return follow_rotations(pinned[0], notes)


def read_signed(folder: Path, path: Path, devices: Collection[VerifierKey]) -> Signed:
    """A checkpoint of a log, its signature checked against the case keys that a trusted device has certified.

    Raises:
        AuditError: it is none, or not signed by such a key.
    """
    note = Note.parse(read_bytes(path), str(path))
    checkpoint = Checkpoint.parse(note.text, str(path))
    certified = {key.name for key in _keys(folder)}
    if certified and checkpoint.origin not in certified:
        raise AuditError(path, f"a checkpoint of {', '.join(sorted(certified))}", checkpoint.origin)
    keys = case_keys(folder, checkpoint.origin, checkpoint.size, tuple(devices))
    return Signed(path, note, checkpoint, check(note, keys, str(path)))


def newest(folder: Path, pins: Collection[str] = ()) -> Signed:
    """The log's checkpoint.

    Raises:
        AuditError: there is none, or it is not signed by a trusted key.
    """
    if not (folder / CHECKPOINT).exists():
        raise AuditError(folder, "a log with a signed checkpoint", "none")
    return read_signed(folder, folder / CHECKPOINT, device_keys(folder, pins))


def kept_sizes(folder: Path, name: str = CHECKPOINTS) -> list[tuple[int, Path]]:
    """The checkpoints that are kept under their sizes, smallest first.

    Raises:
        AuditError: a file there is called otherwise.
    """
    found = []
    for path in (folder / name).glob("*"):
        if not (path.stem.isascii() and path.stem.isdigit() and path.name == f"{int(path.stem)}{_SUFFIX[name]}"):
            raise AuditError(path, f"a name of digits and {_SUFFIX[name]}", path.name)
        found.append((int(path.stem), path))
    return sorted(found)


def tree_of(folder: Path, size: int) -> TiledTree:
    """The tree of a log, from its tiles."""
    return TiledTree(size, lambda tile: stored_tile(folder, tile))


def published_entries(folder: Path, size: int, start: int = 0) -> Iterator[bytes]:
    """The stored bytes of the entries from `start` to `size`, from the bundles.

    Raises:
        AuditError: a bundle is missing or damaged.
    """
    for number in range(start // WIDTH, -(-size // WIDTH)):
        tile = Tile(ENTRIES, number, min(WIDTH, size - number * WIDTH))
        entries = split_bundle(stored_tile(folder, tile), tile.width, str(folder / tile.path))
        yield from entries[max(0, start - number * WIDTH) :]


def read_bytes(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        AuditError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise AuditError(path, "a file that can be read", error.strerror or str(error)) from error


def add_file(folder: Path, path: Path, data: bytes) -> None:
    """Put a file into a log beside its writer, whole and durable.

    Raises:
        OSError: there is no room for it.
    """
    disk = Disk()
    aside = folder / "private" / f"new-{os.getpid()}"
    disk.make_folder(aside.parent)
    disk.put(path, data, aside)
    disk.sync_folder(path.parent)


_SUFFIX = {CHECKPOINTS: ".note", WITNESSED: ".note", TOKENS: ".tsr"}


def _keys(folder: Path) -> list[VerifierKey]:
    """The keys that a log's certificates are of."""
    paths = sorted((folder / KEYS).glob("*.cert"))
    return [Certificate.parse(Note.parse(read_bytes(path), str(path)).text, str(path)).key for path in paths]


def _devices(folder: Path) -> tuple[dict[Path, VerifierKey], list[Path]]:
    """The device keys of a log by their files, and the files of their rotations, oldest first."""
    files = sorted((folder / KEYS).glob("*"))
    certified = {path.stem for path in files if path.suffix == ".cert"}
    devices = dict[Path, VerifierKey]()
    for path in (path for path in files if path.suffix == ".vkey"):
        data = read_bytes(path)
        key = VerifierKey.parse(data[:-1].decode("utf-8", "replace"), str(path))
        if data != f"{key.text}\n".encode() or path.stem != key.id.hex():
            raise AuditError(path, f"the key {path.stem} on a line", key.id.hex())
        if path.stem not in certified:
            devices[path] = key
    return devices, [path for path in files if path.name.startswith("rotation-") and path.suffix == ".note"]
