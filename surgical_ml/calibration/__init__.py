"""The endoscope's geometry, the robot's frame, the clocks, what confidence is worth; and whether it still holds.

What makes a calibration has a file of its own: `camera`, `stereo`, `scope`, `hand_eye`, `time_offset`, and `capture` live.
"""

from surgical_ml.calibration.files import digest, read, read_any, write
from surgical_ml.calibration.model import (
    Calibration,
    CameraCalibration,
    ConfidenceCalibration,
    HandEyeCalibration,
    ScopeCalibration,
    StereoCalibration,
    TimeCalibration,
    Validity,
    WithLens,
    require_camera,
)
from surgical_ml.calibration.validity import Doubt, Residual, StartFinding, ValidityWatch

__all__ = [
    "Calibration",
    "CameraCalibration",
    "ConfidenceCalibration",
    "Doubt",
    "HandEyeCalibration",
    "Residual",
    "ScopeCalibration",
    "StartFinding",
    "StereoCalibration",
    "TimeCalibration",
    "Validity",
    "ValidityWatch",
    "WithLens",
    "digest",
    "read",
    "read_any",
    "require_camera",
    "write",
]
