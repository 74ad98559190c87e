"""Many cases: the same bytes whoever runs them, kept over a kill, and one bad case is one line."""

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from surgical_ml.config import CaseConfig
from surgical_ml.errors import InputError
from surgical_ml.evaluation import case_workers
from surgical_ml.evaluation.case_workers import CaseWorker, Job, Work, identify, shares
from surgical_ml.evaluation.cases import replay_case
from surgical_ml.evaluation.many_cases import RunProgress, run_cases
from surgical_ml.session import Assets
from surgical_ml.simulation import simulate

LONGEST_S = 120.0
EVERY = 3


def wait_for(what: Callable[[], Any]) -> None:
    until = time.monotonic() + LONGEST_S
    while not what():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


def decisions(out: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in sorted(out.glob("cases/*/decisions.jsonl"))}


def pictures(folder: Path, seed: int, count: int) -> None:
    """A folder of noise, all of it one picture."""
    folder.mkdir(parents=True)
    first = folder / "000000.png"
    cv2.imwrite(str(first), np.random.default_rng(seed).integers(0, 255, (90, 160, 3), np.uint8))
    for k in range(1, count):
        (folder / f"{k:06d}.png").hardlink_to(first)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    simulate(folder, cases=3, seed=5, size=(640, 360), fps=1, duration_s=45, masks=False)
    return folder


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one worker makes of the data."""
    out = tmp_path_factory.mktemp("alone")
    run_cases(data, out, every=EVERY)
    return out


def test_each_case_is_a_replay_of_its_own(data: Path, alone: Path, tmp_path: Path) -> None:
    for case in sorted(data.iterdir()):
        replay_case(str(case / "video.mp4"), tmp_path / "cases" / case.name, every=EVERY)
    assert decisions(alone) == decisions(tmp_path)
    files = {path.name for path in (alone / "cases" / "case00005").iterdir()}
    assert files >= {"decisions.jsonl", "timings.jsonl", "summary.json", "audit", "report.html"}


def test_two_workers_decide_the_same_bytes_as_one(data: Path, alone: Path, tmp_path: Path) -> None:
    told: list[RunProgress] = []
    run = run_cases(data, tmp_path / "two", every=EVERY, workers=2, progress=told.append)
    assert decisions(tmp_path / "two") == decisions(alone)
    assert [case.state for case in run.cases] == ["done"] * 3
    assert (told[-1].cases_done, told[-1].cases) == (3, 3)
    assert told[-1].frames_done == told[-1].total == sum(case.frames for case in run.cases)
    assert [one.frames_done for one in told] == sorted(one.frames_done for one in told)


def test_two_ray_workers_decide_the_same_bytes_as_one(data: Path, alone: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra cluster")
    run = run_cases(data, tmp_path / "ray", every=EVERY, workers=2, runner="ray")
    assert decisions(tmp_path / "ray") == decisions(alone)
    assert run.to_json()["runner"] == "ray"
    assert [case.state for case in run.cases] == ["done"] * 3


def test_without_ray_its_runner_names_the_extra(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="cluster"):
        run_cases(data, tmp_path / "out", runner="ray")
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_does_not_answer_is_named(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra cluster")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(InputError, match=f"address {address}: expected a Ray cluster that answers"):
        run_cases(data, tmp_path / "out", runner="ray", address=address)


def test_a_run_says_beforehand_what_it_runs(data: Path, alone: Path) -> None:
    told = json.loads((alone / "run.json").read_text())
    summary = json.loads((alone / "cases" / "case00006" / "summary.json").read_text())
    assert told["mode"] == summary["mode"] == "throughput"
    assert told["model"] == summary["model"]
    assert told["config_sha256"] == summary["config_sha256"]
    assert told["options"] == {"fps": None, "every": EVERY, "masks": False}
    assert [case["name"] for case in told["data"]["cases"]] == [path.name for path in sorted(data.iterdir())]
    result = json.loads((alone / "result.json").read_text())
    assert result["frames"] == sum(case["frames"] for case in result["cases"])
    assert result["frames_per_s"] > 0


@pytest.mark.parametrize(
    ("change", "field", "before", "now"),
    [
        ({"every": 2}, "options.every", str(EVERY), "2"),
        ({"masks": True}, "options.masks", "false", "true"),
        ({"config": CaseConfig.of({"time_scale": 2.0})}, "config.time_scale", "1.0", "2.0"),
    ],
)
def test_another_run_is_not_mixed_with_one_that_is_there(
    data: Path, alone: Path, change: dict[str, Any], field: str, before: str, now: str
) -> None:
    with pytest.raises(InputError) as refused:
        run_cases(data, alone, **({"every": EVERY} | change))
    assert f"run.json: {field}: expected {before}, as the run there began with, found {now}" in str(refused.value)
    assert json.loads((alone / "run.json").read_text())["options"]["every"] == EVERY


def test_a_video_that_has_changed_is_refused_by_its_digest(tmp_path: Path) -> None:
    pictures(tmp_path / "data" / "a", 1, 3)
    run_cases(tmp_path / "data", tmp_path / "out")
    (tmp_path / "data" / "a" / "000001.png").unlink()
    with pytest.raises(InputError, match=r"data\.cases\.a\.sha256: expected \"[0-9a-f]{64}\""):
        run_cases(tmp_path / "data", tmp_path / "out")


def test_what_is_complete_is_kept_and_what_is_missing_is_run(tmp_path: Path) -> None:
    for k, name in enumerate("ab"):
        pictures(tmp_path / "data" / name, k, 3)
    run_cases(tmp_path / "data", tmp_path / "out")
    first = decisions(tmp_path / "out")
    (tmp_path / "out" / "cases" / "b").rename(tmp_path / "out" / "cases" / "b.partial")
    again = run_cases(tmp_path / "data", tmp_path / "out")
    assert [case.state for case in again.cases] == ["kept", "done"]
    assert decisions(tmp_path / "out") == first
    assert not list(tmp_path.glob("out/cases/*.partial"))


def test_killed_in_the_middle_it_goes_on_where_it_was(tmp_path: Path) -> None:
    for name, count in (("a", 2), ("b", 100), ("c", 100)):
        pictures(tmp_path / "data" / name, ord(name), count)
    out = tmp_path / "out"
    command = ["evaluate", "cases", str(tmp_path / "data"), "--out", str(out), "--workers", "2"]
    process = subprocess.Popen([sys.executable, "-m", "surgical_ml.cli", *command], stdout=subprocess.DEVNULL)
    wait_for(lambda: (out / "cases" / "a").is_dir() and (out / "cases" / "b.partial" / "keyframes").is_dir())
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait(LONGEST_S)
    assert not (out / "cases" / "b").exists()
    kept = (out / "cases" / "a").stat().st_ino
    run = run_cases(tmp_path / "data", out)
    assert [case.state for case in run.cases] == ["kept", "done", "done"]
    assert (out / "cases" / "a").stat().st_ino == kept
    assert sorted(path.name for path in (out / "cases").iterdir()) == ["a", "b", "c"]
    run_cases(tmp_path / "data", tmp_path / "at-once")
    assert decisions(out) == decisions(tmp_path / "at-once")
    gone, _ = psutil.wait_procs(workers, LONGEST_S)
    assert len(gone) == len(workers), "nobody is left behind"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_case_that_cannot_be_run_is_one_line_and_the_others_are_done(tmp_path: Path, workers: int) -> None:
    for name in "ac":
        pictures(tmp_path / "data" / name, ord(name), 2)
    (tmp_path / "data" / "b.mp4").write_text("no video\n" * 100)
    run = run_cases(tmp_path / "data", tmp_path / "out", workers=workers)
    assert [case.state for case in run.cases] == ["done", "failed", "done"]
    (failed,) = run.failed
    assert failed.reason.startswith(f"{tmp_path / 'data' / 'b.mp4'}: expected a video that can be decoded")
    assert "\n" not in failed.reason
    assert sorted(path.name for path in (tmp_path / "out" / "cases").iterdir()) == ["a", "c"]
    assert json.loads((tmp_path / "out" / "result.json").read_text())["cases"][1]["reason"] == failed.reason


def test_a_worker_that_is_killed_loses_its_case_and_no_other(tmp_path: Path) -> None:
    for name, count in (("a", 200), ("b", 2), ("c", 2)):
        pictures(tmp_path / "data" / name, ord(name), count)
    killed: list[int] = []

    def kill(at: RunProgress) -> None:
        if killed:
            return
        for worker in multiprocessing.active_children():
            # The one that has the long case holds a file of it; the other may be leaving.
            with suppress(psutil.NoSuchProcess):
                if any("a.partial" in file.path for file in psutil.Process(worker.pid).open_files()):
                    killed.append(worker.pid)
                    worker.kill()

    run = run_cases(tmp_path / "data", tmp_path / "out", workers=2, progress=kill)
    assert len(killed) == 1
    assert [case.state for case in run.cases] == ["failed", "done", "done"]
    assert "killed by signal 9" in run.failed[0].reason
    assert not list(tmp_path.glob("out/cases/*.partial"))


def test_engines_that_failed_are_not_believed_in_the_next_case(data: Path, alone: Path, tmp_path: Path) -> None:
    config = CaseConfig.of({})
    (tmp_path / "cases").mkdir()
    work = Work(config, identify(Assets.load(config)), False, None, EVERY, False, tmp_path / "lock")
    worker = CaseWorker(work)
    worker._assets.perceiver._faulty = True
    told: list[object] = []
    for name in ("case00005", "case00006"):
        worker.run(Job(name, str(data / name / "video.mp4"), tmp_path / "cases" / name), told.append)
    withheld = [
        json.loads((tmp_path / "cases" / n / "summary.json").read_text())["withheld"] for n in decisions(tmp_path)
    ]
    assert withheld[0].keys() == {"engine-fault"}
    assert decisions(tmp_path)["case00006"] == decisions(alone)["case00006"]


def test_a_worker_with_another_model_than_the_run_began_with_refuses(tmp_path: Path) -> None:
    config = CaseConfig.of({})
    identity = identify(Assets.load(config)) | {"model": "0" * 64}
    with pytest.raises(InputError, match=f"worker: model: expected {'0' * 64}"):
        CaseWorker(Work(config, identity, False, None, 1, False, tmp_path / "lock"))


def test_a_second_run_does_not_write_where_one_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_workers, "STOP_S", 0.1)
    pictures(tmp_path / "data" / "a", 1, 2)

    def intrude(_: RunProgress) -> None:
        with pytest.raises(InputError, match="a folder that no other run writes to"):
            run_cases(tmp_path / "data", tmp_path / "out")
        intruded.append(True)

    intruded: list[bool] = []
    run_cases(tmp_path / "data", tmp_path / "out", progress=lambda at: None if intruded else intrude(at))
    assert intruded


def test_a_folder_with_other_files_is_not_written_to(data: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="a new or empty folder"):
        run_cases(data, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"workers": 0}, "workers: expected a whole number from 1"),
        ({"every": 0}, "every: expected a whole number from 1"),
        ({"realtime": True, "workers": 2}, "1 in this process in real time"),
        ({"realtime": True, "runner": "ray"}, "1 in this process in real time"),
        ({"realtime": True, "masks": True}, "none in real time"),
        ({"address": "auto"}, "none without the runner ray"),
        ({"config": CaseConfig.of({"model": "nephrectomy"})}, "nephrectomy"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_written(
    data: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        run_cases(data, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_workers_share_the_cores_and_none_goes_without(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    found = shares(workers)
    assert len(found) == workers
    assert all(found)
    assert set().union(*found) == {0, 1, 2, 3}
    assert workers > 4 or sum(map(len, found)) == 4
