"""A log that nothing goes wrong with: what is appended is read, in order, across segments and writers."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_faults import RecordingDisk, entries, open_log, segment_paths

from surgical_ml.audit import AuditError, AuditWriter, read, verify, wal
from surgical_ml.audit.clock import ERROR_UNKNOWN_US, ClockState
from surgical_ml.audit.entry import LARGEST, VERSION

KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20)
BODIES = st.dictionaries(KEYS, LEAVES | st.lists(LEAVES, max_size=3), max_size=4)
NAMES = st.text(max_size=10)
FREE = ClockState(False, ERROR_UNKNOWN_US)


@settings(max_examples=25)
@given(st.lists(st.tuples(NAMES, NAMES, NAMES, BODIES, st.booleans()), max_size=20), st.integers(300, 3000))
def test_what_is_appended_is_read_in_order(tmp_path_factory, given_entries, segment_bytes):
    folder = tmp_path_factory.mktemp("log")
    with AuditWriter(folder, segment_bytes=segment_bytes, boot="this one") as writer:
        for number, (kind, case, actor, body, urgent) in enumerate(given_entries):
            ticket = writer.append(kind, body, case=case, actor=actor, urgent=urgent)
            assert ticket.seq == number
    read_back = [(e["type"], e["case"], e["actor"], e["body"]) for e in entries(folder)]
    assert read_back == [one[:4] for one in given_entries]
    report = verify(folder)
    assert report.ok
    assert not report.torn_tail
    assert report.entries == len(given_entries)


def test_an_entry_says_when_by_both_clocks_and_which_boot(tmp_path):
    utc_ns = 1_900_000_000_123_456_789
    with open_log(tmp_path, [{}], clock_ns=lambda: utc_ns, monotonic_ns=lambda: 17, boot="b"):
        pass
    (entry,) = entries(tmp_path)
    assert (entry["t_utc"], entry["t_mono"], entry["boot"], entry["v"]) == (str(utc_ns), 17, "b", VERSION)


def test_the_head_of_an_open_log_is_that_of_its_reader(tmp_path):
    with open_log(tmp_path, [{"n": n} for n in range(3)]) as writer:
        count, head = writer.head
        report = verify(tmp_path)
    assert (report.entries, report.head) == (count, head)
    assert verify(tmp_path).head == head


def test_a_log_grows_into_new_segments(tmp_path):
    with open_log(tmp_path, [{"n": n} for n in range(12)], segment_bytes=1000):
        pass
    assert len(segment_paths(tmp_path)) > 3
    assert verify(tmp_path).segments == len(segment_paths(tmp_path))
    assert [entry["body"]["n"] for entry in entries(tmp_path)] == list(range(12))


def test_a_closed_log_gives_back_what_was_preallocated(tmp_path):
    with open_log(tmp_path, [{}]):
        assert segment_paths(tmp_path)[0].stat().st_size == wal.SEGMENT_BYTES
    assert segment_paths(tmp_path)[0].stat().st_size < 1000


def test_a_log_is_continued_by_the_next_writer(tmp_path):
    for life in range(4):
        with open_log(tmp_path, [{"life": life}] * 3, segment_bytes=2000) as writer:
            assert writer.head[0] == 3 * (life + 1)
            assert segment_paths(tmp_path)[-1].stat().st_size == 2000
    assert [entry["body"]["life"] for entry in entries(tmp_path)] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert len({entry["boot"] for entry in entries(tmp_path)}) == 4
    assert verify(tmp_path).ok


def test_an_empty_log_is_whole(tmp_path):
    AuditWriter(tmp_path).close()
    report = verify(tmp_path)
    assert (report.ok, report.entries, report.head) == (True, 0, "0" * 64)


def test_where_there_is_no_log_there_is_nothing_to_verify(tmp_path):
    with pytest.raises(AuditError, match="expected an audit log, found none"):
        verify(tmp_path)
    with pytest.raises(AuditError, match="expected an audit log"):
        next(read(tmp_path))


def test_a_second_writer_is_refused_until_the_first_has_closed(tmp_path):
    with open_log(tmp_path, [{"n": 1}]):
        with pytest.raises(AuditError, match="another writer"):
            AuditWriter(tmp_path)
        other = "import sys; from pathlib import Path; from surgical_ml.audit import AuditWriter; "
        other += "AuditWriter(Path(sys.argv[1]))"
        done = subprocess.run([sys.executable, "-c", other, tmp_path], capture_output=True, text=True, check=False)
        assert "another writer" in done.stderr
    with open_log(tmp_path, [{"n": 2}]):
        pass
    assert [entry["body"]["n"] for entry in entries(tmp_path)] == [1, 2]


def test_closing_twice_is_closing_once(tmp_path):
    writer = AuditWriter(tmp_path)
    writer.close()
    writer.close()
    assert writer.append("event", {}).failed == "closed"


def test_closing_writes_what_is_queued(tmp_path):
    disk = RecordingDisk()
    writer = AuditWriter(tmp_path, disk=disk)
    disk.free.clear()
    tickets = [writer.append("event", {"n": n}) for n in range(300)]
    disk.free.set()
    writer.close()
    assert all(ticket.durable for ticket in tickets)
    assert verify(tmp_path).entries == 300


def test_entries_that_wait_share_one_flush(tmp_path):
    disk = RecordingDisk()
    with AuditWriter(tmp_path, disk=disk) as writer:
        disk.free.clear()
        first = writer.append("event", {}, urgent=True)
        assert disk.busy.wait(20)
        waiting = [writer.append("event", {"n": n}) for n in range(100)]
        assert not first.decided
        disk.free.set()
        assert all(ticket.wait(20) for ticket in waiting)
    # One alone, 64, and the rest: the last write is the end of the closed segment.
    assert len(disk.writes) == 4


def test_on_a_slow_disk_appending_waits_for_nothing(tmp_path):
    disk = RecordingDisk()
    with AuditWriter(tmp_path, disk=disk) as writer:
        disk.free.clear()
        # Were one of these to wait for the disk, it would wait for ever.
        tickets = [writer.append("event", {"n": n}) for n in range(2000)]
        assert not any(ticket.decided for ticket in tickets)
        disk.free.set()
        assert all(ticket.wait(20) for ticket in tickets)
    assert verify(tmp_path).entries == 2000


def test_more_entries_than_can_wait_are_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("surgical_ml.audit.writer.QUEUE_ENTRIES", 10)
    disk = RecordingDisk()
    with AuditWriter(tmp_path, disk=disk) as writer:
        disk.free.clear()
        writer.append("event", {}, urgent=True)
        assert disk.busy.wait(20)
        kept = [writer.append("event", {}) for _ in range(10)]
        refused = writer.append("event", {})
        assert refused.failed == "too many entries wait for the disk"
        disk.free.set()
        assert all(ticket.wait(20) for ticket in kept)
        late = writer.append("event", {}, urgent=True)
        assert late.wait(20)
        # What is missing has an entry of its own, in its place.
        assert late.seq == kept[-1].seq + 2
    told = entries(tmp_path)[-2]
    assert (told["type"], told["body"]["count"], told["body"]["types"]) == ("gap", 1, [["event", 1]])
    assert verify(tmp_path).entries == 13


def largest_text(folder: Path) -> int:
    clocks = {"clock_ns": lambda: 10**18, "monotonic_ns": lambda: 10**9, "clock_state": lambda: FREE}
    with open_log(folder, [{"t": ""}], boot="b", **clocks):
        pass
    (path,) = segment_paths(folder)
    (record,) = wal.scan(wal.segments(folder)[0]).records
    assert path.stat().st_size == record.end + len(wal.END)
    return LARGEST - len(record.payload)


def test_an_entry_of_the_largest_size_is_kept_and_one_byte_more_is_refused_by_its_ticket(tmp_path):
    fits = largest_text(tmp_path / "empty")
    folder = tmp_path / "log"
    clocks = {"boot": "b", "clock_ns": lambda: 10**18, "monotonic_ns": lambda: 10**9, "clock_state": lambda: FREE}
    with AuditWriter(folder, **clocks) as writer:
        assert writer.append("event", {"t": "x" * fits}, urgent=True).wait(20)
        refused = writer.append("event", {"t": "x" * (fits + 1)}, urgent=True)
        assert not refused.wait(20)
        assert refused.failed == "entry 1: expected at most 65535 bytes, found 65536"
        last = writer.append("event", {"t": "after"}, urgent=True)
        assert last.wait(20)
        assert last.seq == 2
    kept = entries(folder)
    assert kept[0]["body"] == {"t": "x" * fits}
    # The number of the one that was refused is not lost without a trace.
    assert kept[1]["type"] == "refused"
    assert kept[1]["body"] == {"type": "event", "why": refused.failed}
    assert kept[2]["body"] == {"t": "after"}
    assert verify(folder).ok


@pytest.mark.parametrize("field", ["type", "case", "actor"])
def test_an_entry_with_an_endless_name_is_refused_by_its_ticket(tmp_path, field):
    given_texts = {"type": "event", "case": "", "actor": "somebody"} | {field: "n" * 70_000}
    with AuditWriter(tmp_path) as writer:
        refused = writer.append(given_texts.pop("type"), {}, urgent=True, **given_texts)
        assert not refused.wait(20)
        assert writer.append("event", {}, urgent=True).wait(20)
    assert [entry["type"] for entry in entries(tmp_path)] == ["refused", "event"]


@pytest.mark.parametrize("field", ["type", "case", "actor", "body"])
def test_what_has_no_canonical_form_is_refused_before_it_is_queued(tmp_path, field):
    given_texts = {"type": "event", "case": "", "actor": "somebody", "body": {}}
    given_texts[field] = {"t": "\ud800"} if field == "body" else "\ud800"
    with AuditWriter(tmp_path) as writer:
        with pytest.raises(AuditError, match="lone surrogate"):
            writer.append(
                given_texts["type"], given_texts["body"], case=given_texts["case"], actor=given_texts["actor"]
            )
        assert writer.append("event", {}, urgent=True).wait(20)
    assert verify(tmp_path).ok


def nested(levels: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(levels - 1):
        value = {"in": value}
    return value


def test_a_body_as_deep_as_may_be_is_read_back_and_a_deeper_one_is_refused(tmp_path):
    with AuditWriter(tmp_path) as writer:
        assert writer.append("event", nested(31), urgent=True).wait(20)
        with pytest.raises(AuditError, match="at most 32 levels"):
            writer.append("event", nested(32))
    assert entries(tmp_path)[0]["body"] == nested(31)


def test_a_place_that_cannot_hold_a_log_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(AuditError, match="a place for an audit log"):
        AuditWriter(tmp_path / "file")


def test_a_writer_that_could_not_begin_holds_nothing(tmp_path):
    before = set(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        with pytest.raises(AuditError, match="room for an audit log"):
            AuditWriter(tmp_path, reserve_bytes=2**62)
    assert set(Path("/proc/self/fd").iterdir()) == before
    with open_log(tmp_path, [{}]):
        pass
    assert verify(tmp_path).ok
