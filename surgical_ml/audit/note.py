"""Signed notes, checkpoints and cosignatures, as C2SP signed-note, tlog-checkpoint and tlog-cosignature define them.

A note is text, an empty line, and a line a signature. A signature names its key by a name and four bytes that are derived
from name, kind and key, so that the kind of a signature is part of the key and can never be read as another.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.merkle import HASH_BYTES

ED25519 = 0x01
"""The kind of a plain signature of a note's text."""

COSIGNATURE = 0x04
"""The kind of a witness's signature: Ed25519 over the time and a checkpoint."""

LARGEST_NOTE = 65_536
MOST_SIGNATURES = 100

_KEY_BYTES, _SIGNATURE_BYTES, _ID_BYTES = 32, 64, 4
_KINDS = {ED25519: _SIGNATURE_BYTES, COSIGNATURE: 8 + _SIGNATURE_BYTES}
_TIME = struct.Struct(">Q")
_DASH = "\N{EM DASH} "
_LARGEST_SIZE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key by which signatures are checked.

    Attributes:
        name: of who signs, as on the signature's line.
        kind: `ED25519` or `COSIGNATURE`.
        key: 32 bytes.
    """

    name: str
    kind: int
    key: bytes

    @classmethod
    def of(cls, name: str, private: Ed25519PrivateKey, kind: int = ED25519) -> "VerifierKey":
        """The public half of a signing key, under its name.

        Raises:
            AuditError: the name cannot be one.
        """
        _check_name(name, "key name")
        return cls(name, kind, private.public_key().public_bytes_raw())

    @classmethod
    def parse(cls, text: str, thing: str) -> "VerifierKey":
        """The key of a `vkey`: its name, its id and its kind and bytes, with a plus between them.

        Raises:
            AuditError: it is none, of a kind that is not known here, or its id is not that of the key.
        """
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        _check_name(name, thing)
        raw = decode_base64(encoded, thing)
        if len(raw) != 1 + _KEY_BYTES or raw[0] not in _KINDS:
            raise AuditError(thing, "a key of a known kind", f"kind {raw[:1].hex() or 'none'}, {len(raw)} bytes")
        key = cls(name, raw[0], raw[1:])
        if key_id != key.id.hex():
            raise AuditError(thing, f"the key id {key.id.hex()}", key_id[:20])
        return key

    @property
    def id(self) -> bytes:
        """The four bytes that a signature names the key by."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.key).digest()[:_ID_BYTES]

    @property
    def text(self) -> str:
        """The key as a `vkey`, on one line."""
        return f"{self.name}+{self.id.hex()}+{_encode(bytes([self.kind]) + self.key)}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the `vkey`, hex: what is pinned where the key's file is not trusted."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature's line: who signed, by which key, and the bytes after the key's id."""

    name: str
    key_id: bytes
    value: bytes

    @property
    def line(self) -> str:
        """The line, without its end."""
        return f"{_DASH}{self.name} {_encode(self.key_id + self.value)}"

    @classmethod
    def parse(cls, line: str, thing: str) -> "Signature":
        """The signature of a line, without its end.

        Raises:
            AuditError: it is none.
        """
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not name:
            raise AuditError(thing, "a signature's line", repr(line[:40]))
        _check_name(name, thing)
        raw = decode_base64(encoded, thing)
        if len(raw) <= _ID_BYTES:
            raise AuditError(thing, "a key id and a signature", f"{len(raw)} bytes")
        return cls(name, raw[:_ID_BYTES], raw[_ID_BYTES:])


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures, none of them checked yet."""

    text: str
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """The note's bytes."""
        return (self.text + "\n" + "".join(one.line + "\n" for one in self.signatures)).encode()

    @classmethod
    def parse(cls, data: bytes, thing: str) -> "Note":
        """The note of bytes.

        Raises:
            AuditError: they are none: too many, not UTF-8, a control character, no signature, another spelling.
        """
        if len(data) > LARGEST_NOTE:
            raise AuditError(thing, f"a note of at most {LARGEST_NOTE} bytes", f"{len(data)}")
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise AuditError(f"{thing}: byte {error.start}", "UTF-8", error.reason) from error
        control = next((at for at, one in enumerate(whole) if one < " " and one != "\n"), None)
        if control is not None:
            raise AuditError(f"{thing}: character {control}", "no control character", repr(whole[control]))
        text, empty, lines = whole.rpartition("\n\n")
        if not empty or not lines.endswith("\n"):
            raise AuditError(thing, "a text, an empty line and signatures", "something else")
        told = lines[:-1].split("\n")
        if len(told) > MOST_SIGNATURES:
            raise AuditError(thing, f"at most {MOST_SIGNATURES} signatures", f"{len(told)}")
        return cls(text + "\n", tuple(Signature.parse(line, thing) for line in told))


def sign(text: str, name: str, private: Ed25519PrivateKey) -> Signature:
    """Sign a note's text, which ends with a line's end.

    Raises:
        AuditError: the name cannot be one, or the text has no end of its last line.
    """
    key = VerifierKey.of(name, private)
    if not text.endswith("\n"):
        raise AuditError("note", "a text that ends with its line", repr(text[-20:]))
    return Signature(name, key.id, private.sign(text.encode()))


def cosign(text: str, name: str, private: Ed25519PrivateKey, time_s: int) -> Signature:
    """A witness's signature of a checkpoint's text: at that time, seconds since 1970, it was the largest one seen.

    Raises:
        AuditError: the name cannot be one.
    """
    key = VerifierKey.of(name, private, COSIGNATURE)
    return Signature(name, key.id, _TIME.pack(time_s) + private.sign(_cosigned(text, time_s)))


def cosigned_at(signature: Signature) -> int:
    """The time of a cosignature, seconds since 1970; true only if the signature is."""
    return int(_TIME.unpack_from(signature.value)[0])


def check(note: Note, keys: Iterable[VerifierKey], thing: str) -> tuple[VerifierKey, ...]:
    """The keys by which a note is signed, each signature of theirs checked. Lines of other keys are passed over.

    Raises:
        AuditError: a signature by one of the keys is wrong or there twice, or there is none by any of them.
    """
    known = {(key.name, key.id): key for key in keys}
    found: list[VerifierKey] = []
    for one in note.signatures:
        key = known.get((one.name, one.key_id))
        if key is None:
            continue
        if key in found:
            raise AuditError(thing, f"one signature by {key.name}", "two")
        if not _valid(note.text, one, key):
            raise AuditError(thing, f"the signature of {key.name}", "another")
        found.append(key)
    if not found:
        names = ", ".join(sorted({f"{one.name}+{one.key_id.hex()}" for one in note.signatures}))
        raise AuditError(thing, "a signature by a known key", f"{names or 'none'}"[:300])
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: which log, how many entries, and their root.

    Attributes:
        origin: names the log; one line.
        size: entries.
        root: 32 bytes.
        extensions: further lines.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The text that is signed."""
        return "\n".join([self.origin, str(self.size), _encode(self.root), *self.extensions]) + "\n"

    @classmethod
    def parse(cls, text: str, thing: str) -> "Checkpoint":
        """The checkpoint of a note's text.

        Raises:
            AuditError: it is none.
        """
        origin, *rest = text[:-1].split("\n") if text.endswith("\n") else [""]
        if not origin or len(rest) < 2 or "" in rest:
            raise AuditError(thing, "an origin, a size and a root, a line each", "something else")
        size, root, *extensions = rest
        digits = size.isascii() and size.isdigit() and len(size) <= len(str(_LARGEST_SIZE))
        if not digits or str(int(size)) != size or int(size) > _LARGEST_SIZE:
            raise AuditError(f"{thing}: size", "a decimal number", repr(size[:40]))
        raw = decode_base64(root, f"{thing}: root")
        if len(raw) != HASH_BYTES:
            raise AuditError(f"{thing}: root", f"{HASH_BYTES} bytes", f"{len(raw)}")
        return cls(origin, int(size), raw, tuple(extensions))


def _valid(text: str, signature: Signature, key: VerifierKey) -> bool:
    if len(signature.value) != _KINDS[key.kind]:
        return False
    message = text.encode() if key.kind == ED25519 else _cosigned(text, cosigned_at(signature))
    try:
        Ed25519PublicKey.from_public_bytes(key.key).verify(signature.value[-_SIGNATURE_BYTES:], message)
    except InvalidSignature:
        return False
    return True


def _cosigned(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def _check_name(name: str, thing: str) -> None:
    if not name or not name.isprintable() or any(one.isspace() or one == "+" for one in name):
        raise AuditError(thing, "a name without spaces and pluses", repr(name[:40]))


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str, thing: str) -> bytes:
    """The bytes of base64 with its padding; each sequence of bytes has one spelling.

    Raises:
        AuditError: another text.
    """
    try:
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError as error:
        raise AuditError(thing, "base64", repr(text[:40])) from error
    if _encode(data) != text:
        raise AuditError(thing, "base64", "another spelling of it")
    return data
