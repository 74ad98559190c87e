"""A recorded bag gives the pictures of its first image topic, as they would have come live, or names what is wrong."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.video import Frame, open_source

pytestmark = pytest.mark.ros
WriteBag = Callable[..., Path]

HEIGHT, WIDTH = 6, 4
COLOUR = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)


def message(
    picture: np.ndarray = COLOUR, encoding: str = "bgr8", padding: int = 0, at_ns: int = 5
) -> dict[str, object]:
    rows = np.pad(picture.reshape(len(picture), -1), ((0, 0), (0, padding)))
    return {
        "header": {"stamp": {"sec": at_ns // 10**9, "nanosec": at_ns % 10**9}, "frame_id": "endoscope"},
        "height": len(picture),
        "width": picture.shape[1],
        "encoding": encoding,
        "is_bigendian": 0,
        "step": rows.shape[1],
        "data": rows.tobytes(),
    }


def compressed(content: bytes, kind: str, at_ns: int = 5) -> dict[str, object]:
    stamp = {"sec": 0, "nanosec": at_ns}
    return {"header": {"stamp": stamp, "frame_id": ""}, "format": kind, "data": content}


def read(path: Path) -> list[Frame]:
    with open_source(str(path)) as source:
        return list(source)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize(
    ("encoding", "sent", "seen"),
    [
        ("bgr8", COLOUR, COLOUR),
        ("rgb8", COLOUR, COLOUR[:, :, ::-1]),
        ("mono8", COLOUR[:, :, :1], np.repeat(COLOUR[:, :, :1], 3, axis=2)),
    ],
)
def test_every_encoding_becomes_bgr_without_its_padding(
    write_bag: WriteBag, encoding: str, sent: np.ndarray, seen: np.ndarray, padding: int
) -> None:
    (frame,) = read(write_bag({"/image": [message(sent, encoding, padding)]}))
    np.testing.assert_array_equal(frame.image, seen)


@pytest.mark.parametrize(("extension", "kind"), [(".png", "png"), (".jpg", "bgr8; jpeg compressed bgr8")])
def test_compressed_pictures_are_decoded(write_bag: WriteBag, extension: str, kind: str) -> None:
    smooth = np.full((16, 16, 3), (200, 120, 40), np.uint8)
    content = cv2.imencode(extension, smooth)[1].tobytes()
    (frame,) = read(write_bag({"/image/compressed": [compressed(content, kind)]}))
    np.testing.assert_allclose(frame.image, smooth, atol=3)


def test_stamps_are_the_headers_and_the_first_image_topic_is_taken(write_bag: WriteBag) -> None:
    path = write_bag(
        {
            "/note": [{"data": "not a picture"}],
            "/left": [message(at_ns=1_700_000_000_000_000_005), message(at_ns=1_700_000_000_040_000_005)],
            "/right": [message(at_ns=9)],
        }
    )
    with open_source(str(path), fps=25) as source:
        frames = list(source)
    assert [frame.stamp_ns for frame in frames] == [1_700_000_000_000_000_005, 1_700_000_000_040_000_005]
    info = source.info
    assert (info.name, info.frames, info.fps, info.live) == ("bag.mcap:/left", 2, 25, False)


def test_what_the_live_topic_would_refuse_leaves_a_gap_in_the_index(write_bag: WriteBag) -> None:
    stamps = [7, 0, 7, 6, 8]
    frames = read(write_bag({"/image": [message(at_ns=stamp) for stamp in stamps]}))
    assert [(frame.index, frame.stamp_ns) for frame in frames] == [(0, 7), (4, 8)]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"encoding": "yuv422"}, "expected bgr8 or rgb8 or mono8, found 'yuv422'"),
        ({"step": 11}, "expected 6 rows of 4 pixels, each of at least 12 bytes, found rows of 11 in 72 bytes"),
        ({"data": bytes(71)}, "found rows of 12 in 71 bytes"),
        ({"data": b""}, "found rows of 12 in 0 bytes"),
        ({"width": 0}, "expected 6 rows of 0 pixels"),
        ({"height": 2**31}, "expected 2147483648 rows"),
    ],
)
def test_a_message_that_contradicts_itself_is_refused_by_its_number(
    write_bag: WriteBag, wrong: dict[str, object], complaint: str
) -> None:
    path = write_bag({"/image": [message(at_ns=1), message(at_ns=2) | wrong]})
    with open_source(str(path)) as source:
        frames = iter(source)
        next(frames)
        with pytest.raises(InputError, match=complaint) as refused:
            next(frames)
    assert refused.value.thing == f"{path}:/image: message 1"


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_compressed_picture_that_cannot_be_decoded_is_refused(write_bag: WriteBag, content: bytes) -> None:
    path = write_bag({"/image": [compressed(content, "jpeg")]})
    with pytest.raises(InputError, match=f"a picture that can be decoded, found {len(content)} bytes of 'jpeg'"):
        read(path)


def test_a_bag_without_pictures_names_the_topics_it_has(write_bag: WriteBag) -> None:
    path = write_bag({"/note": [{"data": "hello"}]})
    with pytest.raises(InputError, match=r"expected a topic of sensor_msgs/msg/Image or .*, found \['/note'\]"):
        open_source(str(path))


@pytest.mark.parametrize("content", [b"", b"text", bytes(100)])
def test_a_file_that_is_no_bag_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bag.mcap").write_bytes(content)
    with pytest.raises(InputError, match=r"bag\.mcap: expected a complete MCAP file, found "):
        open_source(str(tmp_path / "bag.mcap"))


def test_a_missing_bag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bag\.mcap: expected an MCAP file, found no file"):
        open_source(str(tmp_path / "bag.mcap"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_truncated_bag_is_refused_wherever_it_was_cut(write_bag: WriteBag, data: st.DataObject) -> None:
    path = write_bag({"/image": [message(at_ns=k) for k in (1, 2, 3)]})
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(InputError):
        read(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_refused_or_changes_no_picture(write_bag: WriteBag, data: st.DataObject) -> None:
    path = write_bag({"/image": [message(at_ns=k) for k in (1, 2, 3)]})
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        frames = read(path)
    except InputError:
        return
    assert len(frames) == 3
    for frame in frames:
        np.testing.assert_array_equal(frame.image, COLOUR)
