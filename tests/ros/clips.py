"""Short synthetic clips for tests of the live node."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from surgical_ml.simulation import Renderer, plan_case

SIZE, FPS = (640, 360), 25


def quiet_case(seconds: float, seed: int = 11) -> list[np.ndarray]:
    """Pictures of a case that is clean and quiet from its first second on."""
    renderer = Renderer(plan_case(seed, duration_s=60.0, split="held-out"), SIZE, view="full")
    return [renderer.at(2.0 + k / FPS).image for k in range(round(seconds * FPS))]


def write_clip(path: Path, pictures: Iterable[np.ndarray]) -> Path:
    """A video of them."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), float(FPS), SIZE)
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path
