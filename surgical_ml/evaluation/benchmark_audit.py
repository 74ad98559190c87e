"""What the record costs: acknowledged entries beside plain JSON lines and SQLite, recovery, size, and the hot path."""

import json
import multiprocessing
import os
import platform
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import cryptography
import numpy as np

import surgical_ml
from surgical_ml.audit import AuditWriter, Keyring, verify
from surgical_ml.errors import InputError
from surgical_ml.evaluation.benchmark import cpu_name, on_cores, render_clip
from surgical_ml.evaluation.cases import replay_case

ARMS = {
    "audit": "this log: hash chain, signed checkpoints",
    "json": "JSON lines, fsync",
    "sqlite": "SQLite, write-ahead log, synchronous = FULL",
}
TOGETHER = 64
"""Entries that wait for the same flush where many come together."""

_WAIT_S = 120.0
_FPS = 25


@dataclass(frozen=True, slots=True)
class Load:
    """One arm under one load.

    Attributes:
        together: entries that are handed over before the first of them is waited for.
        entries_per_s: acknowledged.
        p50_us, p99_us: from handing an entry over until it is known to be durable, microseconds.
    """

    together: int
    entries_per_s: int
    p50_us: int
    p99_us: int

    @classmethod
    def of(cls, together: int, seconds: float, latencies_s: list[float]) -> "Load":
        """Of the latency of every entry."""
        p50, p99 = (int(1e6 * value) for value in np.percentile(latencies_s, (50, 99)))
        return cls(together, round(len(latencies_s) / seconds), p50, p99)


@dataclass(frozen=True, slots=True)
class AuditBenchmark:
    """What was measured.

    Attributes:
        machine: CPU, cores used, load before the run, versions.
        loads: of each of `ARMS`, one entry at a time and many together.
        recovery: entries of a log whose writer was killed, seconds until the next one has taken it up, seconds to verify it
            whole.
        case: judged frames of a rendered case, bytes of its log an hour at 25 frames/s, and what queueing a record costs the
            frame's thread, microseconds.
    """

    machine: dict[str, str]
    loads: dict[str, list[Load]]
    recovery: dict[str, float]
    case: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Every number under its name."""
        loads = {arm: [asdict(load) for load in loads] for arm, loads in self.loads.items()}
        return {"schema": 1, "machine": self.machine, "loads": loads, "recovery": self.recovery, "case": self.case}

    def to_markdown(self) -> str:
        """The tables of docs/performance.md."""
        rows = [
            f"| {ARMS[arm]} | {load.together} | {load.entries_per_s} | {load.p50_us / 1000:.1f} | {load.p99_us / 1000:.1f} |"
            for arm, loads in self.loads.items()
            for load in loads
        ]
        entries, verified = int(self.recovery["entries"]), self.recovery["verify_s"]
        told = [f"- {name}: {value}" for name, value in self.machine.items()]
        return "\n".join(
            [
                "| record | together | acknowledged entries/s | p50, ms | p99, ms |",
                "|---|---|---|---|---|",
                *rows,
                "",
                f"A log of {entries} entries whose writer was killed is taken up again in {self.recovery['open_s']:.2f} s, "
                f"and verified whole in {verified:.1f} s ({entries / verified:.0f} entries/s).",
                f"An hour of a case at {_FPS} frames/s leaves {self.case['bytes_per_hour'] / 1e6:.0f} MB; queueing a record "
                f"costs a frame {self.case['queue_p50_us']} us (p99 {self.case['queue_p99_us']} us).",
                "",
                *told,
            ]
        )


def benchmark_audit(
    *,
    entries: int = 2000,
    recovery_entries: int = 1_000_000,
    frames: int = 250,
    cores: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> AuditBenchmark:
    """Measure everything in one run, on the file system of temporary files.

    Args:
        entries: of each arm and load.
        recovery_entries: of the log that is taken up again and verified.
        frames: of the rendered case.
        cores: that may be used.
        progress: told after every measurement: how many are done, and how many there are.

    Raises:
        InputError: a record could not be made durable.
    """
    load = os.getloadavg()[0]
    steps = 2 * len(ARMS) + 2
    loads: dict[str, list[Load]] = {arm: [] for arm in ARMS}
    body = {"event": {"kind": "tick", "stamp_ns": 0}, "text": "x" * 600}
    with tempfile.TemporaryDirectory() as temporary, on_cores(cores) as used:
        folder = Path(temporary)
        keyring = Keyring(folder / "keys")
        for k, (together, arm) in enumerate((together, arm) for together in (1, TOGETHER) for arm in ARMS):
            place = folder / f"{arm}-{together}"
            place.mkdir()
            # One at a time is slow enough to be measured with fewer.
            count = max(together, entries if together > 1 else entries // 4)
            loads[arm].append(_MEASURES[arm](place, keyring, body, count, together))
            _tell(progress, k + 1, steps)
        recovery = _recovery(folder / "recovery", keyring, body, recovery_entries)
        _tell(progress, steps - 1, steps)
        case = _case(folder, frames)
        _tell(progress, steps, steps)
    versions = f"surgical_ml {surgical_ml.__version__}, Python {platform.python_version()}"
    machine = {
        "CPU": f"{cpu_name()}, {used} of {os.cpu_count()} cores used",
        "load before the run": f"{load:.1f}",
        "versions": f"{versions}, SQLite {sqlite3.sqlite_version}, cryptography {cryptography.__version__}",
    }
    return AuditBenchmark(machine, loads, recovery, case)


def _audit(folder: Path, keyring: Keyring, body: dict[str, Any], count: int, together: int) -> Load:
    latencies: list[float] = []
    with AuditWriter(folder, keyring=keyring) as writer:
        began = time.perf_counter()
        for _ in range(count // together):
            settled = threading.Semaphore(0)
            for _ in range(together):
                _append_timed(writer, body, latencies, settled)
            for _ in range(together):
                if not settled.acquire(timeout=_WAIT_S):
                    raise InputError(folder, f"a durable entry within {_WAIT_S:g} s", writer.failed or "none")
        seconds = time.perf_counter() - began
    return Load.of(together, seconds, latencies)


def _append_timed(
    writer: AuditWriter, body: dict[str, Any], latencies: list[float], settled: threading.Semaphore
) -> None:
    at = time.perf_counter()
    ticket = writer.append("decision", body)
    told = threading.Lock()

    def note() -> None:
        # It may be called twice; the first call is the one that counts.
        if ticket.durable and told.acquire(blocking=False):
            latencies.append(time.perf_counter() - at)
            settled.release()

    ticket.when_settled(note)


def _json(folder: Path, _keyring: Keyring, body: dict[str, Any], count: int, together: int) -> Load:
    latencies: list[float] = []
    with (folder / "log.jsonl").open("w", encoding="utf-8") as file:
        began = time.perf_counter()
        for k in range(count // together):
            handed = []
            for n in range(together):
                handed.append(time.perf_counter())
                file.write(json.dumps(body | {"seq": k * together + n, "utc": time.time_ns()}) + "\n")
            file.flush()
            os.fsync(file.fileno())
            latencies += [time.perf_counter() - at for at in handed]
        seconds = time.perf_counter() - began
    return Load.of(together, seconds, latencies)


def _sqlite(folder: Path, _keyring: Keyring, body: dict[str, Any], count: int, together: int) -> Load:
    latencies: list[float] = []
    base = sqlite3.connect(folder / "log.db", isolation_level=None)
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("PRAGMA synchronous = FULL")
    base.execute("CREATE TABLE log (seq INTEGER PRIMARY KEY, utc INTEGER, body TEXT)")
    began = time.perf_counter()
    for _ in range(count // together):
        handed = []
        base.execute("BEGIN")
        for _ in range(together):
            handed.append(time.perf_counter())
            base.execute("INSERT INTO log (utc, body) VALUES (?, ?)", (time.time_ns(), json.dumps(body)))
        base.execute("COMMIT")
        latencies += [time.perf_counter() - at for at in handed]
    seconds = time.perf_counter() - began
    base.close()
    return Load.of(together, seconds, latencies)


_MEASURES: dict[str, Callable[[Path, Keyring, dict[str, Any], int, int], Load]] = {
    "audit": _audit,
    "json": _json,
    "sqlite": _sqlite,
}


def _recovery(folder: Path, keyring: Keyring, body: dict[str, Any], entries: int) -> dict[str, float]:
    """A large log whose writer was killed is taken up again by what its right edge costs, not by its length."""
    context = multiprocessing.get_context("spawn")
    filled = context.Event()
    process = context.Process(target=_fill, args=(folder, keyring.folder, body, entries, filled))
    process.start()
    while not filled.wait(1.0):
        if not process.is_alive():
            raise InputError(folder, f"{entries} durable entries", f"a writer that ended with {process.exitcode}")
    process.kill()
    process.join()
    began = time.perf_counter()
    writer = AuditWriter(folder, keyring=keyring)
    opened = time.perf_counter() - began
    writer.close()
    began = time.perf_counter()
    report = verify(folder)
    return {"entries": report.entries, "open_s": round(opened, 3), "verify_s": round(time.perf_counter() - began, 3)}


def _fill(folder: Path, keys: Path, body: dict[str, Any], entries: int, filled: Event) -> None:
    """Write a log, say so, and wait to be killed."""
    writer = AuditWriter(folder, keyring=Keyring(keys))
    for k in range(entries):
        ticket = writer.append("decision", body)
        if k % 5000 == 0 or k == entries - 1:
            ticket.wait(_WAIT_S)
    filled.set()
    threading.Event().wait()


def _case(folder: Path, frames: int) -> dict[str, int]:
    """A rendered case, judged and recorded as any other."""
    done = folder / "case"
    replay_case(str(render_clip(folder / "clip.mp4", frames)), done)
    used = sum(path.stat().st_size for path in (done / "audit").rglob("*") if path.is_file())
    lines = (done / "timings.jsonl").read_text("utf-8").splitlines()
    queued = [json.loads(line)["stages_us"]["record"] for line in lines]
    p50, p99 = (int(value) for value in np.percentile(queued, (50, 99), method="lower"))
    hour = used * _FPS * 3600 // len(queued)
    return {"frames": len(queued), "bytes_per_hour": hour, "queue_p50_us": p50, "queue_p99_us": p99}


def _tell(progress: Callable[[int, int], None] | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
