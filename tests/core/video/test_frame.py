"""A frame is a picture that every later stage can take as it is, or it is refused by name."""

import numpy as np
import pytest

from surgical_ml.errors import InputError
from surgical_ml.video import Frame

GOOD = np.zeros((4, 6, 3), np.uint8)


def test_a_frame_knows_its_size() -> None:
    frame = Frame(GOOD, 7, 3, GOOD.copy())
    assert (frame.width, frame.height, frame.stamp_ns, frame.index) == (6, 4, 7, 3)


@pytest.mark.parametrize(
    ("picture", "found"),
    [
        (np.zeros((4, 6), np.uint8), r"\(4, 6\) uint8"),
        (np.zeros((4, 6, 4), np.uint8), r"\(4, 6, 4\) uint8"),
        (np.zeros((4, 6, 3), np.float32), r"float32"),
        (np.zeros((0, 6, 3), np.uint8), r"\(0, 6, 3\) uint8"),
        (np.zeros((4, 6, 3), np.uint8)[:, ::2], r"strides"),
    ],
)
@pytest.mark.parametrize("side", ["image", "right"])
def test_what_is_no_picture_is_refused_on_either_side(picture: np.ndarray, found: str, side: str) -> None:
    pictures = {"image": GOOD, "right": GOOD} | {side: picture}
    with pytest.raises(InputError, match=rf"frame 5: {side}: expected .*, found .*{found}"):
        Frame(pictures["image"], 0, 5, pictures["right"])


def test_the_right_picture_has_the_size_of_the_left_one() -> None:
    with pytest.raises(InputError, match=r"frame 5: right: expected the left one's \(4, 6, 3\), found \(4, 8, 3\)"):
        Frame(GOOD, 0, 5, np.zeros((4, 8, 3), np.uint8))
