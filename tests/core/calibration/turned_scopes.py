"""An oblique scope whose truth is known, seen the long way: the objective is carried round, the picture is turned."""

import numpy as np

from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.model import Provenance, ScopeCalibration
from surgical_ml.calibration.rigid import apply, inverse, rigid
from surgical_ml.calibration.scope_fit import TurnedView
from surgical_ml.calibration.synthetic import FlatPattern, board_poses
from surgical_ml.calibration.view import View

LEAN = np.deg2rad(30.0)
TRUTH = ScopeCalibration(
    schema="surgical_ml/scope@1",
    lens=Lens(
        model="pinhole",
        fx=886.0,
        fy=882.0,
        cx=951.3,
        cy=547.8,
        distortion=(-0.212, 0.058, 0.0007, -0.0004, -0.011),
        image_size=(1920, 1080),
    ),
    centre_px=(968.0, 531.0),
    axis=(0.02, float(np.sin(LEAN)), float(np.sqrt(1 - 0.02**2 - np.sin(LEAN) ** 2))),
    axis_point_m=(0.0012, 0.0, 0.0),
    notch_zero_deg=90.0,
    view_angle_deg=30.0,
    provenance=Provenance(made_by="test"),
)
"""Its axis leans by 30 degrees, and a little aside; its field is 63 degrees high, as one of an oblique scope has to be."""


def carried(scope, turn_deg):
    """(4, 4) the objective at a turn, in the reference frame; the picture is not turned back."""
    motion = rigid(np.array(scope.axis) * np.deg2rad(turn_deg), np.zeros(3))
    point = np.array(scope.axis_point_m)
    motion[:3, 3] = point - motion[:3, :3] @ point
    return motion


def seen_through(scope, points, turn_deg):
    """Pixels (N, 2) of points (N, 3) in the reference frame."""
    turn = np.deg2rad(turn_deg)
    picture = scope.lens.project(apply(inverse(carried(scope, turn_deg)), points))
    x, y = ((picture - scope.centre_px) / [scope.lens.fx, scope.lens.fy]).T
    spun = np.column_stack([np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y])
    return np.array(scope.centre_px) + spun * [scope.lens.fx, scope.lens.fy]


def turned_views(rng, turns, *, scope=TRUTH, stands=8, noise_px=0.2, reading_sd_deg=0.05):
    """Views with readings of the turns. Each stand has the pattern well in sight at one turn, and at most of its neighbours.

    No place is seen at every turn: the line of sight goes round by twice the scope's angle. None is seen from behind.
    """
    pattern, size = FlatPattern(), np.array(scope.lens.image_size)
    views, stand = [], 0
    while stand < stands:
        (pose,) = board_poses(rng, scope.lens, pattern, 1)
        pose = carried(scope, turns[(2 * stand + 1) % len(turns)]) @ pose
        seen = [(turn, seen_through(scope, apply(pose, pattern.points), turn)) for turn in turns]
        whole = [
            (turn, pixels)
            for turn, pixels in seen
            if np.all((pixels > 2) & (pixels < size - 3)) and (inverse(carried(scope, turn)) @ pose)[2, 2] > 0.5
        ]
        if len(whole) < min(4, len(turns)):
            continue
        for turn, pixels in whole:
            noisy = pixels + rng.normal(0, noise_px, pixels.shape)
            view = View(f"stand {stand} at {turn:.0f}", noisy, pattern.points, scope.lens.image_size)
            views.append(TurnedView(view, f"stand {stand}", turn + rng.normal(0, reading_sd_deg)))
        stand += 1
    return views
