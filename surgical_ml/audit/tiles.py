"""The tree as static files: paths, tiles of 256 hashes and bundles of 256 entries, as C2SP tlog-tiles lays them out.

Nothing here reads or writes a file: a tile comes as bytes, and its path says where they belong under the log's folder.
"""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from surgical_ml.audit.entry import LARGEST
from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.merkle import HASH_BYTES, Frontier, root_of

WIDTH = 256
"""Hashes in a full tile, and entries in a full bundle."""

TILE_LEVELS = 8
"""Levels of the tree from one tile to the tile above it."""

ENTRIES = -1
"""The level of a bundle of entries; hashes begin at level 0."""

_HIGHEST = 63
_PATH = re.compile(
    r"tile/(?P<level>entries|[0-9]|[1-5][0-9]|6[0-3])/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)
_LENGTH = struct.Struct(">H")


@dataclass(frozen=True, slots=True)
class Tile:
    """One file of the tree: its level (`ENTRIES` for a bundle), its number there, and how much of it is filled, 1-256."""

    level: int
    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        if not (ENTRIES <= self.level <= _HIGHEST and self.index >= 0 and 1 <= self.width <= WIDTH):
            raise AuditError(
                "tile",
                f"level {ENTRIES} to {_HIGHEST}, an index, 1 to {WIDTH} wide",
                f"{self.level}, {self.index}, {self.width}",
            )

    @property
    def full(self) -> bool:
        """Nothing will be added to it; its file never changes."""
        return self.width == WIDTH

    @property
    def path(self) -> str:
        """Its path under the log's folder: `tile/0/x001/234`, or with `.p/17` behind it for a part of 17."""
        rest, last = divmod(self.index, 1000)
        parts = [f"{last:03d}"]
        while rest:
            rest, part = divmod(rest, 1000)
            parts.insert(0, f"x{part:03d}")
        level = "entries" if self.level == ENTRIES else str(self.level)
        return f"tile/{level}/{'/'.join(parts)}" + ("" if self.full else f".p/{self.width}")

    @classmethod
    def of_path(cls, path: str) -> "Tile":
        """The tile of a path.

        Raises:
            AuditError: the path is none that `path` makes.
        """
        match = _PATH.fullmatch(path)
        if match is not None:
            level = ENTRIES if match["level"] == "entries" else int(match["level"])
            index = int(match["index"].replace("x", "").replace("/", ""))
            width = WIDTH if match["width"] is None else int(match["width"])
            # Leading x000 and a part of 256 are other spellings: each tile has one path.
            if width <= WIDTH and (tile := cls(level, index, width)).path == path:
                return tile
        raise AuditError(path[:200], "the path of a tile", "another")


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile of hashes that a tree of that size has, level by level, the last one of each level perhaps in part."""
    level = 0
    while (hashes := size >> TILE_LEVELS * level) > 0:
        yield from _row(level, hashes)
        level += 1


def bundles_of(size: int) -> Iterator[Tile]:
    """Every bundle of entries that a log of that size has."""
    yield from _row(ENTRIES, size)


def bundle(entries: Sequence[bytes]) -> bytes:
    """The bytes of a bundle: each entry behind its length, two bytes, the larger first.

    Raises:
        AuditError: an entry is longer than that can say.
    """
    for entry in entries:
        if len(entry) > LARGEST:
            raise AuditError("bundle", f"entries of at most {LARGEST} bytes", f"{len(entry)}")
    return b"".join(_LENGTH.pack(len(entry)) + entry for entry in entries)


def split_bundle(data: bytes, width: int, thing: str) -> list[bytes]:
    """The entries of a bundle, `width` of them.

    Raises:
        AuditError: there are fewer or more bytes than the lengths say; the error names the byte.
    """
    entries, at = list[bytes](), 0
    for _ in range(width):
        start = at + _LENGTH.size
        if start > len(data):
            raise AuditError(f"{thing}: byte {at}", f"{width} entries", f"{len(entries)}")
        end = start + _LENGTH.unpack_from(data, at)[0]
        if end > len(data):
            raise AuditError(f"{thing}: byte {at}", f"an entry of {end - start} bytes", f"{len(data) - start} bytes")
        entries.append(data[start:end])
        at = end
    if at != len(data):
        raise AuditError(f"{thing}: byte {at}", f"the end after {width} entries", f"{len(data) - at} bytes more")
    return entries


def split_tile(data: bytes, width: int, thing: str) -> list[bytes]:
    """The hashes of a tile, `width` of them.

    Raises:
        AuditError: it has another length.
    """
    if len(data) != width * HASH_BYTES:
        raise AuditError(thing, f"{width * HASH_BYTES} bytes", f"{len(data)}")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


class TiledTree:
    """A tree of a known size, read from its tiles; `node` is what proofs read. The last few tiles are kept.

    Args:
        size: of the tree.
        read: gives the bytes of a tile.
    """

    KEPT = 16

    def __init__(self, size: int, read: Callable[[Tile], bytes]) -> None:
        self.size = size
        self._read = read
        self._kept: dict[Tile, list[bytes]] = {}

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree, from the tile that holds its leaves or its own hash.

        Raises:
            AuditError: the tree has no such node, or its tile has another length than it must.
        """
        if (index + 1) << level > self.size:
            raise AuditError("tree", f"a node of {self.size} entries", f"level {level}, {index}")
        row, inner = divmod(level, TILE_LEVELS)
        begin = index << inner
        number, within = divmod(begin, WIDTH)
        width = min(WIDTH, (self.size >> TILE_LEVELS * row) - number * WIDTH)
        return root_of(self.hashes(Tile(row, number, width))[within : within + (1 << inner)])

    def hashes(self, tile: Tile) -> list[bytes]:
        """The hashes of a tile.

        Raises:
            AuditError: it has another length than it must.
        """
        if tile not in self._kept:
            if len(self._kept) >= self.KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[tile] = split_tile(self._read(tile), tile.width, tile.path)
        return self._kept[tile]


class Edge:
    """The right edge of a tree that grows in tiles: what a writer keeps, at most a tile a level."""

    def __init__(self) -> None:
        self._frontier = Frontier()
        self._rows: list[list[bytes]] = []

    @classmethod
    def of(cls, size: int, read: Callable[[Tile], bytes]) -> "Edge":
        """Continue a tree that is there already.

        Args:
            size: of the tree.
            read: gives the bytes of its tiles.

        Raises:
            AuditError: a tile of the right edge has another length than it must.
        """
        edge, tree = cls(), TiledTree(size, read)
        edge._frontier = Frontier.of(size, tree.node)
        while (hashes := size >> TILE_LEVELS * len(edge._rows)) > 0:
            number, width = divmod(hashes, WIDTH)
            edge._rows.append(tree.hashes(Tile(len(edge._rows), number, width)).copy() if width else [])
        return edge

    @property
    def size(self) -> int:
        """Leaves so far."""
        return self._frontier.size

    def root(self) -> bytes:
        """The tree head, 32 bytes."""
        return self._frontier.root()

    def append(self, leaf: bytes) -> list[tuple[Tile, bytes]]:
        """Take the next leaf's hash; the tiles that it filled, with their bytes, which nothing will change again."""
        self._frontier.append(leaf)
        filled, hash_, row = list[tuple[Tile, bytes]](), leaf, 0
        while True:
            if row == len(self._rows):
                self._rows.append([])
            self._rows[row].append(hash_)
            if len(self._rows[row]) < WIDTH:
                return filled
            hashes = self._rows[row]
            number = (self.size >> TILE_LEVELS * (row + 1)) - 1
            filled.append((Tile(row, number), b"".join(hashes)))
            hash_, self._rows[row] = root_of(hashes), []
            row += 1

    def partial(self) -> list[tuple[Tile, bytes]]:
        """The tiles that are not full, with their bytes: with the full ones, all that a tree of this size needs."""
        return [
            (Tile(row, self.size >> TILE_LEVELS * (row + 1), len(hashes)), b"".join(hashes))
            for row, hashes in enumerate(self._rows)
            if hashes
        ]


def _row(level: int, count: int) -> Iterator[Tile]:
    full, rest = divmod(count, WIDTH)
    for index in range(full):
        yield Tile(level, index)
    if rest:
        yield Tile(level, full, rest)
