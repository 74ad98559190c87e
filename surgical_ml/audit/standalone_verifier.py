"""Verifies a surgical_ml audit log or evidence bundle on its own: Python 3.11, `cryptography`, and nothing of surgical_ml.

    python standalone_verifier.py LOG [--pin FINGERPRINT]

Written from the published formats (RFC 6962, C2SP signed-note, tlog-checkpoint, tlog-tiles), not from the package's code, so
that a mistake in one is found by the other. Exit 0: whole. Exit 1: a line for each fault. Exit 2: no log.
"""

import argparse
import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Key = tuple[str, bytes]  # its name, and its 32 bytes


class Refused(Exception):
    """A file is not what it must be."""


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def key_of(vkey: str) -> Key:
    """name+id+base64(1, key): the id is the first four bytes of SHA-256(name, newline, 1, key)."""
    name, _, rest = vkey.partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = base64.b64decode(encoded, validate=True)
    if len(raw) != 33 or raw[0] != 1 or _sha256(name.encode() + b"\n" + raw)[:4].hex() != key_id:
        raise Refused("no Ed25519 verifier key")
    return name, raw[1:]


def _id_of(key: Key) -> bytes:
    return _sha256(key[0].encode() + b"\n\x01" + key[1])[:4]


def open_note(data: bytes, keys: list[Key]) -> tuple[str, set[Key]]:
    """The text of a signed note, and which of the keys have signed it; a wrong signature of one of them is refused."""
    try:
        text, lines = data.decode().rsplit("\n\n", 1)
    except ValueError as error:
        raise Refused("no signed note") from error
    text += "\n"
    if not lines.endswith("\n"):
        raise Refused("no end of the last signature")
    signed: set[Key] = set()
    for line in lines[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        raw = base64.b64decode(encoded, validate=True)
        if dash != "\N{EM DASH}" or base64.b64encode(raw).decode() != encoded:
            raise Refused("a line that is no signature")
        for key in keys:
            if key[0] == name and _id_of(key) == raw[:4]:
                try:
                    Ed25519PublicKey.from_public_bytes(key[1]).verify(raw[4:], text.encode())
                except InvalidSignature as error:
                    raise Refused(f"a wrong signature by {name}") from error
                signed.add(key)
    return text, signed


def trusted(log: Path, pin: str | None) -> list[tuple[Key, int]]:
    """The case keys, each with the smallest size it may sign, behind the pinned device key or the log's oldest one."""
    cases = {path.stem for path in (log / "keys").glob("*.cert")}
    texts = [path.read_text().rstrip("\n") for path in (log / "keys").glob("*.vkey") if path.stem not in cases]
    rotations = [path.read_bytes() for path in sorted((log / "keys").glob("rotation-*.note"))]
    later = {data.decode().split("\n")[2] for data in rotations}
    roots = [text for text in texts if (text not in later if pin is None else _sha256(text.encode()).hex() == pin)]
    if len(roots) != 1:
        raise Refused("keys/: no device key that is pinned" if pin else "keys/: no one oldest device key")
    devices = [roots[0]]
    for data in rotations:
        kind, old, new, _ = data.decode().split("\n\n")[0].split("\n")
        if old == devices[-1] and kind == "surgical-ml/device-key-rotation/v1":
            both = [key_of(old), key_of(new)]
            if open_note(data, both)[1] != set(both):
                raise Refused("keys/: a rotation that one key has not signed")
            devices.append(new)
    found = []
    for path in sorted((log / "keys").glob("*.cert")):
        text, signers = open_note(path.read_bytes(), [key_of(one) for one in devices])
        kind, origin, vkey, first, *_ = text.split("\n")
        key = key_of(vkey)
        if kind != "surgical-ml/case-key/v1" or not signers or key[0] != origin:
            raise Refused(f"{path.name}: no certificate by the device")
        found.append((key, int(first)))
    return found


def _tile_path(level: int | str, index: int, width: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    return f"tile/{level}/" + "/".join(groups) + (f".p/{width}" if width < 256 else "")


def root_of(hashes: list[bytes]) -> bytes:
    """The Merkle tree hash of RFC 6962 over leaf hashes."""
    if len(hashes) < 2:
        return hashes[0] if hashes else _sha256(b"")
    k = 1 << (len(hashes) - 1).bit_length() - 1
    return _sha256(b"\x01" + root_of(hashes[:k]) + root_of(hashes[k:]))


def stored(log: Path, level: int | str, index: int, width: int) -> bytes:
    """A tile: its own file, or the full one that it became."""
    for path in (log / _tile_path(level, index, width), log / _tile_path(level, index, 256)):
        if path.is_file():
            return path.read_bytes()
    raise Refused(f"{_tile_path(level, index, width)}: not there")


def _entries_of(log: Path, size: int) -> list[bytes]:
    found: list[bytes] = []
    for index in range(-(-size // 256)):
        width = min(256, size - index * 256)
        data, at = stored(log, "entries", index, width), 0
        for _ in range(width):
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            if end > len(data) or at + 2 > len(data):
                raise Refused(f"{_tile_path('entries', index, width)}: entry {len(found)}: byte {at}: cut short")
            found.append(data[at + 2 : end])
            at = end
        if at != len(data) and (log / _tile_path("entries", index, width)).is_file():
            raise Refused(f"{_tile_path('entries', index, width)}: byte {at}: more than {width} entries")
    return found


def faults_of(log: Path, pin: str | None) -> list[str]:
    """Every fault, as far as reading can go on behind it."""
    faults: list[str] = []
    keys = trusted(log, pin)
    heads: list[tuple[str, int, bytes]] = []
    for path in [log / "checkpoint", *sorted((log / "checkpoints").glob("*"))]:
        name = str(path.relative_to(log))
        try:
            text, signers = open_note(path.read_bytes(), [key for key, _ in keys])
            origin, digits, encoded, *_ = text.split("\n")
            size = int(digits)
            if not any(key in signers and first <= size and key[0] == origin for key, first in keys):
                raise Refused("signed by no key of the log")
            if path.parent.name == "checkpoints" and path.name != f"{size}.note":
                raise Refused(f"the checkpoint of {size} entries under another name")
            heads.append((name, size, base64.b64decode(encoded, validate=True)))
        except (Refused, ValueError, OSError) as error:
            faults.append(f"{name}: {error}")
    size = max((size for _, size, _ in heads), default=0)
    entries = _entries_of(log, size)
    leaves = [_sha256(b"\x00" + entry) for entry in entries]
    for name, upto, root in heads:
        if root_of(leaves[:upto]) != root:
            faults.append(f"{name}: the tree of {upto} entries is another")
    before = bytes(32)
    for index, (entry, leaf) in enumerate(zip(entries, leaves, strict=True)):
        try:
            values = json.loads(entry)
            follows = values["seq"] == index and values["prev"] == before.hex()
        except (ValueError, KeyError, TypeError):
            follows = False
        if not follows:
            faults.append(f"entry {index}: does not follow the one before it")
        before = leaf
    row, level = leaves, 0
    while row:
        for index in range(-(-len(row) // 256)):
            hashes = row[index * 256 : (index + 1) * 256]
            if stored(log, level, index, len(hashes))[: len(hashes) * 32] != b"".join(hashes):
                faults.append(f"{_tile_path(level, index, len(hashes))}: not the hashes of the entries")
        row, level = [root_of(row[k * 256 : (k + 1) * 256]) for k in range(len(row) // 256)], level + 1
    print(f"{log}: {size} entries under {len(heads)} checkpoints, last leaf {before.hex()}")
    return faults


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("log", type=Path)
    parser.add_argument("--pin", help="SHA-256 of the device's verifier key, hex")
    given = parser.parse_args()
    if not (given.log / "checkpoint").is_file():
        print(f"{given.log}: no published log", file=sys.stderr)
        return 2
    try:
        faults = faults_of(given.log, given.pin)
    except (Refused, ValueError, OSError, RecursionError) as error:
        faults = [str(error)]
    print("\n".join(faults) if faults else "whole")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(_main())
