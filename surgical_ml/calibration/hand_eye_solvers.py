"""The field's closed-form solvers of hand-eye calibration, beside each other.

All of them look for the camera in the hand, X, and the pattern in the base, Y, from hand poses H_i (hand to base) and
pattern poses P_i (pattern to camera) with

    H_i X P_i = Y

Five solve A X = X B for the motions between two poses, A = inv(H_j) H_i and B = P_j inv(P_i); two solve H_i X = Y inv(P_i)
for the poses themselves. OpenCV's Python wheels of version 5 no longer carry them, so they stand here. Beside OpenCV 4.11 on
the same noisy poses, rotations are the same to 0.002 degrees and the translations of Park, Horaud and Daniilidis to rounding;
Andreff, Shah and Li differ by the noise, for here every translation is solved once more, for a rotation that is one.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from surgical_ml.calibration.rigid import Floats, inverse, quaternion_of_rotation, rigid, rotation_vector, skew

Solver = Callable[[Sequence[Floats], Sequence[Floats]], Floats]


def tsai_lenz(hands: Sequence[Floats], patterns: Sequence[Floats]) -> Floats:
    """Tsai and Lenz 1989: rotation by modified Rodrigues vectors, then translation.

    Args:
        hands: (4, 4) each, hand to base, metres.
        patterns: (4, 4) each, pattern to camera, of the same moments.

    Returns:
        (4, 4) the camera in the hand.
    """
    motions = _motions(hands, patterns)
    equations, wanted = [], []
    for a, b in motions:
        of_hand, of_eye = (_twice_sine(motion[:3, :3]) for motion in (a, b))
        equations.append(skew(of_hand + of_eye))
        wanted.append(of_eye - of_hand)
    found = _least_squares(np.concatenate(equations), np.concatenate(wanted))
    p = 2 * found / np.sqrt(1 + found @ found)
    square = float(p @ p)
    rotation = (1 - square / 2) * np.eye(3) + (np.outer(p, p) + np.sqrt(4 - square) * skew(p)) / 2
    return _with_translation(rotation, motions)


def park_martin(hands: Sequence[Floats], patterns: Sequence[Floats]) -> Floats:
    """Park and Martin 1994: the rotation that best takes the logarithms of the camera's turns to those of the hand's."""
    motions = _motions(hands, patterns)
    of_eye, of_hand = (np.stack([rotation_vector(pair[k][:3, :3]) for pair in motions]) for k in (1, 0))
    m = of_eye.T @ of_hand
    values, vectors = np.linalg.eigh(m.T @ m)
    rotation = vectors @ np.diag(1 / np.sqrt(values)) @ vectors.T @ m.T
    return _with_translation(rotation, motions)


def horaud_dornaika(hands: Sequence[Floats], patterns: Sequence[Floats]) -> Floats:
    """Horaud and Dornaika 1995: the unit quaternion that best takes the camera's turns to those of the hand, as quaternions."""
    motions = _motions(hands, patterns)
    normal = np.zeros((4, 4))
    for a, b in motions:
        of_hand, of_eye = (quaternion_of_rotation(motion[:3, :3])[:3] for motion in (a, b))
        block = np.zeros((4, 4))
        block[0, 1:], block[1:, 0] = of_eye - of_hand, of_hand - of_eye
        block[1:, 1:] = skew(of_hand + of_eye)
        normal += block.T @ block
    w, x, y, z = np.linalg.eigh(normal)[1][:, 0]
    return _with_translation(_rotation(w, np.array([x, y, z])), motions)


def andreff(hands: Sequence[Floats], patterns: Sequence[Floats]) -> Floats:
    """Andreff, Horaud and Espiau 1999: rotation and translation together, linear in the entries of the matrix."""
    motions = _motions(hands, patterns)
    rows, wanted = [], []
    for a, b in motions:
        turn, shift = a[:3, :3], b[:3, 3]
        above = np.kron(turn, np.eye(3)) - np.kron(np.eye(3), b[:3, :3].T)
        rows += [np.hstack([above, np.zeros((9, 3))]), np.hstack([np.kron(np.eye(3), shift), np.eye(3) - turn])]
        wanted += [np.zeros(9), a[:3, 3]]
    found = _least_squares(np.concatenate(rows), np.concatenate(wanted))
    return _with_translation(_nearest_rotation(found[:9].reshape(3, 3)), motions)


def daniilidis(hands: Sequence[Floats], patterns: Sequence[Floats]) -> Floats:
    """Daniilidis 1999: rotation and translation together, as one dual quaternion."""
    rows = []
    for a, b in _motions(hands, patterns):
        (of_hand, hand_dual), (of_eye, eye_dual) = (_dual_quaternion(motion) for motion in (a, b))
        block = np.zeros((6, 8))
        block[:3, 0] = block[3:, 4] = of_hand - of_eye
        block[:3, 1:4] = block[3:, 5:] = skew(of_hand + of_eye)
        block[3:, 0], block[3:, 1:4] = hand_dual - eye_dual, skew(hand_dual + eye_dual)
        rows.append(block)
    _, _, directions = np.linalg.svd(np.concatenate(rows))
    first, second = directions[-2], directions[-1]
    # the two of them span what is left; a dual quaternion of unit length lies in it where these two conditions hold
    polynomial = [
        first[:4] @ first[4:],
        first[:4] @ second[4:] + second[:4] @ first[4:],
        second[:4] @ second[4:],
    ]
    combined = [root * first + second for root in np.real(np.roots(polynomial))]
    best = max(combined, key=lambda one: float(np.linalg.norm(one[:4])))
    real, dual = np.split(best / np.linalg.norm(best[:4]), 2)
    w, v = real[0], real[1:]
    shift = 2 * (w * dual[1:] - dual[0] * v + np.cross(v, dual[1:]))
    return rigid(_rotation(w, v), shift)


def shah(hands: Sequence[Floats], patterns: Sequence[Floats]) -> Floats:
    """Shah 2013, robot-world and hand-eye at once: both rotations by one singular value decomposition."""
    world = [inverse(pattern) for pattern in patterns]
    product = sum(np.kron(b[:3, :3], h[:3, :3]) for h, b in zip(hands, world, strict=True))
    left, _, right = np.linalg.svd(product)
    turn, base_turn = (_nearest_rotation(v.reshape(3, 3, order="F")) for v in (right[0], left[:, 0]))
    rows = [np.hstack([h[:3, :3], -np.eye(3)]) for h in hands]
    wanted = [base_turn @ b[:3, 3] - h[:3, 3] for h, b in zip(hands, world, strict=True)]
    return rigid(turn, _least_squares(np.concatenate(rows), np.concatenate(wanted))[:3])


def li(hands: Sequence[Floats], patterns: Sequence[Floats]) -> Floats:
    """Li, Wang and Wu 2010, robot-world and hand-eye at once: both poses in one linear system."""
    rows, wanted = [], []
    for h, pattern in zip(hands, patterns, strict=True):
        b = inverse(pattern)
        above = np.hstack([np.kron(h[:3, :3], np.eye(3)), -np.kron(np.eye(3), b[:3, :3].T), np.zeros((9, 6))])
        below = np.hstack([np.zeros((3, 9)), np.kron(np.eye(3), b[:3, 3]), -h[:3, :3], np.eye(3)])
        rows += [above, below]
        wanted += [np.zeros(9), h[:3, 3]]
    found = _least_squares(np.concatenate(rows), np.concatenate(wanted))
    turn, base_turn = (_nearest_rotation(part.reshape(3, 3)) for part in (found[:9], found[9:18]))
    rows = [np.hstack([h[:3, :3], -np.eye(3)]) for h in hands]
    wanted = [base_turn @ inverse(p)[:3, 3] - h[:3, 3] for h, p in zip(hands, patterns, strict=True)]
    return rigid(turn, _least_squares(np.concatenate(rows), np.concatenate(wanted))[:3])


SOLVERS: dict[str, Solver] = {
    "tsai-lenz": tsai_lenz,
    "park-martin": park_martin,
    "horaud-dornaika": horaud_dornaika,
    "andreff": andreff,
    "daniilidis": daniilidis,
    "shah": shah,
    "li": li,
}


def _motions(hands: Sequence[Floats], patterns: Sequence[Floats]) -> list[tuple[Floats, Floats]]:
    """The motions of hand and camera between any two poses."""
    pairs = combinations(range(len(hands)), 2)
    return [(inverse(hands[j]) @ hands[i], patterns[j] @ inverse(patterns[i])) for i, j in pairs]


def _with_translation(rotation: Floats, motions: Sequence[tuple[Floats, Floats]]) -> Floats:
    """The translation that goes best with a rotation: (A - I) t = R t_B - t_A."""
    rows = np.concatenate([a[:3, :3] - np.eye(3) for a, _ in motions])
    wanted = np.concatenate([rotation @ b[:3, 3] - a[:3, 3] for a, b in motions])
    return rigid(rotation, _least_squares(rows, wanted))


def _least_squares(rows: Floats, wanted: Floats) -> Floats:
    return np.asarray(np.linalg.lstsq(rows, wanted, rcond=None)[0], np.float64)


def _nearest_rotation(matrix: Floats) -> Floats:
    """The rotation closest to a matrix that is one up to its scale and sign."""
    u, _, vt = np.linalg.svd(matrix * np.sign(np.linalg.det(matrix)))
    return np.asarray(u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt, np.float64)


def _twice_sine(rotation: Floats) -> Floats:
    """Tsai's vector of a rotation: its axis, 2 sin(angle / 2) long."""
    return 2 * quaternion_of_rotation(rotation)[:3]


def _rotation(w: float, v: Floats) -> Floats:
    """The (3, 3) rotation of a unit quaternion, scalar and vector."""
    return np.asarray((w * w - v @ v) * np.eye(3) + 2 * np.outer(v, v) + 2 * w * skew(v), np.float64)


def _dual_quaternion(motion: Floats) -> tuple[Floats, Floats]:
    """The vector parts (3,) of a motion's real and dual quaternion; the scalars of two conjugate motions are equal."""
    *v, w = quaternion_of_rotation(motion[:3, :3])
    shift = motion[:3, 3]
    return np.array(v), (w * shift + np.cross(shift, v)) / 2
