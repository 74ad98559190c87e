"""Stands in for TensorRT and the CUDA driver where neither is: interface-tested, not run on TensorRT.

It offers the names that `surgical_ml.engine` uses and no others (a test holds them against both real bindings), computes with
ONNX Runtime, and is stricter than a GPU: queued work is done only when somebody waits, memory is poisoned until it is written,
and what would be a wrong number or a crash there raises `Misuse` here.
"""

import ctypes
import hashlib
import json
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import onnx
import onnxruntime
import pytest

from surgical_ml.engine import cuda

INVALID_CONTEXT, INVALID_VALUE, CAPTURING, NO_DEVICE = 201, 1, 900, 100


class Misuse(AssertionError):
    """What a GPU answers with a crash, or worse, with a wrong number; `found` keeps the first of them first."""

    found: ClassVar[list[str]] = []

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.found.append(what)


@dataclass
class Work:
    """Something queued: which memory it reads and writes, by address."""

    what: str
    reads: frozenset[int]
    writes: frozenset[int]
    do: Callable[[], None]


@dataclass
class Stream:
    pending: list[Work] = field(default_factory=list)
    captured: list[Work] | None = None


@dataclass
class Memory:
    buffer: ctypes.Array
    pinned: bool
    written: bool = False
    digest: bytes = b""


class Driver:
    """`libcuda.so.1`: one device, whose memory is the host's."""

    def __init__(self, name: str = "Double GPU", capability: tuple[int, int] = (9, 0), version: int = 13000) -> None:
        self.name, self.capability, self.version = name, capability, version
        self.memory: dict[int, Memory] = {}
        self.streams: dict[int, Stream] = {}
        self.graphs: dict[int, list[Work]] = {}
        self.contexts = 0
        self.initialised = False
        self.current = threading.local()
        self.launches = 0
        self._handles = 0x1000

    def __getattr__(self, name: str) -> "Call":
        try:
            answer = object.__getattribute__(self, f"_{name}")
        except AttributeError:
            raise AttributeError(f"undefined symbol: {name}") from None
        call = Call(name, answer, self)
        self.__dict__[name] = call
        return call

    @property
    def at_work(self) -> bool:
        """Whether the calling thread may use the device."""
        return self.initialised and self.contexts > 0 and getattr(self.current, "context", 0) == 1

    def left(self) -> dict[str, int]:
        """What nobody has given back."""
        return {
            "memory": len(self.memory),
            "streams": len(self.streams),
            "graphs": len(self.graphs),
            "contexts": self.contexts,
        }

    def queue(self, handle: int, work: Work) -> None:
        """Queue it, or remember it while the stream is captured; see what it would race with."""
        if handle not in self.streams:
            raise Misuse(f"wrong stream: {work.what} on {handle:#x}, which nobody opened")
        stream = self.streams[handle]
        if stream.captured is not None:
            stream.captured.append(work)
            return
        for other, their in self.streams.items():
            for pending in their.pending:
                if other != handle and (pending.writes & (work.reads | work.writes) or pending.reads & work.writes):
                    raise Misuse(f"wrong stream: {work.what} races with {pending.what}")
        for address in work.writes:
            memory = self.memory[address]
            if memory.pinned:
                if any(address in pending.writes for pending in stream.pending):
                    raise Misuse(f"unsynchronised reuse: {work.what} before anybody waited for the one before")
                ctypes.memset(address, 0xA5, len(memory.buffer))
        for address in work.reads:
            memory = self.memory[address]
            if memory.pinned:
                memory.digest = hashlib.sha256(memory.buffer).digest()
        stream.pending.append(work)

    def work_off(self, stream: Stream) -> None:
        """Do what is queued, in order."""
        pending, stream.pending = stream.pending, []
        for work in pending:
            for address in work.reads:
                memory = self.memory.get(address)
                if memory is None:
                    raise Misuse(f"{work.what} reads memory that was given back")
                if memory.pinned and memory.digest != hashlib.sha256(memory.buffer).digest():
                    raise Misuse(f"unsynchronised reuse: what {work.what} reads was changed before anybody waited")
                if not memory.pinned and not memory.written:
                    raise Misuse(f"{work.what} reads what nobody wrote")
            work.do()
            for address in work.writes:
                self.memory[address].written = True

    def device_memory(self, address: int, what: str) -> Memory:
        """The allocation that begins there."""
        memory = self.memory.get(address)
        if memory is None or memory.pinned:
            raise Misuse(f"wrong address: {what}: no device memory begins at {address:#x}")
        return memory

    def _handle(self) -> int:
        self._handles += 16
        return self._handles

    def _cuInit(self, flags):
        self.initialised = True
        return 0 if flags == 0 else INVALID_VALUE

    def _cuDriverGetVersion(self, version):
        version._obj.value = self.version
        return 0

    def _cuGetErrorName(self, code, text):
        names = {
            201: b"CUDA_ERROR_INVALID_CONTEXT",
            900: b"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
            100: b"CUDA_ERROR_NO_DEVICE",
        }
        text._obj.value = names.get(code, b"CUDA_ERROR_INVALID_VALUE")
        return 0

    def _cuDeviceGetCount(self, count):
        count._obj.value = 1
        return 0

    def _cuDeviceGet(self, device, ordinal):
        device._obj.value = ordinal
        return 0 if ordinal == 0 else INVALID_VALUE

    def _cuDeviceGetName(self, name, size, device):
        name.value = self.name.encode()[: size - 1]
        return 0

    def _cuDeviceGetAttribute(self, value, attribute, device):
        value._obj.value = self.capability[{75: 0, 76: 1}[attribute]]
        return 0

    def _cuDevicePrimaryCtxRetain(self, context, device):
        self.contexts += 1
        context._obj.value = 1
        return 0

    def _cuDevicePrimaryCtxRelease_v2(self, device):
        self.contexts -= 1
        return 0

    def _cuCtxSetCurrent(self, context):
        self.current.context = context
        return 0 if self.contexts else INVALID_CONTEXT

    def _cuMemAlloc_v2(self, address, size):
        return self._allocate(address, size, pinned=False)

    def _cuMemHostAlloc(self, address, size, flags):
        return self._allocate(address, size, pinned=True)

    def _allocate(self, address, size, *, pinned):
        if any(stream.captured is not None for stream in self.streams.values()):
            return CAPTURING
        if size == 0:
            return INVALID_VALUE
        buffer = (ctypes.c_ubyte * size)()
        ctypes.memset(buffer, 0xCD, size)
        address._obj.value = ctypes.addressof(buffer)
        self.memory[ctypes.addressof(buffer)] = Memory(buffer, pinned)
        return 0

    def _cuMemFree_v2(self, address):
        self.device_memory(address, "free")
        return self._free(address)

    def _cuMemFreeHost(self, address):
        if not self.memory[address].pinned:
            raise Misuse(f"wrong address: {address:#x} is not pinned")
        return self._free(address)

    def _free(self, address):
        if any(address in work.reads | work.writes for stream in self.streams.values() for work in stream.pending):
            raise Misuse("memory is given back while work on it is queued")
        del self.memory[address]
        return 0

    def _cuMemcpyHtoDAsync_v2(self, device, host, size, stream):
        return self._copy("upload", device, host, size, stream, self.device_memory(device, "upload"))

    def _cuMemcpyDtoHAsync_v2(self, host, device, size, stream):
        return self._copy("download", host, device, size, stream, self.device_memory(device, "download"))

    def _copy(self, what, target, source, size, stream, on_device):
        on_host = self.memory.get(source if what == "upload" else target)
        if on_host is None or not on_host.pinned:
            raise Misuse(f"wrong address: {what}: the host's side is not pinned memory")
        if not size == len(on_device.buffer) == len(on_host.buffer):
            raise Misuse(f"wrong size: {what} of {size} of {len(on_device.buffer)} bytes")
        work = Work(what, frozenset({source}), frozenset({target}), lambda: ctypes.memmove(target, source, size))
        self.queue(stream, work)
        return 0

    def _cuMemsetD8Async(self, device, value, size, stream):
        if size != len(self.device_memory(device, "clear").buffer):
            raise Misuse("wrong size: clear")
        self.queue(stream, Work("clear", frozenset(), frozenset({device}), lambda: ctypes.memset(device, value, size)))
        return 0

    def _cuStreamCreate(self, stream, flags):
        if flags != 1:
            raise Misuse("a stream that waits for the default one")
        stream._obj.value = self._handle()
        self.streams[stream._obj.value] = Stream()
        return 0

    def _cuStreamSynchronize(self, stream):
        if self.streams[stream].captured is not None:
            return CAPTURING
        self.work_off(self.streams[stream])
        return 0

    def _cuStreamDestroy_v2(self, stream):
        if self.streams.pop(stream).pending:
            raise Misuse("a stream is given back while work is queued in it")
        return 0

    def _cuStreamBeginCapture_v2(self, stream, mode):
        self.streams[stream].captured = []
        return 0 if mode == 1 else INVALID_VALUE

    def _cuStreamEndCapture(self, stream, graph):
        works, self.streams[stream].captured = self.streams[stream].captured, None
        written: set[int] = set()
        for index, work in enumerate(works):
            later = frozenset().union(*(other.writes for other in works[index + 1 :]))
            stale = (work.reads - written) & later
            if stale:
                raise Misuse(f"wrong order: {work.what} comes before what it reads is written")
            written |= work.writes
        graph._obj.value = self._handle()
        self.graphs[graph._obj.value] = works
        return 0

    def _cuGraphInstantiateWithFlags(self, executable, graph, flags):
        executable._obj.value = self._handle()
        self.graphs[executable._obj.value] = self.graphs[graph.value]
        return 0

    def _cuGraphDestroy(self, graph):
        del self.graphs[graph.value]
        return 0

    def _cuGraphExecDestroy(self, graph):
        del self.graphs[graph]
        return 0

    def _cuGraphLaunch(self, graph, stream):
        self.launches += 1
        for work in self.graphs[graph]:
            self.queue(stream, work)
        return 0


ANYWHERE = {"cuInit", "cuGetErrorName", "cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease_v2", "cuCtxSetCurrent"}
ANYWHERE |= {name for name in cuda.SIGNATURES if name.startswith(("cuDeviceGet", "cuDriver"))}


class Call:
    """One function of the library; refuses what its declared types would not take."""

    def __init__(self, name: str, answer: Callable[..., int], driver: Driver) -> None:
        self.name, self.answer, self.driver = name, answer, driver
        self.argtypes: tuple = ()
        self.restype = None

    def __call__(self, *arguments):
        if len(arguments) != len(self.argtypes):
            raise Misuse(f"{self.name} takes {len(self.argtypes)} arguments")
        for kind, argument in zip(self.argtypes, arguments, strict=True):
            kind.from_param(argument)
        if self.name not in ANYWHERE and not self.driver.at_work:
            return INVALID_CONTEXT
        return self.answer(*arguments)


# TensorRT, from here on.

driver = Driver()
"""The one that is installed; `install` replaces it."""


class Severity(IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1


class ILogger:
    Severity = Severity

    def __init__(self) -> None:
        self._ready = True

    def log(self, severity, msg):
        raise NotImplementedError


class IProgressMonitor:
    def __init__(self) -> None:
        self._ready = True

    def phase_start(self, phase_name, parent_phase, num_steps):
        raise NotImplementedError

    def step_complete(self, phase_name, step):
        raise NotImplementedError

    def phase_finish(self, phase_name):
        raise NotImplementedError


DataType = IntEnum("DataType", {"FLOAT": 0, "HALF": 1, "INT8": 2, "INT32": 3, "BOOL": 4, "UINT8": 5, "INT64": 8})
NetworkDefinitionCreationFlag = IntEnum("NetworkDefinitionCreationFlag", {"STRONGLY_TYPED": 1})
MemoryPoolType = IntEnum("MemoryPoolType", {"WORKSPACE": 0})
BuilderFlag = IntEnum("BuilderFlag", {"TF32": 7})
ElementWiseOperation = IntEnum("ElementWiseOperation", {"SUM": 0, "PROD": 1})
TopKOperation = IntEnum("TopKOperation", {"MAX": 0})
TensorIOMode = IntEnum("TensorIOMode", {"NONE": 0, "INPUT": 1, "OUTPUT": 2})

_TYPES = {
    onnx.TensorProto.FLOAT: DataType.FLOAT,
    onnx.TensorProto.FLOAT16: DataType.HALF,
    onnx.TensorProto.INT8: DataType.INT8,
    onnx.TensorProto.INT32: DataType.INT32,
    onnx.TensorProto.BOOL: DataType.BOOL,
    onnx.TensorProto.UINT8: DataType.UINT8,
    onnx.TensorProto.INT64: DataType.INT64,
}
_ONNX = {ours: theirs for theirs, ours in _TYPES.items()}


class Permutation:
    def __init__(self, arg0) -> None:
        self._order = [int(axis) for axis in arg0]


class Weights:
    """Points at an array, and keeps it alive no more than TensorRT does."""

    def __init__(self, a) -> None:
        self._alive = weakref.ref(a)


class IHostMemory:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __bytes__(self) -> bytes:
        return self._content


class ITensor:
    name = ""

    def __init__(self, name: str, dtype: DataType | None, shape: tuple[int, ...]) -> None:
        self.name, self._dtype, self._shape = name, dtype, shape

    @property
    def dtype(self):
        return self._dtype

    @property
    def shape(self):
        return self._shape


class ILayer:
    """A node; its tensors by identity, because their names may change."""

    def __init__(
        self, operator: str, inputs: list, outputs: list, attributes: dict | None = None, domain: str = ""
    ) -> None:
        self._operator, self._inputs, self._outputs, self._domain = operator, inputs, outputs, domain
        self._attributes = attributes or {}

    @property
    def num_inputs(self):
        return len(self._inputs)

    def get_input(self, index):
        return self._inputs[index] if index < len(self._inputs) else None

    def get_output(self, index):
        return self._outputs[index] if index < len(self._outputs) else None

    def set_input(self, index, tensor):
        if self._inputs[index]._dtype != tensor._dtype:
            raise Misuse(f"wrong dtype: {tensor.name} in the place of {self._inputs[index].name}")
        self._inputs[index] = tensor


class IShuffleLayer(ILayer):
    @property
    def first_transpose(self):
        return self._attributes["perm"]

    @first_transpose.setter
    def first_transpose(self, order):
        self._attributes["perm"] = order._order
        self._outputs[0]._shape = tuple(self._inputs[0]._shape[axis] for axis in order._order)


class ISoftMaxLayer(ILayer):
    @property
    def axes(self):
        return 1 << self._attributes["axis"]

    @axes.setter
    def axes(self, mask):
        self._attributes["axis"] = _axis(mask)


def _axis(mask: int) -> int:
    if mask.bit_count() != 1:
        raise Misuse("more than one axis")
    return mask.bit_length() - 1


class INetworkDefinition:
    def __init__(self, logger) -> None:
        self._logger = logger
        self._layers: list[ILayer] = []
        self._inputs: list[ITensor] = []
        self._outputs: list[ITensor] = []
        self._constants: list[tuple[ITensor, Callable[[], np.ndarray]]] = []
        self._opsets: list = []

    @property
    def num_inputs(self):
        return len(self._inputs)

    @property
    def num_outputs(self):
        return len(self._outputs)

    @property
    def num_layers(self):
        return len(self._layers)

    def get_input(self, index):
        return self._inputs[index]

    def get_output(self, index):
        return self._outputs[index]

    def get_layer(self, index):
        return self._layers[index]

    def add_input(self, name, dtype, shape):
        if any(tensor.name == name for tensor in self._inputs):
            raise Misuse(f"two inputs {name}")
        self._inputs.append(ITensor(name, DataType(dtype), tuple(shape)))
        return self._inputs[-1]

    def remove_tensor(self, tensor):
        if any(tensor in layer._inputs for layer in self._layers):
            self._logger.log(Severity.ERROR, f"{tensor.name} is used")
            return
        self._inputs.remove(tensor)

    def mark_output(self, tensor):
        self._outputs.append(tensor)

    def add_constant(self, shape, weights):
        array = weights._alive()
        if array is None or array.size != np.prod(shape):
            raise Misuse("a constant of another size")
        tensor = self._made(_TYPES[onnx.helper.np_dtype_to_tensor_dtype(array.dtype)], tuple(shape))

        def value() -> np.ndarray:
            array = weights._alive()
            if array is None:
                raise Misuse("weights are gone before the network was built")
            return array.reshape(shape)

        self._constants.append((tensor, value))
        return ILayer("Constant", [], [tensor])

    def add_cast(self, input, to_type):
        return self._add(ILayer("Cast", [input], [self._made(to_type, input._shape)], {"to": _ONNX[to_type]}))

    def add_shuffle(self, input):
        if input._dtype == DataType.UINT8:
            raise Misuse("wrong dtype: uint8 must be cast before anything else")
        return self._add(IShuffleLayer("Transpose", [input], [self._made(input._dtype, input._shape)]))

    def add_gather(self, input, indices, axis):
        if indices._dtype not in (DataType.INT32, DataType.INT64):
            raise Misuse("wrong dtype: indices")
        shape = (*input._shape[:axis], *indices._shape, *input._shape[axis + 1 :])
        return self._add(ILayer("Gather", [input, indices], [self._made(input._dtype, shape)], {"axis": axis}))

    def add_elementwise(self, input1, input2, op):
        if input1._dtype != input2._dtype:
            raise Misuse(f"wrong dtype: {input1._dtype.name} and {input2._dtype.name}")
        shape = np.broadcast_shapes(input1._shape, input2._shape)
        operator = {ElementWiseOperation.SUM: "Add", ElementWiseOperation.PROD: "Mul"}[op]
        return self._add(ILayer(operator, [input1, input2], [self._made(input1._dtype, shape)]))

    def add_softmax(self, input):
        return self._add(ISoftMaxLayer("Softmax", [input], [self._made(input._dtype, input._shape)]))

    def add_topk(self, input, op, k, axes):
        axis = _axis(axes)
        shape = tuple(k if at == axis else size for at, size in enumerate(input._shape))
        count = self._made(DataType.INT64, (1,))
        self._constants.append((count, lambda: np.array([k], np.int64)))
        values, wide = self._made(input._dtype, shape), self._made(DataType.INT64, shape)
        indices = self._made(DataType.INT32, shape)
        self._add(
            ILayer("TopK", [input, count], [values, wide], {"axis": axis, "largest": int(op == TopKOperation.MAX)})
        )
        self._add(ILayer("Cast", [wide], [indices], {"to": onnx.TensorProto.INT32}))
        return ILayer("TopK", [input], [values, indices])

    def _add(self, layer):
        self._layers.append(layer)
        return layer

    def _made(self, dtype, shape):
        return ITensor(f"added_{len(self._layers)}_{len(self._constants)}_{dtype.name}", dtype, shape)

    def _take(self, model: onnx.ModelProto) -> None:
        """Become a network that was parsed."""
        graph = onnx.shape_inference.infer_shapes(model).graph
        self._opsets = list(model.opset_import)
        tensors: dict[str, ITensor | None] = {"": None}
        for info in (*graph.input, *graph.value_info, *graph.output):
            kind = info.type.tensor_type
            shape = tuple(size.dim_value if size.HasField("dim_value") else -1 for size in kind.shape.dim)
            tensors.setdefault(info.name, ITensor(info.name, _TYPES[kind.elem_type], shape))
        for constant in graph.initializer:
            tensor = ITensor(constant.name, _TYPES[constant.data_type], tuple(constant.dims))
            tensors[constant.name] = tensor
            self._constants.append((tensor, lambda constant=constant: onnx.numpy_helper.to_array(constant)))
        for node in graph.node:
            for name in (*node.input, *node.output):
                tensors.setdefault(name, ITensor(name, None, ()))
            attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            inputs, outputs = [tensors[name] for name in node.input], [tensors[name] for name in node.output]
            self._layers.append(ILayer(node.op_type, inputs, outputs, attributes, node.domain))
        self._inputs = [tensors[info.name] for info in graph.input]
        self._outputs = [tensors[info.name] for info in graph.output]

    def _model(self) -> bytes:
        ready = {id(tensor) for tensor in self._inputs} | {id(tensor) for tensor, _ in self._constants} | {id(None)}
        waiting, nodes = list(self._layers), []
        while waiting:
            now = [layer for layer in waiting if all(id(tensor) in ready for tensor in layer._inputs)]
            if not now:
                raise Misuse("a layer reads what no layer gives")
            for layer in now:
                waiting.remove(layer)
                ready |= {id(tensor) for tensor in layer._outputs}
                names = [[tensor.name if tensor else "" for tensor in side] for side in (layer._inputs, layer._outputs)]
                nodes.append(onnx.helper.make_node(layer._operator, *names, domain=layer._domain, **layer._attributes))
        infos = [[_info(tensor) for tensor in side] for side in (self._inputs, self._outputs)]
        constants = [onnx.numpy_helper.from_array(value(), tensor.name) for tensor, value in self._constants]
        graph = onnx.helper.make_graph(nodes, "double", *infos, constants)
        model = onnx.helper.make_model(graph, opset_imports=self._opsets, ir_version=9)
        return model.SerializeToString()


def _info(tensor: ITensor) -> onnx.ValueInfoProto:
    shape = [size if size >= 0 else "any" for size in tensor._shape]
    return onnx.helper.make_tensor_value_info(tensor.name, _ONNX[tensor._dtype], shape)


class ParserError:
    def __init__(self, text: str) -> None:
        self._text = text

    def desc(self):
        return self._text


class OnnxParser:
    def __init__(self, network, logger) -> None:
        self._network, self._errors = network, []

    @property
    def num_errors(self):
        return len(self._errors)

    def get_error(self, index):
        return self._errors[index]

    def parse(self, model):
        try:
            read = onnx.load_model_from_string(model)
            onnx.checker.check_model(read)
        except Exception as error:
            self._errors.append(ParserError(str(error).splitlines()[0]))
            return False
        self._network._take(read)
        return True


class ITimingCache:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def serialize(self):
        return IHostMemory(self._content)


class IBuilderConfig:
    progress_monitor: IProgressMonitor | None = None

    def __init__(self) -> None:
        self._flags = {BuilderFlag.TF32}
        self._cache: ITimingCache | None = None
        self._limits: dict = {}

    def set_memory_pool_limit(self, pool, pool_size):
        self._limits[MemoryPoolType(pool)] = pool_size

    def clear_flag(self, flag):
        self._flags.discard(BuilderFlag(flag))

    def create_timing_cache(self, serialized_timing_cache):
        return ITimingCache(bytes(serialized_timing_cache))

    def set_timing_cache(self, cache, ignore_mismatch):
        if cache._content not in (b"", _timings()) and not ignore_mismatch:
            return False
        self._cache = cache
        return True

    def get_timing_cache(self):
        return self._cache


def _timings() -> bytes:
    return f"timings of {module.__version__} on {driver.name}".encode()


class Builder:
    def __init__(self, logger) -> None:
        if not driver.at_work:
            raise TypeError("factory function returned nullptr")
        if not getattr(logger, "_ready", False):
            raise Misuse("a logger whose base was never made")
        self._logger = logger

    def create_network(self, flags):
        if flags != 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED:
            raise Misuse("a network that is not strongly typed")
        return INetworkDefinition(self._logger)

    def create_builder_config(self):
        return IBuilderConfig()

    def build_serialized_network(self, network, config):
        """As TensorRT does, it reports from a thread of its own."""
        if BuilderFlag.TF32 in config._flags or config._cache is None:
            raise Misuse("TF32, or no timing cache")
        monitor, going = config.progress_monitor, []

        def report() -> None:
            monitor.phase_start("Building", None, 2)
            monitor.phase_start("Measuring", "Building", 3)
            going.extend(monitor.step_complete("Measuring", step) for step in range(2))
            monitor.phase_finish("Measuring")
            going.append(monitor.step_complete("Building", 0))
            monitor.phase_finish("Building")

        thread = threading.Thread(target=report)
        thread.start()
        thread.join()
        if not all(going):
            return None
        config._cache._content = _timings()
        return IHostMemory(_head() + network._model())


def _head() -> bytes:
    head = json.dumps({"version": module.__version__, "gpu": driver.name}).encode()
    return b"DOUBLE" + len(head).to_bytes(2, "big") + head


class Runtime:
    def __init__(self, logger) -> None:
        if not driver.at_work:
            raise Misuse("a runtime without a driver: the real one ends the process when it is used")
        if not getattr(logger, "_ready", False):
            raise Misuse("a logger whose base was never made")
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine):
        if not serialized_engine.startswith(_head()):
            self._logger.log(Severity.ERROR, "the plan was made by\nanother version")
            return None
        return ICudaEngine(serialized_engine[len(_head()) :], self._logger)


class ICudaEngine:
    def __init__(self, model: bytes, logger) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._logger = logger
        graph = onnx.load_model_from_string(model).graph
        self._tensors = {info.name: info.type.tensor_type for info in (*graph.input, *graph.output)}
        self._given = [info.name for info in graph.input]

    @property
    def num_io_tensors(self):
        return len(self._tensors)

    def get_tensor_name(self, index):
        return list(self._tensors)[index]

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT if name in self._given else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name):
        return tuple(size.dim_value if size.HasField("dim_value") else -1 for size in self._tensors[name].shape.dim)

    def get_tensor_dtype(self, name):
        return _TYPES[self._tensors[name].elem_type]

    def create_execution_context(self):
        return IExecutionContext(self)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}
        self._warm = False

    def set_tensor_address(self, name, memory):
        if name not in self._engine._tensors:
            self._engine._logger.log(Severity.ERROR, f"no tensor {name}")
            return False
        size, wanted = len(driver.device_memory(memory, name).buffer), self._array(name).nbytes
        if size != wanted:
            raise Misuse(f"wrong dtype: {name}: {size} bytes for {wanted}")
        self._addresses[name] = memory
        self._warm = False
        return True

    def infer_shapes(self):
        return [name for name in self._engine._given if -1 in self._engine.get_tensor_shape(name)]

    def execute_async_v3(self, stream_handle):
        if self.infer_shapes():
            raise Misuse(f"missing shape: {self.infer_shapes()}")
        lacking = sorted(set(self._engine._tensors) - set(self._addresses))
        if lacking:
            raise Misuse(f"wrong address: none for {lacking}")
        if len(set(self._addresses.values())) != len(self._addresses):
            raise Misuse("wrong address: one for two tensors")
        stream = driver.streams.get(stream_handle)
        if stream is not None and stream.captured is not None and not self._warm:
            raise Misuse("wrong order: captured before it ran once")
        self._warm = True
        engine, bound = self._engine, dict(self._addresses)

        def compute() -> None:
            values = {name: self._array(name, bound[name]) for name in engine._given}
            names = [name for name in bound if name not in values]
            for name, value in zip(names, engine._session.run(names, values), strict=True):
                self._array(name, bound[name])[...] = value

        reads = frozenset(bound[name] for name in engine._given)
        driver.queue(stream_handle, Work("the network", reads, frozenset(bound.values()) - reads, compute))
        return True

    def _array(self, name: str, address: int | None = None) -> np.ndarray:
        shape = tuple(max(1, size) for size in self._engine.get_tensor_shape(name))
        dtype = onnx.helper.tensor_dtype_to_np_dtype(self._engine._tensors[name].elem_type)
        empty = np.empty(shape, dtype)
        if address is None:
            return empty
        return np.frombuffer((ctypes.c_ubyte * empty.nbytes).from_address(address), dtype).reshape(shape)


OFFERED = {
    kind.__name__: kind
    for kind in (
        *(ILogger, IProgressMonitor, DataType, NetworkDefinitionCreationFlag, MemoryPoolType, BuilderFlag),
        *(
            ElementWiseOperation,
            TopKOperation,
            TensorIOMode,
            Permutation,
            Weights,
            IHostMemory,
            ITensor,
            ILayer,
            IShuffleLayer,
        ),
        *(ISoftMaxLayer, INetworkDefinition, ParserError, OnnxParser, ITimingCache, IBuilderConfig, Builder, Runtime),
        *(ICudaEngine, IExecutionContext),
    )
}
module = SimpleNamespace(**OFFERED, __version__="10.16.1.11")


def install(monkeypatch: pytest.MonkeyPatch, given: Driver | None = None, version: str = "10.16.1.11") -> Driver:
    """Put the double where the driver and the package are looked for."""
    monkeypatch.setattr(sys.modules[__name__], "driver", given or Driver())
    module.__version__ = version
    Misuse.found.clear()
    monkeypatch.setattr(cuda, "_library", lambda: driver)
    monkeypatch.setattr(cuda, "DRIVER_VERSION", Path("/nowhere"))
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    return driver
