"""TensorRT 10.12 and newer, and 11: runs a plan that was built before on this very machine.

Everything is allocated and captured when the plan is opened: a run is a copy into pinned memory, one launch of a CUDA graph
that uploads, computes and downloads, and a wait. Which names and signatures of TensorRT stand here is checked in the tests
against the real bindings of both versions; the module itself is only imported where a plan is opened or built.
"""

import ctypes
import importlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from surgical_ml.engine.cuda import Cuda
from surgical_ml.engine.plans import PlanKey, build_command, read_plan, require_plan
from surgical_ml.engine.protocol import EngineFault, Tensor, TensorSpec, check_tensors
from surgical_ml.errors import InputError

OLDEST = (10, 12)

Module = Annotated[Any, "tensorrt"]
Logger = Annotated[Any, "ILogger"]
_Engine = Annotated[Any, "ICudaEngine"]

DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}
"""numpy's name of each of TensorRT's data types that a tensor outside of a network may have."""


def load_tensorrt() -> Module:
    """The module, once a driver was found: without one, parts of it end the process.

    Raises:
        InputError: it is not installed, or too old.
    """
    try:
        trt = importlib.import_module("tensorrt")
    except ImportError as error:
        install = "pip install tensorrt-cu13, or tensorrt-cu12 where the driver is of CUDA 12"
        raise InputError("engine tensorrt", f"the package tensorrt ({install})", str(error)) from error
    version = tuple(int(part) for part in trt.__version__.split(".")[:2])
    if version < OLDEST:
        raise InputError("engine tensorrt", f"TensorRT {'.'.join(map(str, OLDEST))} or newer", trt.__version__)
    return trt


def open_log(trt: Module, lines: list[str]) -> Logger:
    """A logger that keeps what TensorRT says of errors: its calls only say that they failed."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                lines.append(" ".join(msg.split()))

    return Log()


@dataclass(frozen=True, slots=True)
class _Buffer:
    """A tensor in both memories; `values` shows the pinned one as an array."""

    spec: TensorSpec
    size: int
    device: int
    host: int
    values: Tensor


class TensorRtEngine:
    """A network in TensorRT, on the first device that CUDA shows.

    Args:
        path: the ONNX file, already checked against its manifest. Its plan lies beside it; none is ever built here.
        signer: fingerprint of the key that must have signed the plan; None asks for no signature.

    Raises:
        InputError: there is no plan, no driver, no device, or no TensorRT; or the plan was built for something else, has
            changed, or was not signed by that key.
    """

    def __init__(self, path: Path, *, signer: str | None = None) -> None:
        file = require_plan(path, signer)
        cuda = Cuda()
        with ExitStack() as made:
            made.callback(cuda.close)
            try:
                trt = load_tensorrt()
                key = PlanKey.of(path, path.read_bytes(), trt.__version__, cuda.device)
                self._open(trt, cuda, read_plan(path, file, key), made)
            except EngineFault as error:
                raise InputError(path, "a plan that this GPU can load", str(error)) from error
            except _Refused as error:
                expected = f"a plan that TensorRT {trt.__version__} can load"
                raise InputError(path, expected, f"{error}; build it anew: {build_command(path)}") from error
            self._made = made.pop_all()
        self.name = "tensorrt"

    def _open(self, trt: Module, cuda: Cuda, plan: bytes, made: ExitStack) -> None:
        """Everything that takes time or memory; what it takes is given back by `made`."""
        self._cuda = cuda
        self._lines: list[str] = []
        self._log = open_log(trt, self._lines)
        made.callback(self._forget)
        self._runtime = trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise _Refused(self._why())
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise _Refused(self._why())
        self._stream = cuda.open_stream()
        made.callback(cuda.close_stream, self._stream)
        inputs: list[TensorSpec] = []
        outputs: list[TensorSpec] = []
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            spec = _spec(self._engine, name)
            (inputs if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else outputs).append(spec)
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._buffers = {spec.name: _allocate(cuda, spec, made) for spec in (*inputs, *outputs)}
        # Where opening fails half-way, nothing is given back that queued work still uses.
        made.callback(cuda.wait, self._stream)
        for name, buffer in self._buffers.items():
            cuda.clear(buffer.device, buffer.size, self._stream)
            self._place(name, buffer)
        missing = self._context.infer_shapes()
        if missing:
            raise _Refused(f"tensors without a shape: {sorted(missing)}")
        self._turns = [self._capture(made)]
        self._turn = 0

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run once; see `Engine.run`."""
        check_tensors("input", self.inputs, inputs)
        self._cuda.attach()
        for spec in self.inputs:
            np.copyto(self._buffers[spec.name].values, inputs[spec.name])
        self._cuda.launch(self._turns[self._turn], self._stream)
        self._cuda.wait(self._stream)
        self._turn = (self._turn + 1) % len(self._turns)
        # The pinned memory is written again by the next run, and what was given away must not change.
        return {spec.name: self._buffers[spec.name].values.copy() for spec in self.outputs}

    def bind_state(self, state: str, new_state: str) -> None:
        """From here on, keep a recurrent state on the device: each run reads what the run before it wrote.

        Both tensors leave `inputs` and `outputs`, so that `run` stays what every engine's is. Two places on the device take
        turns at being read and being written, with a captured graph for each way round; nothing is copied. The state is all
        zeros to begin with.

        Args:
            state: the input; `new_state`: the output that replaces it. Both have one shape and dtype.

        Raises:
            ValueError: there are no such tensors, or they differ.
            EngineFault: the device failed.
        """
        read, written = self._buffers.get(state), self._buffers.get(new_state)
        if read is None or written is None or read.spec not in self.inputs or written.spec not in self.outputs:
            raise ValueError(f"state: expected an input and an output, found {state} and {new_state}")
        if (read.spec.shape, read.spec.dtype) != (written.spec.shape, written.spec.dtype):
            raise ValueError(f"state: expected two alike, found {read.spec} and {written.spec}")
        self._cuda.attach()
        self.inputs = tuple(spec for spec in self.inputs if spec.name != state)
        self.outputs = tuple(spec for spec in self.outputs if spec.name != new_state)
        self._places = (read, written)
        self._turns = []
        for one, other in ((read, written), (written, read)):
            self._place(state, one)
            self._place(new_state, other)
            self._turns.append(self._capture(self._made))
        self._turn = 0
        self.write_state(np.zeros(read.spec.shape, read.spec.dtype))

    def read_state(self) -> Tensor:
        """A copy of the bound state that the next run will read."""
        self._cuda.attach()
        place = self._places[self._turn]
        self._cuda.download(place.host, place.device, place.size, self._stream)
        self._cuda.wait(self._stream)
        return place.values.copy()

    def write_state(self, value: Tensor) -> None:
        """Replace the bound state that the next run will read; a shape or dtype that differs is a `ValueError`."""
        place = self._places[self._turn]
        check_tensors("state", (place.spec,), {place.spec.name: value})
        self._cuda.attach()
        np.copyto(place.values, value)
        self._cuda.upload(place.device, place.host, place.size, self._stream)
        self._cuda.wait(self._stream)

    def close(self) -> None:
        """Give the device's memory back; an `EngineFault` where the device has failed."""
        self._cuda.attach()
        self._made.close()

    def _place(self, name: str, buffer: _Buffer) -> None:
        if not self._context.set_tensor_address(name, buffer.device):
            raise EngineFault(f"tensorrt: tensor {name}: {self._why()}")

    def _capture(self, made: ExitStack) -> int:
        """The graph of one run: uploads, the network, downloads, each for the tensors that the host sees."""
        # TensorRT allocates during its first run after a change, which a graph cannot hold.
        self._enqueue()
        self._cuda.wait(self._stream)
        graph = self._cuda.capture(self._stream, self._queue)
        made.callback(self._cuda.close_graph, graph)
        return graph

    def _queue(self) -> None:
        for buffer in (self._buffers[spec.name] for spec in self.inputs):
            self._cuda.upload(buffer.device, buffer.host, buffer.size, self._stream)
        self._enqueue()
        for buffer in (self._buffers[spec.name] for spec in self.outputs):
            self._cuda.download(buffer.host, buffer.device, buffer.size, self._stream)

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(self._stream):
            raise EngineFault(f"tensorrt: {self._why()}")

    def _why(self) -> str:
        return self._lines[-1] if self._lines else "no reason was logged"

    def _forget(self) -> None:
        """Let go of TensorRT's objects, the youngest first, while the device is still there."""
        self._context = self._engine = self._runtime = None


class _Refused(Exception):
    """TensorRT does not take the plan, and why."""


def _spec(engine: _Engine, name: str) -> TensorSpec:
    shape, dtype = tuple(engine.get_tensor_shape(name)), engine.get_tensor_dtype(name).name
    if dtype not in DTYPES:
        raise _Refused(f"tensor {name} of {dtype}")
    if any(size < 0 for size in shape):
        raise _Refused(f"tensor {name} of no static shape: {shape}")
    return TensorSpec(name, shape, DTYPES[dtype])


def _allocate(cuda: Cuda, spec: TensorSpec, made: ExitStack) -> _Buffer:
    size = int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize
    device = cuda.allocate(size)
    made.callback(cuda.free, device)
    host = cuda.pin(size)
    made.callback(cuda.unpin, host)
    pinned = memoryview((ctypes.c_ubyte * size).from_address(host))
    values = np.frombuffer(pinned, spec.dtype).reshape(spec.shape)
    return _Buffer(spec, size, device, host, values)
