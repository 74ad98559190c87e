"""A GStreamer pipeline: capture cards (`decklinkvideosrc`), other processes' video (`unixfdsrc`), test pictures."""

import ctypes
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.video.frame import Frame
from surgical_ml.video.source import SourceInfo

_DEBIAN = "/usr/lib/python3/dist-packages"
_SINK = "videoconvert ! video/x-raw,format=BGR ! appsink name=surgical_ml max-buffers=1 sync=false"


def _gstreamer() -> tuple[Any, Any]:
    """The bindings, Gst and GstVideo; a virtual environment does not see Debian's packages by itself."""
    # GStreamer brings libunwind, whose names are those of the compiler's own runtime. Where they come first, the next C++
    # exception of a library that is loaded later (ONNX Runtime, for one) ends the process.
    with suppress(OSError):
        ctypes.CDLL("libgcc_s.so.1", mode=ctypes.RTLD_GLOBAL)
    try:
        import gi
    except ImportError:
        sys.path.append(_DEBIAN)
        try:
            import gi
        except ImportError as error:
            raise InputError("GStreamer", "python3-gi for this Python (see apt.txt)", str(error)) from error
        finally:
            sys.path.remove(_DEBIAN)
    try:
        gi.require_version("Gst", "1.0")
        gi.require_version("GstVideo", "1.0")
        from gi.repository import Gst, GstVideo
    except (ValueError, ImportError) as error:
        raise InputError("GStreamer", "gir1.2-gst-plugins-base-1.0 (see apt.txt)", str(error)) from error
    Gst.init(None)
    return Gst, GstVideo


class GStreamerSource:
    """Frames of a pipeline that is written without its sink, such as `videotestsrc ! video/x-raw,width=640,height=480`.

    Whether it is live, the pipeline says itself. A live one (a camera, a capture card, `videotestsrc is-live=true`)
    keeps only its newest picture for the reader, and an older one that nobody took leaves a gap in the index; a stamp
    is when the source acquired the picture, on the clock of `time.monotonic_ns`. A recorded one waits for its reader:
    no picture is lost, and its stamps are media time, from 0.

    Interlaced video is deinterlaced by adding `! deinterlace` to the pipeline.

    Args:
        pipeline: as `gst-launch-1.0` takes it, without a sink.
        fps: frames/s to assume; also makes the stamps of a recorded pipeline whose buffers carry none.
        wait_s: how long the first picture, and then each further one, may take, seconds.

    Raises:
        InputError: GStreamer is not installed, the pipeline is not valid, it does not start, it stops with an error, no
            picture comes in time, or one comes without a stamp.
    """

    def __init__(self, pipeline: str, fps: float | None = None, *, wait_s: float = 5.0) -> None:
        self._gst, self._video = _gstreamer()
        self._name, self._fps, self._wait_s = f"gst:{pipeline}", fps, wait_s
        self._changing, self._closed = threading.Lock(), False
        self._arrived: deque[tuple[int, int]] = deque(maxlen=64)
        self._numbered = 0
        try:
            self._pipeline = self._gst.parse_launch(f"{pipeline} ! {_SINK}")
        except Exception as error:  # GLib.Error, whose type is known only once gi is there
            raise InputError(self._name, "a valid pipeline", str(error)) from error
        # Stamps of a live source are compared with `time.monotonic_ns`: no element may bring a clock of its own.
        self._pipeline.use_clock(self._gst.SystemClock.obtain())
        self._sink = self._pipeline.get_by_name("surgical_ml")
        self.info = self._prepare()

    def _prepare(self) -> SourceInfo:
        """Bring the pipeline up to its first picture; a live one gives none before it plays."""
        states = self._gst.StateChangeReturn
        self._pipeline.set_state(self._gst.State.PAUSED)
        reached = self._pipeline.get_state(round(self._wait_s * 1e9))[0]
        live = reached == states.NO_PREROLL
        if not live and reached != states.SUCCESS:
            # A failure may be known before its reason is told.
            found = self._error(self._gst.SECOND if reached == states.FAILURE else 0) or "none"
            self.close()
            raise InputError(self._name, f"a first picture within {self._wait_s:g} s", found)
        pad = self._sink.get_static_pad("sink")
        if live:
            self._sink.set_property("drop", True)
            pad.add_probe(self._gst.PadProbeType.BUFFER, self._number)
        caps = pad.get_current_caps()
        if caps is None:
            return SourceInfo(self._name, 0, 0, self._fps, None, live)
        format_ = caps.get_structure(0)
        _, frames, seconds = format_.get_fraction("framerate")
        fps = self._fps or (frames / seconds if frames else None)
        return SourceInfo(self._name, format_.get_value("width"), format_.get_value("height"), fps, None, live)

    def __iter__(self) -> Iterator[Frame]:
        with self._changing:
            if not self._closed:
                self._pipeline.set_state(self._gst.State.PLAYING)
        taken = 0
        while not self._closed:
            sample = self._sink.emit("try-pull-sample", round(self._wait_s * 1e9))
            if self._closed:
                return
            error = self._error()
            if error:
                raise InputError(self._name, "another picture", error)
            if sample is None:
                if self._sink.get_property("eos"):
                    return
                raise InputError(self._name, f"another picture within {self._wait_s:g} s", "none")
            yield self._frame(sample, taken)
            taken += 1

    def _number(self, _: Any, info: Any) -> Any:
        """Count what arrives at the sink, on the pipeline's own thread."""
        self._arrived.append((info.get_buffer().pts, self._numbered))
        self._numbered += 1
        return self._gst.PadProbeReturn.OK

    def _index(self, pts: int, taken: int) -> int:
        """The number of a picture among all that arrived; those before it that are still listed were dropped."""
        while self.info.live and self._arrived:
            arrived, number = self._arrived.popleft()
            if arrived == pts:
                return number
        return taken

    def _frame(self, sample: Any, taken: int) -> Frame:
        format_, buffer = sample.get_caps().get_structure(0), sample.get_buffer()
        width, height = format_.get_value("width"), format_.get_value("height")
        index = self._index(buffer.pts, taken)
        done, view = buffer.map(self._gst.MapFlags.READ)
        if not done:
            raise InputError(self._name, "a buffer that can be read", f"picture {index}, which cannot")
        data = view.data
        buffer.unmap(view)
        # Rows are padded to multiples of four bytes, unless the buffer says otherwise.
        meta = self._video.buffer_get_video_meta(buffer)
        start, row = (0, (3 * width + 3) // 4 * 4) if meta is None else (meta.offset[0], meta.stride[0])
        needed = start + row * (height - 1) + 3 * width
        if row < 3 * width or len(data) < needed:
            expected = f"{needed} bytes for {height} rows of {row}, {width} pixels each"
            raise InputError(self._name, expected, f"{len(data)}")
        rows = np.ndarray((height, width, 3), np.uint8, data, start, (row, 3, 1))
        return Frame(np.ascontiguousarray(rows), self._stamp_ns(sample, buffer.pts, index), index)

    def _stamp_ns(self, sample: Any, pts: int, index: int) -> int:
        time, none, segment = self._gst.Format.TIME, self._gst.CLOCK_TIME_NONE, sample.get_segment()
        running = none if none == pts or segment.format != time else segment.to_running_time(time, pts)
        if running != none:
            return int(running + self._pipeline.get_base_time()) if self.info.live else int(running)
        if self._fps is None or self.info.live:
            raise InputError(self._name, "pictures with a stamp", f"picture {index} without one")
        return round(index * 1e9 / self._fps)

    def _error(self, wait_ns: int = 0) -> str:
        """The pipeline's complaint, empty if it has none; older messages of other kinds are let go."""
        message = self._pipeline.get_bus().timed_pop_filtered(wait_ns, self._gst.MessageType.ERROR)
        if message is None:
            return ""
        error, detail = message.parse_error()
        # The last line of the detail names the file, device or element.
        return " ".join([error.message, *(detail or "").splitlines()[-1:]])

    def __enter__(self) -> "GStreamerSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the pipeline; a reader that waits for a picture on another thread is released."""
        with self._changing:
            self._closed = True
            self._pipeline.set_state(self._gst.State.NULL)
