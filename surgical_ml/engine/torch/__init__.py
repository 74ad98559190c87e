"""torch: the reference that the other engines are compared with, and the engine of a GPU without TensorRT.

It runs the exported file itself, node by node, so that what is compared is one network and not two that should be equal.
On a GPU the whole network is captured once as a CUDA graph and then replayed; on a CPU it runs eagerly.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from surgical_ml.engine.protocol import EngineFault, Tensor, TensorSpec, check_tensors
from surgical_ml.engine.torch.operators import OPERATORS
from surgical_ml.errors import InputError

_WARM_RUNS = 3
"""Before a capture, so that nothing is allocated or chosen within it."""


class TorchEngine:
    """A network in torch.

    Args:
        path: the ONNX file, already checked against its manifest.
        threads: of one run on a CPU; torch has one such number for the whole process.
        device: cpu or cuda; None takes the GPU where torch sees one. `name` says which it is.

    Raises:
        InputError: torch or onnx is not installed, the device is not there, the file is no network, or there is an
            operator in it that this engine does not have.
    """

    def __init__(self, path: Path, *, threads: int = 2, device: str | None = None) -> None:
        # Threads that wait busily would take the cores that decoding and ROS need; it must be said before torch is loaded.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        try:
            import onnx
            import torch
        except ImportError as error:
            raise InputError("engine torch", "torch and onnx: pip install 'surgical_ml[train]'", str(error)) from error
        there = torch.cuda.is_available()
        if device == "cuda" and not there:
            raise InputError("engine torch: device cuda", "a GPU that torch can use", "none")
        self._torch: Any = torch
        self._device = device or ("cuda" if there else "cpu")
        self.name = f"torch {self._device}"
        if self._device == "cpu":
            torch.set_num_threads(threads)
        try:
            graph = onnx.load(path).graph
        except Exception as error:
            lines = str(error).splitlines()
            raise InputError(path, "a network", lines[0] if lines else type(error).__name__) from error
        self._constants = {one.name: self._constant(onnx.numpy_helper.to_array(one)) for one in graph.initializer}
        self.inputs = tuple(_spec(path, one) for one in graph.input if one.name not in self._constants)
        self.outputs = tuple(_spec(path, one) for one in graph.output)
        self._steps = [_step(path, node) for node in graph.node]
        self._replay = self._capture() if self._device == "cuda" else None

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run once; see `Engine.run`."""
        check_tensors("input", self.inputs, inputs)
        try:
            if self._replay is not None:
                return self._replay(inputs)
            with self._torch.inference_mode():
                given = {name: self._torch.from_numpy(np.array(value)) for name, value in inputs.items()}
                return {name: value.numpy() for name, value in self._compute(given).items()}
        except Exception as error:
            raise EngineFault(f"torch: {str(error).splitlines()[0]}") from error

    def close(self) -> None:
        """Release weights, buffers and the captured graph."""
        del self._constants, self._steps, self._replay

    def _constant(self, value: Tensor) -> Any:
        """A weight on the device, convolutions' with channels last on a GPU; integers stay here, for they are shapes."""
        tensor = self._torch.from_numpy(value.copy())
        if not tensor.is_floating_point() and tensor.dtype is self._torch.int64:
            return tensor
        if self._device == "cuda" and tensor.ndim == 4:
            return tensor.to(self._device, memory_format=self._torch.channels_last)
        return tensor.to(self._device)

    def _compute(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Every node in the file's order; returns the outputs."""
        values = {**self._constants, **given}
        for operator, attributes, names, targets in self._steps:
            results = operator(attributes, *(values[name] if name else None for name in names))
            for target, result in zip(targets, results if isinstance(results, tuple) else (results,), strict=False):
                values[target] = result
        return {spec.name: values[spec.name].contiguous() for spec in self.outputs}

    def _capture(self) -> Callable[[Mapping[str, Tensor]], dict[str, Tensor]]:
        """The network as one CUDA graph over fixed buffers; not run on this project's machines, which have no GPU."""
        torch = self._torch
        kinds = {spec.name: getattr(torch, spec.dtype) for spec in (*self.inputs, *self.outputs)}
        pinned = {s.name: torch.zeros(s.shape, dtype=kinds[s.name], pin_memory=True) for s in self.inputs}
        answers = {s.name: torch.zeros(s.shape, dtype=kinds[s.name], pin_memory=True) for s in self.outputs}
        stream = torch.cuda.Stream()
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.stream(stream):
            fixed = {name: value.to(self._device) for name, value in pinned.items()}
            for _ in range(_WARM_RUNS):
                self._compute(fixed)
            stream.synchronize()
            with torch.cuda.graph(graph, stream=stream):
                outputs = self._compute(fixed)

        def replay(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            with torch.inference_mode(), torch.cuda.stream(stream):
                for name, value in inputs.items():
                    pinned[name].copy_(torch.from_numpy(np.array(value)))
                    fixed[name].copy_(pinned[name], non_blocking=True)
                graph.replay()
                for name, value in outputs.items():
                    answers[name].copy_(value, non_blocking=True)
                stream.synchronize()
            return {name: value.numpy().copy() for name, value in answers.items()}

        return replay


def _step(path: Path, node: Any) -> tuple[Callable[..., Any], dict[str, Any], list[str], list[str]]:
    """A node as what is called, with what, and the names of what goes in and comes out."""
    import onnx

    if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
        raise InputError(path, f"operators that the engine torch has: {', '.join(sorted(OPERATORS))}", node.op_type)
    attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    return OPERATORS[node.op_type], attributes, list(node.input), list(node.output)


def _spec(path: Path, value: Any) -> TensorSpec:
    import onnx

    kind = value.type.tensor_type
    sizes = [size.dim_value if size.HasField("dim_value") else size.dim_param for size in kind.shape.dim]
    if not all(isinstance(size, int) for size in sizes):
        raise InputError(path, f"tensor {value.name} with a static shape", str(sizes))
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)).name
    return TensorSpec(value.name, tuple(sizes), dtype)
