"""Identities and pictures: nothing of them in the clear, readable with their key, and gone without it."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_faults import entries, open_log

from surgical_ml.audit import AuditError, AuditWriter, Keyring, verify
from surgical_ml.audit.vault import Vault

NAME = "Erika Musterfrau, *1964-08-12, Fall 4711"
PICTURE = b"\xff\xd8\xff\xe0 a picture of the inside of somebody \xff\xd9"


@pytest.fixture(scope="module")
def keyring(tmp_path_factory):
    return Keyring(tmp_path_factory.mktemp("device") / "keys")


def scan(folder: Path, wanted: bytes) -> list[Path]:
    """Every file below a folder that holds, or is called by, some bytes, whatever encoding of them it uses."""
    text = wanted.decode("latin-1")
    forms = {wanted, wanted.hex().encode(), text.encode("utf-16-le"), json.dumps(text)[1:-1].encode()}
    forms |= {hashlib.sha256(wanted).hexdigest().encode(), hashlib.sha256(wanted).digest()}
    return [
        path
        for path in folder.rglob("*")
        if any(form in str(path).encode() or (path.is_file() and form in path.read_bytes()) for form in forms)
    ]


def test_a_scan_finds_what_is_written_in_the_clear(tmp_path):
    with open_log(tmp_path, [{"name": NAME}]):
        pass
    assert scan(tmp_path, NAME.encode())


def test_no_planted_identifier_is_anywhere_in_the_folder_and_all_are_readable_with_the_key(tmp_path, keyring):
    with AuditWriter(tmp_path, keyring=keyring) as writer:
        actor = writer.pseudonym(NAME, case="case-1")
        assert writer.pseudonym(NAME) == actor
        digest = writer.keep_secret("picture", PICTURE, case="case-1")
        writer.append("decision", {"event": {"actor": actor}}, case="case-1", actor=actor)
    assert verify(tmp_path).ok
    for planted in (NAME.encode(), b"Erika Musterfrau", PICTURE, PICTURE[6:20]):
        assert scan(tmp_path, planted) == []
    origin = entries(tmp_path)[0]["body"]["origin"]
    vault = Vault(tmp_path, keyring.folder, origin)
    assert vault.open("picture", digest) == PICTURE
    kept = [entry["body"] for entry in entries(tmp_path) if entry["type"] == "secret-kept"]
    assert [one["kind"] for one in kept] == ["identity", "picture"]
    assert json.loads(vault.open("identity", kept[0]["sha256"])) == {"pseudonym": actor, "name": NAME}


def test_shredding_destroys_what_was_kept_and_leaves_every_proof_valid(tmp_path, keyring):
    with AuditWriter(tmp_path, keyring=keyring) as writer:
        digest = writer.keep_secret("picture", PICTURE)
        before = writer.pseudonym(NAME)
    checkpoint = (tmp_path / "checkpoint").read_bytes()
    with AuditWriter(tmp_path, keyring=keyring) as writer:
        writer.shred()
        # Whoever comes back is somebody else: the old pseudonym cannot be computed again.
        assert writer.pseudonym(NAME) != before
    report = verify(tmp_path)
    assert report.ok, report.problems
    assert checkpoint in {path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()}
    vault = Vault(tmp_path, keyring.folder, entries(tmp_path)[0]["body"]["origin"])
    with pytest.raises(AuditError):
        vault.open("picture", digest)
    assert vault.destroy_key()
    with pytest.raises(AuditError, match="none: it was destroyed"):
        vault.open("picture", digest)
    assert not vault.destroy_key()
    assert [entry["body"] for entry in entries(tmp_path) if entry["type"] == "secrets-shredded"] == [
        {"destroyed": True}
    ]


def test_the_key_of_a_case_lies_with_the_device_and_is_its_owners_only(tmp_path):
    own = Keyring(tmp_path / "keys")
    with AuditWriter(tmp_path / "log", keyring=own) as writer:
        writer.keep_secret("picture", PICTURE)
    (key,) = (tmp_path / "keys" / "secrets").iterdir()
    assert key.stat().st_mode & 0o777 == 0o600
    assert scan(tmp_path / "log", key.read_bytes()) == []


@settings(max_examples=8)
@given(st.binary(max_size=300), st.integers(0, 10_000))
def test_a_secret_comes_back_whole_and_a_changed_one_not_at_all(tmp_path_factory, data, at):
    folder = tmp_path_factory.mktemp("vault")
    (folder / "private").mkdir()
    vault = Vault(folder, folder / "keys", "origin")
    digest = vault.keep("picture", data)
    assert vault.open("picture", digest) == data
    for other in (Vault(folder, folder / "keys", "other"), vault):
        with pytest.raises(AuditError):
            other.open("identity" if other is vault else "picture", digest)
    (path,) = (folder / "blobs").rglob("*.enc")
    changed = bytearray(path.read_bytes())
    changed[at % len(changed)] ^= 1
    path.write_bytes(changed)
    with pytest.raises(AuditError, match="unchanged"):
        vault.open("picture", digest)


def test_a_log_without_keys_keeps_no_secrets(tmp_path):
    with open_log(tmp_path, [{}]) as writer, pytest.raises(AuditError, match="expected a log with keys"):
        writer.keep_secret("picture", PICTURE)
    assert not (tmp_path / "blobs").exists()
