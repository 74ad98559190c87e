"""A V4L2 device that is not there is refused by name; one that is gets its driver's own stamps.

No camera is at hand where the tests run: `Device` stands in for OpenCV's half of it.
"""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from surgical_ml.errors import InputError
from surgical_ml.video import open_source
from surgical_ml.video.camera import OLDEST_NS


class Device:
    """What `cv2.VideoCapture` answers; gives `pictures` frames, each stamped `age_ns` before it is asked for."""

    def __init__(self, *, opens: bool = True, pictures: int = 3, age_ns: int = 7_000_000) -> None:
        self.opens, self.left, self.age_ns = opens, pictures, age_ns
        self.asked: dict[int, float] = {}
        self.released = False

    def __call__(self, index: int, backend: int) -> "Device":
        assert (index, backend) == (3, cv2.CAP_V4L2)
        return self

    def isOpened(self) -> bool:
        return self.opens

    def set(self, what: int, value: float) -> None:
        self.asked[what] = value

    def get(self, what: int) -> float:
        if what == cv2.CAP_PROP_POS_MSEC:
            return (time.monotonic_ns() - self.age_ns) // 1000 / 1000
        return {cv2.CAP_PROP_FRAME_WIDTH: 16.0, cv2.CAP_PROP_FRAME_HEIGHT: 8.0, cv2.CAP_PROP_FPS: -1.0}[what]

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return (True, np.zeros((8, 16, 3), np.uint8)) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch):
    """Makes `/dev/video3` a device."""
    exists = Path.exists

    def plug_in(device: Device) -> Device:
        monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/video3" or exists(path))
        monkeypatch.setattr(cv2, "VideoCapture", device)
        return device

    return plug_in


@pytest.mark.parametrize("spec", ["/dev/video9741", "v4l2:9741"])
def test_a_device_that_is_not_there_is_refused_by_name(spec: str) -> None:
    with pytest.raises(InputError, match=f"{spec}: expected a V4L2 device, found no /dev/video9741"):
        open_source(spec)


@pytest.mark.parametrize("spec", ["v4l2:", "v4l2:front", "/dev/video", "/dev/video0x"])
def test_a_name_that_is_no_device_is_refused(spec: str) -> None:
    with pytest.raises(InputError, match=r"expected /dev/videoN or v4l2:N"):
        open_source(spec)


def test_a_device_that_is_taken_by_someone_else_is_refused(plug) -> None:
    plug(Device(opens=False))
    with pytest.raises(InputError, match="v4l2:3: expected a V4L2 device that can be opened, found one that cannot"):
        open_source("v4l2:3")


def test_frames_carry_the_drivers_stamp_until_the_cable_is_pulled(plug) -> None:
    device = plug(Device())
    with open_source("/dev/video3", fps=60) as source:
        frames = iter(source)
        for index in range(3):
            before = time.monotonic_ns()
            frame = next(frames)
            assert frame.index == index
            assert before - 7_001_000 <= frame.stamp_ns <= time.monotonic_ns() - 7_000_000
        with pytest.raises(InputError, match="expected another frame, found none"):
            next(frames)
    assert device.released
    assert (source.info.width, source.info.height, source.info.fps, source.info.live) == (16, 8, 60, True)
    # An old frame is worse than none.
    assert device.asked == {cv2.CAP_PROP_BUFFERSIZE: 1, cv2.CAP_PROP_FPS: 60}


@pytest.mark.parametrize("age_ns", [-OLDEST_NS, 2 * OLDEST_NS, 10**18])
def test_a_drivers_stamp_of_another_clock_is_not_believed(plug, age_ns: int) -> None:
    plug(Device(age_ns=age_ns))
    with open_source("v4l2:3") as source:
        before = time.monotonic_ns()
        assert before <= next(iter(source)).stamp_ns <= time.monotonic_ns()
