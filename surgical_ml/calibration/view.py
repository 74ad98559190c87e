"""One sight of a calibration pattern, and what it says about where the pattern was held."""

from dataclasses import dataclass

import cv2
import numpy as np

from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.rigid import Floats


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The points of a pattern as one picture shows them.

    Attributes:
        name: of the picture.
        pixels: (N, 2) where they were seen.
        points: (N, 3) where they are on the pattern, metres, z = 0.
        image_size: width and height.
    """

    name: str
    pixels: Floats
    points: Floats
    image_size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a pattern was held, roughly, before the lens is known.

    Attributes:
        x, y: centre of the seen points, 0 to 1 across and down the image.
        size: diagonal of their bounding box over that of the image.
        tilt_x, tilt_y: sine of the lean about the image's horizontal and vertical axis, signed.
    """

    x: float
    y: float
    size: float
    tilt_x: float
    tilt_y: float

    def distance(self, other: "Placement") -> float:
        """How different two placements are: the largest difference in any respect, sizes counted double."""
        return max(
            abs(self.x - other.x),
            abs(self.y - other.y),
            2 * abs(self.size - other.size),
            abs(self.tilt_x - other.tilt_x),
            abs(self.tilt_y - other.tilt_y),
        )


def placement(view: View) -> Placement:
    """Where the pattern was held, judged with a lens of ordinary width (60 degrees across)."""
    width, height = view.image_size
    focal = 0.87 * width
    guess = Lens(
        model="pinhole", fx=focal, fy=focal, cx=width / 2, cy=height / 2, distortion=(0.0,) * 5, image_size=None
    )
    low, high = view.pixels.min(axis=0), view.pixels.max(axis=0)
    x, y = view.pixels.mean(axis=0)
    pose = planar_pose(view, guess)
    normal = cv2.Rodrigues(pose[:3])[0][:, 2] if pose is not None else np.array([0.0, 0.0, 1.0])
    return Placement(
        float(x / width),
        float(y / height),
        float(np.hypot(*(high - low)) / np.hypot(width, height)),
        float(-normal[1]),
        float(normal[0]),
    )


def planar_pose(view: View, lens: Lens) -> Floats | None:
    """The pattern's pose in the camera, rotation vector and translation (6,), or None where there is none in front."""
    rays = lens.rays(view.pixels)
    good = np.all(np.isfinite(rays), axis=1) & (np.hypot(rays[:, 0], rays[:, 1]) < 10)
    if np.count_nonzero(good) < 4:
        return None
    try:
        found, turn, shift = cv2.solvePnP(
            view.points[good].reshape(-1, 1, 3), rays[good].reshape(-1, 1, 2), np.eye(3), None, flags=cv2.SOLVEPNP_IPPE
        )
    except cv2.error:
        return None  # points on one line have no pose; the caller counts this view as unusable
    if not found or not np.all(np.isfinite(shift)) or shift[2] <= 0:
        return None
    return np.concatenate([turn.ravel(), shift.ravel()])


def is_mirrored(view: View) -> bool:
    """Whether the pattern is seen from behind, which only a mirrored print or a mirrored picture can show."""
    homography, _ = cv2.findHomography(view.points[:, :2], view.pixels, 0)
    return homography is not None and bool(np.linalg.det(homography / homography[2, 2]) < 0)
