"""Nothing that was done to a signed log goes unnoticed, and the harness that says so would notice if it did."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_logs import some_bodies, write_log
from tampering import attack, attacked_log, pinned, rebuilt

from surgical_ml.audit import AuditWriter, standalone_verifier
from surgical_ml.audit.keys import Keyring
from surgical_ml.audit.merkle import root_of
from surgical_ml.audit.note import Checkpoint
from surgical_ml.audit.public import newest
from surgical_ml.audit.publisher import stored_tile
from surgical_ml.audit.tiles import Tile, split_tile
from surgical_ml.audit.verify import UNSIGNED, UNWITNESSED, verify
from surgical_ml.audit.wal import scan, segments


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    return attacked_log(tmp_path_factory.mktemp("attacked"))


def test_every_change_to_a_file_is_noticed_and_its_file_named(attacked, tmp_path):
    log, keyring = attacked
    found = attack(log, tmp_path / "copy", pinned(keyring), count=2)
    assert found.missed == []
    assert found.astray == []
    assert found.total > 100


def test_a_log_that_was_given_away_shows_every_change_too(attacked, tmp_path):
    log, keyring = attacked
    given = shutil.copytree(log, tmp_path / "given", ignore=shutil.ignore_patterns("private"))
    (given / "private" / "wal").mkdir(parents=True)
    shutil.rmtree(given / "private")
    check = pinned(keyring)
    assert check(given).ok
    for path in sorted(path for path in given.rglob("*") if path.is_file()):
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 8]))
        report = check(given)
        assert path.relative_to(given).as_posix() in {fault.file for fault in report.faults}
        path.write_bytes(data)


def test_a_verifier_that_is_blind_fails_the_harness(attacked, tmp_path):
    """Positive control: every single fault is reported as missed."""
    log, _ = attacked
    whole = verify(log)
    found = attack(log, tmp_path / "copy", lambda folder: whole, count=1)
    assert len(found.missed) == found.total > 0


def test_a_verifier_that_looks_at_the_checkpoint_only_fails_the_harness(attacked, tmp_path):
    log, _ = attacked

    bare = shutil.copytree(log, tmp_path / "bare")

    def careless(folder: Path):
        (bare / "checkpoint").unlink(missing_ok=True)
        if (folder / "checkpoint").exists():
            shutil.copy(folder / "checkpoint", bare / "checkpoint")
        return verify(bare)

    found = attack(log, tmp_path / "copy", careless, count=1)
    assert [one for one in found.missed if "tile/0/000" in one]
    assert not [one for one in found.missed if ": checkpoint:" in one]


@pytest.mark.parametrize(
    ("what", "change", "entry"),
    [
        ("edited", lambda e: [*e[:5], e[5].replace(b'"n":', b'"m":'), *e[6:]], 5),
        ("deleted", lambda e: [*e[:5], *e[6:]], 5),
        ("inserted", lambda e: [*e[:5], e[3], *e[5:]], 5),
        ("reordered", lambda e: [*e[:5], e[6], e[5], *e[7:]], 5),
        ("cut short", lambda e: e[:-20], None),
    ],
)
def test_a_log_made_anew_without_a_key_is_not_whole(attacked, tmp_path, what, change, entry):
    log, keyring = attacked
    report = pinned(keyring)(rebuilt(log, tmp_path / "anew", change))
    assert not report.ok
    if entry is not None:
        assert min(fault.entry for fault in report.faults if fault.entry is not None) <= entry


def test_a_log_made_anew_with_a_stolen_case_key_still_breaks_the_checkpoints_of_earlier_sessions(attacked, tmp_path):
    """The key of the newest session signs a new tree; what the first session signed cannot be signed again."""
    log, keyring = attacked
    anew = rebuilt(log, tmp_path / "anew", lambda e: [*e[:5], e[5].replace(b'"n":', b'"m":'), *e[6:]])
    head = newest(log).checkpoint
    thief = keyring.certify(head.origin, head.size, 1)
    (anew / "keys" / f"{thief.key.id.hex()}.cert").write_bytes(thief.certificate.encode())
    (anew / "keys" / f"{thief.key.id.hex()}.vkey").write_text(f"{thief.key.text}\n")
    root = root_of(record.leaf for segment in segments(anew) for record in scan(segment).records)
    (anew / "checkpoint").write_bytes(thief.sign(Checkpoint(head.origin, head.size, root).text()))
    report = pinned(keyring)(anew)
    assert {fault.file for fault in report.faults if fault.file.startswith("checkpoints/")}


def test_a_whole_log_of_another_device_is_caught_by_the_pin_alone(attacked, tmp_path):
    _, keyring = attacked
    other = write_log(tmp_path / "other", Keyring(tmp_path / "other-keys"), some_bodies(5))
    assert verify(other).ok
    report = pinned(keyring)(other)
    assert report.faults[0].file == "keys"


def test_a_signature_of_another_kind_or_format_is_refused(attacked, tmp_path):
    log, keyring = attacked
    copied = shutil.copytree(log, tmp_path / "copy")
    for old, new in ((b"surgical-ml/case-key/v1", b"surgical-ml/case-key/v0"), (b"+A", b"+B")):
        (certificate, *_) = sorted((copied / "keys").glob("*.cert"))
        data = certificate.read_bytes()
        certificate.write_bytes(data.replace(old, new, 1))
        assert not pinned(keyring)(copied).ok
        certificate.write_bytes(data)


def test_rollback_and_an_unsigned_log_are_said_to_be_undetectable_without_others(attacked, tmp_path):
    log, keyring = attacked
    assert UNWITNESSED in pinned(keyring)(log).unprovable
    with AuditWriter(tmp_path / "bare") as writer:
        assert writer.append("decision", {"n": 1}).wait(60)
    assert UNSIGNED in verify(tmp_path / "bare").unprovable


def alone(log: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The second verifier in an interpreter that cannot import the package."""
    command = [sys.executable, "-I", standalone_verifier.__file__, str(log), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=log)


def test_the_second_verifier_knows_nothing_of_the_package_and_is_short():
    source = Path(standalone_verifier.__file__).read_text("utf-8")
    assert len(source.splitlines()) < 200
    imported = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert imported
    assert not [line for line in imported if "surgical_ml" in line]


def test_the_second_verifier_agrees_that_a_log_is_whole(attacked):
    log, keyring = attacked
    done = alone(log, "--pin", keyring.first.fingerprint)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "whole")


def test_the_second_verifier_agrees_on_what_is_not_whole(attacked, tmp_path):
    """In this process, since an interpreter takes longer to start than to find a fault."""
    log, keyring = attacked
    copied = shutil.copytree(log, tmp_path / "copy", ignore=shutil.ignore_patterns("private", "*.vkey"))
    for path in (log / "keys").glob("*.vkey"):
        shutil.copy(path, copied / "keys")

    def refused() -> bool:
        try:
            return bool(standalone_verifier.faults_of(copied, keyring.first.fingerprint))
        except (standalone_verifier.Refused, ValueError, OSError):
            return True

    assert not refused()
    names = ("checkpoint", "tile/0/000", "tile/entries/000", "tile/1/000.p/1")
    paths = [copied / name for name in names] + sorted((copied / "keys").glob("*.cert"))
    for path in [*paths, *sorted((copied / "checkpoints").iterdir())]:
        data = path.read_bytes()
        for at in range(0, len(data), max(1, len(data) // 12)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 2]) + data[at + 1 :])
            assert refused(), f"{path.name}: byte {at}"
        path.write_bytes(data)
    assert not refused()


def test_an_entry_in_a_place_that_it_does_not_name_is_told_of_though_it_is_signed(tmp_path):
    """Whoever holds the key may sign a tree, but not make an old entry pass for a new one."""
    keyring = Keyring(tmp_path / "keyring")
    log = write_log(tmp_path / "log", keyring, some_bodies(5))
    anew = rebuilt(log, tmp_path / "anew", lambda e: [*e, e[2]])
    head = newest(log).checkpoint
    thief = keyring.certify(head.origin, 0, 1)
    (certificate,) = (anew / "keys").glob("*.cert")
    for path in [certificate, certificate.with_suffix(".vkey"), *(anew / "checkpoints").glob("*")]:
        path.unlink()
    (anew / "keys" / f"{thief.key.id.hex()}.cert").write_bytes(thief.certificate.encode())
    shutil.rmtree(anew / "private")
    width = head.size + 1
    root = root_of(split_tile(stored_tile(anew, Tile(0, 0, width)), width, "tile"))
    (anew / "checkpoint").write_bytes(thief.sign(Checkpoint(head.origin, width, root).text()))
    report = verify(anew)
    assert [fault.entry for fault in report.faults if "behind" in fault.told] == [head.size]
