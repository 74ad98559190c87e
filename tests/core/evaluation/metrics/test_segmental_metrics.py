"""Segments are counted as the published code counts them, and transitions as their definition says."""

from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics import UNDEFINED, LabelledCase, score_segments, segments
from surgical_ml.evaluation.metrics.segmental import edit_score, overlap_counts
from surgical_ml.evaluation.metrics.summary import quantile
from surgical_ml.labels import read_gestures

JIGSAWS = Path(__file__).resolve().parents[5] / "shared" / "data" / "jigsaws-gestures"

# What the published metric code (github.com/colincsl/TemporalConvolutionalNetworks at cccdf868, code/metrics.py:
# edit_score, overlap_f1) gives for these predictions: splits 1 to 8, then all 39 sequences; edit, F1@10, F1@25, F1@50.
PUBLISHED = {
    "sensors_ED-TCN_L2_C15": [
        [80.861382, 87.828424, 86.802783, 77.912979],
        [91.727273, 95.582418, 95.582418, 91.652015],
        [74.562430, 81.070818, 77.501104, 59.968606],
        [84.554113, 91.108412, 89.055780, 81.258210],
        [95.894737, 97.866287, 97.866287, 95.761024],
        [86.252808, 90.461690, 87.734417, 80.900222],
        [88.234475, 92.784649, 91.764241, 86.617120],
        [77.528571, 85.916032, 82.358720, 79.604454],
        [84.867807, 90.264333, 88.501654, 81.583488],
    ],
    "video_ED-TCN_L2_C20": [
        [82.710623, 90.550249, 87.497617, 79.536304],
        [89.367965, 93.477154, 92.524773, 84.463466],
        [74.258893, 85.155676, 80.666369, 70.587600],
        [86.601732, 91.840229, 89.864619, 81.600211],
        [90.777778, 94.075188, 93.022556, 85.654135],
        [80.949203, 86.049265, 85.628212, 76.721602],
        [86.934524, 88.598318, 86.316572, 80.244576],
        [85.150104, 90.976560, 90.976560, 87.139478],
        [84.533835, 90.128587, 88.363329, 80.756212],
    ],
}


def case(truth, prediction, name="video01"):
    return LabelledCase(name, np.array(truth), np.array(prediction))


def score(truth, prediction, fps=1, **options):
    return score_segments([case(truth, prediction)], fps=fps, **options)


@pytest.mark.shared_data
@pytest.mark.skipif(not JIGSAWS.is_dir(), reason="../shared/data/jigsaws-gestures is not beside the project")
@pytest.mark.parametrize("model", sorted(PUBLISHED))
def test_both_gesture_models_score_what_the_published_code_gives_per_split_and_over_all(model):
    splits = [
        [LabelledCase(one.name, one.truth, one.prediction) for one in read_gestures(JIGSAWS / model / f"{k}.mat")]
        for k in range(1, 9)
    ]
    for cases, expected in zip([*splits, [*chain(*splits)]], PUBLISHED[model], strict=True):
        summaries = score_segments(cases, fps=10).summaries
        assert [summaries[name].mean for name in ("edit", "f1@10", "f1@25", "f1@50")] == pytest.approx(
            expected, abs=6e-7
        )


def test_edit_ignores_how_long_segments_last():
    assert score([0, 0, 0, 1], [0, 1, 1, 1]).edit[0] == 100
    assert score([0, 0, 1, 1, 2, 2], [0, 0, 2, 2, 2, 2]).edit[0] == pytest.approx(200 / 3)


def test_f1_asks_for_more_overlap_as_k_rises():
    # a true segment of 10 samples, of which 3 are found: IoU 30 %
    scores = score([1] * 10 + [0] * 10, [1] * 3 + [0] * 17)
    assert scores.counts[0].tolist() == [[2, 0, 0], [2, 0, 0], [1, 1, 1]]
    assert scores.f1[0] == pytest.approx([100, 100, 50])


def test_a_second_fragment_of_a_found_segment_is_a_false_positive():
    scores = score([1] * 20, [1] * 9 + [0] * 2 + [1] * 9)
    assert scores.counts[0].tolist() == [[1, 2, 0], [1, 2, 0], [0, 3, 1]]
    assert scores.over_segmentation[0] == 3


def test_a_fragment_whose_best_segment_is_taken_does_not_try_the_next_as_in_the_published_code():
    # the second run of 1 overlaps the first true 1 with 4 of 14 and the second with 2 of 12; the first is taken
    truth = [1] * 12 + [0] + [1] * 6
    prediction = [1] * 6 + [0] * 2 + [1] * 7 + [0] * 4
    assert overlap_counts(segments(np.array(truth)), segments(np.array(prediction)))[0].tolist() == [1, 3, 2]


def test_k_percent_itself_is_enough():
    assert score([1] * 10, [1] + [0] * 9).counts[0, 0].tolist() == [1, 1, 0]
    assert score([1] * 4, [1] + [0] * 3).counts[0, 1].tolist() == [1, 1, 0]


def test_undefined_segments_are_left_out_of_truth_and_prediction():
    scores = score([0, UNDEFINED, 1, 1], [0, 0, UNDEFINED, 1])
    assert scores.edit[0] == 100
    assert scores.over_segmentation[0] == 1


def test_a_case_without_truth_has_no_score_and_one_without_prediction_scores_0():
    scores = score_segments([case([-1, -1], [0, 1], "a"), case([0, 1], [-1, -1], "b")], fps=1)
    assert np.isnan(scores.edit[0])
    assert np.isnan(scores.f1[0]).all()
    assert scores.edit[1] == 0
    assert scores.f1[1].tolist() == [0, 0, 0]
    assert scores.summaries["edit"].n == 1


def test_pooled_f1_weighs_segments_and_not_cases():
    cases = [case([0, 1, 2, 3], [0, 1, 2, 3], "many"), case([0], [1], "one")]
    scores = score_segments(cases, fps=1)
    assert scores.summaries["f1@10"].mean == 50
    assert scores.pooled_f1["f1@10"] == 80


# --- transitions ------------------------------------------------------------------------------------------------------

TRUTH = [0] * 30 + [1] * 30


def latency(prediction, truth=TRUTH, **options):
    return score(truth, prediction, **options).latencies_s.tolist()


def test_latency_is_the_time_from_the_true_to_the_seen_transition():
    assert latency([0] * 30 + [1] * 30) == [0]
    assert latency([0] * 37 + [1] * 23) == [7]
    assert latency([0] * 37 + [1] * 23, fps=2) == [3.5]
    assert latency([0] * 25 + [1] * 35) == [-5]


def test_a_phase_seen_more_than_ten_seconds_early_counts_from_ten_seconds_early():
    assert latency([0] * 5 + [1] * 55) == [-10]


def test_a_flicker_shorter_than_the_hold_is_not_yet_seen():
    assert latency([0] * 30 + [1] + [0] * 9 + [1] * 20, hold_s=2) == [10]
    assert latency([0] * 30 + [1, 1] + [0] * 8 + [1] * 20, hold_s=2) == [0]


def test_a_phase_shorter_than_the_hold_need_only_be_held_while_it_lasts():
    truth = [0] * 20 + [1] * 2 + [2] * 20
    assert latency(truth, truth, hold_s=5) == [0, 0]


def test_a_hold_shorter_than_a_sample_asks_for_one_sample():
    # the first run ends where looking begins, ten seconds before the transition
    assert latency([0] * 15 + [1] * 5 + [0] * 12 + [1] * 28, hold_s=0.1) == [2]


def test_a_phase_seen_only_when_it_is_over_is_a_miss_and_a_false_start():
    scores = score([0] * 30 + [1] * 10 + [2] * 20, [0] * 40 + [1] * 20, hold_s=20)
    assert np.isinf(scores.latencies_s).all()
    assert scores.false_starts.tolist() == [1]


def test_a_run_that_the_end_of_the_case_cuts_short_counts_as_held():
    assert latency([0] * 59 + [1], hold_s=5) == [29]


def test_a_phase_never_seen_before_it_ends_is_a_miss_and_infinite():
    scores = score([0] * 20 + [1] * 20 + [2] * 20, [0] * 40 + [2] * 20)
    assert scores.latencies_s.tolist() == [np.inf, 0]
    values = scores.to_json()["latency_s"]
    assert (values["transitions"], values["misses"], values["median"], values["p90"]) == (2, 1, "Inf", "Inf")


def test_a_false_start_is_a_held_phase_that_is_neither_true_nor_about_to_be():
    def false_starts(prediction):
        return int(score(TRUTH, prediction).false_starts[0])

    assert false_starts(TRUTH) == 0
    assert false_starts([0] * 21 + [1] * 39) == 0
    assert false_starts([0] * 19 + [1] * 41) == 1
    assert false_starts([0] * 5 + [2] * 3 + [0] * 22 + [1] * 30) == 1
    assert false_starts([0] * 5 + [2] + [0] * 24 + [1] * 30) == 0


@pytest.mark.parametrize("options", [{"fps": 0}, {"fps": 1, "hold_s": 0}, {"fps": float("nan")}])
def test_rate_and_hold_must_be_above_zero(options):
    with pytest.raises(InputError, match="numbers above 0"):
        score([0], [0], **options)


def test_quantiles_step_between_values_and_lean_on_infinity():
    assert quantile(np.array([1.0, 3.0]), 0.5) == 2
    assert quantile(np.array([1.0, np.inf]), 0.5) == np.inf
    assert quantile(np.array([1.0, 2.0, np.inf]), 0.5) == 2
    assert quantile(np.array([np.inf, np.inf]), 0.5) == np.inf
    assert np.isnan(quantile(np.array([]), 0.5))


# --- against the definitions, written out -----------------------------------------------------------------------------

SEQUENCES = st.integers(1, 40).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 2), min_size=n, max_size=n) for _ in range(2)])
)


def levenshtein(a, b):
    table = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            change = table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, change)
    return table[-1][-1]


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_edit_equals_the_table_filled_cell_by_cell(a, b):
    longest = max(len(a), len(b))
    expected = 100 * (1 - levenshtein(a, b) / longest) if longest else 100
    assert edit_score(np.array(a, int), np.array(b, int)) == pytest.approx(expected)


@given(SEQUENCES)
def test_hits_equal_going_through_the_predicted_segments_one_by_one(labels):
    truth, prediction = (segments(np.array(one)) for one in labels)
    for percent, counted in zip((10, 25, 50), overlap_counts(truth, prediction), strict=True):
        used = [False] * len(truth)
        for start, end, label in prediction:
            overlaps = [
                max(0, min(end, e) - max(start, s)) / (max(end, e) - min(start, s)) * (label == other)
                for s, e, other in truth
            ]
            best = int(np.argmax(overlaps))
            used[best] |= overlaps[best] >= percent / 100
        hits = sum(used)
        assert counted.tolist() == [hits, len(prediction) - hits, len(truth) - hits]


@given(st.lists(st.integers(0, 3), max_size=30))
def test_segments_put_together_are_the_labels(labels):
    runs = segments(np.array(labels, int))
    assert [label for start, end, label in runs for _ in range(end - start)] == labels
    assert all(a[2] != b[2] and a[1] == b[0] for a, b in pairwise(runs))
