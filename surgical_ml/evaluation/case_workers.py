"""Who runs the cases of an evaluation: one worker with warm engines, or several, each a process of its own."""

import fcntl
import multiprocessing
import os
import shutil
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Protocol

import cv2

from surgical_ml.config import CaseConfig
from surgical_ml.errors import InputError
from surgical_ml.evaluation.cases import ASIDE, ReplayProgress, replay_case
from surgical_ml.evaluation.realtime import replay_realtime
from surgical_ml.perception import Refusal
from surgical_ml.places import program_digest
from surgical_ml.session import Assets

TELL_S = 0.2
"""How often a worker says how far it is."""

STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class Work:
    """What is the same for every case.

    Attributes:
        config: of the cases.
        identity: what `identify` said where the run was begun.
        realtime: frames come at their own pace.
        fps: frame rate to assume, frames/s; None believes each source.
        every: judge every n-th frame only.
        masks: write a label map for each frame.
        lock: a file that every worker on this machine holds; see `held`.
    """

    config: CaseConfig
    identity: dict[str, str]
    realtime: bool
    fps: float | None
    every: int
    masks: bool
    lock: Path


@dataclass(frozen=True, slots=True)
class Job:
    """One case: its name, its video as `open_source` takes it, and the folder that it is to become."""

    name: str
    video: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Reached:
    """How many frames of a case are judged by now."""

    name: str
    frames: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case ended: its frames, or in one line why it failed."""

    name: str
    frames: int
    failed: str = ""


Tell = Callable[[Reached | Outcome], None]


class Runner(Protocol):
    """Runs every job, in any order, and tells how far each is and how it ended."""

    def __call__(self, work: Work, jobs: Sequence[Job], workers: int, tell: Tell) -> None:
        """Run; `tell` is called on this thread.

        Raises:
            InputError: the workers cannot do this work at all.
        """
        ...


def identify(assets: Assets) -> dict[str, str]:
    """What the decisions of a case depend on besides its video, each by its digest."""
    return {
        "program": program_digest(),
        "config": assets.config.digest,
        "model": assets.model.sha256,
        "protocol": assets.protocol.digest,
        "calibration": assets.calibration_sha256,
    }


class CaseWorker:
    """Holds warm engines and runs one case after the other on them.

    Raises:
        InputError: what the configuration names is missing, or not what it was where the run was begun.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._assets = Assets.load(work.config)
        for name, found in identify(self._assets).items():
            if found != work.identity[name]:
                raise InputError(f"worker: {name}", work.identity[name], found)

    def run(self, job: Job, tell: Callable[[Reached], None]) -> Outcome:
        """Run one case; whatever is wrong with it is in the answer, not raised.

        Args:
            job: the case.
            tell: told how far it is, a few times a second.
        """
        work, told_s = self._work, 0.0

        def progress(at: ReplayProgress) -> None:
            nonlocal told_s
            if (now_s := time.monotonic()) - told_s >= TELL_S:
                told_s = now_s
                tell(Reached(job.name, at.done))

        try:
            if work.realtime:
                done = replay_realtime(
                    job.video, job.folder, self._assets, fps=work.fps, every=work.every, progress=progress
                )
            else:
                done = replay_case(
                    job.video,
                    job.folder,
                    assets=self._assets,
                    fps=work.fps,
                    masks=work.masks,
                    every=work.every,
                    progress=progress,
                )
        except InputError as error:
            return Outcome(job.name, 0, str(error))
        if Refusal.ENGINE_FAULT.value in done.values["withheld"]:
            # These engines are not believed again; the next case must not depend on which cases came before it.
            self._assets = Assets.load(work.config)
        return Outcome(job.name, done.values["frames"])


def run_here(work: Work, jobs: Sequence[Job], workers: int, tell: Tell) -> None:
    """`Runner` without another process: one case after the other, on all cores."""
    if workers != 1:
        raise InputError("workers", "1 in this process", str(workers))
    worker = CaseWorker(work)
    for job in jobs:
        tell(worker.run(job, tell))


def run_in_processes(work: Work, jobs: Sequence[Job], workers: int, tell: Tell) -> None:
    """`Runner` with a process for each worker; each keeps to its share of this machine's cores.

    A worker that dies loses its case and no other: that one has failed, and another worker takes its place.
    """
    waiting = deque(jobs)
    team = [_Member(work, place) for place in shares(min(workers, len(jobs)))]
    try:
        while team:
            ready = wait([member.connection for member in team])
            for member in [member for member in team if member.connection in ready]:
                try:
                    message = member.connection.recv()
                except (EOFError, ConnectionError):
                    team.remove(member)
                    tell(member.lost())
                    team.append(_Member(work, member.place))
                    continue
                if isinstance(message, InputError):
                    raise message
                if message is not None:
                    member.finished(message)
                    tell(message)
                    continue
                member.give(waiting.popleft() if waiting else None)
                if member.job is None:
                    team.remove(member)
    finally:
        for member in team:
            member.stop()


@contextmanager
def held(lock: Path, *, alone: bool = False) -> Iterator[None]:
    """Hold a lock file together with others, or alone.

    A worker whose run was killed notices a moment later. Until it has, nobody may clean up what it writes.

    Raises:
        InputError: others hold it, for longer than workers need to notice.
    """
    with lock.open("a") as file:
        until_s = time.monotonic() + STOP_S
        while True:
            try:
                fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > until_s:
                    raise InputError(lock.parent, "a folder that no other run writes to", "one that does") from error
                time.sleep(0.05)
        yield


def partial(folder: Path) -> Path:
    """Where a case folder is while it is written."""
    return folder.with_name(folder.name + ASIDE)


def shares(workers: int) -> list[set[int]]:
    """This process's cores in equal shares, so that no worker's threads take another's; with fewer cores, shared ones."""
    cores = sorted(os.sched_getaffinity(0))
    if workers >= len(cores):
        return [{cores[k % len(cores)]} for k in range(workers)]
    return [set(cores[k::workers]) for k in range(workers)]


def keep_to(cores: set[int]) -> None:
    """Keep this process, with every thread that it starts from now on, to these cores."""
    os.sched_setaffinity(0, cores)
    cv2.setNumThreads(len(cores))


class _Member:
    """A worker process, seen from the one that gives it work."""

    def __init__(self, work: Work, place: set[int]) -> None:
        # A forked copy of a process in which OpenCV has threads waits for them for ever.
        fresh = multiprocessing.get_context("spawn")
        self.place = place
        self.connection, theirs = fresh.Pipe()
        self.job: Job | None = None
        self._process = fresh.Process(target=_serve, args=(theirs, work, place), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, job: Job | None) -> None:
        """The next case, or None: there is none."""
        self.job = job
        self.connection.send(job)

    def finished(self, message: Reached | Outcome) -> None:
        """What it told; after the outcome of its case it has none."""
        if isinstance(message, Outcome):
            self.job = None

    def lost(self) -> Outcome:
        """What becomes of the case of a worker that died.

        Raises:
            InputError: it had none, and the next one would fare no better.
        """
        self._process.join()
        code = self._process.exitcode or 0
        how = f"one killed by signal {-code}: is there too little memory?" if code < 0 else f"one that left with {code}"
        if self.job is None:
            raise InputError("workers", "processes that begin", how)
        shutil.rmtree(partial(self.job.folder), ignore_errors=True)
        return Outcome(self.job.name, 0, str(InputError(self.job.video, "a worker that finishes it", how)))

    def stop(self) -> None:
        """End it, whatever it is at."""
        self._process.terminate()
        self._process.join(STOP_S)


def _serve(connection: Connection, work: Work, place: set[int]) -> None:
    """What a worker process does: ask for a case, run it, and again, until there is none or nobody listens."""
    # Ctrl-C is for whoever began the run, who ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    keep_to(place)
    with held(work.lock):
        try:
            worker = CaseWorker(work)
            while True:
                connection.send(None)
                job = connection.recv()
                if job is None:
                    return
                connection.send(worker.run(job, connection.send))
        except InputError as error:
            connection.send(error)
        except (EOFError, ConnectionError):
            return
