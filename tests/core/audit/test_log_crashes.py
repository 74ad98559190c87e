"""A writer that dies, or a machine that loses power: what was acknowledged is there, and the log goes on."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_faults import (
    WRITER,
    RecordingDisk,
    check,
    entries,
    goes_on,
    kill_campaign,
    note,
    open_log,
    recovers,
    segment_paths,
)

from surgical_ml.audit import AuditWriter, verify, wal

KILLS = 20
SECTOR = 512


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A log of three entries as a writer has it while it is open: preallocated to its end."""
    folder = tmp_path_factory.mktemp("interrupted")
    with open_log(folder / "log", [{"n": n} for n in range(3)], segment_bytes=1500):
        shutil.copytree(folder / "log", folder / "open")
    return folder / "open"


def last_record(folder: Path) -> wal.Record:
    return wal.scan(wal.segments(folder)[-1]).records[-1]


@pytest.mark.parametrize("preallocated", [True, False])
def test_an_end_torn_at_any_byte_costs_nothing_that_was_acknowledged(interrupted, tmp_path, preallocated):
    last = last_record(interrupted)
    data = segment_paths(interrupted)[0].read_bytes()
    for at in range(last.start, last.end):
        folder = Path(shutil.copytree(interrupted, tmp_path / str(at)))
        rest = bytes(len(data) - at) if preallocated else b""
        segment_paths(folder)[0].write_bytes(data[:at] + rest)
        report = verify(folder)
        assert (report.ok, report.entries, report.torn_tail) == (True, 2, at > last.start), at
        assert [entry["body"]["n"] for entry in entries(folder)] == [0, 1]
        # Where the end begins is all that a writer takes from it, so a few show that it goes on from there.
        if (at - last.start) % 16 in (0, 1):
            goes_on(folder)
            assert [entry["body"].get("n") for entry in entries(folder)[:2]] == [0, 1]
        shutil.rmtree(folder)


def test_the_cut_off_end_is_noted_in_the_log(interrupted, tmp_path):
    folder = Path(shutil.copytree(interrupted, tmp_path / "log"))
    last = last_record(folder)
    data = segment_paths(folder)[0].read_bytes()
    segment_paths(folder)[0].write_bytes(data[: last.end - 1] + bytes(len(data) - last.end + 1))
    AuditWriter(folder).close()
    noted = entries(folder)[-1]
    assert (noted["type"], noted["body"]) == ("recovery.torn-tail", {"segment": 0, "byte": last.start})


def test_the_file_after_a_recovery_holds_nothing_of_the_torn_end(interrupted, tmp_path):
    folder = Path(shutil.copytree(interrupted, tmp_path / "log"))
    last = last_record(folder)
    data = segment_paths(folder)[0].read_bytes()
    segment_paths(folder)[0].write_bytes(data[: last.start + 20] + b"x" * (len(data) - last.start - 20))
    with AuditWriter(folder, segment_bytes=1500) as writer:
        assert writer.append("event", {}, urgent=True).wait(20)
        assert b"xxxx" not in segment_paths(folder)[0].read_bytes()
    assert verify(folder).ok


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    """What a writer wrote, batch by batch: (place in the file, bytes, entries durable before it)."""
    folder = tmp_path_factory.mktemp("batches")
    disk = RecordingDisk()
    with AuditWriter(folder, disk=disk) as writer:
        for size in (1, 2, 9, 30):
            disk.free.clear()
            disk.busy.clear()
            # The first entry holds the disk, so that the others become one batch.
            writer.append("event", {"n": -size}, urgent=True)
            assert disk.busy.wait(20)
            tickets = [writer.append("event", {"n": n, "text": "x" * (37 * n)}, urgent=True) for n in range(size)]
            disk.free.set()
            assert all(ticket.wait(20) for ticket in tickets)
        written = list(disk.writes)
    header = segment_paths(folder)[0].read_bytes()[: wal.HEADER_BYTES]
    counts = [data.count(b'"type":"event"') for _, data in written]
    assert counts == [1, 1, 1, 2, 1, 9, 1, 30]
    return header, [(at, data, sum(counts[:k])) for k, (at, data) in enumerate(written)]


@settings(max_examples=60)
@given(st.data())
def test_whatever_part_of_the_last_batch_a_power_cut_leaves_the_log_goes_on(tmp_path_factory, batches, data):
    """Sectors of what was not flushed reach the disk in any order, or not at all."""
    header, written = batches
    last = data.draw(st.integers(0, len(written) - 1), label="batch")
    image = bytearray(80_000)
    image[: len(header)] = header
    for at, content, _ in written[:last]:
        image[at : at + len(content)] = content
    at, content, durable = written[last]
    whole = bytearray(image)
    whole[at : at + len(content)] = content
    first, end = at // SECTOR, -(-(at + len(content)) // SECTOR)
    for sector in range(first, end):
        if data.draw(st.booleans(), label=f"sector {sector}"):
            image[sector * SECTOR : (sector + 1) * SECTOR] = whole[sector * SECTOR : (sector + 1) * SECTOR]
    folder = tmp_path_factory.mktemp("cut")
    (folder / wal.FOLDER).mkdir(parents=True)
    (folder / wal.FOLDER / wal.name(0)).write_bytes(image)
    report = verify(folder)
    assert report.ok, report.problems
    assert report.entries >= durable
    goes_on(folder)


def test_a_hole_before_the_last_batch_is_no_power_cut(batches, tmp_path):
    header, written = batches
    image = bytearray(80_000)
    image[: len(header)] = header
    for at, content, _ in written:
        image[at : at + len(content)] = content
    for at, content, _ in written[:-1]:
        broken = bytearray(image)
        broken[at + len(content) // 2 : at + len(content) // 2 + 8] = bytes(8)
        folder = tmp_path / str(at)
        (folder / wal.FOLDER).mkdir(parents=True)
        (folder / wal.FOLDER / wal.name(0)).write_bytes(broken)
        assert not verify(folder).ok
        assert not recovers(folder)


def test_a_segment_that_was_only_begun_is_begun_again(tmp_path):
    with open_log(tmp_path, [{"n": n} for n in range(3)], segment_bytes=1500):
        pass
    (tmp_path / wal.FOLDER / "000001.new").write_bytes(b"half a head")
    with open_log(tmp_path, [{"n": n} for n in range(3, 9)], segment_bytes=1500):
        pass
    assert [entry["body"]["n"] for entry in entries(tmp_path)] == list(range(9))
    assert verify(tmp_path).ok


def test_killed_at_any_moment_a_writer_has_kept_every_entry_that_it_acknowledged(tmp_path):
    assert kill_campaign(tmp_path / "log", kills=KILLS) > KILLS
    goes_on(tmp_path / "log")


@pytest.mark.parametrize("how", ["before", "torn"])
def test_killed_at_any_call_a_writer_has_kept_every_entry_that_it_acknowledged(tmp_path, how):
    subprocess.run([sys.executable, WRITER, "calls", tmp_path, how], check=True)
    told = sorted(tmp_path.glob("*.acknowledged"))
    kept = 0
    for path in told:
        acknowledged: dict[int, str] = {}
        for line in path.read_text().splitlines(keepends=True):
            note(acknowledged, line)
        folder = path.with_suffix("")
        if segment_paths(folder):
            check(folder, acknowledged)
            goes_on(folder)
        else:
            assert not acknowledged
            with open_log(folder, [{}]):
                pass
        kept += len(acknowledged)
    assert len(told) > 40
    assert kept > len(told)
