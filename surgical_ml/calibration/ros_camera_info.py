"""ROS camera_info YAML, as camera_calibration and camera_info_manager read and write it; one file to a camera."""

from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import yaml

from surgical_ml.calibration.files import build, write_text
from surgical_ml.calibration.lens import Lens, LensModel
from surgical_ml.calibration.lines import LinedMapping, numbers, read_mapping
from surgical_ml.calibration.model import (
    CameraCalibration,
    Provenance,
    RigidTransform,
    StereoCalibration,
    Validity,
)
from surgical_ml.calibration.rigid import Floats, rigid
from surgical_ml.errors import InputError

MODELS: dict[str, tuple[LensModel, int]] = {
    "plumb_bob": ("pinhole", 5),
    "rational_polynomial": ("rational", 8),
    "equidistant": ("fisheye", 4),
}
ROS_NAMES = {model: name for name, (model, _) in MODELS.items()}


def is_camera_info(values: dict[str, Any]) -> bool:
    """Whether a mapping looks like camera_info: an image width beside a matrix or a distortion model."""
    return "image_width" in values and ("distortion_model" in values or "projection_matrix" in values)


def of_mapping(mapping: LinedMapping) -> CameraCalibration:
    """One camera from a camera_info mapping; rectification and projection are kept by `read_pair` only.

    Raises:
        InputError: a key is missing or wrong; with its line.
    """
    size = _size(mapping)
    k = numbers(mapping, "camera_matrix", 9)
    refuse_skew(mapping.at("camera_matrix"), k)
    notes: list[str] = []
    named = mapping.values.get("distortion_model")
    key = "distortion_coefficients"
    if named is None:
        notes.append("no distortion_model stated: taken as plumb_bob")
        named = "plumb_bob"
    if named not in MODELS:
        raise InputError(mapping.at("distortion_model"), f"one of {', '.join(MODELS)}", repr(named))
    model, count = MODELS[named]
    found = numbers(mapping, key)
    if not found:
        notes.append("no distortion coefficients: taken as zero")
        found = [0.0] * count
    elif len(found) == 4 and model == "pinhole":
        notes.append("four distortion coefficients: k3 taken as zero")
        found.append(0.0)
    elif len(found) != count and not (len(found) > count and not any(found[count:])):
        raise InputError(mapping.at(key), f"{count} coefficients for {named}", f"{len(found)}")
    camera = mapping.values.get("camera_name")
    return cast(
        CameraCalibration,
        build(
            CameraCalibration,
            mapping.name,
            lens={
                "model": model,
                "fx": k[0],
                "fy": k[4],
                "cx": k[2],
                "cy": k[5],
                "distortion": found[:count],
                "image_size": size,
            },
            provenance=Provenance(made_by="read from ROS camera_info", notes=tuple(notes)),
            validity=Validity(camera=str(camera) if camera else None),
        ),
    )


def read_pair(left_path: Path, right_path: Path) -> StereoCalibration:
    """A stereo pair from its two camera_info files, the way image_proc understands them.

    The right camera's pose follows from both rectifications and the baseline in the right projection matrix.

    Raises:
        InputError: a file is wrong, the sizes differ, or the right projection holds no baseline.
    """
    left, right = read_mapping(left_path), read_mapping(right_path)
    cameras = of_mapping(left), of_mapping(right)
    turns = [np.array(numbers(side, "rectification_matrix", 9)).reshape(3, 3) for side in (left, right)]
    for side, turn in zip((left, right), turns, strict=True):
        if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-4) or np.linalg.det(turn) < 0:
            raise InputError(side.at("rectification_matrix"), "a rotation", "a matrix that is not one")
    projection = numbers(right, "projection_matrix", 12)
    if projection[3] == 0 or projection[0] == 0:
        raise InputError(
            right.at("projection_matrix"), "a baseline (fourth entry, -fx times metres)", f"{projection[3]:g}"
        )
    shift = turns[1].T @ np.array([projection[3] / projection[0], 0.0, 0.0])
    motion = rigid(turns[1].T @ turns[0], shift)
    return cast(
        StereoCalibration,
        build(
            StereoCalibration,
            f"{left_path} and {right_path}",
            left=cameras[0].lens,
            right=cameras[1].lens,
            right_from_left=RigidTransform.of("right_optical", "left_optical", motion),
            provenance=Provenance(made_by="read from two ROS camera_info files"),
            validity=cameras[0].validity,
        ),
    )


def write_camera(calibration: CameraCalibration, path: Path, camera_name: str) -> None:
    """Write one camera. The projection is the camera matrix: a single camera needs no rectification.

    Raises:
        InputError: the image size is not stated, or the file cannot be written.
    """
    lens = calibration.lens
    projection = np.hstack([lens.matrix, np.zeros((3, 1))])
    write_text(path, _text(path, lens, camera_name, np.eye(3), projection))


def write_pair(calibration: StereoCalibration, left: Path, right: Path, camera_name: str) -> None:
    """Write a stereo pair with its rectification, so that `read_pair` finds the same pair again.

    Raises:
        InputError: image size or extrinsics are not stated, the lenses are of different models, or it cannot be
            written.
    """
    rectify_left, rectify_right, project_left, project_right = rectification(str(left), calibration)
    texts = (
        _text(left, calibration.left, f"{camera_name}/left", rectify_left, project_left),
        _text(right, calibration.right, f"{camera_name}/right", rectify_right, project_right),
    )
    for path, text in zip((left, right), texts, strict=True):
        write_text(path, text)


def rectification(name: str, calibration: StereoCalibration) -> tuple[Floats, Floats, Floats, Floats]:
    """Rotations (3, 3) of left and right and projections (3, 4) of left and right that make rows correspond.

    Raises:
        InputError: image size or extrinsics are not stated, or the lenses are of different models.
    """
    pose, size = calibration.right_from_left, calibration.left.image_size
    if pose is None or size is None:
        missing = "extrinsics" if pose is None else "image size"
        raise InputError(name, "a stereo calibration with image size and extrinsics", f"no {missing}")
    left, right = calibration.left, calibration.right
    if (left.model == "fisheye") != (right.model == "fisheye"):
        raise InputError(name, "two lenses of one model", f"{left.model} and {right.model}")
    motion = pose.matrix
    arguments = (
        left.matrix,
        left.coefficients,
        right.matrix,
        right.coefficients,
        size,
        motion[:3, :3].copy(),
        motion[:3, 3:].copy(),
    )
    if left.model == "fisheye":
        found = cv2.fisheye.stereoRectify(*arguments, flags=cv2.CALIB_ZERO_DISPARITY)[:4]
    else:
        found = cv2.stereoRectify(*arguments, flags=cv2.CALIB_ZERO_DISPARITY, alpha=0)[:4]
    return found[0], found[1], found[2], found[3]


def refuse_skew(place: str, k: list[float]) -> None:
    """Refuse a camera matrix (nine numbers) that is not of the form fx 0 cx, 0 fy cy, 0 0 1."""
    fixed = {1: 0.0, 3: 0.0, 6: 0.0, 7: 0.0, 8: 1.0}
    for index, wanted in fixed.items():
        if abs(k[index] - wanted) > 1e-6:
            raise InputError(place, f"{wanted:g} in row {index // 3 + 1}, column {index % 3 + 1}", f"{k[index]:g}")


def _size(mapping: LinedMapping) -> tuple[int, int]:
    found = []
    for key in ("image_width", "image_height"):
        value = mapping.values.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            where = mapping.at(key) if key in mapping.values else mapping.name
            raise InputError(where, f"{key} as a positive whole number", repr(value))
        found.append(value)
    return found[0], found[1]


def _text(path: Path, lens: Lens, name: str, rectification: Floats, projection: Floats) -> str:
    if lens.image_size is None:
        raise InputError(path, "a calibration with its image size", "none stated")

    def matrix(values: Floats) -> dict[str, Any]:
        return {
            "rows": values.shape[0],
            "cols": values.shape[1],
            "data": [float(value) for value in values.ravel()],
        }

    content = {
        "image_width": lens.image_size[0],
        "image_height": lens.image_size[1],
        "camera_name": name,
        "camera_matrix": matrix(lens.matrix),
        "distortion_model": ROS_NAMES[lens.model],
        "distortion_coefficients": matrix(lens.coefficients.reshape(1, -1)),
        "rectification_matrix": matrix(rectification),
        "projection_matrix": matrix(projection),
    }
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=110)
