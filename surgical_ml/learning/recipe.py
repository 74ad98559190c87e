"""The recipe of the shipped model: `python -m surgical_ml.learning.recipe WORK MODEL_FOLDER`, on a CPU of two cores.

Every stage is kept in WORK, and is not repeated when it is already there. With `--start MODEL_FOLDER` the frame network
continues from that model's weights, at half the learning rate and for half as long.
"""

import argparse
import hashlib
import json
import subprocess
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from surgical_ml.learning.export import DISTURBED, calibrate, export_frame, export_phase, write_model
from surgical_ml.learning.frame_net import FrameNet
from surgical_ml.learning.frames import Frames, render_frames
from surgical_ml.learning.train_frame import run_all, score_frame, train_frame
from surgical_ml.learning.train_phase import Sequence, score_phase, see_case, train_phase

TRAINED_ON = "synthetic operations only"


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much of everything; the shipped model is made with the defaults."""

    cases: int = 700
    frames: int = 25
    epochs: float = 2.5
    phase_cases: int = 180
    phase_frames: int = 110
    phase_steps: int = 700
    held_out: int = 60


def _see(weights: Path, seed: int, split: str, frames: int, disturbed: bool) -> Sequence:
    torch.set_num_threads(1)
    net = FrameNet()
    net.load_state_dict(torch.load(weights))
    return see_case(net.eval(), seed, split, frames, disturbed=disturbed)


def see_cases(weights: Path, kept: Path, seeds: range, split: str, frames: int, *, disturbed: bool) -> list[Sequence]:
    """Cases as the frame network sees them, on two processes; kept in a file."""
    if not kept.exists():
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            jobs = [pool.submit(_see, weights, seed, split, frames, disturbed) for seed in seeds]
            torch.save([job.result() for job in jobs], kept)
    return list(torch.load(kept, weights_only=False))


def make(work: Path, folder: Path, amounts: Amounts, start: Path | None = None) -> dict[str, float]:
    """Everything from the seeds to the model folder; returns the held-out scores that the card states."""
    work.mkdir(parents=True, exist_ok=True)
    render_frames(work / "train", "train", first_seed=100_000, cases=amounts.cases, frames=amounts.frames)
    render_frames(work / "held-out", "held-out", first_seed=900_000, cases=amounts.held_out, frames=20)
    weights = work / "frame.pt"
    net = FrameNet()
    if not weights.exists():
        aside = work / "frame.training.pt"
        train_frame(work / "train", aside, start=start and start / "frame.onnx", epochs=amounts.epochs)
        aside.rename(weights)
    net.load_state_dict(torch.load(weights))
    net.eval()
    train = see_cases(
        weights,
        work / "phase-train.pt",
        range(200_000, 200_000 + amounts.phase_cases),
        "train",
        amounts.phase_frames,
        disturbed=True,
    )
    held = see_cases(weights, work / "phase-held.pt", range(950_000, 950_030), "held-out", 150, disturbed=False)
    phase = train_phase(train, work / "phase.pt", steps=amounts.phase_steps)
    held_frames, train_frames = Frames.load(work / "held-out"), Frames.load(work / "train")
    few = np.flatnonzero(train_frames.in_body > 0.5)[::3]
    part = Frames(*(getattr(train_frames, name)[few] for name in Frames.__slots__))
    clean = torch.from_numpy((held_frames.in_body > 0.5) & (held_frames.quality.max(1) < DISTURBED))
    model = calibrate(
        net,
        run_all(net, part, ("statistics",))["statistics"],
        torch.from_numpy(part.quality.max(1) >= DISTURBED),
        run_all(net, held_frames, ("statistics",))["statistics"][clean],
    )
    scores = score_frame(net, held_frames) | score_phase(phase, held)
    scores["parity_frame_max_difference"] = export_frame(model, work / "frame.onnx")
    scores["parity_phase_max_difference"] = export_phase(phase, work / "phase.onnx")
    write_model(
        folder, work / "frame.onnx", work / "phase.onnx", card(scores, amounts, start), "synthetic operations only"
    )
    (work / "scores.json").write_text(json.dumps(scores, indent=1) + "\n", "utf-8")
    return scores


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def card(scores: dict[str, float], amounts: Amounts, start: Path | None) -> str:
    """The model card, in Markdown; every number in it was measured in this run."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    begun = "from nothing" if start is None else f"from the weights with digest {digest_of(start / 'frame.onnx')}"
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in scores.items())
    return f"""# Model card: cholecystectomy 1

**What it is for.** Demonstration, tests and development of this module. It was trained on synthetic operations only, has
never seen a patient, and must not be used on one. Retrain it on your own data before anything else.

**What it does.** `frame.onnx` (every frame): segmentation of seven tools and four structures at stride 4, tool presence,
tips, picture quality, in-body, features, novelty. `phase.onnx` (each step): the seven Cholec80 phases, the next one,
progress, nearness of a boundary. Input 320 x 192 pixels, RGB, letterboxed from the content area.

**Data.** {amounts.cases} synthetic cases x {amounts.frames} frames for the frame network, {amounts.phase_cases} cases x
{amounts.phase_frames} moments for the phase network, at 400 x 320 to 1280 x 720 pixels, three in five of them through a lossy
codec; licence of code, data and weights: Apache-2.0.

**Held-out scores (synthetic).** Cases with other seeds, drawn with colours that lie between those of the training cases:
{amounts.held_out} cases x 20 frames (frame network, disturbed views included), 30 undisturbed cases x 150 moments (phase
network, deviating orders included). One training run, seed 0, so no spread over runs is known; `phase_accuracy_std` is the
spread over cases.

| score | value |
|---|---|
{rows}

**Novelty.** Distance of the encoder's channel means and deviations, the picture's colours and detail, and the segmentation's
doubt from those of clean or of disturbed training frames, whichever is nearer; 1 is the distance that 0.2 % of clean
held-out frames, or 2 % of disturbed training frames, exceed. It is calibrated on synthetic frames only. What it does on
real endoscopy is asserted in `tests/core/perception` on a recording that it was never tuned on.

**Known limits.** Synthetic tissue is not tissue. Masks are coarse (4 pixels of a 320 x 192 input). Scissors, irrigator and
bipolar forceps are confused most. Scores on real cases are unknown.

**Made with** `python -m surgical_ml.learning.recipe WORK MODEL_FOLDER`, begun {begun}, {amounts.epochs:g} passes over the
frames, at revision {commit.stdout.strip() or "unknown"}, torch
{torch.__version__.split("+")[0]}, two CPU cores.
"""


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description="Make a model folder from synthetic operations.")
    parser.add_argument("work", type=Path, help="folder that keeps each stage")
    parser.add_argument("folder", type=Path, help="model folder to write, NAME/VERSION")
    parser.add_argument("--start", type=Path, help="model folder to continue from")
    given = parser.parse_args()
    amounts = Amounts() if given.start is None else replace(Amounts(), epochs=Amounts().epochs / 2)
    print(json.dumps(make(given.work, given.folder, amounts, given.start), indent=1))


if __name__ == "__main__":
    main()
