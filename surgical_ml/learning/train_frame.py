"""Trains the frame network on rendered frames: one loop, one loss for each head."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from surgical_ml.learning.frame_net import FrameNet
from surgical_ml.learning.frames import Frames
from surgical_ml.learning.restore import restore_frame_net
from surgical_ml.simulation import CLASSES

MEAN, STD = (0.45, 0.30, 0.27), (0.25, 0.22, 0.20)
_WEIGHT = torch.tensor([0.4, 1.5, 1.5, 1.5, 2.5, 1.5, 1.5, 1.5, 0.6, 0.8, 2.0, 2.5])
"""Of each class in the loss: what is small or rare (vessels, scissors) would otherwise be left out."""


def normalise(image: Tensor) -> Tensor:
    """(n, h, w, 3) uint8 RGB to (n, 3, h, w) float32 as the network takes it."""
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    return (image.permute(0, 3, 1, 2).float() / 255.0 - mean) / std


def _batch(frames: Frames, rows: np.ndarray, rng: np.random.Generator | None) -> tuple[Tensor, dict[str, Tensor]]:
    image = normalise(torch.from_numpy(frames.image[rows]))
    mask, tips = torch.from_numpy(frames.mask[rows]).long(), torch.from_numpy(frames.tips[rows]).float() / 255.0
    if rng is not None:
        # Cameras differ in gain and colour; hands differ in side.
        gain = torch.from_numpy(rng.uniform(0.85, 1.15, (len(rows), 3, 1, 1)).astype(np.float32))
        image = image * gain + torch.from_numpy(rng.uniform(-0.15, 0.15, (len(rows), 3, 1, 1)).astype(np.float32))
        flip = torch.from_numpy(rng.random(len(rows)) < 0.5)
        image[flip], mask[flip], tips[flip] = image[flip].flip(3), mask[flip].flip(2), tips[flip].flip(3)
    truth = {
        name: torch.from_numpy(getattr(frames, name)[rows])
        for name in ("presence", "quality", "in_body", "state", "phase")
    }
    return image, truth | {"mask": mask, "tips": tips}


def loss_of(out: dict[str, Tensor], truth: dict[str, Tensor]) -> Tensor:
    """The sum over heads; heads of the inside count only for frames from inside the body."""
    inside = truth["in_body"] > 0.5
    heat = F.binary_cross_entropy_with_logits(out["tips"], truth["tips"], reduction="none")
    loss = F.cross_entropy(out["segmentation"], truth["mask"], weight=_WEIGHT)
    loss = loss + 8.0 * (heat * (1.0 + 30.0 * truth["tips"])).mean()
    loss = loss + F.binary_cross_entropy_with_logits(out["presence"], truth["presence"])
    loss = loss + 0.5 * F.binary_cross_entropy_with_logits(out["quality"], (truth["quality"] > 0.3).float())
    loss = loss + 0.5 * F.binary_cross_entropy_with_logits(out["in_body"][:, 0], truth["in_body"])
    loss = loss + 0.3 * F.cross_entropy(out["phase"][inside], truth["phase"][inside])
    return loss + 0.5 * F.binary_cross_entropy_with_logits(out["state"][inside], truth["state"][inside])


def train_frame(
    data: Path,
    out: Path,
    *,
    start: Path | None = None,
    epochs: float = 3.0,
    batch: int = 24,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> FrameNet:
    """Train on `Frames` of a folder and save the weights to `out`.

    Args:
        data: folder that `render_frames` wrote.
        out: file for the weights.
        start: a `frame.onnx` to continue from, at half the learning rate; None begins anew.
        epochs, batch, seed: how often each frame is seen, how many at once, and the order.
        say: told the loss every 50 steps.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    frames = Frames.load(data)
    net = (
        FrameNet() if start is None else restore_frame_net(start, normalise(torch.from_numpy(frames.image[::97][:192])))
    )
    steps = int(epochs * len(frames.image) / batch)
    rate = 2e-3 if start is None else 1e-3
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda k: min(1.0, (k + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * k / steps)))
    )
    net.train()
    began, total = time.perf_counter(), 0.0
    order: np.ndarray = np.empty(0, np.int64)
    for step in range(steps):
        if len(order) < batch:
            order = rng.permutation(len(frames.image))
        rows, order = np.sort(order[:batch]), order[batch:]
        image, truth = _batch(frames, rows, rng)
        loss = loss_of(net(image), truth)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        total += float(loss)
        if step % 50 == 49:
            say(f"step {step + 1}/{steps} loss {total / 50:.3f} {time.perf_counter() - began:.0f} s")
            total = 0.0
            torch.save(net.state_dict(), out)
    torch.save(net.state_dict(), out)
    return net.eval()


@torch.inference_mode()
def run_all(net: FrameNet, frames: Frames, names: tuple[str, ...], batch: int = 48) -> dict[str, Tensor]:
    """The named outputs for every frame, joined."""
    net.eval()
    rows = np.array_split(np.arange(len(frames.image)), math.ceil(len(frames.image) / batch))
    parts = [net(_batch(frames, part, None)[0]) for part in rows]
    return {name: torch.cat([part[name] for part in parts]) for name in names}


def score_frame(net: FrameNet, frames: Frames) -> dict[str, float]:
    """Held-out scores: IoU a class over all frames, presence and in-body accuracy, single-frame phase accuracy."""
    out = run_all(net, frames, ("segmentation", "presence", "in_body", "phase"))
    guess, truth = out["segmentation"].argmax(1).numpy(), frames.mask
    scores: dict[str, float] = {}
    for k, name in enumerate(CLASSES):
        union = np.count_nonzero((guess == k) | (truth == k))
        scores[f"iou_{name}"] = float(np.count_nonzero((guess == k) & (truth == k)) / union) if union else float("nan")
    scores["presence_accuracy"] = float(((out["presence"].numpy() > 0) == (frames.presence > 0.5)).mean())
    scores["in_body_accuracy"] = float(((out["in_body"][:, 0].numpy() > 0) == (frames.in_body > 0.5)).mean())
    inside = frames.in_body > 0.5
    scores["phase_accuracy_single_frame"] = float((out["phase"].argmax(1).numpy() == frames.phase)[inside].mean())
    return scores
