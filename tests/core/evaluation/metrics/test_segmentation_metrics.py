"""Masks are scored in each convention, against small masks counted by hand and definitions written out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.segmentation import score_segmentation

CLASSES = ("background", "hook", "grasper")


def score(*frames, classes=CLASSES, **more):
    videos = {"video01": [(np.array(t), np.array(p)) for t, p in frames]}
    videos |= {name: [(np.array(t), np.array(p)) for t, p in other] for name, other in more.items()}
    return score_segmentation(videos, classes)


def test_a_perfect_mask_scores_1_and_is_as_restless_as_the_truth():
    mask = np.zeros((40, 60), int)
    mask[5:20, 5:20], mask[22:30, 30:50] = 1, 2
    scores = score((mask, mask), (np.roll(mask, 3, 1), np.roll(mask, 3, 1)))
    assert scores.challenge_iou == scores.isi_iou == scores.mean_class_iou == scores.cumulative_iou == 1
    for measure, expected in (("iou", 1), ("dice", 1), ("nsd_2px", 1), ("nsd_5px", 1), ("hd95_px", 0)):
        assert scores.class_values[measure].tolist() == [expected, expected]
    assert scores.flicker_ratio.tolist() == [1]


# hook: 2 of 4 right; grasper: predicted where there is none
ONE = ([[1, 1, 1, 0]], [[1, 1, 2, 0]])


def test_challenge_looks_at_the_classes_of_the_truth_and_isi_at_those_of_either():
    scores = score(ONE)
    assert scores.challenge_iou == pytest.approx(2 / 3)
    assert scores.isi_iou == pytest.approx((2 / 3 + 0) / 2)


def test_a_false_positive_on_an_empty_frame_costs_nothing_in_challenge_and_all_in_isi():
    scores = score(([[1, 0]], [[1, 0]]), ([[0, 0]], [[2, 0]]))
    assert scores.challenge_iou == 1
    assert scores.isi_iou == 0.5
    assert scores.mean_class_iou == 0.5
    assert scores.cumulative_iou == 0.5


def test_a_frame_without_anything_is_left_out_everywhere():
    scores = score(([[1, 0]], [[1, 0]]), ([[0, 0]], [[0, 0]]))
    assert scores.isi_iou == scores.challenge_iou == scores.class_values["dice"][0] == 1
    assert math.isnan(scores.class_values["dice"][1])
    assert sum(scores.frames) == 2


def test_mean_class_iou_averages_frames_first_and_cumulative_iou_pixels():
    scores = score(([[1, 1, 1, 1]], [[1, 1, 1, 1]]), ([[1, 0, 0, 0]], [[0, 1, 0, 0]]), ([[2, 0, 0, 0]], [[2, 0, 0, 0]]))
    assert scores.mean_class_iou == pytest.approx((0.5 + 1) / 2)
    assert scores.cumulative_iou == pytest.approx((4 + 0 + 1) / (4 + 2 + 1))


def test_dice_is_averaged_over_frames_then_videos_then_classes():
    half = ([[1, 1]], [[1, 0]])
    whole = ([[1, 1]], [[1, 1]])
    scores = score(whole, whole, whole, video02=[half])
    assert scores.class_values["dice"][0] == pytest.approx((1 + 2 / 3) / 2)
    assert scores.to_json()["dice"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores.video_values["dice"].tolist() == pytest.approx([1, 2 / 3])


def test_a_class_that_only_one_of_the_two_has_scores_0_and_the_diagonal():
    nothing, something = np.zeros((3, 4), int), np.zeros((3, 4), int)
    something[1, 1] = 1
    for frame in ((something, nothing), (nothing, something)):
        scores = score(frame)
        assert scores.class_values["hd95_px"][0] == 5
        assert scores.class_values["nsd_2px"][0] == scores.class_values["dice"][0] == 0


def square(left, size=20, width=512):
    mask = np.zeros((64, width), int)
    mask[10 : 10 + size, left : left + size] = 1
    return mask


def test_surface_tolerances_are_pixels_at_512_and_grow_with_the_picture():
    near, far = score((square(50), square(53))), score((square(50), square(57)))
    assert near.class_values["nsd_5px"][0] == 1
    assert near.class_values["nsd_2px"][0] < 1
    assert far.class_values["nsd_5px"][0] < 1
    assert score((square(50, width=511), square(52, width=511))).class_values["nsd_2px"][0] < 1
    wide = score((square(50, width=1024), square(54, width=1024)))
    assert wide.class_values["nsd_2px"][0] == 1
    assert near.class_values["hd95_px"][0] == 3


def test_ignored_pixels_of_the_truth_count_for_nothing():
    scores = score(([[1, 1, 255, 255]], [[1, 1, 2, 1]]))
    assert scores.isi_iou == 1
    assert math.isnan(scores.class_values["dice"][1])


def test_with_more_than_255_classes_255_is_one_of_them():
    classes = tuple(f"class {k}" for k in range(300))
    scores = score(([[255, 255]], [[255, 0]]), classes=classes)
    assert scores.class_values["iou"][254] == 0.5


def test_frames_of_another_size_are_no_pair_that_flickers():
    small, large = np.ones((4, 4), int), np.ones((8, 8), int)
    assert np.isnan(score((small, small), (large, large)).flicker).all()
    assert score((small, small), (large, large), (large, large)).flicker.tolist() == [0]


def test_flicker_is_told_apart_from_motion_by_the_truths_own():
    still = np.zeros((8, 8), int)
    still[2:6, 2:6] = 1
    gone = np.zeros((8, 8), int)
    scores = score((still, still), (still, gone), (still, still))
    assert scores.truth_flicker.tolist() == [0]
    assert scores.flicker.tolist() == [1]
    assert scores.flicker_ratio.tolist() == [math.inf]
    assert scores.to_json()["per_case"][0]["flicker_ratio"] == "Inf"


@pytest.mark.parametrize(
    ("frames", "complaint"),
    [
        ([([[0, 1]], [[0]])], "video01, frame 0: expected truth and prediction of one size"),
        ([([[0, 3]], [[0, 0]])], "frame 0, truth: expected ids from 0 to 2, found 3"),
        ([([[0, 0]], [[0, 255]])], "frame 0, prediction: expected ids from 0 to 2, found 255"),
        ([([[0, 0]], [[0, -1]])], "found -1"),
        ([], "video01: expected at least one frame"),
    ],
)
def test_what_is_no_pair_of_label_maps_is_refused(frames, complaint):
    with pytest.raises(InputError, match=complaint):
        score(*frames)


def test_no_video_and_no_class_are_refused():
    with pytest.raises(InputError, match="at least one video"):
        score_segmentation({}, CLASSES)
    with pytest.raises(InputError, match="a class beside background"):
        score(([[0]], [[0]]), classes=("background",))


MASKS = st.integers(0, 2**31).map(np.random.default_rng).map(lambda rng: rng.integers(0, 3, (2, 2, 7, 9)))


def boundary(mask):
    height, width = mask.shape
    around = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    return [
        (y, x)
        for y, x in np.argwhere(mask)
        if any(not (0 <= y + b < height and 0 <= x + a < width and mask[y + b, x + a]) for a, b in around)
    ]


@settings(max_examples=40)
@given(MASKS)
def test_every_convention_equals_its_definition_written_out(maps):
    frames = [(truth, prediction) for truth, prediction in maps]
    scores = score(*frames)
    challenge, isi, per_class, inner, outer = [], [], {1: [], 2: []}, 0, 0
    for truth, prediction in frames:
        ious = {}
        for c in (1, 2):
            both, either = ((truth == c) & (prediction == c)).sum(), ((truth == c) | (prediction == c)).sum()
            inner, outer = inner + both, outer + either
            if either:
                ious[c] = both / either
                per_class[c].append(both / either)
        if ious:
            isi.append(np.mean(list(ious.values())))
        if (truth > 0).any():
            challenge.append(np.mean([ious[c] for c in ious if (truth == c).any()]))
    assert scores.challenge_iou == pytest.approx(np.mean(challenge) if challenge else math.nan, nan_ok=True)
    assert scores.isi_iou == pytest.approx(np.mean(isi) if isi else math.nan, nan_ok=True)
    means = [np.mean(one) for one in per_class.values() if one]
    assert scores.mean_class_iou == pytest.approx(np.mean(means) if means else math.nan, nan_ok=True)
    assert scores.cumulative_iou == pytest.approx(inner / outer if outer else math.nan, nan_ok=True)


RECTANGLE = st.tuples(st.integers(0, 11), st.integers(0, 120), st.integers(1, 9), st.integers(1, 60))


def drawn(rectangles):
    mask = np.zeros((12, 128), bool)
    for top, left, height, width in rectangles:
        mask[top : top + height, left : left + width] ^= True
    return mask


@settings(max_examples=40)
@given(*[st.lists(RECTANGLE, min_size=1, max_size=3).map(drawn)] * 2)
def test_surface_scores_equal_all_distances_between_boundaries(truth, prediction):
    scores = score((truth.astype(int), prediction.astype(int)), classes=("background", "hook"))
    if truth.any() and prediction.any():
        g, p = (np.array(boundary(mask), float) for mask in (truth, prediction))
        distances = np.sqrt(((g[:, None] - p[None]) ** 2).sum(axis=2))
        to_p, to_g = distances.min(axis=1), distances.min(axis=0)
        hd95 = max(np.percentile(to_p, 95), np.percentile(to_g, 95))
        assert scores.class_values["hd95_px"][0] == pytest.approx(hd95, rel=1e-5)
        for name, tolerance in (("nsd_2px", 2 / 4), ("nsd_5px", 5 / 4)):
            expected = ((to_p <= tolerance).sum() + (to_g <= tolerance).sum()) / (len(g) + len(p))
            assert scores.class_values[name][0] == pytest.approx(expected)
