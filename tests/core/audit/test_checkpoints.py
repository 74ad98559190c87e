"""What a writer with keys publishes: a tree of tiles under signed checkpoints, soon, and going on after any end."""

import shutil
import threading
from pathlib import Path

import pytest
from log_faults import entries, open_log, segment_paths

from surgical_ml.audit import AuditError, AuditWriter, Disk, verify, wal
from surgical_ml.audit.entry import leaf_hash
from surgical_ml.audit.keys import CaseKey, Keyring, case_keys
from surgical_ml.audit.merkle import root_of
from surgical_ml.audit.note import Checkpoint, Note, check
from surgical_ml.audit.publisher import Publisher, stored_tile
from surgical_ml.audit.tiles import bundles_of, split_bundle, tiles_of

NEVER_S = 3600.0


@pytest.fixture(scope="module")
def keyring(tmp_path_factory):
    return Keyring(tmp_path_factory.mktemp("device") / "keys")


def checkpoint(folder: Path, keyring: Keyring) -> Checkpoint:
    """The newest checkpoint, its signature and everything that it covers checked."""
    note = Note.parse((folder / "checkpoint").read_bytes(), "checkpoint")
    found = Checkpoint.parse(note.text, "checkpoint")
    check(note, case_keys(folder, found.origin, found.size, keyring.devices), "checkpoint")
    for tile in tiles_of(found.size):
        assert len(stored_tile(folder, tile)) == 32 * tile.width
    assert root_of(map(leaf_hash, public_entries(folder, found.size))) == found.root
    return found


def public_entries(folder: Path, size: int) -> list[bytes]:
    return [one for tile in bundles_of(size) for one in split_bundle(stored_tile(folder, tile), tile.width, tile.path)]


def private_entries(folder: Path) -> list[bytes]:
    return [record.payload for _, record, _ in wal.follow(wal.segments(folder), 0, bytes(32))]


def until(writer: AuditWriter, size: int) -> None:
    """Wait until a checkpoint covers that many entries."""
    waited = threading.Event()
    for _ in range(600):
        if writer.published >= size:
            return
        waited.wait(0.1)
    raise AssertionError(f"{writer.published} of {size} entries are under a checkpoint")


@pytest.mark.parametrize("count", [1, 254, 255, 256, 300])
def test_everything_in_a_closed_log_stands_under_its_checkpoint(tmp_path, keyring, count):
    with AuditWriter(tmp_path, keyring=keyring) as writer:
        tickets = [writer.append("event", {"n": n}) for n in range(count)]
    assert tickets[-1].durable
    found = checkpoint(tmp_path, keyring)
    # The first entry says whose signature it is.
    assert found.size == count + 1
    assert public_entries(tmp_path, found.size) == private_entries(tmp_path)
    first = entries(tmp_path)[0]
    assert (first["type"], first["body"]["origin"]) == ("key-certified", found.origin)
    assert (tmp_path / "checkpoints" / f"{found.size}.note").read_bytes() == (tmp_path / "checkpoint").read_bytes()


def test_parts_of_a_tile_are_gone_once_it_is_full(tmp_path, keyring):
    with AuditWriter(tmp_path, keyring=keyring, checkpoint_s=NEVER_S) as writer:
        for n in range(3):
            writer.append("event", {"n": n}, urgent=True)
            until(writer, n + 2)
        assert sorted(path.name for path in (tmp_path / "tile/0/000.p").iterdir())[-1] == "4"
        for n in range(300):
            writer.append("event", {"n": n})
        writer.append("event", {}, urgent=True)
        until(writer, 305)
        assert not (tmp_path / "tile/0/000.p").exists()
        assert not (tmp_path / "tile/entries/000.p").exists()
    checkpoint(tmp_path, keyring)


def test_an_urgent_entry_is_followed_by_a_checkpoint_at_once_and_others_wait_for_theirs(tmp_path, keyring):
    with AuditWriter(tmp_path, keyring=keyring, checkpoint_s=NEVER_S) as writer:
        until(writer, 1)
        assert writer.append("event", {}).wait(20)
        assert writer.append("event", {}).wait(20)
        # Nothing would publish these two within an hour.
        assert writer.published == 1
        assert writer.append("event", {}, urgent=True).wait(20)
        until(writer, 4)
        assert checkpoint(tmp_path, keyring).size == 4


def test_an_entry_that_is_not_urgent_is_under_a_checkpoint_soon(tmp_path, keyring):
    with AuditWriter(tmp_path, keyring=keyring, checkpoint_s=0.01) as writer:
        assert writer.append("event", {}).wait(20)
        until(writer, 2)
        assert checkpoint(tmp_path, keyring).size == 2


def test_each_writer_signs_with_a_key_of_its_own_and_the_log_keeps_its_name(tmp_path, keyring):
    origins, signers = set(), []
    for life in range(3):
        with open_log(tmp_path, [{"life": life}] * 100, keyring=keyring):
            pass
        found = checkpoint(tmp_path, keyring)
        assert found.size == (life + 1) * 101
        origins.add(found.origin)
        note = Note.parse((tmp_path / "checkpoint").read_bytes(), "checkpoint")
        signers.append(note.signatures[0].key_id)
    assert len(origins) == 1
    assert len(set(signers)) == 3
    assert public_entries(tmp_path, 303) == private_entries(tmp_path)


def test_a_log_goes_on_from_its_checkpoint_and_reads_no_older_segment(tmp_path, keyring):
    with open_log(tmp_path, [{"n": n} for n in range(40)], keyring=keyring, segment_bytes=3000):
        pass
    first = segment_paths(tmp_path)[0]
    first.write_bytes(first.read_bytes()[: wal.HEADER_BYTES] + b"not read")
    with open_log(tmp_path, [{"n": 40}], keyring=keyring, segment_bytes=3000):
        pass
    assert checkpoint(tmp_path, keyring).size == 43


def test_a_log_that_was_never_signed_is_signed_from_its_first_entry_on(tmp_path, keyring):
    with open_log(tmp_path, [{"n": n} for n in range(5)]):
        pass
    with open_log(tmp_path, [{"n": 5}], keyring=keyring):
        pass
    assert checkpoint(tmp_path, keyring).size == 7
    assert public_entries(tmp_path, 7) == private_entries(tmp_path)


def test_a_log_that_lost_what_its_checkpoint_covers_is_continued_by_nobody(tmp_path, keyring):
    with open_log(tmp_path, [{"n": n} for n in range(5)], keyring=keyring):
        # What the writer is just about to put in place comes and goes.
        shutil.copytree(tmp_path / "private", tmp_path / "older", ignore=shutil.ignore_patterns("new"))
    with open_log(tmp_path, [{}], keyring=keyring):
        pass
    (tmp_path / "older" / "lock").unlink()
    shutil.rmtree(tmp_path / "private")
    (tmp_path / "older").rename(tmp_path / "private")
    with pytest.raises(AuditError, match="the end of the segment"):
        AuditWriter(tmp_path, keyring=keyring)


def test_a_log_of_another_device_is_continued_by_nobody(tmp_path, keyring):
    with open_log(tmp_path / "log", [{}], keyring=keyring):
        pass
    with pytest.raises(AuditError, match="expected a signature by a known key"):
        AuditWriter(tmp_path / "log", keyring=Keyring(tmp_path / "other"))
    with open_log(tmp_path / "log", [{}], keyring=keyring):
        pass
    assert checkpoint(tmp_path / "log", keyring).size == 4


@pytest.mark.parametrize("name", ["tile/0/000.p/3", "tile/entries/000.p/3", "checkpoint"])
def test_a_changed_right_edge_is_continued_by_nobody(tmp_path, keyring, name):
    with open_log(tmp_path, [{}, {}], keyring=keyring):
        pass
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(AuditError):
        AuditWriter(tmp_path, keyring=keyring)


class NoTiles(Disk):
    """A disk that takes the write-ahead log and nothing else, until it is mended."""

    broken = False

    def put(self, path, data, aside):
        if self.broken:
            raise OSError(5, "Input/output error")
        super().put(path, data, aside)


def test_entries_stay_durable_while_checkpoints_fail_and_are_signed_when_they_work_again(tmp_path, keyring):
    disk = NoTiles()
    with AuditWriter(tmp_path, keyring=keyring, checkpoint_s=0.01, disk=disk) as writer:
        until(writer, 1)
        disk.broken = True
        tickets = [writer.append("event", {"n": n}, urgent=n % 10 == 0) for n in range(300)]
        assert all(ticket.wait(20) for ticket in tickets)
        assert writer.published == 1
        disk.broken = False
        until(writer, 301)
    assert checkpoint(tmp_path, keyring).size == verify(tmp_path).entries
    told = [entry["body"] for entry in entries(tmp_path) if entry["type"] == "checkpoint-failed"]
    assert told == [{"why": "Input/output error"}]


def test_what_was_left_unsigned_is_signed_by_the_next_writer(tmp_path, keyring):
    disk = NoTiles()
    with AuditWriter(tmp_path, keyring=keyring, disk=disk) as writer:
        until(writer, 1)
        disk.broken = True
        assert writer.append("event", {}, urgent=True).wait(20)
    with open_log(tmp_path, [{}], keyring=keyring):
        pass
    assert checkpoint(tmp_path, keyring).size == verify(tmp_path).entries


def test_what_waits_for_a_disk_that_takes_no_tiles_is_bounded_and_published_later(tmp_path, keyring, monkeypatch):
    monkeypatch.setattr("surgical_ml.audit.publisher.WAITING_BYTES", 2_000)
    disk = NoTiles()
    with AuditWriter(tmp_path, keyring=keyring, disk=disk, checkpoint_s=NEVER_S) as writer:
        until(writer, 1)
        tickets = [writer.append("event", {"n": n, "text": "x" * 100}) for n in range(100)]
        assert all(ticket.wait(20) for ticket in tickets)
    assert checkpoint(tmp_path, keyring).size < 100
    with open_log(tmp_path, [{}], keyring=keyring):
        pass
    assert checkpoint(tmp_path, keyring).size == 103


def test_a_case_key_that_was_destroyed_signs_nothing(keyring):
    key = keyring.certify("log", 0, 0)
    assert key.sign("text\n")
    key.destroy()
    with pytest.raises(AuditError, match="one that was destroyed"):
        key.sign("text\n")


def test_closing_a_log_destroys_its_key(tmp_path, keyring, monkeypatch):
    made: list[CaseKey] = []
    begin = Publisher.begin
    monkeypatch.setattr(Publisher, "begin", lambda self, key: (made.append(key), begin(self, key)))
    with open_log(tmp_path, [{}], keyring=keyring):
        pass
    with pytest.raises(AuditError, match="one that was destroyed"):
        made[0].sign("text\n")
