"""The operating field of a synthetic cholecystectomy: liver, gallbladder, duct and artery, in each state of the operation.

Everything is painted procedurally. It resembles an operation as a flight simulator's clouds resemble the weather: enough
to train on and to test with, and nothing that a claim about patients may rest on.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.simulation.plan import CLASSES, CasePlan, Split

Float = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

MARGIN = 1.35
"""The canvas is this much larger than the picture, so that the camera may move over it."""

_LIVER, _GALLBLADDER = CLASSES.index("liver"), CLASSES.index("gallbladder")
_DUCT, _ARTERY = CLASSES.index("cystic_duct"), CLASSES.index("cystic_artery")
_LEVELS = 4


@dataclass(frozen=True, slots=True)
class FieldState:
    """What has been done to the field so far; levels run from 0 to 4.

    Attributes:
        exposed: how far duct and artery have been freed of fat.
        clipped, cut: the duct and artery.
        detached: how far the gallbladder has come off the liver.
        bagged: the gallbladder is in the specimen bag.
    """

    exposed: int
    clipped: bool
    cut: bool
    detached: int
    bagged: bool

    @classmethod
    def at(cls, plan: CasePlan, t_s: float) -> "FieldState":
        """The state that the plan has reached at a time."""
        packaging = plan.phase_progress(4, t_s)
        return cls(
            exposed=round(_LEVELS * plan.phase_progress(1, t_s)),
            clipped=t_s >= plan.clipped_s,
            cut=t_s >= plan.cut_s,
            detached=round(_LEVELS * plan.phase_progress(3, t_s)),
            bagged=packaging > 0.5,
        )


@dataclass(frozen=True, slots=True)
class Style:
    """Colours (BGR, 0..255) and textures of one patient. Held-out styles lie between those of the training split."""

    fat: Float
    liver: Float
    gallbladder: Float
    duct: Float
    artery: Float
    roughness: float
    grain: float

    @classmethod
    def draw(cls, rng: np.random.Generator, split: Split) -> "Style":
        """A random style of the split's family."""

        def band() -> float:
            # Training takes both outer thirds and the middle of a range; held-out cases what lies between.
            if split == "train":
                return float(rng.choice([rng.uniform(0.0, 0.3), rng.uniform(0.4, 0.6), rng.uniform(0.7, 1.0)]))
            return float(rng.choice([rng.uniform(0.3, 0.4), rng.uniform(0.6, 0.7)]))

        def colour(low: tuple[int, int, int], high: tuple[int, int, int]) -> Float:
            share = band()
            mixed = np.asarray(low, np.float32) * (1 - share) + np.asarray(high, np.float32) * share
            return (mixed * rng.uniform(0.92, 1.08, 3)).astype(np.float32)

        return cls(
            fat=colour((85, 120, 190), (110, 180, 220)),
            liver=colour((35, 35, 105), (60, 65, 150)),
            gallbladder=colour((105, 150, 140), (150, 185, 200)),
            duct=colour((120, 175, 195), (150, 205, 225)),
            artery=colour((50, 45, 190), (80, 70, 225)),
            roughness=0.45 + 0.25 * band(),
            grain=0.06 + 0.10 * band(),
        )


def noise(rng: np.random.Generator, shape: tuple[int, int], octaves: int, roughness: float, base: int = 3) -> Float:
    """Smooth random values in about -1..1, (H, W) float32: a sum of octaves, each `roughness` times weaker."""
    height, width = shape
    total, amplitude, scale = np.zeros(shape, np.float32), 1.0, 0.0
    for octave in range(octaves):
        cells = base * 2**octave
        if cells > min(shape):
            break
        grid = rng.standard_normal((cells + 2, round(cells * width / height) + 2)).astype(np.float32)
        total += amplitude * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        scale += amplitude
        amplitude *= roughness
    return total / np.float32(scale)


class Field:
    """Paints the field of one case; each state once.

    Args:
        plan: of the case.
        size: (width, height) of the picture in pixels; the canvas is `MARGIN` times larger.
    """

    def __init__(self, plan: CasePlan, size: tuple[int, int]) -> None:
        rng = np.random.default_rng([plan.seed, 2])
        width, height = round(size[0] * MARGIN), round(size[1] * MARGIN)
        self.size = (width, height)
        self.style = Style.draw(rng, plan.split)
        self._cache: dict[FieldState, tuple[Bytes, Bytes]] = {}
        shape = (height, width)
        coarse = (max(90, height // 4), max(160, width // 4))

        def big(picture: Float) -> Float:
            return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)

        self._rough = big(noise(rng, coarse, 6, self.style.roughness))
        self._edge = big(noise(rng, coarse, 4, 0.5))
        self._veins = big(noise(rng, coarse, 5, 0.6, base=5))
        self._grain = noise(rng, shape, 9, 0.85, base=6)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        # Coordinates in heights of the canvas, origin in its middle.
        self._x, self._y = (x - width / 2) / height, (y - height / 2) / height
        self._tilt = float(rng.uniform(-0.35, 0.35))
        self._liver_y = float(rng.uniform(-0.16, -0.04))
        self._body = np.array([rng.uniform(0.05, 0.22), rng.uniform(-0.10, 0.02)])
        self._radii = np.array([rng.uniform(0.20, 0.27), rng.uniform(0.10, 0.14)])
        self._angle = float(rng.uniform(-0.35, 0.15))
        self._hilum = np.array([rng.uniform(-0.42, -0.30), rng.uniform(0.12, 0.26)])
        self._bend = float(rng.uniform(-0.05, 0.05))

    def point(self, name: str) -> tuple[float, float]:
        """Where something is, in canvas pixels: `body`, `neck` or `hilum`."""
        at = {"body": self._body, "neck": self._neck(), "hilum": 0.45 * self._hilum + 0.55 * self._neck()}[name]
        width, height = self.size
        return float(at[0] * height + width / 2), float(at[1] * height + height / 2)

    def paint(self, state: FieldState) -> tuple[Bytes, Bytes]:
        """The canvas in a state: (H, W, 4) uint8 BGR and an idle byte, and (H, W) uint8 class ids.

        OpenCV moves four channels of bytes four times faster than three, and to the same values.
        """
        if state not in self._cache:
            if len(self._cache) > 3:
                self._cache.pop(next(iter(self._cache)))
            self._cache[state] = self._paint(state)
        return self._cache[state]

    def _neck(self) -> npt.NDArray[np.float64]:
        reach = 0.92 * self._radii[0]
        towards = np.array([np.cos(self._angle), np.sin(self._angle)])
        return np.asarray(self._body - reach * towards, np.float64)

    def _paint(self, state: FieldState) -> tuple[Bytes, Bytes]:
        style, height = self.style, self.size[1]
        light = 1.0 + 0.30 * self._rough + style.grain * self._grain
        picture = np.empty((*self._rough.shape, 3), np.float32)
        picture[:] = style.fat
        picture *= (light + 0.10 * self._veins)[..., None]
        mask = np.zeros(self._rough.shape, np.uint8)
        liver = self._y + self._tilt * self._x + 0.05 * self._edge < self._liver_y
        self._fill(
            picture, mask, liver, style.liver, 1.0 + 0.16 * self._rough + 0.6 * style.grain * self._grain, _LIVER
        )
        if state.detached:
            # The bed that the gallbladder leaves behind: raw, and darkened by the hook.
            bed = (
                self._ellipse(self._body + np.array([0.0, -0.03]), 1.05 * self._radii, self._angle)
                < state.detached / _LEVELS
            )
            picture[bed] = 0.55 * picture[bed] + 0.45 * np.array([40, 50, 120], np.float32) * light[bed][:, None]
        if not state.bagged:
            self._vessels(picture, mask, state)
            centre = self._body + np.array([0.05, 0.10]) * (state.detached / _LEVELS)
            distance = self._ellipse(centre, self._radii, self._angle) + 0.10 * self._edge
            round_light = np.clip(1.25 - 0.65 * distance, 0.3, 1.3) + 0.05 * self._veins
            lit = np.asarray(round_light * (0.9 + 0.1 * light), np.float32)
            self._fill(picture, mask, distance < 1.0, style.gallbladder, lit, _GALLBLADDER)
        elif state.cut:
            self._vessels(picture, mask, state)
        soft = cv2.GaussianBlur(np.clip(picture, 0, 255).astype(np.uint8), (0, 0), height / 700)
        return cv2.cvtColor(soft, cv2.COLOR_BGR2BGRA), mask

    def _vessels(self, picture: Float, mask: Bytes, state: FieldState) -> None:
        """Duct and artery between neck and hilum; as much of them as has been freed of fat."""
        freed = state.exposed / _LEVELS
        if freed <= 0.0:
            return
        neck, height = self._neck(), self.size[1]
        for label, colour, start, width in (
            (_DUCT, self.style.duct, neck, 0.030),
            (_ARTERY, self.style.artery, neck + np.array([0.02, -0.07]), 0.018),
        ):
            end = self._hilum + np.array([0.0, -0.12 if label == _ARTERY else 0.0])
            share = np.linspace(0.0, freed, 40)[:, None]
            bow = np.concatenate([np.zeros_like(share), np.sin(np.pi * share)], axis=1) * (self._bend + 0.03)
            path = start * (1 - share) + end * share + bow
            if state.cut:
                path = path[(share[:, 0] < 0.36) | (share[:, 0] > 0.50)]
            pixels = (path * height + np.array(self.size) / 2).astype(np.int32)
            for part in _parts(pixels, height):
                self._tube(picture, mask, part, width * height, colour, label)
            if state.clipped:
                self._clips(picture, pixels, width * height)

    def _tube(
        self, picture: Float, mask: Bytes, path: npt.NDArray[np.int32], width: float, colour: Float, label: int
    ) -> None:
        if len(path) < 2:
            return
        for share, brightness in ((1.0, 0.62), (0.72, 0.9), (0.40, 1.12)):
            thick = max(1, round(width * share))
            cv2.polylines(picture, [path], False, (colour * brightness).tolist(), thick, cv2.LINE_AA)
        cv2.polylines(mask, [path], False, label, max(1, round(width)))

    def _clips(self, picture: Float, path: npt.NDArray[np.int32], width: float) -> None:
        for share in (0.22, 0.30, 0.56):
            k = min(len(path) - 2, int(share * len(path)))
            along = (path[k + 1] - path[k]).astype(np.float64)
            across = np.array([-along[1], along[0]]) / (np.linalg.norm(along) + 1e-6) * width * 0.8
            ends = [tuple(int(v) for v in path[k] + sign * across) for sign in (-1, 1)]
            cv2.line(picture, ends[0], ends[1], (225.0, 225.0, 220.0), max(2, round(width * 0.28)), cv2.LINE_AA)

    def _ellipse(self, centre: npt.NDArray[np.float64], radii: npt.NDArray[np.float64], angle: float) -> Float:
        """0 in the middle, 1 on the border."""
        x, y = self._x - np.float32(centre[0]), self._y - np.float32(centre[1])
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        u, v = (cos * x + sin * y) / np.float32(radii[0]), (cos * y - sin * x) / np.float32(radii[1])
        # A pear: narrower towards the neck.
        return np.asarray(np.sqrt(u * u + v * v * (1.25 - 0.35 * np.clip(u, -1, 1)) ** 2), np.float32)

    @staticmethod
    def _fill(
        picture: Float, mask: Bytes, where: npt.NDArray[np.bool_], colour: Float, light: Float, label: int
    ) -> None:
        picture[where] = colour * light[where][:, None]
        mask[where] = label


def _parts(pixels: npt.NDArray[np.int32], height: int) -> list[npt.NDArray[np.int32]]:
    """A path cut where it jumps."""
    jumps = np.flatnonzero(np.abs(np.diff(pixels, axis=0)).sum(axis=1) > 0.03 * height) + 1
    return list(np.split(pixels, jumps))
