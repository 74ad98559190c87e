"""Wherever a definition of ours is torchmetrics', the numbers are equal; where it is not, one example says how."""

import math

import numpy as np
import pytest
from drawn_labels import SEEDS, labels, presence, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.evaluation.metrics import LabelledCase, score_phases, score_segmentation
from surgical_ml.evaluation.metrics.calibration import calibration
from surgical_ml.evaluation.metrics.segmental import edit_score
from surgical_ml.evaluation.metrics.tools import auroc, average_precision

REASON = "needs torchmetrics and torch, of the extra agreement"
torch = pytest.importorskip("torch", reason=REASON)
theirs = pytest.importorskip("torchmetrics.functional.classification", reason=REASON)
masks = pytest.importorskip("torchmetrics.functional.segmentation", reason=REASON)
edit_distance = pytest.importorskip("torchmetrics.functional.text", reason=REASON).edit_distance

pytestmark = pytest.mark.filterwarnings("ignore:No (positive|negative) samples:UserWarning")

CLASSES = 5


def pooled(truth, prediction):
    case = LabelledCase("case", truth, prediction)
    return score_phases([case], tuple("abcde"), fps=1, protocol="pooled")


def same(value, expected):
    # what they count they divide in single precision
    assert value == pytest.approx(np.asarray(expected, float), abs=1e-4, nan_ok=True)


def exact(value, expected):
    assert value == pytest.approx(np.asarray(expected, float), abs=1e-9, nan_ok=True)


def tensors(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(one)) for one in arrays]


@given(labels(CLASSES))
def test_pooled_jaccard_f1_and_confusion_are_torchmetrics_macro_values(pair):
    scores, (truth, prediction) = pooled(*pair), tensors(*pair)
    assert np.array_equal(scores.confusion[0, :, :-1], theirs.multiclass_confusion_matrix(prediction, truth, CLASSES))
    same(scores.summaries["jaccard"].mean, 100 * theirs.multiclass_jaccard_index(prediction, truth, CLASSES))
    same(scores.summaries["f1"].mean, 100 * theirs.multiclass_f1_score(prediction, truth, CLASSES, average="macro"))
    same(scores.accuracy.mean, 100 * theirs.multiclass_accuracy(prediction, truth, CLASSES, average="micro"))


def test_a_phase_in_neither_has_no_jaccard_where_torchmetrics_says_0_and_leaves_it_out_of_the_mean():
    pair = np.array([0, 0, 1]), np.array([0, 1, 1])
    exact(pooled(*pair).phase_values["jaccard"], [50, 50, math.nan, math.nan, math.nan])
    truth, prediction = tensors(*pair)
    exact(theirs.multiclass_jaccard_index(prediction, truth, CLASSES, average="none"), [0.5, 0.5, 0, 0, 0])


def test_a_phase_that_is_never_predicted_has_no_precision_where_torchmetrics_says_0():
    pair = np.array([0, 0, 1]), np.array([0, 0, 0])
    exact(pooled(*pair).summaries["precision"].mean, 100 * 2 / 3)
    truth, prediction = tensors(*pair)
    same(theirs.multiclass_precision(prediction, truth, CLASSES, average="macro"), 1 / 3)


@given(labels(CLASSES))
def test_precision_and_recall_of_phases_that_are_in_both_are_torchmetrics(pair):
    scores, (truth, prediction) = pooled(*pair), tensors(*pair)
    both = np.intersect1d(*pair)
    for name, function in (("precision", theirs.multiclass_precision), ("recall", theirs.multiclass_recall)):
        expected = function(prediction, truth, CLASSES, average="none").numpy()
        same(scores.phase_values[name][both], 100 * expected[both])


# --- scores and probabilities -----------------------------------------------------------------------------------------


@given(presence(3))
def test_average_precision_and_auroc_are_torchmetrics_for_classes_of_two_kinds_ties_included(drawn):
    truth, scores = drawn
    for c in np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0)):
        score, label = tensors(scores[:, c], truth[:, c].astype(np.int64))
        same(average_precision(truth[:, c], scores[:, c]), theirs.binary_average_precision(score, label))
        same(auroc(truth[:, c], scores[:, c]), theirs.binary_auroc(score, label))


def test_a_single_kind_has_no_auroc_where_torchmetrics_says_0():
    truth, scores = np.ones(3, bool), np.array([0.1, 0.5, 0.9])
    assert math.isnan(auroc(truth, scores))
    assert theirs.binary_auroc(*tensors(scores, truth.astype(np.int64))) == 0


def their_ece(truth, p):
    return theirs.multiclass_calibration_error(*tensors(p, truth), p.shape[1], n_bins=15, norm="l1")


@given(probabilities(4))
def test_ece_is_torchmetrics_calibration_error_of_15_bins_in_the_norm_l1_away_from_the_edges(drawn):
    truth, p = drawn
    p = 0.99 * p + 0.01 / 4
    same(calibration(truth, p).ece, their_ece(truth, p))


def test_a_confidence_on_an_edge_lies_in_the_lower_bin_where_torchmetrics_puts_it_into_the_upper():
    edge, above = 9 / 15, 0.63
    p, truth = np.array([[edge, 1 - edge], [above, 1 - above]]), np.array([0, 1])
    same(calibration(truth, p).ece, ((1 - edge) + above) / 2)
    same(their_ece(truth, p), (edge + above) / 2 - 0.5)


def test_certainty_lies_in_the_last_bin_where_torchmetrics_gives_it_one_of_its_own():
    p, truth = np.array([[1.0, 0.0], [0.97, 0.03]]), np.array([0, 1])
    same(calibration(truth, p).ece, (1 + 0.97) / 2 - 0.5)
    same(their_ece(truth, p), 0.97 / 2)


# --- segments ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_the_edit_score_is_torchmetrics_edit_distance_over_the_longer_sequence(truth, prediction):
    distance = edit_distance("".join(map(str, prediction)), "".join(map(str, truth)), reduction="none").item()
    found = edit_score(np.array(truth, np.int64), np.array(prediction, np.int64))
    exact(found, 100 * (1 - distance / max(len(truth), len(prediction))))


# --- masks ------------------------------------------------------------------------------------------------------------


def drawn_maps(rng):
    """A few frames; of three classes some are in neither map, in one, or in both."""
    rows = []
    for _ in range(rng.integers(1, 4)):
        there = np.append(rng.permutation(4)[: rng.integers(1, 5)], 0)
        rows.append([rng.choice(there, (6, 8)), np.where(rng.random((6, 8)) < 0.5, 0, rng.integers(0, 4, (6, 8)))])
    return np.array(rows)


@settings(max_examples=60)
@given(SEEDS.map(drawn_maps))
def test_iou_and_dice_of_a_class_are_torchmetrics_where_it_is_in_either_map(maps):
    scores = score_segmentation({"video": [(t, p) for t, p in maps]}, ("background", "a", "b", "c"))
    truth, prediction = tensors(maps[:, 0], maps[:, 1])
    iou = masks.mean_iou(prediction, truth, 4, include_background=False, per_class=True, input_format="index").numpy()
    dice = masks.dice_score(
        prediction, truth, 4, include_background=False, average="none", input_format="index"
    ).numpy()
    iou = np.ma.masked_equal(iou, -1)
    same(scores.class_values["iou"], iou.mean(axis=0).filled(math.nan))
    same(scores.class_values["dice"], np.ma.masked_invalid(dice).mean(axis=0).filled(math.nan))
    frames = iou.mean(axis=1).compressed()
    same(scores.isi_iou, frames.mean() if len(frames) else math.nan)
