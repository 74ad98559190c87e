"""One rendered frame, and what is true of it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PARTS = ("none", "shaft", "wrist", "jaw", "other")
"""Names of the ids in a map of parts. `other` is a specimen bag: part of a tool, and none of its links."""


@dataclass(frozen=True, slots=True)
class ArmPose:
    """One instrument of one frame, in the camera's optical frame (REP-103: x right, y down, z forwards).

    Attributes:
        tool: one of `TOOLS`.
        slot: trocar, as in `ToolUse`.
        build: `laparoscopic`, `robotic`, or the name of a user's mesh.
        tip_m: (x, y, z) of its tip in metres.
        trocar_m: (x, y, z) of the point that its shaft turns about, in metres.
        joints: (insertion in metres, roll, wrist pitch, wrist yaw, opening of the jaws), angles in radians.
    """

    tool: str
    slot: int
    build: str
    tip_m: tuple[float, float, float]
    trocar_m: tuple[float, float, float]
    joints: tuple[float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Picture:
    """A rendered frame and what is true of it.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        mask: (H, W) uint8 class ids; background outside the field of view and outside the body.
        tips: (tool, x, y) in pixels, for each tip inside the picture.
        quality: strength 0..1 of each of `QUALITIES`.
        in_body: the endoscope is inside.
        parts: (H, W) uint8 ids of `PARTS`; None in the plain look.
        arms: the pose of each instrument that is drawn; empty in the plain look.
        camera: 12 values, the rows of the 3x4 transform from the camera to the field, in metres; empty in the plain look.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    tips: tuple[tuple[str, float, float], ...]
    quality: tuple[float, ...]
    in_body: bool
    parts: npt.NDArray[np.uint8] | None = None
    arms: tuple[ArmPose, ...] = ()
    camera: tuple[float, ...] = ()
