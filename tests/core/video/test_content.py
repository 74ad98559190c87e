"""Where the picture is: a circle, a box or all of the frame; and one odd picture moves nothing."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from surgical_ml.video import ContentArea, ContentTracker, Frame, Image
from surgical_ml.video.content import find_content

SINUS = Path(__file__).resolve().parents[4] / "shared" / "data" / "sinus-endoscopy"
SIZES = st.sampled_from([(320, 240), (640, 480), (720, 576), (960, 540)])

WITHIN = 0.012
"""How far centre and radius of a circle may be off, in heights of the frame; 0.007 was seen in 400 of them."""


def tissue(size: tuple[int, int], seed: int, brightness: float) -> np.ndarray:
    """Something smooth and reddish, (H, W, 3) float32."""
    patches = np.random.default_rng(seed).uniform(0.5, 1.0, (6, 8, 3)) * (0.45, 0.5, 1.0) * brightness
    return cv2.resize(patches.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)


def seen_through(
    shows: np.ndarray, seed: int, brightness: float = 150.0, black: float = 4.0, noise: float = 2.0
) -> Image:
    """Tissue where the endoscope shows it, (H, W) bool, and a sensor's black elsewhere."""
    height, width = shows.shape
    picture = np.where(shows[..., None], tissue((width, height), seed, brightness), black)
    picture += np.random.default_rng(seed).normal(0.0, noise, (height, width, 1))
    return np.clip(picture, 0, 255).astype(np.uint8)


def disc(size: tuple[int, int], x: float, y: float, radius: float) -> np.ndarray:
    """(H, W) bool, of pixels whose middle lies in the circle."""
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    return np.hypot(columns + 0.5 - x, rows + 0.5 - y) <= radius


def box(size: tuple[int, int], left: int, top: int, right: int, bottom: int) -> np.ndarray:
    shows = np.zeros(size[::-1], bool)
    shows[top:bottom, left:right] = True
    return shows


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@settings(max_examples=60, deadline=None)
@given(
    size=SIZES,
    share=st.floats(0.37, 0.68),
    right=st.floats(-0.2, 0.2),
    down=st.floats(-0.15, 0.15),
    brightness=st.floats(60, 230),
    black=st.floats(0, 8),
    noise=st.floats(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_circle_is_found_also_off_centre_and_cut_by_the_frame(
    size: tuple[int, int],
    share: float,
    right: float,
    down: float,
    brightness: float,
    black: float,
    noise: float,
    seed: int,
) -> None:
    width, height = size
    x, y, radius = width / 2 + right * height, height / 2 + down * height, share * height
    shows = disc(size, x, y, radius)
    assume(shows.mean() < 0.93)
    area = find_content(seen_through(shows, seed, brightness, black, noise))
    assert area is not None
    assert area.shape == "circle"
    off = (area.centre[0] - x, area.centre[1] - y, area.radius - radius)
    assert max(map(abs, off)) <= WITHIN * height
    left, top, box_width, box_height = area.box
    assert 0 <= left <= left + box_width <= width
    assert 0 <= top <= top + box_height <= height
    rows, columns = np.flatnonzero(shows.any(axis=1)), np.flatnonzero(shows.any(axis=0))
    edges = (left - columns[0], top - rows[0], left + box_width - 1 - columns[-1], top + box_height - 1 - rows[-1])
    assert max(map(abs, edges)) <= 2 + 2 * WITHIN * height


@settings(max_examples=40, deadline=None)
@given(
    size=SIZES,
    across=st.tuples(st.floats(0, 0.3), st.floats(0, 0.3)),
    down=st.tuples(st.floats(0, 0.3), st.floats(0, 0.3)),
    noise=st.floats(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_box_between_black_borders_is_found(
    size: tuple[int, int], across: tuple[float, float], down: tuple[float, float], noise: float, seed: int
) -> None:
    width, height = size
    left, right = round(across[0] * width), width - round(across[1] * width)
    top, bottom = round(down[0] * height), height - round(down[1] * height)
    area = find_content(seen_through(box(size, left, top, right, bottom), seed, noise=noise))
    assert area is not None
    assert area.shape in ("box", "full")
    # One look at every n-th pixel, whose neighbours decide with it: two of them, and the last pixel of an odd number.
    within = 2 * max(1, width // 160) + 2
    if area.shape == "full":
        assert (right - left) >= 0.96 * width - within
        assert (bottom - top) >= 0.96 * height - within
    x, y, box_width, box_height = area.box
    if area.shape == "box":
        edges = (x - left, y - top, x + box_width - right, y + box_height - bottom)
        assert max(map(abs, edges)) <= within


@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_a_picture_that_fills_the_frame_is_full(noise: float) -> None:
    area = find_content(seen_through(np.ones((480, 640), bool), 3, noise=noise))
    assert area == ContentArea("full", (0, 0, 640, 480), (320, 240), 0)


@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_a_dark_picture_shows_no_border(noise: float) -> None:
    assert find_content(seen_through(np.zeros((480, 640), bool), 3, noise=noise)) is None


def test_deep_shadow_and_glare_inside_a_circle_do_not_move_it() -> None:
    size = (640, 480)
    picture = seen_through(disc(size, 300, 250, 200), 5)
    cv2.ellipse(picture, (240, 330), (70, 40), 30, 0, 360, (3, 3, 3), cv2.FILLED)
    cv2.circle(picture, (420, 180), 25, (255, 255, 255), cv2.FILLED)
    area = find_content(picture)
    assert area is not None
    assert area.shape == "circle"
    assert (*area.centre, area.radius) == pytest.approx((300, 250, 200), abs=5)


def test_words_in_the_black_border_are_not_the_picture() -> None:
    picture = seen_through(disc((640, 480), 320, 240, 220), 5)
    cv2.putText(picture, "ID 0815", (4, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (220, 220, 220), 1)
    area = find_content(picture)
    assert area is not None
    assert (area.shape, area.radius) == ("circle", pytest.approx(220, abs=5))


@settings(max_examples=50, deadline=None)
@given(width=st.integers(1, 40), height=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_the_box_lies_in_the_frame_however_small_it_is(width: int, height: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    area = ContentTracker().update(Frame(picture, 0, 0))
    x, y, box_width, box_height = area.box
    assert 0 <= x < x + box_width <= max(2, width)
    assert 0 <= y < y + box_height <= max(2, height)


CIRCLE = seen_through(disc((320, 240), 160, 120, 105), 1)
BOX = seen_through(box((320, 240), 40, 0, 280, 240), 2)
DARK = np.zeros_like(CIRCLE)


def follow(tracker: ContentTracker, *pictures: tuple[Image, int]) -> list[str]:
    """The shapes that are reported for each picture, shown so many times."""
    shapes = []
    for picture, times in pictures:
        shapes += [tracker.update(Frame(picture, 0, 0)).shape for _ in range(times)]
    return shapes


def test_the_first_picture_counts_at_once_and_a_new_area_only_on_agreement() -> None:
    shapes = follow(ContentTracker(), (CIRCLE, 20), (BOX, 40))
    assert shapes[0] == "circle"
    changes = [k for k in range(1, len(shapes)) if shapes[k] != shapes[k - 1]]
    assert len(changes) == 1
    assert shapes[-1] == "box"
    # It is looked at again within 15 frames, and then must be seen three times running.
    assert 20 + 2 <= changes[0] <= 20 + 15 + 3


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2), st.integers(3, 40)), max_size=6))
def test_one_or_two_odd_pictures_never_move_the_area(bursts: list[tuple[int, int]]) -> None:
    tracker = ContentTracker()
    pictures = [(CIRCLE, 1)]
    for odd, between in bursts:
        pictures += [(BOX, odd), (CIRCLE, between)]
    assert set(follow(tracker, *pictures)) == {"circle"}


def test_while_it_is_dark_the_area_stays_what_it_was() -> None:
    assert set(follow(ContentTracker(), (CIRCLE, 5), (DARK, 60), (CIRCLE, 5))) == {"circle"}


def test_the_first_picture_after_darkness_counts_at_once() -> None:
    assert follow(ContentTracker(), (DARK, 7), (CIRCLE, 1)) == ["full"] * 7 + ["circle"]


def test_another_size_is_looked_at_anew() -> None:
    tracker = ContentTracker()
    follow(tracker, (CIRCLE, 5))
    assert follow(tracker, (seen_through(np.ones((120, 160), bool), 4), 1)) == ["full"]


@pytest.mark.shared_data
@pytest.mark.skipif(not SINUS.is_dir(), reason="../shared/data is not beside the project")
def test_on_a_real_recording_the_circle_is_the_true_field_of_view() -> None:
    """Its field of view is a circle that is cut above and below, so that no circle is better than the best one there is."""
    true = cv2.imread(str(SINUS / "undistorted_mask.bmp"), cv2.IMREAD_GRAYSCALE) > 127
    size = true.shape[::-1]
    columns = np.flatnonzero(true.any(axis=0))
    radius = (columns[-1] + 1 - columns[0]) / 2
    centre = columns[0] + radius
    best = max(iou(disc(size, centre, y, radius), true) for y in range(520, 580, 4))
    frames = sorted(SINUS.glob("*.jpg"))[::4]
    found = []
    for path in frames:
        area = find_content(cv2.imread(str(path)))
        assert area is not None
        assert area.shape == "circle"
        found.append(disc(size, *area.centre, area.radius))
    assert len(found) == 9
    assert best == pytest.approx(0.95, abs=0.01)
    assert min(iou(shows, true) for shows in found) >= 0.94
    # Where it is not cut, in the rows between, the circle is the field of view.
    rows = slice(150, 950)
    assert min(iou(shows[rows], true[rows]) for shows in found) >= 0.98
