"""Short synthetic clips for tests of the live node."""

from pathlib import Path

import cv2

from surgical_ml.simulation import Renderer, plan_case

SIZE = (640, 360)


def write_clip(path: Path, seconds: float, fps: int = 25, seed: int = 11) -> Path:
    """A clean, quiet case from its first second on."""
    renderer = Renderer(plan_case(seed, duration_s=60.0, split="held-out"), SIZE, view="full")
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), float(fps), SIZE)
    for k in range(round(seconds * fps)):
        writer.write(renderer.at(2.0 + k / fps).image)
    writer.release()
    return path
