"""A video file, through OpenCV's FFmpeg."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2

from surgical_ml.errors import InputError
from surgical_ml.video.frame import Frame
from surgical_ml.video.source import SourceInfo

TRUNCATED = 0.98
"""Containers miscount by a few frames; a file that ends before this share of them was cut."""


class FileSource:
    """Frames of a video file; stamps are media time: index / fps in nanoseconds, from 0.

    Raises:
        InputError: no file, an empty one, or one that is no video; while reading, when it ends long before its own
            count.
    """

    def __init__(self, path: Path, fps: float | None = None) -> None:
        if not path.is_file():
            raise InputError(path, "a video file", "no file")
        if path.stat().st_size == 0:
            raise InputError(path, "a video file", "an empty file")
        # The decoder's own complaints would stand beside the one line that says what is wrong.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
        self._path = path
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if not self._capture.isOpened() or width <= 0 or height <= 0:
            raise InputError(path, "a video that can be decoded", f"{path.stat().st_size} bytes that are none")
        own = float(self._capture.get(cv2.CAP_PROP_FPS))
        rate = fps or (own if 0 < own <= 1000 else 30.0)
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self._rate = rate
        self.info = SourceInfo(path.name, width, height, rate, count if count > 0 else None, live=False)

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            done, image = self._capture.read()
            if not done:
                break
            yield Frame(image, round(index * 1e9 / self._rate), index)
            index += 1
        expected = self.info.frames
        if index == 0 or (expected is not None and index < TRUNCATED * expected - 2):
            raise InputError(self._path, f"{expected or 'some'} frames, as the file says", f"{index} before it ends")

    def __enter__(self) -> "FileSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the decoder back."""
        self._capture.release()
