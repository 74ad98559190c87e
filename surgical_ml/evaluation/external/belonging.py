"""Whether predictions belong to the truths they are held against: what shuffled labels and exchanged files look like."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from surgical_ml.labels import LabelTrack

LEAST_CASES = 5
"""Fewer cases say nothing about whether a prediction fits its own case better than others."""

_PLACES = 500
"""Places in a case, evenly spread, at which it is held against others: they differ in length."""


def doubts(pairs: Sequence[tuple[LabelTrack, LabelTrack]], classes: Sequence[str]) -> list[str]:
    """What speaks against truth and prediction belonging together, a sentence each.

    Predictions of labels that were shuffled in time are right less often than a single label would be. Predictions of
    cases whose files were exchanged are right as often as the order of phases makes them: they fit the truth of other
    cases, stretched to the same length, as well as that of their own (the mean advantage is below twice its standard
    error).

    Args:
        pairs: truth and prediction of each case, on the same frames.
        classes: names of the labels.
    """
    found = []
    truth = np.concatenate([one.labels for one, _ in pairs])
    prediction = np.concatenate([one.labels for _, one in pairs])
    counts = np.bincount(truth[truth >= 0], minlength=len(classes))
    right = int((truth == prediction)[truth >= 0].sum())
    if right < counts.max():
        n = int(counts.sum())
        found.append(
            f"{right / n:.1%} of the samples are right, and always saying {classes[int(counts.argmax())]} would be in "
            f"{counts.max() / n:.1%}: are labels shuffled, or of other cases?"
        )
    if len(pairs) >= LEAST_CASES:
        fits = _fits(pairs)
        n = len(fits)
        own = fits.diagonal()
        advantage = own - (fits.sum(axis=1) - own) / (n - 1)
        if advantage.mean() < 2 * advantage.std(ddof=1) / np.sqrt(n):
            found.append(
                "predictions fit the truth of other cases as well as that of their own: are files of cases exchanged?"
            )
    return found


def _fits(pairs: Sequence[tuple[LabelTrack, LabelTrack]]) -> npt.NDArray[np.float64]:
    """(cases, cases): in what share of a case's length its prediction is the truth of each case."""
    truths, predictions = (
        np.stack([one.labels[np.linspace(0, len(one.labels) - 1, _PLACES).astype(np.int64)] for one in tracks])
        for tracks in zip(*pairs, strict=True)
    )
    return np.stack([((truths == one) & (truths >= 0)).mean(axis=1) for one in predictions])
