"""Time-stamps of a local authority: what it stamped is believed, and nothing else."""

import pytest
from made_logs import LocalAuthority, some_bodies, write_log

from surgical_ml.audit import AuditError
from surgical_ml.audit.keys import Keyring
from surgical_ml.audit.public import kept_sizes
from surgical_ml.audit.timestamp import check_token, stamp
from surgical_ml.audit.verify import verify


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return LocalAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def log(tmp_path):
    return write_log(tmp_path / "log", Keyring(tmp_path / "keys"), some_bodies(5))


def test_every_kept_checkpoint_is_stamped_once(log, authority):
    sizes = [size for size, _ in kept_sizes(log)]
    assert stamp(log, authority.ask, [authority.root]) == sizes[::-1]
    assert stamp(log, authority.ask, [authority.root]) == []
    for size in sizes:
        assert (
            check_token(log / "tsr" / f"{size}.tsr", log / "checkpoints" / f"{size}.note", [authority.root]).year > 2020
        )
    assert verify(log, authorities=[authority.root]).ok


def test_what_could_not_be_stamped_is_stamped_when_the_authority_is_there_again(log, authority):
    def away(request: bytes) -> bytes:
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        stamp(log, away, [authority.root])
    assert not (log / "tsr").exists()
    assert stamp(log, authority.ask, [authority.root], limit=1) == [max(size for size, _ in kept_sizes(log))]


def test_a_token_for_another_request_is_not_kept(log, authority, tmp_path):
    write_log(log, Keyring(tmp_path / "keys"), some_bodies(2))
    first = []

    def replaying(request: bytes) -> bytes:
        first.append(first[0] if first else authority.ask(request))
        return first[-1]

    with pytest.raises(AuditError, match="a time-stamp of the checkpoint by a known authority"):
        stamp(log, replaying, [authority.root])
    assert len(list((log / "tsr").iterdir())) == 1


def test_a_token_of_an_unknown_authority_is_not_kept(log, authority, tmp_path):
    other = LocalAuthority(tmp_path / "other", "other")
    with pytest.raises(AuditError, match="a known authority"):
        stamp(log, other.ask, [authority.root])
    assert not (log / "tsr").exists()


@pytest.mark.parametrize("answer", [b"", b"\x30\x00", b"no such page", bytes(2000)])
def test_an_answer_that_is_no_token_is_refused(log, authority, answer):
    with pytest.raises(AuditError):
        stamp(log, lambda request: answer, [authority.root])


def test_a_changed_token_is_told_of_by_its_file(log, authority):
    stamp(log, authority.ask, [authority.root], limit=1)
    (path,) = (log / "tsr").iterdir()
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        report = verify(log, authorities=[authority.root])
        assert [fault.file for fault in report.faults] == [f"tsr/{path.name}"], at
    path.write_bytes(whole + b"\x00")
    assert not verify(log, authorities=[authority.root]).ok
