"""Recordings that the tests of this room make for themselves."""

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

IMAGE = """std_msgs/Header header
uint32 height
uint32 width
string encoding
uint8 is_bigendian
uint32 step
uint8[] data
"""
COMPRESSED = """std_msgs/Header header
string format
uint8[] data
"""
_HEADER = (
    f"{'=' * 80}\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n"
    f"{'=' * 80}\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n"
)


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    """`write_video(path, frames, fps, size, codec)`: frame k is grey of brightness 20 + 10 k."""

    def write(
        path: Path, frames: int = 20, fps: float = 25.0, size: tuple[int, int] = (64, 48), codec: str = "mp4v"
    ) -> Path:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, size)
        assert writer.isOpened()
        for k in range(frames):
            writer.write(np.full((size[1], size[0], 3), 20 + 10 * k, np.uint8))
        writer.release()
        return path

    return write


@pytest.fixture
def write_bag(tmp_path: Path) -> Callable[..., Path]:
    """`write_bag({topic: messages})`: an MCAP file; a message with an `encoding` is an Image, without a CompressedImage."""
    mcap = pytest.importorskip(
        "mcap_ros2.writer", reason="mcap-ros2-support is not installed: it is in the extra `ros`"
    )

    def write(topics: dict[str, Iterable[dict[str, object]]], name: str = "bag.mcap") -> Path:
        path = tmp_path / name
        with path.open("wb") as file:
            writer = mcap.Writer(file)
            image = writer.register_msgdef("sensor_msgs/msg/Image", IMAGE + _HEADER)
            compressed = writer.register_msgdef("sensor_msgs/msg/CompressedImage", COMPRESSED + _HEADER)
            text = writer.register_msgdef("std_msgs/msg/String", "string data\n")
            for topic, messages in topics.items():
                for k, message in enumerate(messages):
                    schema = image if "encoding" in message else compressed if "format" in message else text
                    writer.write_message(topic, schema, message, log_time=1000 + k, publish_time=1000 + k)
            writer.finish()
        return path

    return write
