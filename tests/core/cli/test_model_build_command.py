"""`surgical-ml model build` where nothing can be built: one line that says what is missing.

What it builds where it can is tested over a double, beside the engine.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surgical_ml.engine import cuda

Cli = Callable[..., Any]


@pytest.fixture(autouse=True)
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on most machines; a GPU that is there stays out of it."""
    monkeypatch.setattr(cuda, "LIBRARY", "libcuda.so.nowhere")


def test_without_a_driver_it_says_so_and_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    line = cli("model", "build", "cholecystectomy", "--engine", "tensorrt").line
    assert line.startswith(
        "surgical-ml: engine tensorrt: expected an NVIDIA driver of CUDA 12 or newer, found libcuda.so.nowhere"
    )


def test_another_engine_has_nothing_to_build(cli: Cli) -> None:
    assert (
        "'openvino' is not one of 'tensorrt'" in cli("model", "build", "cholecystectomy", "--engine", "openvino").line
    )


def test_a_key_that_is_not_there_is_refused_before_anything_is_built(cli: Cli, tmp_path: Path) -> None:
    line = cli("model", "build", "cholecystectomy", "--key", tmp_path / "site.key").line
    assert line == f"surgical-ml: {tmp_path / 'site.key'}: expected a signing key, found no file"


def test_a_replay_without_a_plan_names_the_command_that_builds_it(cli: Cli, pictures: Path, tmp_path: Path) -> None:
    line = cli("replay", pictures, "--out", tmp_path / "out", "--engine", "tensorrt").line
    assert "/frame.plan: expected a plan, built before by: surgical-ml model build " in line
    assert not (tmp_path / "out").exists()
