"""The two dozen calls of the CUDA driver that an engine makes, by ctypes.

The driver's own library, `libcuda.so.1`, is there wherever a GPU can be used at all, and its binary interface does not change:
nothing has to be installed or built to ask it. TensorRT computes in the device's primary context, and so does this.
"""

import ctypes
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_ubyte, c_uint, c_uint64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surgical_ml.engine.protocol import EngineFault
from surgical_ml.errors import InputError

LIBRARY = "libcuda.so.1"
DRIVER_VERSION = Path("/sys/module/nvidia/version")

SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuGetErrorName": (c_int, POINTER(c_char_p)),
    "cuDeviceGetCount": (POINTER(c_int),),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDevicePrimaryCtxRetain": (POINTER(c_void_p), c_int),
    "cuDevicePrimaryCtxRelease_v2": (c_int,),
    "cuCtxSetCurrent": (c_void_p,),
    "cuMemAlloc_v2": (POINTER(c_uint64), c_size_t),
    "cuMemFree_v2": (c_uint64,),
    "cuMemHostAlloc": (POINTER(c_void_p), c_size_t, c_uint),
    "cuMemFreeHost": (c_void_p,),
    "cuMemcpyHtoDAsync_v2": (c_uint64, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_uint64, c_size_t, c_void_p),
    "cuMemsetD8Async": (c_uint64, c_ubyte, c_size_t, c_void_p),
    "cuStreamCreate": (POINTER(c_void_p), c_uint),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuStreamBeginCapture_v2": (c_void_p, c_int),
    "cuStreamEndCapture": (c_void_p, POINTER(c_void_p)),
    "cuGraphInstantiateWithFlags": (POINTER(c_void_p), c_void_p, c_uint64),
    "cuGraphDestroy": (c_void_p,),
    "cuGraphExecDestroy": (c_void_p,),
    "cuGraphLaunch": (c_void_p, c_void_p),
}
"""What each call takes; each returns 0, or the number of an error. The suffixes are those of CUDA 12 and 13 alike."""

_CC_MAJOR, _CC_MINOR = 75, 76
_NON_BLOCKING = 1
_THREAD_LOCAL = 1


@dataclass(frozen=True, slots=True)
class Device:
    """What a plan depends on of a GPU: its name, its compute capability ("9.0"), and the driver that runs it."""

    name: str
    compute_capability: str
    driver: str


class Cuda:
    """The first device that CUDA shows; `CUDA_VISIBLE_DEVICES` chooses another.

    Addresses and handles are integers. Whatever is called after the driver has failed fails as well.

    Raises:
        InputError: there is no driver, or no device.
    """

    def __init__(self) -> None:
        try:
            self._library = _library()
            for name, types in SIGNATURES.items():
                call = getattr(self._library, name)
                call.argtypes, call.restype = types, c_int
        except (OSError, AttributeError) as error:
            raise InputError("engine tensorrt", "an NVIDIA driver of CUDA 12 or newer", str(error)) from error
        count, ordinal = c_int(), c_int()
        try:
            self._call("cuInit", 0)
            self._call("cuDeviceGetCount", ctypes.byref(count))
            self._call("cuDeviceGet", ctypes.byref(ordinal), 0)
        except EngineFault as error:
            found = f"{count.value} devices ({error})"
            raise InputError("engine tensorrt", "an NVIDIA GPU that CUDA can use", found) from error
        self._ordinal = ordinal.value
        self.device = self._describe()
        self._context = self._made("cuDevicePrimaryCtxRetain", self._ordinal)
        self.attach()

    def attach(self) -> None:
        """Let the calling thread use the device: contexts are bound to threads, and a case runs on another than `configure`."""
        self._call("cuCtxSetCurrent", self._context)

    def close(self) -> None:
        """Leave the device; everything on it must have been given back."""
        self._call("cuDevicePrimaryCtxRelease_v2", self._ordinal)

    def allocate(self, size: int) -> int:
        """Memory on the device; its address."""
        address = c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), size)
        return address.value

    def free(self, address: int) -> None:
        """Give it back."""
        self._call("cuMemFree_v2", address)

    def pin(self, size: int) -> int:
        """Memory of the host that stays where it is, so that the device copies by itself; its address."""
        return self._made("cuMemHostAlloc", size, 0)

    def unpin(self, address: int) -> None:
        """Give it back."""
        self._call("cuMemFreeHost", address)

    def upload(self, device: int, host: int, size: int, stream: int) -> None:
        """Queue a copy from pinned memory; `host` must not change before the stream was waited for."""
        self._call("cuMemcpyHtoDAsync_v2", device, host, size, stream)

    def download(self, host: int, device: int, size: int, stream: int) -> None:
        """Queue a copy into pinned memory; it is there once the stream was waited for."""
        self._call("cuMemcpyDtoHAsync_v2", host, device, size, stream)

    def clear(self, device: int, size: int, stream: int) -> None:
        """Queue zeros."""
        self._call("cuMemsetD8Async", device, 0, size, stream)

    def open_stream(self) -> int:
        """A queue of work that waits for no other."""
        return self._made("cuStreamCreate", _NON_BLOCKING)

    def close_stream(self, stream: int) -> None:
        """Give it back."""
        self._call("cuStreamDestroy_v2", stream)

    def wait(self, stream: int) -> None:
        """Until everything queued is done; raises what went wrong in it."""
        self._call("cuStreamSynchronize", stream)

    def capture(self, stream: int, queue: Callable[[], None]) -> int:
        """What `queue` queues, remembered instead of done, as one piece of work that `launch` queues."""
        graph = c_void_p()
        self._call("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)
        try:
            try:
                queue()
            finally:
                self._call("cuStreamEndCapture", stream, ctypes.byref(graph))
            return self._made("cuGraphInstantiateWithFlags", graph, 0)
        finally:
            if graph:
                self._call("cuGraphDestroy", graph)

    def launch(self, graph: int, stream: int) -> None:
        """Queue all of a graph's work in one call."""
        self._call("cuGraphLaunch", graph, stream)

    def close_graph(self, graph: int) -> None:
        """Give it back."""
        self._call("cuGraphExecDestroy", graph)

    def _describe(self) -> Device:
        name = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", name, len(name), self._ordinal)
        numbers = []
        for attribute in (_CC_MAJOR, _CC_MINOR):
            value = c_int()
            self._call("cuDeviceGetAttribute", ctypes.byref(value), attribute, self._ordinal)
            numbers.append(str(value.value))
        version = c_int()
        self._call("cuDriverGetVersion", ctypes.byref(version))
        driver = f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"
        if DRIVER_VERSION.is_file():
            driver = f"{DRIVER_VERSION.read_text('ascii').strip()} ({driver})"
        return Device(name.value.decode(), ".".join(numbers), driver)

    def _made(self, name: str, *arguments: Any) -> int:
        """Call what writes a handle to where its first argument points."""
        handle = c_void_p()
        self._call(name, ctypes.byref(handle), *arguments)
        return handle.value or 0

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            text = c_char_p()
            self._library.cuGetErrorName(code, ctypes.byref(text))
            raise EngineFault(f"cuda: {name}: {(text.value or b'error').decode()} ({code})")


def _library() -> Any:
    return ctypes.CDLL(LIBRARY)
