"""What may count as evidence, and what may not, with the shipped model and real pictures."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from surgical_ml.engine import Engine, EngineFault, Model, Tensor
from surgical_ml.errors import InputError
from surgical_ml.perception import Observation, Perceiver, Refusal
from surgical_ml.simulation import Renderer, plan_case
from surgical_ml.simulation.plan import Disturbance
from surgical_ml.video import Frame, Image

SINUS = Path(__file__).resolve().parents[4] / "shared" / "data" / "sinus-endoscopy"
SIZE = (640, 360)
WIDTH, HEIGHT = SIZE
PERIOD_NS = 200_000_000
MakePerceiver = Callable[..., Perceiver]


class Wrong:
    """An engine that answers as the real one does, until it is told to do something else."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name, self.inputs, self.outputs = engine.name, engine.inputs, engine.outputs
        self.damage: Callable[[dict[str, Tensor]], None] = lambda outputs: None
        self.runs = 0

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.runs += 1
        outputs = {name: value.copy() for name, value in self._engine.run(inputs).items()}
        self.damage(outputs)
        return outputs

    def close(self) -> None:
        """The real one is closed elsewhere."""


def fail(_: dict[str, Tensor]) -> None:
    raise EngineFault("the device is gone")


def make_not_finite(name: str, value: float) -> Callable[[dict[str, Tensor]], None]:
    def damage(outputs: dict[str, Tensor]) -> None:
        outputs[name].flat[-1] = value

    return damage


def watch(perceiver: Perceiver, pictures: list[Image], start: int = 0) -> list[Observation]:
    """Five pictures a second."""
    return [perceiver.perceive(Frame(p, (start + k) * PERIOD_NS, start + k)) for k, p in enumerate(pictures)]


@pytest.fixture(scope="module")
def operation() -> list[Image]:
    """Two seconds of a clean held-out case with tools in view."""
    renderer = Renderer(plan_case(5, duration_s=62.0, split="held-out"), SIZE, view="full")
    return [renderer.at(20.4 + 0.2 * k).image for k in range(10)]


def test_a_clean_operation_is_evidence(make_perceiver: MakePerceiver, operation: list[Image], model: Model) -> None:
    for observation in watch(make_perceiver(), operation):
        assert observation.admitted
        assert observation.content_shape == "full"
        assert sum(observation.phase_ppm) == pytest.approx(1_000_000, abs=len(observation.phase_ppm))
        assert len(observation.phase_ppm) == len(observation.next_ppm) == len(model.manifest.phases)
        assert len(observation.presence_ppm) == len(model.manifest.tools)
        assert observation.instruments
        assert {one.type for one in observation.instruments} <= set(model.manifest.tools)
        assert observation.in_body_ppm > 500_000
        assert 0 < observation.novelty_ppm <= 1_000_000


def colour_bars() -> Image:
    colours = [(191, 191, 191), (0, 191, 191), (191, 191, 0), (0, 191, 0), (191, 0, 191), (0, 0, 191), (191, 0, 0)]
    return cv2.resize(np.array([colours], np.uint8), SIZE, interpolation=cv2.INTER_NEAREST)


def ramp() -> Image:
    return np.repeat(np.linspace(249, 255, WIDTH).astype(np.uint8)[None, :, None], HEIGHT, 0).repeat(3, 2)


def flat(value: int) -> Image:
    return np.full((HEIGHT, WIDTH, 3), value, np.uint8)


FAULTS: dict[Refusal, Callable[[list[Image]], list[Image]]] = {
    Refusal.NO_SIGNAL: lambda operation: [flat(90)] * 3,
    Refusal.BLACK: lambda operation: [flat(2)] * 3,
    Refusal.SATURATED: lambda operation: [ramp()] * 3,
    Refusal.COLOUR_BARS: lambda operation: [colour_bars()] * 3,
    Refusal.FROZEN: lambda operation: [operation[0]] * 4,
    Refusal.BLURRED: lambda operation: [cv2.GaussianBlur(picture, (0, 0), 20) for picture in operation[:3]],
    Refusal.WRONG_SIZE: lambda operation: [np.ascontiguousarray(operation[0][::2, ::2])],
}


@pytest.mark.parametrize("refusal", FAULTS)
def test_what_is_no_picture_is_refused_by_name(
    make_perceiver: MakePerceiver, operation: list[Image], refusal: Refusal
) -> None:
    observations = watch(make_perceiver(), [operation[0], *FAULTS[refusal](operation)])
    assert observations[0].admitted
    assert observations[-1].refusal is refusal


@pytest.mark.parametrize("seed", range(3))
def test_outside_the_body_is_refused(make_perceiver: MakePerceiver, seed: int) -> None:
    away = replace(
        plan_case(seed, duration_s=62.0, split="held-out"), disturbances=(Disturbance("out_of_body", 0.0, 60.0, 1.0),)
    )
    (observation,) = watch(make_perceiver(), [Renderer(away, SIZE, view="full").at(20.0).image])
    assert observation.refusal is Refusal.OUT_OF_BODY


def test_what_is_unlike_the_training_pictures_is_refused(make_perceiver: MakePerceiver, operation: list[Image]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    grey = np.repeat(operation[0][:, :, 1:2], 3, axis=2)
    for picture in (noise, grey):
        (observation,) = watch(make_perceiver(), [picture])
        assert observation.refusal is Refusal.UNLIKE_TRAINING
        assert observation.novelty_ppm > 1_000_000


@pytest.mark.shared_data
@pytest.mark.skipif(not SINUS.is_dir(), reason="../shared/data is not beside the project")
def test_no_frame_of_a_real_recording_is_evidence(make_perceiver: MakePerceiver) -> None:
    """The novelty limit was calibrated on synthetic frames and never tuned on this recording."""
    pictures = [cv2.imread(str(path)) for path in sorted(SINUS.glob("*.jpg"))[::5]]
    assert len(pictures) == 7
    for observation in watch(make_perceiver(), pictures):
        assert observation.refusal is Refusal.UNLIKE_TRAINING
        assert observation.instruments == ()
        assert observation.phase_ppm == ()


def test_what_is_refused_has_masks_and_no_evidence(make_perceiver: MakePerceiver, operation: list[Image]) -> None:
    frozen = watch(make_perceiver(), [operation[0]] * 4)[-1]
    assert frozen.refusal is Refusal.FROZEN
    assert frozen.grid is not None
    assert frozen.grid.labels.any()
    assert (frozen.instruments, frozen.structures, frozen.phase_ppm, frozen.next_ppm) == ((), (), (), ())
    assert frozen.presence_ppm


def test_what_is_refused_leaves_no_trace_in_the_phase_networks_memory(
    make_perceiver: MakePerceiver, operation: list[Image]
) -> None:
    def last(pictures: list[Image]) -> Observation:
        perceiver = make_perceiver()
        observations = watch(perceiver, pictures[:-1])
        assert [one.refusal for one in observations[1:]] == [Refusal.WRONG_SIZE] * (len(observations) - 1)
        # Long enough after it for the picture's quality to be trusted again.
        late = [Frame(pictures[-1], 20 * PERIOD_NS, 20), Frame(operation[9], 23 * PERIOD_NS, 23)]
        return [perceiver.perceive(frame) for frame in late][-1]

    one_kind = last([operation[0], *[flat(90)[::2, ::2].copy()] * 3, operation[8]])
    other_kind = last([operation[0], *[picture[::2, ::2].copy() for picture in operation[2:5]], operation[8]])
    assert one_kind.admitted
    assert one_kind == other_kind


def test_a_reset_perceiver_is_a_fresh_one(make_perceiver: MakePerceiver, operation: list[Image]) -> None:
    used = make_perceiver()
    watch(used, [flat(2), flat(2), np.ascontiguousarray(operation[0][::2, ::2]), *operation[:4]])
    used.reset()
    assert watch(used, operation[:5]) == watch(make_perceiver(), operation[:5])


def test_the_past_does_not_depend_on_what_comes(make_perceiver: MakePerceiver, operation: list[Image]) -> None:
    with_more = watch(make_perceiver(), [*operation[:4], flat(90), flat(90), *operation[4:6]])
    assert with_more[:4] == watch(make_perceiver(), operation[:4])


@pytest.mark.parametrize("which", ["frame", "phase"])
@pytest.mark.parametrize("how", ["fault", "nan", "infinity"])
def test_an_engine_that_fails_or_answers_no_number_is_a_fault_and_never_an_exception(
    make_perceiver: MakePerceiver,
    frame_engine: Engine,
    phase_engine: Engine,
    operation: list[Image],
    which: str,
    how: str,
) -> None:
    wrong = Wrong({"frame": frame_engine, "phase": phase_engine}[which])
    perceiver = make_perceiver(**{which: wrong})
    assert watch(perceiver, operation[:1])[0].admitted
    wrong.damage = fail if how == "fault" else make_not_finite(wrong.outputs[0].name, float(how))
    (observation,) = watch(perceiver, operation[1:2], start=1)
    assert observation.refusal is Refusal.ENGINE_FAULT
    assert (observation.index, observation.stamp_ns, observation.size_px) == (1, PERIOD_NS, SIZE)
    assert len(observation.input_sha256) == 64
    assert (observation.instruments, observation.phase_ppm, observation.grid) == ((), (), None)


def test_each_output_of_each_network_is_looked_at(
    make_perceiver: MakePerceiver, frame_engine: Engine, phase_engine: Engine, operation: list[Image]
) -> None:
    for which, engine in (("frame", frame_engine), ("phase", phase_engine)):
        for output in engine.outputs:
            wrong = Wrong(engine)
            wrong.damage = make_not_finite(output.name, float("nan"))
            (observation,) = watch(make_perceiver(**{which: wrong}), operation[:1])
            assert observation.refusal is Refusal.ENGINE_FAULT, output.name


def test_a_failed_engine_is_never_believed_again(
    make_perceiver: MakePerceiver, frame_engine: Engine, operation: list[Image]
) -> None:
    wrong = Wrong(frame_engine)
    perceiver = make_perceiver(frame=wrong)
    wrong.damage = fail
    watch(perceiver, operation[:1])
    wrong.damage = lambda outputs: None
    runs = wrong.runs
    assert {one.refusal for one in watch(perceiver, operation[1:4], start=1)} == {Refusal.ENGINE_FAULT}
    perceiver.reset()
    assert watch(perceiver, operation[:1])[0].refusal is Refusal.ENGINE_FAULT
    assert wrong.runs == runs
    assert watch(make_perceiver(), operation[:1])[0].admitted


def test_every_reason_for_a_refusal_is_tried_here() -> None:
    tried = {*FAULTS, Refusal.OUT_OF_BODY, Refusal.UNLIKE_TRAINING, Refusal.ENGINE_FAULT}
    assert tried == set(Refusal)


def test_networks_of_another_model_are_refused(model: Model, frame_engine: Engine, phase_engine: Engine) -> None:
    other = model.manifest.model_copy(update={"phases": model.manifest.phases[:-1]})
    with pytest.raises(InputError, match=r"model cholecystectomy/.*: phase network outputs: expected .*\(1, 6\)"):
        Perceiver(other, frame_engine, phase_engine)
    with pytest.raises(InputError, match="frame network inputs"):
        Perceiver(model.manifest, phase_engine, phase_engine)


def test_tips_are_where_the_instruments_end(make_perceiver: MakePerceiver) -> None:
    """On clean held-out pictures; within 5 % of the diagonal, as PCK counts them."""
    reach = 0.05 * np.hypot(*SIZE)
    right = wrong = 0
    for seed in range(4):
        renderer = Renderer(plan_case(900 + seed, duration_s=62.0, split="held-out"), SIZE, view="full")
        for t_s in (14.0, 22.0, 30.0, 40.0):
            picture = renderer.at(t_s)
            (observation,) = watch(make_perceiver(), [picture.image])
            for one in observation.instruments:
                true = [(x, y) for name, x, y in picture.tips if name == one.type]
                if one.tip_px is None or not true:
                    continue
                near = min(np.hypot(one.tip_px[0] - x, one.tip_px[1] - y) for x, y in true) <= reach
                right, wrong = right + near, wrong + (not near)
    assert right >= 12
    assert wrong <= 0.2 * (right + wrong)
