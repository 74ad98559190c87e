"""A recorded ROS 2 bag in MCAP: the first image topic in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.video.frame import Frame, Image
from surgical_ml.video.source import SourceInfo

_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_CHANNELS = {"bgr8": 3, "rgb8": 3, "mono8": 1}


class McapSource:
    """Frames of `sensor_msgs/Image` (bgr8, rgb8, mono8) or `CompressedImage`; stamps are the messages' headers.

    As live from a topic, a message is left out, and leaves a gap in the index, if its stamp is zero (CRTK's sign for
    invalid data) or not after the one before it.

    Raises:
        InputError: no file, no MCAP, no image topic in it, or the `ros` extra is missing; while reading, damage, an
            unknown encoding, or a message whose size, step and data disagree.
    """

    def __init__(self, path: Path, fps: float | None = None) -> None:
        if not path.is_file():
            raise InputError(path, "an MCAP file", "no file")
        try:
            from mcap.reader import make_reader
            from mcap_ros2.decoder import DecoderFactory
        except ImportError as error:
            raise InputError("MCAP", "the packages of the extra `ros`", str(error)) from error
        self._path = path
        self._file = path.open("rb")
        try:
            self._reader = make_reader(self._file, validate_crcs=True, decoder_factories=[DecoderFactory()])
            summary = self._reader.get_summary()
        except Exception as error:  # whatever a parser makes of bytes that are something else
            self._file.close()
            raise InputError(path, "a complete MCAP file", _first_line(error)) from error
        channels = [] if summary is None else sorted(summary.channels.values(), key=lambda channel: channel.id)
        types = {} if summary is None else {key: schema.name for key, schema in summary.schemas.items()}
        images = [channel for channel in channels if types.get(channel.schema_id) in _TYPES]
        if not images or summary is None:
            self._file.close()
            raise InputError(path, f"a topic of {' or '.join(_TYPES)}", str([channel.topic for channel in channels]))
        self._topic = images[0].topic
        count = None if summary.statistics is None else summary.statistics.channel_message_counts.get(images[0].id)
        self.info = SourceInfo(f"{path.name}:{self._topic}", 0, 0, fps, count, live=False)

    def __iter__(self) -> Iterator[Frame]:
        last_ns, read = 0, 0
        for index, message in enumerate(self._messages()):
            try:
                stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
                image = None if stamp_ns <= last_ns else self._image(message, index)
            except (AttributeError, TypeError) as error:  # the bag's own description of the type is damaged
                raise InputError(self._path, "messages with the fields of their type", _first_line(error)) from error
            read += 1
            if image is not None:
                last_ns = stamp_ns
                yield Frame(image, stamp_ns, index)
        expected = self.info.frames
        if expected is not None and read != expected:
            raise InputError(self._path, f"{expected} messages on {self._topic}, as the file says", str(read))

    def _messages(self) -> Iterator[Any]:
        decoded = self._reader.iter_decoded_messages(topics=[self._topic])
        while True:
            try:
                found = next(decoded, None)
            except Exception as error:  # whatever a parser makes of damaged bytes
                raise InputError(self._path, "a complete MCAP file", _first_line(error)) from error
            if found is None:
                return
            yield found.decoded_message

    def _image(self, message: Any, index: int) -> Image:
        thing, data = f"{self._path}:{self._topic}: message {index}", np.frombuffer(bytes(message.data), np.uint8)
        if not hasattr(message, "encoding"):
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
            if image is None:
                raise InputError(thing, "a picture that can be decoded", f"{len(data)} bytes of {message.format!r}")
            return np.asarray(image, np.uint8)
        if message.encoding not in _CHANNELS:
            raise InputError(thing, " or ".join(_CHANNELS), repr(message.encoding))
        channels, height, width, step = _CHANNELS[message.encoding], message.height, message.width, message.step
        row = channels * width
        if row == 0 or height == 0 or step < row or len(data) != step * height:
            expected = f"{height} rows of {width} pixels, each of at least {row} bytes"
            raise InputError(thing, expected, f"rows of {step} in {len(data)} bytes")
        picture = data.reshape(height, step)[:, :row].reshape(height, width, channels)
        if message.encoding == "bgr8":
            return np.ascontiguousarray(picture)
        colours = cv2.COLOR_RGB2BGR if message.encoding == "rgb8" else cv2.COLOR_GRAY2BGR
        return np.asarray(cv2.cvtColor(picture, colours), np.uint8)

    def __enter__(self) -> "McapSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
