"""How fast many cases are beside decoding alone and single replays, on one worker, two, and two of Ray, in one run."""

import importlib.metadata
import importlib.util
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import onnxruntime

import surgical_ml
from surgical_ml.config import CaseConfig
from surgical_ml.errors import InputError
from surgical_ml.evaluation.benchmark import cpu_name, on_cores, render_clip
from surgical_ml.evaluation.cases import replay_case
from surgical_ml.evaluation.many_cases import CASES, run_cases
from surgical_ml.video import open_source

DECODE, REPLAY, ONE, TWO, RAY = "decode", "replay", "one", "two", "ray"
ARMS = {
    DECODE: "decode only",
    REPLAY: "replay, one case after the other",
    ONE: "evaluate cases, 1 worker",
    TWO: "evaluate cases, 2 workers",
    RAY: "evaluate cases, 2 workers of Ray",
}


@dataclass(frozen=True, slots=True)
class CasesBenchmark:
    """What was measured.

    Attributes:
        machine: CPU, cores used, load before the run, versions, and the model's digest.
        data: the cases.
        rates: frames/s of each of `ARMS` over all cases, its start and end included, one for each round; without `ray`
            where that is not installed.
    """

    machine: dict[str, str]
    data: dict[str, str]
    rates: dict[str, list[float]]

    def ratio(self, arm: str, to: str) -> float:
        """How many times as fast, by the medians."""
        return statistics.median(self.rates[arm]) / statistics.median(self.rates[to])

    def to_json(self) -> dict[str, Any]:
        """Every number under its name."""
        pairs = ((arm, to) for to in (DECODE, REPLAY, ONE) for arm in self.rates if arm != to)
        return {
            "schema": 1,
            "machine": self.machine,
            "data": self.data,
            "frames_per_s": self.rates,
            "ratios": {f"{arm}/{to}": round(self.ratio(arm, to), 3) for arm, to in pairs},
        }

    def to_markdown(self) -> str:
        """The table of docs/performance.md."""
        rounds = len(self.rates[ONE])
        lines = [f"- {name}: {value}" for name, value in (self.machine | self.data).items()]
        lines += [
            "",
            f"| what | frames/s, median of {rounds} | lowest to highest | of decode only | of 1 worker |",
            "|---|---|---|---|---|",
        ]
        for arm, rates in self.rates.items():
            cells = [ARMS[arm], f"{statistics.median(rates):.1f}", f"{min(rates):.1f} to {max(rates):.1f}"]
            cells += ["" if arm == to else f"{self.ratio(arm, to):.0%}" for to in (DECODE, ONE)]
            lines.append("| " + " | ".join(cells) + " |")
        if RAY not in self.rates:
            lines += ["", "Ray is not installed (the extra cluster) and was not measured."]
        return "\n".join(lines)


def benchmark_cases(
    *,
    config: CaseConfig | None = None,
    cores: int = 2,
    rounds: int = 3,
    cases: int = 4,
    frames: int = 300,
    progress: Callable[[int, int], None] | None = None,
) -> CasesBenchmark:
    """Run the same cases in each way in turn, `rounds` times; every way must decide the same bytes.

    Args:
        config: of the cases; the default configuration if None.
        cores: that the process may use; all that it has, if it has fewer.
        rounds: of each measurement; they take turns, so that a machine that slows down slows down all of them.
        cases: how many; each is the same rendered 720p clip under another name.
        frames: of the clip.
        progress: told (measurements done, measurements).

    Raises:
        InputError: a number is out of its range, the model or protocol is not what it must be, or two ways decided
            differently.
    """
    for name, value in (("cores", cores), ("rounds", rounds), ("cases", cases), ("frames", frames)):
        if value < 1:
            raise InputError(name, "a whole number from 1", str(value))
    config = config or CaseConfig.of({})
    load = os.getloadavg()[0]
    arms = [arm for arm in ARMS if arm != RAY or importlib.util.find_spec("ray") is not None]
    rates: dict[str, list[float]] = {arm: [] for arm in arms}
    with tempfile.TemporaryDirectory(prefix="surgical-ml-") as place, on_cores(cores) as used:
        folder = Path(place)
        videos = _lay_out(folder / "data", cases, frames)
        # Once unmeasured: the file is in memory.
        total = _decode(videos)
        decided: dict[str, str] = {}
        for k in range(rounds * len(arms)):
            arm, out = arms[k % len(arms)], folder / f"run{k}"
            began = time.perf_counter()
            _run(arm, videos, out, config)
            rates[arm].append(round(total / (time.perf_counter() - began), 2))
            if arm != DECODE:
                _same(decided, arm, out / CASES)
            if progress is not None:
                progress(k + 1, rounds * len(arms))
        with open_source(str(videos[0])) as source:
            size = f"{source.info.width}x{source.info.height}"
    versions = [f"OpenCV {cv2.__version__}", f"ONNX Runtime {onnxruntime.__version__}"]
    versions += [f"Ray {importlib.metadata.version('ray')}"] if RAY in rates else []
    machine = {
        "CPU": f"{cpu_name()}, {used} of {os.cpu_count()} cores used, {config.threads} threads for a network",
        "load before the run": f"{load:.1f}",
        "versions": f"surgical_ml {surgical_ml.__version__}, Python {platform.python_version()}, {', '.join(versions)}",
        "model": f"{config.model}, on {config.engine}",
    }
    return CasesBenchmark(machine, {"data": f"{cases} cases, rendered, {size}, {total} frames altogether"}, rates)


def _lay_out(data: Path, cases: int, frames: int) -> list[Path]:
    """One clip under as many names."""
    data.mkdir()
    first = render_clip(data / "case0.mp4", frames)
    for k in range(1, cases):
        (data / f"case{k}.mp4").hardlink_to(first)
    return sorted(data.iterdir())


def _decode(videos: list[Path]) -> int:
    """Decode everything; how many frames that is."""
    count = 0
    for video in videos:
        with open_source(str(video)) as source:
            count += sum(1 for _ in source)
    return count


def _run(arm: str, videos: list[Path], out: Path, config: CaseConfig) -> None:
    """One measurement."""
    data = videos[0].parent
    match arm:
        case "decode":
            _decode(videos)
        case "replay":
            for video in videos:
                replay_case(str(video), out / CASES / video.stem, config=config)
        case "one":
            run_cases(data, out, config=config)
        case "two":
            run_cases(data, out, config=config, workers=2)
        case "ray":
            run_cases(data, out, config=config, workers=2, runner="ray")


def _same(decided: dict[str, str], arm: str, cases: Path) -> None:
    """Every way of running a case decides the same bytes, or none of its speed is worth anything."""
    for path in sorted(cases.glob("*/decisions.jsonl")):
        text = path.read_text("utf-8")
        if decided.setdefault(path.parent.name, text) != text:
            raise InputError(f"{ARMS[arm]}: {path.parent.name}", "the decisions of a replay", "others")
