"""Trains the phase network on whole synthetic cases, seen through the trained frame network at irregular moments."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from surgical_ml.errors import InputError
from surgical_ml.learning.frame_net import FrameNet
from surgical_ml.learning.frames import draw_size, look_of, sample
from surgical_ml.learning.loop import Place, Schedule, train
from surgical_ml.learning.phase_net import PhaseNet
from surgical_ml.learning.run_folder import WEIGHTS, RunFolder
from surgical_ml.learning.train_frame import normalise
from surgical_ml.simulation import DISTURBANCES, Renderer, plan_case, shuffle_tools

_NOISE = 0.1
"""Standard deviation of what is added to the features while training."""

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
def see_case(
    net: FrameNet, seed: int, split: str, frames: int, *, disturbed: bool = True, look: str = "plain"
) -> Sequence:
    """Render one case at `frames` irregular moments and keep what the frame network makes of them; only inside views.

    Raises:
        InputError: `look` is none of `TRAINING_LOOKS`.
    """
    rng = np.random.default_rng([seed, 12])
    plan = plan_case(
        seed,
        duration_s=float(np.exp(rng.uniform(np.log(45), np.log(900)))),
        deviation=str(rng.choice(["none", "tool-mismatch", "order"], p=[0.4, 0.3, 0.3])),
        disturbances=DISTURBANCES if disturbed and rng.random() < 0.5 else (),
        split="train" if split == "train" else "held-out",
        look=look_of(look, seed),
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


def run_sequence(net: PhaseNet, batch: list[Sequence]) -> tuple[Tensor, ...]:
    """Step through sequences side by side, as many steps as the shortest has.

    Returns:
        Logits of phase, next phase, progress and boundary, each (cases, steps, values).
    """
    return Unrolled(net)(*_inputs(batch))


def _inputs(batch: list[Sequence]) -> tuple[Tensor, Tensor]:
    """Features (n, t, f) and the seconds since the step before, (n, t)."""
    length = min(len(one.t_s) for one in batch)
    stamps = torch.stack([one.t_s[:length] for one in batch])
    dt = torch.diff(stamps, dim=1, prepend=stamps[:, :1]).clamp_min(0.0)
    return torch.stack([one.features[:length] for one in batch]), dt


class Unrolled(nn.Module):
    """A phase network over whole sequences, as one module: what several processes share."""

    def __init__(self, net: PhaseNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, features: Tensor, dt: Tensor) -> tuple[Tensor, ...]:
        """Features (n, t, f) and dt (n, t) to phase, next phase, progress and boundary, each (n, t, values)."""
        return self.net.whole(features, dt)


def phase_losses(out: tuple[Tensor, ...], batch: list[Sequence]) -> dict[str, Tensor]:
    """A loss for each head; samples whose phase nobody knows (below 0) do not count."""
    phase, following, progress, boundary = out
    n = phase.shape[1]
    known = torch.stack([one.phase[:n] for one in batch]).flatten()
    after = torch.stack([one.next_phase[:n] for one in batch]).flatten()
    near = torch.stack([one.boundary[:n] for one in batch])
    return {
        "phase": F.cross_entropy(phase.flatten(0, 1), known, label_smoothing=0.02, ignore_index=-1),
        "next_phase": 0.4 * F.cross_entropy(following.flatten(0, 1), after, ignore_index=-1),
        "progress": F.mse_loss(torch.sigmoid(progress[..., 0]), torch.stack([one.progress[:n] for one in batch])),
        "boundary": 0.2 * F.binary_cross_entropy_with_logits(boundary[..., 0], near),
    }


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
    net: PhaseNet,
    run: RunFolder,
    schedule: Schedule,
    place: Place,
    *,
    batch: int = 16,
    length: int = 70,
    say: Callable[[str], None] = print,
) -> PhaseNet:
    """Train on whole cases.

    Args:
        cases: as the frame network sees them; those shorter than `length` are left out.
        net: trained in place.
        run, schedule, place, say: as in `loop.train`.
        batch: sequences a step, over all processes. length: steps of each.

    Raises:
        InputError: no case is long enough.
    """
    cases = [one for one in cases if len(one.t_s) >= length]
    if not cases:
        raise InputError("cases", f"at least one of {length} moments", "none")

    def losses(module: nn.Module, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([schedule.seed, 21, step])
        chosen = [thin(cases[int(k)], rng, length) for k in rng.integers(len(cases), size=batch)][place.share(batch)]
        features, dt = _inputs(chosen)
        features = features + _NOISE * torch.randn_like(features)
        out = module(features.to(place.device), dt.to(place.device))
        return phase_losses(tuple(one.float().cpu() for one in out), chosen)

    train(Unrolled(net), losses, run, schedule, place, say)
    return net.cpu().eval()


def load_phase(net: PhaseNet, run: RunFolder) -> PhaseNet:
    """Put the weights of a run that is over into a network of its kind."""
    Unrolled(net).load_state_dict(torch.load(run.path / WEIGHTS, weights_only=True))
    return net.eval()


@torch.inference_mode()
def score_phase(net: PhaseNet, cases: list[Sequence]) -> dict[str, float]:
    """Held-out scores over whole cases, a case at a time: mean and spread of frame accuracy, and of progress error."""
    accuracy, error = [], []
    for one in cases:
        phase, _, progress, _ = run_sequence(net, [one])
        known = one.phase >= 0
        accuracy.append(float((phase[0].argmax(1) == one.phase)[known].float().mean()))
        error.append(float((torch.sigmoid(progress[0, :, 0]) - one.progress).abs().mean()))
    return {
        "phase_accuracy_mean": float(np.mean(accuracy)),
        "phase_accuracy_std": float(np.std(accuracy)),
        "progress_mae": float(np.mean(error)),
    }
