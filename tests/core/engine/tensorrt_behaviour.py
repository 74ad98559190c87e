"""What an engine of TensorRT does, wherever it runs: over the double in one module, on a GPU in another."""

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from surgical_ml.engine import InputSpec, Tensor, load_model, open_engine, warm_up
from surgical_ml.engine.plan_builder import build_plan
from surgical_ml.engine.signature import fingerprint
from surgical_ml.engine.tensorrt import TensorRtEngine
from surgical_ml.errors import InputError
from surgical_ml.perception import Perceiver
from surgical_ml.simulation import Renderer, plan_case
from surgical_ml.video import Frame


def silent(done: int, total: int | None) -> None:
    """Nobody watches."""


def some(engine: TensorRtEngine, seed: int = 1) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    return {spec.name: rng.random(spec.shape).astype(spec.dtype) for spec in engine.inputs}


def normalised(picture: Tensor, spec: InputSpec) -> Tensor:
    red_first = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    return ((red_first - spec.mean) / spec.std).transpose(2, 0, 1)[None].astype(np.float32)


class Behaviour:
    """Statements that hold on every machine; `machine` prepares it, and `tolerance` is how exactly it computes."""

    tolerance: float

    def same(self, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=self.tolerance, atol=self.tolerance, err_msg=name)

    @pytest.mark.parametrize("network", ["frame", "phase"])
    def test_a_plan_is_built_opened_and_gives_what_its_network_gives(
        self, machine: Any, networks: dict[str, Path], network: str
    ) -> None:
        build_plan(networks[network], silent)
        engine = open_engine("tensorrt", networks[network])
        reference = open_engine("onnxruntime", networks[network], threads=1)
        assert {*engine.inputs, *engine.outputs} == {*reference.inputs, *reference.outputs}
        warm_up(engine, 1)
        for seed in range(3):
            given = some(engine, seed)
            self.same(engine.run(given), reference.run(given))
        engine.close()

    def test_what_a_run_gave_is_not_changed_by_the_next(self, engine: TensorRtEngine) -> None:
        first = engine.run(some(engine, 1))
        kept = {name: value.copy() for name, value in first.items()}
        engine.run(some(engine, 2))
        assert all((first[name] == kept[name]).all() for name in first)

    def test_a_run_never_changes_its_inputs(self, engine: TensorRtEngine) -> None:
        given = some(engine)
        before = {name: value.tobytes() for name, value in given.items()}
        engine.run(given)
        assert {name: value.tobytes() for name, value in given.items()} == before

    def test_a_wrong_shape_is_refused_before_it_runs(self, engine: TensorRtEngine) -> None:
        with pytest.raises(ValueError, match=r"input: state: expected \(1, 128\)"):
            engine.run(some(engine) | {"state": np.zeros((1, 4), np.float32)})

    def test_another_thread_may_run_what_configure_opened(self, engine: TensorRtEngine) -> None:
        given = some(engine)
        found: list[dict[str, Tensor]] = []
        worker = threading.Thread(target=lambda: found.append(engine.run(given)))
        worker.start()
        worker.join()
        expected = engine.run(given)
        assert all((found[0][name] == expected[name]).all() for name in expected)

    def test_a_bound_state_steps_as_a_state_that_is_handed_back(self, engine: TensorRtEngine, phase: Path) -> None:
        reference = open_engine("onnxruntime", phase, threads=1)
        engine.bind_state("state", "new_state")
        assert "state" not in {spec.name for spec in engine.inputs}
        assert "new_state" not in {spec.name for spec in engine.outputs}
        state = np.zeros((1, 128), np.float32)
        for seed in range(7):
            given = some(engine, seed)
            expected = reference.run(given | {"state": state})
            state = expected.pop("new_state")
            self.same(engine.run(given), expected)
            self.same({"state": engine.read_state()}, {"state": state})

    def test_a_bound_state_can_be_put_back(self, engine: TensorRtEngine) -> None:
        engine.bind_state("state", "new_state")
        engine.run(some(engine, 1))
        kept = engine.read_state()
        expected = engine.run(some(engine, 2))
        engine.write_state(kept)
        again = engine.run(some(engine, 2))
        assert all((again[name] == expected[name]).all() for name in expected)
        with pytest.raises(ValueError, match=r"state: (new_)?state: expected"):
            engine.write_state(kept[:, :4])

    @pytest.mark.parametrize(
        "pair", [("dt", "new_state"), ("state", "phase"), ("new_state", "state"), ("state", "nothing")]
    )
    def test_only_an_input_and_an_output_alike_are_a_state(self, engine: TensorRtEngine, pair: tuple[str, str]) -> None:
        with pytest.raises(ValueError, match="state: expected"):
            engine.bind_state(*pair)

    def test_a_folded_plan_takes_the_picture_and_gives_labels(self, machine: Any, networks: dict[str, Path]) -> None:
        spec = load_model("cholecystectomy").manifest.input
        build_plan(networks["frame"], silent, fold=spec)
        folded = open_engine("tensorrt", networks["frame"])
        assert [(one.name, one.shape, one.dtype) for one in folded.inputs] == [
            ("image", (1, spec.height, spec.width, 3), "uint8")
        ]
        picture = np.random.default_rng(3).integers(0, 256, (spec.height, spec.width, 3), np.uint8)
        found = folded.run({"image": picture[None]})
        expected = open_engine("onnxruntime", networks["frame"], threads=1).run({"image": normalised(picture, spec)})
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4)
        scores = found["segmentation"][0]
        assert (found["labels"][0, 0] == scores.argmax(axis=0)).all()
        peak = 1 / np.exp(scores - scores.max(axis=0)).sum(axis=0)
        np.testing.assert_allclose(found["probability"][0, 0], peak, rtol=1e-4)
        folded.close()

    def test_a_folded_plan_is_perceived_as_its_network_is(self, machine: Any, networks: dict[str, Path]) -> None:
        model = load_model("cholecystectomy")
        build_plan(networks["frame"], silent, fold=model.manifest.input)
        phase = open_engine("onnxruntime", model.file("phase"), threads=1)
        folded, plain = (
            Perceiver(model.manifest, open_engine(name, networks["frame"], threads=1), phase)
            for name in ("tensorrt", "onnxruntime")
        )
        renderer = Renderer(plan_case(1, duration_s=20.0), (320, 192))
        for index in range(3):
            frame = Frame(renderer.at(5.0 + index).image, index * 10**9, index)
            ours, theirs = folded.perceive(frame), plain.perceive(frame)
            assert ours.grid is not None
            assert theirs.grid is not None
            assert ours.input_sha256 == theirs.input_sha256
            assert ours.refusal == theirs.refusal
            # Where two labels score alike but for rounding, either may win.
            assert (ours.grid.labels == theirs.grid.labels).mean() > 0.999
            np.testing.assert_allclose(ours.presence_ppm, theirs.presence_ppm, atol=50)

    def test_a_plan_that_changed_is_never_given_to_tensorrt(self, phase: Path) -> None:
        plan = phase.with_name("phase.plan")
        plan.write_bytes(plan.read_bytes()[:-1] + b"x")
        with pytest.raises(InputError, match=r"phase\.plan: expected sha256 [0-9a-f]{64}, found sha256 "):
            open_engine("tensorrt", phase)

    def test_a_plan_that_the_site_signed_opens_where_only_such_may(
        self, machine: Any, networks: dict[str, Path]
    ) -> None:
        key, path = Ed25519PrivateKey.generate(), networks["phase"]
        build_plan(path, silent, signing=key)
        open_engine("tensorrt", path, plan_key=fingerprint(key.public_key())).close()
