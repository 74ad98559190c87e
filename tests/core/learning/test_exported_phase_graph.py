"""The phase network as it is exported, with each core: it steps as it was trained, starts anew, and outlives any garbage.

The shipped graph is held to the same in `tests/core/engine/test_engines_agree.py`.
"""

from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install 'surgical_ml[train]')")
onnx = pytest.importorskip("onnx", reason="needs onnx (pip install 'surgical_ml[train]')")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from surgical_ml.engine import open_engine  # noqa: E402
from surgical_ml.learning.export import PHASE_OUTPUTS, export_phase  # noqa: E402
from surgical_ml.learning.phase_net import CORES, PhaseNet  # noqa: E402

pytestmark = pytest.mark.train
FEATURES, STEPS = 9, 300
TEMPERATURES = {"phase": 1.7, "next_phase": 0.8, "boundary": 1.2}
STATELESS = PHASE_OUTPUTS[:-1]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Core -> its network and the file of it."""
    folder, made = tmp_path_factory.mktemp("cores"), {}
    for core in CORES:
        torch.manual_seed(3)
        net = PhaseNet(FEATURES, core=core).eval()
        export_phase(net, folder / f"{core}.onnx", TEMPERATURES)
        made[core] = net, folder / f"{core}.onnx"
    return made


@pytest.fixture(scope="module", params=list(CORES))
def core(request, exported):
    """A network, and ONNX Runtime over its file."""
    net, path = exported[request.param]
    engine = open_engine("onnxruntime", path, threads=1)
    yield net, engine
    engine.close()


ENGINES = [
    *(f"{core} {engine}" for core in CORES for engine in ("onnxruntime", "torch")),
    # OpenVINO 2026.4's compiler crashes on the rings of the other two; its probe refuses them by name.
    "gated openvino",
]


@pytest.fixture(scope="module", params=ENGINES)
def engine(request, exported):
    """Each file in each engine that runs on a CPU."""
    core, name = request.param.split()
    pytest.importorskip(name, reason=f"needs the extra of {name}")
    engine = open_engine(name, exported[core][1], threads=1)
    yield engine
    engine.close()


def case(seed, steps=STEPS):
    """Features and dt: mostly a frame's time, sometimes nothing at all or minutes that nobody saw."""
    rng = np.random.default_rng(seed)
    dt = rng.uniform(0.0, 0.5, steps) * rng.choice([0.0, 1.0, 10.0, 240.0], steps, p=[0.05, 0.8, 0.1, 0.05])
    return rng.normal(0.0, 2.0, (steps, FEATURES)).astype(np.float32), dt.astype(np.float32)


def fresh(engine):
    return np.zeros(next(spec.shape for spec in engine.inputs if spec.name == "state"), np.float32)


def stepped(engine, features, dt, state, reset=False):
    return engine.run(
        {
            "features": features[None],
            "dt": np.full((1, 1), dt, np.float32),
            "reset": np.full((1, 1), reset, np.float32),
            "state": state,
        }
    )


def walk(engine, features, dt, resets=()):
    """What the graph says step by step; name -> (steps, values)."""
    state, said = fresh(engine), []
    for k in range(len(dt)):
        said.append(stepped(engine, features[k], dt[k], state, reset=k in resets))
        state = said[-1]["new_state"]
    return {name: np.concatenate([one[name] for one in said]) for name in PHASE_OUTPUTS}


@torch.inference_mode()
def whole(net, features, dt):
    """What the network says of a whole sequence at once, as probabilities."""
    heads = net.whole(torch.from_numpy(features)[None], torch.from_numpy(dt)[None])
    phase, following, progress, boundary = (head[0] for head in heads)
    said = (
        torch.softmax(phase / TEMPERATURES["phase"], 1),
        torch.softmax(following / TEMPERATURES["next_phase"], 1),
        torch.sigmoid(progress),
        torch.sigmoid(boundary / TEMPERATURES["boundary"]),
    )
    return {name: value.numpy() for name, value in zip(STATELESS, said, strict=True)}


def test_stepping_the_graph_through_cases_and_their_gaps_gives_what_each_whole_case_gives(core):
    net, engine = core
    features, dt = case(1)
    starts = [0, *sorted(np.random.default_rng(2).choice(np.arange(20, STEPS), 3, replace=False).tolist()), STEPS]
    said = walk(engine, features, dt, resets=starts[1:-1])
    for start, end in pairwise(starts):
        for name, expected in whole(net, features[start:end], dt[start:end]).items():
            np.testing.assert_allclose(said[name][start:end], expected, atol=1e-4, err_msg=f"{name} from {start}")


def test_a_step_that_does_not_reset_where_a_case_begins_says_something_else(core):
    """Else the comparison above could not tell whether a reset does anything."""
    net, engine = core
    features, dt = case(1, 60)
    said = walk(engine, features, dt)
    assert np.abs(said["phase"][40:] - whole(net, features[40:], dt[40:])["phase"]).max() > 1e-3


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, STEPS - 1), seed=st.integers(0, 2**32 - 1))
def test_what_was_said_of_the_past_is_the_same_with_any_future_or_none(core, cut, seed):
    net, _ = core
    features, dt = case(1)
    past = whole(net, features[:cut], dt[:cut])
    other, other_dt = case(seed)
    features[cut:], dt[cut:] = other[cut:], other_dt[cut:]
    later = whole(net, features, dt)
    for name, expected in past.items():
        np.testing.assert_allclose(later[name][:cut], expected, atol=1e-5, err_msg=name)


def test_a_reset_after_a_long_case_is_exactly_a_fresh_start(core):
    _, engine = core
    features, dt = case(4, 150)
    used = walk(engine, features, dt)["new_state"][-1:]
    assert np.abs(used).max() > 0.01
    again = stepped(engine, features[0], dt[0], used, reset=True)
    anew = stepped(engine, features[0], dt[0], fresh(engine))
    for name, value in again.items():
        np.testing.assert_array_equal(value, anew[name], err_msg=name)


ODD = st.floats(width=32) | st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38])


@settings(max_examples=12, deadline=None)
@given(
    features=st.lists(ODD, min_size=FEATURES, max_size=FEATURES),
    values=st.fixed_dictionaries({name: ODD for name in ("dt", "reset", "state")}),
)
def test_nothing_that_comes_in_makes_the_state_of_an_exported_graph_other_than_finite(engine, features, values):
    feed = {spec.name: np.full(spec.shape, values.get(spec.name, 0.0), np.float32) for spec in engine.inputs}
    feed["features"] = np.array([features], np.float32)
    for _ in range(3):
        said = engine.run(feed)
        assert all(np.isfinite(value).all() for value in said.values())
        feed["state"] = said["new_state"]


def test_a_frame_of_garbage_weighs_no_more_than_the_largest_that_a_feature_may_be(engine):
    """No number counts as 0 and more than 20 as 20, so what was remembered before goes on as with such features."""
    features, dt = case(5, 40)
    before = walk(engine, features[:20], dt[:20])["new_state"][-1:]
    garbage, bounded = np.zeros(FEATURES, np.float32), np.zeros(FEATURES, np.float32)
    garbage[:4], bounded[:4] = [np.nan, np.inf, -np.inf, 1e30], [0.0, 20.0, -20.0, 20.0]
    one, two = (stepped(engine, values, 0.2, before) for values in (garbage, bounded))
    assert {name: value.tobytes() for name, value in one.items()} == {
        name: value.tobytes() for name, value in two.items()
    }
