"""A disk that fails or fills up: no false acknowledgement, no ticket without an answer, no damage to the log."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_faults import FaultyDisk, check, entries, goes_on, open_log, segment_paths

from surgical_ml.audit import AuditError, AuditWriter, Disk, verify, wal

FULL = OSError(errno.ENOSPC, "No space left on device")
BROKEN = OSError(errno.EIO, "Input/output error")
FAULTS = st.sampled_from([FULL, BROKEN, RuntimeError("something else"), MemoryError()])


class FullDisk(Disk):
    """Has room for new files only as far as a reserve was given back."""

    def __init__(self, reserve: Path) -> None:
        self.reserve, self.full, self.freed, self.used = reserve, False, 0, 0

    def create(self, path, size, header):
        if self.full:
            if self.used + size > self.freed:
                raise FULL
            self.used += size
        return super().create(path, size, header)

    def shrink(self, path, size):
        before = path.stat().st_size if path.exists() else 0
        super().shrink(path, size)
        self.freed += before - size


def armed(folder: Path, disk: FaultyDisk, **options: object) -> AuditWriter:
    writer = AuditWriter(folder, disk=disk, **options)
    disk.armed = True
    return writer


# The calls of a running writer are write, flush, write, flush, ...
@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_failed_write_or_flush_ends_its_segment_and_the_batch_is_written_again(tmp_path, call):
    disk = FaultyDisk({call: BROKEN})
    with armed(tmp_path, disk) as writer:
        tickets = []
        for n in range(4):
            tickets.append(writer.append("event", {"name": str(n)}, urgent=True))
            assert tickets[-1].wait(20)
        assert writer.failed == ""
    check(tmp_path, {ticket.seq: str(n) for n, ticket in enumerate(tickets)})
    assert len(segment_paths(tmp_path)) == 2
    told = [entry["body"] for entry in entries(tmp_path) if entry["type"] == "recovery.segment-failed"]
    assert told == [{"segment": 0, "why": "Input/output error"}]
    # After a failed flush the kernel may call lost pages clean: nothing that it says of that file may be believed.
    assert disk.used_again == []
    goes_on(tmp_path)


def test_what_a_failed_flush_left_behind_is_no_damage_whatever_became_of_it(tmp_path):
    disk = FaultyDisk({4: BROKEN})
    with armed(tmp_path / "log", disk) as writer:
        assert writer.append("event", {"name": "durable"}, urgent=True).wait(20)
        again = writer.append("event", {"name": "again"}, urgent=True)
        assert again.wait(20)
    first = segment_paths(tmp_path / "log")[0]
    data = first.read_bytes()
    lost = data.index(b'"again"')
    for k, content in enumerate([data[:lost] + bytes(len(data) - lost), data[:lost] + b"\xff" * 9 + data[lost + 9 :]]):
        folder = Path(shutil.copytree(tmp_path / "log", tmp_path / str(k)))
        segment_paths(folder)[0].write_bytes(content)
        check(folder, {0: "durable", again.seq: "again"})
        goes_on(folder)
    # What was durable in it is another matter.
    segment_paths(tmp_path / "log")[0].write_bytes(data.replace(b"durable", b"DURABLE"))
    assert not verify(tmp_path / "log").ok


@pytest.mark.parametrize("fault", [FULL, BROKEN, RuntimeError("something else"), MemoryError()])
def test_a_disk_that_stays_broken_settles_every_ticket_with_the_reason(tmp_path, fault):
    disk = FaultyDisk({5: fault}, for_ever=True)
    with armed(tmp_path, disk) as writer:
        assert writer.append("event", {"name": "good"}, urgent=True).wait(20)
        later = [writer.append("event", {"name": str(n)}) for n in range(300)]
        for ticket in later:
            ticket.wait(20)
            assert ticket.decided
        lost = [ticket for ticket in later if not ticket.durable]
        assert lost
        assert {ticket.failed for ticket in lost} == {writer.failed}
        assert writer.failed in (str(getattr(fault, "strerror", fault)), "MemoryError")
        refused = writer.append("event", {})
        assert refused.decided
        assert refused.failed == writer.failed
    assert verify(tmp_path).ok
    assert entries(tmp_path)[0]["body"] == {"name": "good"}
    goes_on(tmp_path)


@settings(max_examples=60)
@given(
    st.dictionaries(st.integers(1, 30), FAULTS, max_size=4),
    st.lists(st.booleans(), min_size=1, max_size=25),
    st.sampled_from([900, 2000, 10_000]),
)
def test_whatever_fails_each_ticket_is_answered_and_answered_truly(tmp_path_factory, faults, urgencies, segment_bytes):
    folder = tmp_path_factory.mktemp("faults")
    disk = FaultyDisk(faults)
    acknowledged = {}
    with armed(folder, disk, segment_bytes=segment_bytes) as writer:
        tickets = []
        for n, urgent in enumerate(urgencies):
            tickets.append(writer.append("event", {"name": str(n), "text": "x" * (n * 13 % 200)}, urgent=urgent))
            if n % 3 == 0:
                tickets[-1].wait(20)
                assert tickets[-1].decided
        for n, ticket in enumerate(tickets):
            ticket.wait(20)
            assert ticket.decided
            if ticket.durable:
                acknowledged[ticket.seq] = str(n)
        disk.armed = False
    check(folder, acknowledged)
    assert disk.used_again == []
    goes_on(folder)


def test_a_listener_that_fails_does_no_harm_to_the_log(tmp_path):
    with AuditWriter(tmp_path, batch_ms=50) as writer:
        tickets = [writer.append("event", {}) for _ in range(5)]
        heard = []

        def fail() -> None:
            heard.append(1)
            raise RuntimeError("the node is gone")

        for ticket in tickets:
            ticket.when_settled(fail)
        assert all(ticket.wait(20) for ticket in tickets)
        assert writer.append("event", {}, urgent=True).wait(20)
        assert heard
        assert writer.failed == ""
    assert verify(tmp_path).entries == 6


def test_a_disk_without_room_for_a_segment_refuses_the_case(tmp_path):
    disk = FaultyDisk({1: FULL})
    disk.armed = True
    with pytest.raises(AuditError, match="expected room for an audit log, found No space left on device"):
        AuditWriter(tmp_path, disk=disk)
    assert list((tmp_path / wal.FOLDER).iterdir()) == []
    with open_log(tmp_path, [{}]):
        pass


def test_the_reserve_carries_a_case_on_when_the_disk_is_full(tmp_path):
    reserve = tmp_path / "private" / "reserve"

    disk = FullDisk(reserve)
    with AuditWriter(tmp_path, disk=disk, segment_bytes=4000, reserve_bytes=16_000) as writer:
        assert reserve.stat().st_size == 16_000
        disk.full = True
        tickets = []
        while not (refused := writer.append("event", {"name": str(len(tickets))})).decided:
            tickets.append(refused)
            assert tickets[-1].wait(20)
        assert refused.failed == "the disk is full: what room is left is kept for safety events"
        # The last part of the reserve is for what must not be missing.
        assert not reserve.exists()
        safety = writer.append("event", {"name": "safety"}, urgent=True)
        assert safety.wait(20)
        assert writer.failed == ""
    check(tmp_path, {ticket.seq: str(n) for n, ticket in enumerate(tickets)} | {safety.seq: "safety"})
    kinds = [entry["type"] for entry in entries(tmp_path)]
    assert kinds.count("recovery.segment-failed") == kinds.count("space-low") == 4
    told = [entry["body"] for entry in entries(tmp_path) if entry["type"] in ("space-low", "gap")]
    assert [body["reserve_bytes"] for body in told[:4]] == [12_000, 8_000, 4_000, 0]
    assert [body["safety_only"] for body in told[:4]] == [False, False, False, True]
    assert told[4]["count"] == 1
    assert told[4]["types"] == [["event", 1]]


def test_the_reserve_of_a_closed_log_is_given_back(tmp_path):
    with open_log(tmp_path, [{}], reserve_bytes=5000):
        assert (tmp_path / "private" / "reserve").exists()
    assert not (tmp_path / "private" / "reserve").exists()


@pytest.mark.parametrize("call", ["finish", "close"])
def test_a_disk_that_breaks_at_the_very_end_holds_nothing_back(tmp_path, call):
    class BreaksAtTheEnd(Disk):
        def __getattribute__(self, name):
            if name == call:
                raise BROKEN
            return super().__getattribute__(name)

    with open_log(tmp_path, [{"name": "0"}], disk=BreaksAtTheEnd()):
        pass
    check(tmp_path, {0: "0"})
    goes_on(tmp_path)


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("reserve_bytes", [0, 200_000])
def test_on_a_real_disk_that_fills_up_what_was_acknowledged_stays(small_disk, reserve_bytes):
    log = small_disk / "log"
    acknowledged = {}
    with AuditWriter(log, segment_bytes=100_000, reserve_bytes=reserve_bytes) as writer:
        (small_disk / "ballast").write_bytes(bytes(600_000 - reserve_bytes))
        for n in range(200):
            ticket = writer.append("event", {"name": str(n), "text": "x" * 10_000}, urgent=True)
            if not ticket.wait(20):
                break
            acknowledged[ticket.seq] = str(n)
        assert ticket.failed == writer.failed == "No space left on device"
        assert 20 < len(acknowledged) < 60
    check(log, acknowledged)
    with pytest.raises(AuditError, match="No space left on device"):
        AuditWriter(log, segment_bytes=200_000)
    check(log, acknowledged)
    (small_disk / "ballast").unlink()
    goes_on(log)


LIMITED = """
import resource, sys
from pathlib import Path
from surgical_ml.audit import AuditWriter

with AuditWriter(Path(sys.argv[1]), segment_bytes=100_000) as writer:
    # As the limit of a file system or a quota would, but without the right to set one up.
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
    for n in range(100):
        ticket = writer.append("event", {"name": str(n), "text": "x" * 1_000}, urgent=True)
        if not ticket.wait(20):
            print(ticket.failed, file=sys.stderr)
            break
        print(ticket.seq, n, flush=True)
"""


def test_at_a_limit_of_the_system_what_was_acknowledged_stays(tmp_path):
    done = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, check=True)
    assert done.stderr == "File too large\n"
    acknowledged = dict(line.split() for line in done.stdout.splitlines())
    assert len(acknowledged) > 20
    check(tmp_path, {int(seq): name for seq, name in acknowledged.items()})
    goes_on(tmp_path)
