"""No-go zones that people draw: in the picture, or in the frame of a robot's arm; and how far a tip is from them."""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from surgical_ml.errors import InputError
from surgical_ml.geometry.scene import Interval, MetricDistance
from surgical_ml.yaml_file import read_yaml


class _Stated(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_NAME = r"^[a-z0-9]+(_[a-z0-9]+){0,3}$"
"""One to four words, as structures are named: a sentence about a zone stays within the twelve words of an advisory."""


class PictureZone(_Stated):
    """A zone in the picture: a polygon, or the pixels of a mask that are not zero. It stands still when the camera moves."""

    name: str = Field(pattern=_NAME)
    polygon_px: tuple[tuple[float, float], ...] | None = Field(None, min_length=3)
    mask: str | None = None
    margin_px: int = Field(0, ge=0)


class RobotZone(_Stated):
    """A ball in the base frame of an arm, metres; `sd_m`: how well its place, and the arm's tip, are known together."""

    name: str = Field(pattern=_NAME)
    arm: str = Field(min_length=1)
    centre_m: tuple[float, float, float]
    radius_m: float = Field(gt=0, le=1)
    margin_m: float = Field(0.0, ge=0, le=1)
    sd_m: float = Field(gt=0, le=0.1)


class _ZoneFile(_Stated):
    schema_: Literal["surgical_ml/zones@1"] = Field(alias="schema")
    image_size: tuple[int, int] | None = None
    picture: tuple[PictureZone, ...] = ()
    robot: tuple[RobotZone, ...] = ()


class Zones:
    """The zones of a case, ready to be asked.

    Args:
        fields: of each zone of the picture, by name: (h, w) float32, pixels to the zone, 0 in it; and its margin.
        robot: zones in the frames of arms.
        sha256: of what they were read from, hex.
    """

    def __init__(
        self,
        fields: Mapping[str, tuple[npt.NDArray[np.float32], int]],
        robot: tuple[RobotZone, ...] = (),
        sha256: str = "",
    ) -> None:
        self._fields = dict(fields)
        self._robot = robot
        self.sha256 = sha256

    def near(self, tip_px: tuple[int, int]) -> tuple[tuple[str, int, bool], ...]:
        """(zone, pixels from the tip to it, whether that is within its margin) of each zone of the picture."""
        found = []
        for name, (field, margin_px) in self._fields.items():
            # A tip that is reckoned to be a little outside of the picture is as near as the border is.
            x, y = min(max(tip_px[0], 0), field.shape[1] - 1), min(max(tip_px[1], 0), field.shape[0] - 1)
            distance = float(field[y, x]) + math.hypot(tip_px[0] - x, tip_px[1] - y)
            found.append((name, round(distance), distance <= margin_px))
        return tuple(found)

    def near_arm(self, arm: str, tip_m: tuple[float, float, float]) -> tuple[tuple[MetricDistance, bool], ...]:
        """From the tip of an arm, metres in its base frame, to each zone that is stated in it, and whether it may be within."""
        found = []
        for zone in self._robot:
            if zone.arm == arm:
                apart = math.dist(tip_m, zone.centre_m) - zone.radius_m
                interval = Interval.about(apart, zone.sd_m)
                found.append(
                    (MetricDistance(arm, zone.name, interval, "robot"), interval.low_um <= 1e6 * zone.margin_m)
                )
        return tuple(found)


def read_zones(path: Path, image_size: tuple[int, int] | None = None) -> Zones:
    """The zones of a file (YAML); a mask stands beside it and is an 8-bit picture of the frames' size.

    Args:
        path: of the file.
        image_size: width and height of the frames, where they are known already.

    Raises:
        InputError: a file is missing or not what it must be, a name stands there twice, or a size is not the frames'.
    """
    values = read_yaml(path, "a file of zones")
    try:
        read = _ZoneFile.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "zones"
        raise InputError(path, "a valid file of zones", f"{place}: {first['msg']}") from error
    names = [*(zone.name for zone in read.picture), *(zone.name for zone in read.robot)]
    if len(set(names)) != len(names):
        raise InputError(path, "each name once", str(sorted(name for name in names if names.count(name) > 1)))
    if read.picture and read.image_size is None:
        raise InputError(path, "image_size: [width, height] for zones of the picture", "none")
    if read.picture and image_size not in (None, read.image_size):
        raise InputError(path, f"image_size of the frames, {image_size}", str(read.image_size))
    told = hashlib.sha256(read.model_dump_json().encode())
    fields = {}
    for zone in read.picture:
        inside = _drawn(path, zone, read.image_size or (0, 0))
        told.update(inside.tobytes())
        fields[zone.name] = (cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), zone.margin_px)
    return Zones({name: (np.asarray(field, np.float32), margin) for name, (field, margin) in fields.items()}, read.robot,
                 told.hexdigest())  # fmt: skip


def _drawn(path: Path, zone: PictureZone, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """(h, w) uint8, 1 in the zone."""
    thing = f"{path}: {zone.name}"
    if (zone.polygon_px is None) == (zone.mask is None):
        raise InputError(thing, "polygon_px or mask", "both" if zone.mask else "neither")
    inside = np.zeros((size[1], size[0]), np.uint8)
    if zone.polygon_px is not None:
        cv2.fillPoly(inside, [np.round(np.array(zone.polygon_px)).astype(np.int32)], 1)
    else:
        read: Any = cv2.imread(str(path.parent / str(zone.mask)), cv2.IMREAD_GRAYSCALE)
        if read is None or read.shape != inside.shape:
            found = "no picture" if read is None else f"{read.shape[1]} x {read.shape[0]}"
            raise InputError(thing, f"a mask of {size[0]} x {size[1]} pixels", found)
        inside[read > 0] = 1
    if not inside.any():
        raise InputError(thing, "a zone inside of the picture", "no pixel of it")
    return inside
