"""A case told in a memory that does not grow with it: traces, durations, numbers and their words."""

import math
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_cases import decision, silence, write_case

from surgical_ml.evaluation.case_story import COLUMNS, Axis, Durations, Trace, read_story
from surgical_ml.evaluation.report_words import clock, count, length, share, spaced

SECOND = 10**9


@given(
    begin=st.integers(0, 10**18),
    cuts=st.lists(st.integers(0, 10**13), min_size=3, max_size=30, unique=True).map(sorted),
)
def test_a_trace_loses_nothing_and_adds_nothing(begin, cuts):
    axis = Axis(begin, cuts[-1])
    trace = Trace(axis)
    pairs = list(zip(cuts[0::2], cuts[1::2], strict=False))
    for start, end in pairs:
        trace.add(begin + start, begin + end)
    assert trace.total_ns == sum(end - start for start, end in pairs)
    assert trace.longest_ns == max(end - start for start, end in pairs)
    assert trace.stretches == len(pairs)
    assert trace.first_ns == begin + cuts[0]
    assert sum(trace.columns) == trace.total_ns * COLUMNS
    assert all(0 <= filled <= axis.length_ns for filled in trace.columns)
    for step, level in enumerate(trace.shares(13)):
        assert (level - 1) * axis.length_ns < trace.columns[step] * 13 <= level * axis.length_ns


@given(cuts=st.lists(st.integers(1, 10**13), min_size=2, max_size=20, unique=True).map(sorted))
def test_pieces_that_follow_each_other_are_one_stretch(cuts):
    axis = Axis(0, cuts[-1])
    whole, pieces = Trace(axis), Trace(axis)
    whole.add(cuts[0], cuts[-1])
    for start, end in pairwise(cuts):
        pieces.add(start, end)
    assert (pieces.stretches, pieces.longest_ns, pieces.columns) == (1, whole.longest_ns, whole.columns)


def test_what_lies_outside_of_the_axis_counts_and_is_not_drawn():
    trace = Trace(Axis(100, 50))
    trace.add(0, 125)
    assert trace.total_ns == 125
    assert trace.shares(1) == [1] * (COLUMNS // 2) + [0] * (COLUMNS // 2)


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=200))
def test_percentiles_are_the_nearest_rank_to_three_digits_and_the_maximum_is_exact(values):
    durations = Durations()
    for value in values:
        durations.add(value)
    assert (durations.count, durations.max_us) == (len(values), max(values))
    for percent in (50, 95, 99):
        exact = sorted(values)[math.ceil(len(values) * percent / 100) - 1]
        found = durations.percentile_us(percent)
        assert found <= exact <= found * 1.01
        assert exact >= 1000 or found == exact


def test_the_memory_of_reading_does_not_grow_with_the_length_of_a_case(tmp_path):
    peaks = []
    for number in (1_000, 8_000):
        lines = (
            decision(k, withheld="blurred", advisories=[silence("blurred", onset=0)]) if k % 500 > 400 else decision(k)
            for k in range(number)
        )
        case = write_case(tmp_path / str(number), lines, timings=[{"total": 10_000 + k} for k in range(number)])
        tracemalloc.start()
        read_story(case)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000


def test_episodes_follow_an_advisory_through_the_case(tmp_path):
    case = [decision(k, withheld="blurred", advisories=[silence("blurred", onset=0)]) for k in range(10)]
    case += [decision(k, advisories=[silence("blurred", "latched", onset=0)]) for k in range(10, 60)]
    case += [decision(k) for k in range(60, 70)]
    (episode,) = read_story(write_case(tmp_path / "case", case)).episodes
    assert [presence.value for presence in episode.presences] == ["on", "latched", "off"]
    assert (episode.gone_ns, episode.ended_ns) == (SECOND, 6 * SECOND)


# --- words ------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**9).flatmap(lambda whole: st.tuples(st.integers(0, whole), st.just(whole))))
def test_a_share_is_never_nothing_for_something_and_never_all_for_less(given_parts):
    part, whole = given_parts
    words = share(part, whole)
    assert (words == "0 %") == (part == 0)
    assert (words == "100 %") == (part == whole and whole > 0)
    assert words not in ("0.0 %", "100.0 %")


@pytest.mark.parametrize(
    ("nanoseconds", "words"),
    [(0, "0:00.0"), (61 * SECOND + 999_999_999, "1:01.9"), (3600 * SECOND, "1:00:00.0"), (-SECOND // 2, "-0:00.5")],
)
def test_a_time_of_the_case_reads_like_a_clock(nanoseconds, words):
    assert clock(nanoseconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((0, "0.0 s"), (0.01, "< 0.1 s"), (0.3, "0.3 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.7, "1 min 0 s")),
        *((71, "1 min 11 s"), (3599.9, "1 h 0 min"), (8 * 3600 - 1, "7 h 59 min")),
    ],
)
def test_a_length_is_told_in_the_units_that_matter(seconds, words):
    assert length(round(seconds * SECOND)) == words


def test_names_and_counts_are_words():
    assert spaced("CalotTriangleDissection") == "Calot triangle dissection"
    assert spaced("ICGDye") == "ICG dye"
    assert spaced("specimen_bag") == "Specimen bag"
    assert spaced("tool-mismatch") == "Tool mismatch"
    assert count(1, "frame") == "1 frame"
    assert count(1770, "frame") == "1,770 frames"
    assert count(2, "advisory", "advisories") == "2 advisories"
