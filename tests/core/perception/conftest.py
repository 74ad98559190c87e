"""The shipped model, loaded once for all tests of this room."""

from collections.abc import Callable

import pytest

from surgical_ml.engine import Engine, Model, load_model, open_engine
from surgical_ml.perception import Perceiver


@pytest.fixture(scope="session")
def model() -> Model:
    return load_model("cholecystectomy")


@pytest.fixture(scope="session")
def frame_engine(model: Model) -> Engine:
    return open_engine("onnxruntime", model.file("frame"))


@pytest.fixture(scope="session")
def phase_engine(model: Model) -> Engine:
    return open_engine("onnxruntime", model.file("phase"))


@pytest.fixture
def make_perceiver(model: Model, frame_engine: Engine, phase_engine: Engine) -> Callable[..., Perceiver]:
    """`make_perceiver()`; an engine that is given stands in for the model's own."""

    def make(*, frame: Engine = frame_engine, phase: Engine = phase_engine) -> Perceiver:
        return Perceiver(model.manifest, frame, phase)

    return make
