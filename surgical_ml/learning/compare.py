"""Compares the cores of the phase network on equal terms: `python -m surgical_ml.learning.compare OUT`.

Each core learns from the same synthetic sequences, in the same order, for the same number of steps, at the same rate, with the
same number of weights; the seeds differ in everything. No picture is rendered: features are what a frame network could
have made of a case, tools and anatomy with errors that come singly and in runs, mixed by a fixed random matrix. So the table
ranks memories, and says nothing of pictures.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from surgical_ml.evaluation.metrics import LabelledCase, score_segments
from surgical_ml.learning.frame_net import FEATURES
from surgical_ml.learning.loop import Place, Schedule
from surgical_ml.learning.phase_net import CORES, PhaseNet
from surgical_ml.learning.run_folder import RunFolder, write_aside
from surgical_ml.learning.train_phase import BOUNDARY_S, Sequence, load_phase, train_phase
from surgical_ml.simulation import TOOLS, plan_case

MEASURES = ("accuracy", "edit", "f1@10", "over_segmentation", "after_drop", "after_restart", "undisturbed")
"""`after_drop` and `after_restart`: accuracy within `WINDOW_S` of a gap of `GAP_S`, or of a state that was lost;
`undisturbed`: accuracy of the same frames where neither happened. Percent, but for over-segmentation."""

GAP_S, WINDOW_S = 20.0, 20.0
RATE = 2.0
"""Moments a second of the held-out cases."""

_FLICKER = 0.08
"""Share of single frames that show a tool that is not there, or miss one that is."""

_ERROR_EVERY_S, _ERROR_S = 25.0, 4.0
"""How often a tool is mistaken for a while, and for how long."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much of everything; the table in the docs is made with the defaults."""

    train: int = 120
    held_out: int = 20
    steps: int = 500
    seeds: int = 3


def synthetic_sequence(seed: int, split: str, *, rate: float | None = None) -> Sequence:
    """What a frame network could have seen of one planned case, without any picture.

    Args:
        seed: of the case and of its errors.
        split: `train` or `held-out`: other cases, the same errors.
        rate: moments/s, evenly; None for 110 irregular moments, as in training.
    """
    rng = np.random.default_rng([seed, 31, int(split == "train")])
    plan = plan_case(
        seed + (0 if split == "train" else 5_000_000),
        duration_s=float(np.exp(rng.uniform(np.log(90), np.log(600)))),
        deviation=str(rng.choice(["none", "tool-mismatch", "order"], p=[0.4, 0.3, 0.3])),
    )
    end = plan.duration_s
    t = np.sort(rng.uniform(0, end, 110)) if rate is None else np.arange(0.0, end, 1 / rate)
    present = np.array([[any(use.tool == name for use in plan.tools_at(x)) for name in TOOLS] for x in t])
    wrong = rng.random(present.shape) < _FLICKER
    for k in range(len(TOOLS)):
        for start in rng.uniform(0, end, rng.poisson(end / _ERROR_EVERY_S)):
            wrong[(t >= start) & (t < start + rng.exponential(_ERROR_S)), k] ^= True
    anatomy = np.array([[plan.phase_progress(1, x), plan.phase_progress(3, x), x >= plan.clipped_s] for x in t], float)
    anatomy += 0.35 * _drift(t, rng, 3) + rng.normal(0, 0.25, anatomy.shape)
    seen = np.concatenate([(present ^ wrong) * 2.0 - 1.0, anatomy * 2.0 - 1.0], 1)
    mixing = np.random.default_rng(7).normal(0, 1 / np.sqrt(seen.shape[1]), (seen.shape[1], FEATURES))
    features = 2.0 * np.tanh(seen @ mixing) + rng.normal(0, 0.3, (len(t), FEATURES))
    places = [next(k for k, s in enumerate(plan.segments) if x < s.end_s or s is plan.segments[-1]) for x in t]
    after = [plan.segments[min(k + 1, len(plan.segments) - 1)].phase for k in places]
    near = [min(abs(x - s.start_s) for s in plan.segments[1:]) < BOUNDARY_S for x in t]
    return Sequence(
        torch.tensor(features, dtype=torch.float32),
        torch.tensor(t, dtype=torch.float32),
        torch.tensor([plan.segments[k].phase for k in places]),
        torch.tensor(after),
        torch.tensor(t / end, dtype=torch.float32),
        torch.tensor(near, dtype=torch.float32),
    )


def _drift(t: npt.NDArray[np.float64], rng: np.random.Generator, values: int) -> npt.NDArray[np.float64]:
    """Slow waves of the size of 1: what light and distance do to what is read off the anatomy."""
    speed, phase = rng.uniform(0.005, 0.05, (values, 3)), rng.uniform(0, 2 * np.pi, (values, 3))
    return np.sin(2 * np.pi * speed * t[:, None, None] + phase).mean(2) * np.sqrt(2)


@torch.inference_mode()
def predict(net: PhaseNet, case: Sequence, *, without: tuple[float, float] | None = None, restart: float | None = None):  # type: ignore[no-untyped-def]
    """The phase that is seen at each moment, (n,) int64.

    Args:
        net: in evaluation mode.
        case: one sequence.
        without: from and until when, seconds, no frame arrives; the phase stays what it was.
        restart: from when on the state is lost, seconds.
    """
    state, last, phase, restarted = torch.zeros(1, net.width), float(case.t_s[0]), 0, restart is None
    found = []
    for k in range(len(case.t_s)):
        now = float(case.t_s[k])
        if without is None or not without[0] <= now < without[1]:
            reset = torch.tensor([[float(not restarted and restart is not None and now >= restart)]])
            restarted = restarted or bool(reset)
            scores, _, _, _, state = net(case.features[k : k + 1], torch.tensor([[now - last]]), reset, state)
            last, phase = now, int(scores.argmax())
        found.append(phase)
    return np.array(found, np.int64)


def measure(net: PhaseNet, cases: list[Sequence]) -> dict[str, float]:
    """`MEASURES` over whole held-out cases."""
    pairs, drop, restart, same = [], [], [], []
    for k, case in enumerate(cases):
        truth, t = case.phase.numpy(), case.t_s.numpy()
        whole = predict(net, case)
        pairs.append(LabelledCase(f"case{k}", truth, whole))
        for share in (0.3, 0.6):
            at = float(share * t[-1])
            window = (t >= at + GAP_S) & (t < at + GAP_S + WINDOW_S)
            if window.any():
                drop.append(predict(net, case, without=(at, at + GAP_S))[window] == truth[window])
                restart.append(predict(net, case, restart=at + GAP_S)[window] == truth[window])
                same.append(whole[window] == truth[window])
    scores = score_segments(pairs, fps=RATE)
    over = [scores.summaries[name].mean for name in ("edit", "f1@10", "over_segmentation")]
    accuracy = float(np.mean([(pair.truth == pair.prediction).mean() for pair in pairs]))
    later = [100 * float(np.concatenate(one).mean()) for one in (drop, restart, same)]
    return dict(zip(MEASURES, (100 * accuracy, *map(float, over), *later), strict=True))


def compare(out: Path, amounts: Amounts, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Train and measure every core with every seed; what is in `out` already is not repeated.

    Returns:
        Core -> weights, state, and for each measure the value of each seed.
    """
    held = [synthetic_sequence(k, "held-out", rate=RATE) for k in range(amounts.held_out)]
    result: dict[str, Any] = {}
    for core in CORES:
        rows = []
        for seed in range(amounts.seeds):
            net = _trained(core, seed, out / f"{core}-{seed}", amounts, say)
            rows.append(measure(net, held))
            say(f"{core} seed {seed}: " + ", ".join(f"{name} {value:.2f}" for name, value in rows[-1].items()))
        weights = sum(parameter.numel() for parameter in net.parameters())
        result[core] = {"weights": weights, "state": net.width} | {m: [row[m] for row in rows] for m in MEASURES}
    write_aside(out / "comparison.json", json.dumps(result, indent=1) + "\n")
    write_aside(out / "comparison.md", table(result))
    return result


def _trained(core: str, seed: int, folder: Path, amounts: Amounts, say: Callable[[str], None]) -> PhaseNet:
    torch.manual_seed(seed)
    net = PhaseNet(FEATURES, core=core)
    configuration = {"core": core, "seed": seed, "cases": amounts.train, "steps": amounts.steps}
    run = RunFolder(folder, configuration, resume=True)
    if run.finished:
        return load_phase(net, run)
    cases = [synthetic_sequence(1000 * (seed + 1) + k, "train") for k in range(amounts.train)]
    schedule = Schedule(amounts.steps, warm_up=50, clip=1.0, seed=seed)
    return train_phase(cases, net, run, schedule, Place(0, 1, torch.device("cpu")), say=say)


def table(result: dict[str, Any]) -> str:
    """Mean and spread (n - 1) over the seeds, in Markdown."""
    lines = ["| core | weights | state | " + " | ".join(MEASURES) + " |", "|---|" + "---|" * (len(MEASURES) + 2)]
    for core, values in result.items():
        cells = [f"{np.mean(values[m]):.1f} ± {np.std(values[m], ddof=1):.1f}" for m in MEASURES[:3]]
        cells += [f"{np.mean(values[MEASURES[3]]):.2f} ± {np.std(values[MEASURES[3]], ddof=1):.2f}"]
        cells += [f"{np.mean(values[m]):.1f} ± {np.std(values[m], ddof=1):.1f}" for m in MEASURES[4:]]
        lines.append(f"| {core} | {values['weights']} | {values['state']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run it from the command line."""
    usual = Amounts()
    parser = argparse.ArgumentParser(description="Compare the cores of the phase network.")
    parser.add_argument("out", type=Path, help="folder that keeps each run")
    parser.add_argument("--steps", type=int, default=usual.steps)
    parser.add_argument("--train", type=int, default=usual.train, help="cases to learn from")
    parser.add_argument("--held-out", type=int, default=usual.held_out)
    parser.add_argument("--seeds", type=int, default=usual.seeds)
    given = parser.parse_args()
    torch.set_num_threads(1)
    amounts = Amounts(given.train, given.held_out, given.steps, given.seeds)
    print(table(compare(given.out, amounts)))


if __name__ == "__main__":
    main()
