"""Patterns are found in pictures to a fraction of a pixel, and what is wrong with a picture is said in a few words."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures_of_patterns import picture
from rendered_boards import BOARD, SMALL, poses

from surgical_ml.calibration.pattern import find, parse_pattern, why_not_found
from surgical_ml.calibration.rigid import apply, rigid
from surgical_ml.calibration.view import View, is_mirrored
from surgical_ml.errors import InputError

POSE = poses()[1]


@pytest.fixture(scope="module")
def board():
    return picture(BOARD, SMALL, POSE, np.random.default_rng(1))


@pytest.mark.parametrize(
    "text", ["chessboard:9x6:4mm", "circles:7x5:5mm", "asymmetric-circles:4x7:4mm", "charuco:9x7:4mm:3mm:DICT_4X4_100"]
)
def test_a_pattern_is_found_where_it_is(text):
    pattern = parse_pattern(text)
    middle = pattern.points.mean(axis=0)
    pose = rigid(POSE[:3, :3], np.array([0.002, -0.001, 0.07]) - POSE[:3, :3] @ middle)
    found = find(pattern, picture(pattern, SMALL, pose, np.random.default_rng(2)), "it")
    assert isinstance(found, View), found
    truth = SMALL.project(apply(pose, found.points))
    if not pattern.upside_down_differs and np.linalg.norm(truth[0] - found.pixels[0]) > 10:
        truth = SMALL.project(apply(pose, pattern.points[::-1]))
    assert np.sqrt(np.mean((truth - found.pixels) ** 2)) < 0.3
    assert found.image_size == (480, 270)
    assert not is_mirrored(found)


def test_a_picture_without_the_pattern_says_so():
    assert find(BOARD, np.full((270, 480, 3), 120, np.uint8), "x") == "no pattern found"


def test_two_boards_in_one_picture_are_not_taken_for_one(board):
    small = cv2.resize(board, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    assert find(BOARD, np.hstack([small, small]), "x") == "two patterns"


def test_a_picture_that_was_moved_while_it_was_taken_is_called_blurred(board):
    streak = cv2.filter2D(board, -1, np.full((1, 13), 1 / 13))
    assert str(find(BOARD, streak, "x")).startswith(("blurred: edges ", "no pattern found"))
    slight = cv2.filter2D(board, -1, np.full((1, 9), 1 / 9))
    assert "blurred" in str(find(BOARD, slight, "x"))


def test_a_board_of_another_size_is_named(board):
    other = parse_pattern("chessboard:8x7:4mm")
    assert find(other, board, "x") == "no pattern found"
    assert why_not_found(other, [board]) == "a chessboard of 9x6 inner corners in 1 of 1 pictures looked at"
    squares = parse_pattern("chessboard:10x7:4mm")
    assert "10x7 squares: inner corners count" in why_not_found(squares, [board])


def test_a_mirrored_print_is_named():
    pattern = parse_pattern("charuco:9x7:4mm:3mm:DICT_4X4_100")
    middle = pattern.points.mean(axis=0)
    pose = rigid(np.eye(3), np.array([0, 0, 0.06]) - middle)
    mirrored = np.ascontiguousarray(picture(pattern, SMALL, pose)[:, ::-1])
    assert isinstance(find(pattern, mirrored, "x"), str)
    assert why_not_found(pattern, [mirrored]).startswith("a mirrored print")
    view = find(BOARD, picture(BOARD, SMALL, POSE), "x")
    assert is_mirrored(View("x", [480, 0] + [-1, 1] * view.pixels, view.points, (480, 270)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chessboard", "chessboard:9x6:10mm"),
        ("chess:9x6:10mm", "chessboard:9x6:10mm"),
        ("chessboard:9x6", "chessboard:9x6:10mm"),
        ("chessboard:9x6:10", "chessboard:9x6:10mm"),
        ("chessboard:9x6:10mm:8mm:DICT_4X4_50", "chessboard:9x6:10mm"),
        ("chessboard:2x6:10mm", "3 to 60 columns and rows, found 2x6"),
        ("chessboard:9x6:10m", "0.2 to 200 mm, found 10000 mm"),
        ("charuco:9x6:10mm:12mm:DICT_4X4_50", "markers smaller than squares"),
        ("charuco:9x6:10mm:8mm:DICT_9X9_50", "an OpenCV dictionary"),
    ],
)
def test_a_specification_that_is_none_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_pattern(text)


@given(
    st.text(max_size=40)
    | st.from_regex(r"(chessboard|charuco|circles):\d{1,3}x\d{1,3}:[\d.]{1,5}(mm|cm|m)", fullmatch=True)
)
def test_any_text_is_a_pattern_or_refused(text):
    try:
        pattern = parse_pattern(text)
    except InputError:
        return
    assert parse_pattern(str(pattern)) == pattern or "." in text
