"""Folders of pictures of a board, rendered through a lens that is known."""

from pathlib import Path

import cv2
import numpy as np
from pictures_of_patterns import picture

from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.pattern import Pattern, parse_pattern
from surgical_ml.calibration.rigid import Floats, rigid, rotation_matrix

SPECIFICATION = "chessboard:9x6:4mm"
BOARD = parse_pattern(SPECIFICATION)
SMALL = Lens(
    model="pinhole",
    fx=400.0, fy=398.0, cx=241.0, cy=137.0,
    distortion=(-0.15, 0.05, 0.0, 0.0, 0.0),
    image_size=(480, 270),
)  # fmt: skip
RIGHT_FROM_LEFT = rigid(np.array([0.0, -0.02, 0.0]), np.array([-0.0045, 0.0, 0.0]))

POSES = [
    (tilt, turn, x, y, depth)
    for (tilt, turn), (x, y), depth in zip(
        [
            (30, 0),
            (-30, 10),
            (0, 30),
            (5, -30),
            (25, 25),
            (-25, -25),
            (20, -25),
            (-20, 25),
            (35, 5),
            (0, 0),
            (-35, 0),
            (10, 35),
        ],
        [(0, 0), (-1, -1), (1, -1), (-1, 1), (1, 1), (0, -1), (0, 1), (-1, 0), (1, 0), (0, 0), (1, 1), (-1, -1)],
        [0.062, 0.075, 0.07, 0.08, 0.075, 0.065, 0.07, 0.085, 0.08, 0.055, 0.09, 0.07],
        strict=True,
    )
]


def poses(pattern: Pattern = BOARD) -> list[Floats]:
    """Twelve poses (4, 4) of a board as a careful person holds it, wholly within the picture of `SMALL`."""
    middle = pattern.points.mean(axis=0)
    found = []
    for tilt, turn, x, y, depth in POSES:
        rotation = rotation_matrix(np.deg2rad([tilt, turn, 3.0 * x]))
        centre = np.array([0.12 * x * depth, 0.06 * y * depth, depth])
        found.append(rigid(rotation, centre - rotation @ middle))
    return found


def render(folder: Path, pattern: Pattern = BOARD, *, motion: Floats | None = None, count: int = 12) -> Path:
    """Pictures of the board at each pose, seen by `SMALL` at a place (4, 4) of its own."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for k, pose in enumerate(poses(pattern)[:count]):
        seen = picture(pattern, SMALL, pose if motion is None else motion @ pose, rng)
        cv2.imwrite(str(folder / f"{k:02d}.png"), seen)
    return folder
