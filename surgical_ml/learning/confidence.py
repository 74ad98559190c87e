"""What a stated probability is worth: temperatures, certainty bands, and how often novelty cries wolf.

All of it is fitted on validation cases, which nothing was trained on, and stated for other cases again.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from surgical_ml.evaluation.metrics import ScoredCase, fit_temperature, score_calibration
from surgical_ml.learning.frame_net import Deployed, FrameNet
from surgical_ml.learning.frames import NOT_A_TOOL, Frames
from surgical_ml.learning.phase_net import PhaseNet
from surgical_ml.learning.train_frame import run_all
from surgical_ml.learning.train_phase import Sequence, run_sequence

BANDS = {"high": 0.98, "medium": 0.90}
"""Certainty -> the accuracy that phases of at least this confidence must have had on validation cases."""

TEMPERATURES = (0.25, 4.0)
"""The least and the greatest: few validation cases cannot prove that a head is never wrong, or that it knows nothing."""

_CELLS = 200
"""Cells of a mask that count in the fit of its temperature; neighbours say the same."""


def frame_temperatures(net: FrameNet, frames: Frames) -> dict[str, float]:
    """The temperature of each head of the frame network with the least NLL on validation frames; 1 where nothing is known.

    Args:
        net: trained.
        frames: of validation cases.
    """
    out = run_all(net, frames, ("segmentation", "presence", "quality", "in_body"))
    rng = np.random.default_rng(0)
    logits = out["segmentation"].flatten(2).transpose(1, 2).numpy()
    cells = rng.integers(logits.shape[1], size=(len(logits), _CELLS))
    rows = np.arange(len(logits))[:, None]
    mask = frames.mask.reshape(len(frames), -1)[rows, cells].astype(np.int64).ravel()
    classes = np.where(mask < NOT_A_TOOL, mask, -1)
    quality = np.where(np.isnan(frames.quality), np.nan, frames.quality > 0.3)
    return {
        "segmentation": _temperature(logits[rows, cells].reshape(len(mask), -1), classes),
        "presence": _binary(out["presence"].numpy(), frames.presence),
        "quality": _binary(out["quality"].numpy(), quality),
        "in_body": _binary(out["in_body"].numpy()[:, 0], frames.in_body),
    }


@torch.inference_mode()
def phase_temperatures(net: PhaseNet, cases: list[Sequence]) -> dict[str, float]:
    """The temperature of each head of the phase network with the least NLL on validation cases."""
    outs = [run_sequence(net, [case]) for case in cases]
    joined = [torch.cat([out[k][0] for out in outs]).numpy() for k in (0, 1, 3)]
    truths = [
        torch.cat([getattr(case, name) for case in cases]).numpy() for name in ("phase", "next_phase", "boundary")
    ]
    return {
        "phase": _temperature(joined[0], truths[0]),
        "next_phase": _temperature(joined[1], truths[1]),
        "boundary": _binary(joined[2][:, 0], truths[2]),
    }


def certainty_bands(probabilities: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]) -> dict[str, float]:
    """The least confidence of each of `BANDS`: samples at least this sure are right as often as the band asks.

    Args:
        probabilities: (n, classes), calibrated, of validation cases.
        truth: (n,) ids; those below 0 do not count.

    Returns:
        Band -> confidence; above 1 where no confidence is enough.
    """
    known = truth >= 0
    confidence = probabilities[known].max(1)
    right = probabilities[known].argmax(1) == truth[known]
    order = np.argsort(-confidence, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    bands = {}
    for name, accuracy in BANDS.items():
        enough = np.flatnonzero(share >= accuracy)
        bands[name] = float(confidence[order[enough[-1]]]) if len(enough) else 1.01
    return bands


@torch.inference_mode()
def phase_confidence(
    net: PhaseNet, cases: list[Sequence], temperature: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Calibrated probabilities (n, phases) and truth (n,) of every moment of the cases."""
    logits = torch.cat([run_sequence(net, [case])[0][0] for case in cases]).double()
    return torch.softmax(logits / temperature, 1).numpy(), torch.cat([case.phase for case in cases]).numpy()


def phase_report(net: PhaseNet, cases: list[Sequence], temperature: float) -> dict[str, float]:
    """Expected calibration error of the phase on test cases, before and after the temperature."""
    report = {}
    for name, value in (("ece_uncalibrated", 1.0), ("ece", temperature)):
        probabilities, truth = phase_confidence(net, cases, value)
        scored = [ScoredCase("test", truth, probabilities)]
        report[name] = score_calibration(scored, fps=1.0).everywhere.ece
    return report


@torch.inference_mode()
def false_alarms(model: Deployed, statistics: Tensor) -> tuple[float, float]:
    """Share of known frames that novelty would turn away, and the upper end of its 95 % Wilson interval.

    Args:
        model: with its limit.
        statistics: (n, `statistics_of`) of frames of cases that the limit was not fitted on.
    """
    n = len(statistics)
    share = float((model.novelty(statistics)[:, 0] > 1.0).float().mean())
    z = 1.96
    middle, spread = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return share, float((middle + spread) / (1 + z * z / n))


def _temperature(logits: npt.NDArray[Any], truth: npt.NDArray[Any]) -> float:
    known = truth >= 0
    if not known.any():
        return 1.0
    values = logits[known].astype(np.float64)
    raised = np.exp(values - values.max(1, keepdims=True))
    case = ScoredCase("validation", truth[known].astype(np.int64), raised / raised.sum(1, keepdims=True))
    return float(np.clip(fit_temperature([case]).value, *TEMPERATURES))


def _binary(logits: npt.NDArray[Any], truth: npt.NDArray[Any]) -> float:
    """Of a head that says yes or no of each of its values: two classes, one with the logit 0."""
    yes = np.where(np.isnan(truth), -1, truth > 0.5).astype(np.int64).ravel()
    flat = logits.reshape(-1).astype(np.float64)
    return _temperature(np.stack([np.zeros_like(flat), flat], 1), yes)


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """For a file that people read."""
    return {name: round(value, 4) for name, value in values.items()}
