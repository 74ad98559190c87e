"""Signed notes and checkpoints: the examples that Go's note package publishes, and no other reading of any bytes."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.audit import AuditError
from surgical_ml.audit.note import (
    COSIGNATURE,
    Checkpoint,
    Note,
    Signature,
    VerifierKey,
    check,
    cosign,
    cosigned_at,
    sign,
)

NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_SECRET = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
SAID = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SUM_GOLANG_ORG = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"

SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOG = VerifierKey.of("example.org/log", SECRET)
WITNESS_SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
WITNESS = VerifierKey.of("example.org/witness", WITNESS_SECRET, COSIGNATURE)
HEAD = Checkpoint("example.org/log", 7, bytes(range(32)))
SIGNED = Note(HEAD.text(), (sign(HEAD.text(), LOG.name, SECRET),))


def test_the_note_that_go_publishes_is_read_checked_and_written_again():
    key = VerifierKey.parse(NEUMANN, "key")
    note = Note.parse(SAID.encode(), "note")
    assert check(note, [key], "note") == (key,)
    assert note.encode() == SAID.encode()
    assert key.text == NEUMANN


def test_the_published_signing_key_makes_the_published_signature():
    secret = Ed25519PrivateKey.from_private_bytes(NEUMANN_SECRET)
    text = SAID.rpartition("\n\n")[0] + "\n"
    assert VerifierKey.of("PeterNeumann", secret).text == NEUMANN
    assert Note(text, (sign(text, "PeterNeumann", secret),)).encode() == SAID.encode()


def test_the_key_of_the_go_checksum_database_has_its_published_id():
    assert VerifierKey.parse(SUM_GOLANG_ORG, "key").id.hex() == "033de0ae"


def test_a_checkpoint_is_its_origin_size_and_root_a_line_each():
    assert HEAD.text() == "example.org/log\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    assert Checkpoint.parse(HEAD.text(), "checkpoint") == HEAD


def test_a_witness_signs_the_time_and_the_checkpoint():
    line = cosign(HEAD.text(), WITNESS.name, WITNESS_SECRET, 1_700_000_000)
    assert cosigned_at(line) == 1_700_000_000
    both = Note(HEAD.text(), (*SIGNED.signatures, line))
    assert check(both, [LOG, WITNESS], "note") == (LOG, WITNESS)
    # The words that the specification has a witness sign.
    message = b"cosignature/v1\ntime 1700000000\n" + HEAD.text().encode()
    WITNESS_SECRET.public_key().verify(line.value[8:], message)


def test_a_cosignature_is_no_signature_of_the_log_and_a_signature_is_no_cosignature():
    as_log = VerifierKey.of(WITNESS.name, WITNESS_SECRET)
    line = cosign(HEAD.text(), WITNESS.name, WITNESS_SECRET, 5)
    assert as_log.id != WITNESS.id
    for forged in (Signature(WITNESS.name, as_log.id, line.value), Signature(WITNESS.name, as_log.id, line.value[8:])):
        with pytest.raises(AuditError, match=r"the signature of example\.org/witness"):
            check(Note(HEAD.text(), (forged,)), [as_log], "note")


def test_lines_of_unknown_keys_are_passed_over_but_do_not_count():
    other = sign(HEAD.text(), "stranger", WITNESS_SECRET)
    assert check(Note(HEAD.text(), (other, *SIGNED.signatures)), [LOG], "note") == (LOG,)
    with pytest.raises(AuditError, match=r"a signature by a known key, found stranger\+"):
        check(Note(HEAD.text(), (other,)), [LOG], "note")


def test_a_second_signature_by_one_key_is_refused():
    with pytest.raises(AuditError, match=r"one signature by example\.org/log, found two"):
        check(Note(HEAD.text(), SIGNED.signatures * 2), [LOG], "note")


def test_no_changed_bit_of_a_signed_checkpoint_is_accepted():
    """Every bit: the note is refused, or says what it said before by the same signature."""
    data = SIGNED.encode()
    for at in range(len(data)):
        for bit in range(8):
            changed = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            with pytest.raises(AuditError):
                check(Note.parse(changed, "note"), [LOG], "note")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_note_of_one_spelling_or_refused(data):
    try:
        note = Note.parse(data, "note")
    except AuditError:
        return
    assert note.encode() == data


NAMES = st.text(min_size=1, max_size=12).filter(
    lambda one: one.isprintable() and not any(c.isspace() or c == "+" for c in one)
)
LINES = st.text(st.characters(blacklist_categories=["Cc", "Cs"]), min_size=1, max_size=20)


@given(LINES, NAMES, st.lists(LINES, max_size=3), st.integers(0, 2**63 - 1))
def test_what_is_signed_is_read_again(origin, name, more, size):
    head = Checkpoint(origin, size, bytes(32), tuple(more))
    key = VerifierKey.of(name, SECRET)
    data = Note(head.text(), (sign(head.text(), name, SECRET),)).encode()
    note = Note.parse(data, "note")
    assert check(note, [VerifierKey.parse(key.text, "key")], "note") == (key,)
    assert Checkpoint.parse(note.text, "note") == head


@given(st.text(max_size=60))
def test_any_text_is_a_checkpoint_of_one_spelling_or_refused(text):
    try:
        head = Checkpoint.parse(text, "checkpoint")
    except AuditError:
        return
    assert head.text() == text


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        *("", "\n", "a\n", "a\n1\n", f"a\n1\n{ROOT}", f"\n1\n{ROOT}\n", f"a\n01\n{ROOT}\n", f"a\n-1\n{ROOT}\n"),
        *(
            f"a\n+1\n{ROOT}\n",
            f"a\n1 \n{ROOT}\n",
            f"a\n\u0661\n{ROOT}\n",
            f"a\n{2**63}\n{ROOT}\n",
            f"a\n{'9' * 5000}\n{ROOT}\n",
        ),
        *(
            f"a\n1\n{ROOT[:-1]}\n",
            f"a\n1\n{ROOT[4:]}\n",
            f"a\n1\n{ROOT[:-2]}B=\n",
            f"a\n1\n{ROOT}\n\n",
            f"a\n1\n {ROOT}\n",
        ),
    ],
)
def test_a_checkpoint_in_another_form_is_refused(text):
    with pytest.raises(AuditError):
        Checkpoint.parse(text, "checkpoint")


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "a+b", "a+c74f20a3+", NEUMANN[:-4], NEUMANN + "=", NEUMANN.replace("c74f", "C74F"), "x" + NEUMANN),
        *(NEUMANN.replace("+A", "+B"), NEUMANN + "\n", " " + NEUMANN, NEUMANN.replace("PeterNeumann", "Peter Neumann")),
    ],
)
def test_a_key_in_another_form_is_refused(text):
    with pytest.raises(AuditError):
        VerifierKey.parse(text, "key")


@given(st.text(max_size=60))
def test_any_text_is_refused_as_a_key_or_is_its_spelling(text):
    try:
        key = VerifierKey.parse(text, "key")
    except AuditError:
        return
    assert key.text == text


@pytest.mark.parametrize("name", ["", "two words", "a+b", "new\nline", "\u2003"])
def test_a_name_that_would_change_the_meaning_of_a_line_is_refused(name):
    with pytest.raises(AuditError, match="a name without spaces and pluses"):
        sign("text\n", name, SECRET)


def test_a_note_too_large_or_with_too_many_signatures_is_refused():
    with pytest.raises(AuditError, match="at most 65536 bytes"):
        Note.parse(bytes(65_537), "note")
    with pytest.raises(AuditError, match="at most 100 signatures, found 101"):
        Note.parse(Note("a\n", SIGNED.signatures * 101).encode(), "note")


def test_only_a_text_that_ends_with_its_line_is_signed():
    with pytest.raises(AuditError, match="ends with its line"):
        sign("text", "name", SECRET)
