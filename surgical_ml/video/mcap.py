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


class McapSource:
    """Frames of `sensor_msgs/Image` (bgr8, rgb8, mono8) or `CompressedImage`; stamps are the messages' headers.

    Raises:
        InputError: no file, no MCAP, no image topic in it, the `ros` extra is missing, or an unknown encoding.
    """

    def __init__(self, path: Path, fps: float | None = None) -> None:
        if not path.is_file():
            raise InputError(path, "an MCAP file", "no file")
        try:
            from mcap.exceptions import McapError
            from mcap.reader import make_reader
            from mcap_ros2.decoder import DecoderFactory
        except ImportError as error:
            raise InputError("MCAP", "the packages of the extra `ros`", str(error)) from error
        self._path, self._error = path, McapError
        self._file = path.open("rb")
        try:
            self._reader = make_reader(self._file, decoder_factories=[DecoderFactory()])
            summary = self._reader.get_summary()
        except McapError as error:
            self._file.close()
            raise InputError(path, "an MCAP file", str(error) or type(error).__name__) from error
        channels = [] if summary is None else sorted(summary.channels.values(), key=lambda channel: channel.id)
        images = [c for c in channels if summary is not None and summary.schemas[c.schema_id].name in _TYPES]
        if not images or summary is None:
            self._file.close()
            raise InputError(path, f"a topic of {' or '.join(_TYPES)}", str([c.topic for c in channels]))
        self._topic = images[0].topic
        count = None if summary.statistics is None else summary.statistics.channel_message_counts.get(images[0].id)
        self.info = SourceInfo(f"{path.name}:{self._topic}", 0, 0, fps, count, live=False)

    def __iter__(self) -> Iterator[Frame]:
        try:
            for index, (_, _, _, message) in enumerate(self._reader.iter_decoded_messages(topics=[self._topic])):
                stamp = message.header.stamp
                yield Frame(self._image(message), stamp.sec * 1_000_000_000 + stamp.nanosec, index)
        except self._error as error:
            raise InputError(self._path, "a complete MCAP file", str(error) or type(error).__name__) from error

    def _image(self, message: Any) -> Image:
        data = np.frombuffer(bytes(message.data), np.uint8)
        if not hasattr(message, "encoding"):
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
            if image is None:
                raise InputError(f"{self._path}:{self._topic}", "a picture that can be decoded", message.format)
            return np.asarray(image, np.uint8)
        channels = {"bgr8": 3, "rgb8": 3, "mono8": 1}.get(message.encoding)
        if channels is None or len(data) < message.step * message.height:
            found = f"{message.encoding}, {len(data)} bytes"
            raise InputError(f"{self._path}:{self._topic}", "bgr8, rgb8 or mono8, complete", found)
        rows = data[: message.step * message.height].reshape(message.height, message.step)
        picture = rows[:, : channels * message.width].reshape(message.height, message.width, channels)
        if channels == 1:
            return np.repeat(picture, 3, axis=2)
        return np.ascontiguousarray(picture if message.encoding == "bgr8" else picture[:, :, ::-1])

    def __enter__(self) -> "McapSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
