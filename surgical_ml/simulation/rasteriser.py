"""A pinhole camera, and solid bodies projected through it: which face each pixel shows, and how metal answers light there."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.simulation.solids import Solid

Float = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

NEAR_MM = 8.0
"""Faces that come closer to the camera are not drawn."""

_SHIFT = 4


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera in its optical frame: x right, y down, z forwards; square pixels, no distortion.

    Attributes:
        size: (width, height) of the picture in pixels.
        focal_px: focal length in pixels; the principal point is the middle of the picture.
    """

    size: tuple[int, int]
    focal_px: float

    @property
    def centre_px(self) -> tuple[float, float]:
        """The principal point, in pixels whose centres are whole numbers."""
        return (self.size[0] - 1) / 2, (self.size[1] - 1) / 2

    def project(self, points: Float) -> Float:
        """(n, 3) points in front of the camera to (n, 2) pixels."""
        return np.asarray(self.focal_px * points[:, :2] / points[:, 2:3] + np.array(self.centre_px), np.float32)

    def point(self, x_px: float, y_px: float, depth: float) -> Float:
        """The point of a depth that a pixel shows, in the depth's unit."""
        cx, cy = self.centre_px
        return np.array([(x_px - cx) / self.focal_px * depth, (y_px - cy) / self.focal_px * depth, depth], np.float32)


@dataclass(frozen=True, slots=True)
class Surface:
    """What a material does with light.

    Attributes:
        colour: (3,) BGR in 0..1 of its diffuse light.
        diffuse, mirror: shares of scattered and of mirrored light.
        rough: 0 mirrors sharply, 1 not at all.
        tint: 0 mirrors every colour alike, 1 as its own colour does.
        brushed: strength of the fine marks on it.
    """

    colour: tuple[float, float, float]
    diffuse: float
    mirror: float
    rough: float
    tint: float
    brushed: float


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces of all bodies of a frame that look at the camera, and the pixels that show them.

    Attributes:
        index: (H, W) int32, the face that each pixel shows, from 1; 0 for none.
        normal: (m + 1, 3) float32, outwards, by face; depth: (m + 1,) float32, mm.
        part, material: (m + 1,) uint8; body: (m + 1,) uint8, number of the body from 1.
    """

    index: npt.NDArray[np.int32]
    normal: Float
    depth: Float
    part: Bytes
    material: Bytes
    body: Bytes


def rasterise(bodies: Sequence[Solid], camera: Camera) -> Faces:
    """Draw bodies, given in the camera's frame, the far faces first."""
    width, height = camera.size
    polygons, normals, depths, parts, materials, owners = [], [], [], [], [], []
    for number, body in enumerate(bodies, 1):
        corners = body.vertices[body.faces]
        ahead = corners[..., 2].min(axis=1) > NEAR_MM
        corners = corners[ahead]
        flat = camera.project(corners.reshape(-1, 3)).reshape(-1, 4, 2)
        edge, other = flat[:, 2] - flat[:, 0], flat[:, 3] - flat[:, 1]
        # Twice the area of a quadrilateral, of which a triangle is one with two corners in the same place.
        towards = edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0] < -1e-3
        low, high = flat.min(axis=1), flat.max(axis=1)
        seen = towards & (high > -1).all(axis=1) & (low[:, 0] < width + 1) & (low[:, 1] < height + 1)
        corners, kept = corners[seen], np.flatnonzero(ahead)[seen]
        polygons.append(flat[seen])
        normals.append(np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]))
        depths.append(corners[..., 2].mean(axis=1))
        parts.append(body.part[kept])
        materials.append(body.material[kept])
        owners.append(np.full(len(kept), number, np.uint8))
    nothing = np.zeros(1, np.uint8)
    polygon = np.round(np.concatenate(polygons) * 2**_SHIFT).clip(-(2**18), 2**18).astype(np.int32)
    depth = np.concatenate(depths).astype(np.float32)
    normal = np.concatenate(normals).astype(np.float32)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    index = np.zeros((height, width), np.int32)
    for k in np.argsort(-depth, kind="stable").tolist():
        cv2.fillConvexPoly(index, polygon[k], k + 1, cv2.LINE_8, _SHIFT)
    return Faces(
        index,
        np.concatenate([np.zeros((1, 3), np.float32), normal]),
        np.concatenate([np.zeros(1, np.float32), depth]),
        np.concatenate([nothing, *parts]),
        np.concatenate([nothing, *materials]),
        np.concatenate([nothing, *owners]),
    )


@dataclass(frozen=True, slots=True)
class Lighting:
    """What shines on the instruments of a case.

    Attributes:
        lamp_mm: (3,) the lamp, in the camera's frame.
        power: brightness of what faces the lamp at `reach_mm`; it falls off with the square of the distance.
        ambient: light from everywhere.
        surroundings: (n, n, 3) float32, what a mirror shows, by where its view goes in x and y; a second, blurred version.
        marks, stains: (k, k) float32 in about -1..1, fine marks and blots of blood, that repeat.
    """

    lamp_mm: Float
    power: float
    reach_mm: float
    ambient: float
    surroundings: tuple[Float, Float]
    marks: Float
    stains: Float


def shade(
    faces: Faces,
    window: tuple[slice, slice],
    camera: Camera,
    light: Lighting,
    surfaces: Sequence[Sequence[Surface]],
    anchors: Sequence[tuple[float, float, float, float]],
    stain: float,
    smooth: int,
) -> Float:
    """The light that the bodies send to the camera, (h, w, 3) float32 BGR in 0..255 inside a window; 0 where there is none.

    Args:
        faces: from `rasterise`.
        window: rows and columns.
        camera, light: of the case.
        surfaces: for each body, one for each material.
        anchors: for each body, (x, y, cos, sin): where its marks begin and how they lie in the picture.
        stain: 0..1, how much blood is on the instruments.
        smooth: pixels over which edges are rounded; odd.
    """
    index = faces.index[window]
    shown = index > 0
    rounded = cv2.blur(faces.normal[index], (smooth, smooth))
    row, column = np.nonzero(shown)
    face = index[row, column]
    nx, ny, nz = rounded[row, column].T
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-6)
    nx, ny, nz = nx / length, ny / length, nz / length
    share = cv2.blur(shown.astype(np.float32), (smooth, smooth))[row, column]
    depth = cv2.blur(faces.depth[index], (smooth, smooth))[row, column] / share
    at_x, at_y = (column + window[1].start).astype(np.float32), (row + window[0].start).astype(np.float32)
    cx, cy = camera.centre_px
    x, y = (at_x - np.float32(cx)) / np.float32(camera.focal_px), (at_y - np.float32(cy)) / np.float32(camera.focal_px)
    far = 1.0 / np.sqrt(1.0 + x * x + y * y)
    # Towards the lamp, and the view that a mirror there would have.
    lx, ly, lz = light.lamp_mm[0] - x * depth, light.lamp_mm[1] - y * depth, light.lamp_mm[2] - depth
    distance = np.sqrt(lx * lx + ly * ly + lz * lz)
    facing = np.maximum((nx * lx + ny * ly + nz * lz) / distance, 0.0)
    fall = np.minimum((np.float32(light.reach_mm) / distance) ** 2, 4.0)
    view = (nx * x + ny * y + nz) * far
    table = np.array([[_numbers(surface) for surface in one] for one in [surfaces[0], *surfaces]], np.float32)
    body = faces.body[face]
    blue, green, red, diffuse, mirror, rough, tint, brushed = table[body, faces.material[face]].T
    anchor = np.array([(0.0, 0.0, 1.0, 0.0), *anchors], np.float32)[body].T
    marks = _marks(light.marks, anchor, at_x, at_y)
    n = light.surroundings[0].shape[0]
    turned = [
        np.clip((one * far - 2 * view * normal + wide * brushed * marks + 1.0) * np.float32(n / 2), 0, n - 1).astype(
            np.intp
        )
        for one, normal, wide in ((x, nx, np.float32(0.10)), (y, ny, np.float32(0.06)))
    ]
    sharp, soft = (one[turned[1], turned[0]] for one in light.surroundings)
    # Seen at a grazing angle, everything mirrors more.
    grazing = 1.0 + 0.8 * np.clip(1.0 + view, 0.0, 1.0) ** 3
    strength = mirror * (0.35 + 0.65 * fall) * grazing
    scattered = 255.0 * diffuse * (light.power * facing * fall + light.ambient) * (1.0 + 0.12 * brushed * marks)
    if stain > 0:
        dirty = np.clip(2.5 * (_marks(light.stains, anchor, at_x, at_y) + np.float32(stain) - 0.75), 0.0, 0.85)
        shine = dirty * (0.3 + np.float32(light.power) * facing * fall)
    out = np.zeros((*index.shape, 3), np.float32)
    for channel, (colour, blood) in enumerate(((blue, 16.0), (green, 14.0), (red, 95.0))):
        mirrored = (sharp[:, channel] * (1 - rough) + soft[:, channel] * rough) * strength
        value = colour * scattered + mirrored * (1.0 - tint * (1.0 - colour))
        if stain > 0:
            value = value * (1.0 - dirty) + np.float32(blood) * shine
        out[row, column, channel] = value
    return out


def _numbers(surface: Surface) -> tuple[float, ...]:
    return (*surface.colour, surface.diffuse, surface.mirror, surface.rough, surface.tint, surface.brushed)


def _marks(marks: Float, anchor: Float, x: Float, y: Float) -> Float:
    """Fine marks at each pixel, fixed to the body that it shows: `anchor` is (4, n), x and y are (n,) pixels."""
    k = len(marks)
    x, y = x - anchor[0], y - anchor[1]
    along = (x * anchor[2] + y * anchor[3]).astype(np.intp) % k
    across = (y * anchor[2] - x * anchor[3]).astype(np.intp) % k
    return np.asarray(marks[across, along], np.float32)
