"""A small training run in a process of its own: `python small_training.py OUT [KILL_AT_STEP]`, alone or under torchrun."""

import os
import signal
import sys
from pathlib import Path

import torch
from torch import distributed as dist
from torch import nn
from torch.nn import functional as F

from surgical_ml.learning.loop import Schedule, join, leave, train
from surgical_ml.learning.run_folder import RunFolder

BATCH = 8


def main(out: Path, kill_at: int | None) -> None:
    torch.set_num_threads(1)
    place = join()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
    data = torch.randn(64, 6, generator=torch.Generator().manual_seed(4))
    truth = (data[:, :3].argmax(1)) % 3

    def losses(module, step):
        if step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        rows = torch.randperm(64, generator=torch.Generator().manual_seed(step))[:BATCH][place.share(BATCH)]
        noise = 0.01 * torch.randn(BATCH, 6, generator=torch.Generator().manual_seed(step))[place.share(BATCH)]
        return {"class": F.cross_entropy(module(data[rows] + noise), truth[rows])}

    if place.rank:
        dist.barrier()  # the first process makes the folder
    run = RunFolder(out, {"steps": 23}, resume=True)
    if place.rank == 0 and place.world > 1:
        dist.barrier()
    train(net, losses, run, Schedule(23, 1e-2, warm_up=3, every=5), place)
    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
