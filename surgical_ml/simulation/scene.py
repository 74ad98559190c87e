"""One frame of a synthetic operation in the plain look: field, camera, instruments and optics, with its ground truth."""

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.simulation.anatomy import MARGIN, Field, FieldState, noise
from surgical_ml.simulation.instruments import Instruments
from surgical_ml.simulation.picture import Picture
from surgical_ml.simulation.plan import QUALITIES, CasePlan

Bytes = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]

_BAND = 32
"""Rows that pass all optics together: so few that they stay in a core's cache."""

TARGETS = {0: "body", 1: "neck", 2: "hilum", 3: "body", 4: "body", 5: "neck", 6: "body"}
"""Where in the field the hands work in each phase."""


class PlainScene:
    """Renders any moment of one planned case in the plain look.

    Args:
        plan: the script.
        size: (width, height) in pixels.
        view: `random`, `full`, `circle` or `box`: the shape of the field of view.
    """

    def __init__(self, plan: CasePlan, size: tuple[int, int], *, view: str = "random") -> None:
        self.plan, self.size = plan, size
        rng = np.random.default_rng([plan.seed, 4])
        self._field = Field(plan, size)
        self._hands = Instruments(plan.seed, size, plan.split)
        self._camera_speed = rng.uniform(0.02, 0.09, (4, 3))
        self._camera_phase = rng.uniform(0, 2 * np.pi, (4, 3))
        self._zoom = float(rng.uniform(0.95, 1.25))
        self._breath = float(rng.uniform(0.18, 0.3))
        self._balance = rng.uniform(0.88, 1.12, 3).astype(np.float32)
        self._gamma = float(rng.uniform(0.8, 1.25))
        self._noise = float(rng.uniform(1.0, 5.0))
        width, height = size
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        centre = (width * rng.uniform(0.42, 0.58), height * rng.uniform(0.42, 0.58))
        radius = np.hypot(x - centre[0], y - centre[1]) / height
        self._light = (rng.uniform(1.0, 1.25) - rng.uniform(0.25, 0.75) * radius**2).astype(np.float32)
        self._curve = np.power(np.arange(256, dtype=np.float32), np.float32(self._gamma))
        self._shading = np.power(np.maximum(self._light, 0.0), np.float32(self._gamma))
        self._view = field_of_view(view, size, rng)
        self._seen = None if self._view is None else self._view.astype(np.uint8)
        self._smoke = np.stack([cv2.resize(noise(rng, (68, 120), 4, 0.55), size) for _ in range(2)])
        self._outside = np.clip(120 + 60 * noise(rng, (height, width), 4, 0.6), 0, 255)

    def at(self, t_s: float) -> Picture:
        """Render the moment `t_s`, seconds from the start of the case. Moments may be asked for in any order."""
        plan, height = self.plan, self.size[1]
        quality = tuple(plan.strength(kind, t_s) for kind in QUALITIES)
        rng = np.random.default_rng([plan.seed, 6, round(t_s * 1000)])
        if plan.strength("out_of_body", t_s) > 0.0:
            return self._away(t_s, rng)
        canvas, canvas_mask = self._field.paint(FieldState.at(plan, t_s))
        matrix = self._camera(t_s)
        wide = cv2.warpAffine(canvas, matrix, self.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        image = cv2.cvtColor(wide, cv2.COLOR_BGRA2BGR)
        mask = cv2.warpAffine(canvas_mask, matrix, self.size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
        tips: list[tuple[str, float, float]] = []
        target = matrix @ np.array([*self._field.point(TARGETS[plan.segment_at(t_s).phase]), 1.0])
        for use in plan.tools_at(t_s):
            away = np.array([-0.16 if use.slot == 0 else 0.05, -0.02]) * height
            pose = self._hands.pose(use, t_s, target + away)
            tip = self._hands.draw(image, mask, use.tool, pose)
            if tip is not None and (self._view is None or self._view[int(tip[1]), int(tip[0])]):
                tips.append((use.tool, *tip))
        image = self._through_scope(self._optics(image, quality, t_s, rng))
        return Picture(image, self._through_scope(mask), tuple(tips), quality, True)

    @property
    def content_box(self) -> tuple[int, int, int, int]:
        """(x, y, width, height) of the field of view in pixels."""
        if self._view is None:
            return 0, 0, *self.size
        rows, columns = np.flatnonzero(self._view.any(axis=1)), np.flatnonzero(self._view.any(axis=0))
        x, y = int(columns[0]), int(rows[0])
        return x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y

    def _camera(self, t_s: float) -> npt.NDArray[np.float64]:
        """Canvas to picture: slow wandering, zooming and turning, and the breathing of the patient."""
        width, height = self.size
        wave = np.sin(2 * np.pi * self._camera_speed * t_s + self._camera_phase).mean(axis=1)
        scale = self._zoom * (1 + 0.10 * wave[2])
        angle = 0.12 * wave[3]
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        breath = 0.012 * np.sin(2 * np.pi * self._breath * t_s)
        middle = np.array([width, height]) * MARGIN / 2
        shift = np.array([width, height]) / 2 + height * (0.10 * wave[:2] + np.array([0.0, breath]))
        matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
        matrix[:, 2] = shift - matrix[:, :2] @ middle
        return matrix

    def _through_scope(self, picture: Bytes) -> Bytes:
        """Black wherever the endoscope shows nothing."""
        return picture if self._seen is None else cv2.bitwise_and(picture, picture, mask=self._seen)

    def _optics(self, image: Bytes, quality: tuple[float, ...], t_s: float, rng: np.random.Generator) -> Bytes:
        smoke, blood, blur, dark, over = quality
        gamma, exposure = self._gamma, (1.0 - 0.86 * dark) * (1.0 + 2.6 * over)
        clear = smoke == blood == blur == 0
        clouded = None if clear else self._clouded(image, smoke, blood, blur, exposure, t_s)
        lamp = (self._balance * exposure) ** gamma
        picture = np.empty_like(image)
        for top in range(0, len(image), _BAND):
            rows = slice(top, top + _BAND)
            if clouded is None:
                # Nothing is added to the light, so that its power is a product of powers: one of 256 values, and one
                # that belongs to the place.
                curved = cv2.LUT(image[rows], self._curve)
                np.multiply(curved, cv2.merge([self._shading[rows] * value for value in lamp]), out=curved)
                cv2.threshold(curved, 255.0**gamma, 0.0, cv2.THRESH_TRUNC, dst=curved)
            else:
                curved = cv2.pow(np.clip(clouded[rows], 0.0, 255.0), gamma)
            shot = cv2.merge([rng.standard_normal(curved.shape[:2], np.float32)] * 3)
            # Half a grey level less makes of this rounding the cut that a converter makes.
            back = 255.0 ** (1.0 - gamma)
            cv2.addWeighted(curved, back, shot, self._noise, -0.5, dst=picture[rows], dtype=cv2.CV_8U)
        return picture

    def _clouded(self, image: Bytes, smoke: float, blood: float, blur: float, exposure: float, t_s: float) -> Float:
        """The light behind blood and smoke, out of focus by `blur`; (H, W, 3) float32, neither clipped nor curved yet."""
        height = self.size[1]
        lamp = self._balance * exposure
        pools = np.roll(self._smoke[1], round(0.02 * height * t_s), axis=1)
        clouds = np.roll(self._smoke[0], round(0.10 * height * t_s), axis=0)
        light = np.empty(image.shape, np.float32)
        for top in range(0, height, _BAND):
            rows = slice(top, top + _BAND)
            falloff, band = self._light[rows], light[rows]
            cv2.multiply(image[rows], cv2.merge([falloff * value for value in lamp]), dst=band, dtype=cv2.CV_32F)
            if blood > 0:
                cover = np.clip(1.2 * blood + pools[rows] - 0.55, 0.0, 1.0) * 0.9
                _veil(band, cover, exposure * cover * (0.8 + 0.2 * falloff), (18, 14, 130))
            if smoke > 0:
                cover = smoke * np.clip(0.72 + 0.35 * clouds[rows], 0.0, 0.95)
                _veil(band, cover, exposure * cover, (188, 184, 190))
        return _defocused(light, 0.3 + 0.022 * height * blur) if blur > 0 else light

    def _away(self, t_s: float, rng: np.random.Generator) -> Picture:
        """Outside the body: drapes, a glove or the room: bluish, greenish or white, out of focus."""
        width, height = self.size
        kind = np.random.default_rng([self.plan.seed, 7])
        colour = np.array(
            [(150, 120, 40), (120, 140, 60), (190, 190, 190), (140, 110, 90)][int(kind.integers(4))], np.float32
        )
        tint = colour * kind.uniform(0.6, 1.2, 3).astype(np.float32)
        moved = np.roll(self._outside, (round(0.2 * height * t_s), round(0.35 * height * t_s)), axis=(0, 1)) / 160.0
        light = _defocused(cv2.merge([np.clip(moved * value, 0, 255) for value in tint]), 0.01 * height)
        shot = cv2.merge([rng.standard_normal((height, width), np.float32)] * 3)
        picture = self._through_scope(cv2.addWeighted(light, 1.0, shot, self._noise, -0.5, dtype=cv2.CV_8U))
        return Picture(picture, np.zeros((height, width), np.uint8), (), (0.0,) * len(QUALITIES), False)


def _veil(light: Float, cover: Float, shine: Float, colour: tuple[int, int, int]) -> None:
    """Put a veil over (H, W, 3) light, in place: it keeps back `cover` of it, and adds `shine` of its own colour."""
    np.multiply(light, cv2.merge([1.0 - cover] * 3), out=light)
    np.add(light, cv2.merge([shine * value for value in colour]), out=light)


def _defocused(light: Float, sigma: float) -> Float:
    """A Gaussian blur of `sigma` pixels; a wide one on a fourth of the rows and columns, where it costs a tenth."""
    shrink = 4
    if sigma < 1.5 * shrink:
        return np.asarray(cv2.GaussianBlur(light, (0, 0), sigma))
    height, width = light.shape[:2]
    small = cv2.resize(light, (width // shrink, height // shrink), interpolation=cv2.INTER_AREA)
    # Averaging and interpolating blur as well: variances add up.
    left = float(np.sqrt(sigma**2 - (shrink**2 - 1) / 4)) / shrink
    small = cv2.GaussianBlur(small, (0, 0), left, borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def field_of_view(
    kind: str, size: tuple[int, int], rng: np.random.Generator, widest: float = 0.56
) -> npt.NDArray[np.bool_] | None:
    """Which pixels the endoscope shows, None for all; a circle's radius is at most `widest` heights."""
    width, height = size
    shape = str(rng.choice(["full", "full", "circle", "box"])) if kind == "random" else kind
    y, x = np.mgrid[0:height, 0:width]
    if shape == "circle":
        radius = height * rng.uniform(0.47, widest)
        return np.asarray(np.hypot(x - width / 2, y - height / 2) < radius)
    if shape == "box":
        border = width * rng.uniform(0.06, 0.12)
        return np.asarray((x >= border) & (x < width - border))
    return None
