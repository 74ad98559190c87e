"""Surfaces, intervals, matchings and minima of ours are those that scipy finds; Holm's method is the textbook's."""

import math

import numpy as np
import pytest
from drawn_labels import SEEDS, presence, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.evaluation.metrics import Announcement, ScoredCase, TrueEvent, fit_temperature, score_segmentation
from surgical_ml.evaluation.metrics.events import AFTER_S, BEFORE_S, match_events
from surgical_ml.evaluation.metrics.segmentation import REFERENCE_WIDTH_PX, TOLERANCES_PX
from surgical_ml.evaluation.metrics.statistics import bootstrap, compare, holm, mean_of, widened_quantile
from surgical_ml.evaluation.metrics.tools import auroc

REASON = "needs scipy, of the extra agreement"
ndimage = pytest.importorskip("scipy.ndimage", reason=REASON)
stats = pytest.importorskip("scipy.stats", reason=REASON)
optimize = pytest.importorskip("scipy.optimize", reason=REASON)
sparse = pytest.importorskip("scipy.sparse", reason=REASON)
csgraph = pytest.importorskip("scipy.sparse.csgraph", reason=REASON)

DRAWS = 2000


# --- surfaces ---------------------------------------------------------------------------------------------------------


def blob(rng, shape):
    """A few ellipses' union, cut at the picture's border, with holes."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, bool)
    for _ in range(rng.integers(1, 4)):
        cy, cx, ry, rx = rng.random(4) * [shape[0], shape[1], shape[0] / 3, shape[1] / 3]
        mask ^= ((y - cy) / (ry + 1)) ** 2 + ((x - cx) / (rx + 1)) ** 2 <= 1
    return mask


@st.composite
def two_blobs(draw):
    rng, shape = draw(SEEDS), draw(st.sampled_from([(24, 32), (40, 40), (9, REFERENCE_WIDTH_PX)]))
    return blob(rng, shape), blob(rng, shape)


@settings(max_examples=60)
@given(two_blobs())
def test_hd95_and_nsd_are_those_of_scipys_distance_transform_between_scipys_borders(masks):
    truth, prediction = masks
    found = score_segmentation(
        {"video": [(truth.astype(np.int64), prediction.astype(np.int64))]}, ("background", "a")
    ).class_values
    if not (truth.any() and prediction.any()):
        return
    # a border pixel has one of its four neighbours outside, and all that lies beyond the picture is outside
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in masks]
    from_truth, from_prediction = (ndimage.distance_transform_edt(~edges[1 - k])[edges[k]] for k in (0, 1))
    hd95 = max(np.percentile(from_truth, 95), np.percentile(from_prediction, 95))
    assert found["hd95_px"][0] == pytest.approx(hd95, rel=1e-6)
    for t in TOLERANCES_PX:
        reach = t * truth.shape[1] / REFERENCE_WIDTH_PX
        near = (from_truth <= reach).sum() + (from_prediction <= reach).sum()
        assert found[f"nsd_{t}px"][0] == pytest.approx(near / (len(from_truth) + len(from_prediction)), abs=1e-12)


# --- intervals --------------------------------------------------------------------------------------------------------

VALUES = st.tuples(SEEDS, st.integers(5, 60)).map(lambda drawn: drawn[0].exponential(1.0, drawn[1]))


def as_wide(n):
    """The level at which scipy's interval is as wide as ours at 95 %."""
    return 2 * stats.norm.cdf(widened_quantile(0.95, n)) - 1


def same_interval(found, theirs):
    ends = theirs.confidence_interval
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), abs=1e-9)


@settings(max_examples=20)
@given(VALUES, st.sampled_from(["bca", "percentile"]), st.integers(0, 2**32 - 1))
def test_an_interval_is_scipys_of_the_same_draws_at_the_level_that_few_cases_widen_it_to(values, method, seed):
    n = len(values)
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=DRAWS,
        method={"bca": "BCa", "percentile": "percentile"}[method],
        rng=np.random.default_rng(seed),
        confidence_level=as_wide(n),
    )
    same_interval(bootstrap(mean_of(values), n, seed=seed, method=method, draws=DRAWS), theirs)


@settings(max_examples=10)
@given(VALUES, st.integers(0, 2**32 - 1))
def test_the_interval_of_a_statistic_that_is_no_mean_is_scipys(values, seed):
    n = len(values)
    theirs = stats.bootstrap(
        (values,),
        lambda x, axis: np.median(x, axis=axis) + x.max(axis=axis),
        n_resamples=DRAWS,
        method="BCa",
        rng=np.random.default_rng(seed),
        confidence_level=as_wide(n),
    )
    found = bootstrap(
        lambda cases: np.median(values[cases], axis=1) + values[cases].max(axis=1), n, seed=seed, draws=DRAWS
    )
    same_interval(found, theirs)


@settings(max_examples=10)
@given(VALUES, st.integers(0, 2**32 - 1))
def test_a_comparison_is_scipys_paired_bootstrap_of_the_same_draws(values, seed):
    n = len(values)
    other = np.sqrt(values)
    theirs = stats.bootstrap(
        (values, other),
        lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
        paired=True,
        n_resamples=DRAWS,
        method="BCa",
        rng=np.random.default_rng(seed),
        confidence_level=as_wide(n),
    )
    same_interval(compare(mean_of(values), mean_of(other), n, seed=seed, draws=DRAWS).difference, theirs)


@pytest.mark.parametrize("n", [10, 20, 40, 200])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_the_widening_is_students_t_times_the_root_of_n_over_n_less_1(n, level):
    expected = stats.t.ppf((1 + level) / 2, n - 1) * math.sqrt(n / (n - 1))
    assert widened_quantile(level, n) == pytest.approx(expected, rel=2e-3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_the_steps_of_the_textbook_reject(p_values):
    adjusted = holm({str(k): p for k, p in enumerate(p_values)})
    for alpha in (0.01, 0.05, 0.2):
        rejected = set()
        for step, k in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
            if (len(p_values) - step) * p_values[k] > alpha:
                break
            rejected.add(str(k))
        assert {name for name, p in adjusted.items() if p <= alpha} == rejected


# --- ranks, matchings, minima -----------------------------------------------------------------------------------------


@given(presence(1))
def test_auroc_is_scipys_mann_whitney_u_over_all_pairs(drawn):
    truth, scores = drawn[0][:, 0], drawn[1][:, 0]
    if truth.any() and not truth.all():
        u = stats.mannwhitneyu(scores[truth], scores[~truth], method="asymptotic").statistic
        assert auroc(truth, scores) == pytest.approx(u / (truth.sum() * (~truth).sum()))


EVENTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15), st.sampled_from("ab")), max_size=8)


@given(EVENTS, st.lists(st.tuples(st.integers(0, 80), st.sampled_from("ab")), max_size=8))
def test_as_many_deviations_are_matched_as_in_scipys_largest_matching(events, told):
    truths = [TrueEvent(kind, "x", onset, onset + length) for onset, length, kind in events]
    announced = [Announcement(kind, "x", "high", at) for at, kind in told]
    fits = [
        [e.kind == a.kind and e.onset_s - BEFORE_S <= a.at_s <= e.end_s + AFTER_S for a in announced] for e in truths
    ]
    most = 0
    if truths and announced:
        most = (csgraph.maximum_bipartite_matching(sparse.csr_array(np.array(fits, int)), "column") >= 0).sum()
    matched = [one for one in match_events(truths, announced) if one is not None]
    assert len(matched) == most


@settings(max_examples=25)
@given(probabilities(4, most=200))
def test_the_temperature_has_the_least_nll_that_scipy_finds(drawn):
    truth, p = drawn
    # ours takes no probability for less than 1e-12
    p = 0.999 * p + 0.001 / 4
    logits = np.log(p)

    def nll(log_sharpness):
        scaled = logits * np.exp(log_sharpness)
        scaled -= scaled.max(axis=1, keepdims=True)
        return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(truth)), truth]).mean())

    found = fit_temperature([ScoredCase("validation", truth, p)]).value
    theirs = optimize.minimize_scalar(nll, bounds=(-math.log(1e3), math.log(1e3)), method="bounded").fun
    assert nll(-math.log(found)) <= theirs + 1e-9
