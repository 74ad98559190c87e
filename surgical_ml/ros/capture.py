"""The thread that takes pictures from a source and leaves the newest for the worker."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from rclpy.node import Node

from surgical_ml.errors import InputError
from surgical_ml.ros.image_source import ImageSource
from surgical_ml.video import Frame, Source, open_source, paced

REOPEN_S = 1.0
STOP_S = 2.0


@dataclass(frozen=True, slots=True)
class Captured:
    """A frame, and when it was there on the monotonic clock."""

    frame: Frame
    received_ns: int


class Feed(Protocol):
    """Where a case's frames come from: a capture thread, or a topic."""

    name: str
    last_ns: int
    """Stamp of the newest frame; 0 before there is one."""

    @property
    def received(self) -> int:
        """Frames since the start."""
        ...

    @property
    def rejected(self) -> int:
        """Of these, those that could not be used."""
        ...

    def now_ns(self) -> int:
        """The present on the clock of the frames' stamps."""
        ...

    def start(self, deliver: Callable[[Captured], None], ended: Callable[[], None]) -> None:
        """Deliver every frame from now on, from any thread; say when there will be no more."""
        ...

    def stop(self) -> None:
        """Deliver nothing more until the next start."""
        ...

    def close(self) -> None:
        """Let go of the source for good."""
        ...


class CaptureFeed:
    """A source read on a thread of its own; a recorded one is played as if it were live, from its beginning each time.

    Stamps are on the clock of `time.monotonic_ns`. A live source that fails is opened again every second.

    Args:
        spec, fps: as `open_source` takes them.
        warn: told in one line what went wrong.

    Raises:
        InputError: the source cannot be opened.
    """

    def __init__(self, spec: str, fps: float | None, warn: Callable[[str], None]) -> None:
        self._spec, self._fps, self._warn = spec, fps, warn
        self._opened: Source | None = open_source(spec, fps=fps)
        self._live = self._opened.info.live
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.name = self._opened.info.name
        self.received = self.rejected = self.last_ns = self._next = 0

    def now_ns(self) -> int:
        """See `Feed.now_ns`."""
        return time.monotonic_ns()

    def start(self, deliver: Callable[[Captured], None], ended: Callable[[], None]) -> None:
        """See `Feed.start`."""
        self.received = self.rejected = self.last_ns = self._next = 0
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, args=(deliver, ended), name="capture", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """See `Feed.stop`; also lets go of the source."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_S)
        # The thread closes what it reads from; a source is only closed from here where none reads, or where it hangs.
        source, self._opened = self._opened, None
        if source is not None:
            source.close()

    def close(self) -> None:
        """See `Feed.close`."""
        self.stop()

    def _run(self, deliver: Callable[[Captured], None], ended: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                self._read(deliver)
            except InputError as error:
                if self._stopping.is_set():
                    return
                self._warn(str(error))
            if not self._live:
                if not self._stopping.is_set():
                    ended()
                return
            self._stopping.wait(REOPEN_S)

    def _read(self, deliver: Callable[[Captured], None]) -> None:
        source = self._opened
        if source is None:
            source = self._opened = open_source(self._spec, fps=self._fps)
        # A source that was opened again counts from 0 again; the case goes on counting.
        first = self._next
        try:
            for frame in source if self._live else paced(source):
                if self._stopping.is_set():
                    return
                self.received, self.last_ns, self._next = self.received + 1, frame.stamp_ns, first + frame.index + 1
                numbered = frame if first == 0 else replace(frame, index=first + frame.index)
                deliver(Captured(numbered, time.monotonic_ns()))
        finally:
            if self._opened is source:
                self._opened = None
            source.close()


class TopicFeed:
    """An image topic; stamps are the messages' own, on the ROS clock.

    Args:
        node: that subscribes; its frames arrive on the thread that spins it.
        topic: of `sensor_msgs/Image`.
    """

    def __init__(self, node: Node, topic: str) -> None:
        self._clock = node.get_clock()
        self._deliver: Callable[[Captured], None] = _nobody
        self._source = ImageSource(node, topic, self._take)
        self.name = topic
        self.last_ns = 0

    @property
    def received(self) -> int:
        """Messages since the start."""
        return self._source.received

    @property
    def rejected(self) -> int:
        """Of these, refused ones."""
        return self._source.rejected

    def now_ns(self) -> int:
        """See `Feed.now_ns`."""
        return int(self._clock.now().nanoseconds)

    def start(self, deliver: Callable[[Captured], None], ended: Callable[[], None]) -> None:
        """See `Feed.start`; a topic never ends."""
        self._deliver, self.last_ns = deliver, 0
        self._source.start()

    def stop(self) -> None:
        """See `Feed.stop`."""
        self._source.stop()

    def close(self) -> None:
        """Unsubscribe."""
        self._source.close()

    def _take(self, frame: Frame) -> None:
        self.last_ns = frame.stamp_ns
        self._deliver(Captured(frame, time.monotonic_ns()))


def _nobody(_: Captured) -> None:
    """No case runs."""
