"""A folder of images: the commonest image extension, in name order; hidden files are left out, as `ls` does."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.video.frame import Frame, Image
from surgical_ml.video.source import SourceInfo

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
DEFAULT_FPS = 30.0


class FolderSource:
    """Frames of an image folder; stamps are index / fps in nanoseconds, from 0.

    Raises:
        InputError: the folder holds no image; while reading, an image that cannot be decoded, by its name.
    """

    def __init__(self, folder: Path, fps: float | None = None) -> None:
        files = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file()
        ]
        if not files:
            raise InputError(folder, f"a folder with images ({', '.join(EXTENSIONS)})", "none")
        counts = Counter(path.suffix.lower() for path in files)
        commonest = max(counts, key=lambda suffix: (counts[suffix], suffix))
        self._files = sorted(path for path in files if path.suffix.lower() == commonest)
        self._rate = fps or DEFAULT_FPS
        first = _read(self._files[0])
        height, width = first.shape[:2]
        self.info = SourceInfo(folder.name, width, height, self._rate, len(self._files), live=False)

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._files):
            yield Frame(_read(path), round(index * 1e9 / self._rate), index)

    def __enter__(self) -> "FolderSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held."""


def _read(path: Path) -> Image:
    data = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise InputError(path, "an image that can be decoded", f"{len(data)} bytes that are none")
    return np.asarray(image, np.uint8)
