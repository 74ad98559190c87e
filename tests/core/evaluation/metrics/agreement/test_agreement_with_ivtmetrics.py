"""Action triplets and tool presence beside ivtmetrics: equal where a class occurs, and what it makes of one that does not."""

import math
from pathlib import Path

import numpy as np
import pytest
from drawn_labels import presence
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.evaluation.metrics import PresenceCase, score_presence
from surgical_ml.labels import read_label_mapping, take_apart

ivtmetrics = pytest.importorskip("ivtmetrics", reason="needs ivtmetrics, of the extra agreement")

pytestmark = pytest.mark.filterwarnings("ignore:No positive class found:UserWarning")

TRIPLETS, NULL_TRIPLETS = 100, 6


@pytest.fixture(scope="module")
def mapping():
    return read_label_mapping(Path(ivtmetrics.__file__).parent / "maps.txt")


def theirs(videos):
    """Their recogniser after all videos; that it silences numpy for good ends with the test."""
    recogniser = ivtmetrics.Recognition(videos[0][0].shape[1])
    for truth, scores in videos:
        recogniser.update(truth.astype(int), scores)
        recogniser.video_end()
    return recogniser


@pytest.fixture(autouse=True)
def _numpy_as_it_was():
    with np.errstate():
        yield


def ours(videos):
    cases = [PresenceCase(f"video{k}", *one) for k, one in enumerate(videos)]
    return score_presence(cases, tuple(map(str, range(videos[0][0].shape[1]))))


def same(value, expected):
    assert value == pytest.approx(expected, abs=1e-9, nan_ok=True)


def with_every_class(video):
    """A frame more, with all classes and scores of any kind."""
    truth, scores = video
    return np.vstack([truth, np.ones(truth.shape[1], bool)]), np.vstack([scores, scores.mean(axis=0)])


@settings(max_examples=40)
@given(st.lists(presence(4).map(with_every_class), min_size=1, max_size=3))
def test_ap_by_video_then_class_and_over_all_frames_are_ivtmetrics_where_every_class_occurs(videos):
    found, expected = ours(videos), theirs(videos)
    by_video, together = expected.compute_video_AP(), expected.compute_global_AP()
    same(found.class_values, 100 * by_video["AP"])
    same(found.summary.mean, 100 * by_video["mAP"])
    same(found.all_frames, 100 * together["AP"])


@settings(max_examples=40)
@given(presence(4))
def test_ap_of_one_video_is_ivtmetrics_for_each_class_that_occurs(video):
    there = video[0].any(axis=0)
    same(ours([video]).values[0][there], 100 * theirs([video]).compute_video_AP()["AP"][there])


def test_a_class_that_a_video_lacks_is_left_out_there_where_ivtmetrics_with_todays_scikit_learn_counts_0():
    """Its rule is to leave it out, too; it knows such a class by `-0.0`, which scikit-learn no longer returns."""
    scores = np.array([[0.9, 0.8], [0.1, 0.2]])
    absent, present = (np.array([[True, last], [False, False]]) for last in (False, True))
    videos = [(absent, scores), (present, scores)]
    same(ours(videos).class_values, np.array([100, 100]))
    same(theirs(videos).compute_video_AP()["AP"], np.array([1, 0.5]))
    assert np.isnan(theirs(videos).resolve_nan(np.array([-0.0]))).all()


def drawn_triplets(seed, videos=2, n=40):
    rng = np.random.default_rng(seed)
    return [(rng.random((n, TRIPLETS)) < 0.3, rng.random((n, TRIPLETS)).round(2)) for _ in range(videos)]


def test_leaving_null_triplets_out_is_ivtmetrics_ignore_null():
    videos = drawn_triplets(1)
    assert all(truth.any(axis=0).all() for truth, _ in videos)
    kept = [(truth[:, :-NULL_TRIPLETS], scores[:, :-NULL_TRIPLETS]) for truth, scores in videos]
    same(ours(kept).summary.mean, 100 * theirs(videos).compute_video_AP(ignore_null=True)["mAP"])


def test_the_table_that_takes_triplets_apart_is_ivtmetrics(mapping):
    assert np.array_equal(mapping, ivtmetrics.Disentangle().bank)


@pytest.mark.parametrize("part", ["ivt", "i", "v", "t", "iv", "it"])
def test_a_part_of_triplets_has_the_scores_and_the_ap_that_ivtmetrics_gives_it(mapping, part):
    videos = drawn_triplets(2)
    for truth, scores in videos:
        assert np.array_equal(take_apart(scores, mapping, part), ivtmetrics.Disentangle().extract(scores, part))
        assert np.array_equal(take_apart(truth.astype(float), mapping, part) > 0, theirs(videos).extract(truth, part))
    apart = [(take_apart(t.astype(float), mapping, part) > 0, take_apart(s, mapping, part)) for t, s in videos]
    assert all(truth.any(axis=0).all() for truth, _ in apart)
    found, expected = ours(apart), theirs(videos).compute_video_AP(part)
    same(found.class_values, 100 * expected["AP"])
    same(found.summary.mean, 100 * expected["mAP"])
    assert not math.isnan(found.summary.mean)
