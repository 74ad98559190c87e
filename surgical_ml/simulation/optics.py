"""What lies between a field and its picture: smoke, fog, dirt and drops on the lens, focus, colour, noise, the codec."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.simulation.anatomy import noise
from surgical_ml.simulation.plan import Split

Float = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Troubles:
    """Strength 0..1 of what spoils one frame, by the names of `DISTURBANCES` and `RICH_DISTURBANCES`."""

    smoke: float
    blood: float
    blur: float
    dark: float
    overexposed: float
    fog: float
    lens_dirt: float
    droplets: float
    motion_blur: float
    interlacing: float
    blocks: float
    white_balance: float


class Optics:
    """The endoscope and the video chain of one case.

    Args:
        rng: decides on them.
        size: (width, height) of the picture in pixels.
        split: whose lamps.
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], split: Split) -> None:
        width, height = self.size = size
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        centre = (width * rng.uniform(0.35, 0.65), height * rng.uniform(0.35, 0.65))
        radius2 = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / height**2
        bright = float(rng.uniform(0.72, 1.4))
        if split == "train":
            # The square law of a lamp beside the lens, more or less steep.
            self.light = bright / (1.0 + float(rng.uniform(0.2, 2.4)) * radius2)
        else:
            # Two lamps beside the lens.
            apart = width * rng.uniform(0.12, 0.3)
            pair = [((x - centre[0] + sign * apart) ** 2 + (y - centre[1]) ** 2) / height**2 for sign in (-1, 1)]
            steep = float(rng.uniform(0.6, 1.8))
            self.light = bright * 0.55 * sum(1.0 / (1.0 + steep * one) for one in pair)
        self.light = self.light.astype(np.float32)
        self._balance = rng.uniform(0.86, 1.14, 3).astype(np.float32)
        self._gamma = float(rng.uniform(0.75, 1.35))
        self._contrast = float(rng.uniform(0.85, 1.25))
        self._mixed = _colour_matrix(rng)
        self._noise, self._coarse = float(rng.uniform(0.5, 6.0)), float(rng.uniform(0.0, 1.2))
        self._softness = float(rng.choice([0.0, rng.uniform(0.3, 1.6)])) * height / 480
        self._sharpen = float(rng.choice([0.0, rng.uniform(0.2, 1.4)]))
        self._bloom = float(rng.uniform(0.0, 0.5))
        self._clouds = np.stack([cv2.resize(noise(rng, (68, 120), 4, 0.55), size) for _ in range(2)])
        self._shift = rng.uniform(-0.25, 0.25, 3).astype(np.float32)
        self._dirt = _spots(rng, size, int(rng.integers(3, 14)), (0.01, 0.06))
        self._drops = _drops(rng, size)
        self._quality = int(rng.integers(8, 22))
        self._sometimes_interlaced = bool(rng.random() < 0.08)

    def through(
        self, scene: Float, troubles: Troubles, motion: tuple[float, float], t_s: float, rng: np.random.Generator
    ) -> Bytes:
        """The picture of a scene.

        Args:
            scene: (H, W, 3) float32 light, BGR, around 0..255; changed.
            troubles: of the frame.
            motion: (x, y) of the picture's movement in a frame, pixels.
            t_s: seconds.
            rng: of the frame.
        """
        height = self.size[1]
        if self._bloom:
            # What is brighter than the sensor bears spills over.
            over = cv2.resize(np.maximum(scene - 235.0, 0.0), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
            spilt = cv2.GaussianBlur(np.minimum(over, 400.0), (0, 0), 0.008 * height)
            scene += self._bloom * cv2.resize(spilt, self.size, interpolation=cv2.INTER_LINEAR)
        if troubles.smoke > 0:
            clouds = np.roll(self._clouds[0], round(0.10 * height * t_s), axis=0)
            _veil(scene, troubles.smoke * np.clip(0.62 + 0.4 * clouds, 0.0, 0.95), 0.8 * self.light, (190, 185, 192))
        if troubles.fog > 0:
            _veil(scene, np.clip(troubles.fog * (0.55 + 0.25 * self._clouds[1]), 0, 0.85), 0.9, (165, 165, 180))
            scene = cv2.GaussianBlur(scene, (0, 0), 0.3 + 0.010 * height * troubles.fog)
        if troubles.blood > 0:
            thick = np.clip(0.9 * troubles.blood + 0.6 * self._clouds[1] - 0.75, 0.0, 0.9)
            _veil(scene, thick, 0.5 + 0.5 * self.light, (16, 12, 115))
        scene *= self._balance * (1.0 + self._shift * troubles.white_balance)
        scene *= (1.0 - 0.86 * troubles.dark) * (1.0 + 2.4 * troubles.overexposed)
        speed = np.hypot(*motion)
        if troubles.motion_blur > 0 and speed > 0:
            scene = cv2.filter2D(scene, -1, _line_kernel(motion, 0.05 * height * troubles.motion_blur))
        sigma = float(np.hypot(self._softness, 0.022 * height * troubles.blur))
        if sigma > 0.2:
            scene = _blurred(scene, sigma)
        if troubles.lens_dirt > 0:
            scene = _dirty(scene, troubles.lens_dirt * self._dirt, 0.010 * height)
        if troubles.droplets > 0:
            bent_x, bent_y, wet = self._drops
            bent = cv2.remap(scene, bent_x, bent_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            share = (np.minimum(1.0, 1.5 * troubles.droplets) * wet)[..., None]
            scene = scene * (1 - share) + cv2.GaussianBlur(bent, (0, 0), 1 + 0.004 * height) * share
        scene = cv2.transform(np.clip(scene, 0.0, 255.0), self._mixed)
        levels = np.clip(scene, 0.0, 255.0)
        curve = 255.0 * (np.arange(1024, dtype=np.float32) / 1023) ** self._gamma
        curve = np.clip(128.0 + self._contrast * (curve - 118.0), 0, 255).astype(np.float32)
        picture = curve[(levels * np.float32(1023 / 255)).astype(np.int16)]
        grain = rng.standard_normal(picture.shape[:2], np.float32)
        if self._coarse > 0.4:
            grain = cv2.GaussianBlur(grain, (0, 0), self._coarse) * (2.5 * self._coarse)
        picture += self._noise * grain[..., None]
        if self._sharpen:
            picture += self._sharpen * (picture - cv2.GaussianBlur(picture, (0, 0), 1.2))
        out = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
        if troubles.interlacing > 0 or self._sometimes_interlaced:
            # The second field is taken half a frame later; a hand is never quite still.
            shake = float(np.copysign(np.clip(abs(motion[0]), 0.006 * height, 0.02 * height), motion[0]))
            dx = shake * max(troubles.interlacing, 0.4)
            field = cv2.warpAffine(out, np.array([[1, 0, dx], [0, 1, 0]]), self.size, borderMode=cv2.BORDER_REPLICATE)
            out[1::2] = field[1::2]
        if troubles.blocks > 0:
            quality = round(self._quality + 30 * (1 - troubles.blocks))
            coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
        return np.asarray(out, np.uint8)


def _colour_matrix(rng: np.random.Generator) -> Float:
    """Saturation and hue of the camera, (3, 3) for BGR; now and then of no camera."""
    saturation = float(rng.uniform(0.55, 1.45))
    grey = np.full((3, 3), 1 / 3)
    angle = float(rng.normal(0, 0.10))
    if rng.random() < 0.10:
        angle, saturation = float(rng.uniform(-np.pi, np.pi)), float(rng.uniform(0.0, 1.5))
    axis = np.ones(3) / np.sqrt(3)
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turned = np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * (skew @ skew)
    return np.asarray(turned @ (grey * (1 - saturation) + np.eye(3) * saturation), np.float32)


def _veil(light: Float, cover: Float, bright: Float | float, colour: tuple[int, int, int]) -> None:
    """Put a veil over (H, W, 3) light, in place, of a colour times `bright`."""
    light *= (1.0 - cover)[..., None]
    shine = cover * bright
    light += cv2.merge([shine * value for value in colour])


def _blurred(light: Float, sigma: float) -> Float:
    """A Gaussian blur; a wide one on a fourth of the rows and columns."""
    if sigma < 6:
        return np.asarray(cv2.GaussianBlur(light, (0, 0), sigma), np.float32)
    small = cv2.resize(light, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / 4)
    return np.asarray(cv2.resize(small, light.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _line_kernel(motion: tuple[float, float], length: float) -> Float:
    """A blur along a direction."""
    n = 2 * max(1, round(length / 2)) + 1
    kernel = np.zeros((n, n), np.float32)
    way = np.array(motion) / np.hypot(*motion) * (n - 1) / 2
    ends = [tuple(round((n - 1) / 2 + sign * one) for one in way) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _spots(rng: np.random.Generator, size: tuple[int, int], count: int, radii: tuple[float, float]) -> Float:
    """Soft spots on the lens, (H, W) in 0..1."""
    width, height = size
    layer = np.zeros((height, width), np.uint8)
    for _ in range(count):
        at = tuple(int(one) for one in rng.uniform((0, 0), size))
        axes = tuple(max(1, round(height * one)) for one in rng.uniform(*radii, 2))
        cv2.ellipse(layer, at, axes, float(rng.uniform(0, 180)), 0, 360, int(rng.integers(120, 255)), -1)
    return np.asarray(cv2.GaussianBlur(layer, (0, 0), 0.015 * height) / 255, np.float32)


def _dirty(scene: Float, cover: Float, sigma: float) -> Float:
    """What dirt out of focus leaves of a scene: less of it, and blurred."""
    hidden = _blurred(scene, sigma) * np.array([0.5, 0.55, 0.65], np.float32)
    return np.asarray(scene * (1 - cover[..., None]) + hidden * cover[..., None], np.float32)


def _drops(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Float, Float, Float]:
    """Water on the lens: where each pixel's light comes from, in x and in y, and how much of it went through a drop."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    bent_x, bent_y, wet = x.copy(), y.copy(), np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(2, 8))):
        cx, cy = rng.uniform((0, 0), size)
        r = height * rng.uniform(0.03, 0.12)
        u, v = (x - cx) / r, (y - cy) / r
        inside = np.sqrt(u * u + 0.8 * v * v)
        cover = np.clip(4.0 * (1.0 - inside), 0.0, 1.0)
        # A drop is a lens of its own: it turns the picture round.
        bent_x = np.where(cover > 0, cx - 2.2 * r * u, bent_x)
        bent_y = np.where(cover > 0, cy - 2.2 * r * v, bent_y)
        wet = np.maximum(wet, cover)
    return bent_x.astype(np.float32), bent_y.astype(np.float32), wet.astype(np.float32)
