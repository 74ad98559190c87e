"""Renders calibration patterns as a camera with distortion would see them: pixels with known truth."""

import cv2
import numpy as np

from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.pattern import Pattern
from surgical_ml.calibration.rigid import Floats, inverse

TEXELS = 40  # per spacing
MARGIN = 1.5  # spacings of white around the outermost points


def texture(pattern: Pattern) -> tuple[np.ndarray, float, tuple[float, float]]:
    """The printed pattern, its texels per metre, and where the point at the origin lies in it."""
    scale = TEXELS / pattern.spacing_m
    if pattern.kind == "charuco":
        size = (pattern.columns * TEXELS, pattern.rows * TEXELS)
        picture = pattern.board().generateImage(size, marginSize=0)
        picture = cv2.copyMakeBorder(picture, TEXELS, TEXELS, TEXELS, TEXELS, cv2.BORDER_CONSTANT, value=255)
        return picture, scale, (TEXELS - 0.5, TEXELS - 0.5)
    extent = pattern.points[:, :2].max(axis=0) / pattern.spacing_m
    edge = MARGIN + (1 if pattern.kind == "chessboard" else 0)
    width, height = (int((side + 2 * edge) * TEXELS) for side in extent)
    picture = np.full((height, width), 255, np.uint8)
    origin = edge * TEXELS
    if pattern.kind == "chessboard":
        for row in range(-1, pattern.rows):
            for column in range(-1, pattern.columns):
                if (row + column) % 2 == 0:
                    x, y = (int(origin + index * TEXELS) for index in (column, row))
                    picture[y : y + TEXELS, x : x + TEXELS] = 0
        return picture, scale, (origin - 0.5, origin - 0.5)
    for point in pattern.points:
        centre = origin + point[:2] * scale
        cv2.circle(picture, tuple(round(8 * value) for value in centre), int(8 * 0.3 * TEXELS), 0, -1, cv2.LINE_AA, 3)
    return picture, scale, (origin, origin)


def picture(pattern: Pattern, lens: Lens, pose: Floats, rng: np.random.Generator | None = None) -> np.ndarray:
    """(H, W, 3) uint8: the pattern at a pose (4, 4) in front of a lens, on grey, with a little sensor noise."""
    print_, scale, origin = texture(pattern)
    width, height = lens.image_size
    # Render at twice the size and shrink: edges get their proper in-between values.
    xs, ys = np.meshgrid((np.arange(2 * width) - 0.5) / 2, (np.arange(2 * height) - 0.5) / 2)
    rays = lens.rays(np.column_stack([xs.ravel(), ys.ravel()]))
    back = inverse(pose)
    directions = np.column_stack([rays, np.ones(len(rays))]) @ back[:3, :3].T
    start = back[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        hit = start + directions * (-start[2] / directions[:, 2])[:, None]
    u = (hit[:, 0] * scale + origin[0]).reshape(2 * height, 2 * width).astype(np.float32)
    v = (hit[:, 1] * scale + origin[1]).reshape(2 * height, 2 * width).astype(np.float32)
    seen = cv2.remap(print_, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=128)
    small = cv2.resize(seen, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    small = 20 + small * (200 / 255)
    if rng is not None:
        small += rng.normal(0, 2, small.shape)
    gray = small.clip(0, 255).astype(np.uint8)
    return cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)
