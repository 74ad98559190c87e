"""The offset between the video's and the robot's clock, on simulated motion whose truth is known."""

import cv2
import numpy as np
import pytest

from surgical_ml.calibration.model import Provenance
from surgical_ml.calibration.rigid import rotation_matrix
from surgical_ml.calibration.time_offset import (
    RobotMotion,
    VideoMotion,
    calibrate_time,
    motion_of_rotations,
    picture_motion,
)
from surgical_ml.errors import InputError

MADE = Provenance(made_by="test")
EPOCH_NS = 1_700_000_000_000_000_000
FINE_HZ = 1000


def recorded(rng, length_s=60.0, *, fps=30.0, offset_s=0.137, drift=0.0, speed=None, around_s=4.0):
    """What a 30 fps video and a 200 Hz robot say of one hand that moves and rests at irregular times."""
    fine = np.arange(-8, length_s + 8, 1 / FINE_HZ)
    if speed is None:
        centres, widths = rng.uniform(-8, length_s + 8, int(1.3 * length_s) + 12), rng.uniform(0.1, 0.35, 1000)
        bumps = [np.exp(-(((fine - c) / w) ** 2) / 2) for c, w in zip(centres, widths, strict=False)]
        speed = (rng.uniform(0.3, 1.0, (len(bumps), 1)) * bumps).sum(axis=0)
    else:
        speed = speed(fine)
    path = np.concatenate(([0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 / FINE_HZ)))
    frames = np.arange(0, length_s, 1 / fps)
    motion = np.diff(np.interp(frames, fine, path))
    motion = np.abs(motion + rng.normal(0, 0.05 * motion.std() + 1e-12, motion.size))
    samples = np.arange(-around_s, length_s + around_s, 1 / 200)
    middle = frames[frames.size // 2]
    return (
        VideoMotion(_ns(frames), motion),
        RobotMotion(_ns(samples + offset_s + drift * (samples - middle)), np.interp(samples, fine, speed)),
    )


def _ns(seconds):
    return np.round(seconds * 1e9).astype(np.int64) + EPOCH_NS


@pytest.mark.parametrize("offset_s", [-1.3, -0.011, 0.0, 0.137, 1.9])
def test_a_minute_of_motion_tells_the_offset_to_a_millisecond(offset_s):
    video, robot = recorded(np.random.default_rng(1), offset_s=offset_s)
    found = calibrate_time(video, robot, MADE)
    assert found.offset_ns / 1e6 == pytest.approx(1000 * offset_s, abs=1.0)
    assert found.explained > 0.95
    assert found.drift_ppm is None


def test_the_stated_intervals_hold_the_truth():
    inside = 0
    for seed in range(20):
        found = calibrate_time(*recorded(np.random.default_rng([2, seed]), 30.0), MADE, largest_offset_s=0.5)
        inside += found.interval_ns[0] <= 137e6 <= found.interval_ns[1]
    assert inside >= 17  # 19 of 20 are expected; fewer than 17 would happen once in a hundred times


def test_a_longer_recording_tells_the_drift():
    video, robot = recorded(np.random.default_rng(3), 180.0, drift=40e-6)
    found = calibrate_time(video, robot, MADE, largest_offset_s=0.5)
    assert found.interval_ppm[0] <= 40 <= found.interval_ppm[1]
    assert found.drift_ppm == pytest.approx(40, abs=20)
    assert found.offset_ns / 1e6 == pytest.approx(137, abs=1.0)


def test_motion_that_repeats_itself_is_refused():
    video, robot = recorded(np.random.default_rng(4), speed=lambda t: 1 + np.sin(2 * np.pi * t / 0.8))
    with pytest.raises(InputError, match=r"motion that repeats itself: it fits at .* s and at .* s"):
        calibrate_time(video, robot, MADE)


def test_two_motions_that_are_not_one_are_refused():
    video, _ = recorded(np.random.default_rng(5))
    _, robot = recorded(np.random.default_rng(6))
    with pytest.raises(InputError, match=r"recording: expected video and robot that show one motion.*found \d+% at"):
        calibrate_time(video, robot, MADE)


def test_an_offset_beyond_what_was_searched_is_not_made_up():
    video, robot = recorded(np.random.default_rng(7), offset_s=1.5, around_s=6.0)
    with pytest.raises(InputError, match="show one motion"):
        calibrate_time(video, robot, MADE, largest_offset_s=0.5)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda v, r: (VideoMotion(v.stamps_ns[:100], v.motion[:99]), r), "10 s of video .* found 3.3 s"),
        (lambda v, r: (VideoMotion(v.stamps_ns + 10**12, v.motion), r), "10 s of video .* found 0.0 s"),
        (lambda v, r: (VideoMotion(v.stamps_ns, np.zeros_like(v.motion)), r), "video: expected motion that changes"),
        (lambda v, r: (v, RobotMotion(r.stamps_ns[::-1], r.speed)), "robot, stamp 1: expected one later"),
        (lambda v, r: (VideoMotion(v.stamps_ns[1:], v.motion), r), "and 1 stamps more, found"),
        (lambda v, r: (v, RobotMotion(r.stamps_ns, r.speed * np.nan)), "robot: expected finite motion"),
    ],
)
def test_a_recording_that_cannot_tell_is_refused_with_the_reason(spoil, message):
    video, robot = spoil(*recorded(np.random.default_rng(8)))
    with pytest.raises(InputError, match=message):
        calibrate_time(video, robot, MADE)


def test_the_turning_of_a_pattern_is_its_motion():
    turns = np.stack([rotation_matrix(np.array([0, 0, angle])) for angle in (0, 0.1, 0.1, 0.3)])
    found = motion_of_rotations(np.arange(4) * 33_000_000, turns)
    assert found.motion == pytest.approx([0.1, 0, 0.2])


def test_a_shifted_picture_has_moved_by_its_shift():
    rng = np.random.default_rng(9)
    rough = cv2.GaussianBlur(rng.uniform(0, 1, (300, 400)), (0, 0), 2)
    scene = cv2.normalize(rough, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    assert picture_motion(scene[20:220, 20:320], scene[24:224, 23:323]) == pytest.approx(5.0, abs=0.3)
