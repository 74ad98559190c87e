"""ONNX Runtime on the CPU: the default engine."""

from collections.abc import Mapping
from pathlib import Path

import onnxruntime

from surgical_ml.engine.protocol import EngineFault, Tensor, TensorSpec, check_tensors
from surgical_ml.errors import InputError

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int64)": "int64",
}


class OnnxRuntimeEngine:
    """A network in ONNX Runtime.

    Args:
        path: the ONNX file, already checked against its manifest.
        threads: how many threads one run uses. The same number gives the same bits on the same machine.

    Raises:
        InputError: the file is not a network that the runtime can load, or a shape in it is not static.
    """

    def __init__(self, path: Path, *, threads: int = 2) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would take the cores that decoding and ROS need between two frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            first_line = str(error).splitlines()[0]
            raise InputError(path, "a network that ONNX Runtime can load", first_line) from error
        self.name = "onnxruntime"
        self.inputs = tuple(_spec(path, node) for node in self._session.get_inputs())
        self.outputs = tuple(_spec(path, node) for node in self._session.get_outputs())

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run once; see `Engine.run`."""
        check_tensors("input", self.inputs, inputs)
        names = [spec.name for spec in self.outputs]
        try:
            values = self._session.run(names, dict(inputs))
        except Exception as error:
            raise EngineFault(f"onnxruntime: {str(error).splitlines()[0]}") from error
        return dict(zip(names, values, strict=True))

    def close(self) -> None:
        """Release the session."""
        del self._session


def _spec(path: Path, node: onnxruntime.NodeArg) -> TensorSpec:
    if node.type not in _DTYPES:
        raise InputError(path, f"tensor {node.name} of one of {sorted(_DTYPES)}", node.type)
    if not all(isinstance(size, int) for size in node.shape):
        raise InputError(path, f"tensor {node.name} with a static shape", str(node.shape))
    return TensorSpec(node.name, tuple(node.shape), _DTYPES[node.type])
