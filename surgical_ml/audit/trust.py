"""Which keys a log's checkpoints may be signed by: certificates that lead from a pinned device key to the key of each case.

A certificate is a signed note of five lines: its format, the key, its role, the case it is for, and the size of the log
from which on it signs. The first device key signs its own; a device key that follows another is signed by both; a case's
key is signed by the device's. The key of a case has the log's origin for its name, so that public tools accept it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.layout import KEYS
from surgical_ml.audit.note import ED25519, Note, VerifierKey, check

FORMAT = "surgical_ml/key/v1"
DEVICE, CASE = "device", "case"
NO_CASE = "-"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a key is for.

    Attributes:
        key: that is certified.
        role: `DEVICE` or `CASE`.
        case: pseudonym of the case; `NO_CASE` for a device key.
        first: the smallest size of the log that it may sign.
    """

    key: VerifierKey
    role: str
    case: str
    first: int

    def text(self) -> str:
        """The text that is signed."""
        return "\n".join([FORMAT, self.key.text, self.role, self.case, str(self.first)]) + "\n"

    @classmethod
    def parse(cls, text: str, thing: str) -> "Certificate":
        """The certificate of a note's text.

        Raises:
            AuditError: it is none.
        """
        lines = text.split("\n")
        if len(lines) != 6 or lines[0] != FORMAT or lines[2] not in (DEVICE, CASE) or not lines[3] or lines[5]:
            raise AuditError(thing, f"a certificate {FORMAT} of five lines", "something else")
        _, key, role, case, first, _ = lines
        if not (first.isascii() and first.isdigit()) or len(first) > 19 or str(int(first)) != first:
            raise AuditError(thing, "the size from which on the key signs", repr(first[:40]))
        certified = VerifierKey.parse(key, thing)
        if certified.kind != ED25519:
            raise AuditError(thing, "a key that signs checkpoints", f"kind {certified.kind}")
        return cls(certified, role, case, int(first))

    @property
    def file(self) -> Path:
        """Its file in the log's folder."""
        return KEYS / f"{self.key.id.hex()}.note"


@dataclass(frozen=True, slots=True)
class Trust:
    """The keys of a log, each certified.

    Attributes:
        devices: certificates of device keys, the pinned one among them, or the first one where nothing was pinned.
        cases: certificates of case keys, each signed by one of the devices.
    """

    devices: tuple[Certificate, ...]
    cases: tuple[Certificate, ...]

    def at(self, size: int) -> list[VerifierKey]:
        """The keys that may sign a checkpoint of that size."""
        return [one.key for one in (*self.devices, *self.cases) if one.first <= size]


def read_trust(folder: Path, pins: Collection[str] = ()) -> Trust:
    """The keys of a log.

    Args:
        folder: of the log.
        pins: fingerprints of device keys, hex; without any, the log's own word is taken for its first device key.

    Raises:
        AuditError: a certificate is damaged, or leads to no pinned key.
    """
    found: list[tuple[Certificate, Note, str]] = []
    for path in sorted((folder / KEYS).glob("*.note")):
        try:
            note = Note.parse(path.read_bytes(), str(path))
        except OSError as error:
            raise AuditError(path, "a certificate that can be read", error.strerror or str(error)) from error
        one = Certificate.parse(note.text, str(path))
        if path != folder / one.file:
            raise AuditError(path, f"the name {one.file.name}", path.name)
        found.append((one, note, str(path)))
    devices = sorted((one for one in found if one[0].role == DEVICE), key=lambda one: one[0].first)
    if not devices:
        raise AuditError(folder / KEYS, "the certificate of a device key", "none")
    trusted = _devices(devices, {one.key for one in _roots(folder, [one for one, _, _ in devices], pins)})
    cases = [one for one in found if one[0].role == CASE]
    for _, note, thing in cases:
        check(note, trusted, thing)
    return Trust(
        tuple(one for one, _, _ in devices), tuple(sorted((one for one, _, _ in cases), key=lambda one: one.first))
    )


def _roots(folder: Path, devices: list[Certificate], pins: Collection[str]) -> list[Certificate]:
    if not pins:
        return devices[:1]
    roots = [one for one in devices if one.key.fingerprint in pins]
    if not roots:
        found = ", ".join(one.key.fingerprint for one in devices)
        raise AuditError(folder / KEYS, f"the pinned key {', '.join(sorted(pins))}", found)
    return roots


def _devices(devices: Iterable[tuple[Certificate, Note, str]], trusted: set[VerifierKey]) -> set[VerifierKey]:
    """Every device key, each tied to a trusted one by a note that both have signed."""
    left = {one.key: (note, path) for one, note, path in devices}
    signers = {
        key: {key, *check(note, left, path)} if key in check(note, [key], path) else set[VerifierKey]()
        for key, (note, path) in left.items()
    }
    tied = set(trusted)
    while more := {key for group in signers.values() if group & tied for key in group} - tied:
        tied |= more
    for key, (_, path) in left.items():
        if key not in tied:
            raise AuditError(path, "a certificate signed by a trusted device key", "another")
    return tied
