"""Probabilities are held against frequencies, and at transitions apart from the rest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.calibration import (
    ScoredCase,
    calibration,
    fit_temperature,
    near_transitions,
    score_calibration,
    selective_risk,
)


def distributions(rng, n, classes, sharpness=2.0):
    raised = np.exp(sharpness * rng.normal(size=(n, classes)))
    return raised / raised.sum(axis=1, keepdims=True)


def drawn(rng, p):
    """A truth that follows the probabilities."""
    return (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)


def two(confidence, truth):
    """Samples of two classes; class 0 is stated with the confidence."""
    p = np.array(confidence)[:, None]
    return calibration(np.array(truth), np.hstack([p, 1 - p]))


def test_a_truth_drawn_from_the_stated_probabilities_has_almost_no_error():
    rng = np.random.default_rng(1)
    p = distributions(rng, 200_000, 4)
    found = calibration(drawn(rng, p), p)
    assert found.ece < 0.005
    assert found.classwise_ece < 0.005


def test_ece_is_the_gap_between_stated_and_real_frequency():
    found = two([0.9] * 10, [0] * 6 + [1] * 4)
    assert found.ece == pytest.approx(0.3)
    assert found.classwise_ece == pytest.approx(0.3)
    assert sum(b.samples for b in found.bins) == 10


def test_a_bin_includes_its_upper_edge_and_certainty_is_in_the_last_one():
    found = two([1.0, 14 / 15], [0, 0])
    assert [b.samples for b in found.bins[-2:]] == [1, 1]


def test_brier_and_nll_are_those_of_their_formulas():
    found = two([0.8], [0])
    assert found.brier == pytest.approx(0.2**2 + 0.2**2)
    assert found.nll == pytest.approx(-np.log(0.8))
    assert two([0.0], [0]).nll == pytest.approx(-np.log(1e-12))


def test_risk_counts_errors_among_the_most_confident():
    # errors are the two least confident of ten
    found = two([0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.6, 0.55], [0] * 8 + [1] * 2)
    assert found.risk_at == {80: 0, 90: pytest.approx(1 / 9)}
    assert found.aurc == pytest.approx((1 / 9 + 2 / 10) / 10)


def test_a_coverage_that_ends_inside_a_sample_takes_that_sample_in():
    # 80 % of three samples are two and a part of the third, which is wrong
    assert two([0.9, 0.8, 0.7], [0, 0, 1]).risk_at[80] == pytest.approx(1 / 3)


def test_the_classwise_error_is_the_mean_of_the_classes_errors():
    p = np.tile([0.5, 0.3, 0.2], (10, 1))
    assert calibration(np.repeat([0, 1], 5), p).classwise_ece == pytest.approx((0 + 0.2 + 0.2) / 3)
    assert calibration(np.repeat([0, 1], [6, 4]), p).classwise_ece == pytest.approx(0.4 / 3)


def test_equal_confidences_share_their_errors_whatever_their_order():
    ones = np.ones(4)
    for errors in ([1, 0, 0, 0], [0, 0, 0, 1]):
        assert selective_risk(ones, np.array(errors, float)).tolist() == [0.25] * 4


def test_boundary_samples_lie_within_the_reach_of_a_true_transition():
    truth = np.array([0] * 5 + [1] * 5)
    assert np.flatnonzero(near_transitions(truth, 2)).tolist() == [3, 4, 5, 6, 7]
    assert not near_transitions(np.array([0, -1, 0, 0]), 1).any()
    assert near_transitions(np.array([0, 1]), 10).all()


def test_a_model_that_is_wrong_only_at_transitions_is_told_from_one_that_is_not():
    truth = np.repeat([0, 1], 100)
    p = np.eye(2)[truth] * 0.98 + 0.01
    p[95:105] = p[95:105, ::-1]
    found = score_calibration([ScoredCase("a", truth, p)], fps=1)
    assert (found.boundary.samples, found.interior.samples) == (21, 179)
    assert found.boundary.ece > 0.4
    assert found.interior.ece == pytest.approx(0.01)
    assert found.interior.ece < found.everywhere.ece < found.boundary.ece
    faster = score_calibration([ScoredCase("a", truth, p)], fps=2)
    assert (faster.boundary.samples, faster.interior.samples) == (41, 159)


def test_samples_without_truth_are_left_out():
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    found = score_calibration([ScoredCase("a", np.array([0, -1]), p)], fps=1)
    assert found.frames == 1
    assert np.isnan(found.boundary.ece)
    assert found.to_json()["boundary"]["ece"] == "NaN"


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found_on_validation_cases(true_temperature):
    rng = np.random.default_rng(2)
    p = distributions(rng, 60_000, 5)
    truth = drawn(rng, p)
    distorted = p**true_temperature
    case = ScoredCase("validation", truth, distorted / distorted.sum(axis=1, keepdims=True))
    fitted = fit_temperature([case])
    assert fitted.value == pytest.approx(true_temperature, rel=0.03)
    other = ScoredCase("test", case.truth, case.probabilities)
    before, after = (score_calibration(cases, fps=1).everywhere for cases in ([other], fitted.apply([other])))
    assert after.nll <= before.nll + 1e-12
    assert after.ece < 0.01


def test_a_temperature_is_not_applied_to_the_cases_it_was_fitted_on():
    case = ScoredCase("a", np.array([0, 1, 0]), np.array([[0.6, 0.4], [0.3, 0.7], [0.4, 0.6]]))
    with pytest.raises(InputError, match="cases it was not fitted on, found a"):
        fit_temperature([case]).apply([case])


@pytest.mark.parametrize(
    ("truth", "p", "complaint"),
    [
        ([0], [[0.5, 0.6]], "sample 0: expected probabilities that sum to 1"),
        ([0], [[1.5, -0.5]], "sum to 1"),
        ([0], [[0.52, 0.5]], "sum to 1"),
        ([0], [[np.nan, 1]], "sum to 1"),
        ([2], [[0.5, 0.5]], "ids from -1 to 1"),
        ([0, 1], [[0.5, 0.5]], "probabilities, found"),
        ([0.5], [[0.5, 0.5]], "probabilities, found"),
    ],
)
def test_what_is_no_distribution_is_refused(truth, p, complaint):
    with pytest.raises(InputError, match=complaint):
        ScoredCase("a", np.array(truth), np.array(p))


def test_cases_that_do_not_belong_together_are_refused():
    one = ScoredCase("a", np.array([0]), np.array([[1.0, 0.0]]))
    other = ScoredCase("b", np.array([0]), np.array([[1.0, 0.0, 0.0]]))
    for cases, complaint in (([], "at least one"), ([one, one], "a twice"), ([one, other], "the same classes")):
        with pytest.raises(InputError, match=complaint):
            score_calibration(cases, fps=1)
    with pytest.raises(InputError, match="above 0"):
        score_calibration([one], fps=0)
    with pytest.raises(InputError, match="samples with a truth"):
        fit_temperature([ScoredCase("a", np.array([-1]), np.array([[1.0, 0.0]]))])


@settings(max_examples=50)
@given(st.integers(1, 60), st.integers(2, 4), st.integers(0, 10_000))
def test_every_number_equals_its_definition_written_out(n, classes, seed):
    rng = np.random.default_rng(seed)
    p = distributions(rng, n, classes)
    truth = rng.integers(0, classes, n)
    found = calibration(truth, p)
    bins = [[] for _ in range(15)]
    for row, label in zip(p, truth, strict=True):
        k = next(k for k in range(15) if row.max() <= (k + 1) / 15 + 1e-12)
        bins[k].append((row.max(), row.argmax() == label))
    gaps = [abs(np.mean([c for c, _ in one]) - np.mean([r for _, r in one])) * len(one) for one in bins if one]
    assert found.ece == pytest.approx(sum(gaps) / n)
    squares = [sum((row[c] - (label == c)) ** 2 for c in range(classes)) for row, label in zip(p, truth, strict=True)]
    assert found.brier == pytest.approx(np.mean(squares))
    order = sorted(range(n), key=lambda k: -p[k].max())
    errors = [p[k].argmax() != truth[k] for k in order]
    assert found.aurc == pytest.approx(np.mean([np.mean(errors[: k + 1]) for k in range(n)]))
