"""How well a camera's mounting, a scope's turns and the offset of two clocks are found, where the truth is known."""

import numpy as np
from test_hand_eye import off_by, robot_noise
from test_time_offset import recorded
from turned_scopes import TRUTH, seen_through, turned_views

from surgical_ml.calibration.camera import fit_pose
from surgical_ml.calibration.hand_eye import PosePair, calibrate_hand_eye
from surgical_ml.calibration.model import Provenance
from surgical_ml.calibration.rigid import apply, inverse, nudge, rigid
from surgical_ml.calibration.scope import calibrate_scope
from surgical_ml.calibration.scope_turn import lens_at, pose_at
from surgical_ml.calibration.synthetic import ENDOSCOPE, FlatPattern, board_poses, see
from surgical_ml.calibration.time_offset import calibrate_time
from surgical_ml.calibration.view import planar_pose

MADE = Provenance(made_by="campaign")


def mounting_errors(runs):
    """(runs, 2) mm and degrees that a mounting is off which fifteen pictures of a pattern and noisy robot poses tell.

    And {solver: the largest distance from the refined result, mm}.
    """
    errors, solvers = [], {}
    for seed in range(runs):
        rng = np.random.default_rng([31, seed])
        camera, place = (rigid(rng.normal(0, 1, 3), rng.normal(0, 0.03, 3)) for _ in range(2))
        pairs = []
        for k, pose in enumerate(board_poses(rng, ENDOSCOPE, FlatPattern(), 15)):
            view = see(ENDOSCOPE, FlatPattern(), pose, f"picture {k:02d}", rng, noise_px=0.2)
            seen = fit_pose(view, ENDOSCOPE, planar_pose(view, ENDOSCOPE)).own[0]
            hand = nudge(place @ inverse(pose) @ inverse(camera), robot_noise(rng))
            pairs.append(PosePair(view.name, hand, rigid(seen[:3], seen[3:])))
        found = calibrate_hand_eye(pairs, "camera-on-arm", MADE)
        errors.append(off_by(found.camera.matrix, camera))
        for one in found.solvers:
            solvers[one.solver] = max(solvers.get(one.solver, 0.0), one.distance_mm or np.inf)
    return np.array(errors), solvers


def offset_errors_ms(runs):
    """(runs,) how far the offset of two clocks is off that a minute of simulated motion tells, at 30 frames/s."""
    found = []
    for seed in range(runs):
        offset_s = float(np.random.default_rng([32, seed]).uniform(-1.5, 1.5))
        video, robot = recorded(np.random.default_rng([33, seed]), offset_s=offset_s)
        found.append(abs(calibrate_time(video, robot, MADE).offset_ns / 1e6 - 1000 * offset_s))
    return np.array(found)


def turned_scope_rms_px(runs):
    """(runs,) RMS, pixels, by which an oblique scope that was calibrated predicts what it shows from 0 to 180 degrees."""
    points = np.random.default_rng(34).uniform((-0.01, 0.01, 0.07), (0.01, 0.03, 0.09), (60, 3))
    found, turns = [], np.linspace(0, 180, 10)
    for seed in range(runs):
        made = calibrate_scope(turned_views(np.random.default_rng([35, seed]), turns), MADE)
        off = [
            lens_at(made, turn).project(apply(inverse(pose_at(made, turn)), points)) - seen_through(TRUTH, points, turn)
            for turn in turns
        ]
        found.append(np.sqrt(np.mean(np.sum(np.square(off), axis=2))))
    return np.array(found)
