"""Every core of the phase network keeps its past in a state of fixed size, and no garbage can get stuck in it."""

import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install 'surgical_ml[train]')")

import onnx  # noqa: E402
import onnxruntime as ort  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from surgical_ml.errors import InputError  # noqa: E402
from surgical_ml.learning.export import export_phase  # noqa: E402
from surgical_ml.learning.phase_net import CORES, DilatedCore, PhaseNet  # noqa: E402
from surgical_ml.learning.train_phase import Unrolled  # noqa: E402

pytestmark = pytest.mark.train
FEATURES = 9


@pytest.fixture(params=list(CORES))
def net(request):
    torch.manual_seed(3)
    return PhaseNet(FEATURES, core=request.param).eval()


def inputs(steps, seed=0):
    make = torch.Generator().manual_seed(seed)
    return torch.randn(1, steps, FEATURES, generator=make), torch.rand(1, steps, generator=make)


def step(net, features, dt, state, reset=0.0):
    return net(features[None], dt.reshape(1, 1), torch.tensor([[reset]]), state)


def test_each_core_has_the_same_number_of_weights_within_a_percent():
    weights = [sum(p.numel() for p in PhaseNet(131, core=core).parameters()) for core in CORES]
    assert max(weights) / min(weights) < 1.01
    with pytest.raises(InputError, match="gated, dilated, both"):
        PhaseNet(131, core="attention")


@torch.inference_mode()
def test_the_future_does_not_change_the_past(net):
    features, dt = inputs(40)
    other = features.clone()
    other[:, 25:] += 1.0
    first, second = Unrolled(net)(features, dt), Unrolled(net)(other, dt)
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one[:, :25], two[:, :25])
        assert not torch.equal(one[:, 25:], two[:, 25:])


@torch.inference_mode()
def test_stepping_gives_what_the_whole_sequence_gives(net):
    features, dt = inputs(140)
    whole = net.whole(features, dt)
    state, steps = torch.zeros(1, net.width), []
    for k in range(140):
        *heads, state = step(net, features[0, k], dt[0, k], state)
        steps.append(heads)
    for k, head in enumerate(whole):
        assert torch.allclose(head, torch.stack([one[k] for one in steps], 1), atol=1e-4)


@torch.inference_mode()
def test_a_reset_is_a_new_case(net):
    features, dt = inputs(30)
    state = torch.zeros(1, net.width)
    for k in range(30):
        *_, state = step(net, features[0, k], dt[0, k], state)
    fresh = step(net, features[0, 0], dt[0, 0], torch.zeros(1, net.width))
    again = step(net, features[0, 0], dt[0, 0], state, reset=1.0)
    for one, two in zip(fresh, again, strict=True):
        assert torch.equal(one, two)


@torch.inference_mode()
def test_the_rings_hold_what_a_convolution_over_the_whole_past_would_see():
    torch.manual_seed(1)
    core = DilatedCore(4, 5).eval()
    xs = torch.randn(90, 4)
    state, seen = torch.zeros(1, core.width), []
    for x in xs:
        y, state = core(x[None], torch.zeros(1, 1), state)
        seen.append(y[0, 4:])
    y = core.enter(xs)
    for dilation, taps, leave in zip((1, 2, 4, 8, 16, 32), core.taps, core.leave, strict=True):
        past = torch.cat([torch.zeros(2 * dilation, 5), y])
        looked = torch.cat([past[: len(y)], past[dilation : dilation + len(y)], y], 1)
        y = y + leave(torch.relu(taps(looked)))
    assert torch.allclose(torch.stack(seen), y, atol=1e-5)


@settings(max_examples=25)
@given(st.data())
@torch.inference_mode()
def test_garbage_does_not_make_the_state_infinite(data):
    net = PhaseNet(3, core=data.draw(st.sampled_from(list(CORES)))).eval()
    odd = st.floats(width=32, allow_nan=True, allow_infinity=True)
    state = torch.full((1, net.width), data.draw(odd))
    for _ in range(3):
        features = torch.tensor([[data.draw(odd) for _ in range(3)]])
        dt, reset = torch.tensor([[data.draw(odd)]]), torch.tensor([[data.draw(odd)]])
        *heads, state = net(features, dt, reset, state)
        assert all(bool(torch.isfinite(one).all()) for one in (*heads, state))


def test_an_exported_core_has_no_loop_and_gives_the_same_over_many_steps(net, tmp_path):
    temperatures, bands = {"phase": 1.7}, {"high": 0.9}
    difference = export_phase(net, tmp_path / "phase.onnx", temperatures, bands)
    assert difference < 1e-5
    model = onnx.load(tmp_path / "phase.onnx")
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"Loop", "Scan", "GRU", "LSTM", "RNN", "ScatterND", "If"}
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert (told["temperatures"], told["certainty_bands"]) == ('{"phase": 1.7}', '{"high": 0.9}')
    session = ort.InferenceSession(str(tmp_path / "phase.onnx"), providers=["CPUExecutionProvider"])
    features, dt = inputs(150, seed=8)
    ours, theirs = torch.zeros(1, net.width), torch.zeros(1, net.width).numpy()
    for k in range(150):
        feed = {"features": features[:, k].numpy(), "dt": dt[:, k : k + 1].numpy(), "reset": torch.zeros(1, 1).numpy()}
        with torch.inference_mode():
            phase, *_, ours = step(net, features[0, k], dt[0, k], ours)
        scores, theirs = session.run(["phase", "new_state"], feed | {"state": theirs})
        assert torch.allclose(torch.softmax(phase / 1.7, 1), torch.from_numpy(scores), atol=1e-4)
        assert torch.allclose(ours, torch.from_numpy(theirs), atol=1e-4)
