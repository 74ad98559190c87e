"""Temperatures, certainty bands and false alarms are what was measured on cases that nothing was fitted on."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install 'surgical_ml[train]')")
pytest.importorskip("albumentations", reason="needs albumentations (pip install 'surgical_ml[train]')")

from surgical_ml.learning import confidence  # noqa: E402
from surgical_ml.learning.confidence import certainty_bands, false_alarms  # noqa: E402
from surgical_ml.learning.export import calibrate, kinds_of  # noqa: E402
from surgical_ml.learning.frame_net import Deployed, FrameNet  # noqa: E402

pytestmark = pytest.mark.train


def test_a_head_that_is_twice_too_sure_gets_a_temperature_of_two():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 4))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = (p.cumsum(1) > rng.random((len(p), 1))).argmax(1)
    assert confidence._temperature(2 * logits, truth) == pytest.approx(2.0, abs=0.1)
    yes = (1 / (1 + np.exp(-logits[:, 0])) > rng.random(len(logits))).astype(float)
    assert confidence._binary(2 * logits[:, 0], yes) == pytest.approx(2.0, abs=0.15)


def test_few_cases_that_are_all_right_do_not_make_a_head_infinitely_sure():
    assert confidence._temperature(np.array([[3.0, 0.0], [0.0, 3.0]]), np.array([0, 1])) == 0.25
    assert confidence._temperature(np.array([[3.0, 0.0]]), np.array([-1])) == 1.0


def test_a_band_begins_where_samples_at_least_this_sure_are_right_often_enough():
    sure = np.linspace(0.99, 0.5, 100)
    truth = np.zeros(100, int)
    truth[50:] = 1
    bands = certainty_bands(np.stack([sure, 1 - sure], 1), truth)
    assert bands["high"] == pytest.approx(sure[50])  # 50 of the first 51 are right
    assert bands["medium"] == pytest.approx(sure[54])
    assert certainty_bands(np.array([[0.9, 0.1]]), np.array([1]))["medium"] > 1


def test_novelty_turns_away_the_share_that_is_stated_and_its_interval_says_how_few_frames_that_was():
    torch.manual_seed(0)
    train, clean = torch.randn(3000, 12), torch.randn(4000, 12)
    model = calibrate(torch.nn.Identity(), kinds_of(train, torch.zeros(3000, dtype=torch.bool), clean))
    share, upper = false_alarms(model, torch.randn(5000, 12))
    assert 0.0 < share < 0.008
    assert share < upper < 0.012
    assert false_alarms(model, 5 + torch.randn(100, 12))[0] == 1.0


def test_temperatures_are_part_of_what_is_deployed():
    net, image = FrameNet().eval(), torch.randn(1, 3, 64, 64)
    size = net(image)["statistics"].shape[1]
    nothing = torch.zeros(1, size), torch.eye(size)[None], torch.ones(1)
    plain, cool = Deployed(net, *nothing), Deployed(net, *nothing, {"segmentation": 2.0, "presence": 0.5})
    with torch.inference_mode():
        before, after = plain(image), cool(image)
    assert torch.allclose(before[0] / 2, after[0])
    assert torch.allclose(torch.logit(before[1]) * 2, torch.logit(after[1]), atol=1e-5)
    assert torch.equal(before[5], after[5])
