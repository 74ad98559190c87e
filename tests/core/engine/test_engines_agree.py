"""The proofs of architecture.md: whatever runs the phase network, and in whatever precision, it is one network."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phase_walks import shape, stepped, walk, walk_together

from surgical_ml.engine import Engine, Tensor, load_model, open_engine
from surgical_ml.engine.precision import to_half
from surgical_ml.perception import Perceiver
from surgical_ml.video import Frame

MODEL = load_model("cholecystectomy")
STEPS = 1_000
"""A tenth of what `make campaign` takes."""

REQUIRED = {"openvino": "openvino", "torch": "torch", "onnxruntime": "onnxruntime"}


def opened(engine: str, path: Path) -> Engine:
    pytest.importorskip(REQUIRED[engine], reason=f"needs the extra of {engine}")
    return open_engine(engine, path, threads=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The phase network by precision."""
    pytest.importorskip("onnx", reason="needs the extra train")
    half = tmp_path_factory.mktemp("half") / "phase.onnx"
    to_half(MODEL.file("phase"), half)
    return {"fp32": MODEL.file("phase"), "fp16": half}


@pytest.fixture(scope="module", params=["onnxruntime fp16", "openvino fp32", "openvino fp16", "torch fp32"])
def other(request: pytest.FixtureRequest, files: dict[str, Path]) -> Iterator[Engine]:
    """An engine and precision other than the one that a case runs on."""
    name, precision = request.param.split()
    engine = opened(name, files[precision])
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def reference() -> Engine:
    return open_engine("onnxruntime", MODEL.file("phase"), threads=1)


def test_every_engine_and_precision_steps_through_a_case_alike(reference: Engine, other: Engine) -> None:
    """Each carries its own state, so that whatever they differ in has every chance to grow."""
    same, farthest = walk_together(reference, other, STEPS)
    assert same >= 0.999 * STEPS
    assert farthest < 0.02


@settings(max_examples=8, deadline=None)
@given(past=st.integers(0, 2**32 - 1), futures=st.tuples(*(st.integers(0, 2**32 - 1),) * 2), count=st.integers(1, 12))
def test_no_future_changes_the_past(other: Engine, past: int, futures: tuple[int, int], count: int) -> None:
    def past_before(future: int) -> list[bytes]:
        taken = list(walk(other, past, count))
        for _ in walk(other, future, 5, taken[-1]["new_state"]):
            pass
        return [out[name].tobytes() for out in taken for name in sorted(out)]

    assert past_before(futures[0]) == past_before(futures[1])


def test_a_reset_is_as_good_as_a_fresh_start(other: Engine) -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(0.0, 2.0, shape(other, "features")).astype(np.float32)
    fresh = stepped(other, features, 0.2, np.zeros(shape(other, "state"), np.float32), reset=True)
    for value in (0.7, -1.0, 1e30, np.inf):
        used = stepped(other, features, 0.2, np.full(shape(other, "state"), value, np.float32), reset=True)
        assert {name: out.tobytes() for name, out in used.items()} == {n: o.tobytes() for n, o in fresh.items()}


def test_a_state_that_was_saved_and_reloaded_mid_case_goes_on_bit_for_bit(other: Engine) -> None:
    whole = list(walk(other, 5, 40))
    file = io.BytesIO()
    np.save(file, whole[19]["new_state"])
    file.seek(0)
    rest = list(walk(other, 5, 40, np.load(file), start=20))
    assert [out[name].tobytes() for out in rest for name in sorted(out)] == [
        out[name].tobytes() for out in whole[20:] for name in sorted(out)
    ]


# No NaN: the shipped graph was exported before `PhaseNet` took those for 0, and the perceiver keeps them from it (below).
# What is exported now is shown any number in tests/core/learning/test_exported_phase_graph.py.
GARBAGE = st.floats(width=32, allow_nan=False) | st.sampled_from([np.inf, -np.inf, 1e30, -1e30])


@settings(max_examples=40, deadline=None)
@given(values=st.fixed_dictionaries({name: GARBAGE for name in ("features", "dt", "reset", "state")}))
def test_garbage_cannot_make_the_state_other_than_finite(other: Engine, values: dict[str, float]) -> None:
    outputs = other.run({spec.name: np.full(spec.shape, values[spec.name], np.float32) for spec in other.inputs})
    assert all(np.isfinite(value).all() for value in outputs.values())
    assert np.abs(outputs["new_state"]).max() <= 1.0 + 1e-3


class Garbled:
    """The frame network, whose features are garbage."""

    def __init__(self, engine: Engine, garbage: float, every: int) -> None:
        self.name, self.inputs, self.outputs = engine.name, engine.inputs, engine.outputs
        self._engine, self._garbage, self._every = engine, garbage, every

    def run(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        outputs = self._engine.run(inputs)
        features = outputs["features"].copy()
        features[0, :: self._every] = self._garbage
        zero = np.zeros_like(outputs["novelty"])
        return outputs | {"features": features, "novelty": zero, "in_body": zero + 1}

    def close(self) -> None:
        self._engine.close()


@pytest.fixture(scope="module")
def frame_network() -> Engine:
    return open_engine("onnxruntime", MODEL.file("frame"))


@settings(max_examples=15, deadline=None)
@given(garbage=st.sampled_from([np.nan, np.inf, -np.inf, 1e30, -1e30]) | st.floats(width=32), every=st.integers(1, 40))
def test_no_feature_whatever_it_is_leaves_a_memory_that_is_not_finite(
    reference: Engine, frame_network: Engine, garbage: float, every: int
) -> None:
    perceiver = Perceiver(MODEL.manifest, Garbled(frame_network, garbage, every), reference)
    picture = np.random.default_rng(8).integers(60, 200, (192, 320, 3), np.uint8)
    for k in range(2):
        seen = perceiver.perceive(Frame(picture, k * 40_000_000, k))
        assert np.isfinite(perceiver._state).all()
        if not np.isfinite(garbage):
            assert seen.phase_ppm == ()
