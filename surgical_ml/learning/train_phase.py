"""Trains the phase network on whole synthetic cases, seen through the trained frame network at irregular moments."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from surgical_ml.learning.frame_net import FrameNet
from surgical_ml.learning.frames import draw_size, sample
from surgical_ml.learning.phase_net import HIDDEN, PhaseNet
from surgical_ml.learning.train_frame import normalise
from surgical_ml.simulation import DISTURBANCES, Renderer, plan_case, shuffle_tools

BOUNDARY_S = 3.0
"""A phase boundary counts as near within this time."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """One case: features (n, f) float32, stamps (n,) seconds, and what is true at each: phase, next, progress, boundary."""

    features: Tensor
    t_s: Tensor
    phase: Tensor
    next_phase: Tensor
    progress: Tensor
    boundary: Tensor


@torch.inference_mode()
def see_case(net: FrameNet, seed: int, split: str, frames: int, *, disturbed: bool = True) -> Sequence:
    """Render one case at `frames` irregular moments and keep what the frame network makes of them; only inside views."""
    rng = np.random.default_rng([seed, 12])
    plan = plan_case(
        seed,
        duration_s=float(np.exp(rng.uniform(np.log(45), np.log(900)))),
        deviation=str(rng.choice(["none", "tool-mismatch", "order"], p=[0.4, 0.3, 0.3])),
        disturbances=DISTURBANCES if disturbed and rng.random() < 0.5 else (),
        split="train" if split == "train" else "held-out",
    )
    # Without these the phase is read off the tools alone, and a tool in the wrong phase passes for a change of phase.
    if split == "train" and rng.random() < 0.4:
        plan = shuffle_tools(plan, seed)
    renderer = Renderer(plan, draw_size(rng))
    samples, times = [], np.sort(rng.uniform(0, plan.duration_s, frames))
    for t in times:
        samples.append(sample(renderer, float(t)))
    inside = [k for k, one in enumerate(samples) if one["in_body"] > 0.5]
    images = torch.from_numpy(np.stack([samples[k]["image"] for k in inside]))
    features = torch.cat([net(normalise(part))["features"] for part in images.split(32)])
    phases, following, near = [], [], []
    for k in inside:
        segment = plan.segment_at(float(times[k]))
        place = plan.segments.index(segment)
        phases.append(segment.phase)
        following.append(plan.segments[min(place + 1, len(plan.segments) - 1)].phase)
        near.append(min(abs(times[k] - s.start_s) for s in plan.segments[1:]) < BOUNDARY_S)
    t_s = torch.tensor(times[inside], dtype=torch.float32)
    return Sequence(
        features,
        t_s,
        torch.tensor(phases),
        torch.tensor(following),
        t_s / plan.duration_s,
        torch.tensor(near, dtype=torch.float32),
    )


def run_sequence(net: PhaseNet, batch: list[Sequence], skip: np.random.Generator | None) -> list[tuple[Tensor, ...]]:
    """Step through sequences of equal length side by side; with `skip`, each dropped to a random subset first."""
    state = torch.zeros(len(batch), HIDDEN)
    last = [0.0] * len(batch)
    out = []
    length = min(len(one.t_s) for one in batch)
    for k in range(length):
        stamps = [float(one.t_s[k]) for one in batch]
        dt = torch.tensor([[max(0.0, now - then)] for now, then in zip(stamps, last, strict=True)])
        last = stamps
        features = torch.stack([one.features[k] for one in batch])
        if skip is not None:
            features = features + 0.1 * torch.randn_like(features)
        reset = torch.full((len(batch), 1), float(k == 0))
        *heads, state = net(features, dt, reset, state)
        out.append(tuple(heads))
    return out


def _loss(out: list[tuple[Tensor, ...]], batch: list[Sequence]) -> Tensor:
    phase, following, progress, boundary = (torch.stack([step[k] for step in out], 1) for k in range(4))
    n = len(out)
    loss = F.cross_entropy(
        phase.flatten(0, 1), torch.stack([one.phase[:n] for one in batch]).flatten(), label_smoothing=0.02
    )
    loss = loss + 0.4 * F.cross_entropy(
        following.flatten(0, 1), torch.stack([one.next_phase[:n] for one in batch]).flatten()
    )
    loss = loss + F.mse_loss(torch.sigmoid(progress[..., 0]), torch.stack([one.progress[:n] for one in batch]))
    near = torch.stack([one.boundary[:n] for one in batch])
    return loss + 0.2 * F.binary_cross_entropy_with_logits(boundary[..., 0], near)


def thin(one: Sequence, rng: np.random.Generator, length: int) -> Sequence:
    """A window or a random subset of a sequence, so that steps of every size are met: stretched time, too."""
    n = len(one.t_s)
    if rng.random() < 0.5:
        start = int(rng.integers(0, n - length + 1))
        rows = np.arange(start, start + length)
    else:
        rows = np.sort(rng.choice(n, length, replace=False))
    kept = torch.from_numpy(rows)
    stretch = float(np.exp(rng.uniform(-1.0, 1.0)))
    return Sequence(
        one.features[kept],
        one.t_s[kept] * stretch,
        one.phase[kept],
        one.next_phase[kept],
        one.progress[kept],
        one.boundary[kept],
    )


def train_phase(
    cases: list[Sequence],
    out: Path,
    *,
    steps: int = 700,
    batch: int = 16,
    length: int = 70,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> PhaseNet:
    """Train on whole cases and save the weights."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    cases = [one for one in cases if len(one.t_s) >= length]
    net = PhaseNet(cases[0].features.shape[1])
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda k: 0.5 * (1 + math.cos(math.pi * k / steps)) + 0.01)
    for step in range(steps):
        chosen = [thin(cases[int(k)], rng, length) for k in rng.integers(len(cases), size=batch)]
        loss = _loss(run_sequence(net, chosen, rng), chosen)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 49:
            say(f"phase step {step + 1}/{steps} loss {loss.item():.3f}")
    torch.save(net.state_dict(), out)
    return net.eval()


@torch.inference_mode()
def score_phase(net: PhaseNet, cases: list[Sequence]) -> dict[str, float]:
    """Held-out scores over whole cases, a case at a time: mean and spread of frame accuracy, and of progress error."""
    accuracy, error = [], []
    for one in cases:
        out = run_sequence(net, [one], None)
        guess = torch.stack([step[0][0].argmax() for step in out])
        progress = torch.stack([torch.sigmoid(step[2][0, 0]) for step in out])
        accuracy.append(float((guess == one.phase[: len(out)]).float().mean()))
        error.append(float((progress - one.progress[: len(out)]).abs().mean()))
    return {
        "phase_accuracy_mean": float(np.mean(accuracy)),
        "phase_accuracy_std": float(np.std(accuracy)),
        "progress_mae": float(np.mean(error)),
    }
