"""The shipped networks were trained on these pictures: a faster renderer must draw the same ones."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from surgical_ml.simulation import Renderer, plan_case
from surgical_ml.simulation.scene import _defocused

REFERENCE = Path(__file__).parent / "reference"
"""Rendered before anything was made faster: BGR, and the mask as a fourth channel."""

MOMENTS = [
    ("clear", "full"),
    ("smoke", "circle"),
    ("blood", "box"),
    ("blur", "full"),
    ("dark", "full"),
    ("overexposed", "circle"),
    ("out_of_body", "box"),
]


@pytest.mark.parametrize(("kind", "view"), MOMENTS)
def test_a_picture_is_the_one_that_was_trained_on(kind: str, view: str) -> None:
    plan = plan_case(0, duration_s=62.0, disturbances=() if kind == "clear" else (kind,), shortest_phase_s=6.0)
    t_s = 22.0 if kind == "clear" else (plan.disturbances[0].start_s + plan.disturbances[0].end_s) / 2
    picture = Renderer(plan, (128, 72), view=view).at(t_s)
    reference = cv2.imread(str(REFERENCE / f"{kind}.png"), cv2.IMREAD_UNCHANGED)
    assert np.abs(picture.image.astype(np.int16) - reference[..., :3]).mean() < 0.05
    assert np.array_equal(picture.mask, reference[..., 3])


@pytest.mark.parametrize("sigma", [3.0, 6.0, 9.0, 16.0])
def test_a_wide_blur_on_fewer_pixels_is_the_blur_on_all(sigma: float) -> None:
    picture = Renderer(plan_case(1, duration_s=62.0, shortest_phase_s=6.0), (640, 360), view="full").at(22.0)
    light = picture.image.astype(np.float32)
    assert np.abs(_defocused(light, sigma) - cv2.GaussianBlur(light, (0, 0), sigma)).mean() < 0.15
