"""Proofs that stand alone, and readers of a log that was given away."""

import shutil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_logs import some_bodies, write_log

from surgical_ml.audit import AuditError, AuditWriter, read
from surgical_ml.audit.keys import Keyring
from surgical_ml.audit.merkle import consistent
from surgical_ml.audit.note import VerifierKey
from surgical_ml.audit.prove import Growth, Proof, prove_entry, prove_growth
from surgical_ml.audit.public import kept_sizes, newest, published_entries
from surgical_ml.audit.reader import watch


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proved")
    keyring = Keyring(folder / "keyring")
    write_log(folder / "log", keyring, some_bodies(9))
    return write_log(folder / "log", keyring, some_bodies(290, 9))


@pytest.mark.parametrize("seq", [0, 5, 255, 256, 300])
def test_an_entry_is_proved_to_whoever_has_the_key_of_the_log(log, seq):
    entry, proof = prove_entry(log, seq)
    key = newest(log).keys
    again = Proof.parse(proof.encode(), "proof")
    assert again == proof
    assert again.check(entry, key, "proof").size == newest(log).checkpoint.size
    assert entry == list(published_entries(log, newest(log).checkpoint.size))[seq]


def test_a_proof_of_another_entry_or_by_another_key_is_refused(log):
    entry, proof = prove_entry(log, 7)
    key = newest(log).keys
    with pytest.raises(AuditError, match="a proof of something else"):
        proof.check(entry + b" ", key, "proof")
    with pytest.raises(AuditError, match="a proof of something else"):
        Proof(8, proof.hashes, proof.note).check(entry, key, "proof")
    with pytest.raises(AuditError, match="a signature by a known key"):
        proof.check(entry, [VerifierKey(key[0].name, 1, bytes(32))], "proof")


def test_no_changed_byte_of_a_proof_is_accepted(log):
    entry, proof = prove_entry(log, 7)
    data, key = proof.encode(), newest(log).keys
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1 << at % 7]) + data[at + 1 :]
        with pytest.raises(AuditError):
            Proof.parse(changed, "proof").check(entry, key, "proof")


def test_growth_from_every_kept_checkpoint_is_proved(log):
    sizes = [size for size, _ in kept_sizes(log)]
    assert len(sizes) > 1
    for size in sizes:
        growth, head = prove_growth(log, size)
        older = prove_growth(log, 0, to=size)[1].checkpoint
        assert consistent(size, older.root, head.checkpoint.size, head.checkpoint.root, growth.hashes)
        assert Growth.parse(growth.encode(), "growth") == growth


def test_what_no_checkpoint_covers_is_not_proved(log, tmp_path):
    with pytest.raises(AuditError, match="under the checkpoint, found none"):
        prove_entry(log, 100_000)
    with AuditWriter(tmp_path / "bare") as writer:
        assert writer.append("decision", {}).wait(60)
    with pytest.raises(AuditError, match="a log with a signed checkpoint"):
        prove_entry(tmp_path / "bare", 0)


PIECES = st.sampled_from(
    [
        *(b"c2sp.org/tlog-proof@v1\n", b"index 3\n", b"old 0\n", b"\n"),
        *(b"AAAA\n", b"origin\n1\n", b"\xe2\x80\x94 a b\n"),
    ]
)


@given(st.lists(PIECES | st.binary(max_size=20), max_size=8).map(b"".join))
@example(b"")
@example(b"\n\n")
@example(b"c2sp.org/tlog-proof@v1\n\n")
def test_any_bytes_are_a_proof_of_one_spelling_or_refused(data):
    for kind in (Proof, Growth):
        try:
            found = kind.parse(data, "proof")
        except AuditError:
            continue
        assert found.encode() == data


def test_a_log_that_was_given_away_reads_as_it_did(log, tmp_path):
    given_away = shutil.copytree(log, tmp_path / "given", ignore=shutil.ignore_patterns("private"))
    assert list(read(given_away)) == list(read(log))


def test_a_log_that_was_given_away_and_changed_is_read_up_to_the_change(log, tmp_path):
    given_away = shutil.copytree(log, tmp_path / "given", ignore=shutil.ignore_patterns("private"))
    path = given_away / "tile" / "entries" / "000"
    path.write_bytes(path.read_bytes().replace(b'"seq":9,', b'"seq":8,', 1))
    found = []
    with pytest.raises(AuditError, match="entry 9"):
        for seq, _ in read(given_away):
            found.append(seq)
    assert found == list(range(9))


def test_a_log_is_followed_while_it_is_written(tmp_path):
    with AuditWriter(tmp_path / "log") as writer:
        bodies = iter(range(3))

        def write_one() -> bool:
            """Instead of waiting for somebody else to write, write."""
            body = next(bodies, None)
            return body is not None and writer.append("decision", {"n": body}).wait(60)

        assert [values["body"]["n"] for _, values in watch(tmp_path / "log", write_one)] == [0, 1, 2]
