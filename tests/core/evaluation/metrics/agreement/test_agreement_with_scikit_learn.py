"""Wherever a definition of ours is scikit-learn's, the numbers are equal; where it is not, one example says how."""

import math

import numpy as np
import pytest
from drawn_labels import labels, presence, probabilities
from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.evaluation.metrics import LabelledCase, PresenceCase, score_phases, score_presence
from surgical_ml.evaluation.metrics.calibration import calibration
from surgical_ml.evaluation.metrics.tools import auroc, average_precision

theirs = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn, of the extra agreement")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning"),
    pytest.mark.filterwarnings("ignore:No positive class found:UserWarning"),
    pytest.mark.filterwarnings("ignore:(A single label was found|y_pred contains classes):UserWarning"),
]

CLASSES = 5
NAMES = tuple("abcde")
IDS = range(CLASSES)


def scored(protocol, *pairs):
    cases = [LabelledCase(f"case{k}", truth, prediction) for k, (truth, prediction) in enumerate(pairs)]
    return score_phases(cases, NAMES, fps=1, protocol=protocol)


def same(value, expected):
    assert value == pytest.approx(expected, abs=1e-9, nan_ok=True)


def undefined_as_nan(truth, prediction, values):
    """Jaccard of scikit-learn has no NaN for a class that is in neither."""
    return np.where(np.isin(IDS, truth) | np.isin(IDS, prediction), values, math.nan)


@given(labels(CLASSES))
def test_confusion_and_accuracy_of_a_case_are_scikit_learns(pair):
    scores = scored("strict", pair)
    assert np.array_equal(scores.confusion[0, :, :-1], theirs.confusion_matrix(*pair, labels=IDS))
    same(scores.case_accuracy[0], 100 * theirs.accuracy_score(*pair))


@given(labels(CLASSES))
def test_precision_recall_f1_and_jaccard_of_a_phase_are_scikit_learns_with_nan_for_a_division_by_zero(pair):
    values = {name: one[0] for name, one in scored("strict", pair).case_values.items()}
    expected = theirs.precision_recall_fscore_support(*pair, labels=IDS, zero_division=math.nan)
    for name, wanted in zip(("precision", "recall", "f1"), expected, strict=False):
        same(values[name], 100 * wanted)
    jaccard = theirs.jaccard_score(*pair, labels=IDS, average=None, zero_division=0)
    same(values["jaccard"], 100 * undefined_as_nan(*pair, jaccard))


@given(labels(CLASSES))
def test_recall_of_one_case_in_strict_is_balanced_accuracy(pair):
    same(scored("strict", pair).summaries["recall"].mean, 100 * theirs.balanced_accuracy_score(*pair))


@given(st.lists(labels(CLASSES), min_size=1, max_size=4))
def test_pooled_scores_are_scikit_learns_macro_average_of_all_samples_with_nan_for_a_division_by_zero(pairs):
    scores = scored("pooled", *pairs)
    truth, prediction = (np.concatenate(one) for one in zip(*pairs, strict=True))
    expected = theirs.precision_recall_fscore_support(truth, prediction, average="macro", zero_division=math.nan)
    for name, wanted in zip(("precision", "recall", "f1"), expected, strict=False):
        same(scores.summaries[name].mean, 100 * wanted)
    same(scores.summaries["jaccard"].mean, 100 * theirs.jaccard_score(truth, prediction, average="macro"))
    same(scores.accuracy.mean, 100 * theirs.accuracy_score(truth, prediction))


@given(st.lists(labels(CLASSES), min_size=1, max_size=4))
def test_strict_and_per_phase_are_means_of_scikit_learns_scores_in_the_order_that_their_names_say(pairs):
    table = np.array(
        [theirs.precision_recall_fscore_support(*one, labels=IDS, zero_division=math.nan) for one in pairs]
    )
    for k, name in enumerate(("precision", "recall", "f1")):
        values = np.ma.masked_invalid(100 * table[:, k])
        same(scored("strict", *pairs).summaries[name].mean, values.mean(axis=1).mean())
        same(scored("per-phase", *pairs).summaries[name].mean, values.mean(axis=0).mean())


@given(labels(CLASSES), st.integers(0, 2**32 - 1))
def test_a_sample_without_a_prediction_is_a_class_of_its_own_that_is_left_out_of_the_average(pair, seed):
    truth, prediction = pair
    silent = np.where(np.random.default_rng(seed).random(len(truth)) < 0.3, -1, prediction)
    values = {name: one[0] for name, one in scored("strict", (truth, silent)).case_values.items()}
    expected = theirs.precision_recall_fscore_support(truth, silent, labels=IDS, zero_division=math.nan)
    for name, wanted in zip(("precision", "recall", "f1"), expected, strict=False):
        same(values[name], 100 * wanted)


def test_a_phase_that_is_never_predicted_has_no_precision_where_scikit_learn_says_0_unless_told_otherwise():
    truth, prediction = np.array([0, 0, 1]), np.array([0, 0, 0])
    assert scored("pooled", (truth, prediction)).summaries["precision"].mean == pytest.approx(100 * 2 / 3)
    assert theirs.precision_score(truth, prediction, average="macro") == pytest.approx(1 / 3)
    assert theirs.precision_score(truth, prediction, average="macro", zero_division=math.nan) == pytest.approx(2 / 3)


def test_a_phase_that_is_predicted_but_not_there_has_no_recall_where_scikit_learn_says_0_unless_told_otherwise():
    truth, prediction = np.array([0, 0, 0]), np.array([0, 0, 1])
    assert scored("pooled", (truth, prediction)).summaries["recall"].mean == pytest.approx(100 * 2 / 3)
    assert theirs.recall_score(truth, prediction, average="macro") == pytest.approx(1 / 3)


# --- scores -----------------------------------------------------------------------------------------------------------


@given(presence(3))
def test_average_precision_is_scikit_learns_for_every_class_that_occurs_ties_and_constant_scores_included(drawn):
    truth, scores = drawn
    for c in np.flatnonzero(truth.any(axis=0)):
        same(average_precision(truth[:, c], scores[:, c]), theirs.average_precision_score(truth[:, c], scores[:, c]))


@given(st.lists(presence(3), min_size=1, max_size=3))
def test_average_precision_over_all_frames_is_scikit_learns_of_the_videos_joined(videos):
    found = score_presence([PresenceCase(f"v{k}", *one) for k, one in enumerate(videos)], NAMES[:3])
    truth, scores = (np.concatenate(one) for one in zip(*videos, strict=True))
    there = truth.any(axis=0)
    expected = theirs.average_precision_score(truth, scores, average=None)
    same(found.all_frames, np.where(there, 100 * expected, math.nan))


def test_a_class_that_never_occurs_has_no_average_precision_where_scikit_learn_says_0():
    truth, scores = np.zeros(4, bool), np.array([0.1, 0.9, 0.4, 0.2])
    assert math.isnan(average_precision(truth, scores))
    assert theirs.average_precision_score(truth, scores) == 0


@given(presence(1))
def test_auroc_is_scikit_learns_and_is_nan_of_a_single_kind(drawn):
    truth, scores = drawn[0][:, 0], drawn[1][:, 0]
    same(auroc(truth, scores), theirs.roc_auc_score(truth, scores))


# --- probabilities ----------------------------------------------------------------------------------------------------


@given(probabilities(4))
def test_brier_is_scikit_learns_of_many_classes_not_halved_and_nll_is_its_log_loss(drawn):
    truth, p = drawn
    found = calibration(truth, p)
    same(found.brier, theirs.brier_score_loss(truth, p, labels=range(4), scale_by_half=False))
    same(found.nll, theirs.log_loss(truth, p, labels=range(4)))


def test_brier_of_two_classes_is_twice_what_scikit_learn_says_unless_told_otherwise():
    truth, p = np.array([0, 1]), np.array([[0.8, 0.2], [0.6, 0.4]])
    assert calibration(truth, p).brier == pytest.approx(2 * theirs.brier_score_loss(truth, p[:, 1]))


def test_a_probability_of_0_for_what_happened_costs_log_1e12_where_scikit_learn_takes_the_smallest_float():
    truth, p = np.array([0, 1]), np.array([[0.0, 1.0], [0.5, 0.5]])
    assert calibration(truth, p).nll == pytest.approx((-math.log(1e-12) - math.log(0.5)) / 2)
    assert theirs.log_loss(truth, p) == pytest.approx((-math.log(np.finfo(float).eps) - math.log(0.5)) / 2)


@given(probabilities(2))
def test_the_bars_of_a_reliability_diagram_are_scikit_learns_calibration_curve(drawn):
    curves = pytest.importorskip("sklearn.calibration", reason="needs scikit-learn, of the extra agreement")
    truth, p = drawn
    right, confidence = p.argmax(axis=1) == truth, p.max(axis=1)
    bars = [one for one in calibration(truth, p).bins if one.samples]
    frequency, stated = curves.calibration_curve(right, confidence, n_bins=15, pos_label=True)
    same(np.array([one.accuracy for one in bars]), frequency)
    same(np.array([one.confidence for one in bars]), stated)
