"""`surgical-ml audit`: proofs, pins, a witness and the choice of entries, on the log of a replayed case."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import LONGEST_S, start


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    out = tmp_path_factory.mktemp("recorded") / "case"
    command = [sys.executable, "-m", "surgical_ml.cli", "replay", str(pictures), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    return out / "audit"


def fingerprint(log: Path) -> str:
    import hashlib

    (device,) = [path for path in (log / "keys").glob("*.vkey") if not path.with_suffix(".cert").exists()]
    return hashlib.sha256(device.read_bytes().strip()).hexdigest()


def test_a_pinned_log_is_whole_and_says_what_only_others_could_show(log: Path, cli) -> None:
    values = json.loads(cli("audit", "verify", log, "--pin", fingerprint(log), "--json").out)
    assert (values["ok"], values["signed"]) == (True, values["entries"])
    assert [one for one in values["unprovable"] if "witness" in one] == values["unprovable"]


def test_a_log_of_another_device_than_the_pinned_one_fails(log: Path, cli) -> None:
    done = cli("audit", "verify", log, "--pin", "0" * 64)
    assert done.status == 1
    assert "expected the pinned key" in done.out


def test_a_proof_is_checked_without_the_log_and_refused_for_another_entry(log: Path, tmp_path: Path, cli) -> None:
    proof = tmp_path / "entry.tlog-proof"
    assert cli("audit", "prove", log, "--entry", 2, "--out", proof).status == 0
    (certificate,) = (log / "keys").glob("*.cert")
    words = ("audit", "check-proof", proof, "--key", certificate.with_suffix(".vkey"))
    assert json.loads(cli(*words, "--json").out)["entry"] == 2
    entry = proof.with_suffix(".json")
    entry.write_bytes(entry.read_bytes().replace(b'"seq":2', b'"seq":3'))
    assert cli(*words).status == 1


def test_an_entry_that_no_checkpoint_covers_is_bad_input(log: Path, cli) -> None:
    assert "entry 100000" in cli("audit", "prove", log, "--entry", 100_000).line
    assert "one of --entry and --since" in cli("audit", "prove", log).line


def test_a_witness_that_runs_signs_a_log_and_shows_that_it_was_put_back(log: Path, tmp_path: Path, cli) -> None:
    copied = shutil.copytree(log, tmp_path / "log")
    (device,) = [path for path in (log / "keys").glob("*.vkey") if not path.with_suffix(".cert").exists()]
    process = start("audit", "witness", "serve", tmp_path / "witness", "--device", device, "--port", 0)
    try:
        address, key = process.stdout.readline().strip().split(": ")
        seen = ("--witness-key", key)
        assert "entries signed by" in cli("audit", "witness", "send", copied, "--url", f"http://{address}", *seen).out
        values = json.loads(cli("audit", "verify", copied, "--witness", f"http://{address}", *seen, "--json").out)
        assert values["ok"]
        assert len(values["unprovable"]) == 1  # nothing was pinned
        older = sorted((copied / "checkpoints").iterdir(), key=lambda path: int(path.stem))[0]
        shutil.copy(older, copied / "checkpoint")
        for kept in ("private", "witnessed", "checkpoints"):
            shutil.rmtree(copied / kept)
        done = cli("audit", "verify", copied, "--witness", f"http://{address}", *seen)
        assert done.status == 1
    finally:
        process.terminate()
        process.communicate(timeout=LONGEST_S)


def test_entries_are_chosen_by_case_actor_and_time(log: Path, cli) -> None:
    def shown(*options: object) -> list[dict[str, object]]:
        return [json.loads(line) for line in cli("audit", "show", log, "--json", *options).out.splitlines()]

    every = shown()
    case = every[-1]["case"]
    assert shown("--case", case) == [one for one in every if one["case"] == case] != every
    assert shown("--actor", "nobody") == []
    assert shown("--since", "2100-01-01") == []
    assert shown("--until", "2100-01-01T00:00:00+00:00") == every
    assert "a moment" in cli("audit", "show", log, "--since", "yesterday").line


def test_entries_are_followed_as_they_are_written(log: Path, cli) -> None:
    count = len(cli("audit", "show", log).out.splitlines())
    process = start("audit", "show", log, "--follow")
    try:
        lines = [process.stdout.readline() for _ in range(count)]
        assert int(lines[-1].split()[0]) == count - 1
        assert process.poll() is None
    finally:
        process.terminate()
        process.communicate(timeout=LONGEST_S)
