"""The round field of view of an endoscope, finer than a pixel, and the notch at its rim that tells how a scope is turned."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.calibration.rigid import Floats
from surgical_ml.calibration.validity import Residual
from surgical_ml.errors import InputError
from surgical_ml.video.content import find_content

RAYS = 1440
INNERMOST, OUTERMOST = 0.80, 1.15
"""Of the radius: where along a ray the rim is looked for."""

STEP_PX = 0.5
MIN_ARC = 0.4
"""Share of the rim that has to be in the picture and seen."""

MIN_DEPTH, MIN_WIDTH_DEG, MAX_WIDTH_DEG = 0.008, 0.75, 15.0
UNIQUE = 1.5
"""How many times larger than any other dent the notch must be."""

_BRIGHT = 200.0
_LEAST_LIGHT = 4.0
"""Grey values between field and border, below which there is no rim to be seen."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of view: its centre and radius in pixels of the frame, origin in the first pixel's centre."""

    x: float
    y: float
    radius: float


def find_field(picture: npt.NDArray[np.uint8]) -> Field:
    """The circle of the field of view.

    Args:
        picture: (H, W, 3) uint8.

    Raises:
        InputError: the picture is dark all over, or shows no circular field.
    """
    return _rim(_lit(picture))[0]


def look_at_field(picture: npt.NDArray[np.uint8]) -> tuple[Field, float | None]:
    """The circle of the field of view, and where its notch is; None of a rim that shows none, as `notch_angle` has it.

    Raises:
        InputError: as `find_field`.
    """
    field, rim = _rim(_lit(picture))
    try:
        return field, _notch(field, rim)
    except InputError:
        return field, None


def turn_residual(stamp_ns: int, found_deg: float, calibrated_deg: float) -> Residual:
    """How far the notch is from where it was when the camera was calibrated, the shorter way round."""
    turned = (found_deg - calibrated_deg + 180) % 360 - 180
    return Residual(stamp_ns, "field-notch", round(1000 * turned))


def field_residuals(stamp_ns: int, found: Field, calibrated: Field) -> tuple[Residual, Residual, Residual]:
    """How far a field of view is from where it was when the camera was calibrated: its place and its radius."""
    apart = (found.x - calibrated.x, found.y - calibrated.y, found.radius - calibrated.radius)
    x, y, radius = (
        Residual(stamp_ns, check, round(1000 * value))
        for check, value in zip(("field-x", "field-y", "field-radius"), apart, strict=True)
    )
    return x, y, radius


def notch_angle(picture: npt.NDArray[np.uint8]) -> float:
    """Where the notch of the field of view is: a bump or dent of its rim, 0.75 to 15 degrees wide.

    A bump is believed before a dent: dark tissue at the rim looks like a dent, and nothing in the body like a bump.

    Args:
        picture: (H, W, 3) uint8; may be dark.

    Returns:
        Degrees, 0 to 360, from the picture's x to its y axis (clockwise on a screen) around the field's centre.

    Raises:
        InputError: there is no circular field, no notch at its rim, or more than one thing that could be it.
    """
    return _notch(*_rim(_lit(picture)))


def _notch(field: Field, rim: Floats) -> float:
    off = rim / field.radius - 1
    for way, what in ((1.0, "bump"), (-1.0, "dent")):
        dents = _dents(way * off)
        if dents:
            areas = [area for area, _ in dents]
            if len(areas) > 1 and areas[0] < UNIQUE * areas[1]:
                raise InputError("picture", "one notch at the rim of the field of view", f"{len(areas)} {what}s alike")
            return dents[0][1]
    raise InputError("picture", "a notch at the rim of the field of view", "a smooth rim")


def _lit(picture: npt.NDArray[np.uint8]) -> Floats:
    """(H, W) the brightest channel, less the border's grey, as bright as a picture should be."""
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise InputError("picture", "height, width and three channels", f"shape {picture.shape}")
    grey = cv2.GaussianBlur(picture.max(axis=2).astype(np.float64), (5, 5), 0)
    border, bright = np.percentile(grey, (3, 90))
    if bright - border < _LEAST_LIGHT:
        raise InputError("picture", "a lit field of view", f"grey values from {border:.0f} to {bright:.0f}")
    return np.asarray(np.clip((grey - border) * max(1.0, _BRIGHT / (bright - border)), 0, 255), np.float64)


def _rim(lit: Floats) -> tuple[Field, Floats]:
    """The circle, and the radius of the rim along each of `RAYS` rays from its centre; NaN where it is not seen."""
    # The noise of a dark picture was made brighter with it; what remains of it here is no light.
    smooth = cv2.GaussianBlur(lit, (15, 15), 0).astype(np.uint8)
    picture = np.repeat(smooth[..., None], 3, axis=2)
    found = find_content(picture)
    if found is None or found.shape != "circle":
        raise InputError("picture", "a circular field of view", "none" if found is None else f"a {found.shape} one")
    field = Field(float(found.centre[0]), float(found.centre[1]), float(found.radius))
    rim = np.zeros(0)
    for _ in range(3):  # each look starts from a better centre
        rim = _along_rays(lit, field)
        field = _circle(rim, field)
    return field, _along_rays(lit, field)


def _along_rays(lit: Floats, field: Field) -> Floats:
    angles = np.arange(RAYS) * 2 * np.pi / RAYS
    radii = np.arange(INNERMOST * field.radius, OUTERMOST * field.radius, STEP_PX)
    x = (field.x + np.cos(angles)[:, None] * radii).astype(np.float32)
    y = (field.y + np.sin(angles)[:, None] * radii).astype(np.float32)
    values = cv2.remap(lit.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0.0)
    outside = (x < 1) | (y < 1) | (x > lit.shape[1] - 2) | (y > lit.shape[0] - 2)
    # Half of the light just inside the rim there; of a dark place, of what the field has at its darker places.
    inside = values[:, : int(0.15 * field.radius / STEP_PX)]
    light = np.maximum(np.median(inside, axis=1), np.percentile(inside, 25))
    over = (values > light[:, None] / 2) & ~outside
    # The outermost place that is lit, and the two before it too: a lone bright pixel of the border is none.
    over[:, 2:] &= over[:, 1:-1] & over[:, :-2]
    over[:, :2] = False
    last = over.shape[1] - 1 - np.argmax(over[:, ::-1], axis=1)
    rows = np.arange(RAYS)
    after = np.minimum(last + 1, over.shape[1] - 1)
    high, low = values[rows, last], values[rows, after]
    part = np.clip((high - light / 2) / np.maximum(high - low, 1e-6), 0, 1)
    unseen = ~over.any(axis=1) | outside[rows, after] | (after == last)
    return np.asarray(np.where(unseen, np.nan, radii[last] + part * STEP_PX), np.float64)


def _circle(rim: Floats, around: Field) -> Field:
    """The circle through most of the rim: least squares (Kasa, 1976), leaving out what lies off it, again and again."""
    angles = np.arange(RAYS) * 2 * np.pi / RAYS
    points = np.column_stack([np.cos(angles) * rim, np.sin(angles) * rim])[np.isfinite(rim)]
    if len(points) < MIN_ARC * RAYS:
        raise InputError(
            "picture", f"{MIN_ARC:.0%} of the rim of the field of view", f"{len(points) / RAYS:.0%} of it in sight"
        )
    keep = np.ones(len(points), bool)
    x = y = radius = 0.0
    for _ in range(6):
        system = np.column_stack([points[keep], np.ones(keep.sum())])
        a, b, c = np.linalg.lstsq(system, -(points[keep] ** 2).sum(axis=1), rcond=None)[0]
        x, y = -a / 2, -b / 2
        radius = float(np.sqrt(max(x * x + y * y - c, 0.0)))
        off = np.abs(np.hypot(points[:, 0] - x, points[:, 1] - y) - radius)
        keep = off <= max(0.5, 2.5 * float(np.median(off)))
    return Field(around.x + float(x), around.y + float(y), radius)


def _dents(height: Floats) -> list[tuple[float, float]]:
    """Where a rim stands out: (area, place in degrees) of each arc of fitting width and height, largest first."""
    # A notch may reach out of the picture: what is not seen of it lies between what is.
    seen = np.flatnonzero(np.isfinite(height))
    height = np.interp(np.arange(RAYS), seen, height[seen], period=RAYS)
    out = height > MIN_DEPTH
    if out.all() or not out.any():
        return []
    begin = int(np.flatnonzero(~out)[0])  # so that no arc runs through the end of the list
    order = np.roll(np.arange(RAYS), -begin)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], out[order].astype(np.int8), [0]])))
    found = []
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        width_deg = (end - first) * 360 / RAYS
        if MIN_WIDTH_DEG <= width_deg <= MAX_WIDTH_DEG:
            weights = height[order[first:end]]
            place = (begin + float(np.sum(np.arange(first, end) * weights) / weights.sum())) * 360 / RAYS
            found.append((float(weights.sum()), place % 360))
    return sorted(found, reverse=True)
