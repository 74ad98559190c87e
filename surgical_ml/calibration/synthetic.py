"""Made-up cameras, patterns and robots whose truth is known: what the examples and the proofs are made from."""

from dataclasses import dataclass

import numpy as np

from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.rigid import Floats, apply, inverse, rigid, rotation_matrix
from surgical_ml.calibration.view import View

ENDOSCOPE = Lens(
    model="pinhole",
    fx=1320.0, fy=1314.0, cx=951.3, cy=547.8,
    distortion=(-0.212, 0.118, 0.0007, -0.0004, -0.031),
    image_size=(1920, 1080),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FlatPattern:
    """A grid of points: columns, rows and spacing in metres."""

    columns: int = 11
    rows: int = 8
    spacing_m: float = 0.004

    @property
    def points(self) -> Floats:
        """(N, 3) metres, rows first, z = 0."""
        y, x = np.mgrid[: self.rows, : self.columns]
        return np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)]) * self.spacing_m


def board_poses(
    rng: np.random.Generator, lens: Lens, pattern: FlatPattern, count: int, tilt_deg: float = 35.0
) -> list[Floats]:
    """Poses (4, 4) of a pattern as a careful person holds it: tilted, near and far, all over the image, fully seen."""
    if lens.image_size is None:
        raise ValueError("a lens with an image size is needed to hold a pattern into its image")
    size = np.array(lens.image_size)
    middle = pattern.points.mean(axis=0)
    extent = np.hypot(pattern.columns, pattern.rows) * pattern.spacing_m
    found: list[Floats] = []
    while len(found) < count:
        lean = np.deg2rad(rng.uniform(-tilt_deg, tilt_deg, 2))
        turn = rotation_matrix(np.array([lean[0], lean[1], rng.uniform(-0.4, 0.4)]))
        distance = extent * lens.fx / size[0] * rng.uniform(1.1, 2.2)
        where = lens.rays(size * rng.uniform(0.2, 0.8, (1, 2)))[0]
        centre = distance * np.array([where[0], where[1], 1.0])
        pose = rigid(turn, centre - turn @ middle)
        pixels = lens.project(apply(pose, pattern.points))
        if np.all((pixels > 2) & (pixels < size - 3)):
            found.append(pose)
    return found


def see(
    lens: Lens, pattern: FlatPattern, pose: Floats, name: str, rng: np.random.Generator, noise_px: float = 0.2
) -> View:
    """The view of a pattern at a pose (4, 4), with Gaussian noise on every coordinate."""
    pixels = lens.project(apply(pose, pattern.points))
    size = lens.image_size or (0, 0)
    return View(name, pixels + rng.normal(0, noise_px, pixels.shape), pattern.points, size)


def camera_views(
    rng: np.random.Generator, lens: Lens = ENDOSCOPE, count: int = 20, noise_px: float = 0.2
) -> list[View]:
    """Views of the default pattern by one camera."""
    pattern = FlatPattern()
    poses = board_poses(rng, lens, pattern, count)
    return [see(lens, pattern, pose, f"view {index:02d}", rng, noise_px) for index, pose in enumerate(poses)]


def stereo_views(
    rng: np.random.Generator, left: Lens, right: Lens, right_from_left: Floats, count: int = 20, noise_px: float = 0.2
) -> list[tuple[View, View]]:
    """Pairs of views that both cameras see fully."""
    pattern = FlatPattern()
    size = np.array(right.image_size)
    pairs: list[tuple[View, View]] = []
    while len(pairs) < count:
        for pose in board_poses(rng, left, pattern, count - len(pairs)):
            pixels = right.project(apply(right_from_left @ pose, pattern.points))
            if np.all((pixels > 2) & (pixels < size - 3)):
                name = f"view {len(pairs):02d}"
                pairs.append(
                    (
                        see(left, pattern, pose, name, rng, noise_px),
                        see(right, pattern, right_from_left @ pose, name, rng, noise_px),
                    )
                )
    return pairs


def relative(pose: Floats, reference: Floats) -> Floats:
    """A pose (4, 4) as seen from another."""
    return inverse(reference) @ pose
