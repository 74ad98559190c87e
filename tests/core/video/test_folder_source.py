"""A folder of images is the commonest kind of image in it, in name order."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from surgical_ml.errors import InputError
from surgical_ml.video import open_source


def write(folder: Path, *names: str) -> None:
    """Each image's brightness is ten times the number in its name."""
    for name in names:
        brightness = 10 * int("".join(letter for letter in name if letter.isdigit()))
        assert cv2.imwrite(str(folder / name), np.full((6, 8, 3), brightness, np.uint8))


def brightness(folder: Path) -> list[int]:
    with open_source(str(folder)) as source:
        return [int(frame.image[0, 0, 0]) for frame in source]


def test_images_come_in_name_order_at_thirty_a_second(tmp_path: Path) -> None:
    write(tmp_path, "c03.png", "a09.png", "b07.png")
    with open_source(str(tmp_path)) as source:
        frames = list(source)
    assert [frame.image[0, 0, 0] for frame in frames] == [90, 70, 30]
    assert [frame.stamp_ns for frame in frames] == [0, 33_333_333, 66_666_667]
    assert [frame.index for frame in frames] == [0, 1, 2]
    info = source.info
    assert (info.width, info.height, info.fps, info.frames, info.live) == (8, 6, 30.0, 3, False)


def test_a_rate_that_is_given_makes_the_stamps(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.png")
    with open_source(str(tmp_path), fps=4) as source:
        assert [frame.stamp_ns for frame in source] == [0, 250_000_000]


def test_only_the_commonest_extension_counts_whatever_its_case(tmp_path: Path) -> None:
    write(tmp_path, "2.png", "3.PNG", "1.jpg", "9.bmp")
    (tmp_path / "notes.txt").write_text("of four files the most")
    assert brightness(tmp_path) == [20, 30]


def test_hidden_files_and_folders_named_like_images_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, "2.png")
    (tmp_path / "._2.png").write_bytes(b"what some systems leave beside a file")
    (tmp_path / "masks.png").mkdir()
    assert brightness(tmp_path) == [20]


def test_grey_and_transparent_images_become_colour(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.full((6, 8), 50, np.uint8))
    cv2.imwrite(str(tmp_path / "2.png"), np.full((6, 8, 4), 60, np.uint8))
    assert brightness(tmp_path) == [50, 60]


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_an_image_that_cannot_be_decoded_is_named_when_its_turn_comes(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, "1.png", "2.png")
    (tmp_path / "3.png").write_bytes(content)
    with open_source(str(tmp_path)) as source:
        frames = iter(source)
        assert [next(frames).index, next(frames).index] == [0, 1]
        with pytest.raises(InputError) as refused:
            next(frames)
    assert refused.value.thing == str(tmp_path / "3.png")
    assert refused.value.found == f"{len(content)} bytes that are none"


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "video.txt").write_text("")
    with pytest.raises(InputError, match=r"expected a folder with images \(.*\.png.*\), found none"):
        open_source(str(tmp_path))
