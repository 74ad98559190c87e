"""The field of view and its notch, in pictures that are drawn with both where a test says."""

import cv2
import numpy as np
import pytest

from surgical_ml.calibration.field import field_residuals, find_field, notch_angle
from surgical_ml.errors import InputError

SIZE = (960, 540)
CENTRE, RADIUS = (487.3, 262.8), 248.6
FINE = 8


def picture(notch_deg=None, *, notches=(), outward=True, light=150.0, noise=3.0, centre=CENTRE, radius=RADIUS, seed=1):
    """A field of uneven tissue with a triangular notch of 4 degrees; drawn finely, so that its rim is soft."""
    rng = np.random.default_rng(seed)
    x, y = (axis.astype(np.float32) for axis in np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1])))
    inside = cv2.GaussianBlur(
        mask(centre, radius, notches or (() if notch_deg is None else (notch_deg,)), outward), (3, 3), 0
    )
    tissue = cv2.resize(rng.uniform(0.6, 1.0, (6, 10)).astype(np.float32), SIZE, interpolation=cv2.INTER_CUBIC)
    grey = light * inside * tissue * (1 - 0.3 * np.hypot(x - centre[0], y - centre[1]) / radius)
    colours = grey[..., None] * np.array([0.45, 0.5, 1.0]) + 2 + rng.normal(0, noise, (*grey.shape, 3))
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8)


def mask(centre, radius, notches, outward):
    """(H, W) how much of each pixel lies inside."""
    found = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    scale = 1 << 4
    place = np.array(centre)
    cv2.circle(found, tuple(np.rint(place * scale).astype(int)), round(radius * scale), 255, -1, cv2.LINE_AA, 4)
    for angle in notches:
        along = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
        across = np.array([-along[1], along[0]]) * radius * np.tan(np.deg2rad(2))
        base, tip = (0.98, 1.06) if outward else (1.03, 0.93)
        corners = [
            place + base * radius * along - across,
            place + tip * radius * along,
            place + base * radius * along + across,
        ]
        cv2.fillConvexPoly(found, np.rint(np.array(corners) * scale).astype(np.int32), 255 * outward, cv2.LINE_AA, 4)
    return found.astype(np.float32) / 255


def off_deg(found, wanted):
    return abs((found - wanted + 180) % 360 - 180)


@pytest.mark.parametrize("notch_deg", [None, 90.0, 251.0])
def test_the_field_is_found_to_a_fraction_of_a_pixel(notch_deg):
    found = find_field(picture(notch_deg))
    assert (found.x, found.y, found.radius) == (
        pytest.approx(CENTRE[0], abs=0.3), pytest.approx(CENTRE[1], abs=0.3), pytest.approx(RADIUS, abs=0.7)
    )  # fmt: skip


def test_a_field_that_moves_by_two_pixels_is_found_two_pixels_away():
    before, after = find_field(picture()), find_field(picture(centre=(CENTRE[0] + 2, CENTRE[1]), seed=2))
    x, y, radius = field_residuals(7, after, before)
    assert [one.check for one in (x, y, radius)] == ["field-x", "field-y", "field-radius"]
    assert (x.value_milli, y.value_milli, radius.value_milli) == pytest.approx((2000, 0, 0), abs=300)


@pytest.mark.parametrize("outward", [True, False])
@pytest.mark.parametrize("notch_deg", [0.0, 45.0, 90.0, 133.7, 180.0, 270.0, 359.5])
def test_the_notch_is_read_clockwise_from_the_right(notch_deg, outward):
    assert off_deg(notch_angle(picture(notch_deg, outward=outward)), notch_deg) < 0.3


@pytest.mark.parametrize("light", [12.0, 25.0, 60.0, 250.0])
def test_the_notch_is_read_in_dark_and_in_bright_pictures(light):
    assert off_deg(notch_angle(picture(200.0, light=light, noise=1.0)), 200.0) < 0.5


def test_the_notch_is_read_where_the_picture_cuts_the_field_off():
    cut = picture(180.0, radius=300.0, centre=(480.0, 270.0))
    assert off_deg(notch_angle(cut), 180.0) < 0.3


def test_turning_the_picture_by_ten_degrees_changes_the_reading_by_ten():
    readings = [notch_angle(picture(angle, seed=k)) for k, angle in enumerate(np.arange(0, 360, 40))]
    steps = np.diff(np.unwrap(readings, period=360))
    assert steps == pytest.approx(40, abs=0.4)


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (picture, "a notch at the rim of the field of view, found a smooth rim"),
        (lambda: picture(notches=(30.0, 170.0)), "one notch .* found 2 bumps alike"),
        (lambda: np.zeros((540, 960, 3), np.uint8), "a lit field of view, found grey values from 0 to 0"),
        (lambda: np.full((540, 960, 3), 130, np.uint8), "a lit field of view"),
        (lambda: np.random.default_rng(1).integers(40, 200, (540, 960, 3), np.uint8), "a circular field of view"),
        (lambda: np.zeros((540, 960), np.uint8), "three channels"),
    ],
)
def test_a_picture_without_one_notch_is_refused(shown, message):
    with pytest.raises(InputError, match=message):
        notch_angle(shown())
