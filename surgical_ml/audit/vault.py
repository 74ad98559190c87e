"""What must be kept of people, and can be made to vanish: identities and pictures, encrypted under a key of their case.

The tree holds the digest of the ciphertext only. The key lies with the device's own, never in the log, so that no copy of
a log gives anything away; once it is destroyed, what was encrypted under it is noise, and every proof still holds. Names
of people become pseudonyms that are computed with the same key: they mean nothing without it.
"""

import hashlib
import hmac
import json
import os
import threading
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from surgical_ml.audit.disk import Disk
from surgical_ml.audit.errors import AuditError

BLOBS = "blobs"
IDENTITY = "identity"
PERSON = "person-"

_FORMAT = b"surgical-ml/secret/v1"
_NEW = Path("private") / "new-secret"
_NONCE_BYTES, _KEY_BYTES = 12, 32


class Vault:
    """The secrets of one log.

    Args:
        folder: of the log.
        keys: folder of the device's keys.
        origin: of the log.
    """

    def __init__(self, folder: Path, keys: Path, origin: str) -> None:
        self._folder, self._origin = folder, origin
        self._path = keys / "secrets" / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.key"
        self._disk = Disk()
        self._lock = threading.Lock()

    def keep(self, kind: str, data: bytes) -> str:
        """Encrypt something and write it into `blobs/`, durable; the SHA-256, hex, of the ciphertext.

        Args:
            kind: what it is, such as `identity` or `picture`.
            data: to be encrypted.

        Raises:
            AuditError: there is no room for it.
        """
        with self._lock:
            try:
                key = self._key() or self._make_key()
                nonce = os.urandom(_NONCE_BYTES)
                sealed = nonce + AESGCM(key).encrypt(nonce, data, self._bound(kind))
                digest = hashlib.sha256(sealed).hexdigest()
                path = self._blob(digest)
                self._disk.put(path, sealed, self._folder / _NEW)
                self._disk.sync_folder(path.parent)
            except OSError as error:
                raise AuditError(self._folder / BLOBS, "room for a secret", error.strerror or str(error)) from error
        return digest

    def open(self, kind: str, digest: str) -> bytes:
        """What was kept.

        Raises:
            AuditError: its key was destroyed, the file is not there, or it is not what was kept.
        """
        path, key = self._blob(digest), self._key()
        if key is None:
            raise AuditError(path, "the key of its case", "none: it was destroyed, or is another device's")
        try:
            sealed = path.read_bytes()
            return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._bound(kind))
        except OSError as error:
            raise AuditError(path, "a secret that can be read", error.strerror or str(error)) from error
        except (InvalidTag, ValueError) as error:
            raise AuditError(path, f"a secret of kind {kind}, unchanged", "another") from error

    def pseudonym(self, name: str) -> str:
        """What stands for a person in this log: the same name gives the same, in another log another."""
        with self._lock:
            key = self._key() or self._make_key()
        derived = hmac.digest(key, _FORMAT + b" pseudonym", "sha256")
        return PERSON + hmac.new(derived, name.encode(), "sha256").hexdigest()[:16]

    def destroy_key(self) -> bool:
        """Overwrite and delete the key; whether there was one.

        Raises:
            AuditError: it could not be deleted.
        """
        with self._lock:
            if not self._path.exists():
                return False
            try:
                descriptor = os.open(self._path, os.O_WRONLY)
                try:
                    self._disk.write(descriptor, bytes(_KEY_BYTES), 0)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                self._path.unlink()
                self._disk.sync_folder(self._path.parent)
            except OSError as error:
                raise AuditError(self._path, "a key that can be destroyed", error.strerror or str(error)) from error
        return True

    def _key(self) -> bytes | None:
        if not self._path.exists():
            return None
        key = self._path.read_bytes()
        if len(key) != _KEY_BYTES:
            raise AuditError(self._path, f"a key of {_KEY_BYTES} bytes", f"{len(key)} bytes")
        return key

    def _make_key(self) -> bytes:
        key = os.urandom(_KEY_BYTES)
        self._disk.make_folder(self._path.parent)
        # `put` writes with the permissions of the log; a key is its owner's only.
        aside = self._path.with_suffix(".new")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self._disk.write(descriptor, key, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        aside.replace(self._path)
        self._disk.sync_folder(self._path.parent)
        return key

    def _blob(self, digest: str) -> Path:
        return self._folder / BLOBS / digest[:2] / f"{digest}.enc"

    def _bound(self, kind: str) -> bytes:
        """What a ciphertext is tied to: it is no secret of another log, nor of another kind."""
        return b"\n".join((_FORMAT, self._origin.encode(), kind.encode()))


def identity(pseudonym: str, name: str) -> bytes:
    """Whom a pseudonym stands for, as it is kept."""
    return json.dumps({"pseudonym": pseudonym, "name": name}, ensure_ascii=False).encode()
