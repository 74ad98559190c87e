"""How far a video moved from frame to frame: the picture as a whole, or a pattern in it."""

from collections.abc import Callable

import cv2
import numpy as np

from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.pattern import Gray, Pattern, as_gray, find
from surgical_ml.calibration.rigid import rotation_matrix
from surgical_ml.calibration.time_offset import VideoMotion, motion_of_rotations, picture_motion
from surgical_ml.calibration.view import View, planar_pose
from surgical_ml.errors import InputError
from surgical_ml.video import open_source

WIDTH = 320
"""Pictures are shrunk to this width first: the shift of a whole picture needs no more, and noise goes."""

Observe = Callable[[int, int | None], None]


def motion_of_pictures(spec: str, observe: Observe) -> VideoMotion:
    """The shift of the whole picture between consecutive frames, in pixels of a picture 320 wide.

    Raises:
        InputError: there is no video, or fewer than two frames in it.
    """
    stamps, moved, before = list[int](), list[float](), None
    with open_source(spec) as source:
        for frame in source:
            small = _small(as_gray(frame.image))
            stamps.append(frame.stamp_ns)
            if before is not None:
                moved.append(picture_motion(before, small))
            before = small
            observe(len(stamps), source.info.frames)
    _check_many(spec, stamps)
    return VideoMotion(np.array(stamps, np.int64), np.array(moved))


def motion_of_pattern(spec: str, pattern: Pattern, lens: Lens, observe: Observe) -> VideoMotion:
    """The turning of a pattern between the frames that show it, in radians.

    Raises:
        InputError: there is no video, or fewer than two frames show the pattern.
    """
    stamps, turns = list[int](), []
    with open_source(spec) as source:
        for frame in source:
            found = find(pattern, frame.image, str(frame.index))
            pose = planar_pose(found, lens) if isinstance(found, View) else None
            if pose is not None:
                stamps.append(frame.stamp_ns)
                turns.append(rotation_matrix(pose[:3]))
            observe(frame.index + 1, source.info.frames)
    _check_many(f"{spec}, frames with the pattern", stamps)
    return motion_of_rotations(np.array(stamps, np.int64), np.stack(turns))


def _small(gray: Gray) -> Gray:
    height, width = gray.shape
    if width <= WIDTH:
        return gray
    size = (WIDTH, round(height * WIDTH / width))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def _check_many(thing: str, stamps: list[int]) -> None:
    if len(stamps) < 2:
        raise InputError(thing, "two or more", str(len(stamps)))
