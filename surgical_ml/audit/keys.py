"""The keys that checkpoints are signed with, and what leads to them from one pinned fingerprint.

A device has one key. It is made when it is first needed, lies in a folder of its own (`places.default_keys`), readable by
its owner only, and signs nothing but certificates: each writer of a log makes a fresh case key, has it certified, signs
checkpoints with it, and forgets it when the case ends. The case key never touches a disk, so that whoever takes a machine
over later cannot sign anew what was signed before. A device key is changed by a rotation that the old key and the new one
both sign: who pinned the old one is led to the new one.

In a log, `keys/` holds `*.vkey` (verifier keys), `*.cert` (certificates) and `rotation-*.note`. All of them are signed
notes (C2SP); what kind of signature a key makes is a part of the key.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from surgical_ml.audit.disk import Disk
from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.note import Note, VerifierKey, check, sign

FOLDER = "keys"
CERTIFICATE = "surgical-ml/case-key/v1"
ROTATION = "surgical-ml/device-key-rotation/v1"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A device's word for a case key.

    Attributes:
        origin: the log whose checkpoints the key signs; also the key's name.
        key: the case key.
        first: the smallest size of the log that it may sign.
        since_ns: when it was made, UTC in nanoseconds.
    """

    origin: str
    key: VerifierKey
    first: int
    since_ns: int

    def text(self) -> str:
        """The text that the device signs."""
        return f"{CERTIFICATE}\n{self.origin}\n{self.key.text}\n{self.first}\n{self.since_ns}\n"

    @classmethod
    def parse(cls, text: str, thing: str) -> "Certificate":
        """The certificate of a note's text.

        Raises:
            AuditError: it is none, or of a version that is not known here.
        """
        lines = text.split("\n")
        if len(lines) != 6 or lines[0] != CERTIFICATE or not all(map(_is_number, lines[3:5])) or lines[5]:
            raise AuditError(thing, f"a certificate ({CERTIFICATE})", repr(lines[0][:60]))
        key = VerifierKey.parse(lines[2], thing)
        if key.name != lines[1]:
            raise AuditError(thing, f"a key of {lines[1]}", key.name)
        return cls(lines[1], key, int(lines[3]), int(lines[4]))


@dataclass(frozen=True, slots=True)
class Rotation:
    """A device's key was replaced; both keys say so.

    Attributes:
        old, new: the device's keys.
        time_ns: when, UTC in nanoseconds.
    """

    old: VerifierKey
    new: VerifierKey
    time_ns: int

    def text(self) -> str:
        """The text that both keys sign."""
        return f"{ROTATION}\n{self.old.text}\n{self.new.text}\n{self.time_ns}\n"

    @classmethod
    def of(cls, note: Note, thing: str) -> "Rotation":
        """The rotation of a note, both signatures checked.

        Raises:
            AuditError: it is none, or one of the two keys has not signed it.
        """
        lines = note.text.split("\n")
        if len(lines) != 5 or lines[0] != ROTATION or not _is_number(lines[3]) or lines[4]:
            raise AuditError(thing, f"a rotation ({ROTATION})", repr(lines[0][:60]))
        old, new = VerifierKey.parse(lines[1], thing), VerifierKey.parse(lines[2], thing)
        if set(check(note, (old, new), thing)) != {old, new}:
            raise AuditError(thing, "the signatures of the old key and the new one", "one of them")
        return cls(old, new, int(lines[3]))


class CaseKey:
    """Signs the checkpoints of one log while one writer has it open. It exists in memory only.

    Attributes:
        origin: of the log.
        key: its public half.
        certificate: the device's word for it.
    """

    def __init__(self, origin: str, device: Ed25519PrivateKey, device_name: str, first: int, now_ns: int) -> None:
        self._private: Ed25519PrivateKey | None = Ed25519PrivateKey.generate()
        self.origin, self.key = origin, VerifierKey.of(origin, self._private)
        text = Certificate(origin, self.key, first, now_ns).text()
        self.certificate = Note(text, (sign(text, device_name, device),))

    def sign(self, text: str) -> bytes:
        """The signed note of a checkpoint's text.

        Raises:
            AuditError: the key was destroyed.
        """
        if self._private is None:
            raise AuditError("case key", "one that is in use", "one that was destroyed")
        return Note(text, (sign(text, self.origin, self._private),)).encode()

    def destroy(self) -> None:
        """Forget the private half: nothing can be signed with it again."""
        self._private = None


class Keyring:
    """The keys of this device.

    Args:
        folder: of the keys; made, with a first key, where there is none.

    Attributes:
        key: the device's present key.
        rotations: every change of it, oldest first.

    Raises:
        AuditError: the folder or the key cannot be made or read, or a rotation is not signed as it must be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._disk = Disk()
        first = folder / "device.vkey"
        try:
            if not first.exists():
                self._make_first(first)
            self.first = VerifierKey.parse(first.read_text("utf-8").strip(), str(first))
            paths = sorted(folder.glob("rotation-*.note"))
            self.rotations = tuple(Note.parse(path.read_bytes(), str(path)) for path in paths)
        except OSError as error:
            expected = "a place for the device's key (SURGICAL_ML_KEYS names another)"
            raise AuditError(folder, expected, error.strerror or str(error)) from error
        self.key = follow_rotations(self.first, self.rotations)[-1]
        self._private = _read_private(self._path(self.key), self.key)

    @property
    def devices(self) -> tuple[VerifierKey, ...]:
        """Every key that this device has had, oldest first."""
        return follow_rotations(self.first, self.rotations)

    def certify(self, origin: str, first: int, now_ns: int) -> CaseKey:
        """A fresh case key for a log, for checkpoints from a size on."""
        return CaseKey(origin, self._private, self.key.name, first, now_ns)

    def rotate(self, now_ns: int) -> VerifierKey:
        """Replace the device's key: the new one counts once both have signed; the old private key is deleted then.

        Raises:
            AuditError: there is no room for it.
        """
        private = Ed25519PrivateKey.generate()
        new = _device_key(private)
        text = Rotation(self.key, new, now_ns).text()
        note = Note(text, (sign(text, self.key.name, self._private), sign(text, new.name, private)))
        try:
            self._write(self._path(new), _pem(private))
            self._write(self.folder / f"rotation-{len(self.rotations):03d}.note", note.encode())
            self._path(self.key).unlink()
            self._disk.sync_folder(self.folder)
        except OSError as error:
            raise AuditError(self.folder, "room for a new key", error.strerror or str(error)) from error
        self.rotations, self.key, self._private = (*self.rotations, note), new, private
        return new

    def _make_first(self, first: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        private = Ed25519PrivateKey.generate()
        key = _device_key(private)
        self._write(self._path(key), _pem(private))
        aside = self.folder / f"{key.id.hex()}.vkey"
        self._write(aside, f"{key.text}\n".encode())
        try:
            # Whichever of several processes comes first: the name appears once, and whole.
            os.link(aside, first)
        except FileExistsError:
            self._path(key).unlink()
        finally:
            aside.unlink()
        self._disk.sync_folder(self.folder)

    def _path(self, key: VerifierKey) -> Path:
        return self.folder / f"device-{key.id.hex()}.pem"

    def _write(self, path: Path, content: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            self._disk.write(descriptor, content, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._disk.sync_folder(self.folder)


def publish(folder: Path, disk: Disk, key: CaseKey, keyring: Keyring, aside: Path) -> None:
    """Write into a log what leads a verifier to its case key: before anything is signed with that."""
    files = {f"{one.id.hex()}.vkey": f"{one.text}\n".encode() for one in (*keyring.devices, key.key)}
    files[f"{key.key.id.hex()}.cert"] = key.certificate.encode()
    files |= {f"rotation-{number:03d}.note": note.encode() for number, note in enumerate(keyring.rotations)}
    for name, content in files.items():
        disk.put(folder / FOLDER / name, content, aside)
    disk.sync_folder(folder / FOLDER)


def follow_rotations(first: VerifierKey, rotations: Iterable[Note]) -> tuple[VerifierKey, ...]:
    """The keys that a trusted device key leads to, itself first.

    Args:
        first: the key that is trusted.
        rotations: in their order; those before the trusted key came into use are passed over.

    Raises:
        AuditError: a rotation is not signed by both keys, or does not begin at the key before it.
    """
    keys = [first]
    for number, note in enumerate(rotations):
        rotation = Rotation.of(note, f"rotation {number}")
        if rotation.old == keys[-1]:
            keys.append(rotation.new)
        elif len(keys) > 1:
            raise AuditError(f"rotation {number}", f"one of {keys[-1].name}", rotation.old.name)
    return tuple(keys)


def case_keys(folder: Path, origin: str, size: int, devices: Sequence[VerifierKey]) -> tuple[VerifierKey, ...]:
    """The case keys in the `keys/` of a log that may sign its checkpoint of a size.

    Args:
        folder: of the log.
        origin: of the log.
        size: of the checkpoint.
        devices: keys that are trusted.

    Raises:
        AuditError: a certificate cannot be read, is of another log, or is signed by nobody who is trusted.
    """
    keys = []
    for path in sorted((folder / FOLDER).glob("*.cert")):
        try:
            note = Note.parse(path.read_bytes(), str(path))
        except OSError as error:
            raise AuditError(path, "a certificate that can be read", error.strerror or str(error)) from error
        certificate = Certificate.parse(note.text, str(path))
        if certificate.origin != origin:
            raise AuditError(path, f"a certificate of {origin}", certificate.origin)
        check(note, devices, str(path))
        if certificate.first <= size:
            keys.append(certificate.key)
    return tuple(keys)


def _device_key(private: Ed25519PrivateKey) -> VerifierKey:
    named = VerifierKey.of("surgical-ml", private)
    return VerifierKey.of(f"surgical-ml/{named.fingerprint[:16]}", private)


def _pem(private: Ed25519PrivateKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read_private(path: Path, key: VerifierKey) -> Ed25519PrivateKey:
    try:
        private = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise AuditError(path, "the device's private key", error.strerror or str(error)) from error
    except (ValueError, TypeError) as error:
        raise AuditError(path, "an Ed25519 private key in PEM, without a password", "something else") from error
    if not isinstance(private, Ed25519PrivateKey) or private.public_key().public_bytes_raw() != key.key:
        raise AuditError(path, f"the private half of {key.name}", "another key")
    return private


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 19 and str(int(text)) == text
