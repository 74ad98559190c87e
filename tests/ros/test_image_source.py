"""Frames from an image topic: what is accepted, what it costs, and what happens to the rest."""

import array

import numpy as np
import pytest
from sensor_msgs.msg import Image
from waiting import PATIENCE_S, wait_until

from surgical_ml.errors import InputError
from surgical_ml.ros.image_source import ImageSource, frame_from
from surgical_ml.video import Slot

HEIGHT, WIDTH = 6, 4


def picture(channels: int) -> np.ndarray:
    return np.arange(HEIGHT * WIDTH * channels, dtype=np.uint8).reshape(HEIGHT, WIDTH, channels)


def image_message(encoding: str = "bgr8", *, sec: int = 3, nanosec: int = 5, padding: int = 0) -> Image:
    pixels = picture(1 if encoding == "mono8" else 3).reshape(HEIGHT, -1)
    rows = np.pad(pixels, ((0, 0), (0, padding)))
    message = Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=rows.shape[1])
    message.data = array.array("B", rows.tobytes())
    message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec
    message.header.frame_id = "endoscope_left_optical"
    return message


def test_a_bgr_picture_is_not_copied():
    message = image_message("bgr8")
    frame = frame_from(message, 9)
    assert np.array_equal(frame.image, picture(3))
    assert (frame.index, frame.stamp_ns) == (9, 3_000_000_005)
    assert np.shares_memory(frame.image, np.frombuffer(message.data, np.uint8))


def test_rgb_becomes_bgr():
    assert np.array_equal(frame_from(image_message("rgb8"), 0).image, picture(3)[:, :, ::-1])


def test_mono_becomes_bgr_with_equal_channels():
    assert np.array_equal(frame_from(image_message("mono8"), 0).image, np.repeat(picture(1), 3, axis=2))


@pytest.mark.parametrize("encoding", ["bgr8", "rgb8", "mono8"])
def test_padding_at_the_end_of_rows_is_left_out(encoding):
    padded = frame_from(image_message(encoding, padding=5), 0).image
    assert np.array_equal(padded, frame_from(image_message(encoding), 0).image)
    assert padded.flags.c_contiguous


def damaged(**fields: object) -> Image:
    message = image_message()
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (damaged(encoding="yuv422"), "image encoding: expected bgr8 or rgb8 or mono8, found 'yuv422'"),
        (damaged(encoding=""), "image encoding: expected bgr8 or rgb8 or mono8, found ''"),
        (damaged(width=0), "image: expected at least one pixel, found 0x6"),
        (damaged(height=0), "image: expected at least one pixel, found 4x0"),
        (damaged(step=11), "image step: expected at least 12 bytes for 4 pixels of bgr8, found 11"),
        (damaged(data=array.array("B", bytes(71))), "image data: expected 72 bytes for 6 rows of 12, found 71"),
        (damaged(data=array.array("B")), "image data: expected 72 bytes for 6 rows of 12, found 0"),
        (damaged(width=2**32 - 1), "image step: expected at least 12884901885 bytes"),
        (image_message(sec=0, nanosec=0), "image: expected an acquisition stamp, found 0 ns"),
    ],
)
def test_a_malformed_picture_is_refused_by_name(message, complaint):
    with pytest.raises(InputError) as refused:
        frame_from(message, 0)
    assert str(refused.value).startswith(complaint)


def test_pictures_go_on_from_a_topic_and_malformed_ones_are_counted(make_node):
    node, camera = make_node("assistant"), make_node("camera")
    slot = Slot()
    source = ImageSource(node, "image", slot.put)
    publisher = camera.create_publisher(Image, "image", 10)
    wait_until(publisher.get_subscription_count, PATIENCE_S, node, camera)
    source.start()

    def send(message: Image) -> None:
        before = source.received
        publisher.publish(message)
        wait_until(lambda: source.received > before, PATIENCE_S, node, camera)

    send(image_message())
    assert slot.take(0).index == 0
    assert source.frame_id == "endoscope_left_optical"
    send(damaged(encoding="yuv422"))
    send(image_message())  # the same stamp again
    assert slot.take(0) is None
    send(image_message(sec=4))
    assert slot.take(0).index == 3
    assert (source.received, source.rejected) == (4, 2)


def test_nothing_is_delivered_before_start_and_after_stop(make_node):
    node = make_node("assistant")
    frames = []
    source = ImageSource(node, "image", frames.append)
    source._take(image_message())
    source.start()
    source._take(image_message())
    source.stop()
    source._take(image_message(sec=9))
    assert [frame.index for frame in frames] == [0]
    source.start()
    source._take(image_message())
    assert [frame.index for frame in frames] == [0, 0]
    source.close()
