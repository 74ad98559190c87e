"""How long each stage of a frame takes. Measured beside the session, which reads no clock, and never part of a decision."""

import time


class Stopwatch:
    """Times the stages of one frame after the other, in microseconds; the session tells when each is over."""

    def __init__(self) -> None:
        self._stages: dict[str, int] = {}
        self._decode_us: int | None = None
        self._began = self._last = 0

    def decoded(self, microseconds: int) -> None:
        """How long the frame that comes next took to decode, on its own thread."""
        self._decode_us = microseconds

    def start(self) -> None:
        """A frame begins."""
        self._stages = {} if self._decode_us is None else {"decode": self._decode_us}
        self._began = self._last = time.perf_counter_ns()

    def lap(self, stage: str) -> None:
        """A stage is over."""
        now = time.perf_counter_ns()
        self._stages[stage] = (now - self._last) // 1000
        self._last = now

    def stop(self) -> dict[str, int]:
        """The frame is judged: its stages, and in `total` everything but decoding."""
        self._stages["total"] = (time.perf_counter_ns() - self._began) // 1000
        return self._stages
