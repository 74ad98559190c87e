"""How long things took lately: percentiles over the newest thousand frames."""

from collections import deque
from dataclasses import dataclass

import numpy as np

NEWEST = 1000
TOTAL = "capture_to_published"


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of one stage, in milliseconds."""

    p50: float
    p95: float
    p99: float
    max: float


class Latencies:
    """Keeps the newest times of each stage. Written and read by one thread."""

    def __init__(self) -> None:
        self._stages: dict[str, deque[int]] = {}

    def add(self, stages_us: dict[str, int]) -> None:
        """Take the stages of one frame, in microseconds."""
        for stage, microseconds in stages_us.items():
            self._stages.setdefault(stage, deque(maxlen=NEWEST)).append(microseconds)

    def of(self, stage: str) -> Percentiles | None:
        """Percentiles of one stage; None before it was ever timed."""
        times = self._stages.get(stage)
        if not times:
            return None
        return Percentiles(*(float(value) / 1000 for value in np.percentile(times, [50, 95, 99, 100])))

    def all(self) -> dict[str, Percentiles]:
        """Percentiles of every stage, in the order in which they were first timed."""
        return {stage: found for stage in self._stages if (found := self.of(stage)) is not None}
