"""Calibration files of this module: read, verified, written; and any other layout, recognised."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from surgical_ml.calibration.lines import LinedMapping, read_mapping, read_text
from surgical_ml.calibration.model import (
    Calibration,
    CameraCalibration,
    ConfidenceCalibration,
    HandEyeCalibration,
    ScopeCalibration,
    SourceFile,
    StereoCalibration,
    TimeCalibration,
)
from surgical_ml.errors import InputError

KINDS: dict[str, type[Calibration]] = {
    "surgical_ml/camera@1": CameraCalibration,
    "surgical_ml/stereo@1": StereoCalibration,
    "surgical_ml/hand-eye@1": HandEyeCalibration,
    "surgical_ml/scope@1": ScopeCalibration,
    "surgical_ml/time@1": TimeCalibration,
    "surgical_ml/confidence@1": ConfidenceCalibration,
}


def digest(calibration: Calibration) -> str:
    """The identity of a calibration: SHA-256 of its content, whether it lies in a file as YAML or as JSON."""
    content = json.dumps(_content(calibration), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def write(calibration: Calibration, path: Path) -> str:
    """Write a calibration as YAML (`.yaml`, `.yml`) or JSON (`.json`) and return its digest.

    Raises:
        InputError: the name ends otherwise, or the folder cannot be written to.
    """
    identity = digest(calibration)
    content = {"digest": identity, **_content(calibration)}
    if path.suffix in (".yaml", ".yml"):
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    elif path.suffix == ".json":
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    else:
        raise InputError(path, "a name that ends in .yaml, .yml or .json", path.suffix or "no ending")
    write_text(path, text)
    return identity


def read(path: Path) -> Calibration:
    """Read a calibration of this module and verify its digest.

    Raises:
        InputError: not a calibration of this module, of an unknown version, changed since it was written, or with
            something in it that cannot be; with the line.
    """
    return _of_mapping(read_mapping(path))


def read_any(path: Path, image_size: tuple[int, int] | None = None) -> Calibration:
    """Read a calibration in any layout that is known: this module's, ROS camera_info, OpenCV, da Vinci and EndoVis.

    Args:
        path: the file.
        image_size: width and height, for layouts that do not state it; must agree with the file where it does.

    Raises:
        InputError: no layout fits, or the one that fits is violated; with the line.
    """
    from surgical_ml.calibration import davinci, opencv_yaml, ros_camera_info

    if path.suffix.lower() in (".yaml", ".yml", ".json", ".xml"):
        if path.suffix.lower() == ".xml":
            raise InputError(path, "YAML, JSON, text or INI", "XML; OpenCV writes YAML when the name ends in .yaml")
        mapping = read_mapping(path)
        readers: list[tuple[Callable[[dict[str, Any]], bool], Callable[[LinedMapping], Calibration]]] = [
            (lambda values: "schema" in values, _of_mapping),
            (davinci.is_dvrk_yaml, davinci.of_dvrk_yaml),
            (davinci.is_camcal_json, davinci.of_camcal_json),
            (ros_camera_info.is_camera_info, ros_camera_info.of_mapping),
            (opencv_yaml.is_opencv, opencv_yaml.of_mapping),
        ]
        for fits, reader in readers:
            if fits(mapping.values):
                return with_image_size(str(path), reader(mapping), image_size)
        raise InputError(
            path,
            "a calibration of this module, ROS camera_info, OpenCV (camera_matrix, or M1 and D1) or dVRK (intrinsic)",
            f"the keys {', '.join(list(mapping.values)[:6])}",
        )
    return with_image_size(str(path), davinci.of_text(str(path), read_text(path)), image_size)


def with_image_size(name: str, calibration: Calibration, size: tuple[int, int] | None) -> Calibration:
    """State the image size of a calibration that has none; refuse where it has another one."""
    if size is None or not isinstance(calibration, CameraCalibration | StereoCalibration | ScopeCalibration):
        return calibration
    stated = calibration.lenses[0].image_size
    if stated == size:
        return calibration
    if stated is not None:
        raise InputError(name, f"an image size of {size[0]}x{size[1]}", f"{stated[0]}x{stated[1]}")
    try:
        if isinstance(calibration, StereoCalibration):
            pair = {side: getattr(calibration, side).with_image_size(size) for side in ("left", "right")}
            return calibration.model_copy(update=pair)
        return calibration.model_copy(update={"lens": calibration.lens.with_image_size(size)})
    except ValidationError as error:
        raise InputError(name, *_what(error)) from error


def source_of(path: Path) -> SourceFile:
    """A file's name and digest, for provenance; of a folder, the digest of its files' names and digests."""
    if path.is_dir():
        listing = [
            f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}"
            for file in sorted(path.iterdir())
            if file.is_file()
        ]
        return SourceFile(name=path.name, sha256=hashlib.sha256("\n".join(listing).encode()).hexdigest())
    with path.open("rb") as file:
        return SourceFile(name=path.name, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise InputError(path, "a place that can be written to", error.strerror or str(error)) from error


def build(kind: type[Calibration], name: str, **content: Any) -> Calibration:
    """A calibration from what a foreign file states, or an InputError that names the file."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise InputError(name, *_what(error)) from error


def _content(calibration: Calibration) -> dict[str, Any]:
    content = calibration.model_dump(mode="json", by_alias=True)
    return {"schema": content.pop("schema"), **content}


def _of_mapping(mapping: LinedMapping) -> Calibration:
    values = dict(mapping.values)
    schema, stated = values.get("schema"), values.pop("digest", None)
    kind = KINDS.get(str(schema))
    if kind is None:
        where = mapping.at("schema")
        raise InputError(where, f"one of {', '.join(KINDS)}", "no schema" if schema is None else repr(schema))
    try:
        calibration = kind.model_validate(values)
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0]) if error.errors()[0]["loc"] else ""
        raise InputError(mapping.at(key), *_what(error)) from error
    found = digest(calibration)
    if stated != found:
        raise InputError(
            mapping.at("digest"), f"the digest of the content, {found}", "none" if stated is None else str(stated)
        )
    return calibration


def _what(error: ValidationError) -> tuple[str, str]:
    """The first thing wrong, as expectation and finding."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if message.startswith("expected ") and ", found " in message:
        expected, _, found = message.removeprefix("expected ").rpartition(", found ")
        return expected, found
    return f"{place}: {message}" if place else message, repr(first.get("input"))[:60]
