"""The examples of `calibration/`, made from made-up cameras and robots: run this file to write them again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from known_cameras import RIGHT, RIGHT_FROM_LEFT
from turned_scopes import turned_views

from surgical_ml.calibration import files
from surgical_ml.calibration.camera import calibrate_camera
from surgical_ml.calibration.hand_eye import PosePair, calibrate_hand_eye
from surgical_ml.calibration.model import (
    Calibration,
    CameraCalibration,
    Provenance,
    RigidTransform,
    StereoCalibration,
    Validity,
)
from surgical_ml.calibration.rigid import inverse, nudge, rigid
from surgical_ml.calibration.scope import calibrate_scope
from surgical_ml.calibration.stereo import calibrate_stereo
from surgical_ml.calibration.synthetic import ENDOSCOPE, FlatPattern, board_poses, camera_views, stereo_views
from surgical_ml.calibration.time_offset import RobotMotion, VideoMotion, calibrate_time
from surgical_ml.evaluation.confidence import calibrate_confidence
from surgical_ml.evaluation.metrics import ScoredCase

FOLDER = Path(__file__).resolve().parents[3] / "calibration"
VALIDITY = Validity(
    camera="example head", scope="example scope", valid_until="2030-01-01T00:00:00Z", temperature_c=(15.0, 40.0)
)


def provenance(method: str) -> Provenance:
    notes = ("Not a calibration of any endoscope: numbers made up to show the format.",)
    return Provenance(
        made_by="surgical_ml, tests/core/calibration/made_examples.py", method=method, notes=notes, example=True
    )


def camera() -> Calibration:
    fit = calibrate_camera(camera_views(np.random.default_rng(1), count=15))
    return CameraCalibration(
        schema="surgical_ml/camera@1",
        lens=fit.lens,
        covariance=fit.covariance,
        quality=fit.quality,
        provenance=provenance("synthetic views, pinhole"),
        validity=VALIDITY,
    )


def stereo() -> Calibration:
    fit = calibrate_stereo(stereo_views(np.random.default_rng(2), ENDOSCOPE, RIGHT, RIGHT_FROM_LEFT, 15))
    return StereoCalibration(
        schema="surgical_ml/stereo@1",
        left=fit.left,
        right=fit.right,
        right_from_left=RigidTransform.of("right_optical", "left_optical", fit.right_from_left),
        covariance=fit.covariance,
        quality=fit.quality,
        provenance=provenance("synthetic pairs, pinhole"),
        validity=VALIDITY,
    )


def hand_eye() -> Calibration:
    rng = np.random.default_rng(3)
    mounted = rigid(np.array([0.1, -0.2, 0.3]), np.array([0.01, 0.02, 0.05]))
    place = rigid(np.array([2.5, 0.1, 0.0]), np.array([0.1, 0.2, 0.0]))
    pairs = [
        PosePair(
            f"view {k:02d}",
            place @ inverse(pose) @ inverse(mounted),
            nudge(pose, np.concatenate([rng.normal(0, 3e-4, 3), rng.normal(0, 1e-4, 3)])),
        )
        for k, pose in enumerate(board_poses(rng, ENDOSCOPE, FlatPattern(), 15))
    ]
    return calibrate_hand_eye(pairs, "camera-on-arm", provenance("synthetic poses"), validity=VALIDITY)


def time() -> Calibration:
    rng = np.random.default_rng(4)
    fine = np.arange(-3, 33, 1 / 200)
    speed = np.abs(np.convolve(rng.normal(0, 1, fine.size), np.hanning(80), "same"))
    path = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 400)])
    frames = np.arange(0, 30, 1 / 30)
    motion = np.abs(np.diff(np.interp(frames, fine, path)))
    video = VideoMotion(np.round(frames * 1e9).astype(np.int64), motion)
    robot = RobotMotion(np.round((fine + 0.042) * 1e9).astype(np.int64), speed)
    return calibrate_time(video, robot, provenance("synthetic motion"), validity=VALIDITY)


def scope() -> Calibration:
    views = turned_views(np.random.default_rng(5), np.linspace(0, 180, 10), stands=3)
    made = provenance("synthetic views through a turned scope")
    return calibrate_scope(views, made, notch_zero_deg=90.0, validity=VALIDITY)


def confidence() -> Calibration:
    """Of probabilities that are stated twice as sharply as they are; the bands are of a model that does not exist."""
    rng = np.random.default_rng(6)
    cases = []
    for k in range(8):
        logits = rng.normal(0, 1.5, (400, 7))
        honest, stated = (np.exp(scale * logits) for scale in (1.0, 2.0))
        honest, stated = (one / one.sum(axis=1, keepdims=True) for one in (honest, stated))
        truth = (honest.cumsum(axis=1) > rng.random((400, 1))).argmax(axis=1)
        cases.append(ScoredCase(f"case {k}", truth, stated))
    return calibrate_confidence(cases, "0" * 64, provenance("synthetic probabilities"), fps=1.0, validity=VALIDITY)


EXAMPLES: dict[str, Callable[[], Calibration]] = {
    "example-camera.yaml": camera,
    "example-stereo.yaml": stereo,
    "example-hand-eye.yaml": hand_eye,
    "example-time.yaml": time,
    "example-scope.yaml": scope,
    "example-confidence.yaml": confidence,
}

if __name__ == "__main__":
    for name, make in EXAMPLES.items():
        files.write(make(), FOLDER / name)
