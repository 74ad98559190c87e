"""The write-ahead log's files: a header, then magic | length | crc32 | leaf hash | payload, then preallocated zeros."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from surgical_ml.audit.entry import LARGEST, leaf_hash
from surgical_ml.audit.errors import AuditError

FOLDER = Path("private") / "wal"
SEGMENT_BYTES = 16 * 1024 * 1024

_FILE = struct.Struct("<8sQQ32sI")
_RECORD = struct.Struct("<4sII32s")
_FILE_MAGIC = b"SMLWAL\x00\x01"
_MAGIC = b"SMLR"
HEADER_BYTES = _FILE.size


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment's header: its number, the seq of its first record, and the leaf hash before that."""

    path: Path
    number: int
    first_seq: int
    prev: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """One whole record: where it begins and ends in its file, its leaf hash and its bytes."""

    start: int
    end: int
    leaf: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Scan:
    """The whole records of a segment from its start, and where something that is neither zeros nor a record begins.

    `later` says that whole records stand behind that place: then it is damage, and no torn end.
    """

    records: tuple[Record, ...]
    bad_at: int | None
    later: bool


def file_header(number: int, first_seq: int, prev: bytes) -> bytes:
    """The bytes a segment begins with."""
    bare = _FILE.pack(_FILE_MAGIC, number, first_seq, prev, 0)
    return bare[:-4] + struct.pack("<I", zlib.crc32(bare[:-4]))


def frame(payload: bytes) -> tuple[bytes, bytes]:
    """A record's bytes and its leaf hash."""
    leaf = leaf_hash(payload)
    return _RECORD.pack(_MAGIC, len(payload), zlib.crc32(leaf + payload), leaf) + payload, leaf


def segments(folder: Path) -> list[Segment]:
    """The segments of a log, in order.

    Raises:
        AuditError: there is no log, a number is missing, or a header is damaged.
    """
    paths = sorted((folder / FOLDER).glob("*.wal"))
    if not paths:
        raise AuditError(folder, f"an audit log ({FOLDER}/*.wal)", "none")
    found = []
    for number, path in enumerate(paths):
        with path.open("rb") as file:
            raw = file.read(HEADER_BYTES)
        if len(raw) < HEADER_BYTES:
            raise AuditError(path, f"a header of {HEADER_BYTES} bytes", f"{len(raw)} bytes")
        magic, own, first_seq, prev, crc = _FILE.unpack(raw)
        if magic != _FILE_MAGIC or crc != zlib.crc32(raw[:-4]):
            raise AuditError(f"{path}: byte 0", "an undamaged header", "another")
        if own != number or path.name != name(number):
            raise AuditError(path, f"segment {number}", f"segment {own}")
        found.append(Segment(path, own, first_seq, prev))
    return found


def name(number: int) -> str:
    """A segment's file name."""
    return f"{number:06d}.wal"


def scan(segment: Segment) -> Scan:
    """Read every whole record of a segment."""
    data = segment.path.read_bytes()
    found: list[Record] = []
    at = HEADER_BYTES
    while at < len(data):
        record = _record(data, at)
        if record is None:
            # Preallocated space is zeros to the end; anything else was meant to be a record.
            if not data[at:].strip(b"\x00"):
                break
            return Scan(tuple(found), at, any(_later(data, at + 1)))
        found.append(record)
        at = record.end
    return Scan(tuple(found), None, False)


def _record(data: bytes, at: int) -> Record | None:
    if at + _RECORD.size > len(data):
        return None
    magic, length, crc, leaf = _RECORD.unpack_from(data, at)
    start = at + _RECORD.size
    if magic != _MAGIC or length > LARGEST or start + length > len(data):
        return None
    payload = data[start : start + length]
    if crc != zlib.crc32(leaf + payload) or leaf != leaf_hash(payload):
        return None
    return Record(at, start + length, leaf, payload)


def _later(data: bytes, at: int) -> Iterator[bool]:
    while (at := data.find(_MAGIC, at)) >= 0:
        yield _record(data, at) is not None
        at += 1
