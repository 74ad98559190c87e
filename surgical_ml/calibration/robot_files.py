"""What a robot recorded, as CSV: where its hand stood at each picture, and how it moved."""

import csv
import io
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from surgical_ml.calibration.camera import fit_pose
from surgical_ml.calibration.hand_eye import PosePair
from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.lines import read_text
from surgical_ml.calibration.model import RejectedView
from surgical_ml.calibration.pictures import Collected
from surgical_ml.calibration.rigid import (
    Floats,
    optical_from_dvrk,
    rigid,
    rotation_angle,
    rotation_matrix,
    rotation_of_quaternion,
)
from surgical_ml.calibration.time_offset import RobotMotion
from surgical_ml.calibration.view import planar_pose
from surgical_ml.errors import InputError

Convention = Literal["ros", "dvrk"]
POSE = ("x", "y", "z", "qx", "qy", "qz", "qw")
UNIT_LENGTH = 0.01
"""How far a quaternion of a file may be from length 1; rounding to three digits stays within."""


def read_poses(path: Path, convention: Convention = "ros") -> dict[str, Floats]:
    """The hand's pose (4, 4) in the robot's base at each picture, from `name,x,y,z,qx,qy,qz,qw`, metres.

    Args:
        path: of the CSV; lines that begin with # are comments.
        convention: `dvrk` where the hand is a camera frame as dVRK has it; it is turned into the optical frame.

    Raises:
        InputError: a column is missing, a value is no number, a quaternion has another length, a name stands twice; with
            the line.
    """
    found: dict[str, Floats] = {}
    for place, row in csv_rows(path, ("name", *POSE)):
        name = row["name"].strip()
        if not name or name in found:
            raise InputError(place, "each picture's name once", repr(name))
        pose = _pose(place, row)
        found[name] = optical_from_dvrk(pose) if convention == "dvrk" else pose
    return found


def pose_pairs(
    poses: dict[str, Floats], seen: Collected, lens: Lens, listed_in: Path
) -> tuple[list[PosePair], list[RejectedView]]:
    """Hand and pattern at the same moments, and what could not be paired.

    Args:
        poses: of `read_poses`; names with or without the picture's ending.
        seen: the pictures.
        lens: of the camera that took them.
        listed_in: the poses' file, for messages.

    Raises:
        InputError: no picture has a pose, or the pictures are of another size than the lens.
    """
    by_stem = {Path(name).stem: name for name in poses}
    pairs, left_out = [], list(seen.rejected)
    for view in seen.views:
        if lens.image_size is not None and lens.image_size != view.image_size:
            wanted, found = ("{}x{}".format(*size) for size in (lens.image_size, view.image_size))
            raise InputError(view.name, f"a picture of {wanted}, as the camera's calibration", found)
        name = view.name if view.name in poses else by_stem.get(Path(view.name).stem)
        start = None if name is None else planar_pose(view, lens)
        if name is None or start is None:
            reason = f"no pose in {listed_in.name}" if name is None else "no pose explains the points"
            left_out.append(RejectedView(name=view.name, reason=reason))
            continue
        pose = fit_pose(view, lens, start).own[0]
        pairs.append(PosePair(view.name, poses[name], rigid(rotation_matrix(pose[:3]), pose[3:])))
    if not pairs:
        raise InputError(
            listed_in, f"poses of pictures such as {seen.views[0].name}", f"poses of {', '.join([*poses][:3])}"
        )
    return pairs, left_out


def read_motion(path: Path, *, turning: bool) -> RobotMotion:
    """How fast the robot moved, from `stamp_ns,speed` or from poses `stamp_ns,x,y,z,qx,qy,qz,qw`.

    Args:
        path: of the CSV.
        turning: of poses, take how fast they turn (rad/s) and not how fast they shift (m/s).

    Raises:
        InputError: as `read_poses`; or fewer than two rows, or stamps that do not rise.
    """
    header = _header(path)
    if "speed" in header:
        rows = list(csv_rows(path, ("stamp_ns", "speed")))
        stamps = np.array([_whole(place, row["stamp_ns"]) for place, row in rows], np.int64)
        _check_rising(rows, stamps)
        return RobotMotion(stamps, np.array([abs(finite_number(place, "speed", row["speed"])) for place, row in rows]))
    rows = list(csv_rows(path, ("stamp_ns", *POSE)))
    stamps = np.array([_whole(place, row["stamp_ns"]) for place, row in rows], np.int64)
    _check_rising(rows, stamps)
    poses = [_pose(place, row) for place, row in rows]
    steps = [
        rotation_angle(one[:3, :3].T @ other[:3, :3]) if turning else float(np.linalg.norm(other[:3, 3] - one[:3, 3]))
        for one, other in pairwise(poses)
    ]
    middles = stamps[:-1] + np.diff(stamps) // 2
    return RobotMotion(middles, np.array(steps) / (np.diff(stamps) / 1e9))


def _header(path: Path) -> list[str]:
    lines = read_text(path).splitlines()
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    return [name.strip() for name in next(csv.reader([first]), [])]


def csv_rows(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Each row of a CSV with its place, by column; comments and empty lines left out.

    Raises:
        InputError: a column is missing, a row has another length, or there is none; with the line.
    """
    numbered = [
        (number, line)
        for number, line in enumerate(io.StringIO(read_text(path)), 1)
        if line.strip() and not line.startswith("#")
    ]
    if not numbered:
        raise InputError(path, f"a CSV with the columns {','.join(columns)}", "comments only")
    header = [name.strip() for name in next(csv.reader([numbered[0][1]]))]
    absent = [name for name in columns if name not in header]
    if absent:
        place = f"{path}, line {numbered[0][0]}"
        raise InputError(
            place, f"the columns {','.join(columns)}", f"no {', '.join(absent)} in {','.join(header)[:60]}"
        )
    found = []
    for number, line in numbered[1:]:
        values = next(csv.reader([line]))
        place = f"{path}, line {number}"
        if len(values) != len(header):
            raise InputError(place, f"{len(header)} values", str(len(values)))
        found.append((place, dict(zip(header, values, strict=True))))
    if not found:
        raise InputError(path, "rows below the header", "none")
    return found


def _pose(place: str, row: dict[str, str]) -> Floats:
    values = np.array([finite_number(place, name, row[name]) for name in POSE])
    length = float(np.linalg.norm(values[3:]))
    if abs(length - 1) > UNIT_LENGTH:
        raise InputError(f"{place}, qx to qw", "a quaternion of unit length", f"length {length:.3g}")
    return rigid(rotation_of_quaternion(values[3:]), values[:3])


def finite_number(place: str, name: str, text: str) -> float:
    """A value of a row; raises an InputError that names the place and the column where it is no number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{place}, {name}", "a finite number", repr(text.strip()[:40]))
    return value


def _whole(place: str, text: str) -> int:
    if not text.strip().removeprefix("-").isdecimal() or len(text) > 20:
        raise InputError(f"{place}, stamp_ns", "whole nanoseconds", repr(text.strip()[:40]))
    return int(text)


def _check_rising(rows: Sequence[tuple[str, object]], stamps: np.typing.NDArray[np.int64]) -> None:
    if len(stamps) < 2:
        raise InputError(rows[0][0], "two rows or more", "one")
    wrong = np.flatnonzero(np.diff(stamps) <= 0)
    if wrong.size:
        raise InputError(
            f"{rows[wrong[0] + 1][0]}, stamp_ns", "a stamp later than the one before", str(stamps[wrong[0] + 1])
        )
