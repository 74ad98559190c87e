"""Augmentation of image, mask and tips together: the field's corruptions as albumentations transforms.

What makes a picture worse says how much, in 0..1, and the truth of its quality is raised to that: a frame that was darkened
is a dark frame. What hides a part of the view hides it from mask and tips too.
"""

import os

# albumentations asks the network for newer releases when it is imported, unless it is told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

from dataclasses import replace
from typing import Any

import albumentations as A
import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.learning.frames import HEIGHT, STRIDE, WIDTH, Frames

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class Corruption(A.ImageOnlyTransform):
    """Makes a picture worse, by a strength that is drawn for it.

    Args:
        p: how often. weakest, strongest: the range of the strength, in 0..1.
    """

    quality: str | None = None
    """Which of the qualities it spoils; None where none of them says so."""

    def __init__(self, p: float = 0.1, weakest: float = 0.2, strongest: float = 1.0) -> None:
        super().__init__(p=p)
        self.weakest, self.strongest = weakest, strongest

    def get_params(self) -> dict[str, Any]:
        """A strength, and the seed of everything else that is random about it."""
        strength = self.weakest + (self.strongest - self.weakest) * self.py_random.random()
        return {"strength": strength, "seed": self.py_random.getrandbits(32)}

    def apply(self, img: Bytes, strength: float = 0.0, seed: int = 0, **params: Any) -> Bytes:
        """The picture, (H, W, 3) uint8 RGB, made worse."""
        return self.spoil(img, strength, np.random.default_rng(seed))

    def spoil(self, image: Bytes, strength: float, rng: np.random.Generator) -> Bytes:
        """What the corruption does."""
        raise NotImplementedError

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """What makes another one like it."""
        return ("weakest", "strongest")


def clouds(rng: np.random.Generator, shape: tuple[int, int], coarse: int = 4) -> Floats:
    """Smooth noise in 0..1, (H, W): three octaves, the coarsest of `coarse` waves across."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    for octave in range(3):
        n = coarse * 2**octave
        grid = rng.random((max(2, n * height // width), n), dtype=np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / max(high - low, 1e-6), np.float32)


def _blend(image: Bytes, colour: tuple[float, ...], share: Floats) -> Bytes:
    """The picture with a colour over it, `share` (H, W) in 0..1 of it."""
    mixed = image * (1 - share[..., None]) + np.array(colour, np.float32) * share[..., None]
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)


class Smoke(Corruption):
    """Grey veils that drift in from a side."""

    quality = "smoke"

    def spoil(self, image: Bytes, strength: float, rng: np.random.Generator) -> Bytes:
        """Thicker with the strength, and brighter than what it hides."""
        grey = rng.uniform(150, 225)
        share = strength * (0.35 + 0.65 * clouds(rng, image.shape[:2])) * 0.85
        return _blend(image, (grey, grey * rng.uniform(0.95, 1.0), grey * rng.uniform(0.93, 1.02)), share)


class BloodVeil(Corruption):
    """Blood on the tissue and on the lens: red patches with soft edges."""

    quality = "blood"

    def spoil(self, image: Bytes, strength: float, rng: np.random.Generator) -> Bytes:
        """More of the picture with the strength."""
        depth = clouds(rng, image.shape[:2], 3)
        share = np.clip((depth - (1 - 0.75 * strength)) * 5.0, 0, 0.9).astype(np.float32)
        return _blend(image, (rng.uniform(90, 150), rng.uniform(5, 25), rng.uniform(5, 25)), share)


class Blur(Corruption):
    """Out of focus, or moved."""

    quality = "blur"

    def spoil(self, image: Bytes, strength: float, rng: np.random.Generator) -> Bytes:
        """A Gaussian, or a streak in one direction."""
        if rng.random() < 0.5:
            return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.6 + 2.6 * strength), np.uint8)
        long = 3 + 2 * round(6 * strength)
        line = np.zeros((long, long), np.float32)
        angle, middle = rng.uniform(0, np.pi), long // 2
        reach = np.array([np.cos(angle), np.sin(angle)]) * middle
        ends = [tuple(int(v) for v in np.round(middle + side * reach)) for side in (-1, 1)]
        cv2.line(line, ends[0], ends[1], 1.0)
        return np.asarray(cv2.filter2D(image, -1, line / line.sum()), np.uint8)


class Darkness(Corruption):
    """Too little light, with the noise that a camera adds to it."""

    quality = "dark"

    def spoil(self, image: Bytes, strength: float, rng: np.random.Generator) -> Bytes:
        """Down to an eighth."""
        gain = 1.0 - 0.87 * strength
        noise = rng.normal(0, 1 + 5 * strength, image.shape[:2]).astype(np.float32)
        return np.asarray(np.clip(image * np.float32(gain) + noise[..., None], 0, 255), np.uint8)


class Overexposure(Corruption):
    """Too much light: what is bright is white."""

    quality = "overexposed"

    def spoil(self, image: Bytes, strength: float, rng: np.random.Generator) -> Bytes:
        """Up to three times, more so in the middle of the light."""
        height, width = image.shape[:2]
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        at = rng.uniform(0.3, 0.7, 2)
        near = np.exp(-(((x / width - at[0]) / 0.45) ** 2 + ((y / height - at[1]) / 0.45) ** 2))
        gain = 1.0 + strength * (0.6 + 1.4 * near)
        return np.asarray(np.clip(image * gain[..., None] + 25 * strength, 0, 255), np.uint8)


class Specular(Corruption):
    """Highlights of wet tissue: small white spots where the picture is bright already."""

    def spoil(self, image: Bytes, strength: float, rng: np.random.Generator) -> Bytes:
        """Some dozen of them."""
        spots = np.zeros(image.shape[:2], np.uint8)
        bright = np.argwhere(image.max(2) > np.percentile(image, 70))
        for _ in range(int(4 + 30 * strength) if len(bright) else 0):
            y, x = bright[rng.integers(len(bright))]
            size = (int(rng.integers(1, 6)), int(rng.integers(1, 3)))
            cv2.ellipse(spots, (int(x), int(y)), size, float(rng.uniform(0, 180)), 0, 360, 255, -1)
        return _blend(image, (255, 252, 245), cv2.GaussianBlur(spots, (0, 0), 0.8).astype(np.float32) / 255)


class LensDirt(Corruption):
    """Drops and smears on the lens: round patches where the picture is blurred and a little darker."""

    def spoil(self, image: Bytes, strength: float, rng: np.random.Generator) -> Bytes:
        """A few, larger with the strength."""
        patches = np.zeros(image.shape[:2], np.uint8)
        for _ in range(int(rng.integers(1, 5))):
            centre = (int(rng.integers(image.shape[1])), int(rng.integers(image.shape[0])))
            cv2.circle(patches, centre, int(4 + 26 * strength * rng.random()), 255, -1)
        share = cv2.GaussianBlur(patches, (0, 0), 3.0).astype(np.float32)[..., None] / 255
        behind = cv2.GaussianBlur(image, (0, 0), 5.0).astype(np.float32) * np.float32(rng.uniform(0.75, 1.0))
        return np.asarray(np.clip(image * (1 - share) + behind * share, 0, 255), np.uint8)


class Interlace(Corruption):
    """Every second line is of another moment, and so it is shifted."""

    def spoil(self, image: Bytes, strength: float, rng: np.random.Generator) -> Bytes:
        """By some pixels."""
        result = image.copy()
        shift = int(1 + 6 * strength) * (1 if rng.random() < 0.5 else -1)
        result[1::2] = np.roll(image[1::2], shift, axis=1)
        return result


class Compression(Corruption):
    """A codec's blocks and colour subsampling."""

    def spoil(self, image: Bytes, strength: float, rng: np.random.Generator) -> Bytes:
        """JPEG of a quality from 70 down to 15."""
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(70 - 55 * strength)])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


class ColourCast(Corruption):
    """Another camera's white balance, gain and gamma; a little of it is in every picture."""

    def spoil(self, image: Bytes, strength: float, rng: np.random.Generator) -> Bytes:
        """A gain and an offset a channel, and one gamma."""
        table = np.arange(256, dtype=np.float32)[None, :, None] / 255
        gain = 1 + strength * rng.uniform(-0.3, 0.3, 3).astype(np.float32)
        offset = strength * rng.uniform(-0.08, 0.08, 3).astype(np.float32)
        curve = np.power(table, np.float32(np.exp(strength * rng.uniform(-0.35, 0.35))))
        lut = np.clip((curve * gain + offset) * 255, 0, 255).astype(np.uint8)
        return np.asarray(cv2.LUT(image, lut), np.uint8)


class _Together(A.DualTransform):
    """Does one thing to image, mask and tips; masks and tips lie on the grid of the network's stride."""

    def apply_to_mask(self, mask: Bytes, **params: Any) -> Bytes:
        """(h, w) ids, or (h, w, tools) of tips."""
        raise NotImplementedError

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Nothing but `p`."""
        return ()


_HERE = np.eye(2, 3)


class Placement(_Together):
    """The scene seen from elsewhere: turned, shifted, nearer or farther, and from the other side."""

    def get_params(self) -> dict[str, Any]:
        """(2, 3) from the new picture's pixels to the old one's."""
        draw = self.py_random.uniform
        turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), draw(-20, 20), draw(0.8, 1.3))
        turn[:, 2] += (WIDTH * draw(-0.1, 0.1), HEIGHT * draw(-0.1, 0.1))
        if self.py_random.random() < 0.5:
            turn = turn @ np.array([[-1, 0, WIDTH - 1], [0, 1, 0], [0, 0, 1.0]])
        return {"matrix": turn}

    def apply(self, img: Bytes, matrix: npt.NDArray[np.float64] = _HERE, **params: Any) -> Bytes:
        """The picture; black where nothing was seen."""
        return np.asarray(cv2.warpAffine(img, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR), np.uint8)

    def apply_to_mask(self, mask: Bytes, matrix: npt.NDArray[np.float64] = _HERE, **params: Any) -> Bytes:
        """The same on the grid, whose cell k has its middle at pixel 4 k + 1.5."""
        middle = (STRIDE - 1) / 2
        to_pixels = np.array([[STRIDE, 0, middle], [0, STRIDE, middle], [0, 0, 1.0]])
        grid = (np.linalg.inv(to_pixels) @ np.vstack([matrix, [0, 0, 1]]) @ to_pixels)[:2]
        how = cv2.INTER_NEAREST if mask.ndim == 2 else cv2.INTER_LINEAR
        return np.asarray(cv2.warpAffine(mask, grid, (WIDTH // STRIDE, HEIGHT // STRIDE), flags=how), np.uint8)


class CircularMask(_Together):
    """A round field of view: black outside, and nothing to be found there."""

    def get_params(self) -> dict[str, Any]:
        """Middle and radius, in heights of the picture."""
        draw = self.py_random.uniform
        return {"circle": (WIDTH / HEIGHT / 2 + draw(-0.08, 0.08), 0.5 + draw(-0.05, 0.05), draw(0.5, 0.72))}

    def _seen(self, shape: tuple[int, ...], circle: tuple[float, float, float]) -> npt.NDArray[np.bool_]:
        y, x = (np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5) / shape[0]
        return np.asarray(np.hypot(x - circle[0], y - circle[1]) <= circle[2])

    def apply(self, img: Bytes, circle: tuple[float, float, float] = (0, 0, 1), **params: Any) -> Bytes:
        """The picture inside the circle."""
        return np.asarray(img * self._seen(img.shape, circle)[..., None], np.uint8)

    def apply_to_mask(self, mask: Bytes, circle: tuple[float, float, float] = (0, 0, 1), **params: Any) -> Bytes:
        """Background, and no tips, outside."""
        seen = self._seen(mask.shape, circle)
        return np.asarray(mask * (seen if mask.ndim == 2 else seen[..., None]), np.uint8)


CORRUPTIONS = (Smoke, BloodVeil, Blur, Darkness, Overexposure, Specular, LensDirt, Interlace, Compression, ColourCast)


def pipeline() -> A.Compose:
    """What training does to a frame: placement, two or so corruptions, and a camera's colours."""
    steps = [
        Placement(p=0.7),
        ColourCast(p=0.8),
        Specular(p=0.1),
        Smoke(p=0.08),
        BloodVeil(p=0.08),
        Darkness(p=0.06),
        Overexposure(p=0.06),
        LensDirt(p=0.08),
        Blur(p=0.1),
        Interlace(p=0.05),
        CircularMask(p=0.08),
        Compression(p=0.25),
    ]
    return A.Compose(
        steps, additional_targets={"tips": "mask"}, is_check_shapes=False, save_applied_params=True, seed=0
    )


def augment(frames: Frames, seeds: npt.NDArray[np.int64], qualities: tuple[str, ...], steps: A.Compose) -> Frames:
    """Frames, each changed as its seed says; the same seed changes a frame in the same way.

    Args:
        frames: n of them.
        seeds: (n,) from 0.
        qualities: names of the columns of `frames.quality`.
        steps: from `pipeline`.
    """
    images, masks, tips, quality = [], [], [], frames.quality.copy()
    for k, seed in enumerate(seeds.tolist()):
        for place, step in enumerate(steps.transforms):
            # one seed for all would let all of them come together, each as strong as the others
            step.set_random_seed(seed * len(steps.transforms) + place)
        done = steps(
            image=frames.image[k], mask=frames.mask[k], tips=np.ascontiguousarray(frames.tips[k].transpose(1, 2, 0))
        )
        images.append(done["image"])
        masks.append(done["mask"])
        tips.append(done["tips"].transpose(2, 0, 1))
        for name, params in done["applied_transforms"]:
            spoiled = _SPOILS.get(name)
            if spoiled in qualities:
                column = qualities.index(spoiled)
                # fmax: where nothing was known, what was added is
                quality[k, column] = np.fmax(quality[k, column], params["strength"])
    return replace(frames, image=np.stack(images), mask=np.stack(masks), tips=np.stack(tips), quality=quality)


_SPOILS = {kind.__name__: kind.quality for kind in CORRUPTIONS if kind.quality}
