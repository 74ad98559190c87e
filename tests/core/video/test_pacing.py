"""A recorded source played as if it were live comes at its own speed, on the clock, and loses nothing."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.video import Frame, SourceInfo, paced
from surgical_ml.video.pacing import Paced

PICTURE = np.zeros((2, 2, 3), np.uint8)


class Recording:
    """Frames at the given stamps."""

    def __init__(self, stamps: list[int]) -> None:
        self.info = SourceInfo("recording", 2, 2, 25.0, len(stamps), live=False)
        self.stamps, self.closed = stamps, False

    def __iter__(self) -> Iterator[Frame]:
        return (Frame(PICTURE, stamp, 2 * k, PICTURE) for k, stamp in enumerate(self.stamps))

    def __enter__(self) -> "Recording":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True


class Clock:
    """Time passes only while somebody sleeps or works."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now_ns += round(seconds * 1e9)


def play(
    stamps: list[int], clock: Clock, speed: float = 1.0, work_ns: int = 0
) -> tuple[Paced, list[tuple[int, Frame]]]:
    source = Paced(Recording(stamps), speed=speed, clock_ns=clock, sleep=clock.sleep)
    seen = []
    for frame in source:
        seen.append((clock.now_ns, frame))
        clock.now_ns += work_ns
    return source, seen


gaps = st.lists(st.integers(1, 10**9), min_size=1, max_size=20)


@settings(max_examples=50, deadline=None)
@given(first=st.integers(0, 2 * 10**18), gaps=gaps, start=st.integers(0, 10**15))
def test_each_frame_comes_when_its_time_has_come(first: int, gaps: list[int], start: int) -> None:
    stamps = [first + sum(gaps[:k]) for k in range(len(gaps))]
    source, seen = play(stamps, Clock(start))
    assert source.base_ns == start - first
    assert [frame.stamp_ns for _, frame in seen] == [start + stamp - first for stamp in stamps]
    for now, frame in seen:
        assert abs(now - frame.stamp_ns) <= len(stamps)  # nanoseconds that seconds as a float lose
    assert [frame.index for _, frame in seen] == [2 * k for k in range(len(stamps))]
    assert all(frame.right is PICTURE for _, frame in seen)


@settings(max_examples=30, deadline=None)
@given(gaps=gaps, speed=st.sampled_from([0.25, 2.0, 8.0]))
def test_another_speed_changes_when_frames_come_and_not_what_they_say(gaps: list[int], speed: float) -> None:
    stamps = [sum(gaps[:k]) for k in range(len(gaps))]
    _, seen = play(stamps, Clock(1000), speed)
    for stamp, (now, frame) in zip(stamps, seen, strict=True):
        assert frame.stamp_ns == 1000 + stamp
        assert abs(now - 1000 - stamp / speed) <= 1 + len(stamps)


def test_a_slow_reader_gets_every_frame_late_and_without_waiting() -> None:
    _, seen = play([0, 10, 20], Clock(0), work_ns=1_000_000)
    assert [now for now, _ in seen] == [0, 1_000_000, 2_000_000]


def test_it_calls_itself_live_and_closes_what_it_plays() -> None:
    recording = Recording([0])
    with paced(recording) as source:
        assert source.info.live
        assert source.info.frames == 1
    assert recording.closed


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_speed_that_leads_nowhere_is_refused(speed: float) -> None:
    with pytest.raises(InputError, match="speed: expected media seconds a second, above 0"):
        paced(Recording([0]), speed)
