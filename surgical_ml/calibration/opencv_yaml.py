"""OpenCV's YAML and JSON: the keys its samples and the endoscopic data sets write, for one camera and for two."""

from pathlib import Path
from typing import Any, cast

import numpy as np

from surgical_ml.calibration.files import build, write_text
from surgical_ml.calibration.lines import LinedMapping, numbers
from surgical_ml.calibration.model import (
    CameraCalibration,
    Provenance,
    RigidTransform,
    StereoCalibration,
)
from surgical_ml.calibration.rigid import Floats, rigid
from surgical_ml.calibration.ros_camera_info import refuse_skew
from surgical_ml.errors import InputError

MATRIX = ("camera_matrix", "Camera_Matrix", "cameraMatrix", "camera_Matrix", "K", "intrinsic")
DISTORTION = ("distortion_coefficients", "Distortion_Coefficients", "dist_coeffs", "distCoeffs", "D", "distortion")
PAIRS = (("M1", "D1", "M2", "D2"), ("K1", "D1", "K2", "D2"))
PINHOLE_COUNTS = (4, 5, 8, 12, 14)
BASELINE_M = (0.0005, 0.05)  # every stereo endoscope lies within: the da Vinci's is 4 to 5.5 mm


def is_opencv(values: dict[str, Any]) -> bool:
    """Whether a mapping holds a camera matrix under one of the names OpenCV programs use."""
    return any(name in values for name in MATRIX) or any(pair[0] in values for pair in PAIRS)


def of_mapping(mapping: LinedMapping) -> CameraCalibration | StereoCalibration:
    """One camera, or two where M1 and M2 (or K1 and K2) are there. Translations may be in millimetres or metres.

    Raises:
        InputError: a key is missing or wrong; with its line.
    """
    notes: list[str] = []
    size = _size(mapping)
    if size is None:
        notes.append("no image size stated")
    for m1, d1, m2, d2 in PAIRS:
        if m1 in mapping.values:
            return _pair(mapping, (m1, d1, m2, d2), size, notes)
    matrix = next(name for name in MATRIX if name in mapping.values)
    distortion = next((name for name in DISTORTION if name in mapping.values), None)
    return cast(
        CameraCalibration,
        build(
            CameraCalibration,
            mapping.name,
            lens=lens_of(mapping, matrix, distortion, size, notes),
            provenance=Provenance(made_by="read from OpenCV YAML", notes=tuple(notes)),
        ),
    )


def lens_of(
    mapping: LinedMapping, matrix: str, distortion: str | None, size: tuple[int, int] | None, notes: list[str]
) -> dict[str, Any]:
    """What `Lens` is made from, out of a matrix and its coefficients; adds to `notes` what had to be assumed."""
    k = numbers(mapping, matrix, 9)
    refuse_skew(mapping.at(matrix), k)
    model = "fisheye" if mapping.values.get("fisheye_model") else "pinhole"
    if distortion is None:
        notes.append("no distortion stated: taken as zero")
        found = [0.0] * 5
    elif model == "fisheye":
        found = numbers(mapping, distortion, 4)
    else:
        found = numbers(mapping, distortion, PINHOLE_COUNTS)
        if len(found) > 8 and any(found[8:]):
            raise InputError(
                mapping.at(distortion), "no thin prism or tilt", f"coefficients {9} to {len(found)} that are not zero"
            )
        if len(found) == 4:
            notes.append("four distortion coefficients: k3 taken as zero")
            found.append(0.0)
        if len(found) >= 8:
            model, found = "rational", found[:8]
    return {
        "model": model if distortion is not None else "pinhole",
        "fx": k[0], "fy": k[4], "cx": k[2], "cy": k[5],
        "distortion": found,
        "image_size": size,
    }  # fmt: skip


def metres(place: str, translation: list[float], notes: list[str]) -> Floats:
    """A stereo translation (3,) in metres, whether it was in millimetres or in metres.

    The two cannot be confused: no stereo endoscope has a baseline outside 0.5 to 50 mm.

    Raises:
        InputError: the baseline is neither.
    """
    length = float(np.linalg.norm(translation))
    low, high = BASELINE_M
    if low <= length <= high:
        return np.array(translation)
    if 1000 * low <= length <= 1000 * high:
        notes.append("translation taken as millimetres")
        return np.array(translation) / 1000
    raise InputError(place, "a baseline of 0.5 to 50 mm, in millimetres or metres", f"{length:g}")


def write(calibration: CameraCalibration | StereoCalibration, path: Path) -> None:
    """Write OpenCV YAML: camera_matrix and distortion_coefficients, or M1, D1, M2, D2, R, T (metres).

    Raises:
        InputError: a stereo calibration has no extrinsics, or the file cannot be written.
    """
    parts = ["%YAML:1.0", "---"]
    size = calibration.lenses[0].image_size
    if size is not None:
        parts += [f"image_width: {size[0]}", f"image_height: {size[1]}"]
    if isinstance(calibration, StereoCalibration):
        if calibration.right_from_left is None:
            raise InputError(path, "a stereo calibration with extrinsics", "none stated")
        motion = calibration.right_from_left.matrix
        if calibration.left.model == "fisheye":
            parts.append("fisheye_model: 1")
        for number, lens in enumerate(calibration.lenses, 1):
            parts += [_matrix(f"M{number}", lens.matrix), _matrix(f"D{number}", lens.coefficients.reshape(1, -1))]
        parts += [_matrix("R", motion[:3, :3]), _matrix("T", motion[:3, 3:])]
    else:
        lens = calibration.lens
        if lens.model == "fisheye":
            parts.append("fisheye_model: 1")
        parts += [
            _matrix("camera_matrix", lens.matrix),
            _matrix("distortion_coefficients", lens.coefficients.reshape(1, -1)),
        ]
    write_text(path, "\n".join(parts) + "\n")


def _pair(
    mapping: LinedMapping, keys: tuple[str, str, str, str], size: tuple[int, int] | None, notes: list[str]
) -> StereoCalibration:
    m1, d1, m2, d2 = keys
    lenses = [
        lens_of(mapping, matrix, distortion if distortion in mapping.values else None, size, notes)
        for matrix, distortion in ((m1, d1), (m2, d2))
    ]
    pose = None
    if "R" not in mapping.values and "T" not in mapping.values:
        notes.append("no R and T: the cameras' relation is not stated")
    else:
        pose = transform(
            mapping.at("R"), numbers(mapping, "R", (3, 9)), metres(mapping.at("T"), numbers(mapping, "T", 3), notes)
        )
    return cast(
        StereoCalibration,
        build(
            StereoCalibration,
            mapping.name,
            left=lenses[0],
            right=lenses[1],
            right_from_left=pose,
            provenance=Provenance(made_by="read from OpenCV YAML", notes=tuple(notes)),
        ),
    )


def transform(place: str, rotation: list[float], translation: Floats) -> RigidTransform:
    """The stereo pose of a rotation, as vector (3) or matrix (9), and a translation (3,) in metres.

    Raises:
        InputError: the matrix is not a rotation.
    """
    turn = np.array(rotation)
    if turn.size == 9:
        turn = turn.reshape(3, 3)
        if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-3) or np.linalg.det(turn) < 0:
            raise InputError(place, "a rotation matrix", "a matrix that is not one")
    return RigidTransform.of("right_optical", "left_optical", rigid(turn, translation))


def _size(mapping: LinedMapping) -> tuple[int, int] | None:
    values = mapping.values
    for width, height in (("image_width", "image_height"), ("image_Width", "image_Height"), ("width", "height")):
        if width in values and height in values:
            found = (values[width], values[height])
            if not all(isinstance(side, int) and side > 0 for side in found):
                raise InputError(mapping.at(width), "a positive whole number", repr(found))
            return found[0], found[1]
    for key in ("image_size", "imageSize"):
        if key in values:
            width_, height_ = numbers(mapping, key, 2)
            return int(width_), int(height_)
    return None


def _matrix(name: str, values: Floats) -> str:
    data = ", ".join(repr(float(value)) for value in values.ravel())
    rows, cols = values.shape
    return f"{name}: !!opencv-matrix\n   rows: {rows}\n   cols: {cols}\n   dt: d\n   data: [ {data} ]"
