"""One entry of the log: what it holds, and the hash that names it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from surgical_ml.audit.canonical import decode, encode
from surgical_ml.audit.clock import ClockState
from surgical_ml.audit.errors import AuditError

VERSION = 2
LARGEST = 65_535
GENESIS = bytes(32)
"""What the first entry names as its predecessor."""

MODULE = "surgical_ml"
"""The actor of what no person did."""

_ALWAYS = {"actor": str, "body": dict, "boot": str, "case": str, "prev": str, "seq": int, "t_mono": int, "t_utc": str}
_ALWAYS |= {"type": str, "v": int}
_KINDS = {1: _ALWAYS, VERSION: _ALWAYS | {"clock": dict, "identity": str}}
"""What an entry of each version holds."""

_OPTIONAL = {"hazards": list, "requirements": list}
"""What an entry of the newest version may hold besides."""

_CLOCK = {"error_us": int, "synced": bool}


def leaf_hash(payload: bytes) -> bytes:
    """SHA-256 of 0x00 and the stored bytes: the leaf of RFC 6962, section 2.1."""
    return hashlib.sha256(b"\x00" + payload).digest()


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry before it has a predecessor; every text in it is canonical already.

    Attributes:
        type, body, case, actor: as canonical JSON.
        t_utc, t_mono: when it was appended, nanoseconds by both clocks.
        identity: of what decided, as canonical JSON; see `of`.
        touches: hazards and requirements, each with the comma behind it, where there are any.
    """

    type: bytes
    body: bytes
    case: bytes
    actor: bytes
    t_utc: int
    t_mono: int
    identity: bytes = b'""'
    touches: tuple[bytes, bytes] = (b"", b"")

    @classmethod
    def of(
        cls,
        type: str,
        body: Mapping[str, Any],
        *,
        case: str = "",
        actor: str = MODULE,
        identity: str = "",
        requirements: Sequence[str] = (),
        hazards: Sequence[str] = (),
        t_utc: int,
        t_mono: int,
    ) -> "Draft":
        """Take what an entry is to hold.

        Args:
            type: one of `catalogue.CATALOGUE`, where this package writes it.
            body: what there is to say.
            case: pseudonym of the case; empty for what belongs to none.
            actor: who did it: a pseudonym of a person, or a part of the system.
            identity: digest of the software, configuration, model, protocol and calibration that were at work, which
                the case's first entry lists one by one; empty where none of them had a part in it.
            requirements, hazards: ids in the trace matrix that the entry is evidence for.
            t_utc, t_mono: when it happened, nanoseconds by both clocks.

        Raises:
            AuditError: something in it has no canonical form.
        """
        texts = encode(type, "type"), encode(dict(body), type, inside=1), encode(case, "case"), encode(actor, "actor")
        touches = _listed("hazards", hazards), _listed("requirements", requirements)
        return cls(*texts, t_utc, t_mono, encode(identity, "identity"), touches)

    def payload(self, seq: int, prev: bytes, boot: bytes, clock: bytes) -> bytes:
        """The canonical bytes; `boot` and `clock` are canonical too. Keys stand in order, so pieces are only joined.

        Raises:
            AuditError: the entry is larger than 65,535 bytes.
        """
        hazards, requirements = self.touches
        payload = b"".join(
            (
                *(b'{"actor":', self.actor, b',"body":', self.body, b',"boot":', boot, b',"case":', self.case),
                *(b',"clock":', clock, b",", hazards, b'"identity":', self.identity),
                *(b',"prev":"', prev.hex().encode(), b'",', requirements, b'"seq":', b"%d" % seq),
                # UTC as a string: nanoseconds of this century are beyond what a reader of doubles keeps.
                *(b',"t_mono":', b"%d" % self.t_mono, b',"t_utc":"', b"%d" % self.t_utc),
                *(b'","type":', self.type, b',"v":', b"%d" % VERSION, b"}"),
            )
        )
        if len(payload) > LARGEST:
            raise AuditError(f"entry {seq}", f"at most {LARGEST} bytes", f"{len(payload)}")
        return payload


def clock_text(clock: ClockState) -> bytes:
    """The state of the clock as it stands in an entry."""
    return encode({"error_us": clock.error_us, "synced": clock.synced})


def parse(payload: bytes, thing: str) -> dict[str, Any]:
    """The fields of stored bytes, of this version or an earlier one.

    Raises:
        AuditError: they are no canonical entry.
    """
    values = decode(payload, thing)
    kinds = {key: type(value) for key, value in values.items()} if isinstance(values, dict) else {}
    version = values["v"] if kinds.get("v") is int else None
    expected = _KINDS.get(version, {}) if version is not None else {}
    if version == VERSION:
        expected = expected | {key: kind for key, kind in _OPTIONAL.items() if key in kinds}
    if not expected or kinds != expected or not _well_formed(values):
        raise AuditError(thing, f"an entry of version 1 to {VERSION}", "something else")
    return values  # type: ignore[no-any-return]  # an object, as its kinds have shown


def _well_formed(values: Mapping[str, Any]) -> bool:
    """What stands in the lists and the clock of an entry is what must."""
    clock = {key: type(value) for key, value in values.get("clock", {}).items()}
    ids = [one for key in _OPTIONAL for one in values.get(key, ())]
    empty = any(key in values and not values[key] for key in _OPTIONAL)
    return (values["v"] == 1 or clock == _CLOCK) and all(type(one) is str for one in ids) and not empty


def _listed(name: str, ids: Sequence[str]) -> bytes:
    return b'"%s":%s,' % (name.encode(), encode(list(ids), name)) if ids else b""
