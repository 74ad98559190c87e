"""What the frame network is punished for: one loss a head, taken from what is known of each frame and nothing else."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from surgical_ml.learning.classes import SIMULATED, Classes
from surgical_ml.learning.frames import ANY_TOOL, IGNORED, NOT_A_TOOL, UNKNOWN_PHASE

_RARE = {
    "background": 0.4,
    "scissors": 2.5,
    "liver": 0.6,
    "gallbladder": 0.8,
    "cystic_duct": 2.0,
    "cystic_artery": 2.5,
}
"""Weight of a class in the loss: what is small or rare would otherwise be left out. Others have 1.5."""

_PRESENT = 30.0
"""How much more a tip counts than a cell without one."""


def frame_losses(
    out: Mapping[str, Tensor], truth: Mapping[str, Tensor], classes: Classes = SIMULATED
) -> dict[str, Tensor]:
    """A loss for each head.

    Args:
        out: logits, as `FrameNet` gives them.
        truth: of the same frames, as `Frames` has it, as tensors; tips in 0..1.
        classes: of the network.

    Returns:
        Head -> a scalar; 0 where nothing is known of any frame.
    """
    segmentation, mask = out["segmentation"].float(), truth["mask"].long()
    inside = (truth["in_body"] > 0.5) | truth["in_body"].isnan()
    phase = torch.where(inside, truth["phase"], UNKNOWN_PHASE)
    quality = torch.where(truth["quality"].isnan(), truth["quality"], (truth["quality"] > 0.3).float())
    state = torch.where(inside[:, None], truth["state"], torch.nan)
    return {
        "mask": mask_loss(segmentation, mask, classes),
        "dice": 0.5 * dice_loss(segmentation, mask),
        "tips": 8.0 * tip_loss(out["tips"].float(), truth["tips"], truth["tips_known"]),
        "presence": known_bce(out["presence"].float(), truth["presence"]),
        "quality": 0.5 * known_bce(out["quality"].float(), quality),
        "in_body": 0.5 * known_bce(out["in_body"].float()[:, 0], truth["in_body"]),
        "phase": 0.3 * _phase_loss(out["phase"].float(), phase),
        "state": 0.5 * known_bce(out["state"].float(), state),
    }


def mask_loss(logits: Tensor, mask: Tensor, classes: Classes = SIMULATED) -> Tensor:
    """Cross-entropy a pixel, weighted by class; of a pixel known in part, that of what is known.

    Where some tool is there, but nobody says which, the probability of all tools together is what counts; where no tool
    is, that of everything else together. So frames whose instruments have no type, or whose organs have no label, teach
    what they can.

    Args:
        logits: (n, classes, h, w).
        mask: (n, h, w) ids, `ANY_TOOL`, `NOT_A_TOOL` or `IGNORED`.
        classes: of the logits.
    """
    weights = logits.new_tensor([_RARE.get(name, 1.5) for name in classes.segmentation])
    named = mask < NOT_A_TOOL
    each = F.cross_entropy(logits, torch.where(named, mask, -100), weight=weights, reduction="none", ignore_index=-100)
    tools = slice(1, 1 + len(classes.tools))
    whole = torch.logsumexp(logits, 1)
    some = whole - torch.logsumexp(logits[:, tools], 1)
    others = torch.cat([logits[:, :1], logits[:, tools.stop :]], 1)
    none = whole - torch.logsumexp(others, 1)
    any_tool, no_tool = (mask == ANY_TOOL).float(), (mask == NOT_A_TOOL).float()
    total = each.sum() + (1.5 * any_tool * some).sum() + (_RARE["background"] * no_tool * none).sum()
    weight = weights[mask.clamp(0, len(weights) - 1)] * named
    return total / (weight.sum() + 1.5 * any_tool.sum() + _RARE["background"] * no_tool.sum()).clamp_min(1.0)


def dice_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """1 - mean soft Dice of the classes that are in the batch, over the pixels whose class is known, background left out.

    Dice = 2 sum(p g) / (sum(p) + sum(g)); Milletari et al. 2016 without the squares.
    """
    named = mask < NOT_A_TOOL
    p = torch.softmax(logits, 1) * named[:, None]
    truth = F.one_hot(torch.where(named, mask, 0), logits.shape[1]).permute(0, 3, 1, 2) * named[:, None]
    both, sums = (p * truth).sum((0, 2, 3))[1:], (p + truth).sum((0, 2, 3))[1:]
    there = (truth.sum((0, 2, 3))[1:] > 0).float()
    dice = (2 * both + 1.0) / (sums + 1.0)
    return ((1 - dice) * there).sum() / there.sum().clamp_min(1.0)


def tip_loss(logits: Tensor, tips: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy of heat maps (n, tools, h, w) in which a tip weighs more; over the frames whose tips are known."""
    heat = F.binary_cross_entropy_with_logits(logits, tips, reduction="none") * (1.0 + _PRESENT * tips)
    return (heat.mean((1, 2, 3)) * known).sum() / known.sum().clamp_min(1.0)


def known_bce(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy over what is no NaN."""
    known = ~truth.isnan()
    each = F.binary_cross_entropy_with_logits(logits, torch.where(known, truth, 0.0), reduction="none")
    return (each * known).sum() / known.sum().clamp_min(1)


def _phase_loss(logits: Tensor, phase: Tensor) -> Tensor:
    known = (phase != UNKNOWN_PHASE).sum().clamp_min(1)
    return F.cross_entropy(logits, phase, ignore_index=UNKNOWN_PHASE, reduction="sum") / known


assert IGNORED > ANY_TOOL > NOT_A_TOOL
