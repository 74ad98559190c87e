"""Pictures in which a bump can be measured: a round field over tissue, a shaft before it, and the right picture of a pair."""

import cv2
import numpy as np

from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.rigid import apply, rigid
from surgical_ml.video import Frame

SECOND = 1_000_000_000
SIZE = (960, 540)
LENS = Lens(
    model="pinhole", fx=620.0, fy=618.0, cx=478.0, cy=272.0, distortion=(-0.15, 0.05, 0.0, 0.0, 0.0), image_size=SIZE
)
DEPTH_M = 0.1
RADIUS_M = 0.0042
SHAFT = np.array([[-0.04, 0.02, 0.065], [-0.004, 0.002, 0.078]])


def tissue(seed=0, side=1400):
    """A reddish texture with edges at every scale, as grey values."""
    rng = np.random.default_rng(seed)
    layers = [cv2.resize(rng.normal(0, 1, (n, n)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
              for n in (20, 60, 180)]  # fmt: skip
    return np.clip(110 + 14 * sum(layers), 30, 220).astype(np.float32)


TISSUE = tissue()
BACK = 0.16
"""Metres that the texture spans, at `DEPTH_M`."""


def rays(lens=LENS):
    x, y = np.meshgrid(np.arange(SIZE[0], dtype=float), np.arange(SIZE[1], dtype=float))
    flat = lens.rays(np.column_stack([x.ravel(), y.ravel()]))
    return np.column_stack([flat, np.ones(len(flat))])


RAYS = rays()


def picture(camera=None, shaft_m=None, noise=2.0, seed=1):
    """(H, W, 3) what a camera sees that stands at `camera` (4, 4, in the frame where it should stand)."""
    camera = np.eye(4) if camera is None else camera
    origin, way = camera[:3, 3], RAYS @ camera[:3, :3].T
    far = (DEPTH_M - origin[2]) / way[:, 2]
    hit = origin + far[:, None] * way
    at = (hit[:, :2] / BACK + 0.5) * TISSUE.shape[0]
    grey = cv2.remap(TISSUE, *(at[:, k].reshape(SIZE[::-1]).astype(np.float32) for k in (0, 1)), cv2.INTER_LINEAR)
    if shaft_m is not None:
        grey = np.where(_on_shaft(origin, way, shaft_m).reshape(SIZE[::-1]), 60.0, grey)
        grey = cv2.GaussianBlur(grey, (0, 0), 0.7)
    grey = grey + np.random.default_rng(seed).normal(0, noise, grey.shape)
    shown = np.clip(grey[..., None] * np.array([0.75, 0.7, 1.0]), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(shown)


def _on_shaft(origin, way, shaft_m):
    """Which rays pass the axis within the radius, between its wrist and twenty centimetres behind."""
    axis = shaft_m[1] - shaft_m[0]
    axis /= np.linalg.norm(axis)
    normal = np.cross(way, axis)
    apart = np.abs(normal @ (shaft_m[1] - origin)) / np.linalg.norm(normal, axis=1)
    # where the ray comes closest to the axis, along it
    across = way - (way @ axis)[:, None] * axis
    between = origin - shaft_m[1]
    t = -(across @ between) / (across * across).sum(axis=1)
    along = (between + t[:, None] * way) @ axis
    return (apart <= RADIUS_M) & (along < 0) & (along > -0.2) & (t > 0)


def within_field(image, x=480.0, y=270.0, radius=255.0):
    """A picture as a round field of view shows it, its rim a pixel soft."""
    columns, rows = np.meshgrid(np.arange(image.shape[1]), np.arange(image.shape[0]))
    light = np.clip(radius + 0.5 - np.hypot(columns - x, rows - y), 0, 1)
    return np.ascontiguousarray((image * light[..., None]).astype(np.uint8))


def frame(image, second, right=None):
    return Frame(image, round(second * SECOND), round(second), right)


def bump(turn_deg=(0.0, 0.0, 0.0), shift_mm=(0.0, 0.0, 0.0)):
    return rigid(np.deg2rad(turn_deg), np.array(shift_mm) / 1000)


def as_seen_from(camera, points):
    """Points (N, 3) in the frame of a camera that stands at `camera`."""
    return apply(np.linalg.inv(camera), points)
