"""The masks that a replay writes, at the frame's size."""

import numpy as np

from surgical_ml.evaluation.overlay import label_map
from surgical_ml.perception.observation import Grid

CELL = 8.0


def half_plane(rows=12, columns=20):
    """Logits of two classes whose border runs obliquely, and the same border on the frame's pixels."""

    def side(x, y):
        return (x - 80.0) * 0.8 + (y - 48.0) * 0.6

    y, x = np.mgrid[0:rows, 0:columns]
    distance = side((x + 0.5) * CELL, (y + 0.5) * CELL)
    logits = np.stack([-distance, distance, np.full_like(distance, -1e3)]).astype(np.float32)
    y, x = np.mgrid[0 : rows * CELL, 0 : columns * CELL]
    return logits, (side(x + 0.5, y + 0.5) > 0).astype(np.uint8)


def test_a_contour_runs_between_the_cells_where_the_logits_are_known():
    logits, truth = half_plane()
    coarse = Grid(logits.argmax(0).astype(np.uint8), CELL, (0.0, 0.0))
    fine = Grid(coarse.labels, CELL, (0.0, 0.0), logits)
    height, width = truth.shape
    wrong = [np.count_nonzero(label_map(grid, width, height) != truth) for grid in (coarse, fine)]
    assert wrong[1] < wrong[0] / 4


def test_every_cell_keeps_its_label_at_its_centre_and_no_label_appears_that_no_cell_has():
    logits = np.random.default_rng(0).normal(size=(5, 12, 20)).astype(np.float32)
    logits[4] = -9.0
    grid = Grid(logits.argmax(0).astype(np.uint8), CELL, (0.0, 0.0), logits)
    shown = label_map(grid, 160, 96)
    assert np.mean(shown[4::8, 4::8] == grid.labels) > 0.9
    assert set(np.unique(shown)) <= {0, 1, 2, 3}


def test_what_the_grid_does_not_reach_is_background():
    logits, _ = half_plane()
    grid = Grid(logits.argmax(0).astype(np.uint8), CELL, (16.0, 8.0), logits)
    shown = label_map(grid, 200, 120)
    assert not shown[:8].any()
    assert not shown[:, :16].any()
    assert not shown[8 + 96 :].any()
    assert not shown[:, 16 + 160 :].any()
