"""A V4L2 camera or capture card, through OpenCV. Tested with a stand-in for OpenCV only: no device was at hand."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import cv2

from surgical_ml.errors import InputError
from surgical_ml.video.frame import Frame
from surgical_ml.video.source import SourceInfo

OLDEST_NS = 1_000_000_000
"""A driver's stamp that is older than this, or not yet due, is not one of the monotonic clock."""


class CameraSource:
    """`/dev/videoN` or `v4l2:N`. A stamp is the driver's own, when the picture was acquired, on the clock of
    `time.monotonic_ns`; where a driver's stamps are of another clock, it is when the picture was taken from its queue.

    Raises:
        InputError: there is no such device, or it gives no picture.
    """  # noqa: D205

    def __init__(self, spec: str, fps: float | None = None) -> None:
        match = re.fullmatch(r"(?:v4l2:|/dev/video)(\d+)", spec)
        if match is None:
            raise InputError(spec, "/dev/videoN or v4l2:N", spec)
        if not Path(f"/dev/video{match[1]}").exists():
            raise InputError(spec, "a V4L2 device", f"no /dev/video{match[1]}")
        self._spec = spec
        self._capture = cv2.VideoCapture(int(match[1]), cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise InputError(spec, "a V4L2 device that can be opened", "one that cannot")
        # An old frame is worse than none.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if fps is not None:
            self._capture.set(cv2.CAP_PROP_FPS, fps)
        width, height = (int(self._capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        own = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.info = SourceInfo(spec, width, height, own if own > 0 else fps, None, live=True)

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            done, image = self._capture.read()
            if not done:
                raise InputError(self._spec, "another frame", "none: was the cable pulled?")
            yield Frame(image, self._stamp_ns(), index)
            index += 1

    def _stamp_ns(self) -> int:
        now = time.monotonic_ns()
        # OpenCV gives the driver's microseconds as a fraction of milliseconds.
        acquired = round(1000 * self._capture.get(cv2.CAP_PROP_POS_MSEC)) * 1000
        return acquired if 0 <= now - acquired <= OLDEST_NS else now

    def __enter__(self) -> "CameraSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the device back."""
        self._capture.release()
