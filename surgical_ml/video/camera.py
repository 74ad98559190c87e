"""A V4L2 camera or capture card, through OpenCV. Checked against the API only: no device was at hand."""

import re
import time
from collections.abc import Iterator

import cv2

from surgical_ml.errors import InputError
from surgical_ml.video.frame import Frame
from surgical_ml.video.source import SourceInfo


class CameraSource:
    """`/dev/videoN` or `v4l2:N`. Stamps are the monotonic clock when a frame was taken from the driver's queue.

    Raises:
        InputError: there is no such device, or it gives no picture.
    """

    def __init__(self, spec: str, fps: float | None = None) -> None:
        match = re.fullmatch(r"(?:v4l2:|/dev/video)(\d+)", spec)
        if match is None:
            raise InputError(spec, "/dev/videoN or v4l2:N", spec)
        self._spec = spec
        self._capture = cv2.VideoCapture(int(match[1]), cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise InputError(spec, "a V4L2 device that can be opened", "none")
        # An old frame is worse than none.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if fps is not None:
            self._capture.set(cv2.CAP_PROP_FPS, fps)
        width, height = (int(self._capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        self.info = SourceInfo(spec, width, height, self._capture.get(cv2.CAP_PROP_FPS) or None, None, live=True)

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            done, image = self._capture.read()
            if not done:
                raise InputError(self._spec, "another frame", "none: was the cable pulled?")
            yield Frame(image, time.monotonic_ns(), index)
            index += 1

    def __enter__(self) -> "CameraSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the device back."""
        self._capture.release()
