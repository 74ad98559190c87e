"""What makes durable entries public: tiles, bundles, and last of all a signed checkpoint; on a thread of its own.

Every file is written aside, flushed and renamed; the checkpoint comes last, so that whatever it covers is there. Nothing
waits for this: entries are durable in the write-ahead log before they come here.
"""

import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from surgical_ml.audit import keys
from surgical_ml.audit.disk import Disk
from surgical_ml.audit.entry import GENESIS, leaf_hash
from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.keys import CaseKey, Keyring
from surgical_ml.audit.merkle import EMPTY_ROOT
from surgical_ml.audit.note import Checkpoint, Note, check
from surgical_ml.audit.tiles import ENTRIES, WIDTH, Edge, Tile, TiledTree, bundle, split_bundle

CHECKPOINT, CHECKPOINTS = "checkpoint", "checkpoints"

AFTER_S = 0.8
"""How long a durable entry waits for its checkpoint; writing one takes some tens of milliseconds more."""

WAITING_BYTES = 64 * 1024 * 1024
"""More than this, and checkpoints have failed for most of an hour: the rest is published when the log is opened again."""

NEW = Path("private") / "new"
"""The name that every file has until it is whole."""

Entry = tuple[bytes, bytes]
"""A leaf hash, and the stored bytes of its entry."""


@dataclass(slots=True)
class Published:
    """What the last checkpoint of a log covers, and the right edge of its tree.

    Attributes:
        origin: of the log; empty before there is a checkpoint.
        head: leaf hash of the last entry.
        edge: the tree.
        bundle: entries behind the last full bundle.
    """

    origin: str
    head: bytes
    edge: Edge
    bundle: list[bytes]

    @property
    def size(self) -> int:
        """Entries."""
        return self.edge.size


def published(folder: Path, keyring: Keyring) -> Published:
    """What a log's checkpoint covers, checked along the right edge of the tree, however large it is.

    Raises:
        AuditError: the checkpoint is not signed by a key that this device certified, or the tiles are not its own.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return Published("", GENESIS, Edge(), [])
    note = Note.parse(_read(path), str(path))
    checkpoint = Checkpoint.parse(note.text, str(path))
    check(note, keys.case_keys(folder, checkpoint.origin, checkpoint.size, keyring.devices), str(path))
    size = checkpoint.size
    if size == 0:
        return Published(checkpoint.origin, GENESIS, Edge(), [])

    def stored(tile: Tile) -> bytes:
        return stored_tile(folder, tile)

    edge = Edge.of(size, stored)
    if edge.root() != checkpoint.root:
        raise AuditError(folder / "tile", f"the root {checkpoint.root.hex()[:16]}", edge.root().hex()[:16])
    tree = TiledTree(size, stored)
    number, width = divmod(size, WIDTH)
    entries = []
    if width:
        tile = Tile(ENTRIES, number, width)
        entries = split_bundle(stored(tile), width, tile.path)
        for at, entry in enumerate(entries, number * WIDTH):
            if leaf_hash(entry) != tree.node(0, at):
                raise AuditError(folder / tile.path, f"entry {at}, as the tree has it", "another")
    return Published(checkpoint.origin, tree.node(0, size - 1), edge, entries)


def stored_tile(folder: Path, tile: Tile) -> bytes:
    """The bytes of a tile, from its own file, or from that of the full tile that it became.

    Raises:
        AuditError: there is neither, or it cannot be read.
    """
    path = folder / tile.path
    full = folder / Tile(tile.level, tile.index).path
    if tile.full or path.exists() or not full.exists():
        return _read(path)
    if tile.level == ENTRIES:
        return bundle(split_bundle(_read(full), WIDTH, str(full))[: tile.width])
    return _read(full)[: tile.width * 32]


class Publisher:
    """Publishes one log until it is closed.

    Args:
        folder: of the log.
        disk: the file system's calls.
        last: where to go on from.
        after_s: how long entries may wait for their checkpoint.
        failed: told, from the thread of the publisher, why a checkpoint could not be written; once for each time that it
            begins to fail.
    """

    def __init__(
        self, folder: Path, disk: Disk, last: Published, *, after_s: float, failed: Callable[[str], None]
    ) -> None:
        self._folder, self._disk = folder, disk
        self._key: CaseKey | None = None
        self._edge, self._bundle = last.edge, last.bundle
        self._after_s, self._failed = after_s, failed
        self._lock = threading.Lock()
        self._offered: list[Entry] = []
        self._offered_bytes = 0
        self._overflowed = self._keep = self._closing = False
        self._something, self._hurry = threading.Event(), threading.Event()
        self._unwritten: list[tuple[Tile, bytes]] = []
        self.size = 0
        self._thread = threading.Thread(target=self._run, name="audit-checkpoint", daemon=True)

    def catch_up(self, entries: list[Entry]) -> None:
        """Take entries that were durable before this began, however many there are; their full tiles are written now.

        Raises:
            OSError: there is no room for them.
        """
        self._grow(entries)
        written = [self._put(tile.path, data) for tile, data in self._unwritten]
        for folder in sorted(set(written)):
            self._disk.sync_folder(folder)
        self._unwritten.clear()

    def begin(self, key: CaseKey) -> None:
        """Sign with this key from now on. A log without a checkpoint gets one of no entries: there is always one, then.

        Raises:
            OSError: there is no room for it.
        """
        self._key = key
        if not (self._folder / CHECKPOINT).exists():
            self._disk.sync_folder(self._put(CHECKPOINT, key.sign(Checkpoint(key.origin, 0, EMPTY_ROOT).text())))

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def take(self, entries: Iterable[Entry], *, at_once: bool = False) -> None:
        """Take durable entries, in order; `at_once`: a checkpoint follows now, and is kept under its size."""
        with self._lock:
            for leaf, payload in entries:
                self._overflowed = self._overflowed or self._offered_bytes > WAITING_BYTES
                if not self._overflowed:
                    self._offered.append((leaf, payload))
                    self._offered_bytes += len(payload)
            self._keep = self._keep or at_once
        self._something.set()
        if at_once:
            self._hurry.set()

    def close(self) -> None:
        """Publish what is left, as far as the disk lets, and forget the key."""
        with self._lock:
            self._closing = self._keep = True
        self._hurry.set()
        self._something.set()
        self._thread.join()
        if self._key is not None:
            self._key.destroy()

    def _run(self) -> None:
        failing, closing = False, False
        while not closing:
            self._something.wait()
            self._hurry.wait(self._after_s)
            with self._lock:
                entries, self._offered, self._offered_bytes = self._offered, [], 0
                keep, self._keep, closing = self._keep, False, self._closing
                self._something.clear()
                self._hurry.clear()
            try:
                self._grow(entries)
                self._publish(keep)
                failing = False
            except Exception as error:  # entries are durable all the same: the thread must live, and say so
                if not failing:
                    self._failed((error.strerror if isinstance(error, OSError) else None) or repr(error))
                failing = True
                with self._lock:
                    self._keep = self._keep or keep
                self._something.set()

    def _grow(self, entries: list[Entry]) -> None:
        for leaf, payload in entries:
            self._bundle.append(payload)
            self._unwritten += self._edge.append(leaf)
            if len(self._bundle) == WIDTH:
                self._unwritten.append((Tile(ENTRIES, self._edge.size // WIDTH - 1), bundle(self._bundle)))
                self._bundle.clear()

    def _publish(self, keep: bool) -> None:
        size, key = self._edge.size, self._key
        if size == self.size or key is None:
            return
        files = self._unwritten + self._edge.partial()
        if self._bundle:
            files.append((Tile(ENTRIES, size // WIDTH, len(self._bundle)), bundle(self._bundle)))
        folders = {self._put(tile.path, data) for tile, data in files}
        for folder in sorted(folders):
            self._disk.sync_folder(folder)
        # Nothing that is signed may be there before what it covers is, not even after a power cut.
        note = key.sign(Checkpoint(key.origin, size, self._edge.root()).text())
        if keep:
            self._disk.sync_folder(self._put(f"{CHECKPOINTS}/{size}.note", note))
        self._disk.sync_folder(self._put(CHECKPOINT, note))
        filled, self._unwritten = self._unwritten, []
        for tile, _ in filled:
            # Parts of a tile serve nobody once it is full.
            path = self._folder / tile.path
            with suppress(OSError):
                shutil.rmtree(path.with_name(f"{path.name}.p"))
        self.size = size

    def _put(self, name: str, data: bytes) -> Path:
        """Write a file of the log; the folder that holds its name."""
        path = self._folder / name
        self._disk.put(path, data, self._folder / NEW)
        return path.parent


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AuditError(path, "a file that can be read", error.strerror or str(error)) from error
