"""The statements of `tensorrt_behaviour`, on TensorRT and a GPU; skipped, with what is missing, where there is none."""

import pytest
from tensorrt_behaviour import Behaviour

from surgical_ml.engine.cuda import Cuda
from surgical_ml.engine.tensorrt import load_tensorrt
from surgical_ml.errors import InputError


def missing() -> str:
    """What keeps TensorRT from running here; empty where nothing does."""
    try:
        cuda = Cuda()
        try:
            load_tensorrt()
        finally:
            cuda.close()
    except InputError as error:
        return str(error)
    return ""


@pytest.fixture
def machine() -> None:
    """The one that is there."""


MISSING = missing()


@pytest.mark.skipif(bool(MISSING), reason=f"needs TensorRT on an NVIDIA GPU: {MISSING}")
class TestOnAGpu(Behaviour):
    tolerance = 2e-3
