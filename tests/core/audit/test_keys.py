"""Keys: made once, kept by their owner, certified, rotated with both signatures, and never believed without a pin."""

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from log_faults import entries, open_log

from surgical_ml.audit import AuditError, Keyring, verify
from surgical_ml.audit.keys import Certificate, Rotation, case_keys, follow_rotations
from surgical_ml.audit.note import Note, VerifierKey, check, sign

MAKE = "import sys; from pathlib import Path; from surgical_ml.audit import Keyring; "
MAKE += "print(Keyring(Path(sys.argv[1])).key.text)"


def private(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def key(number: int) -> VerifierKey:
    return VerifierKey.of(f"key-{number}", private(number))


def signed(text: str, *numbers: int) -> Note:
    return Note(text, tuple(sign(text, f"key-{number}", private(number)) for number in numbers))


def test_the_key_of_a_device_is_made_once_and_is_its_owners_only(tmp_path):
    first = Keyring(tmp_path / "keys")
    again = Keyring(tmp_path / "keys")
    assert again.key == first.key
    assert Keyring(tmp_path / "other").key != first.key
    (path,) = (tmp_path / "keys").glob("*.pem")
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_processes_that_make_the_first_key_at_once_agree_on_one(tmp_path):
    command = [sys.executable, "-c", MAKE, tmp_path / "keys"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert told == {f"{Keyring(tmp_path / 'keys').key.text}\n"}
    assert len(list((tmp_path / "keys").glob("*.pem"))) == 1


def test_a_case_key_is_believed_for_its_log_and_from_its_size_on_if_a_trusted_device_certified_it(tmp_path):
    ring = Keyring(tmp_path / "keys")
    with open_log(tmp_path / "log", [{}] * 3, keyring=ring):
        pass
    with open_log(tmp_path / "log", [{}], keyring=ring):
        pass
    origin = entries(tmp_path / "log")[0]["body"]["origin"]
    assert len(case_keys(tmp_path / "log", origin, 3, ring.devices)) == 1
    assert len(case_keys(tmp_path / "log", origin, 4, ring.devices)) == 2
    with pytest.raises(AuditError, match="a certificate of elsewhere"):
        case_keys(tmp_path / "log", "elsewhere", 4, ring.devices)
    with pytest.raises(AuditError, match="a signature by a known key"):
        case_keys(tmp_path / "log", origin, 4, [key(1)])


def test_no_private_key_is_anywhere_in_a_log(tmp_path):
    ring = Keyring(tmp_path / "keys")
    with open_log(tmp_path / "log", [{}], keyring=ring):
        (secret,) = (tmp_path / "keys").glob("*.pem")
        content = secret.read_bytes().splitlines()[1]
        files = [path for path in (tmp_path / "log").rglob("*") if path.is_file()]
        assert [path for path in files if content in path.read_bytes() or b"PRIVATE" in path.read_bytes()] == []


def test_after_rotations_new_logs_are_signed_by_the_new_key_and_lead_back_to_the_pinned_one(tmp_path):
    ring = Keyring(tmp_path / "keys")
    pinned = ring.key
    with open_log(tmp_path / "log", [{}], keyring=ring):
        pass
    second, third = ring.rotate(1), ring.rotate(2)
    again = Keyring(tmp_path / "keys")
    assert again.key == ring.key == third
    assert again.devices == (pinned, second, third)
    # The old private keys are gone.
    assert len(list((tmp_path / "keys").glob("*.pem"))) == 1
    with open_log(tmp_path / "log", [{}], keyring=again):
        pass
    certified = [entry["body"] for entry in entries(tmp_path / "log") if entry["type"] == "key-certified"]
    rotations = [Note.parse(text.encode(), "rotation") for text in certified[-1]["rotations"]]
    assert follow_rotations(pinned, rotations) == (pinned, second, third)
    assert follow_rotations(second, rotations) == (second, third)
    note = Note.parse(certified[-1]["certificate"].encode(), "certificate")
    assert check(note, [third], "certificate") == (third,)
    assert verify(tmp_path / "log").ok


@pytest.mark.parametrize("signers", [(1,), (2,), (3,), (1, 3), ()])
def test_a_rotation_that_one_of_the_two_keys_has_not_signed_is_refused(signers):
    text = Rotation(key(1), key(2), 5).text()
    assert Rotation.of(signed(text, 1, 2), "rotation") == Rotation(key(1), key(2), 5)
    with pytest.raises(AuditError):
        Rotation.of(signed(text, *signers), "rotation")


def test_a_rotation_that_begins_elsewhere_is_refused():
    first = signed(Rotation(key(1), key(2), 5).text(), 1, 2)
    stranger = signed(Rotation(key(3), key(4), 6).text(), 3, 4)
    assert follow_rotations(key(3), [first, stranger]) == (key(3), key(4))
    with pytest.raises(AuditError, match="rotation 1: expected one of key-2"):
        follow_rotations(key(1), [first, stranger])


@pytest.mark.parametrize("at", range(6))
def test_a_certificate_of_another_form_is_refused(at):
    text = Certificate("key-1", key(1), 3, 5).text()
    assert Certificate.parse(text, "thing") == Certificate("key-1", key(1), 3, 5)
    lines = text.split("\n")
    for other in ("", "x", "-1", "01", f"{lines[at]}\n"):
        changed = "\n".join([*lines[:at], other, *lines[at + 1 :]])
        if changed != text:
            with pytest.raises(AuditError, match="thing"):
                Certificate.parse(changed, "thing")


@given(st.text(max_size=200))
def test_any_text_is_refused_or_is_a_certificate_that_spells_itself_the_same(text):
    for kind in (Certificate.parse, lambda told, thing: Rotation.of(signed(f"{told}\n", 1, 2), thing)):
        try:
            found = kind(text, "thing")
        except AuditError:
            continue
        assert found.text() == text


@pytest.mark.parametrize("content", [b"", b"no key\n", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_damaged_private_key_is_named(tmp_path: Path, content: bytes):
    ring = Keyring(tmp_path / "keys")
    (path,) = (tmp_path / "keys").glob("*.pem")
    path.write_bytes(content)
    with pytest.raises(AuditError, match=path.name):
        Keyring(tmp_path / "keys")
    path.unlink()
    with pytest.raises(AuditError, match="the device's private key"):
        Keyring(ring.folder)


def test_a_place_where_no_key_can_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(AuditError, match="SURGICAL_ML_KEYS names another"):
        Keyring(tmp_path / "file")
