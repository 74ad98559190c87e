"""Grids become things in the frame's own pixels."""

import numpy as np
import pytest

from surgical_ml.engine import Manifest
from surgical_ml.perception.instances import find_instruments, find_structures, label_grid
from surgical_ml.perception.preprocess import Placement

ROWS, COLUMNS = 48, 80
FULL = Placement(scale=0.25, origin=(0, 0), pad=(0, 6))
"""A 1280 x 720 frame in a 320 x 192 input: a cell is 16 frame pixels, with 6 rows of bar above."""
CONTENT = (0, 0, 1280, 720)


@pytest.fixture
def manifest() -> Manifest:
    return Manifest.model_validate(
        {
            "schema": 1,
            "name": "test",
            "version": "1",
            "procedure": "cholecystectomy",
            "licence": "Apache-2.0",
            "input": {"width": 320, "height": 192, "mean": [0, 0, 0], "std": [1, 1, 1]},
            "tools": ["grasper", "hook"],
            "structures": ["liver"],
            "segmentation": ["background", "grasper", "hook", "liver"],
            "phases": ["a", "b"],
            "qualities": ["smoke"],
            "thresholds": {"presence": 0.5, "tip": 0.3, "in_body": 0.5, "novelty": 1.0},
            "files": {
                "frame": {"path": "f.onnx", "sha256": "0" * 64},
                "phase": {"path": "p.onnx", "sha256": "0" * 64},
            },
            "trained_on": "nothing",
        }
    )


def see(manifest: Manifest, labels: np.ndarray, tips: np.ndarray | None = None):
    probability = np.full((ROWS, COLUMNS), 0.9, np.float32)
    heat = np.zeros((2, ROWS, COLUMNS), np.float32) if tips is None else tips
    return find_instruments(labels, probability, heat, manifest, FULL, CONTENT)


def test_labels_are_the_likeliest_class_with_its_probability() -> None:
    logits = np.zeros((3, 2, 2), np.float32)
    logits[1, 0, 0] = 10
    labels, probability = label_grid(logits)
    assert labels[0, 0] == 1
    assert probability[0, 0] > 0.999
    assert probability[1, 1] == pytest.approx(1 / 3)


def test_two_separate_instruments_of_a_type_are_two_the_larger_first(manifest: Manifest) -> None:
    labels = np.zeros((ROWS, COLUMNS), np.uint8)
    labels[10:14, 0:10] = 1
    labels[30:33, 40:45] = 1
    first, second = see(manifest, labels)
    assert (first.type, second.type) == ("grasper", "grasper")
    assert first.area_px == 40 * 16 * 16
    assert second.box_px == (40 * 16, (30 * 4 - 6) * 4, 5 * 16, 3 * 16)
    assert first.at_border
    assert not second.at_border
    assert first.score_ppm == 900_000


def test_specks_are_not_instruments(manifest: Manifest) -> None:
    labels = np.zeros((ROWS, COLUMNS), np.uint8)
    labels[10, 10:17] = 2
    assert see(manifest, labels) == ()


def test_the_tip_is_the_peak_of_its_own_heat_map_near_the_instrument(manifest: Manifest) -> None:
    labels = np.zeros((ROWS, COLUMNS), np.uint8)
    labels[20:24, 0:20] = 2
    tips = np.zeros((2, ROWS, COLUMNS), np.float32)
    tips[1, 22, 19] = 0.8
    tips[1, 5, 70] = 0.99  # far away: another's
    tips[0, 21, 3] = 0.99  # another tool's map
    (hook,) = see(manifest, labels, tips)
    assert hook.tip_px == (round(19.5 * 16), round((22.5 * 4 - 6) * 4))
    assert hook.tip_score_ppm == pytest.approx(800_000, abs=1)


def test_a_hidden_tip_is_none_rather_than_a_guess(manifest: Manifest) -> None:
    labels = np.zeros((ROWS, COLUMNS), np.uint8)
    labels[20:24, 0:20] = 2
    tips = np.full((2, ROWS, COLUMNS), 0.29, np.float32)
    (hook,) = see(manifest, labels, tips)
    assert hook.tip_px is None
    assert hook.tip_score_ppm == 0


@pytest.mark.parametrize(("step", "axis"), [((0, 1), 0), ((1, 1), 785), ((1, 0), 1571), ((1, -1), 2356)])
def test_the_axis_is_the_direction_of_the_shaft(manifest: Manifest, step: tuple[int, int], axis: int) -> None:
    labels = np.zeros((ROWS, COLUMNS), np.uint8)
    for k in range(20):
        labels[5 + step[0] * k, 40 + step[1] * k] = 1
    (grasper,) = see(manifest, labels)
    assert grasper.axis_mrad == pytest.approx(axis, abs=2)


def test_structures_report_area_and_box(manifest: Manifest) -> None:
    labels = np.zeros((ROWS, COLUMNS), np.uint8)
    labels[40:48, 0:80] = 3
    (liver,) = find_structures(labels, manifest, FULL)
    assert liver.type == "liver"
    assert liver.area_px == 8 * 80 * 256
