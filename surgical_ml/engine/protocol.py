"""What every engine is: a network that was loaded, and can be run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Tensor = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, static shape and numpy dtype of one input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class Engine(Protocol):
    """One network on one device.

    Shapes are static and checked; `run` may be called from one thread at a time and never changes its inputs.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the network once.

        Raises:
            EngineFault: the device or the runtime failed; the engine must not be used again.
        """

    def close(self) -> None:
        """Give the device's memory back."""


class EngineFault(RuntimeError):
    """The runtime failed while it ran; the gate shows FAULT."""


def warm_up(engine: Engine, rounds: int = 3) -> None:
    """Run it on zeros, so that no first frame pays for allocation; part of `configure`, never of `activate`."""
    zeros = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in engine.inputs}
    for _ in range(rounds):
        engine.run(zeros)


def check_tensors(what: str, specs: tuple[TensorSpec, ...], tensors: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` unless exactly the tensors of `specs` are there, each of its shape and dtype."""
    if set(tensors) != {spec.name for spec in specs}:
        raise ValueError(f"{what}: expected tensors {sorted(s.name for s in specs)}, found {sorted(tensors)}")
    for spec in specs:
        tensor = tensors[spec.name]
        if tensor.shape != spec.shape or tensor.dtype != np.dtype(spec.dtype):
            raise ValueError(
                f"{what}: {spec.name}: expected {spec.shape} {spec.dtype}, found {tensor.shape} {tensor.dtype}"
            )
