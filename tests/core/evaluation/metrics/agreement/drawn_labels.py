"""Random labels, scores and probabilities with the cases that definitions part at: absent classes, ties, one class."""

import numpy as np
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@st.composite
def labels(draw, classes, most=60):
    """Truth and prediction of n samples; each draws from a few of the classes, so that some are in neither or in one."""
    rng, n = draw(SEEDS), draw(st.integers(1, most))
    truth, prediction = (rng.choice(rng.permutation(classes)[: rng.integers(1, classes + 1)], n) for _ in range(2))
    right = rng.random(n) < rng.random()
    return truth, np.where(right, truth, prediction)


@st.composite
def presence(draw, classes, most=60):
    """Truth (n, classes) and scores: some classes never, some always there; some scores constant, some with ties."""
    rng, n = draw(SEEDS), draw(st.integers(1, most))
    truth = rng.random((n, classes)) < rng.choice([0.0, 0.1, 0.5, 0.9, 1.0], classes)
    steps = rng.choice([1, 3, 10**6], classes)
    return truth, np.floor(rng.random((n, classes)) * steps) / steps


@st.composite
def probabilities(draw, classes, most=60):
    """Truth (n,) and a distribution for each sample, sharp or flat."""
    rng, n = draw(SEEDS), draw(st.integers(1, most))
    raised = np.exp(rng.choice([0.1, 1.0, 5.0]) * rng.normal(size=(n, classes)))
    return rng.integers(0, rng.integers(1, classes + 1), n), raised / raised.sum(axis=1, keepdims=True)
