"""OpenVINO runs what the manifest names, in a precision that was asked for, and is never trusted with this process first."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from surgical_ml.config import CaseConfig
from surgical_ml.engine import EngineFault, load_model, open_engine, warm_up
from surgical_ml.engine import openvino as adapter
from surgical_ml.errors import InputError
from surgical_ml.session import Assets

pytest.importorskip("openvino", reason="needs the extra openvino")
PHASE = load_model("cholecystectomy").file("phase")
FRAME = load_model("cholecystectomy").file("frame")
BF16 = pytest.mark.skipif(not adapter.has_bf16(), reason="needs a processor that computes in bfloat16")


@pytest.fixture
def unprobed() -> Iterator[None]:
    """As in a process that has loaded nothing yet."""
    adapter._probed.cache_clear()
    yield
    adapter._probed.cache_clear()


def test_the_shipped_networks_load_warm_up_and_answer_finite_numbers() -> None:
    for path in (FRAME, PHASE):
        engine = open_engine("openvino", path)
        warm_up(engine, 1)
        outputs = engine.run({spec.name: np.zeros(spec.shape, spec.dtype) for spec in engine.inputs})
        assert set(outputs) == {spec.name for spec in engine.outputs}
        assert all(np.isfinite(value).all() for value in outputs.values())
        engine.close()


def test_the_same_input_gives_the_same_bits_and_answers_outlive_the_next_run() -> None:
    engine = open_engine("openvino", FRAME)
    rng = np.random.default_rng(1)
    one, other = (rng.standard_normal(engine.inputs[0].shape).astype(np.float32) for _ in range(2))
    first = engine.run({"image": one})
    kept = {name: value.tobytes() for name, value in first.items()}
    engine.run({"image": other})
    assert {name: value.tobytes() for name, value in first.items()} == kept
    assert {name: value.tobytes() for name, value in engine.run({"image": one}).items()} == kept


def test_a_wrong_shape_is_refused_before_it_runs() -> None:
    engine = open_engine("openvino", FRAME)
    with pytest.raises(ValueError, match=r"expected .*found"):
        engine.run({"image": np.zeros((1, 3, 8, 8), np.float32)})


@BF16
def test_bfloat16_is_an_option_that_is_named_and_changes_little() -> None:
    exact, fast = open_engine("openvino", FRAME), open_engine("openvino", FRAME, bf16=True)
    assert (exact.name, fast.name) == ("openvino", "openvino bf16")
    image = {"image": np.random.default_rng(2).standard_normal(exact.inputs[0].shape).astype(np.float32)}
    left, right = exact.run(image)["features"], fast.run(image)["features"]
    assert 0.0 < np.abs(left - right).max() < 0.5


def test_bfloat16_is_refused_where_the_processor_has_none(unprobed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "has_bf16", lambda: False)
    with pytest.raises(InputError, match=r"bf16: expected a processor that computes in bfloat16"):
        open_engine("openvino", FRAME, bf16=True)


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_bfloat16_is_refused_of_every_other_engine(engine: str) -> None:
    with pytest.raises(InputError, match=f"bf16: expected the engine openvino, found {engine}"):
        open_engine(engine, FRAME, bf16=True)


def test_a_crash_of_the_compiler_names_the_graph_and_the_signal(
    unprobed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_PROBE", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(InputError, match=r"phase\.onnx: expected a network that OpenVINO [\d.]+ can load.*SIGSEGV"):
        open_engine("openvino", PHASE)


def test_a_compiler_that_never_ends_is_given_up(unprobed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_PROBE", "import time; time.sleep(600)")
    monkeypatch.setattr(adapter, "_LONGEST_PROBE_S", 0.2)
    with pytest.raises(InputError, match=r"no end within 0\.2 s"):
        open_engine("openvino", PHASE)


def test_a_network_is_probed_once_a_process(unprobed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    open_engine("openvino", PHASE).close()
    monkeypatch.setattr(adapter, "_PROBE", "raise SystemExit('a second time')")
    open_engine("openvino", PHASE).close()
    with pytest.raises(InputError, match="a second time"):
        open_engine("openvino", PHASE, threads=1)


def test_a_file_that_is_no_network_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "frame.onnx"
    path.write_text("not a network")
    with pytest.raises(InputError, match=r"frame\.onnx: expected a network that OpenVINO") as caught:
        open_engine("openvino", path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="found no file"):
        open_engine("openvino", tmp_path / "none.onnx")


def test_a_runtime_that_fails_while_it_runs_is_a_fault_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def infer(self, *_: object, **__: object) -> None:
            raise RuntimeError("the device is gone\nand here is a long trace")

    engine = open_engine("openvino", PHASE)
    monkeypatch.setattr(engine, "_request", Gone())
    with pytest.raises(EngineFault, match=r"^openvino: the device is gone$"):
        engine.run({spec.name: np.zeros(spec.shape, spec.dtype) for spec in engine.inputs})


def test_nothing_is_reported_to_its_makers() -> None:
    """OpenVINO sends an event when it is imported, unless the package that would send it is not to be had."""
    told = (
        "import sys\n"
        "from pathlib import Path\n"
        "from surgical_ml.engine import open_engine\n"
        "open_engine('openvino', Path(sys.argv[1]))\n"
        "print([name for name, module in sys.modules.items() if name.startswith('openvino_telemetry') and module])"
    )
    done = subprocess.run(
        [sys.executable, "-c", told, str(PHASE)], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "[]"


def test_the_phase_network_stays_on_onnx_runtime_whatever_the_frame_network_runs_on() -> None:
    assets = Assets.load(CaseConfig.of({"engine": "openvino"}))
    assert (assets.perceiver._frame.name, assets.perceiver._phase.name) == ("openvino", "onnxruntime")
