"""Certificates: which keys may sign a log, and that nobody gets in who was not let in by a key that was there."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.audit import AuditError
from surgical_ml.audit.note import Note, VerifierKey, sign
from surgical_ml.audit.trust import CASE, DEVICE, NO_CASE, Certificate, read_trust


def secret(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def key(number: int) -> VerifierKey:
    return VerifierKey.of(f"key-{number}", secret(number))


def certify(folder: Path, number: int, role: str, signers: list[int], first: int = 0) -> Path:
    one = Certificate(key(number), role, NO_CASE if role == DEVICE else "case", first)
    note = Note(one.text(), tuple(sign(one.text(), f"key-{by}", secret(by)) for by in signers))
    path = folder / one.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(note.encode())
    return path


def test_a_case_key_certified_by_the_device_may_sign_from_its_first_size_on(tmp_path):
    certify(tmp_path, 1, DEVICE, [1])
    certify(tmp_path, 2, CASE, [1], first=10)
    trust = read_trust(tmp_path, {key(1).fingerprint})
    assert trust.at(9) == [key(1)]
    assert trust.at(10) == [key(1), key(2)]


@pytest.mark.parametrize("pinned", [1, 2, 3])
def test_rotated_device_keys_are_tied_to_the_pinned_one_by_both_signatures(tmp_path, pinned):
    certify(tmp_path, 1, DEVICE, [1])
    certify(tmp_path, 2, DEVICE, [1, 2], first=5)
    certify(tmp_path, 3, DEVICE, [2, 3], first=9)
    certify(tmp_path, 4, CASE, [3], first=9)
    assert read_trust(tmp_path, {key(pinned).fingerprint}).at(9) == [key(1), key(2), key(3), key(4)]


def test_a_swapped_device_key_is_refused_where_the_true_one_is_pinned(tmp_path):
    certify(tmp_path, 3, DEVICE, [3])
    certify(tmp_path, 4, CASE, [3])
    assert read_trust(tmp_path).at(0)
    with pytest.raises(AuditError, match=f"the pinned key {key(1).fingerprint}, found {key(3).fingerprint}"):
        read_trust(tmp_path, {key(1).fingerprint})


@pytest.mark.parametrize(
    ("role", "signers"),
    [(DEVICE, [3]), (DEVICE, [1]), (CASE, [3]), (CASE, [2]), (CASE, [4])],
    ids=[
        "a second device on its own",
        "a rotation that only the old key signed",
        "a case of its own",
        "a case by a case",
        "a case by a stranger",
    ],
)
def test_a_key_that_no_trusted_key_let_in_is_refused(tmp_path, role, signers):
    certify(tmp_path, 1, DEVICE, [1])
    certify(tmp_path, 2, CASE, [1])
    certify(tmp_path, 3, role, signers)
    with pytest.raises(AuditError, match=key(3).id.hex()):
        read_trust(tmp_path, {key(1).fingerprint})


def test_a_log_without_a_device_key_is_refused(tmp_path):
    with pytest.raises(AuditError, match="the certificate of a device key, found none"):
        read_trust(tmp_path)


def test_no_changed_bit_of_a_certificate_is_believed(tmp_path):
    certify(tmp_path, 1, DEVICE, [1])
    path = certify(tmp_path, 2, CASE, [1])
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        with pytest.raises(AuditError, match=path.name):
            read_trust(tmp_path)


@given(
    st.lists(
        st.sampled_from(["surgical_ml/key/v1", key(1).text, "device", "case", "-", "0", "10", "01", ""]), max_size=8
    )
)
def test_any_lines_are_a_certificate_of_one_spelling_or_refused(lines):
    text = "\n".join(lines)
    try:
        one = Certificate.parse(text, "certificate")
    except AuditError:
        return
    assert one.text() == text
