"""One entry of the log: what it holds, and the hash that names it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from surgical_ml.audit.canonical import decode, encode
from surgical_ml.audit.errors import AuditError

VERSION = 1
LARGEST = 65_535
GENESIS = bytes(32)
"""What the first entry names as its predecessor."""

MODULE = "surgical_ml"
"""The actor of what no person did."""

_KINDS = {"actor": str, "body": dict, "boot": str, "case": str, "prev": str, "seq": int, "t_mono": int, "t_utc": str}
_KINDS |= {"type": str, "v": int}


def leaf_hash(payload: bytes) -> bytes:
    """SHA-256 of 0x00 and the stored bytes: the leaf of RFC 6962, section 2.1."""
    return hashlib.sha256(b"\x00" + payload).digest()


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry before it has a predecessor; every text in it is canonical already."""

    type: bytes
    body: bytes
    case: bytes
    actor: bytes
    t_utc: int
    t_mono: int

    @classmethod
    def of(
        cls, type: str, body: Mapping[str, Any], *, case: str = "", actor: str = MODULE, t_utc: int, t_mono: int
    ) -> "Draft":
        """Take what an entry is to hold.

        Raises:
            AuditError: something in it has no canonical form.
        """
        texts = encode(type, "type"), encode(dict(body), type, inside=1), encode(case, "case"), encode(actor, "actor")
        return cls(*texts, t_utc, t_mono)

    def payload(self, seq: int, prev: bytes, boot: bytes) -> bytes:
        """The canonical bytes; so is `boot`. Keys stand in their order, so the pieces only have to be joined.

        Raises:
            AuditError: the entry is larger than 65,535 bytes.
        """
        fields = (
            (b"actor", self.actor),
            (b"body", self.body),
            (b"boot", boot),
            (b"case", self.case),
            (b"prev", encode(prev.hex())),
            (b"seq", encode(seq)),
            (b"t_mono", encode(self.t_mono)),
            # A string: nanoseconds of this century are beyond what a reader of doubles keeps.
            (b"t_utc", encode(str(self.t_utc))),
            (b"type", self.type),
            (b"v", encode(VERSION)),
        )
        payload = b"{" + b",".join(b'"' + key + b'":' + value for key, value in fields) + b"}"
        if len(payload) > LARGEST:
            raise AuditError(f"entry {seq}", f"at most {LARGEST} bytes", f"{len(payload)}")
        return payload


def parse(payload: bytes, thing: str) -> dict[str, Any]:
    """The fields of stored bytes.

    Raises:
        AuditError: they are no canonical entry of this version.
    """
    values = decode(payload, thing)
    kinds = {key: type(value) for key, value in values.items()} if isinstance(values, dict) else {}
    if kinds != _KINDS or values["v"] != VERSION:
        raise AuditError(thing, f"an entry of version {VERSION}", "something else")
    return values  # type: ignore[no-any-return]  # an object, as its kinds have shown
