"""What was changed, taken away or put elsewhere in a log is found."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_faults import entries, flip_campaign, open_log, segment_paths

from surgical_ml.audit import AuditError, AuditWriter, read, verify, wal
from surgical_ml.audit.entry import parse

FLIPS = 300


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A closed log of three segments; left as it is."""
    folder = tmp_path_factory.mktemp("whole") / "log"
    with open_log(folder, [{"n": n} for n in range(9)], segment_bytes=1200):
        pass
    assert verify(folder).ok
    assert len(segment_paths(folder)) >= 3
    return folder


@pytest.fixture
def log(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "log"))


def pieces(path: Path) -> tuple[bytes, list[bytes], bytes]:
    """A segment's header, its records, and what stands behind them."""
    data = path.read_bytes()
    segment = next(one for one in wal.segments(path.parents[2]) if one.path == path)
    records = wal.scan(segment).records
    return data[: wal.HEADER_BYTES], [data[one.start : one.end] for one in records], data[records[-1].end :]


def rewrite(path: Path, header: bytes, records: list[bytes], rest: bytes) -> None:
    path.write_bytes(header + b"".join(records) + rest)


def test_a_flipped_bit_in_a_closed_log_is_noticed(whole, tmp_path):
    assert flip_campaign(whole, tmp_path / "copy", count=FLIPS) == []


def test_a_flipped_bit_in_a_log_that_was_not_closed_is_noticed(tmp_path):
    with open_log(tmp_path / "log", [{"n": n} for n in range(6)], segment_bytes=2400):
        shutil.copytree(tmp_path / "log", tmp_path / "open")
    assert flip_campaign(tmp_path / "open", tmp_path / "copy", count=FLIPS) == []


@pytest.mark.parametrize("segment", [0, 1, 2])
def test_no_flip_in_a_closed_log_passes_for_a_torn_end(log, segment):
    path = segment_paths(log)[segment]
    data = path.read_bytes()
    for at in range(0, len(data) - len(wal.END), 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :])
        assert not verify(log).ok, at


def test_damage_is_told_with_its_file_and_byte(log):
    path = segment_paths(log)[1]
    header, records, rest = pieces(path)
    broken = bytearray(records[1])
    broken[-2] ^= 1
    rewrite(path, header, [records[0], bytes(broken), *records[2:]], rest)
    report = verify(log)
    at = wal.HEADER_BYTES + len(records[0])
    assert (report.faults[0].file, report.faults[0].byte) == (f"{wal.FOLDER}/{path.name}", at)
    # What stands before the damage still counts.
    assert report.entries == len(pieces(segment_paths(log)[0])[1]) + 1


def test_a_deleted_record_is_noticed_wherever_another_follows(whole, tmp_path):
    for place, path in enumerate(segment_paths(whole)):
        header, records, rest = pieces(path)
        last = place == len(segment_paths(whole)) - 1
        for k in range(len(records) - last):
            log = Path(shutil.copytree(whole, tmp_path / f"{place}-{k}"))
            rewrite(segment_paths(log)[place], header, records[:k] + records[k + 1 :], rest)
            assert not verify(log).ok, (place, k)


def test_a_duplicated_record_is_noticed(whole, tmp_path):
    for place, path in enumerate(segment_paths(whole)):
        header, records, rest = pieces(path)
        for k in range(len(records)):
            log = Path(shutil.copytree(whole, tmp_path / f"{place}-{k}"))
            rewrite(segment_paths(log)[place], header, records[: k + 1] + records[k:], rest)
            assert not verify(log).ok, (place, k)


def test_two_records_that_changed_places_are_noticed(whole, tmp_path):
    for place, path in enumerate(segment_paths(whole)):
        header, records, rest = pieces(path)
        for k in range(len(records) - 1):
            log = Path(shutil.copytree(whole, tmp_path / f"{place}-{k}"))
            turned = [*records[:k], records[k + 1], records[k], *records[k + 2 :]]
            rewrite(segment_paths(log)[place], header, turned, rest)
            assert not verify(log).ok, (place, k)


def test_a_record_of_another_log_is_noticed(log, tmp_path):
    with open_log(tmp_path / "other", [{"n": n} for n in range(9)], segment_bytes=1200):
        pass
    for place, path in enumerate(segment_paths(log)):
        kept = path.read_bytes()
        path.write_bytes(segment_paths(tmp_path / "other")[place].read_bytes())
        assert not verify(log).ok, place
        path.write_bytes(kept)
    assert verify(log).ok


def test_a_missing_segment_is_noticed(log):
    segment_paths(log)[1].unlink()
    report = verify(log)
    assert not report.ok
    assert "expected segment 1, found segment 2" in report.problems[0]


def test_a_missing_first_segment_is_noticed(log):
    segment_paths(log)[0].unlink()
    assert not verify(log).ok


def test_two_segments_that_changed_names_are_noticed(log):
    first, second, *_ = segment_paths(log)
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    assert not verify(log).ok


def test_a_segment_under_two_names_is_noticed(log):
    paths = segment_paths(log)
    paths[-1].with_name(wal.name(len(paths))).write_bytes(paths[-1].read_bytes())
    assert not verify(log).ok


def test_a_segment_with_a_strange_name_is_noticed(log):
    shutil.copy(segment_paths(log)[0], segment_paths(log)[0].with_name("000001x.wal"))
    assert not verify(log).ok


def test_a_segment_that_cannot_be_read_is_told_and_not_raised(log):
    path = segment_paths(log)[1]
    path.unlink()
    path.mkdir()
    report = verify(log)
    assert not report.ok
    assert report.problems[0].startswith(f"{wal.FOLDER}/{path.name}: entry 0: expected a segment that can be read")


def test_an_emptied_log_is_noticed(log):
    for path in segment_paths(log):
        path.unlink()
    assert not verify(log).ok


def test_reading_gives_what_stands_before_the_damage_and_then_stops(log):
    path = segment_paths(log)[1]
    path.write_bytes(path.read_bytes()[:-50] + b"x" * 50)
    found = []
    with pytest.raises(AuditError, match=path.name):
        for seq, values in read(log):
            found.append((seq, values["body"]["n"]))
    assert found == [(n, n) for n in range(len(found))]
    assert len(found) >= len(pieces(segment_paths(log)[0])[1])


def test_a_damaged_log_is_kept_as_it_is_and_continued_by_nobody(log):
    path = segment_paths(log)[0]
    data = path.read_bytes()
    path.write_bytes(data[:200] + b"xx" + data[202:])
    before = {one: one.read_bytes() for one in segment_paths(log)}
    with pytest.raises(AuditError, match=str(path)):
        AuditWriter(log)
    assert {one: one.read_bytes() for one in segment_paths(log)} == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("seq", True), ("v", 1), ("v", 3), ("v", True), ("type", 7), ("t_utc", 1), ("body", []), ("extra", 1)),
        *(("clock", {}), ("clock", {"error_us": True, "synced": True}), ("hazards", []), ("requirements", [1])),
    ],
)
def test_a_canonical_value_that_is_no_entry_is_refused(whole, key, value):
    from surgical_ml.audit import canonical

    values = entries(whole)[1] | {key: value}
    with pytest.raises(AuditError, match="an entry of version 1 to 2"):
        parse(canonical.encode(values), "thing")


@given(st.binary(max_size=400))
def test_any_bytes_behind_a_header_are_read_or_told(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    (folder / wal.FOLDER).mkdir(parents=True)
    path = folder / wal.FOLDER / wal.name(0)
    path.write_bytes(wal.file_header(0, 0, bytes(32)) + data)
    report = verify(folder)
    assert report.entries == 0
    assert report.ok != bool(report.problems)
    # Nothing but zeros, or the end mark, passes for a log that ends well.
    if data.strip(b"\0") and data != wal.END:
        assert report.torn_tail or not report.ok


@given(st.binary(max_size=120))
def test_any_bytes_in_place_of_a_header_are_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    (folder / wal.FOLDER).mkdir(parents=True)
    (folder / wal.FOLDER / wal.name(0)).write_bytes(data)
    assert not verify(folder).ok
