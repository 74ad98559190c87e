"""Many studies of 40 cases whose truth is known: how often an interval covers it, and how often a worse model passes."""

import numpy as np

from surgical_ml.evaluation.metrics.statistics import bootstrap, compare, mean_of, not_inferior

CASES = 40
MARGIN = 0.02


def share_covered(studies, *, skewed, method):
    """Share of studies whose 95 % interval holds the true mean."""
    rng = np.random.default_rng(11)
    values = rng.beta(12, 3, (studies, CASES)) if skewed else rng.normal(0.8, 0.05, (studies, CASES))
    found = (bootstrap(mean_of(one), CASES, seed=seed, method=method) for seed, one in enumerate(values))
    return np.mean([one.low <= 0.8 <= one.high for one in found])


def share_passed(studies):
    """Share of studies in which a model that is worse by exactly the margin passes as not inferior."""
    rng = np.random.default_rng(12)
    passed = 0
    for seed in range(studies):
        reference = rng.normal(0.80, 0.06, CASES)
        new = reference + rng.normal(-MARGIN, 0.03, CASES)
        passed += not_inferior(compare(mean_of(new), mean_of(reference), CASES, seed=seed), MARGIN)
    return passed / studies
