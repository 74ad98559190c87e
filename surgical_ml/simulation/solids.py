"""Solid bodies of flat faces, and the few ways of making them that instruments need.

Lengths are millimetres. A body's z axis runs towards the tip of its instrument, and its hinge is the x axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]

STEEL, DARK, INSULATION, CERAMIC, CLOTH, GROOVE = range(6)
"""Materials, by which a body's faces are shaded."""


@dataclass(frozen=True, slots=True)
class Solid:
    """A closed body.

    Attributes:
        vertices: (n, 3) float32, mm.
        faces: (m, 4) int32, corners of each face, counterclockwise from outside; a triangle names its last corner twice.
        part: (m,) uint8, ids of `PARTS`.
        material: (m,) uint8, one of the materials above.
    """

    vertices: Float
    faces: npt.NDArray[np.int32]
    part: npt.NDArray[np.uint8]
    material: npt.NDArray[np.uint8]

    def moved(self, rotation: Float, offset: Float) -> "Solid":
        """The same body turned by (3, 3) `rotation` and then shifted by `offset`, mm."""
        return Solid(self.vertices @ rotation.T + offset, self.faces, self.part, self.material)


def joined(solids: Sequence[Solid]) -> Solid:
    """Several bodies as one."""
    firsts = np.cumsum([0, *(len(one.vertices) for one in solids[:-1])])
    return Solid(
        np.concatenate([one.vertices for one in solids]),
        np.concatenate([one.faces + np.int32(first) for one, first in zip(solids, firsts, strict=True)]),
        np.concatenate([one.part for one in solids]),
        np.concatenate([one.material for one in solids]),
    )


def section(
    z: float, rx: float, ry: float, x: float = 0.0, y: float = 0.0, *, corners: int = 24, square: float = 1.0
) -> Float:
    """A closed outline across z at `z`, (corners, 3): an ellipse of half axes rx and ry, the squarer the smaller `square`."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) + np.pi / corners
    cos, sin = np.cos(angle), np.sin(angle)
    outline = [x + rx * np.sign(cos) * np.abs(cos) ** square, y + ry * np.sign(sin) * np.abs(sin) ** square]
    return np.stack([*outline, np.full(corners, z)], axis=1).astype(np.float32)


def loft(sections: Sequence[Float], part: int, material: int | Sequence[int]) -> Solid:
    """The body between outlines of equally many corners, in the order of their z; closed at both ends.

    Args:
        sections: each (k, 3).
        part: id of all faces.
        material: of all faces, or one for each gap between two outlines.
    """
    k = len(sections[0])
    here = np.arange(k, dtype=np.int32)
    after = np.roll(here, -1)
    walls = [
        np.stack([at * k + here, at * k + after, (at + 1) * k + after, (at + 1) * k + here], axis=1)
        for at in range(len(sections) - 1)
    ]
    kinds = [material] * len(walls) if isinstance(material, int) else list(material)
    vertices = np.concatenate([*sections, sections[0].mean(axis=0)[None], sections[-1].mean(axis=0)[None]])
    first = np.int32(len(sections) * k)
    last = np.int32((len(sections) - 1) * k)
    caps = [
        np.stack([after, here, np.full(k, first), np.full(k, first)], axis=1),
        np.stack([last + here, last + after, np.full(k, first + 1), np.full(k, first + 1)], axis=1),
    ]
    faces = np.concatenate([*walls, *caps]).astype(np.int32)
    materials = np.repeat(np.array([*kinds, kinds[0], kinds[-1]], np.uint8), k)
    return Solid(vertices.astype(np.float32), faces, np.full(len(faces), part, np.uint8), materials)


def tube(path: Float, radius: float | Sequence[float], part: int, material: int, corners: int = 10) -> Solid:
    """A bent rod along `path`, (n, 3), with one radius or one for each of its points, mm."""
    radii = np.broadcast_to(np.asarray(radius, np.float32), len(path))
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    across = np.cross(along[0], [1.0, 0.0, 0.0] if abs(along[0][0]) < 0.9 else [0.0, 1.0, 0.0])
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)[:, None]
    outlines = []
    for point, direction, r in zip(path, along, radii, strict=True):
        across = across - direction * (across @ direction)
        across /= np.linalg.norm(across) + 1e-9
        other = np.cross(direction, across)
        outlines.append((point + r * (np.cos(angle) * across + np.sin(angle) * other)).astype(np.float32))
    return loft(outlines, part, material)


def pin(radius: float, width: float, part: int, material: int, z: float = 0.0, corners: int = 14) -> Solid:
    """A short cylinder about the hinge, at `z`: a pulley or an axle."""
    ends = np.array([[-width / 2, 0.0, z], [width / 2, 0.0, z]], np.float32)
    return tube(ends, radius, part, material, corners)


def turn_x(angle: float) -> Float:
    """Rotation about the hinge, (3, 3); positive angles turn z towards -y."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float32)


def turn_y(angle: float) -> Float:
    """Rotation about y, (3, 3)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)


def turn_z(angle: float) -> Float:
    """Rotation about the shaft, (3, 3)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)


def spans(start: float, end: float, count: int) -> list[tuple[float, float]]:
    """`count` equal pieces of [start, end]."""
    return list(pairwise(np.linspace(start, end, count + 1).tolist()))
