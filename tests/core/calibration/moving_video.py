"""A video of a motion, and what the robot recorded of it."""

import cv2
import numpy as np

FPS, LENGTH_S, OFFSET_S = 20, 14.0, 0.137


def panned(folder):
    """A video that pans over a rough surface by fits and starts, and the robot's speed on a clock that is ahead."""
    rng = np.random.default_rng(1)
    fine = np.arange(-1.0, LENGTH_S + 1.0, 1 / 200)
    speed = np.abs(np.convolve(rng.normal(0, 1, fine.size), np.hanning(120), "same"))
    speed *= 40 / speed.mean()
    path = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 400)])
    scene = cv2.GaussianBlur(rng.uniform(0, 1, (160, int(path[-1]) + 260)), (0, 0), 2)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    writer = cv2.VideoWriter(str(folder / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (192, 160))
    for k in range(int(LENGTH_S * FPS)):
        at = float(np.interp(k / FPS, fine, path))
        seen = cv2.warpAffine(scene, np.array([[1, 0, -at], [0, 1, 0]], float), (192, 160), flags=cv2.INTER_LINEAR)
        writer.write(cv2.cvtColor(seen, cv2.COLOR_GRAY2BGR))
    writer.release()
    rows = [f"{round((t + OFFSET_S) * 1e9)},{v:.4f}" for t, v in zip(fine, speed, strict=True)]
    (folder / "robot.csv").write_text("\n".join(["stamp_ns,speed", *rows]) + "\n")
