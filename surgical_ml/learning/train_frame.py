"""Trains the frame network on frames, rendered or real, and scores it."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from surgical_ml.learning.augment import augment, pipeline
from surgical_ml.learning.frame_net import FrameNet
from surgical_ml.learning.frames import ANY_TOOL, NOT_A_TOOL, Frames, StoredFrames
from surgical_ml.learning.loop import Place, Schedule, train
from surgical_ml.learning.losses import frame_losses
from surgical_ml.learning.run_folder import RunFolder

MEAN, STD = (0.45, 0.30, 0.27), (0.25, 0.22, 0.20)


def normalise(image: Tensor) -> Tensor:
    """(n, h, w, 3) uint8 RGB to (n, 3, h, w) float32 as the network takes it."""
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    return (image.permute(0, 3, 1, 2).float() / 255.0 - mean) / std


def tensors(frames: Frames) -> tuple[Tensor, dict[str, Tensor]]:
    """Images as the network takes them, and every truth; tips in 0..1."""
    truth = {name: torch.from_numpy(getattr(frames, name)) for name in Frames.__slots__ if name != "image"}
    return normalise(torch.from_numpy(frames.image)), truth | {"tips": truth["tips"].float() / 255.0}


def rows_of_step(count: int, batch: int, step: int, seed: int) -> npt.NDArray[np.int64]:
    """Which frames a step takes: every frame once before any comes again, in an order that the seed and the pass decide."""
    a_pass = max(1, count // batch)
    order = np.random.default_rng([seed, 22, step // a_pass]).permutation(count)
    k = step % a_pass
    return np.resize(order, max(count, batch))[k * batch : (k + 1) * batch]


def train_frame(
    data: StoredFrames,
    net: FrameNet,
    run: RunFolder,
    schedule: Schedule,
    place: Place,
    *,
    batch: int = 24,
    say: Callable[[str], None] = print,
) -> FrameNet:
    """Train on frames of a folder, augmented.

    Args:
        data: what to learn from.
        net: trained in place.
        run, schedule, place, say: as in `loop.train`.
        batch: frames a step, over all processes.
    """
    steps = pipeline()

    def losses(module: nn.Module, step: int) -> dict[str, Tensor]:
        mine = place.share(batch)
        seeds = np.random.default_rng([schedule.seed, 23, step]).integers(1 << 31, size=batch)[mine]
        frames = data.take(rows_of_step(len(data), batch, step, schedule.seed)[mine])
        image, truth = tensors(augment(frames, seeds, net.classes.qualities, steps))
        out = module(image.to(place.device))
        return frame_losses(out, {name: value.to(place.device) for name, value in truth.items()}, net.classes)

    train(net, losses, run, schedule, place, say)
    return net.cpu().eval()


@torch.inference_mode()
def run_all(net: FrameNet, frames: Frames, names: tuple[str, ...], batch: int = 48) -> dict[str, Tensor]:
    """The named outputs for every frame, joined."""
    net.eval()
    rows = np.array_split(np.arange(len(frames)), math.ceil(len(frames) / batch))
    parts = [net(normalise(torch.from_numpy(frames.image[part]))) for part in rows]
    return {name: torch.cat([part[name] for part in parts]) for name in names}


def score_frame(net: FrameNet, frames: Frames) -> dict[str, float]:
    """Scores over what is known of the frames; NaN where nothing is.

    `iou_<class>` over all cells whose class is known; `iou_instrument` of all tools as one, where it is known whether a
    tool is there; accuracy of presence and of in-body; phase accuracy of single frames.
    """
    out = run_all(net, frames, ("segmentation", "presence", "in_body", "phase"))
    guess, truth = out["segmentation"].argmax(1).numpy(), frames.mask
    named, tools = truth < NOT_A_TOOL, len(net.classes.tools)
    scores = {
        f"iou_{name}": _iou((guess == k) & named, (truth == k) & named)
        for k, name in enumerate(net.classes.segmentation)
    }
    told = named | (truth == ANY_TOOL) | (truth == NOT_A_TOOL)
    true_tool = (truth == ANY_TOOL) | (named & (truth >= 1) & (truth <= tools))
    scores["iou_instrument"] = _iou((guess >= 1) & (guess <= tools) & told, true_tool)
    present, inside = ~np.isnan(frames.presence), ~np.isnan(frames.in_body)
    phase = (frames.phase >= 0) & ~(frames.in_body <= 0.5)
    scores["presence_accuracy"] = _mean(((out["presence"].numpy() > 0) == (frames.presence > 0.5))[present])
    scores["in_body_accuracy"] = _mean(((out["in_body"][:, 0].numpy() > 0) == (frames.in_body > 0.5))[inside])
    scores["phase_accuracy_single_frame"] = _mean((out["phase"].argmax(1).numpy() == frames.phase)[phase])
    return scores


def _iou(guess: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    union = np.count_nonzero(guess | truth)
    return float(np.count_nonzero(guess & truth) / union) if union else float("nan")


def _mean(right: npt.NDArray[np.bool_]) -> float:
    return float(right.mean()) if right.size else float("nan")
