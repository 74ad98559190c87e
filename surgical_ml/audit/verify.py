"""Checks a whole log: every copy of every entry, every hash of the tree, every signature; and says where a fault lies.

A signed log holds its entries twice, in the write-ahead log and in the bundles, and their hashes once more in the tiles.
Whichever copy leads to the signed root is taken for the truth, so that a fault is told of the copy that has it. A log that
is given away has no write-ahead log and is checked without one; one that was never signed has nothing else.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.x509 import Certificate

from surgical_ml.audit import wal
from surgical_ml.audit.entry import GENESIS, leaf_hash
from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.keys import FOLDER as KEYS
from surgical_ml.audit.merkle import HASH_BYTES, Frontier, root_of
from surgical_ml.audit.note import Checkpoint, VerifierKey, check
from surgical_ml.audit.public import TOKENS, WITNESSED, Signed, device_keys, kept_sizes, read_bytes, read_signed
from surgical_ml.audit.publisher import CHECKPOINT, CHECKPOINTS
from surgical_ml.audit.tiles import ENTRIES, TILE_LEVELS, WIDTH, Tile, bundles_of, split_bundle, tiles_of

CERTIFIED, FAILED = "key-certified", "checkpoint-failed"
BLOBS = "blobs"

UNSIGNED = "nothing is signed: whoever can write to the log can write it anew"
UNPINNED = "the log's own word was taken for its device key: a log made anew with another key looks as whole; pin a fingerprint"
UNWITNESSED = (
    "last entries may be missing, or the whole log be put back to an earlier one: a witness or a time-stamp shows it"
)
_PLACE = re.compile(r"(?P<file>.*?)(?:: (?:byte|character) (?P<byte>\d+))?(?:: [a-z ]+)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it was written.

    Attributes:
        file: under the log's folder.
        entry: the first one that it concerns; None where it is none in particular.
        byte: of the file; None where it is the whole file.
        told: what was expected, and what was found.
    """

    file: str
    entry: int | None
    byte: int | None
    told: str

    def __str__(self) -> str:
        entry = "" if self.entry is None else f": entry {self.entry}"
        byte = "" if self.byte is None else f": byte {self.byte}"
        return f"{self.file}{entry}{byte}: {self.told}"


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint that somebody else vouches for, its signatures checked already.

    Attributes:
        who: the witness, or the time-stamping authority.
        checkpoint: that was seen.
    """

    who: str
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found.

    Attributes:
        ok: every entry is in its place and nothing was changed.
        entries: that are whole.
        head: leaf hash of the last one, hex; of zeros for an empty log.
        segments: files of the write-ahead log.
        torn_tail: the end of the last file is an unfinished batch, as after a power cut; nothing acknowledged is in it.
        signed: entries under the newest signed checkpoint.
        root: of its tree, hex; empty without one.
        origin: of the log; empty without a checkpoint.
        checkpoints: signed ones that the tree was held against.
        faults: what was changed, and where.
        unprovable: what could not be noticed, and what would show it.
    """

    ok: bool
    entries: int
    head: str
    segments: int
    torn_tail: bool
    signed: int
    root: str
    origin: str
    checkpoints: int
    faults: tuple[Fault, ...]
    unprovable: tuple[str, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """The faults, a line each; empty when ok."""
        return tuple(str(fault) for fault in self.faults)


def verify(
    folder: Path,
    *,
    pins: Collection[str] = (),
    witnesses: Collection[VerifierKey] = (),
    authorities: Sequence[Certificate] = (),
    seen: Sequence[Seen] = (),
) -> Report:
    """Check a whole log; damage is told, not raised.

    Args:
        folder: of the log.
        pins: fingerprints of device keys, hex; see `device_keys`.
        witnesses: keys by which checkpoints in `witnessed/` must be cosigned, each by one of them at least.
        authorities: root certificates of time-stamping authorities, which tokens in `tsr/` must lead to.
        seen: checkpoints known from elsewhere, their signatures checked.

    Raises:
        AuditError: there is no log at all.
    """
    if not (folder / wal.FOLDER).is_dir() and not (folder / CHECKPOINT).exists():
        raise AuditError(folder, "an audit log", "none")
    return _Verification(folder).report(pins, witnesses, authorities, seen)


@dataclass(slots=True)
class _Copy:
    """One copy of a log's leaf hashes, as far as it could be read."""

    leaves: bytearray = field(default_factory=bytearray)

    def __len__(self) -> int:
        return len(self.leaves) // HASH_BYTES

    def leaf(self, index: int) -> bytes:
        return bytes(self.leaves[index * HASH_BYTES : (index + 1) * HASH_BYTES])


@dataclass(slots=True)
class _Private:
    """The write-ahead log: its entries, and how it ends."""

    copy: _Copy = field(default_factory=_Copy)
    there: bool = False
    whole: bool = True
    closed: bool = False
    torn: bool = False
    segments: int = 0


class _Levels:
    """Every tile that leaf hashes lead to."""

    def __init__(self, leaves: bytes | bytearray) -> None:
        self.rows = [bytes(leaves)]
        group = WIDTH * HASH_BYTES
        while (whole := len(self.rows[-1]) // group) > 0:
            row = self.rows[-1]
            self.rows.append(b"".join(_root_of_full(row[at * group : (at + 1) * group]) for at in range(whole)))

    def tile(self, tile: Tile) -> bytes | None:
        """The bytes of a tile; None where there are not so many hashes."""
        begin = tile.index * WIDTH * HASH_BYTES
        data = self.rows[tile.level][begin:][: tile.width * HASH_BYTES] if tile.level < len(self.rows) else b""
        return data if len(data) == tile.width * HASH_BYTES else None

    def root(self, size: int) -> bytes | None:
        """The root over the first `size` leaves; None where there are fewer."""
        if size > len(self.rows[0]) // HASH_BYTES:
            return None
        return Frontier.of(size, self._node).root()

    def _node(self, level: int, index: int) -> bytes:
        row, inner = divmod(level, TILE_LEVELS)
        begin = (index << inner) * HASH_BYTES
        hashes = self.rows[row][begin : begin + (HASH_BYTES << inner)]
        return root_of(hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))


class _Verification:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._faults: list[Fault] = []
        self._certificates: dict[str, tuple[int, str]] = {}
        self._told_failed = -1

    def report(
        self,
        pins: Collection[str],
        witnesses: Collection[VerifierKey],
        authorities: Sequence[Certificate],
        seen: Sequence[Seen],
    ) -> Report:
        # Signed notes first: whatever is written meanwhile is newer than they are.
        signed = self._signed(pins, witnesses)
        head = max(signed, key=lambda one: one.checkpoint.size, default=None)
        size = 0 if head is None else head.checkpoint.size
        private = self._private()
        bundles = self._bundles(size)
        truth = self._truth(private, bundles, head)
        levels = _Levels(truth.leaves)
        self._compare_private(private, truth, size, head)
        self._compare_bundles(truth, size, private)
        self._compare_tiles(levels, size, private)
        self._compare_roots(levels, signed, seen, head)
        if head is not None and not (self._folder / CHECKPOINT).exists() and (private.closed or not private.there):
            self._faults.append(Fault(CHECKPOINT, None, None, f"expected the checkpoint of {size} entries, found none"))
        self._compare_keys()
        self._compare_blobs()
        self._compare_tokens(authorities)
        self._look_for_strangers()
        entries = len(truth)
        faults = tuple(dict.fromkeys(self._faults))
        return Report(
            ok=not faults,
            entries=entries,
            head=(truth.leaf(entries - 1) if entries else GENESIS).hex(),
            segments=private.segments,
            torn_tail=private.torn,
            signed=size,
            root="" if head is None else head.checkpoint.root.hex(),
            origin="" if head is None else head.checkpoint.origin,
            checkpoints=len(signed),
            faults=faults,
            unprovable=tuple(_unprovable(head, private, entries, pins, seen)),
        )

    def _signed(self, pins: Collection[str], witnesses: Collection[VerifierKey]) -> list[Signed]:
        """Every checkpoint of the log whose signature is right."""
        found: list[Signed] = []
        if not (self._folder / KEYS).exists() and not (self._folder / CHECKPOINT).exists():
            return found
        devices: tuple[VerifierKey, ...] = ()
        paths = list[tuple[int | None, Path]]()
        try:
            devices = device_keys(self._folder, pins)
            paths += kept_sizes(self._folder)
            paths += kept_sizes(self._folder, WITNESSED)
        except AuditError as error:
            self._tell(error)
        if (self._folder / CHECKPOINT).exists():
            paths.append((None, self._folder / CHECKPOINT))
        for named, path in paths:
            try:
                one = read_signed(self._folder, path, devices)
                if named not in (None, one.checkpoint.size):
                    raise AuditError(path, f"the checkpoint of {named} entries", str(one.checkpoint.size))
                if found and one.checkpoint.origin != found[0].checkpoint.origin:
                    raise AuditError(path, f"a checkpoint of {found[0].checkpoint.origin}", one.checkpoint.origin)
                if witnesses and path.parent.name == WITNESSED:
                    check(one.note, witnesses, str(path))
                found.append(one)
            except AuditError as error:
                self._tell(error)
        return found

    def _private(self) -> _Private:
        """Read the write-ahead log from its first segment to its end, or to its first fault."""
        private = _Private(there=(self._folder / wal.FOLDER).is_dir())
        if not private.there:
            return private
        private.segments = len(list((self._folder / wal.FOLDER).glob("*.wal")))
        try:
            if not private.segments:
                raise AuditError(self._folder / wal.FOLDER / wal.name(0), "the first segment", "none")
            found = wal.segments(self._folder)
            for _, record, values in wal.follow(found, 0, GENESIS):
                self._note(len(private.copy), values)
                private.copy.leaves += record.leaf
            last = wal.scan(found[-1])
            private.closed, private.torn = last.closed, last.bad_at is not None
            if last.bad_at is not None and read_bytes(found[-1].path)[last.bad_at :].startswith(wal.END):
                # Whoever continues a closed log takes its end mark away first.
                raise AuditError(
                    f"{found[-1].path}: byte {last.bad_at + len(wal.END)}", "nothing behind the end", "bytes"
                )
        except AuditError as error:
            private.whole = False
            self._tell(error, entry=len(private.copy))
        return private

    def _bundles(self, size: int) -> _Copy:
        """Hash every published entry; a bundle that is not there, or cannot be split, is told of and counts as zeros."""
        copy = _Copy()
        for tile in bundles_of(size):
            try:
                for _, entry in self._entries(self._stored(tile)):
                    copy.leaves += leaf_hash(entry)
            except AuditError as error:
                self._tell(error, entry=len(copy))
            copy.leaves += bytes((tile.index * WIDTH + tile.width - len(copy)) * HASH_BYTES)
            del copy.leaves[(tile.index * WIDTH + tile.width) * HASH_BYTES :]
        return copy

    def _truth(self, private: _Private, bundles: _Copy, head: Signed | None) -> _Copy:
        """The copy that leads to the signed root; where none does, the first that there is."""
        if head is None:
            return private.copy
        size = head.checkpoint.size
        tiles = _Copy(bytearray(b"".join(self._hashes(tile) for tile in tiles_of(size) if tile.level == 0)))
        copies = [copy for copy in (private.copy, bundles, tiles) if len(copy) >= size]
        for copy in copies:
            if _Levels(copy.leaves).root(size) == head.checkpoint.root:
                return copy
        return next(iter(copies), private.copy)

    def _compare_private(self, private: _Private, truth: _Copy, size: int, head: Signed | None) -> None:
        if not private.there or not private.whole:
            return
        file = str(wal.FOLDER)
        if head is None:
            if self._certificates:
                self._faults.append(Fault(CHECKPOINT, 0, None, "expected a signed checkpoint, found none"))
            return
        for index in range(min(len(private.copy), len(truth))):
            if private.copy.leaf(index) != truth.leaf(index):
                self._faults.append(Fault(file, index, None, "expected the entry that was signed, found another"))
                return
        if len(private.copy) < size:
            told = f"expected {size} entries, as the checkpoint has them, found {len(private.copy)}"
            self._faults.append(Fault(file, len(private.copy), None, told))
        elif len(private.copy) > size and private.closed and self._told_failed < size:
            told = f"expected {len(private.copy)} entries, as the closed write-ahead log has them, found {size}"
            self._faults.append(Fault(CHECKPOINT, size, None, told))

    def _compare_bundles(self, truth: _Copy, size: int, private: _Private) -> None:
        """Each published entry against its leaf, its number, and the entry before it."""
        for tile in self._found(ENTRIES, size, private):
            index = tile.index * WIDTH
            path = self._folder / tile.path
            try:
                for at, entry in self._entries((path, tile)):
                    if index < len(truth) and leaf_hash(entry) != truth.leaf(index):
                        self._faults.append(
                            Fault(tile.path, index, at, "expected the entry that was signed, found another")
                        )
                        break
                    self._check_place(tile, index, at, entry, truth)
                    index += 1
            except AuditError as error:
                self._tell(error, entry=index)

    def _check_place(self, tile: Tile, index: int, at: int, entry: bytes, truth: _Copy) -> None:
        """Whatever is signed must also follow what is signed before it."""
        before = truth.leaf(index - 1) if index else GENESIS
        try:
            values = json.loads(entry.decode("utf-8"))
            place = (values["seq"], values["prev"])
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            self._faults.append(Fault(tile.path, index, at, f"expected an entry, found {error!r}"[:200]))
            return
        if place != (index, before.hex()):
            told = (
                f"expected entry {index} behind {before.hex()[:8]}, found entry {place[0]} behind {str(place[1])[:8]}"
            )
            self._faults.append(Fault(tile.path, index, at, told[:200]))
        self._note(index, values)

    def _compare_tiles(self, levels: _Levels, size: int, private: _Private) -> None:
        for tile in self._found(None, size, private):
            data = self._read_or_tell(self._folder / tile.path)
            expected = levels.tile(tile)
            if expected is None or data == expected:
                continue
            at = next(
                (k for k, (a, b) in enumerate(zip(data, expected, strict=False)) if a != b),
                min(len(data), len(expected)),
            )
            entry = (tile.index * WIDTH + at // HASH_BYTES) << TILE_LEVELS * tile.level
            told = f"expected {len(expected)} bytes of the signed tree, found " + (
                "others" if len(data) == len(expected) else str(len(data))
            )
            self._faults.append(Fault(tile.path, entry, at, told))

    def _compare_roots(
        self, levels: _Levels, signed: Sequence[Signed], seen: Sequence[Seen], head: Signed | None
    ) -> None:
        """Every checkpoint against the tree. Where entries were changed in all copies, they lie between two of them."""
        right, wrong = 0, list[Signed]()
        for one in sorted(signed, key=lambda one: one.checkpoint.size):
            root = levels.root(one.checkpoint.size)
            if root == one.checkpoint.root:
                right = max(right, one.checkpoint.size)
            elif root is not None or one is head:
                wrong.append(one)
        for one in wrong:
            end = one.checkpoint.size
            told = f"expected the tree of {end} entries that was signed, found another from here to entry {max(end - 1, right)}"
            self._faults.append(Fault(self._name(one.path), min(right, end), None, told))
        size = 0 if head is None else head.checkpoint.size
        for other in seen:
            there = other.checkpoint
            if head is not None and there.origin != head.checkpoint.origin:
                self._faults.append(
                    Fault(CHECKPOINT, None, None, f"expected the log {there.origin}, found {head.checkpoint.origin}")
                )
            elif there.size > size:
                told = f"expected the {there.size} entries that {other.who} has seen, found {size}"
                self._faults.append(Fault(CHECKPOINT, size, None, told))
            elif levels.root(there.size) != there.root:
                told = f"expected the tree of {there.size} entries that {other.who} has seen, found another"
                self._faults.append(Fault(CHECKPOINT, None, None, told))

    def _compare_keys(self) -> None:
        """Every certificate that the entries tell of must still be there, as it was, and the key that it is of."""
        for path in sorted((self._folder / KEYS).glob("*.cert")):
            if not path.with_suffix(".vkey").exists():
                self._faults.append(
                    Fault(self._name(path.with_suffix(".vkey")), None, None, "expected a key, found none")
                )
        for name, (entry, text) in self._certificates.items():
            path = self._folder / KEYS / f"{name}.cert"
            data = self._read_or_tell(path) if path.exists() else b""
            if data != text.encode():
                found = "another" if data else "none"
                self._faults.append(
                    Fault(self._name(path), entry, None, f"expected the certificate of the entry, found {found}")
                )

    def _compare_blobs(self) -> None:
        for path in sorted((self._folder / BLOBS).rglob("*.enc")):
            found = hashlib.sha256(self._read_or_tell(path)).hexdigest()
            if path.relative_to(self._folder / BLOBS).as_posix() != f"{found[:2]}/{found}.enc":
                self._faults.append(
                    Fault(self._name(path), None, None, f"expected content of that name, found {found}")
                )

    def _compare_tokens(self, authorities: Sequence[Certificate]) -> None:
        """Each time-stamp against the checkpoint that it is of; without authorities, none is believed or doubted."""
        if authorities:
            # Asked for by those who have an authority only; it brings a client of HTTP along.
            from surgical_ml.audit.timestamp import check_token

            for path in sorted((self._folder / TOKENS).glob("*.tsr")):
                try:
                    check_token(path, self._folder / CHECKPOINTS / f"{path.stem}.note", authorities)
                except AuditError as error:
                    self._tell(error)

    def _look_for_strangers(self) -> None:
        """A file that is no part of a log was put there by somebody else."""
        for path in sorted(self._folder.rglob("*")):
            name = self._name(path)
            if not path.is_dir() and not _KNOWN.fullmatch(name):
                self._faults.append(Fault(name, None, None, "expected files of a log only, found another"))

    def _found(self, level: int | None, size: int, private: _Private) -> Iterator[Tile]:
        """The tiles of one kind that there are; those that the tree needs and that are not there are told of."""
        kind = "tile/entries" if level == ENTRIES else "tile"
        needed = bundles_of(size) if level == ENTRIES else tiles_of(size)
        for tile in needed:
            full = Tile(tile.level, tile.index)
            if not (self._folder / tile.path).exists() and not (self._folder / full.path).exists():
                self._faults.append(
                    Fault(
                        tile.path,
                        tile.index * WIDTH << TILE_LEVELS * max(0, tile.level),
                        None,
                        "expected a file, found none",
                    )
                )
        limit = max(size, len(private.copy))
        for path in sorted((self._folder / kind).rglob("*")):
            name = self._name(path)
            if path.is_dir() or (level != ENTRIES and name.startswith("tile/entries/")):
                continue
            try:
                tile = Tile.of_path(name)
            except AuditError as error:
                self._tell(error)
                continue
            end = (tile.index * WIDTH + tile.width) << TILE_LEVELS * max(0, tile.level)
            if end <= limit:
                yield tile
            elif private.closed or not private.there:
                self._faults.append(Fault(name, size, None, f"expected nothing beyond {limit} entries, found {end}"))

    def _entries(self, stored: tuple[Path, Tile]) -> Iterator[tuple[int, bytes]]:
        """The entries of a bundle, each with the byte that its length begins at."""
        path, tile = stored
        at = 0
        data = read_bytes(path)
        width = Tile.of_path(self._name(path)).width
        for entry in split_bundle(data, width, str(path))[: tile.width]:
            yield at, entry
            at += 2 + len(entry)

    def _stored(self, tile: Tile) -> tuple[Path, Tile]:
        """The file that holds a tile: its own, or that of the full one that it became."""
        own, full = self._folder / tile.path, self._folder / Tile(tile.level, tile.index).path
        return (own if own.exists() or not full.exists() else full), tile

    def _hashes(self, tile: Tile) -> bytes:
        path, _ = self._stored(tile)
        data = self._read_or_tell(path) if path.exists() else b""
        return data[: tile.width * HASH_BYTES].ljust(tile.width * HASH_BYTES, b"\x00")

    def _read_or_tell(self, path: Path) -> bytes:
        try:
            return read_bytes(path)
        except AuditError as error:
            self._tell(error)
            return b""

    def _note(self, index: int, values: dict[str, Any]) -> None:
        """Remember what an entry says of the log itself."""
        if values["type"] == CERTIFIED and isinstance(key := values["body"].get("key"), str):
            self._certificates[key.split("+")[1]] = index, str(values["body"].get("certificate"))
        elif values["type"] == FAILED:
            self._told_failed = index

    def _tell(self, error: AuditError, entry: int | None = None) -> None:
        place = _PLACE.fullmatch(error.thing)
        file, byte = (place["file"], place["byte"]) if place else (error.thing, None)
        told = f"expected {error.expected}, found {error.found}"
        self._faults.append(Fault(self._name(Path(file)), entry, None if byte is None else int(byte), told))

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix() if path.is_relative_to(self._folder) else str(path)


_KNOWN = re.compile(
    rf"{CHECKPOINT}|{CHECKPOINTS}/\d+\.note|{WITNESSED}/\d+\.note|{TOKENS}/\d+\.tsr|tile/.*"
    rf"|{KEYS}/(?:[0-9a-f]{{8}}\.(?:vkey|cert)|rotation-\d+\.note)|{BLOBS}/[0-9a-f]{{2}}/[0-9a-f]{{64}}\.enc|private/.*"
)


def _root_of_full(hashes: bytes) -> bytes:
    """The root of a complete subtree, from its leaves' hashes."""
    sha256, pair = hashlib.sha256, 2 * HASH_BYTES
    while len(hashes) > HASH_BYTES:
        hashes = b"".join([sha256(b"\x01" + hashes[at : at + pair]).digest() for at in range(0, len(hashes), pair)])
    return hashes


def _unprovable(
    head: Signed | None, private: _Private, entries: int, pins: Collection[str], seen: Sequence[Seen]
) -> Iterator[str]:
    if head is None:
        yield UNSIGNED
    elif not pins:
        yield UNPINNED
    newest = max((one.checkpoint.size for one in seen), default=0)
    if newest < entries or not seen:
        yield f"behind entry {newest}: {UNWITNESSED}" if seen else UNWITNESSED
    signed = 0 if head is None else head.checkpoint.size
    if head is not None and entries > signed:
        yield f"entries {signed} to {entries - 1} are not signed yet"
    if private.there and not private.closed:
        yield "the log is open: a change to its last batch cannot be told from an unfinished write"
