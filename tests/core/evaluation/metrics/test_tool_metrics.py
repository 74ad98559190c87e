"""Presence, tips, time and out-of-body, against small examples and definitions written out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.progress import TimedCase, score_progress
from surgical_ml.evaluation.metrics.tools import (
    PresenceCase,
    auroc,
    average_precision,
    score_out_of_body,
    score_presence,
    score_tips,
)


def ap(truth, scores):
    return average_precision(np.array(truth, bool), np.array(scores, float))


def test_average_precision_of_the_example_in_scikit_learns_manual():
    assert ap([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == pytest.approx(0.8333333333)


def test_equal_scores_are_one_step_whatever_their_order():
    assert ap([1, 0, 0, 0], [0.5] * 4) == ap([0, 0, 0, 1], [0.5] * 4) == 0.25


def test_a_class_that_never_occurs_has_no_average_precision():
    assert math.isnan(ap([0, 0], [0.1, 0.9]))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_average_precision_equals_the_sum_over_thresholds(samples):
    truth, scores = (np.array(one) for one in zip(*samples, strict=True))
    if not truth.any():
        assert math.isnan(ap(truth, scores))
        return
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        called = scores >= threshold
        recall = (truth & called).sum() / truth.sum()
        total += (recall - before) * (truth & called).sum() / called.sum()
        before = recall
    assert ap(truth, scores) == pytest.approx(total)


def presence(name, truth, scores):
    return PresenceCase(name, np.array(truth, bool), np.array(scores, float))


def test_the_map_is_over_videos_first_and_a_class_missing_from_a_video_is_left_out_there():
    cases = [
        presence("a", [[1, 0], [0, 0]], [[0.9, 0.1], [0.1, 0.2]]),
        presence("b", [[1, 1], [0, 0]], [[0.1, 0.9], [0.9, 0.1]]),
    ]
    scores = score_presence(cases, ("hook", "clipper"))
    assert scores.values == pytest.approx(np.array([[100, math.nan], [50, 100]]), nan_ok=True)
    assert scores.class_values.tolist() == [75, 100]
    assert scores.summary.mean == 87.5
    assert scores.summary.over == "classes"
    assert scores.to_json()["per_case"][0]["ap"] == [100, "NaN"]


def test_the_map_of_all_frames_together_has_a_name_of_its_own():
    cases = [presence("a", [[1], [0]], [[0.4], [0.3]]), presence("b", [[1], [0]], [[0.2], [0.1]])]
    values = score_presence(cases, ("hook",)).to_json()
    assert values["map"]["mean"] == 100
    assert values["map_all_frames"]["mean"] == pytest.approx(100 * (0.5 + 0.5 * 2 / 3))


def test_what_is_no_presence_is_refused():
    good = presence("a", [[1]], [[0.5]])
    for make, complaint in (
        (lambda: PresenceCase("a", np.array([[1]]), np.array([[0.5]])), "presence and of scores"),
        (lambda: presence("a", [[1]], [[math.nan]]), "finite scores"),
        (lambda: presence("a", [[1]], [[0.5, 0.5]]), "presence and of scores"),
        (lambda: score_presence([], ("hook",)), "at least one"),
        (lambda: score_presence([good, good], ("hook",)), "a twice"),
        (lambda: score_presence([good], ("hook", "clipper")), "2 classes"),
    ):
        with pytest.raises(InputError, match=complaint):
            make()


# --- tips -------------------------------------------------------------------------------------------------------------


def tips(truth, prediction, size=(300, 400)):
    """A picture of 300 x 400 has a diagonal of 500: 25 px are 5 %."""
    return score_tips({"case": (truth, prediction)}, size_px=size)


def test_a_tip_is_right_within_five_percent_of_the_diagonal():
    scores = tips(
        {(0, "hook"): [(100, 100)], (1, "hook"): [(100, 100)]}, {(0, "hook"): [(125, 100)], (1, "hook"): [(125.4, 100)]}
    )
    assert scores.pck.tolist() == [50]
    assert scores.to_json()["median_px"] == pytest.approx(25.2)


def test_missing_tips_are_wrong_and_extra_ones_are_counted():
    scores = tips({(0, "hook"): [(10, 10)], (0, "clipper"): [(50, 50)]}, {(0, "hook"): [(10, 10), (90, 90)]})
    assert scores.pck.tolist() == [50]
    assert (scores.truths, scores.missing, scores.extra) == (2, 1, 1)


def test_tips_of_one_tool_are_paired_nearest_first_and_of_another_never():
    two = {(0, "grasper"): [(10, 10), (100, 100)]}
    assert tips(two, {(0, "grasper"): [(101, 100), (10, 11)]}).errors_px.tolist() == [1, 1]
    assert tips(two, {(0, "hook"): [(10, 10), (100, 100)]}).pck.tolist() == [0]


def test_a_case_without_tips_has_no_share():
    scores = tips({}, {(0, "hook"): [(1, 1)]})
    assert math.isnan(scores.pck[0])
    assert scores.to_json()["median_px"] == "NaN"
    with pytest.raises(InputError, match="at least one case"):
        score_tips({}, size_px=(1, 1))


# --- time -------------------------------------------------------------------------------------------------------------


def test_remaining_time_is_held_against_a_clock_that_knows_only_the_mean_duration():
    truth = np.arange(99, -1, -1.0)
    cases = [TimedCase("a", truth), TimedCase("b", truth + 10)]
    scores = score_progress(cases, "remaining-time", fps=1, mean_duration_s=119)
    assert scores.mae.tolist() == [0, 10]
    assert scores.clock_mae.tolist() == [20, 20]
    assert scores.summary.worst == 10


def test_the_clock_says_0_once_the_mean_duration_is_over():
    scores = score_progress([TimedCase("a", np.zeros(4))], "remaining-time", fps=1, mean_duration_s=1)
    assert scores.clock_mae.tolist() == [np.mean([abs(1 - 3), 2, 1, 0])]


def test_progress_ends_at_1_and_the_clock_does_not_pass_it():
    scores = score_progress([TimedCase("a", np.arange(1, 11) / 10)], "progress", fps=1, mean_duration_s=5)
    assert scores.mae.tolist() == [0]
    assert scores.clock_mae[0] == pytest.approx(np.mean(np.minimum(np.arange(1, 11) / 5, 1) - np.arange(1, 11) / 10))


@pytest.mark.parametrize("bad", [np.array([]), np.array([np.nan]), np.zeros((2, 2))])
def test_what_is_no_row_of_numbers_is_refused(bad):
    with pytest.raises(InputError, match="a finite number for each sample"):
        score_progress([TimedCase("a", bad)], "progress", fps=1, mean_duration_s=1)
    with pytest.raises(InputError, match="numbers above 0"):
        score_progress([TimedCase("a", np.zeros(1))], "progress", fps=1, mean_duration_s=0)


# --- outside the body -------------------------------------------------------------------------------------------------


def test_leaked_seconds_are_those_outside_that_were_not_called_so():
    truth = np.array([1, 1, 1, 1, 0, 0], bool)
    scores = np.array([0.9, 0.8, 0.7, 0.1, 0.2, 0.3])
    found = score_out_of_body({"a": (truth, scores, scores > 0.5)}, fps=2)
    assert found.recall == 0.75
    assert found.leaked_s.tolist() == [0.5]
    assert found.auroc == 0.75
    whole = score_out_of_body({"a": (truth, scores, scores > 0.5), "b": (truth, scores, scores > 0.05)}, fps=2)
    assert whole.to_json()["leaked_s"]["worst"] == 0.5


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=30))
def test_auroc_equals_the_share_of_pairs_in_the_right_order(samples):
    truth, scores = (np.array(one) for one in zip(*samples, strict=True))
    pairs = [(a > b) + (a == b) / 2 for a in scores[truth] for b in scores[~truth]]
    expected = np.mean(pairs) if pairs else math.nan
    assert auroc(truth, scores.astype(float)) == pytest.approx(expected, nan_ok=True)


def test_out_of_body_needs_cases_of_one_length():
    with pytest.raises(InputError, match="of one length"):
        score_out_of_body({"a": (np.ones(2, bool), np.ones(3), np.ones(2, bool))}, fps=1)
    with pytest.raises(InputError, match="at least one case"):
        score_out_of_body({}, fps=1)
