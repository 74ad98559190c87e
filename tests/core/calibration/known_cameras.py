"""Cameras whose truth is known, and how often what a calibration states about itself holds that truth."""

import numpy as np

from surgical_ml.calibration.camera import calibrate_camera
from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.model import INTERVAL_95
from surgical_ml.calibration.rigid import rigid
from surgical_ml.calibration.synthetic import ENDOSCOPE, camera_views

RATIONAL = Lens(
    model="rational",
    fx=1250.0, fy=1246.0, cx=962.0, cy=536.0,
    distortion=(-0.05, 0.02, 0.0004, -0.0003, 0.001, 0.25, 0.03, 0.002),
    image_size=(1920, 1080),
)  # fmt: skip
FISHEYE = Lens(
    model="fisheye",
    fx=800.0, fy=798.0, cx=955.0, cy=545.0,
    distortion=(-0.02, 0.006, -0.004, 0.001),
    image_size=(1920, 1080),
)  # fmt: skip
KNOWN = {"pinhole": ENDOSCOPE, "rational": RATIONAL, "fisheye": FISHEYE}

RIGHT = ENDOSCOPE.with_parameters(ENDOSCOPE.parameters + np.array([6.0, 5.0, -14.0, 7.0, 0.01, -0.02, 0.0, 0.0, 0.0]))
RIGHT_FROM_LEFT = rigid(np.array([0.002, -0.03, 0.001]), np.array([-0.0043, 0.00003, 0.0001]))
"""A da Vinci's two cameras: 4.3 mm apart, turned towards each other by 1.7 degrees."""


def share_held(runs: int, *, model: str = "pinhole", first_seed: int = 0) -> tuple[float, float, dict[str, float]]:
    """How often 95 % intervals hold the truth: of focal lengths and principal point, and of all parameters.

    And the largest of all runs: hold-out RMS (px), error of a focal length (percent) and of the principal point (px).
    """
    truth, held = KNOWN[model], []
    largest = {"holdout_px": 0.0, "focal_percent": 0.0, "principal_px": 0.0}
    for seed in range(first_seed, first_seed + runs):
        rng = np.random.default_rng([7, seed])
        fit = calibrate_camera(camera_views(rng, truth, int(rng.integers(15, 26))), truth.model)
        half = INTERVAL_95 * np.sqrt(np.diag(np.array(fit.covariance.matrix)))
        off = np.abs(fit.lens.parameters - truth.parameters)
        held.append(off <= half)
        focal = 100 * max(off[0] / truth.fx, off[1] / truth.fy)
        found = (fit.quality.holdout_rms_px or np.inf, focal, float(np.hypot(off[2], off[3])))
        largest = {name: max(before, now) for (name, before), now in zip(largest.items(), found, strict=True)}
    told = np.array(held)
    return float(told[:, :4].mean()), float(told.mean()), largest
