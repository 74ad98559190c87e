"""The shipped networks with TensorRT's plans beside them, on the `machine` that a test module brings."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from surgical_ml.engine import load_model
from surgical_ml.engine.plan_builder import build_plan
from surgical_ml.engine.tensorrt import TensorRtEngine


@pytest.fixture
def networks(tmp_path: Path) -> dict[str, Path]:
    """The shipped networks, where plans may be put beside them."""
    model = load_model("cholecystectomy")
    return {name: Path(shutil.copy(model.file(name), tmp_path)) for name in ("frame", "phase")}


@pytest.fixture
def phase(machine: Any, networks: dict[str, Path]) -> Path:
    """The phase network, with its plan."""
    build_plan(networks["phase"], lambda done, total: None)
    return networks["phase"]


@pytest.fixture
def engine(phase: Path) -> Iterator[TensorRtEngine]:
    engine = TensorRtEngine(phase)
    yield engine
    engine.close()
