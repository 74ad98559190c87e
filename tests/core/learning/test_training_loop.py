"""A run that was killed goes on as if it had not been; several processes train the network that one would."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install 'surgical_ml[train]')")

from surgical_ml.errors import InputError  # noqa: E402
from surgical_ml.learning.loop import Schedule  # noqa: E402
from surgical_ml.learning.run_folder import RunFolder  # noqa: E402

pytestmark = pytest.mark.train

SCRIPT = Path(__file__).with_name("small_training.py")


def run(*arguments, launcher=()):
    # Loopback only: whether a machine's own name can be resolved is not what is tried here.
    there = dict(os.environ, OMP_NUM_THREADS="1", GLOO_SOCKET_IFNAME="lo")
    command = [sys.executable, *launcher, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, env=there, capture_output=True, text=True, check=False, timeout=300)


def first_errors(logs):
    """What each process of a launch said first of its failure."""
    said = {path.parent.name: path.read_text("utf-8") for path in sorted(logs.rglob("stderr.log"))}
    return "\n".join(f"rank {rank}: {text[max(0, text.find('Traceback')) :][:1500]}" for rank, text in said.items())


def weights(folder):
    return torch.load(folder / "weights.pt", weights_only=True)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    done = run(folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_that_was_killed_and_resumed_equals_one_that_was_not_bit_for_bit(uninterrupted, tmp_path):
    # between two checkpoints, so that steps are lost and done again
    killed = run(tmp_path / "run", 13)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "run" / "weights.pt").exists()
    assert run(tmp_path / "run").returncode == 0
    for name, value in weights(uninterrupted).items():
        assert torch.equal(value, weights(tmp_path / "run")[name]), name
    logs = [(folder / "metrics.jsonl").read_text().splitlines() for folder in (uninterrupted, tmp_path / "run")]
    whole, resumed = ([{k: v for k, v in json.loads(line).items() if k != "s"} for line in log] for log in logs)
    assert whole == resumed
    assert [row["step"] for row in whole] == [5, 10, 15, 20, 23]


def test_a_run_folder_says_what_it_was_made_from_and_how_it_went(uninterrupted):
    described = json.loads((uninterrupted / "run.json").read_text())
    assert described["configuration"] == {"steps": 23}
    assert len(described["code"]["learning_sha256"]) == 64
    curves = (uninterrupted / "metrics.csv").read_text().splitlines()
    assert curves[0].split(",") == ["step", "class", "loss", "rate", "s"]
    assert len(curves) == 6
    assert not (uninterrupted / "checkpoint.pt").exists()


def test_two_processes_train_the_network_that_one_would(uninterrupted, tmp_path):
    logs = tmp_path / "logs"
    launcher = ("-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2")
    done = run(tmp_path / "two", launcher=(*launcher, "--log-dir", str(logs), "--redirects", "3"))
    assert done.returncode == 0, first_errors(logs) or done.stderr[-1500:]
    for name, value in weights(uninterrupted).items():
        assert torch.allclose(value, weights(tmp_path / "two")[name], atol=1e-5), name


def test_a_run_with_another_configuration_is_not_gone_on_with(tmp_path):
    RunFolder(tmp_path / "run", {"steps": 5, "data_sha256": "a" * 64})
    with pytest.raises(InputError, match="no run yet, or --resume"):
        RunFolder(tmp_path / "run", {"steps": 5, "data_sha256": "a" * 64})
    RunFolder(tmp_path / "run", {"steps": 5, "data_sha256": "a" * 64}, resume=True)
    with pytest.raises(InputError, match=f"data_sha256 {'b' * 64}, to go on, found {'a' * 64}"):
        RunFolder(tmp_path / "run", {"steps": 5, "data_sha256": "b" * 64}, resume=True)


def test_metrics_after_the_last_checkpoint_are_forgotten_and_a_torn_line_too(tmp_path):
    run_folder = RunFolder(tmp_path / "run", {})
    for step in (5, 10):
        run_folder.save({"step": 5})
        run_folder.log({"step": step, "loss": 1.0})
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 15, "lo')
    assert run_folder.checkpoint()["step"] == 5
    assert [row["step"] for row in run_folder.metrics()] == [5]


def test_the_learning_rate_rises_and_falls():
    schedule = Schedule(100, 1.0, warm_up=10)
    rates = [schedule.rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(rates[9], abs=0.03)
    assert rates[99] == pytest.approx(0.02, abs=0.01)
    assert rates[9:] == sorted(rates[9:], reverse=True)
