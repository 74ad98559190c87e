"""Whether the numbers can be what they seem: labels that belong to other cases, answers that no video was needed for."""

from collections.abc import Sequence

import numpy as np

from surgical_ml.evaluation.metrics import PhaseScores
from surgical_ml.evaluation.study.evaluated import EvaluatedCase
from surgical_ml.evaluation.study.phase_results import SEED
from surgical_ml.evaluation.study.predictors import CLOCK, COMMITTED, KNOWING_CLOCK

POINTS = 1000
"""Samples of each case, spread evenly, for holding it against the truth of another."""

SHUFFLES = 200
LEAST_CASES = 4
"""So few cases have too few orders for a shuffle to say anything."""


def doubts(cases: Sequence[EvaluatedCase], strict: dict[str, PhaseScores]) -> list[str]:
    """What should make a reader of the scores ask first, a sentence each; empty where nothing does.

    Args:
        cases: with true phases.
        strict: predictor -> scores in the strict convention.
    """
    found = []
    mine = strict[COMMITTED].accuracy.mean
    for clock in (CLOCK, KNOWING_CLOCK):
        if clock in strict and not mine > strict[clock].accuracy.mean:
            found.append(
                f"The committed phase has an accuracy of {mine:.1f} %, at or below the {clock}, which sees no video "
                f"({strict[clock].accuracy.mean:.1f} %): wrong labels, or nothing learned."
            )
    if len(cases) >= LEAST_CASES:
        own, others = shuffled_accuracy(cases)
        if own <= np.quantile(others, 0.95):
            found.append(
                f"With the labels of the cases shuffled {SHUFFLES} times, accuracy is {np.mean(others):.1f} % on "
                f"average and {own:.1f} % as they are, no better than by chance: the labels may be those of other cases."
            )
    return found


def shuffled_accuracy(cases: Sequence[EvaluatedCase]) -> tuple[float, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Accuracy with each case's own truth, and with the truths of the cases in random orders, percent.

    Every case is brought to one length first, so that lengths give nothing away.

    Args:
        cases: with true phases.

    Returns:
        One number; and (SHUFFLES,).
    """
    truths, answers = [], []
    for case in cases:
        assert case.truth.phases is not None, "only cases with true phases are scored"
        places = np.linspace(0, len(case.truth.rows) - 1, POINTS).round().astype(np.int64)
        truths.append(case.truth.phases[places])
        answers.append(case.decided.committed[case.truth.rows][places])
    truth, answer = np.array(truths), np.array(answers)
    rng = np.random.default_rng(SEED)
    orders = [rng.permutation(len(cases)) for _ in range(SHUFFLES)]
    own = float((truth == answer).mean())
    return 100 * own, np.array([100 * float((truth[order] == answer).mean()) for order in orders])
