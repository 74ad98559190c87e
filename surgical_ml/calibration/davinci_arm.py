"""Where a da Vinci arm's joints say that its instrument's shaft is, in the one convention that the dVRK has for it."""

import numpy as np

from surgical_ml.calibration.rigid import Floats
from surgical_ml.errors import InputError

WRIST_M = 0.4318 - 0.4162
"""How much nearer than the insertion says the wrist is to the remote centre: length to the centre less length of the tool."""

LARGE_SHAFT_M = 0.0084
"""Diameter of the shaft of an 8 mm instrument."""


def psm_shaft_m(joints: Floats) -> Floats:
    """The shaft of a patient-side manipulator, in the arm's base: the frame whose origin is its remote centre.

    From the first three joints of the dVRK's kinematics (modified Denavit-Hartenberg: yaw, pitch, insertion): the shaft
    passes through the remote centre, whatever the wrist does.

    Args:
        joints: (3 or more,) yaw and pitch in radians, insertion in metres; as in `measured_js`.

    Returns:
        (2, 3) metres: a point of the axis 5 cm behind the wrist, and the wrist.

    Raises:
        InputError: there are fewer than three joints, or one is not finite.
    """
    if len(joints) < 3 or not np.all(np.isfinite(joints[:3])):
        raise InputError("arm", "yaw, pitch and insertion, finite", f"{np.asarray(joints).tolist()}")
    yaw, pitch, insertion = (float(value) for value in joints[:3])
    way = np.array([np.cos(pitch) * np.sin(yaw), -np.sin(pitch), -np.cos(pitch) * np.cos(yaw)])
    wrist = insertion - WRIST_M
    return np.stack([(wrist - 0.05) * way, wrist * way])
