"""How long a frame takes in the frame network on each engine: one run, side by side, in turns."""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import surgical_ml
from surgical_ml.engine import Engine, load_model, open_engine, warm_up
from surgical_ml.engine.precision import to_int8
from surgical_ml.errors import InputError
from surgical_ml.evaluation.benchmark import cpu_name, on_cores

BASELINE = "torch eager"
ARMS: dict[str, tuple[str, str, bool]] = {
    # what it is called, the engine, the file's precision, whether in bfloat16
    BASELINE: ("torch", "fp32", False),
    "ONNX Runtime fp32": ("onnxruntime", "fp32", False),
    "ONNX Runtime int8": ("onnxruntime", "int8", False),
    "OpenVINO fp32": ("openvino", "fp32", False),
    "OpenVINO bf16": ("openvino", "fp32", True),
    "OpenVINO int8, the rest bf16": ("openvino", "int8", True),
}
SIZES = ((192, 320), (384, 640))
"""(height, width) of the network's input; the shipped one's own, and the one that was designed for."""


@dataclass(frozen=True, slots=True)
class EngineTime:
    """Time of one frame, microseconds, over all rounds; `medians_us` of each round, as a measure of the spread.

    `least_us`, of the fastest frame, is what the machine can do where others use it, too.
    """

    least_us: int
    p50_us: int
    p99_us: int
    medians_us: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EngineBenchmark:
    """What was measured.

    Attributes:
        machine: CPU, cores, load before and after, versions, and the model's digest.
        times: by size ("192x320") and arm.
        missing: by arm, why it was not measured.
    """

    machine: dict[str, str]
    times: dict[str, dict[str, EngineTime]]
    missing: dict[str, str]

    def ratio(self, size: str, arm: str) -> tuple[float, float] | None:
        """How many times as fast as the baseline, by the medians and by the fastest frames; None where not measured."""
        here = self.times[size]
        if BASELINE not in here or arm not in here:
            return None
        base, own = here[BASELINE], here[arm]
        return base.p50_us / own.p50_us, base.least_us / own.least_us

    def to_json(self) -> dict[str, Any]:
        """Every number under its name."""
        times = {size: {arm: asdict(one) for arm, one in here.items()} for size, here in self.times.items()}
        ratios = {size: {arm: self.ratio(size, arm) for arm in here} for size, here in self.times.items()}
        return {"schema": 1, "machine": self.machine, "times": times, "ratios": ratios, "missing": self.missing}

    def to_markdown(self) -> str:
        """The tables of docs/performance.md."""
        lines = [f"- {name}: {value}" for name, value in self.machine.items()]
        for size, here in self.times.items():
            columns = ("p50", "p99", "medians of the rounds", "least", f"times as fast as {BASELINE}: p50", "least")
            lines += ["", f"| {size}, ms a frame | " + " | ".join(columns) + " |", "|---|---|---|---|---|---|---|"]
            for arm in ARMS:
                if arm not in here:
                    lines.append(f"| {arm} | not measured: {self.missing[arm]} |  |  |  |  |  |")
                    continue
                one, ratio = here[arm], self.ratio(size, arm)
                cells = [f"{one.p50_us / 1000:.2f}", f"{one.p99_us / 1000:.2f}"]
                cells.append(f"{min(one.medians_us) / 1000:.2f} to {max(one.medians_us) / 1000:.2f}")
                cells.append(f"{one.least_us / 1000:.2f}")
                cells += ["", ""] if ratio is None else [f"{value:.1f}" for value in ratio]
                lines.append(f"| {arm} | " + " | ".join(cells) + " |")
        lines += ["", "GPU engines: not measured: no GPU at hand."]
        return "\n".join(lines)


def benchmark_engines(
    model: str = "cholecystectomy",
    *,
    cores: int = 2,
    threads: int = 2,
    rounds: int = 5,
    frames: int = 30,
    progress: Callable[[int, int | None], None] | None = None,
) -> EngineBenchmark:
    """Time the frame network of a model on every engine that is installed, at each of `SIZES`.

    The engines take turns, so that a machine that slows down slows down all of them. At a size that is not its own the
    network has the same weights and operations and a larger picture: its answers mean nothing there, its time does. The
    ranges of int8 are taken from noise, for they do not change how long it takes.

    Args:
        model: shipped model, or model folder, in fp32.
        cores: that the process may use. threads: of one run.
        rounds: turns of each engine. frames: of each turn.
        progress: told (turns done, turns).

    Raises:
        InputError: a number is out of its range, the model is not what it must be, or onnx is not installed.
    """
    for name, value in (("cores", cores), ("threads", threads), ("rounds", rounds), ("frames", frames)):
        if value < 1:
            raise InputError(name, "a whole number from 1", str(value))
    chosen = load_model(model)
    before = os.getloadavg()[0]
    rng = np.random.default_rng(1)
    times: dict[str, dict[str, EngineTime]] = {}
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="surgical-ml-") as place, on_cores(cores) as used:
        for at, (height, width) in enumerate(SIZES):
            picture = rng.standard_normal((1, 3, height, width)).astype(np.float32)
            files = {name: Path(place) / f"{name}-{height}.onnx" for name in ("fp32", "int8")}
            _resized(chosen.file("frame"), files["fp32"], height, width)
            to_int8(files["fp32"], files["int8"], [picture, 0.5 * picture])
            engines: dict[str, Engine] = {}
            for arm, (engine, precision, bf16) in ARMS.items():
                try:
                    engines[arm] = open_engine(engine, files[precision], threads=threads, bf16=bf16)
                except InputError as error:
                    missing[arm] = f"expected {error.expected}, found {error.found}"
                    continue
                warm_up(engines[arm])
            taken: dict[str, list[list[int]]] = {arm: [] for arm in engines}
            for turn in range(rounds * len(engines)):
                arm = list(engines)[turn % len(engines)]
                taken[arm].append(_turn(engines[arm], picture, frames))
                if progress is not None:
                    progress(at * rounds * len(engines) + turn + 1, len(SIZES) * rounds * len(engines))
            times[f"{height}x{width}"] = {arm: _summary(turns) for arm, turns in taken.items()}
            for one in engines.values():
                one.close()
    machine = {
        "CPU": f"{cpu_name()}, {used} of {os.cpu_count()} cores used, {threads} threads a run",
        "load": f"{before:.1f} before, {os.getloadavg()[0]:.1f} after",
        "versions": f"surgical_ml {surgical_ml.__version__}, Python {platform.python_version()}",
        "model": f"{chosen.manifest.name}/{chosen.manifest.version}, {chosen.sha256[:12]}",
        "each engine": f"{rounds} turns of {frames} frames at each size",
    }
    return EngineBenchmark(machine, times, missing)


def _turn(engine: Engine, picture: Any, frames: int) -> list[int]:
    """Time of each frame, microseconds."""
    taken = []
    for _ in range(frames):
        began = time.perf_counter_ns()
        engine.run({"image": picture})
        taken.append((time.perf_counter_ns() - began) // 1000)
    return taken


def _summary(turns: list[list[int]]) -> EngineTime:
    least, p50, p99 = np.percentile([one for turn in turns for one in turn], (0, 50, 99), method="lower")
    return EngineTime(int(least), int(p50), int(p99), tuple(int(statistics.median(turn)) for turn in turns))


def _resized(source: Path, target: Path, height: int, width: int) -> None:
    """The same convolutions over a picture of another size."""
    try:
        import onnx
    except ImportError as error:
        raise InputError("benchmark engine", "onnx: pip install 'surgical_ml[train]'", str(error)) from error
    model = onnx.load(source)
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    sizes[2].dim_value, sizes[3].dim_value = height, width
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    onnx.checker.check_model(inferred, full_check=True)
    onnx.save(inferred, target)
