"""Rigid motions: rotation vectors, quaternions, 4x4 matrices, their exponentials, and the one conversion of frames."""

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# dVRK's convention looks along the scope with x to the left and y up; REP-103's optical frame has x to the right
# and y down. Both have z away from the viewer, so half a turn about z takes one to the other, either way.
DVRK_FROM_OPTICAL: Floats = np.diag([-1.0, -1.0, 1.0, 1.0])


def optical_from_dvrk(pose: Floats) -> Floats:
    """A camera's pose by dVRK's convention, as the pose of its REP-103 optical frame.

    This is the only place where the conventions meet. The base the pose is given in stays as it is.

    Args:
        pose: (4, 4) the dVRK camera frame (x left, y up, z away) in its base, metres.

    Returns:
        (4, 4) the optical frame (x right, y down, z forward) in the same base.
    """
    return pose @ DVRK_FROM_OPTICAL


def rotation_matrix(vector: Floats) -> Floats:
    """The (3, 3) rotation of a rotation vector (3,) in radians."""
    return cast(Floats, cv2.Rodrigues(np.asarray(vector, dtype=np.float64).reshape(3, 1))[0])


def rotation_vector(matrix: Floats) -> Floats:
    """The rotation vector (3,) in radians of a (3, 3) rotation; the closest rotation's, if it is not quite one."""
    return cast(Floats, cv2.Rodrigues(np.ascontiguousarray(matrix, dtype=np.float64))[0].ravel())


def rotation_angle(matrix: Floats) -> float:
    """How far a (3, 3) rotation turns, in radians, 0 to pi."""
    return float(np.linalg.norm(rotation_vector(matrix)))


def rigid(rotation: Floats, translation: Floats) -> Floats:
    """The (4, 4) motion of a rotation, matrix (3, 3) or vector (3,), and a translation (3,)."""
    motion = np.eye(4)
    motion[:3, :3] = rotation if np.shape(rotation) == (3, 3) else rotation_matrix(rotation)
    motion[:3, 3] = np.asarray(translation, dtype=np.float64).ravel()
    return motion


def inverse(motion: Floats) -> Floats:
    """The inverse of a rigid motion (4, 4)."""
    turned = motion[:3, :3].T
    return rigid(turned, -turned @ motion[:3, 3])


def apply(motion: Floats, points: Floats) -> Floats:
    """Points (N, 3) moved by a motion (4, 4)."""
    return points @ motion[:3, :3].T + motion[:3, 3]


def skew(vector: Floats) -> Floats:
    """The (3, 3) matrix whose product with a vector is the cross product of `vector` with it."""
    x, y, z = np.asarray(vector, dtype=np.float64).ravel()
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def rotation_of_quaternion(xyzw: Floats) -> Floats:
    """The (3, 3) rotation of a quaternion (4,) in ROS order x, y, z, w; its length does not matter."""
    x, y, z, w = np.asarray(xyzw, dtype=np.float64) / np.linalg.norm(xyzw)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_of_rotation(matrix: Floats) -> Floats:
    """The quaternion (4,) x, y, z, w of a (3, 3) rotation, with w >= 0."""
    vector = rotation_vector(matrix)
    angle = float(np.linalg.norm(vector))
    axis = vector / angle if angle > 0 else np.zeros(3)
    return np.array([*(axis * np.sin(angle / 2)), np.cos(angle / 2)])


def mean_rotation(rotations: Floats) -> Floats:
    """The (3, 3) rotation closest to many (N, 3, 3), in the chordal sense."""
    u, _, vt = np.linalg.svd(np.sum(rotations, axis=0))
    return cast(Floats, u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt)


def nudge(motion: Floats, step: Floats) -> Floats:
    """A motion (4, 4) changed by a small step (6,): rotation vector first, then translation, in the motion's own frame.

    A step is a rotation applied on the right and a translation added in the outer frame, so that the two do not mix.
    """
    moved = motion.copy()
    moved[:3, :3] = motion[:3, :3] @ rotation_matrix(step[:3])
    moved[:3, 3] = motion[:3, 3] + step[3:]
    return moved


def difference(found: Floats, wanted: Floats) -> Floats:
    """The step (6,) that `nudge` takes from `wanted` to `found`."""
    turn = rotation_vector(wanted[:3, :3].T @ found[:3, :3])
    return np.concatenate([turn, found[:3, 3] - wanted[:3, 3]])
