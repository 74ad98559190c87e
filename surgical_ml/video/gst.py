"""A GStreamer pipeline: capture cards (`decklinkvideosrc`), shared memory (`unixfdsrc`), network cameras, test pictures."""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.video.frame import Frame
from surgical_ml.video.source import SourceInfo

_DEBIAN = "/usr/lib/python3/dist-packages"
_SINK = "appsink name=surgical_ml max-buffers=1 drop={drop} sync=false"


def _gstreamer() -> Any:
    """The bindings, where the system has them; a virtual environment does not see Debian's packages by itself."""
    try:
        import gi
    except ImportError:
        sys.path.append(_DEBIAN)
        try:
            import gi
        except ImportError as error:
            raise InputError("GStreamer", "python3-gi and gir1.2-gstreamer-1.0 (see apt.txt)", str(error)) from error
        finally:
            sys.path.remove(_DEBIAN)
    try:
        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
    except (ValueError, ImportError) as error:
        raise InputError("GStreamer", "gir1.2-gstreamer-1.0 (see apt.txt)", str(error)) from error
    Gst.init(None)
    return Gst


class GStreamerSource:
    """Frames of a pipeline that is written without its sink, such as `videotestsrc ! video/x-raw,width=640,height=480`.

    Interlaced video is deinterlaced by adding `! deinterlace` to the pipeline. A stamp is the buffer's presentation time on
    the pipeline's clock, in nanoseconds from its start.

    Raises:
        InputError: GStreamer is not installed, the pipeline is not valid, or it stops with an error.
    """

    def __init__(self, pipeline: str, fps: float | None = None, *, wait_s: float = 5.0) -> None:
        self._gst = _gstreamer()
        self._text, self._wait_ns = pipeline, round(wait_s * 1e9)
        text = f"{pipeline} ! videoconvert ! video/x-raw,format=BGR ! {_SINK.format(drop='true')}"
        try:
            self._pipeline = self._gst.parse_launch(text)
        except Exception as error:  # GLib.Error, whose type is known only once gi is there
            raise InputError(f"gst:{pipeline}", "a valid pipeline", str(error)) from error
        self._sink = self._pipeline.get_by_name("surgical_ml")
        self.info = SourceInfo(f"gst:{pipeline}", 0, 0, fps, None, live=True)

    def __iter__(self) -> Iterator[Frame]:
        self._pipeline.set_state(self._gst.State.PLAYING)
        index = 0
        while True:
            sample = self._sink.emit("try-pull-sample", self._wait_ns)
            if sample is None:
                if self._sink.get_property("eos"):
                    return
                raise InputError(f"gst:{self._text}", "another frame", self._error())
            yield self._frame(sample, index)
            index += 1

    def _frame(self, sample: Any, index: int) -> Frame:
        caps, buffer = sample.get_caps().get_structure(0), sample.get_buffer()
        width, height = caps.get_value("width"), caps.get_value("height")
        done, view = buffer.map(self._gst.MapFlags.READ)
        if not done:
            raise InputError(f"gst:{self._text}", "a buffer that can be read", "none")
        try:
            # Rows are padded to multiples of four bytes.
            row = (3 * width + 3) // 4 * 4
            data = np.frombuffer(view.data, np.uint8)[: row * height].reshape(height, row)
            image = np.ascontiguousarray(data[:, : 3 * width]).reshape(height, width, 3).copy()
        finally:
            buffer.unmap(view)
        return Frame(image, int(buffer.pts), index)

    def _error(self) -> str:
        message = self._pipeline.get_bus().pop_filtered(self._gst.MessageType.ERROR)
        return "nothing in time" if message is None else str(message.parse_error()[0].message)

    def __enter__(self) -> "GStreamerSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the pipeline."""
        self._pipeline.set_state(self._gst.State.NULL)
