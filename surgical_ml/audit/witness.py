"""A witness: it signs a log's newest checkpoint once that is shown to begin with the last one that it signed.

It knows nothing of what a log holds. It remembers one checkpoint a log, on its own disk, so that a log which was put back,
cut short or written anew can no longer be shown to anybody who asks the witness. Requests and answers are those of C2SP
tlog-witness; the keys of cases, which no witness can know beforehand, come to it as certificates of the devices it knows.
"""

import hashlib
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from surgical_ml.audit.disk import Disk
from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.keys import CERTIFICATE, Certificate, Rotation
from surgical_ml.audit.merkle import consistent
from surgical_ml.audit.note import COSIGNATURE, Checkpoint, Note, VerifierKey, check, cosign, cosigned_at
from surgical_ml.audit.prove import Growth
from surgical_ml.audit.public import read_bytes

TEXT, SIZE = "text/plain; charset=utf-8", "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the witness says: an HTTP status, a content type and a body."""

    status: int
    body: bytes
    content_type: str = TEXT


class Witness:
    """The witness, over a folder of its own. Safe to be asked from several threads.

    Args:
        folder: where it remembers; made if missing.
        name: of its key.
        private: its signing key.
        devices: keys of the devices whose logs it looks after.

    Raises:
        AuditError: what it remembers is damaged.
        OSError: the folder cannot be made.
    """

    def __init__(self, folder: Path, name: str, private: Ed25519PrivateKey, devices: Collection[VerifierKey]) -> None:
        self.key = VerifierKey.of(name, private, COSIGNATURE)
        self._folder, self._private = folder, private
        self._disk, self._lock = Disk(), threading.Lock()
        self._disk.make_folder(folder)
        self._devices = list(devices)
        for path in sorted((folder / "rotations").glob("*.note")):
            self._rotate(Note.parse(read_bytes(path), str(path)))

    def add_key(self, data: bytes) -> Answer:
        """Take a device's certificate of a case key, or the rotation of a device's key.

        200 if it is known now, 400 if it is neither, 403 if nobody who is known has signed it.
        """
        with self._lock:
            try:
                note = Note.parse(data, "key")
                if note.text.partition("\n")[0] != CERTIFICATE:
                    known = self._rotate(note)
                    if known:
                        self._keep(self._folder / "rotations" / f"{len(self._devices):06d}.note", data)
                    return Answer(200, b"") if known else Answer(403, b"no known device was rotated\n")
                certificate = Certificate.parse(note.text, "key")
            except AuditError as error:
                return Answer(400, f"{error}\n".encode())
            try:
                check(note, self._devices, "key")
            except AuditError as error:
                return Answer(403, f"{error}\n".encode())
            self._keep(self._of(certificate.origin) / f"{certificate.key.id.hex()}.cert", data)
            return Answer(200, b"")

    def add_checkpoint(self, body: bytes, now_s: int) -> Answer:
        """Cosign a checkpoint that begins with the last one.

        Args:
            body: a `Growth`.
            now_s: the witness's own time, seconds since 1970.

        Returns:
            200 and the line of the signature; 400 for another body; 404 for a log that is not known; 403 for a checkpoint
            that none of its keys signed; 409 and the last size for a proof from another one, or for another tree of the
            same size; 422 for a wrong proof.
        """
        with self._lock:
            try:
                growth = Growth.parse(body, "request")
                checkpoint = Checkpoint.parse(growth.note.text, "checkpoint")
            except AuditError as error:
                return Answer(400, f"{error}\n".encode())
            keys = self._keys(checkpoint)
            if not keys and not self._of(checkpoint.origin).is_dir():
                return Answer(404, b"a log that is not known here\n")
            try:
                check(growth.note, keys, "checkpoint")
            except AuditError as error:
                return Answer(403, f"{error}\n".encode())
            if growth.old > checkpoint.size:
                return Answer(400, b"the older tree is the larger one\n")
            last = self._last(checkpoint.origin)
            old, root = (0, hashlib.sha256().digest()) if last is None else (last.size, last.root)
            if growth.old != old or (old == checkpoint.size and last is not None and root != checkpoint.root):
                return Answer(409, f"{old}\n".encode(), SIZE)
            if not consistent(old, root, checkpoint.size, checkpoint.root, growth.hashes):
                return Answer(422, b"the proof does not lead from the last checkpoint to this one\n")
            line = cosign(growth.note.text, self.key.name, self._private, now_s)
            note = Note(growth.note.text, (*growth.note.signatures, line))
            # Remembered before it is signed away: after a power cut nobody holds what the witness does not know.
            self._keep(self._of(checkpoint.origin) / "checkpoint", note.encode())
            return Answer(200, f"{line.line}\n".encode())

    def latest(self, origin: str) -> Answer:
        """The last checkpoint of a log, with the log's signature and the witness's; 404 if there is none."""
        path = self._of(origin) / "checkpoint"
        return Answer(200, read_bytes(path)) if path.exists() else Answer(404, b"a log that is not known here\n")

    def _keys(self, checkpoint: Checkpoint) -> list[VerifierKey]:
        keys = []
        for path in sorted(self._of(checkpoint.origin).glob("*.cert")):
            note = Note.parse(read_bytes(path), str(path))
            check(note, self._devices, str(path))
            certificate = Certificate.parse(note.text, str(path))
            if certificate.first <= checkpoint.size and certificate.origin == checkpoint.origin:
                keys.append(certificate.key)
        return keys

    def _last(self, origin: str) -> Checkpoint | None:
        path = self._of(origin) / "checkpoint"
        if not path.exists():
            return None
        note = Note.parse(read_bytes(path), str(path))
        check(note, [self.key], str(path))
        return Checkpoint.parse(note.text, str(path))

    def _rotate(self, note: Note) -> bool:
        """Whether a rotation ties a new key to a known one."""
        rotation = Rotation.of(note, "rotation")
        if rotation.old in self._devices and rotation.new not in self._devices:
            self._devices.append(rotation.new)
        return rotation.new in self._devices

    def _of(self, origin: str) -> Path:
        return self._folder / hashlib.sha256(origin.encode()).hexdigest()

    def _keep(self, path: Path, data: bytes) -> None:
        self._disk.put(path, data, self._folder / "new")
        self._disk.sync_folder(path.parent)


def cosigned(data: bytes, keys: Collection[VerifierKey], thing: str) -> tuple[Checkpoint, int, str]:
    """A checkpoint that a known witness signed, when it did (seconds since 1970), and its name.

    Raises:
        AuditError: no known witness signed it.
    """
    note = Note.parse(data, thing)
    signers = [key for key in check(note, keys, thing) if key.kind == COSIGNATURE]
    if not signers:
        raise AuditError(thing, "the signature of a witness", "that of a log")
    lines = [one for one in note.signatures for key in signers if (one.name, one.key_id) == (key.name, key.id)]
    return Checkpoint.parse(note.text, thing), max(cosigned_at(one) for one in lines), signers[0].name
