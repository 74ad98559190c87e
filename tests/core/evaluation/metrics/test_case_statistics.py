"""Intervals cover what they promise, tests err as often as they may, and small groups say nothing."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_studies import share_covered, share_passed

from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.statistics import (
    bootstrap,
    compare,
    holm,
    mean_of,
    not_inferior,
    release_gate,
    subgroups,
    widened_quantile,
)
from surgical_ml.evaluation.metrics.summary import plain_number, summarise


def mean(values, **options):
    return bootstrap(mean_of(np.asarray(values, float)), len(values), seed=1, **options)


def test_the_interval_of_a_mean_is_close_to_the_normal_one():
    values = np.random.default_rng(0).normal(80, 6, 40)
    half = NormalDist().inv_cdf(0.975) * values.std(ddof=1) / math.sqrt(40)
    for method in ("bca", "percentile"):
        found = mean(values, method=method)
        assert found.estimate == pytest.approx(values.mean())
        assert found.low == pytest.approx(values.mean() - half, abs=0.35)
        assert found.high == pytest.approx(values.mean() + half, abs=0.35)


def test_the_same_seed_gives_the_same_interval_and_another_another():
    values = np.arange(30.0)
    statistic = mean_of(values)
    first, again, other = (bootstrap(statistic, 30, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_bca_moves_the_interval_of_a_skewed_sample_towards_its_tail():
    values = np.random.default_rng(2).exponential(1.0, 40)
    percentile, bca = (mean(values, method=method) for method in ("percentile", "bca"))
    assert bca.low > percentile.low
    assert bca.high > percentile.high


def test_bca_equals_scipys_at_the_level_that_few_cases_widen_it_to():
    scipy_stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    values = np.random.default_rng(5).exponential(1.0, 30)
    widened = scipy_stats.norm.cdf(widened_quantile(0.95, 30))
    theirs = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="BCa", rng=0, confidence_level=2 * widened - 1
    ).confidence_interval
    ours = mean(values, draws=20_000)
    assert ours.low == pytest.approx(theirs.low, abs=0.015)
    assert ours.high == pytest.approx(theirs.high, abs=0.015)


@pytest.mark.parametrize(("n", "t"), [(6, 2.570582), (20, 2.093024), (40, 2.022691), (100_001, 1.959988)])
def test_intervals_are_widened_by_students_t_for_few_cases(n, t):
    assert widened_quantile(0.95, n) == pytest.approx(t * math.sqrt(n / (n - 1)), rel=2e-3)


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_two_cases_give_an_interval_from_the_worse_to_the_better(method):
    found = mean([1.0, 3.0], method=method)
    assert (found.low, found.high) == (1, 3)


def test_cases_without_a_value_are_left_out_of_each_draw():
    found = mean([1.0, math.nan, 3.0])
    assert found.estimate == 2
    assert found.draws < 2000
    nothing = mean([math.nan])
    assert math.isnan(nothing.low)
    assert nothing.draws == 0


def test_equal_cases_have_an_interval_without_width_and_a_single_one_has_none():
    equal, single = mean([5.0] * 20), mean([5.0])
    assert (equal.low, equal.high) == (5, 5)
    assert single.estimate == 5
    assert math.isnan(single.low)
    assert math.isnan(single.high)


def test_resampling_frames_instead_of_cases_would_be_several_times_too_narrow():
    rng = np.random.default_rng(3)
    cases = rng.normal(80, 6, 40)
    frames = (cases[:, None] + rng.normal(0, 5, (40, 50))).ravel()
    by_case, by_frame = mean(cases), mean(frames)
    assert (by_case.high - by_case.low) > 4 * (by_frame.high - by_frame.low)


STUDIES = 1000
"""A tenth of what `make campaign` simulates."""


@pytest.mark.parametrize(("skewed", "method"), [(False, "percentile"), (False, "bca"), (True, "bca")])
def test_intervals_cover_the_truth_in_93_to_97_percent_of_a_thousand_studies(skewed, method):
    assert 0.93 <= share_covered(STUDIES, skewed=skewed, method=method) <= 0.97


def test_a_model_exactly_at_the_margin_passes_as_not_inferior_in_two_and_a_half_percent():
    assert 0.015 <= share_passed(STUDIES) <= 0.035


def test_a_paired_comparison_sees_what_two_separate_intervals_hide():
    rng = np.random.default_rng(4)
    reference = rng.normal(80, 8, 40)
    new = reference + rng.normal(1, 1, 40)
    found = compare(mean_of(new), mean_of(reference), 40, seed=1)
    assert found.difference.low > 0
    assert found.p < 0.01
    assert mean(new).low < mean(reference).high


def test_equal_models_do_not_differ():
    values = np.arange(30.0)
    found = compare(mean_of(values), mean_of(values), 30, seed=1)
    assert (found.difference.estimate, found.p) == (0, 1)
    assert not_inferior(found, 0.5)


def test_no_draw_on_the_other_side_of_0_is_a_small_p_and_not_0():
    values = np.arange(30.0)
    assert compare(mean_of(values + 1), mean_of(values), 30, seed=1).p == pytest.approx(2 / 2001)


def test_a_model_that_is_worse_by_just_the_margin_in_every_case_is_inferior():
    values = np.arange(30.0)
    found = compare(mean_of(values - 0.5), mean_of(values), 30, seed=1)
    assert found.difference.low == -0.5
    assert not not_inferior(found, 0.5)
    assert not_inferior(found, 0.501)


def test_a_statistic_that_no_draw_reaches_has_the_interval_of_its_quantiles():
    def different(cases):
        return np.array([len(set(one)) for one in cases.tolist()], float)

    found = bootstrap(different, 20, seed=1)
    assert found.estimate == 20
    assert found.low < found.high < 20


def test_an_outlier_at_an_extreme_level_takes_the_interval_to_the_largest_draw():
    found = mean([0.0] * 29 + [1.0], level=0.999999)
    assert found.low < found.estimate < found.high
    assert found.high >= 5 / 30


@pytest.mark.parametrize("margin", [0, -1, math.nan])
def test_a_margin_must_be_above_zero(margin):
    found = compare(mean_of(np.arange(3.0)), mean_of(np.arange(3.0)), 3, seed=1)
    with pytest.raises(InputError, match="margin"):
        not_inferior(found, margin)


def test_holm_gives_the_values_of_the_textbook():
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(adjusted) == ["a", "b", "c", "d"]


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=6))
def test_holm_keeps_the_order_and_never_lowers_a_p(p_values):
    adjusted = holm(p_values)
    for name, p in p_values.items():
        assert p <= adjusted[name] <= 1
        assert all(adjusted[name] <= adjusted[other] for other in p_values if p_values[other] > p)


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(InputError, match="p of a"):
        holm({"a": 1.5})


@pytest.mark.parametrize(("n", "draws", "level"), [(0, 2000, 0.95), (10, 1999, 0.95), (10, 2000, 1.0)])
def test_a_bootstrap_without_cases_with_few_draws_or_an_impossible_level_is_refused(n, draws, level):
    with pytest.raises(InputError, match="2000 draws or more"):
        bootstrap(mean_of(np.arange(max(n, 1), dtype=float)), n, seed=1, draws=draws, level=level)


# --- subgroups --------------------------------------------------------------------------------------------------------

VALUES = np.concatenate([np.full(25, 0.9), np.full(25, 0.7), np.full(19, 0.9)])
GROUPS = {"site A": range(25), "site B": range(25, 50), "site C": range(50, 69)}


def table(groups=GROUPS, **options):
    return subgroups({name: list(members) for name, members in groups.items()}, mean_of(VALUES), seed=1, **options)


def test_a_group_of_fewer_than_20_cases_has_no_number():
    rows = table()
    assert [row.cases for row in rows] == [25, 25, 19]
    assert [row.sufficient for row in rows] == [True, True, False]
    assert rows[1].interval.estimate == pytest.approx(0.7)
    assert rows[2].to_json() == {
        "group": "site C",
        "cases": 19,
        "events": None,
        "verdict": "insufficient",
        "interval": None,
    }


def test_a_group_of_fewer_than_30_events_has_no_number():
    rows = table({"site A": range(25), "site B": range(25, 50)}, events=np.concatenate([np.full(25, 2), np.ones(44)]))
    assert [row.events for row in rows] == [50, 25]
    assert [row.sufficient for row in rows] == [True, False]


def test_twenty_cases_and_thirty_events_are_enough():
    counts = np.ones(69)
    counts[:10] = 2
    (row,) = table({"site A": range(20)}, events=counts)
    assert (row.cases, row.events, row.sufficient) == (20, 30, True)


def test_a_group_that_lies_below_by_just_what_it_may_passes():
    rows = table({"site A": range(25)})
    drop = 1.0 - rows[0].interval.estimate
    assert release_gate(1.0, rows, drop).verdict == "pass"
    assert release_gate(1.0, rows, math.nextafter(drop, 0)).verdict == "blocked"


def test_the_gate_blocks_a_harmed_group_whatever_the_mean_says():
    gate = release_gate(float(VALUES.mean()), table(), 0.05)
    assert (gate.verdict, gate.worst) == ("blocked", "site B")
    assert gate.insufficient == ("site C",)


def test_a_group_that_is_too_small_never_passes():
    rows = table({"site A": range(25), "site C": range(50, 69)})
    assert release_gate(0.9, rows, 0.05).verdict == "insufficient"
    assert release_gate(0.9, rows[:1], 0.05).verdict == "pass"
    assert release_gate(0.9, rows[1:], 0.05).verdict == "insufficient"


def test_a_drop_that_is_not_a_number_does_not_pass():
    assert release_gate(math.nan, table({"site A": range(25)}), 0.05).verdict == "blocked"
    with pytest.raises(InputError, match="at least one"):
        release_gate(0.9, [], 0.05)


# --- beside every mean ------------------------------------------------------------------------------------------------


def test_the_worst_case_and_the_worst_tenth_stand_beside_a_mean_over_cases():
    found = summarise(np.arange(1.0, 26.0), "cases")
    assert (found.mean, found.worst, found.cvar10) == (13, 1, 2)
    assert summarise(np.arange(1.0, 26.0), "cases", worse="high").worst == 25
    assert summarise(np.arange(3.0), "phases").worst is None


def test_a_single_value_is_written_without_a_spread():
    assert str(summarise(np.array([5.0]), "cases")) == "5.00"
    assert str(summarise(np.array([4.0, 6.0]), "phases")) == "5.00 +- 1.41 (sd over 2 phases)"


def test_what_json_has_no_number_for_is_a_word():
    assert [plain_number(one) for one in (1, math.nan, math.inf, -math.inf)] == [1.0, "NaN", "Inf", "-Inf"]
