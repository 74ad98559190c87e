"""How fast a replay is beside what decoding and the network reach alone: one run, side by side, as ratios."""

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

import surgical_ml
from surgical_ml.audit import AuditWriter
from surgical_ml.config import CaseConfig
from surgical_ml.engine import Engine, load_model, open_engine, warm_up
from surgical_ml.errors import InputError
from surgical_ml.evaluation.cases import prefetched, replay_case
from surgical_ml.evaluation.stopwatch import Stopwatch
from surgical_ml.events import Action, OperatorAction
from surgical_ml.session import open_session
from surgical_ml.simulation import Renderer, demo_plan
from surgical_ml.video import Frame, open_source

ARMS = {
    "decode": "decode only",
    "network": "network only, on prepared input",
    "sequence": "decode, then network",
    "overlapped": "decode on a thread beside the network",
    "replay": "replay: everything, recorded",
}
NETWORKS = ("frame_net", "phase_net")
"""Stages that are the networks' own; every other one, but for decoding, is overhead."""

_FPS, _SIZE, _FROM_S = 25, (1280, 720), 12.0
_HELD = 48
"""Frames that are decoded beforehand where only the work after decoding is timed: 130 MB at 720p."""


@dataclass(frozen=True, slots=True)
class StageTime:
    """Time of one stage over all frames, microseconds."""

    p50_us: int
    p95_us: int
    max_us: int

    @classmethod
    def of(cls, values: list[int]) -> "StageTime":
        """The percentiles of at least one value."""
        return cls(*(int(value) for value in np.percentile(values, (50, 95, 100), method="lower")))


@dataclass(frozen=True, slots=True)
class PipelineBenchmark:
    """What was measured.

    Attributes:
        machine: CPU, cores used, load before the run, versions, and the model's digest.
        clip: name, width, height, frames.
        rates: frames/s of each of `ARMS`, one for each round.
        stages: of the replays, on all cores together with decoding; `total` is all but decoding.
        one_core: the same stages on a single core, without decoding beside them.
    """

    machine: dict[str, Any]
    clip: dict[str, Any]
    rates: dict[str, list[float]]
    stages: dict[str, StageTime]
    one_core: dict[str, StageTime]

    def median(self, arm: str) -> float:
        """Frames/s."""
        return statistics.median(self.rates[arm])

    @property
    def overhead_us(self) -> int:
        """What a frame costs besides the networks and decoding, on one core: the sum of the stages' medians."""
        own = [time.p50_us for stage, time in self.one_core.items() if stage not in (*NETWORKS, "decode", "total")]
        return sum(own)

    def to_json(self) -> dict[str, Any]:
        """Every number under its name."""
        ratios = {
            f"replay/{arm}": round(self.median("replay") / self.median(arm), 3) for arm in ARMS if arm != "replay"
        }
        return {
            "schema": 1,
            "machine": self.machine,
            "clip": self.clip,
            "frames_per_s": self.rates,
            "ratios": ratios,
            "stages": {name: asdict(stage) for name, stage in self.stages.items()},
            "one_core": {name: asdict(stage) for name, stage in self.one_core.items()},
            "overhead_us": self.overhead_us,
        }

    def to_markdown(self) -> str:
        """The tables of docs/performance.md."""
        rounds = len(self.rates["replay"])
        lines = [f"- {name}: {value}" for name, value in (self.machine | self.clip).items()]
        lines += [
            "",
            f"| what | frames/s, median of {rounds} | lowest to highest | replay reaches |",
            "|---|---|---|---|",
        ]
        for arm, words in ARMS.items():
            rates, share = self.rates[arm], self.median("replay") / self.median(arm)
            reached = "" if arm == "replay" else f"{share:.0%}"
            lines.append(f"| {words} | {self.median(arm):.1f} | {min(rates):.1f} to {max(rates):.1f} | {reached} |")
        lines += [
            "",
            "| stage, ms | replay p50 | p95 | max | one core p50 | p95 | max |",
            "|---|---|---|---|---|---|---|",
        ]
        for stage, here in self.stages.items():
            alone = self.one_core.get(stage)
            cells = [here.p50_us, here.p95_us, here.max_us]
            cells += [alone.p50_us, alone.p95_us, alone.max_us] if alone else []
            shown = [f"{value / 1000:.2f}" for value in cells] + [""] * (6 - len(cells))
            lines.append(f"| {stage} | " + " | ".join(shown) + " |")
        lines += [
            "",
            f"Overhead besides the networks and decoding, on one core: {self.overhead_us / 1000:.2f} ms a frame.",
        ]
        return "\n".join(lines)


def benchmark_pipeline(
    video: str | None = None,
    *,
    config: CaseConfig | None = None,
    cores: int = 2,
    rounds: int = 3,
    frames: int = 300,
    progress: Callable[[int, int], None] | None = None,
) -> PipelineBenchmark:
    """Measure decoding, the frame network, both, and whole replays in turn, `rounds` times.

    Args:
        video: what `open_source` takes, run as a whole; a rendered 720p clip if None.
        config: of the case; the default configuration if None.
        cores: that the process may use; all that it has, if it has fewer.
        rounds: of each measurement; they take turns, so that a machine that slows down slows down all of them.
        frames: of the rendered clip.
        progress: told (measurements done, measurements).

    Raises:
        InputError: a number is out of its range, or the video, model or protocol is not what it must be.
    """
    for name, value in (("cores", cores), ("rounds", rounds), ("frames", frames)):
        if value < 1:
            raise InputError(name, "a whole number from 1", str(value))
    config = config or CaseConfig.of({})
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="surgical-ml-") as place, on_cores(cores) as used:
        folder = Path(place)
        source = video or str(render_clip(folder / "clip.mp4", frames))
        model = load_model(config.model)
        engine = open_engine(config.engine, model.file("frame"), threads=config.threads, bf16=config.bf16)
        warm_up(engine)
        # Once unmeasured: the file is in memory, and what it holds is known.
        count = sum(1 for _ in _frames_of(source))
        rates: dict[str, list[float]] = {arm: [] for arm in ARMS}
        timed: dict[str, list[int]] = {}
        for k in range(rounds * len(ARMS)):
            arm, again = list(ARMS)[k % len(ARMS)], k // len(ARMS)
            if arm == "replay":
                out = folder / f"case{again}"
                rates[arm].append(replay_case(source, out, config=config).values["frames_per_s"])
                _collect(timed, out / "timings.jsonl")
            else:
                rates[arm].append(round(count / _seconds(arm, source, count, engine), 2))
            if progress is not None:
                progress(k + 1, rounds * len(ARMS) + 1)
        with on_cores(1):
            alone = _one_core(source, folder / "one-core", config, count)
        if progress is not None:
            progress(rounds * len(ARMS) + 1, rounds * len(ARMS) + 1)
        with open_source(source) as opened:
            info = opened.info
    machine = {
        "CPU": f"{cpu_name()}, {used} of {os.cpu_count()} cores used, {config.threads} threads for the network",
        "load before the run": f"{load:.1f}",
        "versions": f"surgical_ml {surgical_ml.__version__}, Python {platform.python_version()}, "
        f"OpenCV {cv2.__version__}, ONNX Runtime {onnxruntime.__version__}, numpy {np.__version__}",
        "model": f"{model.manifest.name}/{model.manifest.version}, {model.sha256[:12]}, on {engine.name}",
    }
    clip = {"clip": f"{info.name if video else 'rendered'}, {info.width}x{info.height}, {count} frames"}
    stages = {stage: StageTime.of(values) for stage, values in timed.items()}
    return PipelineBenchmark(machine, clip, rates, stages, alone)


def _frames_of(source: str) -> Iterator[Frame]:
    with open_source(source) as opened:
        yield from opened


def _seconds(arm: str, source: str, count: int, engine: Engine) -> float:
    """Time of one measurement without the session."""
    prepared = {spec.name: np.full(spec.shape, 0.5, spec.dtype) for spec in engine.inputs}
    began = time.perf_counter()
    match arm:
        case "decode":
            for _ in _frames_of(source):
                pass
        case "network":
            for _ in range(count):
                engine.run(prepared)
        case "sequence":
            for _ in _frames_of(source):
                engine.run(prepared)
        case "overlapped":
            with open_source(source) as opened:
                for _ in prefetched(opened, 1, Stopwatch()):
                    engine.run(prepared)
    return time.perf_counter() - began


def _one_core(source: str, folder: Path, config: CaseConfig, count: int) -> dict[str, StageTime]:
    """Stages of a session on frames that are decoded already, its record written beside it on the same core."""
    held = list(islice(_frames_of(source), _HELD))
    stopwatch, timed = Stopwatch(), dict[str, list[int]]()
    with AuditWriter(folder) as recorder:
        session = open_session(config.model_copy(update={"threads": 1}), recorder, case="one-core", stage=stopwatch.lap)
        session.step(OperatorAction(held[0].stamp_ns, Action.START, "benchmark"))
        for k in range(count):
            frame = held[k % len(held)]
            stamp_ns = frame.stamp_ns + k // len(held) * (held[-1].stamp_ns + 40_000_000)
            stopwatch.start()
            session.step(Frame(frame.image, stamp_ns, k))
            for stage, microseconds in stopwatch.stop().items():
                timed.setdefault(stage, []).append(microseconds)
    return {stage: StageTime.of(values) for stage, values in timed.items()}


def _collect(timed: dict[str, list[int]], path: Path) -> None:
    """Add the stages of every frame of a replay."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            for stage, microseconds in json.loads(line)["stages_us"].items():
                timed.setdefault(stage, []).append(microseconds)


def render_clip(path: Path, frames: int) -> Path:
    """A clip as the demonstration makes them, from the middle of an operation."""
    renderer = Renderer(demo_plan(1), _SIZE)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), float(_FPS), _SIZE)
    for k in range(frames):
        writer.write(renderer.at(_FROM_S + k / _FPS).image)
    writer.release()
    return path


@contextmanager
def on_cores(number: int) -> Iterator[int]:
    """Keep this thread, and those it starts, to so many of the cores that it may use; how many they are."""
    before, threads = os.sched_getaffinity(0), cv2.getNumThreads()
    chosen = set(sorted(before)[:number])
    os.sched_setaffinity(0, chosen)
    # The threads that OpenCV keeps were made before, and stay where they were.
    cv2.setNumThreads(len(chosen))
    try:
        yield len(chosen)
    finally:
        os.sched_setaffinity(0, before)
        cv2.setNumThreads(threads)


def cpu_name() -> str:
    """The processor's name, as the system tells it."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
