"""OpenVINO on the CPU: the faster engine, most of all where the processor computes in bfloat16."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import surgical_ml
from surgical_ml.engine.protocol import EngineFault, Tensor, TensorSpec, check_tensors
from surgical_ml.errors import InputError

_PROBE = """
import sys
from pathlib import Path
from surgical_ml.engine.openvino import probe
sys.exit(probe(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "bf16"))
"""
_LONGEST_PROBE_S = 300


class OpenVinoEngine:
    """A network in OpenVINO, on a fixed number of threads.

    The file is compiled and run once in a process of its own first: OpenVINO can crash on a graph, and takes its process
    with it. That happens once for each file, number of threads and precision.

    Args:
        path: the ONNX file, already checked against its manifest.
        threads: how many threads one run uses.
        bf16: compute in bfloat16, about twice as fast and eight bits exact; float32 otherwise. An int8 file computes its
            quantised part in int8 either way.

    Raises:
        InputError: OpenVINO is not installed, the processor has no bfloat16, the file cannot be loaded (a crash is named
            with the file and the signal), or a shape in it is not static.
    """

    def __init__(self, path: Path, *, threads: int = 2, bf16: bool = False) -> None:
        if not path.is_file():
            raise InputError(path, "a network that OpenVINO can load", "no file")
        _probed(path, sha256(path.read_bytes()).hexdigest(), threads, bf16)
        compiled = _compile(path, threads, bf16)
        self._request = compiled.create_infer_request()
        self._ports = list(compiled.outputs)
        self.name = "openvino bf16" if bf16 else "openvino"
        self.inputs = tuple(_spec(path, port) for port in compiled.inputs)
        self.outputs = tuple(_spec(path, port) for port in compiled.outputs)

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run once; see `Engine.run`."""
        check_tensors("input", self.inputs, inputs)
        try:
            # Inputs are read where they lie; outputs are copies, valid beyond the next run.
            values = self._request.infer(dict(inputs), share_inputs=True)
        except Exception as error:
            raise EngineFault(f"openvino: {str(error).splitlines()[0]}") from error
        return {spec.name: values[port] for spec, port in zip(self.outputs, self._ports, strict=True)}

    def close(self) -> None:
        """Release the compiled network."""
        del self._request, self._ports


def has_bf16() -> bool:
    """Whether this processor computes in bfloat16.

    Raises:
        InputError: OpenVINO is not installed.
    """
    return "BF16" in _library().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def probe(path: Path, threads: int, bf16: bool) -> int:
    """Compile a network and run it on zeros: what the process that may crash does; 0 if both went well."""
    try:
        compiled = _compile(path, threads, bf16)
        compiled.create_infer_request().infer(
            {
                port.get_any_name(): np.zeros(tuple(port.shape), port.get_element_type().to_dtype())
                for port in compiled.inputs
            }
        )
    except Exception as error:
        said = error.found if isinstance(error, InputError) else str(error).strip().splitlines()[-1]
        print(said, file=sys.stderr)
        return 1
    return 0


@cache
def _probed(path: Path, digest: str, threads: int, bf16: bool) -> None:
    """Raise `InputError` unless a process of its own can load and run the file of that digest."""
    library = _library()
    if bf16 and not has_bf16():
        raise InputError("bf16", "a processor that computes in bfloat16", "one that does not, says OpenVINO")
    version = library.__version__.partition("-")[0]
    own = str(Path(surgical_ml.__file__).resolve().parents[1])
    there = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (own, os.environ.get("PYTHONPATH"))))}
    command = [sys.executable, "-c", _PROBE, str(path), str(threads), "bf16" if bf16 else "f32"]
    expected = f"a network that OpenVINO {version} can load"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_PROBE_S, env=there, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError(path, expected, f"no end within {_LONGEST_PROBE_S} s") from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise InputError(path, expected, f"a crash of its compiler ({name}): run this graph on onnxruntime")
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise InputError(path, expected, lines[-1] if lines else f"exit status {done.returncode}")


def _library() -> Any:
    """The module, which must not report to its makers what is done with it in an operating room."""
    # Importing it sends an event; without this package it does not, and nothing else of it is missed.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return import_module("openvino")
    except ImportError as error:
        raise InputError("engine openvino", "OpenVINO: pip install 'surgical_ml[openvino]'", str(error)) from error


def _compile(path: Path, threads: int, bf16: bool) -> Any:
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        # Threads that are bound to cores would fight with decoding and ROS for just these.
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
    }
    try:
        return _library().Core().compile_model(str(path), "CPU", settings)
    except RuntimeError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise InputError(path, "a network that OpenVINO can load", lines[-1] if lines else "an error") from error


def _spec(path: Path, port: Any) -> TensorSpec:
    if not port.partial_shape.is_static:
        raise InputError(path, f"tensor {port.get_any_name()} with a static shape", str(port.partial_shape))
    return TensorSpec(port.get_any_name(), tuple(port.shape), np.dtype(port.get_element_type().to_dtype()).name)
