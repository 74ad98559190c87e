"""A recorded source played as if it were live: each frame at its time, all stamps shifted by one constant."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from surgical_ml.errors import InputError
from surgical_ml.video.frame import Frame
from surgical_ml.video.source import Source, SourceInfo


class Paced:
    """Yields each frame when its time has come, and at once where it has passed; none is dropped.

    Args:
        source: recorded.
        speed: media seconds a second.
        clock_ns, sleep: the monotonic clock in nanoseconds, and a wait of so many seconds.

    Attributes:
        base_ns: what is added to every stamp of the source, so that the first frame carries the time at which it came;
            0 before that.

    Raises:
        InputError: the speed is not above 0.
    """

    def __init__(
        self,
        source: Source,
        *,
        speed: float = 1.0,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not speed > 0:
            raise InputError("speed", "media seconds a second, above 0", str(speed))
        self._source, self._speed, self._clock_ns, self._sleep = source, speed, clock_ns, sleep
        self.info: SourceInfo = replace(source.info, live=True)
        self.base_ns = 0

    def __iter__(self) -> Iterator[Frame]:
        began_ns: int | None = None
        for frame in self._source:
            if began_ns is None:
                began_ns = self._clock_ns()
                self.base_ns = began_ns - frame.stamp_ns
            stamp_ns = self.base_ns + frame.stamp_ns
            wait_ns = began_ns + round((stamp_ns - began_ns) / self._speed) - self._clock_ns()
            if wait_ns > 0:
                self._sleep(wait_ns / 1e9)
            yield replace(frame, stamp_ns=stamp_ns)

    def __enter__(self) -> "Paced":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is played."""
        self._source.close()


def paced(source: Source, speed: float = 1.0) -> Paced:
    """Play a recorded source at its own speed, or `speed` times faster."""
    return Paced(source, speed=speed)
