"""Many recorded cases through `Session`, on one machine or a cluster; a run that was killed goes on where it was."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import surgical_ml
from surgical_ml.config import CaseConfig
from surgical_ml.errors import InputError
from surgical_ml.evaluation.case_files import SUMMARY
from surgical_ml.evaluation.case_folder import write_json
from surgical_ml.evaluation.case_list import CaseList, digest_video, list_cases
from surgical_ml.evaluation.case_workers import (
    Job,
    Outcome,
    Reached,
    Runner,
    Work,
    held,
    identify,
    partial,
    run_here,
    run_in_processes,
)
from surgical_ml.labels import read_json
from surgical_ml.session import Assets
from surgical_ml.video import open_source
from surgical_ml.video.source import check_fps

CASES, RUN, RESULT = "cases", "run.json", "result.json"

_LOCK, _WORKERS = ".lock", ".workers"
"""Held by a run as long as it lasts, and by each of its worker processes."""

RunnerName = Literal["process", "ray"]


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run has come, over all workers; `total` is None where a source cannot say how long it is.

    Attributes:
        cases_done, cases: those of this run; what was complete before is in neither.
        frames_done, total: judged frames of these, and all of them.
    """

    cases_done: int
    cases: int
    frames_done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of a case: `done`, `kept` from an earlier run, or `failed` for the reason given in one line."""

    name: str
    state: Literal["done", "kept", "failed"]
    frames: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What `result.json` holds, and where.

    Attributes:
        folder: with `run.json`, `result.json` and `cases/`.
        mode: `realtime` or `throughput`.
        runner, workers: that ran the cases.
        seconds: from the first case's beginning to the last one's end, on all workers together.
        cases: in the order of the data.
        truth: the folder of the data where it holds the truth, too; None otherwise.
    """

    folder: Path
    mode: Literal["realtime", "throughput"]
    runner: RunnerName
    workers: int
    seconds: float
    cases: tuple[CaseResult, ...]
    truth: Path | None

    @property
    def failed(self) -> tuple[CaseResult, ...]:
        """Cases that could not be run."""
        return tuple(case for case in self.cases if case.state == "failed")

    def to_json(self) -> dict[str, Any]:
        """Throughput is that of this run's own cases; one in real time has none."""
        frames = sum(case.frames for case in self.cases if case.state == "done")
        values: dict[str, Any] = {"schema": 1, "mode": self.mode, "runner": self.runner, "workers": self.workers}
        if self.mode == "throughput":
            values |= {
                "seconds": round(self.seconds, 3),
                "frames": frames,
                "frames_per_s": round(frames / self.seconds, 2) if frames else None,
            }
        values["cases"] = [
            {"name": case.name, "state": case.state, "frames": case.frames, "reason": case.reason}
            for case in self.cases
        ]
        return values


def run_cases(
    data: Path,
    out: Path,
    *,
    config: CaseConfig | None = None,
    workers: int = 1,
    runner: RunnerName = "process",
    address: str | None = None,
    realtime: bool = False,
    fps: float | None = None,
    every: int = 1,
    masks: bool = False,
    read: Callable[[int, int], None] | None = None,
    progress: Callable[[RunProgress], None] | None = None,
) -> Run:
    """Run every case of a folder into `out/cases/NAME/`, as `replay_case` does, or `replay_realtime`.

    `out/run.json` is written first and says what is run: configuration, model, protocol and software by digest, options, and
    the digest of each video. Where it is there already and says the same, cases that are complete are kept. A case's
    `decisions.jsonl` has the same bytes whichever worker of whichever runner ran it, on machines of one kind.

    Args:
        data: see `list_cases`.
        out: a new or empty folder, or one that an earlier run left.
        config: of the cases; the default configuration if None.
        workers: cases that are run at once, each on a share of the cores.
        runner: `process`, or `ray` for a cluster on which every machine sees `data` and `out` under the same paths.
        address: of a running Ray cluster; None starts one on this machine.
        realtime: deliver frames at their own pace; for one worker only, since two would slow each other down.
        fps: frame rate to assume, frames/s; None believes each source.
        every: judge every n-th frame only.
        masks: write a label map for each frame.
        read: told (videos read, videos) while their digests are made.
        progress: told a few times a second.

    Raises:
        InputError: the data, an option, the model or the protocol is not what it must be, `out` holds something else or
            a run of something else, another run is at work there, or Ray is asked for and missing. A single case that
            cannot be run is told in the answer.
    """
    for option, value in (("workers", workers), ("every", every)):
        if value < 1:
            raise InputError(option, "a whole number from 1", str(value))
    check_fps(fps)
    if realtime and (workers > 1 or runner != "process"):
        found = f"{workers}" if workers > 1 else f"the runner {runner}"
        raise InputError("workers", "1 in this process in real time, since others would slow it down", found)
    if realtime and masks:
        raise InputError("masks", "none in real time, since writing them takes time from what is measured", "some")
    if address is not None and runner != "ray":
        raise InputError("address", "none without the runner ray", address)
    run = _runner(runner, workers, address)
    config = config or CaseConfig.of({})
    assets = Assets.load(config)
    listed = list_cases(data.resolve())
    out = out.resolve()
    _check_place(out)
    told = _describe(listed, assets, realtime, {"fps": fps, "every": every, "masks": masks}, max(workers, 2), read)
    (out / CASES).mkdir(parents=True, exist_ok=True)
    work = Work(config, identify(assets), realtime, fps, every, masks, out / _WORKERS)
    with held(out / _LOCK, alone=True):
        with held(work.lock, alone=True):
            _begin(out, told)
            jobs, kept = _left(listed, out)
        follow = _Follow(jobs, told, every, progress)
        began = time.perf_counter()
        try:
            if jobs:
                run(work, jobs, workers, follow.tell)
        finally:
            for job in jobs:
                shutil.rmtree(partial(job.folder), ignore_errors=True)
        seconds = time.perf_counter() - began
        results = {case.name: case for case in (*kept, *follow.results)}
        mode: Literal["realtime", "throughput"] = "realtime" if realtime else "throughput"
        cases = tuple(results[case.name] for case in listed.cases)
        done = Run(out, mode, runner, workers, seconds, cases, listed.folder if listed.labelled else None)
        _write(out / RESULT, done.to_json())
    return done


def _runner(name: str, workers: int, address: str | None) -> Runner:
    match name:
        case "process":
            return run_here if workers == 1 else run_in_processes
        case "ray":
            from surgical_ml.evaluation.cluster import on_ray

            return on_ray(address)
    raise InputError("runner", "process or ray", name)


class _Follow:
    """Adds up what the workers tell."""

    def __init__(
        self,
        jobs: list[Job],
        told: Mapping[str, Any],
        every: int,
        progress: Callable[[RunProgress], None] | None,
    ) -> None:
        ours = {job.name for job in jobs}
        lengths = [case["frames"] for case in told["data"]["cases"] if case["name"] in ours]
        self._total = None if None in lengths else sum(-(-length // every) for length in lengths)
        self._frames = dict.fromkeys(ours, 0)
        self._progress = progress
        self.results: list[CaseResult] = []

    def tell(self, message: Reached | Outcome) -> None:
        """See `Runner`."""
        self._frames[message.name] = message.frames
        if isinstance(message, Outcome):
            state: Literal["failed", "done"] = "failed" if message.failed else "done"
            self.results.append(CaseResult(message.name, state, message.frames, message.failed))
        if self._progress is not None:
            frames = sum(self._frames.values())
            self._progress(RunProgress(len(self.results), len(self._frames), frames, self._total))


def _describe(
    listed: CaseList,
    assets: Assets,
    realtime: bool,
    options: Mapping[str, Any],
    threads: int,
    read: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """What `run.json` says. Videos are read whole: what was judged is known by its digest, not by its name."""
    config, manifest, identity = assets.config, assets.model.manifest, identify(assets)
    cases = []
    with ThreadPoolExecutor(threads) as pool:
        digests = pool.map(digest_video, [case.video for case in listed.cases])
        for case, digest in zip(listed.cases, digests, strict=True):
            cases.append(
                {
                    "name": case.name,
                    "video": case.video.relative_to(listed.folder).as_posix(),
                    "sha256": digest,
                    "frames": _frames(str(case.video), options["fps"]),
                    "truth": None if case.truth is None else case.truth.relative_to(listed.folder).as_posix(),
                }
            )
            if read is not None:
                read(len(cases), len(listed.cases))
    return {
        "schema": 1,
        "mode": "realtime" if realtime else "throughput",
        "software": {
            "name": "surgical_ml",
            "version": surgical_ml.__version__,
            "program_sha256": identity["program"],
        },
        "engine": config.engine,
        "model": {"name": manifest.name, "version": manifest.version, "sha256": identity["model"]},
        "protocol": {"name": assets.protocol.name, "sha256": identity["protocol"]},
        "calibration_sha256": identity["calibration"],
        "config": config.model_dump(by_alias=True),
        "config_sha256": identity["config"],
        "options": dict(options),
        "data": {"folder": str(listed.folder), "layout": listed.layout, "cases": cases},
    }


def _frames(video: str, fps: float | None) -> int | None:
    """How many frames a video says it has; None where it does not say. What is wrong with one is its own case's matter."""
    try:
        with open_source(video, fps=fps) as source:
            return source.info.frames
    except InputError:
        return 0


def _check_place(out: Path) -> None:
    if (out / RUN).is_file() or not out.exists():
        return
    if not out.is_dir():
        raise InputError(out, "a folder", "a file")
    # A run that was killed before it had said what it runs has left these at most.
    if any(path.name not in (_LOCK, _WORKERS, CASES) for path in out.iterdir()) or any(out.glob(f"{CASES}/*")):
        raise InputError(out, f"a new or empty folder, or one with {RUN}", "other files")


def _begin(out: Path, told: Mapping[str, Any]) -> None:
    """Write `run.json`, or refuse to go on with a run of something else."""
    path = out / RUN
    if path.is_file():
        before = _flat(read_json(path, "what a run began with"))
        now = _flat(json.loads(json.dumps(told)))
        for name in (*before, *now):
            if before.get(name) != now.get(name) and name != "data.folder":
                expected = f"{_shown(before, name)}, as the run there began with"
                raise InputError(f"{path}: {name}", expected, _shown(now, name))
    _write(path, told)


def _flat(values: Any, name: str = "") -> dict[str, Any]:
    """Every value by its dotted name; those of a list's objects by the name they have."""
    if isinstance(values, dict):
        inside = values.items()
    elif isinstance(values, list):
        inside = {str(one["name"] if isinstance(one, dict) else k): one for k, one in enumerate(values)}.items()
    else:
        return {name: values}
    return {key: value for part, one in inside for key, value in _flat(one, f"{name}.{part}".lstrip(".")).items()}


def _shown(values: Mapping[str, Any], name: str) -> str:
    return json.dumps(values[name]) if name in values else "none"


def _left(listed: CaseList, out: Path) -> tuple[list[Job], list[CaseResult]]:
    """What is still to be run, and what is complete; what a killed run was at is removed."""
    jobs, kept = [], []
    for case in listed.cases:
        folder = out / CASES / case.name
        shutil.rmtree(partial(folder), ignore_errors=True)
        if folder.is_dir():
            frames = read_json(folder / SUMMARY, "the summary of a case")["frames"]
            kept.append(CaseResult(case.name, "kept", frames))
        else:
            jobs.append(Job(case.name, str(case.video), folder))
    return jobs, kept


def _write(path: Path, values: Mapping[str, Any]) -> None:
    """A file that is there as a whole or not at all."""
    aside = path.with_name(f".{path.name}.partial")
    write_json(aside, values)
    aside.replace(path)
