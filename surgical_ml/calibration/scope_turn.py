"""What turning an oblique scope in its camera head does to its lens and to its line of sight.

The scope is one rigid thing whose objective looks past its shaft at an angle. Turned by t about the shaft, clockwise as
seen from the head, its objective goes along, and so does the picture that it hands to the sensor:

    seen = centre + turn(t) (lens(turned(t)^-1 point) - centre)

with the turn of the picture where pixels are square (the lens's fy over fx is the sensor's affair and does not turn).
Of a straight scope the two turns cancel, but for the principal point. What is stated of a turn is a lens and a pose whose
picture stands upright on the sensor, so that whoever measures in it needs to know nothing of turning.
"""

import numpy as np

from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.model import ScopeCalibration
from surgical_ml.calibration.rigid import Floats, inverse, rigid, rotation_matrix


def lens_at(scope: ScopeCalibration, turn_deg: float) -> Lens:
    """The lens when the scope is turned: its principal point and its tangential distortion go round with the picture.

    Args:
        scope: calibrated.
        turn_deg: from the reference, positive from the picture's x to its y axis (clockwise on a screen).
    """
    parameters, _ = turned_lens(scope.lens, scope.lens.parameters, np.array(scope.centre_px), np.deg2rad(turn_deg))
    return scope.lens.with_parameters(parameters)


def pose_at(scope: ScopeCalibration, turn_deg: float) -> Floats:
    """The optical frame of `lens_at` when the scope is turned, in the optical frame of the reference.

    Returns:
        (4, 4) motion, metres; the identity at 0.
    """
    axis, point = np.array(scope.axis), np.array(scope.axis_point_m)
    return inverse(into_view(axis, point, np.deg2rad(turn_deg)))


def turn_of_notch(scope: ScopeCalibration, notch_deg: float) -> float:
    """The turn from the reference, -180 to 180 degrees, that a reading of the notch (`notch_angle`) means."""
    return (notch_deg - scope.notch_zero_deg + 180) % 360 - 180


def into_view(axis: Floats, point: Floats, turn: float) -> Floats:
    """(4, 4) from the optical frame of the reference to the one of a turn in radians."""
    back = rotation_matrix(-turn * axis)
    c, s = np.cos(turn), np.sin(turn)
    upright = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return rigid(upright @ back, upright @ (point - back @ point))


def turned_lens(lens: Lens, parameters: Floats, centre: Floats, turn: float) -> tuple[Floats, Floats]:
    """A lens's parameters (n,) at a turn in radians, and their derivatives (n, n + 3) by lens, centre and turn."""
    n = parameters.size
    fx, fy = parameters[:2]
    c, s = np.cos(turn), np.sin(turn)
    square = fx / fy
    turning = np.array([[c, -square * s], [s / square, c]])
    arm = parameters[2:4] - centre
    found, slope = parameters.copy(), np.zeros((n, n + 3))
    slope[:, :n] = np.eye(n)
    found[2:4] = centre + turning @ arm
    slope[2:4, 2:4] = turning
    slope[2:4, n : n + 2] = np.eye(2) - turning
    slope[2:4, n + 2] = np.array([[-s, -square * c], [c / square, -s]]) @ arm
    by_square = np.array([[0.0, -s], [-s / square**2, 0.0]]) @ arm
    slope[2:4, 0], slope[2:4, 1] = by_square / fy, -by_square * fx / fy**2
    if lens.model != "fisheye":
        # p2 and p1, in this order, are the x and y of one vector
        p1, p2 = parameters[6:8]
        found[6:8] = s * p2 + c * p1, c * p2 - s * p1
        slope[6:8, 6:8] = [[c, s], [-s, c]]
        slope[6:8, n + 2] = c * p2 - s * p1, -s * p2 - c * p1
    return found, slope
