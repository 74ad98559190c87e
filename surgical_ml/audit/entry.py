"""One entry of the log: what it holds, and the hash that names it."""

import hashlib
from dataclasses import dataclass
from typing import Any

from surgical_ml.audit.canonical import decode, encode
from surgical_ml.audit.errors import AuditError

VERSION = 1
LARGEST = 65_535
GENESIS = bytes(32)
"""What the first entry names as its predecessor."""


def leaf_hash(payload: bytes) -> bytes:
    """SHA-256 of 0x00 and the stored bytes: the leaf of RFC 6962, section 2.1."""
    return hashlib.sha256(b"\x00" + payload).digest()


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry before it has a predecessor; `body` is canonical already."""

    type: str
    body: bytes
    case: str
    actor: str
    t_utc: int
    t_mono: int

    def payload(self, seq: int, prev: bytes, boot: str) -> bytes:
        """The canonical bytes. Keys stand in their order, so the pieces only have to be joined.

        Raises:
            AuditError: the entry is larger than 65,535 bytes, or a text has no canonical form.
        """
        fields = (
            (b"actor", encode(self.actor, "actor")),
            (b"body", self.body),
            (b"boot", encode(boot, "boot")),
            (b"case", encode(self.case, "case")),
            (b"prev", encode(prev.hex())),
            (b"seq", encode(seq)),
            (b"t_mono", encode(self.t_mono)),
            # A string: nanoseconds of this century are beyond what a reader of doubles keeps.
            (b"t_utc", encode(str(self.t_utc))),
            (b"type", encode(self.type, "type")),
            (b"v", encode(VERSION)),
        )
        payload = b"{" + b",".join(b'"' + key + b'":' + value for key, value in fields) + b"}"
        if len(payload) > LARGEST:
            raise AuditError(f"entry {seq} ({self.type})", f"at most {LARGEST} bytes", f"{len(payload)}")
        return payload


def parse(payload: bytes, thing: str) -> dict[str, Any]:
    """The fields of stored bytes.

    Raises:
        AuditError: they are no canonical entry of this version.
    """
    values = decode(payload, thing)
    wanted = {"actor", "body", "boot", "case", "prev", "seq", "t_mono", "t_utc", "type", "v"}
    if not isinstance(values, dict) or set(values) != wanted or values["v"] != VERSION:
        raise AuditError(thing, f"an entry of version {VERSION}", "something else")
    return values
