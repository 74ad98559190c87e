"""Deviations are matched one to one with the advisories that announce them."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.events import (
    Announcement,
    EventCase,
    TrueEvent,
    match_events,
    score_events,
)


def event(onset, end=None, kind="order"):
    return TrueEvent(kind, "phase", onset, onset if end is None else end)


def advisory(at, kind="order", priority="high"):
    return Announcement(kind, "phase", priority, at)


def case(truths=(), announced=(), name="a", duration=3600):
    return EventCase(name, duration, tuple(truths), tuple(announced))


@pytest.mark.parametrize(("at", "matched"), [(97.9, False), (98, True), (100, True), (130, True), (130.1, False)])
def test_an_advisory_counts_from_two_seconds_before_the_onset_to_ten_after_the_end(at, matched):
    assert (match_events([event(100, 120)], [advisory(at)])[0] is not None) is matched


def test_another_kind_does_not_announce_it():
    assert match_events([event(100)], [advisory(100, "tool-mismatch")]) == [None]


def test_a_second_advisory_of_one_deviation_is_a_false_one():
    scores = score_events([case([event(100)], [advisory(101), advisory(102)])])
    assert (scores.sensitivity.estimate, scores.precision.estimate) == (1, 0.5)
    assert scores.f1.estimate == pytest.approx(2 / 3)
    assert scores.delays_s.tolist() == [1]


def test_overlapping_windows_are_shared_out_so_that_none_is_missed():
    truths = [event(100, 200), event(100, 105)]
    assert [one.at_s for one in match_events(truths, [advisory(101), advisory(190)])] == [190, 101]


def test_advisories_are_shared_out_in_the_order_of_time_whatever_their_order_in_the_list():
    late, early = advisory(108), advisory(101)
    assert match_events([event(100), event(105)], [late, early]) == [early, late]


def test_a_miss_is_listed_and_its_delay_is_infinite():
    scores = score_events([case([event(10), event(100)], [advisory(12)])])
    assert scores.delays_s.tolist() == [2, math.inf]
    assert [(miss.case, miss.event.onset_s) for miss in scores.misses] == [("a", 100)]
    values = scores.to_json()
    assert values["delay_s"] == {"events": 2, "median": "Inf", "p95": "Inf"}
    assert values["misses"][0]["onset_s"] == 100


def test_false_advisories_are_counted_per_hour_of_cases_without_deviations_by_priority():
    clean = case(announced=[advisory(5), advisory(50), advisory(60, "tool-mismatch", "medium")], duration=1800)
    other = case([event(10)], [advisory(2000)], name="b")
    scores = score_events([clean, other])
    assert scores.clean_hours == 0.5
    assert scores.false_per_hour == {"high": 4, "medium": 2}


def test_without_clean_cases_there_is_no_rate():
    assert score_events([case([event(10)], [advisory(10)])]).false_per_hour == {}


def test_kinds_have_a_row_each():
    scores = score_events([case([event(10), event(50, kind="tool-mismatch")], [advisory(10), advisory(500)])])
    assert scores.kinds == {"order": (1, 1, 2), "tool-mismatch": (1, 0, 0)}


def test_shares_have_intervals_over_cases():
    cases = [case([event(10)], [advisory(10)] if k % 4 else [], name=str(k)) for k in range(40)]
    scores = score_events(cases)
    assert scores.sensitivity.estimate == 0.75
    assert 0.5 < scores.sensitivity.low < 0.75 < scores.sensitivity.high < 0.95
    assert scores.precision.estimate == 1


def test_without_deviations_there_is_no_sensitivity():
    values = score_events([case(announced=[advisory(3)])]).to_json()
    assert values["sensitivity"]["estimate"] == "NaN"
    assert values["precision"]["estimate"] == 0


def test_what_is_no_set_of_cases_is_refused():
    with pytest.raises(InputError, match="at least one"):
        score_events([])
    with pytest.raises(InputError, match="a twice"):
        score_events([case(), case()])
    with pytest.raises(InputError, match="a, duration: expected seconds above 0"):
        case(duration=0)
    with pytest.raises(InputError, match="a, order: expected an onset before the end"):
        case([event(10, 5)])


TIMES = st.integers(0, 40)


@settings(max_examples=60)
@given(st.lists(st.tuples(TIMES, st.integers(0, 15)), max_size=4), st.lists(TIMES, max_size=4))
def test_no_other_pairing_matches_more(spans, times):
    truths = [event(onset, onset + length) for onset, length in spans]
    found = sum(one is not None for one in match_events(truths, [advisory(at) for at in times]))

    def fits(k, j):
        return truths[k].onset_s - 2 <= times[j] <= truths[k].end_s + 10

    size = min(len(truths), len(times))
    best = max(
        sum(fits(k, j) for k, j in zip(left, right, strict=True))
        for left in itertools.permutations(range(len(truths)), size)
        for right in itertools.combinations(range(len(times)), size)
    )
    assert found == best
