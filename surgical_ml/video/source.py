"""Where frames come from: one protocol, one adapter for each kind of source."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from surgical_ml.errors import InputError
from surgical_ml.video.frame import Frame


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known before the first frame.

    Attributes:
        name: as a person would call it.
        width, height: in pixels; 0 while unknown.
        fps: frames/s, None if unknown.
        frames: how many will come, None if unknown.
        live: frames are gone when they are not taken.
    """

    name: str
    width: int
    height: int
    fps: float | None
    frames: int | None
    live: bool


class Source(Protocol):
    """Yields frames in order, once; closed when it is left."""

    @property
    def info(self) -> SourceInfo:
        """What is known of it."""
        ...

    def __iter__(self) -> Iterator[Frame]: ...

    def __enter__(self) -> "Source": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close(self) -> None:
        """Give back what it holds; may be called twice."""
        ...


def check_fps(fps: float | None) -> None:
    """Refuse a frame rate that no source has; None is left to the source.

    Raises:
        InputError: it is not in (0, 1000] frames/s.
    """
    if fps is not None and not 0 < fps <= 1000:
        raise InputError("fps", "a rate in (0, 1000] frames/s", str(fps))


def open_source(spec: str, *, fps: float | None = None) -> Source:
    """Open a source by its name.

    Args:
        spec: a video file; a folder of images; `*.mcap`; `/dev/videoN` or `v4l2:N`; or `gst:` and a GStreamer pipeline.
        fps: frame rate to assume, frames/s; None believes the source (a folder: 30). It makes the stamps of files and
            folders, and is asked of a camera; a bag and a pipeline have stamps of their own.

    Raises:
        InputError: nothing is there, it is not what its name says, or what reading it needs is not installed.
    """
    check_fps(fps)
    if spec.startswith("gst:"):
        from surgical_ml.video.gst import GStreamerSource

        return GStreamerSource(spec.removeprefix("gst:"), fps)
    if spec.startswith(("v4l2:", "/dev/video")):
        from surgical_ml.video.camera import CameraSource

        return CameraSource(spec, fps)
    path = Path(spec)
    if path.is_dir():
        from surgical_ml.video.folder import FolderSource

        return FolderSource(path, fps)
    if path.suffix == ".mcap":
        from surgical_ml.video.mcap import McapSource

        return McapSource(path, fps)
    from surgical_ml.video.file import FileSource

    return FileSource(path, fps)
