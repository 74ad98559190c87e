"""Runs a network: one protocol, one adapter for each runtime, and the manifest that says which files may be run."""

from pathlib import Path

from surgical_ml.engine.manifest import InputSpec, Manifest, Model, Thresholds, check_digest, load_model
from surgical_ml.engine.onnx_file import metadata_of
from surgical_ml.engine.protocol import Engine, EngineFault, Tensor, TensorSpec, warm_up
from surgical_ml.errors import InputError

ENGINES = ("onnxruntime", "openvino", "torch", "tensorrt")


def open_engine(name: str, path: Path, *, threads: int = 2, bf16: bool = False, plan_key: str | None = None) -> Engine:
    """Load a network into the engine of that name; never into another one instead.

    Args:
        name: one of `ENGINES`.
        path: the ONNX file; its tensors say the precision that it is computed in. TensorRT runs the plan beside it.
        threads: of one run on a CPU.
        bf16: compute in bfloat16 whatever the file says; OpenVINO only, on a processor that can.
        plan_key: fingerprint of the key that must have signed the plan; TensorRT only.

    Raises:
        InputError: there is no such engine, it is not installed, or it cannot load the file.
    """
    if bf16 and name != "openvino":
        raise InputError("bf16", "the engine openvino", name)
    if plan_key is not None and name != "tensorrt":
        raise InputError("plan_key", "the engine tensorrt", name)
    if name == "openvino":
        from surgical_ml.engine.openvino import OpenVinoEngine

        return OpenVinoEngine(path, threads=threads, bf16=bf16)
    if name == "torch":
        from surgical_ml.engine.torch import TorchEngine

        return TorchEngine(path, threads=threads)
    if name == "tensorrt":
        from surgical_ml.engine.tensorrt import TensorRtEngine

        return TensorRtEngine(path, signer=plan_key)
    if name == "onnxruntime":
        from surgical_ml.engine.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(path, threads=threads)
    raise InputError("engine", f"one of {list(ENGINES)}", name)


__all__ = [
    "ENGINES",
    "Engine",
    "EngineFault",
    "InputSpec",
    "Manifest",
    "Model",
    "Tensor",
    "TensorSpec",
    "Thresholds",
    "check_digest",
    "load_model",
    "metadata_of",
    "open_engine",
    "warm_up",
]
