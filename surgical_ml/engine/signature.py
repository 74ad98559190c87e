"""Signatures of models: Ed25519 over the manifest's bytes, which hold the digests of everything else in the folder.

A signed folder has `manifest.sig`, the 64 bytes of the signature, and `signer.pem`, the public key; both are as OpenSSL reads
them. A key is named by its fingerprint, the SHA-256 of its 32 bytes. Which key to believe is for the configuration to say:
anybody can make one.
"""

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from surgical_ml.errors import InputError

SIGNATURE, SIGNER = "manifest.sig", "signer.pem"


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256, hex, of the key's 32 bytes."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()


def make_key(path: Path) -> Ed25519PrivateKey:
    """A new signing key, written so that only its owner can read it; never over another file.

    Raises:
        InputError: there is something at `path` already.
    """
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
    except FileExistsError as error:
        raise InputError(path, "no file, for a new key", "one") from error
    return key


def read_key(path: Path) -> Ed25519PrivateKey:
    """A signing key.

    Raises:
        InputError: the file is missing, or is no unencrypted Ed25519 private key in PEM.
    """
    if not path.is_file():
        raise InputError(path, "a signing key", "no file")
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise InputError(path, "an Ed25519 private key in PEM, without a password", "something else") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(path, "an Ed25519 private key", type(key).__name__)
    return key


def sign(folder: Path, key: Ed25519PrivateKey) -> str:
    """Sign the manifest of a model folder as it is now; returns the key's fingerprint."""
    return sign_file((folder / "manifest.json").read_bytes(), key, folder / SIGNATURE, folder / SIGNER)


def sign_file(content: bytes, key: Ed25519PrivateKey, signature: Path, signer: Path) -> str:
    """Sign the content of a file; returns the key's fingerprint.

    Args:
        content: of the file.
        key: that signs.
        signature, signer: where the signature and the public key are written to.
    """
    public = key.public_key()
    for path, written in (
        (signer, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
        (signature, key.sign(content)),
    ):
        aside = path.with_name(f".{path.name}.partial")
        aside.write_bytes(written)
        aside.replace(path)
    return fingerprint(public)


def signed_by(folder: Path, manifest: bytes) -> str | None:
    """Fingerprint of the key whose signature of the manifest stands in the folder; None where it is not signed.

    Raises:
        InputError: the key is none, or the signature is not of this manifest.
    """
    return signer_of(manifest, "manifest.json", folder / SIGNATURE, folder / SIGNER)


def signer_of(content: bytes, name: str, signature: Path, signer: Path) -> str | None:
    """Fingerprint of the key that signed a file; None where it is not signed.

    Args:
        content: of the file.
        name: of the file, for the error.
        signature, signer: where its signature and the public key lie.

    Raises:
        InputError: the key is none, or the signature is not of this content.
    """
    if not signature.is_file() and not signer.is_file():
        return None
    for path in (signature, signer):
        if not path.is_file():
            raise InputError(path, "the signature and its key together", "no file")
    try:
        key = load_pem_public_key(signer.read_bytes())
    except ValueError as error:
        raise InputError(signer, "an Ed25519 public key in PEM", "something else") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(signer, "an Ed25519 public key", type(key).__name__)
    try:
        key.verify(signature.read_bytes(), content)
    except InvalidSignature as error:
        raise InputError(
            signature, f"a signature of {name} by the key {fingerprint(key)}", "one of something else"
        ) from error
    return fingerprint(key)


def check_signature(folder: Path, manifest: bytes, pinned: str) -> None:
    """Raise `InputError`, with both fingerprints, unless the manifest is signed by the pinned key."""
    found = signed_by(folder, manifest)
    if found != pinned:
        raise InputError(folder / SIGNATURE, f"a signature by the key {pinned}", f"one by {found}" if found else "none")
