"""Detectors of the video: pictures unlike training, and a stream that stops, leaps or begins again."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from watched_case import PROTOCOL, observation

from surgical_ml.workflow.estimate import Deviation
from surgical_ml.workflow.moment import Course, Detector, Moment
from surgical_ml.workflow.novelty import REFERENCE_PPM, NoveltyDetector
from surgical_ml.workflow.stream_watch import StreamDetector

SECOND = 1_000_000_000
STEP = SECOND // 5


def picture(novelty_ppm: int, degraded: tuple[str, ...] = ()):
    return replace(observation(0, 0, "Preparation"), novelty_ppm=novelty_ppm, degraded=degraded)


def moment(stamp_ns: int, frame: int | None, seen=None, dt_ns: int = STEP) -> Moment:
    belief = np.full(len(PROTOCOL.phases), 1 / len(PROTOCOL.phases))
    return Moment(stamp_ns, frame, seen, None, dt_ns, belief, Course(), None)


def feed(detector: Detector, pictures: list, begin: int = 0) -> list[tuple[Deviation, ...]]:
    return [
        detector.step(moment((begin + k) * STEP, begin + k, replace(one, index=begin + k)))
        for k, one in enumerate(pictures)
    ]


def test_pictures_far_from_training_are_told_sooner_than_pictures_somewhat_far():
    def first(novelty_ppm: int) -> int:
        return next(k for k, found in enumerate(feed(NoveltyDetector(PROTOCOL), [picture(novelty_ppm)] * 200)) if found)

    assert first(REFERENCE_PPM + 200_000) < first(REFERENCE_PPM + 100_000) < 60


def test_ordinary_pictures_and_short_oddities_are_not_told():
    ordinary, odd = picture(REFERENCE_PPM - 200_000), picture(REFERENCE_PPM + 100_000)
    found = feed(NoveltyDetector(PROTOCOL), ([ordinary] * 20 + [odd] * 10) * 10)
    assert not any(found)


def test_a_poor_picture_explains_its_distance():
    assert not any(feed(NoveltyDetector(PROTOCOL), [picture(REFERENCE_PPM + 500_000, ("smoke",))] * 300))


def test_novelty_names_its_beginning_its_frames_and_ends_with_ordinary_pictures():
    detector = NoveltyDetector(PROTOCOL)
    feed(detector, [picture(REFERENCE_PPM - 100_000)] * 10)
    found = feed(detector, [picture(REFERENCE_PPM + 100_000)] * 60, begin=10)
    (one,) = found[-1]
    assert (one.kind, one.onset_ns) == ("novelty", 10 * STEP)
    assert all(10 <= index < 70 for index in one.evidence_frames)
    assert not feed(detector, [picture(REFERENCE_PPM - 100_000)] * 130, begin=70)[-1]


def subjects(found: tuple[Deviation, ...]) -> list[str]:
    return [one.subject for one in found]


def test_a_stream_that_stops_is_stale_and_one_that_comes_back_later_began_again():
    detector = StreamDetector(PROTOCOL)
    for k in range(20):
        assert detector.step(moment(k * STEP, k)) == ()
    last = 19 * STEP
    assert subjects(detector.step(moment(last + SECOND, None))) == []
    (one,) = detector.step(moment(last + 3 * SECOND, None))
    assert (one.subject, one.onset_ns) == ("stale", last)
    begun = last + 15 * SECOND
    assert subjects(detector.step(moment(begun, 20))) == ["restarted"]
    still = [detector.step(moment(begun + k * STEP, 20 + k)) for k in range(1, 60)]
    assert subjects(still[0]) == ["restarted"]
    assert still[-1] == ()


def test_indices_that_begin_anew_are_another_stream():
    detector = StreamDetector(PROTOCOL)
    for k in range(10):
        detector.step(moment(k * STEP, k))
    assert subjects(detector.step(moment(10 * STEP, 0))) == ["restarted"]


def test_a_stream_of_which_most_is_dropped_is_told_and_one_of_which_little_is_dropped_is_not():
    def told(leap: int) -> bool:
        detector = StreamDetector(PROTOCOL)
        return any("dropped" in subjects(detector.step(moment(k * STEP, k * leap))) for k in range(200))

    assert told(4)
    assert not told(2)
    assert not told(1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20 * SECOND), st.none() | st.integers(0, 500)), max_size=60))
def test_whatever_stamps_and_indices_come_the_stream_is_judged(events):
    detector, now = StreamDetector(PROTOCOL), 0
    for dt_ns, frame in events:
        now += dt_ns
        for one in detector.step(moment(now, frame)):
            assert one.subject in ("stale", "dropped", "restarted")
            assert 0 <= one.onset_ns <= now
