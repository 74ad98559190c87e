"""Cases on a Ray cluster, or on one that is started on this machine: each worker an actor with warm engines."""

import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any

from surgical_ml.errors import InputError
from surgical_ml.evaluation.case_workers import (
    TELL_S,
    CaseWorker,
    Job,
    Outcome,
    Reached,
    Runner,
    Tell,
    Work,
    keep_to,
    shares,
)

KNOCK_S = 10.0


def on_ray(address: str | None) -> Runner:
    """A runner on Ray.

    Every machine of the cluster needs this software, the model and the protocol, which is checked by digest, and sees the
    videos and the folder of the results under the same paths: on a file system that they share.

    Args:
        address: of a running cluster, as `ray.init` takes it; None starts one on this machine for the run.

    Raises:
        InputError: Ray is not installed.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError("runner ray", "the extra `cluster` (pip install 'surgical_ml[cluster]')", "no ray") from error

    def run(work: Work, jobs: Sequence[Job], workers: int, tell: Tell) -> None:
        count = min(workers, len(jobs))
        _connect(ray, address, count * work.config.threads)
        try:
            _run(ray, work, jobs, count, address is None, tell)
        finally:
            ray.shutdown()

    return run


def _connect(ray: Any, address: str | None, cores: int) -> None:
    # Ray would report home that, and how, it is used.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    try:
        if address is None:
            # Workers keep to shares of the cores that are there, so that this number only lets all of them begin.
            ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
        else:
            _knock(address)
            ray.init(address=address, **quiet)
    except (ValueError, RuntimeError, OSError, ray.exceptions.RayError) as error:
        raise InputError(
            f"address {address or 'local'}", "a Ray cluster that answers", str(error).splitlines()[0]
        ) from error


def _knock(address: str) -> None:
    """Ray itself asks for minutes before it gives up on a host and a port where nobody is.

    Raises:
        OSError: nobody answers there.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), KNOCK_S).close()


class _Actor:
    """A worker on some machine. One of its threads runs cases; the other says how far it is."""

    def __init__(self, work: Work, cores: set[int] | None) -> None:
        if cores is not None:
            keep_to(cores)
        self._reached: Reached | None = None
        self._refused: InputError | None = None
        try:
            self._worker: CaseWorker | None = CaseWorker(work)
        except InputError as error:
            self._worker, self._refused = None, error

    def ready(self) -> InputError | None:
        """Why it cannot do this work; None where it can."""
        return self._refused

    def run(self, job: Job) -> Outcome:
        """See `CaseWorker.run`."""
        if self._worker is None:
            raise RuntimeError("asked to run a case after it had refused")

        def tell(reached: Reached) -> None:
            self._reached = reached

        return self._worker.run(job, tell)

    def reached(self) -> Reached | None:
        """How far the newest case is."""
        return self._reached


def _run(ray: Any, work: Work, jobs: Sequence[Job], workers: int, here: bool, tell: Tell) -> None:
    threads = work.config.threads
    found = ray.cluster_resources().get("CPU", 0)
    if found < threads:
        raise InputError("address", f"a cluster with {threads} cores for a worker", f"{found:g}")
    # Elsewhere, Ray places no more workers on a machine than it has cores for.
    places = shares(workers) if here else [None] * workers
    kind = ray.remote(num_cpus=threads, max_concurrency=2, max_restarts=-1, max_task_retries=1)(_Actor)
    team = [kind.remote(work, place) for place in places]
    waiting = deque(jobs)
    beginning = {actor.ready.remote(): actor for actor in team}
    running: dict[Any, tuple[Any, Job]] = {}
    while beginning or running:
        done, _ = ray.wait([*beginning, *running], num_returns=1, timeout=TELL_S)
        for reference in done:
            if reference in beginning:
                actor = beginning.pop(reference)
                if (refused := ray.get(reference)) is not None:
                    raise refused
            else:
                actor, job = running.pop(reference)
                tell(_outcome(ray, reference, job))
            if waiting:
                job = waiting.popleft()
                running[actor.run.remote(job)] = actor, job
        if not waiting:
            # Whoever still waits for a place in the cluster is not needed any more.
            beginning.clear()
        if not done:
            asked = [actor.reached.remote() for actor, _ in running.values()]
            answered, _ = ray.wait(asked, num_returns=len(asked), timeout=TELL_S) if asked else ([], [])
            current = {job.name for _, job in running.values()}
            for answer in answered:
                reached = ray.get(answer)
                if reached is not None and reached.name in current:
                    tell(reached)


def _outcome(ray: Any, reference: Any, job: Job) -> Outcome:
    """How a case ended, or that its worker died over it, and the one that took its place as well."""
    try:
        outcome: Outcome = ray.get(reference)
    except ray.exceptions.RayActorError as error:
        why = str(error).splitlines()[0]
        return Outcome(job.name, 0, str(InputError(job.video, "a worker that finishes it", f"one that died: {why}")))
    return outcome
