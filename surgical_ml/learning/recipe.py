"""The recipe of the shipped model: `python -m surgical_ml.learning.recipe WORK MODEL_FOLDER`, on a CPU of two cores.

Every stage is kept in WORK, and is not repeated when it is already there. With `--start MODEL_FOLDER` the frame network
continues from that model's weights, at half the learning rate and for half as long.
"""

import argparse
import hashlib
import json
import subprocess
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from surgical_ml.engine import load_model
from surgical_ml.evaluation.network_cases import CaseSpec, run_cases
from surgical_ml.evaluation.network_scores import score_networks
from surgical_ml.evaluation.variants import write_results
from surgical_ml.learning.confidence import (
    certainty_bands,
    false_alarms,
    frame_temperatures,
    phase_confidence,
    phase_report,
    phase_temperatures,
)
from surgical_ml.learning.export import DISTURBED, Kind, calibrate, export_frame, export_phase, kinds_of, write_model
from surgical_ml.learning.frame_net import FrameNet
from surgical_ml.learning.frames import TRAINING_LOOKS, Frames, StoredFrames, look_of, render_frames
from surgical_ml.learning.loop import Place, Schedule
from surgical_ml.learning.phase_net import PhaseNet
from surgical_ml.learning.restore import restore_frame_net
from surgical_ml.learning.run_folder import WEIGHTS, RunFolder, digest_of_files
from surgical_ml.learning.train_frame import normalise, run_all, score_frame, train_frame
from surgical_ml.learning.train_phase import Sequence, load_phase, score_phase, see_case, train_phase
from surgical_ml.simulation.plan import Look

TRAINED_ON = "synthetic operations only"

_LOOK_SAID = {
    "plain": "in the plain look",
    "rich": "in the rich look",
    "mixed": "two cases in three in the rich look, which teach where instruments are and not which, and the third in the plain "
    "look, by seed; the phase network learned from the plain look",
}

_MESHES_SAID = """; instruments of every third case partly from the STL meshes of github.com/ScheiklP/sofa_env
at 85bf7e05 (MIT licence, not part of this project)"""


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
    phase_held: int = 30
    scored_cases: int = 20


@dataclass(frozen=True, slots=True)
class Source:
    """What it is made from: a model to continue from, the look of the pictures, a folder of instruments' meshes."""

    start: Path | None = None
    look: str = "plain"
    meshes: Path | None = None


BATCH = 24
FIRST_SCORED = 970_000
_LOOKS: dict[str, tuple[Look, ...]] = {"plain": ("plain",), "rich": ("rich",), "mixed": ("plain", "rich")}
ALONE = Place(0, 1, torch.device("cpu"))


def _see(weights: Path, seed: int, split: str, frames: int, disturbed: bool, look: str) -> Sequence:
    torch.set_num_threads(1)
    net = FrameNet()
    net.load_state_dict(torch.load(weights, weights_only=True))
    return see_case(net.eval(), seed, split, frames, disturbed=disturbed, look=look)


def see_cases(
    weights: Path, kept: Path, seeds: range, split: str, frames: int, *, disturbed: bool, look: str
) -> list[Sequence]:
    """Cases as the frame network sees them, on two processes; kept in a file."""
    if not kept.exists():
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            jobs = [pool.submit(_see, weights, seed, split, frames, disturbed, look) for seed in seeds]
            torch.save([asdict(job.result()) for job in jobs], kept)
    return [Sequence(**values) for values in torch.load(kept, weights_only=True)]


def make(work: Path, folder: Path, amounts: Amounts, source: Source) -> dict[str, float]:
    """Everything from the seeds to the model folder; returns the held-out scores that the card states."""
    work.mkdir(parents=True, exist_ok=True)
    train_folder, held_folder, look = work / "train", work / "held-out", source.look
    render_frames(
        train_folder,
        "train",
        first_seed=100_000,
        cases=amounts.cases,
        frames=amounts.frames,
        look=look,
        meshes=source.meshes,
    )
    render_frames(held_folder, "held-out", first_seed=900_000, cases=amounts.held_out, frames=20, look=look)
    known_folder = work / "known" if look == "mixed" else held_folder
    if look == "mixed":
        render_frames(
            known_folder, "held-out", first_seed=920_000, cases=amounts.held_out, frames=20, look=known_look(look)
        )
    stored, held_stored = StoredFrames(train_folder), StoredFrames(held_folder)
    net = _frame_network(work / "frame", stored, amounts, source)
    weights = work / "frame" / WEIGHTS

    def seen(name: str, seeds: range, split: str, frames: int, disturbed: bool) -> list[Sequence]:
        return see_cases(weights, work / f"{name}.pt", seeds, split, frames, disturbed=disturbed, look=known_look(look))

    train = seen("phase-train", range(200_000, 200_000 + amounts.phase_cases), "train", amounts.phase_frames, True)
    validation = seen("phase-validation", range(940_000, 940_000 + amounts.phase_held), "held-out", 150, False)
    held = seen("phase-held", range(950_000, 950_000 + amounts.phase_held), "held-out", 150, False)
    phase = _phase_network(work / "phase", train, amounts, look)
    # The held-out cases are divided: limits and temperatures are fitted on one half and stated for the other.
    fitted, stated = _halves(held_stored)
    known, others = (part.take(np.flatnonzero(_clean(part))) for part in _halves(StoredFrames(known_folder)))
    temperatures = frame_temperatures(net, fitted)
    model = calibrate(net, _known_kinds(net, stored, known, look), temperatures)
    phase_heads = phase_temperatures(phase, validation)
    bands = certainty_bands(*phase_confidence(phase, validation, phase_heads["phase"]))
    scores = score_frame(net, stated) | score_phase(phase, held) | phase_report(phase, held, phase_heads["phase"])
    clean = run_all(net, others, ("statistics",))["statistics"]
    scores["novelty_false_alarms"], scores["novelty_false_alarms_95_upper"] = false_alarms(model, clean)
    scores |= {f"temperature_{head}": value for head, value in (temperatures | phase_heads).items()}
    scores |= {f"certainty_{name}_from": value for name, value in bands.items()}
    scores["parity_frame_max_difference"] = export_frame(model, work / "frame.onnx")
    scores["parity_phase_max_difference"] = export_phase(phase, work / "phase.onnx", phase_heads, bands)
    text = card(scores, amounts, source, folder)
    write_model(folder, work / "frame.onnx", work / "phase.onnx", text, TRAINED_ON)
    # The networks as they are shipped, over whole cases; the model must be there for that, and its card says what came out.
    tables = {shown: whole_cases(folder, amounts.scored_cases, shown) for shown in _LOOKS[look]}
    (folder / "card.md").write_text(card(scores, amounts, source, folder, tables), "utf-8")
    write_results(folder, scores, tables)
    return scores


def whole_cases(folder: Path, cases: int, look: Look) -> str:
    """The tables of `evaluate networks` for a model folder, Markdown."""
    model, spec = load_model(folder), CaseSpec(look=look)
    found = run_cases(model, range(FIRST_SCORED, FIRST_SCORED + cases), spec)
    return score_networks(model.manifest, model.sha256, found, spec).to_markdown()


def _known_kinds(net: FrameNet, stored: StoredFrames, clean: Frames, look: str) -> list[Kind]:
    """What counts as known: operations of the look `known_look`, those that it was trained on and clean held-out ones."""
    chosen = [k for k, path in enumerate(stored.paths) if look_of(look, int(path.name)) == known_look(look)]
    train = stored.take(np.flatnonzero(np.isin(stored.case_of, chosen)))
    train = train.take(np.flatnonzero(_operation(train)))
    disturbed = torch.from_numpy(train.quality.max(1) >= DISTURBED)
    described, limits = (run_all(net, frames, ("statistics",))["statistics"] for frames in (train, clean))
    return kinds_of(described, disturbed, limits)


def known_look(look: str) -> str:
    """The look whose operations count as known to a network that learned from `look`.

    The rich look teaches what an instrument is. It is so varied that an organ of another operation lies among its pictures:
    whoever took them for known would take anything for known.
    """
    return "plain" if look == "mixed" else look


def _halves(frames: StoredFrames) -> tuple[Frames, Frames]:
    """Every second case, and the others."""
    even, odd = (frames.take(np.flatnonzero(frames.case_of % 2 == k)) for k in (0, 1))
    return even, odd


def _operation(frames: Frames) -> npt.NDArray[np.bool_]:
    return (frames.in_body > 0.5) & ~np.isnan(frames.state[:, 0])


def _clean(frames: Frames) -> npt.NDArray[np.bool_]:
    return _operation(frames) & (frames.quality.max(1) < DISTURBED)


def _frame_network(folder: Path, data: StoredFrames, amounts: Amounts, source: Source) -> FrameNet:
    torch.manual_seed(0)
    start = source.start
    net = FrameNet()
    if start is not None:
        some = data.take(np.arange(0, len(data), max(1, len(data) // 192)))
        restore_frame_net(start / "frame.onnx", normalise(torch.from_numpy(some.image)), net)
    configuration = {
        "amounts": asdict(amounts),
        "look": source.look,
        "start": None if start is None else digest_of(start / "frame.onnx"),
        "data_sha256": digest_of_files(data.files()),
    }
    run = RunFolder(folder, configuration, resume=True)
    if not run.finished:
        steps = max(1, int(amounts.epochs * len(data) / BATCH))
        schedule = Schedule(steps, 2e-3 if start is None else 1e-3, warm_up=min(100, steps))
        train_frame(data, net, run, schedule, ALONE, batch=BATCH)
    net.load_state_dict(torch.load(run.path / WEIGHTS, weights_only=True))
    return net.eval()


def _phase_network(folder: Path, cases: list[Sequence], amounts: Amounts, look: str) -> PhaseNet:
    torch.manual_seed(0)
    net = PhaseNet(cases[0].features.shape[1])
    run = RunFolder(folder, {"amounts": asdict(amounts), "look": look}, resume=True)
    if not run.finished:
        schedule = Schedule(amounts.phase_steps, warm_up=min(50, amounts.phase_steps), clip=1.0)
        train_phase(cases, net, run, schedule, ALONE, length=min(70, amounts.phase_frames // 2))
    return load_phase(net, run)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def card(
    scores: dict[str, float],
    amounts: Amounts,
    source: Source,
    folder: Path,
    tables: Mapping[str, str] | None = None,
) -> str:
    """The model card, in Markdown; every number in it was measured in this run.

    Args:
        scores: of single frames and moments, by name.
        amounts, source: what it was made from.
        folder: of the model.
        tables: look -> scores over whole cases, Markdown.
    """
    over_cases = "\n\n".join((tables or {}).values())
    options = [f"--look {source.look}", f"--passes {amounts.epochs:g}"]
    options += ["--start MODEL_FOLDER"] if source.start is not None else []
    options += ["--instrument-meshes DIR"] if source.meshes is not None else []
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    start = source.start
    begun = "from nothing" if start is None else f"from the weights with digest {digest_of(start / 'frame.onnx')}"
    meshes = "" if source.meshes is None else _MESHES_SAID
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in scores.items())
    return f"""# Model card: {folder.parent.name} {folder.name}

**What it is for.** Demonstration, tests and development of this module. It was trained on synthetic operations only, has
never seen a patient, and must not be used on one. Retrain it on your own data before anything else.

**What it does.** `frame.onnx` (every frame): segmentation of seven tools and four structures at stride 4, tool presence,
tips, picture quality, in-body, features, novelty. `phase.onnx` (each step): the seven Cholec80 phases, the next one,
progress, nearness of a boundary. Input 320 x 192 pixels, RGB, letterboxed from the content area.

**Data.** {amounts.cases} synthetic cases x {amounts.frames} frames for the frame network, {amounts.phase_cases} cases x
{amounts.phase_frames} moments for the phase network, {_LOOK_SAID[source.look]}, augmented, at 400 x 320 to 1280 x 720 pixels,
three in five of them through a lossy codec{meshes}; licence of code, data and weights: Apache-2.0.

**Held-out scores (synthetic).** Cases with other seeds, of the same looks, drawn with other colours and shapes than the
training cases: half of {amounts.held_out} cases x 20 frames (frame network, disturbed views included),
{amounts.phase_held} undisturbed cases x 150 moments (phase network, deviating orders included). The other half, and
{amounts.phase_held} other cases, are what temperatures, certainty and novelty were fitted on. One training run, seed 0, so no
spread over runs is known; `phase_accuracy_std` is the spread over cases.

| score | value |
|---|---|
{rows}

**Over whole cases (synthetic).** `surgical-ml evaluate networks` on cases of about six minutes at 5 frames/s, everything
that may spoil a picture included; held-out colours, and in the rich look held-out textures, shapes of tools and lights. The
networks answer to every frame, also to those that the module would refuse as unlike training.

{over_cases}

**Novelty.** Known are operations of the {known_look(source.look)} look. Distance of the encoder's channel means and
deviations, the picture's colours and detail, and the segmentation's doubt from those of clean or of disturbed training
frames, whichever is nearer; 1 is the distance that 0.2 % of clean held-out frames, or 2 % of disturbed training frames,
exceed. Of clean frames of other held-out cases {100 * scores["novelty_false_alarms"]:.2g} % are turned away, with 95 %
confidence at most {100 * scores["novelty_false_alarms_95_upper"]:.2g} %. It is calibrated on synthetic frames only. What it
does on real endoscopy is asserted in `tests/core/perception` on a recording, of which no number was tuned; but that the plain
look alone counts as known was decided after the rich one had been seen to let it pass.

**Known limits.** Synthetic tissue is not tissue. Masks are coarse (4 pixels of a 320 x 192 input). Scissors, irrigator and
bipolar forceps are confused most. Scores on real cases are unknown.

**Made with** `python -m surgical_ml.learning.recipe WORK MODEL_FOLDER {" ".join(options)}`,
begun {begun}, at revision {commit.stdout.strip() or "unknown"}, torch
{torch.__version__.split("+")[0]}, two CPU cores.
"""


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description="Make a model folder from synthetic operations.")
    parser.add_argument("work", type=Path, help="folder that keeps each stage")
    parser.add_argument("folder", type=Path, help="model folder to write, NAME/VERSION")
    parser.add_argument("--look", choices=TRAINING_LOOKS, default="plain", help="of the pictures it learns from")
    parser.add_argument("--start", type=Path, help="model folder to continue from, for half as many passes")
    parser.add_argument("--instrument-meshes", type=Path, help="the folder that the model card names")
    parser.add_argument("--passes", type=float, help="over the frames")
    given = parser.parse_args()
    passes = given.passes or Amounts().epochs / (1 if given.start is None else 2)
    source = Source(given.start, given.look, given.instrument_meshes)
    print(json.dumps(make(given.work, given.folder, replace(Amounts(), epochs=passes), source), indent=1))


if __name__ == "__main__":
    main()
