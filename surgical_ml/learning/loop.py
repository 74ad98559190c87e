"""The training loop: plain PyTorch, seeded, resumable bit for bit on a CPU, on one device or on many under `torchrun`.

What step k does depends on the seed and on k only: its batch, its augmentation, its noise and its learning rate. So a
checkpoint is the weights, the optimiser and k, and a run that was killed and resumed is the run that was not.
"""

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from surgical_ml.learning.run_folder import RunFolder

Losses = Mapping[str, Tensor]
"""Name -> a part of the loss; their sum is what is made smaller."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast.

    Attributes:
        steps: optimiser steps.
        rate: the highest learning rate; it rises over `warm_up` steps and falls as a cosine to a fiftieth.
        decay: of weights. clip: longest gradient.
        seed: of everything.
        every: steps between two checkpoints.
    """

    steps: int
    rate: float = 2e-3
    warm_up: int = 100
    decay: float = 0.02
    clip: float = 5.0
    seed: int = 0
    every: int = 50

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        fall = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return self.rate * min(1.0, (step + 1) / self.warm_up) * fall


@dataclass(frozen=True, slots=True)
class Place:
    """Which of how many processes this is, and its device."""

    rank: int
    world: int
    device: torch.device

    def share(self, count: int) -> slice:
        """This process's part of `count` things."""
        return slice(self.rank, count, self.world)


def join() -> Place:
    """This process's place: alone, or what `torchrun` says, in which case the group is joined."""
    cuda = torch.cuda.is_available()
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo")
    return Place(rank, world, device)


def leave() -> None:
    """Leave the group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def train(
    net: nn.Module,
    losses: Callable[[nn.Module, int], Losses],
    run: RunFolder,
    schedule: Schedule,
    place: Place,
    say: Callable[[str], None] = print,
) -> nn.Module:
    """Train until the schedule is over, from wherever the run folder says.

    Mixed precision (bfloat16) is used on a GPU that has it. Batch normalisation keeps statistics a process; the weights
    are those of the whole batch in any case.

    Args:
        net: what is trained, in place; moved to the device.
        losses: of one step; makes this process's part of the batch and calls the module it is given.
        run: keeps checkpoints and metrics; the first process writes them.
        schedule: how.
        place: from `join`.
        say: told the loss at every checkpoint.

    Returns:
        `net`, in evaluation mode.
    """
    net.to(place.device).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=schedule.rate, weight_decay=schedule.decay)
    if place.rank == 0:
        found = run.checkpoint()
    if place.world > 1:
        dist.barrier()
        found = found if place.rank == 0 else _peek(run)
    first = 0
    if found is not None:
        net.load_state_dict(found["net"])
        optimiser.load_state_dict(found["optimiser"])
        first = int(found["step"])
    whole: nn.Module = net
    if place.world > 1:
        devices = [place.device.index] if place.device.type == "cuda" else None
        whole = nn.parallel.DistributedDataParallel(net, device_ids=devices)
    half = place.device.type == "cuda" and torch.cuda.is_bf16_supported()
    began, sums = time.perf_counter(), dict[str, float]()
    for step in range(first, schedule.steps):
        torch.manual_seed(schedule.seed * 1_000_003 + step * place.world + place.rank)
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate_at(step)
        with torch.autocast(place.device.type, torch.bfloat16, enabled=half):
            parts = losses(whole, step)
            loss = torch.stack(list(parts.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), schedule.clip)
        optimiser.step()
        for name, part in parts.items():
            sums[name] = sums.get(name, 0.0) + float(part.detach())
        done = step + 1
        if place.rank == 0 and (done % schedule.every == 0 or done == schedule.steps):
            count = (done - 1) % schedule.every + 1
            means = {name: value / count for name, value in sums.items()}
            spent = time.perf_counter() - began
            run.save({"step": done, "net": net.state_dict(), "optimiser": optimiser.state_dict()})
            run.log({"step": done, "loss": sum(means.values()), "rate": schedule.rate_at(step), "s": spent} | means)
            left = spent / (done - first) * (schedule.steps - done)
            say(f"step {done}/{schedule.steps} loss {sum(means.values()):.3f} {spent:.0f} s, {left:.0f} s left")
        if done % schedule.every == 0:
            sums.clear()
    if place.rank == 0:
        run.finish({name: value.cpu() for name, value in net.state_dict().items()})
    if place.world > 1:
        dist.barrier()
    return net.eval()


def _peek(run: RunFolder) -> dict[str, Any] | None:
    """The checkpoint that the first process found, without touching the metrics."""
    path: Path = run.path / "checkpoint.pt"
    return torch.load(path, weights_only=True) if path.exists() else None
