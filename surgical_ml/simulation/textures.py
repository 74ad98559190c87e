"""Families of random textures, and tissue that is clothed with them: colour, relief and wetness of an operating field."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.simulation.anatomy import noise
from surgical_ml.simulation.plan import Split

Float = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

FAMILIES = {"train": ("smooth", "ridged", "cells", "stripes", "speckle"), "held-out": ("smooth", "billow", "warped")}
"""Textures of each split; held-out cases share only the plainest with training."""

PALETTE = np.array(
    [
        (150, 150, 215),  # mucosa
        (105, 115, 205),
        (60, 62, 175),
        (40, 36, 105),  # liver
        (60, 55, 145),
        (105, 175, 222),  # fat
        (150, 205, 232),
        (80, 120, 210),
        (188, 195, 222),  # fascia
        (55, 75, 130),
        (95, 70, 110),
        (165, 180, 228),
        (125, 150, 165),  # gallbladder
    ],
    np.float32,
)
"""Colours of tissue, BGR."""


def texture(rng: np.random.Generator, shape: tuple[int, int], family: str, base: int) -> Float:
    """A random texture, (H, W) float32 in about -1..1, of `base` features to its height."""
    height, width = shape
    small = (max(64, height // 2), max(64, width // 2))
    plain = noise(rng, small, 5, float(rng.uniform(0.45, 0.8)), base=base)
    made: npt.NDArray[np.floating]
    match family:
        case "ridged":
            made = 1.2 - 3.0 * np.abs(plain)
        case "billow":
            made = 3.0 * np.abs(plain) - 1.0
        case "cells":
            seeds = np.ones(small, np.uint8)
            count = 2 * base * base + 6
            seeds[rng.integers(0, small[0], count), rng.integers(0, small[1], count)] = 0
            distance = cv2.distanceTransform(seeds, cv2.DIST_L2, 3)
            made = 1.0 - distance * (3.2 * base / small[0]) + 0.3 * plain
        case "stripes":
            y, x = np.mgrid[0 : small[0], 0 : small[1]].astype(np.float32) / small[0]
            angle = rng.uniform(0, np.pi)
            made = np.sin(2 * np.pi * base * (x * np.cos(angle) + y * np.sin(angle)) + 5.0 * plain)
        case "speckle":
            dots = rng.random(small, np.float32) ** 40
            made = 3.0 * np.minimum(cv2.GaussianBlur(dots, (0, 0), 0.6 + 12.0 / base / 4), 0.5) + 0.5 * plain - 0.3
        case "warped":
            y, x = np.mgrid[0 : small[0], 0 : small[1]].astype(np.float32)
            pull = noise(rng, small, 3, 0.5, base=max(2, base // 2)) * (0.35 * small[0] / base)
            made = cv2.remap(plain, x + pull, y + 1.5 * pull[::-1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        case _:
            made = plain
    return np.asarray(cv2.resize(made.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


@dataclass(frozen=True, slots=True)
class Canvas:
    """A field, larger than the picture.

    Attributes:
        colour: (H, W, 4) uint8, BGR and the wetness of the surface.
        slope: (H, W, 2) float32, change of height in x and y.
        mask: (H, W) uint8 class ids.
    """

    colour: Bytes
    slope: Float
    mask: Bytes


class Clothier:
    """Gives regions of a field their colours and surfaces; the same regions, in whatever shape, always the same ones.

    Args:
        rng: decides on everything.
        size: (width, height) of the canvas in pixels.
        regions: how many there may be.
        split: whose families of textures.
        real: colours of tissue, or any colours.
        tones: (k, 2, 3) BGR, the two colours of each of the first k regions; None to draw them as well.

    Attributes:
        tones: (regions, 2, 3) float32 BGR, the two colours that each region mixes.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        size: tuple[int, int],
        regions: int,
        split: Split,
        *,
        real: bool = True,
        tones: Float | None = None,
    ) -> None:
        self.size = size
        shape = (size[1], size[0])
        drawn = np.stack([_tones(rng, split, real) for _ in range(regions)])
        if real:
            # One patient's organs lie under one light and in one body.
            patient = rng.uniform((50, 50, 130), (120, 125, 215)).astype(np.float32)
            share = float(rng.uniform(0.15, 0.65))
            drawn = drawn * (1 - share) + share * patient * (drawn.mean(axis=2, keepdims=True) / patient.mean())
        if tones is not None:
            drawn[: len(tones)] = tones
        self.tones = drawn.astype(np.float32)
        self._soft = float(rng.choice([0.0, 0.004, 0.015, 0.04]))
        families = FAMILIES[split]

        def draw(bases: tuple[int, int]) -> Float:
            return texture(rng, shape, str(rng.choice(families)), int(rng.integers(*bases)))

        self._mix = [draw((2, 7)) for _ in range(2)]
        self._fine = [draw((12, 40)) for _ in range(2)]
        self._amount = rng.uniform(0.03, 0.22, regions).astype(np.float32)
        self._which = rng.integers(0, 2, (2, regions))
        self._dome = rng.uniform(0.0, 1.0, regions)
        self._bump = float(rng.uniform(0.2, 1.3))
        self._pores = float(rng.choice([0.0, 1.0]))
        self._folds = texture(rng, shape, str(rng.choice([*families, "ridged" if split == "train" else "billow"])), 4)
        self._fold = float(rng.choice([0.0, rng.uniform(0.0, 0.35)]))
        self._wet = rng.uniform(0.15, 1.0, regions).astype(np.float32)
        self._wetness = texture(rng, shape, "smooth", 5)
        self._crevice = float(rng.uniform(0.15, 0.6))
        self._ripple = noise(rng, shape, 6, float(rng.uniform(0.35, 0.7)), base=int(rng.integers(4, 9)))
        self._vessels = _vessels(rng, size)
        self._blood = float(rng.choice([0.0, 0.0, rng.uniform(0.2, 0.8)]))
        self._stains = texture(rng, shape, "smooth", 4)
        self._char = float(rng.choice([0.0, 0.0, rng.uniform(0.2, 0.5)]))

    def clothe(self, regions: npt.NDArray[np.uint8], mask: Bytes, light: Float | None = None) -> Canvas:
        """Make a canvas.

        Args:
            regions: (H, W) number of the region at each pixel; the higher ones lie on top.
            mask: (H, W) class ids.
            light: (H, W) how bright what is painted there is, around 1; None for 1 everywhere.
        """
        height = self.size[1]
        share = np.where(self._which[0][regions] == 0, self._mix[0], self._mix[1])
        share = np.clip(0.5 + 0.6 * share, 0.0, 1.0)[..., None]
        colour = self.tones[:, 0][regions] * (1 - share) + self.tones[:, 1][regions] * share
        if self._soft:
            colour = cv2.GaussianBlur(colour, (0, 0), self._soft * height)
        fine = np.where(self._which[1][regions] == 0, self._fine[0], self._fine[1])
        colour *= (1.0 + self._amount[regions] * fine)[..., None]
        dark, red = self._vessels
        colour *= 1.0 - dark[..., None] * np.array([0.55, 0.6, 0.25], np.float32)
        colour += (red[..., None] * np.array([-25, -30, 20], np.float32)) * (share * 0.5 + 0.5)
        relief = self._bump * height * (0.012 * self._ripple + 0.004 * self._pores * fine)
        relief += self._fold * 0.05 * height * self._folds
        colour *= (1.0 - 0.35 * self._fold * np.clip(-self._folds, 0, 1))[..., None]
        for k in range(1, len(self.tones)):
            inside = (regions == k).astype(np.uint8)
            if not inside.any():
                continue
            distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
            reach = 0.18 * height
            relief += self._dome[k] * 0.8 * np.sqrt(np.minimum(distance, reach) * reach) * (distance > 0)
            # What lies under an edge is in its shade.
            below = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
            crease = np.exp(-below / (0.015 * height)) * (inside == 0) + np.exp(-distance / (0.008 * height)) * inside
            colour *= (1.0 - self._crevice * crease * (0.4 if self._soft > 0.01 else 1.0))[..., None]
        if light is not None:
            colour *= light[..., None]
        wet = self._wet[regions] * np.clip(0.6 + 0.7 * self._wetness, 0.0, 1.0)
        if self._blood:
            cover = np.clip(1.6 * (self._stains - 0.9 + self._blood), 0.0, 0.85)[..., None]
            colour = colour * (1 - cover) + cover * np.array([22, 20, 120], np.float32)
            wet = np.maximum(wet, cover[..., 0])
        if self._char:
            burnt = np.clip(5.0 * (-self._stains - 1.1 + self._char), 0.0, 0.8)[..., None]
            colour = colour * (1 - burnt) + burnt * np.array([25, 32, 45], np.float32)
        soft = cv2.GaussianBlur(np.clip(colour, 0, 255).astype(np.uint8), (0, 0), height / 500)
        relief = cv2.GaussianBlur(relief.astype(np.float32), (0, 0), height / 350)
        slope = cv2.merge([np.gradient(relief, axis=1), np.gradient(relief, axis=0)]).astype(np.float32)
        wetness = np.clip(255 * wet, 0, 255).astype(np.uint8)
        return Canvas(cv2.merge([*cv2.split(soft), wetness]), slope, mask)


def _tones(rng: np.random.Generator, split: Split, real: bool) -> Float:
    """Two colours that a region mixes, (2, 3) BGR."""
    if not real:
        return rng.uniform(0, 255, (2, 3)).astype(np.float32)
    # Each split has its own share of the palette; what they share is that tissue is red and yellow.
    first = int(rng.integers(len(PALETTE)))
    other = PALETTE[int(rng.integers(len(PALETTE)))]
    near = 0.5 * (PALETTE[first] + other) if split == "held-out" else PALETTE[first]
    near = near * rng.uniform(0.75, 1.2) * rng.uniform(0.85, 1.15, 3)
    second = near * 0.6 + 0.4 * PALETTE[int(rng.integers(len(PALETTE)))] * rng.uniform(0.7, 1.2)
    return np.stack([near, second]).astype(np.float32)


def _vessels(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Float, Float]:
    """Dark veins and fine red vessels, each (H, W) float32 in 0..1."""
    width, height = size
    drawn = []
    for count, thick, blur in ((int(rng.integers(0, 9)), 0.008, 0.004), (int(rng.integers(0, 36)), 0.003, 0.0012)):
        layer = np.zeros((height, width), np.uint8)
        for _ in range(count):
            _branch(layer, rng, rng.uniform((0, 0), size), rng.uniform(0, 2 * np.pi), thick * height, 2)
        strength = float(rng.uniform(0.2, 0.8)) / 255
        drawn.append(cv2.GaussianBlur(layer, (0, 0), max(0.6, blur * height)).astype(np.float32) * np.float32(strength))
    return drawn[0], drawn[1]


def _branch(
    layer: Bytes, rng: np.random.Generator, start: npt.NDArray[np.float64], angle: float, thick: float, left: int
) -> None:
    """A vessel that winds and forks."""
    steps = 14
    turns = angle + np.cumsum(rng.normal(0, 0.28, steps))
    length = layer.shape[0] * rng.uniform(0.015, 0.035)
    path = start + np.cumsum(length * np.stack([np.cos(turns), np.sin(turns)], axis=1), axis=0)
    cv2.polylines(layer, [np.round(path * 8).astype(np.int32)], False, 255, max(1, round(thick)), cv2.LINE_AA, 3)
    if left:
        for _ in range(2):
            at = int(rng.integers(3, steps))
            turned = float(turns[at] + rng.choice([-1, 1]) * rng.uniform(0.4, 1.0))
            _branch(layer, rng, path[at], turned, 0.7 * thick, left - 1)


def organs(rng: np.random.Generator, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A field of no particular operation: (H, W) numbers of regions, 0 behind everything, up to 7.

    Sheets, large round organs and the loops of a gut, in any number.
    """
    width, height = size
    coarse = (height // 3, width // 3)
    wave = cv2.resize(noise(rng, coarse, 4, 0.55, base=2), size, interpolation=cv2.INTER_CUBIC)
    other = cv2.resize(noise(rng, coarse, 5, 0.6, base=3), size, interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = (x - width / 2) / height, (y - height / 2) / height
    regions = np.zeros((height, width), np.uint8)
    regions[wave > rng.uniform(-0.1, 0.6)] = 1
    if rng.random() < 0.6:
        angle = rng.uniform(0, 2 * np.pi)
        regions[np.cos(angle) * x + np.sin(angle) * y + 0.15 * other > rng.uniform(0.0, 0.4)] = 2
    for number in (3, 4):
        if rng.random() < 0.6:
            at, radii, angle = rng.uniform(-0.6, 0.6, 2), rng.uniform(0.12, 0.45, 2), rng.uniform(0, np.pi)
            u = (x - at[0]) * np.cos(angle) + (y - at[1]) * np.sin(angle)
            v = (y - at[1]) * np.cos(angle) - (x - at[0]) * np.sin(angle)
            regions[(u / radii[0]) ** 2 + (v / radii[1]) ** 2 + 0.25 * wave < 1] = number
    if rng.random() < 0.45:
        for number in (5, 6):
            start = rng.uniform((0, 0), size)
            turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.35, 24))
            step = 0.06 * height * np.stack([np.cos(turns), np.sin(turns)], axis=1)
            path = np.round(start + np.cumsum(step, axis=0)).astype(np.int32)
            cv2.polylines(regions, [path], False, number, round(height * rng.uniform(0.08, 0.22)))
    if rng.random() < 0.4:
        regions[(other > rng.uniform(0.4, 0.8)) & (regions < 3)] = 7
    return regions


def clutter(image: Bytes, wet: Bytes, rng: np.random.Generator) -> None:
    """Put things that are no instruments on a field, in place: needles, threads, gauze, clips. Their label is background."""
    height, width = image.shape[:2]
    kinds: list[Callable[..., None]] = [_thread, _needle, _gauze, _clip]
    for draw in kinds:
        for _ in range(int(rng.choice([0, 0, 1, 2]))):
            at = rng.uniform((0.1 * width, 0.1 * height), (0.9 * width, 0.9 * height))
            draw(image, wet, at, rng)


def _line(image: Bytes, path: npt.NDArray[np.float64], colour: tuple[float, ...], thick: int) -> None:
    cv2.polylines(image, [np.round(path * 8).astype(np.int32)], False, colour, max(1, thick), cv2.LINE_AA, 3)


def _thread(image: Bytes, wet: Bytes, at: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
    turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.4, 30))
    path = at + np.cumsum(0.02 * image.shape[0] * np.stack([np.cos(turns), np.sin(turns)], axis=1), axis=0)
    colours = [(130.0, 60.0, 60.0), (200.0, 90.0, 30.0), (30.0, 25.0, 25.0), (225.0, 225.0, 230.0), (90.0, 170.0, 60.0)]
    _line(image, path + 2, (30.0, 25.0, 60.0), round(image.shape[0] / 260))
    _line(image, path, colours[int(rng.integers(len(colours)))], round(image.shape[0] / 260))


def _needle(image: Bytes, wet: Bytes, at: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
    angle = rng.uniform(0, 2 * np.pi) + np.linspace(0, rng.uniform(1.5, 3.1), 20)
    radius = image.shape[0] * rng.uniform(0.04, 0.10)
    path = at + radius * np.stack([np.cos(angle), 0.7 * np.sin(angle)], axis=1)
    _line(image, path + 2, (30.0, 25.0, 50.0), round(image.shape[0] / 130))
    _line(image, path, (150.0, 150.0, 150.0), round(image.shape[0] / 130))
    _line(image, path[6:12] - 0.6, (245.0, 245.0, 245.0), round(image.shape[0] / 330))


def _gauze(image: Bytes, wet: Bytes, at: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
    corners = at + height * rng.uniform(0.06, 0.2, 9)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    cover = np.zeros((height, width), np.uint8)
    cv2.fillPoly(cover, [np.round(corners).astype(np.int32)], 255)
    cover = cv2.GaussianBlur(cover, (0, 0), height / 200)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    weave = 1 + 0.10 * np.sin(x * rng.uniform(0.8, 1.5) + 0.1 * y) * np.sin(y * rng.uniform(0.8, 1.5))
    soaked = np.clip(0.5 + noise(rng, (height, width), 4, 0.6, base=5) * 1.2 + rng.uniform(-0.6, 0.5), 0, 1)[..., None]
    cloth = (np.array([215, 222, 226]) * (1 - soaked) + np.array([60, 60, 170]) * soaked) * weave[..., None]
    share = (cover.astype(np.float32) / 255)[..., None]
    image[:] = np.clip(image * (1 - share) + cloth * share, 0, 255).astype(np.uint8)
    wet[:] = np.where(cover > 128, wet // 6, wet)


def _clip(image: Bytes, wet: Bytes, at: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
    angle, length = rng.uniform(0, np.pi), image.shape[0] * rng.uniform(0.02, 0.045)
    path = at + np.outer(np.array([-0.5, 0.5]), length * np.array([np.cos(angle), np.sin(angle)]))
    colour = [(190.0, 190.0, 190.0), (225.0, 225.0, 225.0), (170.0, 90.0, 160.0)][int(rng.integers(3))]
    _line(image, path + 2, (30.0, 25.0, 50.0), round(image.shape[0] / 70))
    _line(image, path, colour, round(image.shape[0] / 80))
