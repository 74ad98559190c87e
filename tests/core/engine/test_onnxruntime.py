"""ONNX Runtime runs what the manifest names, and says plainly what it cannot run."""

from pathlib import Path

import numpy as np
import pytest

from surgical_ml.engine import EngineFault, load_model, open_engine, warm_up
from surgical_ml.errors import InputError


def test_the_shipped_networks_load_warm_up_and_answer_finite_numbers() -> None:
    model = load_model("cholecystectomy")
    for network in ("frame", "phase"):
        engine = open_engine("onnxruntime", model.file(network))
        warm_up(engine, 1)
        outputs = engine.run({spec.name: np.zeros(spec.shape, spec.dtype) for spec in engine.inputs})
        assert set(outputs) == {spec.name for spec in engine.outputs}
        assert all(np.isfinite(value).all() for value in outputs.values())
        engine.close()


def test_the_same_input_gives_the_same_bits() -> None:
    model = load_model("cholecystectomy")
    engine = open_engine("onnxruntime", model.file("frame"))
    image = np.random.default_rng(1).standard_normal(engine.inputs[0].shape).astype(np.float32)
    first, second = engine.run({"image": image}), engine.run({"image": image})
    assert all((first[name] == second[name]).all() for name in first)


def test_a_wrong_shape_or_dtype_is_refused_before_it_runs() -> None:
    engine = open_engine("onnxruntime", load_model("cholecystectomy").file("frame"))
    with pytest.raises(ValueError, match=r"expected .*found"):
        engine.run({"image": np.zeros((1, 3, 8, 8), np.float32)})
    with pytest.raises(ValueError, match="float64"):
        engine.run({"image": np.zeros(engine.inputs[0].shape, np.float64)})
    with pytest.raises(ValueError, match="expected tensors"):
        engine.run({"picture": np.zeros(engine.inputs[0].shape, np.float32)})


def test_a_file_that_is_no_network_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "frame.onnx"
    path.write_text("not a network")
    with pytest.raises(InputError) as caught:
        open_engine("onnxruntime", path)
    assert "frame.onnx" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_engine_that_is_not_there_is_never_replaced_by_another(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"engine: expected one of .*onnxruntime.*found abacus"):
        open_engine("abacus", tmp_path / "frame.onnx")


def test_a_runtime_that_fails_while_it_runs_is_a_fault_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def run(self, *_: object) -> None:
            raise RuntimeError("the device is gone\nand here is a long trace")

    engine = open_engine("onnxruntime", load_model("cholecystectomy").file("phase"))
    zeros = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in engine.inputs}
    monkeypatch.setattr(engine, "_session", Gone())
    with pytest.raises(EngineFault, match=r"^onnxruntime: the device is gone$"):
        engine.run(zeros)


def test_a_run_never_changes_its_inputs() -> None:
    model = load_model("cholecystectomy")
    for network in ("frame", "phase"):
        engine = open_engine("onnxruntime", model.file(network))
        rng = np.random.default_rng(2)
        inputs = {spec.name: rng.standard_normal(spec.shape).astype(spec.dtype) for spec in engine.inputs}
        before = {name: value.tobytes() for name, value in inputs.items()}
        engine.run(inputs)
        assert {name: value.tobytes() for name, value in inputs.items()} == before
        engine.close()
