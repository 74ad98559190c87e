"""The network sees the content area, whole, undistorted and normalised; and positions find their way back."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.engine import InputSpec
from surgical_ml.perception.preprocess import Preprocessor
from surgical_ml.video import ContentArea

PLAIN = InputSpec(width=320, height=192, mean=(0, 0, 0), std=(1, 1, 1))


def area(x: int, y: int, width: int, height: int) -> ContentArea:
    return ContentArea("box", (x, y, width, height), (x + width / 2, y + height / 2), None)


def test_colours_come_out_as_rgb_between_0_and_1() -> None:
    image = np.zeros((192, 320, 3), np.uint8)
    image[:] = (255, 128, 0)
    tensor, _, _ = Preprocessor(PLAIN)(image, area(0, 0, 320, 192))
    assert tensor.shape == (1, 3, 192, 320)
    np.testing.assert_allclose(tensor[0, :, 90, 100], [0, 128 / 255, 1], atol=1e-6)


def test_mean_and_deviation_are_taken_from_the_manifest() -> None:
    spec = InputSpec(width=320, height=192, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    image = np.full((192, 320, 3), 255, np.uint8)
    tensor, _, _ = Preprocessor(spec)(image, area(0, 0, 320, 192))
    np.testing.assert_allclose(tensor[0, :, 0, 0], [1, 3, 0.5], atol=1e-5)


def test_a_square_view_keeps_its_shape_between_black_bars() -> None:
    image = np.full((1080, 1920, 3), 200, np.uint8)
    tensor, _, placement = Preprocessor(PLAIN)(image, area(420, 0, 1080, 1080))
    assert placement.pad == (64, 0)
    assert (tensor[0, :, :, :64] == 0).all()
    assert (tensor[0, :, :, 64:256] > 0.7).all()
    assert (tensor[0, :, :, 256:] == 0).all()


def test_bars_of_an_earlier_picture_do_not_shine_through() -> None:
    preprocess = Preprocessor(PLAIN)
    white = np.full((720, 1280, 3), 255, np.uint8)
    preprocess(white, area(0, 0, 1280, 720))
    tensor, _, placement = preprocess(white, area(280, 0, 720, 720))
    assert (tensor[0, :, :, : placement.pad[0]] == 0).all()


def test_the_digest_names_the_resized_input() -> None:
    preprocess = Preprocessor(PLAIN)
    image = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
    _, first, _ = preprocess(image, area(0, 0, 1280, 720))
    _, again, _ = preprocess(image.copy(), area(0, 0, 1280, 720))
    image[:8, :8] ^= 255
    _, other, _ = preprocess(image, area(0, 0, 1280, 720))
    assert first == again
    assert len({first, other}) == 2


@settings(deadline=None)
@given(
    st.integers(64, 1920),
    st.integers(64, 1080),
    st.integers(0, 200),
    st.integers(0, 200),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_every_point_finds_its_way_back_to_the_frame(
    width: int, height: int, x: int, y: int, u: float, v: float
) -> None:
    image = np.zeros((y + height, x + width, 3), np.uint8)
    _, _, placement = Preprocessor(PLAIN)(image, area(x, y, width, height))
    frame = (x + u * width, y + v * height)
    at = [(frame[k] - placement.origin[k]) * placement.scale + placement.pad[k] for k in range(2)]
    back = placement.to_frame(at[0], at[1])
    assert abs(back[0] - frame[0]) < 1e-6 * (1 + width)
    assert abs(back[1] - frame[1]) < 1e-6 * (1 + height)


@settings(max_examples=40, deadline=None)
@given(
    box=st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(160, 900), st.integers(120, 700)),
    u=st.floats(0.05, 0.95),
    v=st.floats(0.05, 0.95),
)
def test_a_spot_of_the_frame_is_found_back_where_it_was(box: tuple[int, int, int, int], u: float, v: float) -> None:
    x, y, width, height = box
    scale = min(320 / width, 192 / height)
    spot = (x + round(u * width), y + round(v * height))
    image = np.zeros((y + height + 7, x + width + 5, 3), np.uint8)
    reach = 2 + round(2 / scale)
    image[spot[1] - reach : spot[1] + reach, spot[0] - reach : spot[0] + reach] = 255
    tensor, _, placement = Preprocessor(PLAIN)(image, area(x, y, width, height))
    light = tensor[0].sum(axis=0)
    rows, columns = np.mgrid[0:192, 0:320]
    seen = (float((light * (columns + 0.5)).sum() / light.sum()), float((light * (rows + 0.5)).sum() / light.sum()))
    back = placement.to_frame(*seen)
    assert abs(back[0] - spot[0]) < 1 + 1 / scale
    assert abs(back[1] - spot[1]) < 1 + 1 / scale
