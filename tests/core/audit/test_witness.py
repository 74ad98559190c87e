"""The witness: it signs what begins with what it has signed before, and shows what was taken away since."""

import shutil
import socket

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from made_logs import running_witness, some_bodies, write_log

from surgical_ml.audit import AuditError
from surgical_ml.audit.courier import Courier
from surgical_ml.audit.keys import Keyring
from surgical_ml.audit.note import Note, VerifierKey, check
from surgical_ml.audit.prove import Growth, prove_growth
from surgical_ml.audit.public import newest, read_bytes
from surgical_ml.audit.verify import UNWITNESSED, verify
from surgical_ml.audit.witness import Witness

SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def keyring(tmp_path):
    return Keyring(tmp_path / "keys")


@pytest.fixture
def log(tmp_path, keyring):
    return write_log(tmp_path / "log", keyring, some_bodies(5))


@pytest.fixture
def witness(tmp_path, keyring):
    return Witness(tmp_path / "witness", "witness.example", SECRET, [keyring.first])


def introduced(witness: Witness, log) -> Witness:
    for path in sorted((log / "keys").glob("*.cert")):
        assert witness.add_key(read_bytes(path)).status == 200
    return witness


def test_a_witness_on_another_host_signs_a_log_as_it_grows(tmp_path, keyring, log):
    with running_witness(tmp_path / "witness", keyring) as (witness, url):
        courier = Courier(url, witness.key)
        first = courier.deliver(log)
        write_log(log, keyring, some_bodies(300, 5))
        second = courier.deliver(log)
        assert courier.deliver(log) == second > first
        seen = courier.seen(newest(log).checkpoint.origin)
    assert seen is not None
    assert seen.checkpoint == newest(log).checkpoint
    note = Note.parse((log / "witnessed" / f"{second}.note").read_bytes(), "note")
    assert check(note, [witness.key], "note") == (witness.key,)
    report = verify(log, pins={keyring.key.fingerprint}, witnesses=[witness.key], seen=[seen])
    assert (report.ok, report.faults, report.unprovable) == (True, (), ())


def test_a_log_put_back_is_whole_by_itself_and_caught_with_the_witness(tmp_path, keyring, log):
    """Tail truncation and rollback: an older state with its own, valid checkpoint."""
    older = shutil.copytree(log, tmp_path / "older")
    size = newest(older).checkpoint.size
    write_log(log, keyring, some_bodies(4, 5))
    with running_witness(tmp_path / "witness", keyring) as (witness, url):
        courier = Courier(url, witness.key)
        courier.deliver(log)
        seen = courier.seen(newest(older).checkpoint.origin)
        with pytest.raises(AuditError, match=rf"entries that witness.example has seen, found {size} entries"):
            courier.deliver(older)
    alone = verify(older, pins={keyring.key.fingerprint})
    assert alone.ok
    assert UNWITNESSED in alone.unprovable
    assert seen is not None
    caught = verify(older, pins={keyring.key.fingerprint}, seen=[seen])
    assert [(fault.file, fault.entry) for fault in caught.faults] == [("checkpoint", size)]


def test_a_fork_is_whole_by_itself_and_caught_with_the_witness(tmp_path, keyring, log):
    fork = shutil.copytree(log, tmp_path / "fork")
    write_log(log, keyring, some_bodies(4, 5))
    write_log(fork, keyring, some_bodies(4, 50))
    with running_witness(tmp_path / "witness", keyring) as (witness, url):
        courier = Courier(url, witness.key)
        courier.deliver(log)
        with pytest.raises(AuditError, match=r"witness\.example"):
            courier.deliver(fork)
        seen = courier.seen(newest(fork).checkpoint.origin)
    assert seen is not None
    assert verify(fork).ok
    assert not verify(fork, seen=[seen]).ok


def test_what_cannot_be_delivered_is_delivered_when_the_witness_is_there_again(tmp_path, keyring, log):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    away = Courier(nobody, VerifierKey.of("witness.example", SECRET), timeout_s=60)
    with pytest.raises(OSError, match="refused"):
        away.deliver(log)
    with running_witness(tmp_path / "witness", keyring) as (witness, url):
        assert Courier(url, witness.key).deliver(log) == newest(log).checkpoint.size


def test_a_witness_remembers_over_its_own_restart(tmp_path, keyring, log, witness):
    growth, _ = prove_growth(log, 0)
    assert introduced(witness, log).add_checkpoint(growth.encode(), 1000).status == 200
    again = Witness(tmp_path / "witness", "witness.example", SECRET, [keyring.first])
    assert again.add_checkpoint(growth.encode(), 1000).status == 409
    head = newest(log).checkpoint
    assert again.latest(head.origin).status == 200
    same, _ = prove_growth(log, head.size)
    assert again.add_checkpoint(same.encode(), 1001).status == 200


def test_a_witness_follows_the_rotation_of_a_device_key(tmp_path, keyring):
    keyring.rotate(5)
    log = write_log(tmp_path / "log", keyring, some_bodies(3))
    with running_witness(tmp_path / "witness", keyring) as (witness, url):
        assert Courier(url, witness.key).deliver(log) == newest(log).checkpoint.size
    again = Witness(tmp_path / "witness", "witness.example", SECRET, [keyring.first])
    same, _ = prove_growth(log, newest(log).checkpoint.size)
    assert again.add_checkpoint(same.encode(), 1).status == 200


def test_each_refusal_has_the_status_of_the_protocol(tmp_path, keyring, log, witness):
    growth, head = prove_growth(log, 0)
    body = growth.encode()
    assert witness.add_checkpoint(body, 1).status == 404
    assert witness.latest(head.checkpoint.origin).status == 404
    introduced(witness, log)
    assert witness.add_checkpoint(b"what", 1).status == 400
    forged = body.replace(b"\n\n", b"\n\nanother ", 1)
    assert witness.add_checkpoint(forged, 1).status in (400, 404)
    swapped = bytearray(body)
    swapped[-10] ^= 1
    assert witness.add_checkpoint(bytes(swapped), 1).status in (400, 403)
    larger = Growth(head.checkpoint.size + 1, (), growth.note)
    assert witness.add_checkpoint(larger.encode(), 1).status == 400
    unfounded = Growth(2, growth.hashes, growth.note)
    assert witness.add_checkpoint(unfounded.encode(), 1).status == 409
    assert witness.add_checkpoint(Growth(0, (bytes(32),), growth.note).encode(), 1).status == 422
    assert witness.add_checkpoint(body, 1).status == 200
    write_log(log, keyring, some_bodies(2, 9))
    introduced(witness, log)
    later, _ = prove_growth(log, head.checkpoint.size)
    wrong = Growth(later.old, later.hashes[:-1], later.note)
    assert witness.add_checkpoint(wrong.encode(), 1).status == 422
    assert witness.add_checkpoint(later.encode(), 1).status == 200


def test_a_key_of_a_device_that_the_witness_does_not_know_is_refused(tmp_path, witness):
    stranger = Keyring(tmp_path / "strange")
    log = write_log(tmp_path / "strange-log", stranger, some_bodies(1))
    (certificate,) = (log / "keys").glob("*.cert")
    assert witness.add_key(read_bytes(certificate)).status == 403
    stranger.rotate(1)
    assert witness.add_key(stranger.rotations[0].encode()).status == 403
    with (
        running_witness(tmp_path / "running", Keyring(tmp_path / "keys")) as (known, url),
        pytest.raises(AuditError, match=r"a device that witness\.example knows"),
    ):
        Courier(url, known.key).deliver(log)


def test_a_witness_with_another_key_is_not_believed(tmp_path, keyring, log):
    with running_witness(tmp_path / "witness", keyring) as (_, url):
        other = VerifierKey.of("witness.example", Ed25519PrivateKey.generate(), 4)
        with pytest.raises(AuditError, match="a signature by a known key"):
            Courier(url, other).deliver(log)
    assert not (log / "witnessed").exists()


@given(st.binary(max_size=120))
def test_any_request_is_answered_and_nothing_is_signed_by_it(tmp_path_factory, body):
    folder = tmp_path_factory.mktemp("witness")
    witness = Witness(folder, "witness.example", SECRET, [])
    assert witness.add_checkpoint(body, 1).status in (400, 404)
    assert witness.add_key(body).status in (400, 403)
    assert list(folder.iterdir()) == []
