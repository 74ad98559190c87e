"""Runs a network: one protocol, one adapter for each runtime, and the manifest that says which files may be run."""

from pathlib import Path

from surgical_ml.engine.manifest import InputSpec, Manifest, Model, Thresholds, check_digest, load_model
from surgical_ml.engine.protocol import Engine, EngineFault, Tensor, TensorSpec, warm_up
from surgical_ml.errors import InputError

ENGINES = ("onnxruntime",)


def open_engine(name: str, path: Path, *, threads: int = 2) -> Engine:
    """Load a network into the engine of that name; never into another one instead.

    Raises:
        InputError: there is no such engine, or it cannot load the file.
    """
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
    "open_engine",
    "warm_up",
]
