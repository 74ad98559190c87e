"""The shipped phase network steps through a case: its state is all that it remembers, and stays finite."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.engine import Engine, Model, Tensor, open_engine

Outputs = dict[str, Tensor]
Steps = list[tuple[Tensor, float]]


def shape(engine: Engine, name: str) -> tuple[int, ...]:
    return next(spec.shape for spec in engine.inputs if spec.name == name)


def fresh(engine: Engine) -> Tensor:
    return np.zeros(shape(engine, "state"), np.float32)


def step(engine: Engine, features: Tensor, dt_s: float, state: Tensor, *, reset: bool = False) -> Outputs:
    scalar = {name: np.full((1, 1), value, np.float32) for name, value in (("dt", dt_s), ("reset", float(reset)))}
    return engine.run({"features": features, "state": state, **scalar})


def walk(engine: Engine, steps: Steps, state: Tensor | None = None) -> list[Outputs]:
    """Every step's outputs, from a reset unless a state is given."""
    outputs: list[Outputs] = []
    for k, (features, dt_s) in enumerate(steps):
        before = outputs[-1]["new_state"] if outputs else fresh(engine) if state is None else state
        outputs.append(step(engine, features, dt_s, before, reset=state is None and k == 0))
    return outputs


def draw(engine: Engine, seed: int, count: int) -> Steps:
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(0.0, 2.0, shape(engine, "features")).astype(np.float32), float(rng.choice([0.04, 0.2, 3.0])))
        for _ in range(count)
    ]


def same(left: list[Outputs], right: list[Outputs]) -> bool:
    """Bit for bit."""
    return len(left) == len(right) and all(
        a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)
        for a, b in zip(left, right, strict=True)
    )


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(past=seeds, futures=st.tuples(seeds, seeds), lengths=st.tuples(st.integers(1, 30), st.integers(0, 30)))
def test_no_future_changes_the_past(
    phase_engine: Engine, past: int, futures: tuple[int, int], lengths: tuple[int, int]
) -> None:
    steps = draw(phase_engine, past, lengths[0])
    one, other = (walk(phase_engine, steps + draw(phase_engine, future, lengths[1])) for future in futures)
    assert same(one[: lengths[0]], other[: lengths[0]])
    assert same(one[: lengths[0]], walk(phase_engine, steps))


@settings(max_examples=20, deadline=None)
@given(seed=seeds, other=seeds, count=st.integers(1, 30))
def test_cases_that_share_an_engine_do_not_meet(phase_engine: Engine, seed: int, other: int, count: int) -> None:
    steps, others = draw(phase_engine, seed, count), draw(phase_engine, other, count)
    taken: list[Outputs] = []
    aside = fresh(phase_engine)
    for k, (features, dt_s) in enumerate(steps):
        state = taken[-1]["new_state"] if taken else fresh(phase_engine)
        taken.append(step(phase_engine, features, dt_s, state, reset=k == 0))
        aside = step(phase_engine, others[k][0], others[k][1], aside)["new_state"]
    assert same(taken, walk(phase_engine, steps))


@settings(max_examples=20, deadline=None)
@given(seed=seeds, count=st.integers(2, 40), data=st.data())
def test_a_state_that_was_saved_and_reloaded_goes_on_bit_for_bit(
    phase_engine: Engine, model: Model, seed: int, count: int, data: st.DataObject
) -> None:
    steps = draw(phase_engine, seed, count)
    cut = data.draw(st.integers(1, count - 1))
    whole = walk(phase_engine, steps)
    file = io.BytesIO()
    np.save(file, whole[cut - 1]["new_state"])
    file.seek(0)
    restarted = open_engine("onnxruntime", model.file("phase"))
    assert same(walk(restarted, steps[cut:], np.load(file)), whole[cut:])
    restarted.close()


@pytest.mark.parametrize("remembered", [0.3, -1.0, 1e30, float("inf")])
def test_a_reset_forgets_whatever_was_remembered(phase_engine: Engine, remembered: float) -> None:
    ((features, dt_s),) = draw(phase_engine, 5, 1)
    state = np.full(shape(phase_engine, "state"), remembered, np.float32)
    forgotten = step(phase_engine, features, dt_s, state, reset=True)
    assert same([forgotten], [step(phase_engine, features, dt_s, fresh(phase_engine), reset=True)])


@settings(max_examples=60, deadline=None)
@given(
    features=st.floats(width=32, allow_nan=False),
    spread=st.sampled_from([0.0, 1.0, 1e6, 1e30]),
    dt_s=st.floats(width=32, allow_nan=False),
    reset=st.floats(width=32, allow_nan=False, allow_infinity=False),
    remembered=st.floats(width=32, allow_nan=False),
    seed=seeds,
)
def test_garbage_cannot_make_the_state_other_than_finite(
    phase_engine: Engine, features: float, spread: float, dt_s: float, reset: float, remembered: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore", invalid="ignore"):
        given_features = features + spread * rng.standard_normal(shape(phase_engine, "features"))
        given_features = np.nan_to_num(given_features, nan=0.0).astype(np.float32)
    outputs = phase_engine.run(
        {
            "features": given_features,
            "dt": np.full((1, 1), dt_s, np.float32),
            "reset": np.full((1, 1), reset, np.float32),
            "state": np.full(shape(phase_engine, "state"), remembered, np.float32),
        }
    )
    assert all(np.isfinite(value).all() for value in outputs.values())
    assert np.abs(outputs["new_state"]).max() <= 1.0 + 1e-6
    for name in ("phase", "next_phase"):
        assert outputs[name].sum() == pytest.approx(1.0, abs=1e-4)


def test_ten_thousand_steps_leave_the_state_within_its_bounds(phase_engine: Engine) -> None:
    steps = draw(phase_engine, 9, 100)
    state = fresh(phase_engine)
    for k in range(10_000):
        features, dt_s = steps[k % 100]
        state = step(phase_engine, features, dt_s, state, reset=k == 0)["new_state"]
    assert np.isfinite(state).all()
    assert np.abs(state).max() <= 1.0 + 1e-6
