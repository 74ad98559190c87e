"""A recorded source played as if it were live; its stamps stay exactly what they are, shifted by one constant."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from surgical_ml.video.frame import Frame
from surgical_ml.video.source import Source, SourceInfo


class Paced:
    """Yields each frame when its time has come: at `base_ns` + its media time, on the monotonic clock."""

    def __init__(
        self,
        source: Source,
        *,
        speed: float = 1.0,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source, self._speed, self._clock_ns, self._sleep = source, speed, clock_ns, sleep
        self.info: SourceInfo = replace(source.info, live=True)
        self.base_ns = 0

    def __iter__(self) -> Iterator[Frame]:
        self.base_ns = self._clock_ns()
        for frame in self._source:
            due_ns = self.base_ns + round(frame.stamp_ns / self._speed)
            wait_ns = due_ns - self._clock_ns()
            if wait_ns > 0:
                self._sleep(wait_ns / 1e9)
            yield Frame(frame.image, self.base_ns + frame.stamp_ns, frame.index, frame.right)

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
