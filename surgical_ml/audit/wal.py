"""The write-ahead log's files: a header, then mark | length | crc32 | leaf hash | payload, then preallocated zeros.

The first record of each batch has a mark of its own. A batch is written only once the one before it is durable: where
such a mark stands behind a broken record, that record was durable once, and this is damage, not the end of a power cut.
A closed segment ends in `END`: nothing in it can be unfinished.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surgical_ml.audit.entry import LARGEST, leaf_hash, parse
from surgical_ml.audit.errors import AuditError

FOLDER = Path("private") / "wal"
SEGMENT_BYTES = 16 * 1024 * 1024

_FILE = struct.Struct("<8sQQ32sI")
_RECORD = struct.Struct("<4sII32s")
_FILE_MAGIC = b"SMLWAL\x00\x01"
HEADER_BYTES = _FILE.size

FIRST, FOLLOWING = b"SMLB", b"SMLR"
"""What a record begins with: the first one of its batch, and any other."""

END = b"\xffEND"
"""The last bytes of a segment that was closed. No payload holds them, since they are not UTF-8."""


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
    """What stands in a segment.

    Attributes:
        records: the whole ones from its start.
        bad_at: where something begins that is neither a whole record, nor zeros to the end, nor the end mark.
        followed: the first record of a later batch stands behind that place.
        closed: the segment ends in its end mark.
    """

    records: tuple[Record, ...]
    bad_at: int | None
    followed: bool
    closed: bool

    @property
    def damaged(self) -> bool:
        """What is bad was durable once. Otherwise it is the unfinished end of a segment that was cut off."""
        return self.bad_at is not None and (self.followed or self.closed)


def file_header(number: int, first_seq: int, prev: bytes) -> bytes:
    """The bytes a segment begins with."""
    bare = _FILE.pack(_FILE_MAGIC, number, first_seq, prev, 0)
    return bare[:-4] + struct.pack("<I", zlib.crc32(bare[:-4]))


def frame(mark: bytes, payload: bytes) -> tuple[bytes, bytes]:
    """A record's bytes and its leaf hash. The mark is `FIRST` or `FOLLOWING`."""
    leaf = leaf_hash(payload)
    return _RECORD.pack(mark, len(payload), _checksum(mark, leaf, payload), leaf) + payload, leaf


def segments(folder: Path) -> list[Segment]:
    """The segments of a log, in order.

    Raises:
        AuditError: there is no log, a number is missing, or a header is damaged or cannot be read.
    """
    paths = sorted((folder / FOLDER).glob("*.wal"))
    if not paths:
        raise AuditError(folder, f"an audit log ({FOLDER}/*.wal)", "none")
    found = []
    for number, path in enumerate(paths):
        raw = _read(path, HEADER_BYTES)
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
    """Read every whole record of a segment.

    Raises:
        AuditError: it cannot be read.
    """
    data = _read(segment.path)
    found: list[Record] = []
    at = HEADER_BYTES
    while at < len(data):
        record = _record(data, at)
        if record is None:
            # Preallocated space is zeros to the end; anything else was meant to be a record.
            if data[at:] == END or not data[at:].strip(b"\x00"):
                break
            return Scan(tuple(found), at, any(_later(data, at + 1)), data.endswith(END))
        found.append(record)
        at = record.end
    return Scan(tuple(found), None, False, data.endswith(END))


def follow(found: list[Segment], seq: int, prev: bytes) -> Iterator[tuple[Segment, Record, dict[str, Any]]]:
    """Every entry from number `seq` on, in order, with its place: its hash, its number and its predecessor's are checked.

    Args:
        found: the segments of a log; those that end before `seq` are not read.
        seq: number of the first entry wanted.
        prev: leaf hash of the entry before it.

    Raises:
        AuditError: at the first entry that is damaged, missing, changed or out of its place.
    """
    for segment, after in zip(found, [*found[1:], None], strict=True):
        if after is not None and after.first_seq <= seq:
            continue
        if segment.first_seq > seq or (segment.first_seq == seq and segment.prev != prev):
            raise AuditError(f"{segment.path}: byte 0", f"to follow entry {seq - 1}", f"a start at {segment.first_seq}")
        scanned = scan(segment)
        number, before = segment.first_seq, segment.prev
        for record in scanned.records:
            if number >= seq:
                values = parse(record.payload, f"{segment.path}: byte {record.start}")
                if values["seq"] != number or values["prev"] != before.hex():
                    other = f"entry {values['seq']} behind {values['prev'][:8]}"
                    wanted = f"entry {number} behind {before.hex()[:8]}"
                    raise AuditError(f"{segment.path}: byte {record.start}", wanted, other)
                # What reaches beyond the next segment's start was written before a failed flush, and again there.
                if after is None or number < after.first_seq:
                    yield segment, record, values
                    seq, prev = number + 1, record.leaf
            elif number == seq - 1 and record.leaf != prev:
                raise AuditError(
                    f"{segment.path}: byte {record.start}", f"entry {prev.hex()[:8]}", record.leaf.hex()[:8]
                )
            number, before = number + 1, record.leaf
        # A segment that failed is followed by another, and may hold anything behind what was acknowledged.
        if scanned.damaged and (after is None or scanned.closed):
            raise AuditError(f"{segment.path}: byte {scanned.bad_at}", "an undamaged record", "a damaged one")
        if seq != after.first_seq if after is not None else number < seq:
            at = scanned.bad_at if scanned.bad_at is not None else segment.path.stat().st_size
            raise AuditError(f"{segment.path}: byte {at}", f"entry {number}", "the end of the segment")


def _read(path: Path, size: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise AuditError(path, "a segment that can be read", error.strerror or str(error)) from error


def _checksum(mark: bytes, leaf: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(leaf, zlib.crc32(mark)))


def _record(data: bytes, at: int) -> Record | None:
    if at + _RECORD.size > len(data):
        return None
    mark, length, crc, leaf = _RECORD.unpack_from(data, at)
    start = at + _RECORD.size
    if mark not in (FIRST, FOLLOWING) or length > LARGEST or start + length > len(data):
        return None
    payload = data[start : start + length]
    if crc != _checksum(mark, leaf, payload) or leaf != leaf_hash(payload):
        return None
    return Record(at, start + length, leaf, payload)


def _later(data: bytes, at: int) -> Iterator[bool]:
    """Whether a whole first record stands at each place behind `at` that looks like one."""
    while (at := data.find(FIRST, at)) >= 0:
        yield _record(data, at) is not None
        at += 1
