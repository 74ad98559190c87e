"""Builds TensorRT's plan of a network: minutes of work, done once for a machine and never while a case may begin.

One path serves 10.12 and newer, and 11. The network is strongly typed: its precision is what its file says, and no flag changes
it. TF32 is off, so that fp32 means fp32.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from surgical_ml.engine.cuda import Cuda
from surgical_ml.engine.manifest import InputSpec
from surgical_ml.engine.plans import PlanKey, write_plan, write_whole
from surgical_ml.engine.protocol import EngineFault, Tensor
from surgical_ml.engine.tensorrt import Module, load_tensorrt, open_log
from surgical_ml.errors import InputError

TIMING_CACHE = "tensorrt.cache"
"""What TensorRT measured of its kernels; beside the plans, and of use only to the machine that measured."""

WORKSPACE_BYTES = 1 << 30

_Builder = Annotated[Any, "Builder"]
_Network = Annotated[Any, "INetworkDefinition"]
_Config = Annotated[Any, "IBuilderConfig"]
_Monitor = Annotated[Any, "IProgressMonitor"]
_Tensor = Annotated[Any, "ITensor"]

_CHANNELS = 1 << 1


def build_plan(
    onnx: Path,
    progress: Callable[[int, int | None], None],
    *,
    fold: InputSpec | None = None,
    signing: Ed25519PrivateKey | None = None,
) -> Path:
    """Build the plan of a network for this machine, and put it beside its file.

    Args:
        onnx: the network's file.
        progress: is told how many steps are done, and of how many so far; from TensorRT's threads. TensorRT names further
            steps as it goes, so that both grow. What it raises stops the build and is raised again.
        fold: for a frame network: what its picture must look like. The plan then takes `image` (1, H, W, 3) uint8, in the
            order blue, green, red, and normalises it on the device; and it gives `labels` (1, 1, h, w) int32 and
            `probability` (1, 1, h, w) of `segmentation` as well. None leaves everything as it is in the file.
        signing: signs the plan, so that the site can refuse any other.

    Raises:
        InputError: there is no driver, no GPU or no TensorRT; TensorRT cannot read the network or cannot build it.
    """
    network_file = _read(onnx)
    cuda = Cuda()
    try:
        trt = load_tensorrt()
        key = PlanKey.of(onnx, network_file, trt.__version__, cuda.device)
        plan = _build(trt, onnx, network_file, Steps(progress), fold)
    except EngineFault as error:
        raise InputError(onnx, "a GPU that builds a plan", str(error)) from error
    finally:
        cuda.close()
    return write_plan(onnx, plan, key, folded=fold is not None, signing=signing)


class Steps:
    """Adds up the steps of all phases of a build, and stops it where somebody wants that.

    TensorRT calls from threads of its own and through C++, where an exception ends the process: it is kept, and the build
    asked to stop.
    """

    def __init__(self, progress: Callable[[int, int | None], None]) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._total: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self.stopped_by: BaseException | None = None

    def start(self, phase: str, steps: int) -> None:
        """A phase begins; one that begins again starts from nothing."""
        self._report(phase, steps, 0)

    def step(self, phase: str, step: int) -> bool:
        """A step, counted from 0, is done; whether to go on."""
        return self._report(phase, None, step + 1)

    def finish(self, phase: str) -> None:
        """A phase is over, whatever steps of it were left out."""
        self._report(phase, None, None)

    def _report(self, phase: str, total: int | None, done: int | None) -> bool:
        with self._lock:
            if total is not None:
                self._total[phase] = total
            known = self._total.setdefault(phase, 0)
            self._done[phase] = known if done is None else min(done, known)
            if self.stopped_by is None:
                try:
                    self._progress(sum(self._done.values()), sum(self._total.values()))
                except BaseException as error:
                    self.stopped_by = error
            return self.stopped_by is None


def _read(onnx: Path) -> bytes:
    if not onnx.is_file():
        raise InputError(onnx, "an ONNX file", "no file")
    return onnx.read_bytes()


def _build(trt: Module, onnx: Path, network_file: bytes, steps: Steps, fold: InputSpec | None) -> bytes:
    lines: list[str] = []
    weights: list[Tensor] = []
    log = open_log(trt, lines)
    try:
        builder = trt.Builder(log)
    except TypeError as error:
        raise InputError(onnx, f"a builder of TensorRT {trt.__version__}", _last(lines) or str(error)) from error
    # In 11 every network is strongly typed, and the flag is kept for those who still ask for it, as 10 needs.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(network_file):
        found = parser.get_error(0).desc() if parser.num_errors else "no reason was given"
        raise InputError(onnx, f"a network that TensorRT {trt.__version__} can read", found)
    _require_static(onnx, network)
    if fold is not None:
        weights = _fold_picture(trt, onnx, network, fold)
        _fold_labels(trt, onnx, network)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    config.clear_flag(trt.BuilderFlag.TF32)
    monitor = _monitor(trt, steps)
    config.progress_monitor = monitor
    timings = onnx.with_name(TIMING_CACHE)
    _use_timings(config, timings)
    plan = builder.build_serialized_network(network, config)
    del weights
    if steps.stopped_by is not None:
        raise steps.stopped_by
    if plan is None:
        found = _last(lines) or "no reason was logged"
        raise InputError(onnx, f"a network that TensorRT {trt.__version__} can build", found)
    write_whole(timings, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _last(lines: list[str]) -> str:
    return lines[-1] if lines else ""


def _require_static(onnx: Path, network: _Network) -> None:
    for tensor in _inputs(network):
        if any(size < 0 for size in tensor.shape):
            raise InputError(onnx, f"tensor {tensor.name} with a static shape", str(tuple(tensor.shape)))


def _monitor(trt: Module, steps: Steps) -> _Monitor:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            steps.start(phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return steps.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            steps.finish(phase_name)

    return Monitor()


def _use_timings(config: _Config, path: Path) -> None:
    """Take what was measured before; what another machine or version measured, TensorRT itself refuses."""
    measured = path.read_bytes() if path.is_file() else b""
    if not config.set_timing_cache(config.create_timing_cache(measured), False):
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _fold_picture(trt: Module, onnx: Path, network: _Network, spec: InputSpec) -> list[Tensor]:
    """Put the normalisation of `image` before the network, with the arithmetic that is done without this on the host.

    Returns what must live until the network is built, because TensorRT copies no weights.
    """
    image = _named(onnx, "input image", _inputs(network), "image")
    shape = (1, 3, spec.height, spec.width)
    if tuple(image.shape) != shape:
        raise InputError(onnx, f"input image of shape {shape}", str(tuple(image.shape)))
    readers = [
        (layer, index)
        for layer in [network.get_layer(number) for number in range(network.num_layers)]
        for index in range(layer.num_inputs)
        if (tensor := layer.get_input(index)) is not None and tensor.name == image.name
    ]
    picture = network.add_input("picture", trt.DataType.UINT8, (1, spec.height, spec.width, 3))
    numbers = network.add_cast(picture, image.dtype)
    planes = network.add_shuffle(numbers.get_output(0))
    planes.first_transpose = trt.Permutation([0, 3, 1, 2])
    red_first = np.array([2, 1, 0], np.int32)
    order = network.add_constant((3,), trt.Weights(red_first))
    ordered = network.add_gather(planes.get_output(0), order.get_output(0), 1)
    gain = np.array([1 / (255 * std) for std in spec.std], np.float32)
    bias = np.array([-mean / std for mean, std in zip(spec.mean, spec.std, strict=True)], np.float32)
    gains = network.add_constant((1, 3, 1, 1), trt.Weights(gain))
    scaled = network.add_elementwise(ordered.get_output(0), gains.get_output(0), trt.ElementWiseOperation.PROD)
    biases = network.add_constant((1, 3, 1, 1), trt.Weights(bias))
    normal = network.add_elementwise(scaled.get_output(0), biases.get_output(0), trt.ElementWiseOperation.SUM)
    for layer, index in readers:
        layer.set_input(index, normal.get_output(0))
    network.remove_tensor(image)
    picture.name = "image"
    return [red_first, gain, bias]


def _fold_labels(trt: Module, onnx: Path, network: _Network) -> None:
    """Give the label of each cell, and its probability, beside the scores."""
    scores = _named(onnx, "output segmentation", _outputs(network), "segmentation")
    probabilities = network.add_softmax(scores)
    probabilities.axes = _CHANNELS
    best = network.add_topk(probabilities.get_output(0), trt.TopKOperation.MAX, 1, _CHANNELS)
    for index, name in enumerate(("probability", "labels")):
        tensor = best.get_output(index)
        tensor.name = name
        network.mark_output(tensor)


def _inputs(network: _Network) -> list[_Tensor]:
    return [network.get_input(index) for index in range(network.num_inputs)]


def _outputs(network: _Network) -> list[_Tensor]:
    return [network.get_output(index) for index in range(network.num_outputs)]


def _named(onnx: Path, what: str, tensors: list[_Tensor], name: str) -> _Tensor:
    for tensor in tensors:
        if tensor.name == name:
            return tensor
    raise InputError(onnx, what, f"only {sorted(tensor.name for tensor in tensors)}")
