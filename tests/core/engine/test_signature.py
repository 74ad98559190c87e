"""A model is signed over its manifest; where a configuration pins a key, no other model runs."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from surgical_ml.config import CaseConfig
from surgical_ml.engine import load_model
from surgical_ml.engine.signature import fingerprint, make_key, read_key, sign, signed_by
from surgical_ml.errors import InputError
from surgical_ml.session import Assets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A private copy of the shipped model, without any signature."""
    copy = tmp_path / "model"
    shutil.copytree(load_model("cholecystectomy").folder, copy)
    for name in ("manifest.sig", "signer.pem"):
        (copy / name).unlink(missing_ok=True)
    return copy


def test_a_model_signed_by_the_pinned_key_loads_and_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    unsigned = load_model(folder)
    name = sign(folder, make_key(tmp_path / "key"))
    assert load_model(folder, key=name) == unsigned
    assert signed_by(folder, (folder / "manifest.json").read_bytes()) == name


def test_a_model_signed_by_another_key_is_refused_with_both_fingerprints(folder: Path, tmp_path: Path) -> None:
    ours = fingerprint(make_key(tmp_path / "ours").public_key())
    theirs = sign(folder, make_key(tmp_path / "theirs"))
    with pytest.raises(InputError, match=f"expected a signature by the key {ours}, found one by {theirs}"):
        load_model(folder, key=ours)


def test_an_unsigned_model_is_refused_where_a_key_is_pinned_and_taken_where_none_is(folder: Path) -> None:
    assert load_model(folder).folder == folder
    with pytest.raises(InputError, match=rf"manifest\.sig: expected a signature by the key {'0' * 64}, found none"):
        load_model(folder, key="0" * 64)


def test_a_manifest_that_was_changed_after_signing_is_refused(folder: Path, tmp_path: Path) -> None:
    name = sign(folder, make_key(tmp_path / "key"))
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"presence": 0.5', '"presence": 0.4'))
    with pytest.raises(
        InputError, match=r"manifest\.sig: expected a signature of manifest\.json by the key .*something else"
    ):
        load_model(folder, key=name)


@pytest.mark.parametrize("gone", ["manifest.sig", "signer.pem"])
def test_half_a_signature_is_none(folder: Path, tmp_path: Path, gone: str) -> None:
    name = sign(folder, make_key(tmp_path / "key"))
    (folder / gone).unlink()
    with pytest.raises(InputError, match=f"{gone}: expected the signature and its key together"):
        load_model(folder, key=name)


@pytest.mark.parametrize("damage", [b"", b"not a key"])
def test_a_public_key_that_is_none_is_refused(folder: Path, tmp_path: Path, damage: bytes) -> None:
    name = sign(folder, make_key(tmp_path / "key"))
    (folder / "signer.pem").write_bytes(damage)
    with pytest.raises(InputError, match=r"signer\.pem: expected an Ed25519 public key"):
        load_model(folder, key=name)


def test_a_new_key_is_its_owners_alone_and_never_overwrites_another(tmp_path: Path) -> None:
    path = tmp_path / "key"
    name = fingerprint(make_key(path).public_key())
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputError, match="expected no file, for a new key"):
        make_key(path)
    assert fingerprint(read_key(path).public_key()) == name


def test_what_is_no_signing_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("not a key")
    other = generate_private_key(SECP256R1())
    (tmp_path / "ec").write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for name, complaint in (("none", "no file"), ("other", "something else"), ("ec", "EllipticCurve|ECPrivateKey")):
        with pytest.raises(InputError, match=complaint):
            read_key(tmp_path / name)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl")
def test_openssl_verifies_it_without_any_of_this(folder: Path, tmp_path: Path) -> None:
    sign(folder, make_key(tmp_path / "key"))
    command = "openssl pkeyutl -verify -pubin -inkey signer.pem -rawin -in manifest.json -sigfile manifest.sig"
    done = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully")


def test_a_case_whose_configuration_pins_a_key_does_not_begin_with_a_model_of_another(folder: Path) -> None:
    with pytest.raises(InputError, match="expected a signature by the key"):
        Assets.load(CaseConfig.of({"model": str(folder), "model_key": "0" * 64}))
