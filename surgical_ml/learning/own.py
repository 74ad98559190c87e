"""Training on a data set of one's own: the frame network, then the phase network, then a model folder."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from surgical_ml.engine import load_model
from surgical_ml.errors import InputError
from surgical_ml.labels import SPLITS, read_json
from surgical_ml.learning.classes import SIMULATED, Classes
from surgical_ml.learning.confidence import (
    certainty_bands,
    false_alarms,
    frame_temperatures,
    phase_confidence,
    phase_report,
    phase_temperatures,
    rounded,
)
from surgical_ml.learning.encoders import DEFAULT_ENCODER
from surgical_ml.learning.export import DISTURBED, calibrate, export_frame, export_phase, kinds_of, write_model
from surgical_ml.learning.frame_net import FrameNet
from surgical_ml.learning.frames import StoredFrames
from surgical_ml.learning.loop import Schedule, join, leave
from surgical_ml.learning.phase_net import DEFAULT_CORE, PhaseNet
from surgical_ml.learning.restore import restore_frame_net
from surgical_ml.learning.run_folder import RUN, WEIGHTS, RunFolder, digest_of_files, write_aside
from surgical_ml.learning.train_frame import normalise, run_all, score_frame, train_frame
from surgical_ml.learning.train_phase import Sequence, load_phase, score_phase, train_phase
from surgical_ml.learning.user_data import UserData, classes_of, open_user_data, prepare_frames, see_labelled

SCORES, CONFIDENCE, MODEL = "scores.json", "confidence.json", "model"
Say = Callable[[str], None]
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """What a user may choose for the frame network.

    Attributes:
        steps: optimiser steps; batch: frames a step, over all processes.
        a_case: frames of a case at most.
        encoder: one of `encoders.ENCODERS`.
        rate: highest learning rate; None for 2e-3, or 1e-3 where weights are there already.
        seed: of everything.
    """

    steps: int = 4000
    batch: int = 24
    a_case: int = 200
    encoder: str = DEFAULT_ENCODER
    rate: float | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class PhaseOptions:
    """What a user may choose for the phase network.

    Attributes:
        steps, batch, seed: as in `FrameOptions`, with sequences for frames.
        moments: of a case at most; length: of a sequence that is learned from.
        core: one of `phase_net.CORES`.
        name: of the model that is made, NAME/VERSION.
    """

    steps: int = 700
    batch: int = 16
    moments: int = 400
    length: int = 70
    core: str = DEFAULT_CORE
    name: str = "own/1"
    seed: int = 0


def learn_frame(
    folder: Path,
    out: Path,
    options: FrameOptions,
    *,
    start: str | None = None,
    resume: bool = False,
    say: Say = print,
    progress: Progress = lambda done, total: None,
) -> dict[str, float]:
    """Train the frame network on a data set, and leave `frame.onnx`, `scores.json` and `confidence.json` in the run folder.

    Args:
        folder: of the data set.
        out: the run folder.
        options: see there.
        start: a model to continue from, name or folder; None begins anew.
        resume: go on with the run in `out`.
        say, progress: told how it goes.

    Returns:
        Scores on the test cases.

    Raises:
        InputError: whatever is wrong with the data set, the model to start from, or the run folder.
    """
    where = join()
    try:
        data = open_user_data(folder, seed=options.seed)
        model = None if start is None else load_model(start)
        base = SIMULATED if model is None else Classes.of(model.manifest)
        classes = classes_of(data.labelled, base)
        frames = out / f"frames-{options.a_case}"
        if where.rank == 0:
            prepare_frames(data, frames, classes, a_case=options.a_case, progress=progress)
        if where.world > 1:
            torch.distributed.barrier()
        stored = {split: StoredFrames(frames / split) for split in SPLITS}
        torch.manual_seed(options.seed)
        net = FrameNet(classes, options.encoder)
        if model is not None:
            images = normalise(torch.from_numpy(stored["train"].take(_every(len(stored["train"]), 64)).image))
            restore_frame_net(model.file("frame"), images, net)
        rate = options.rate or (2e-3 if model is None else 1e-3)
        configuration = {
            "kind": "frame",
            "options": asdict(options),
            "classes": classes.to_json(),
            "layout": data.labelled.layout,
            "licence": data.licence,
            "start": None if model is None else model.sha256,
            "splits": {split: list(data.splits[split]) for split in SPLITS},
            "data_sha256": digest_of_files(path for one in stored.values() for path in one.files()),
        }
        run = _open(out, configuration, resume, where.rank)
        schedule = Schedule(options.steps, rate, warm_up=max(1, min(100, options.steps // 4)), seed=options.seed)
        if not run.finished:
            train_frame(stored["train"], net, run, schedule, where, batch=options.batch, say=say)
        if where.rank:
            return {}
        net.load_state_dict(torch.load(run.path / WEIGHTS, weights_only=True))
        return _finish_frame(net.eval(), stored, out)
    finally:
        leave()


def _finish_frame(net: FrameNet, stored: dict[str, StoredFrames], out: Path) -> dict[str, float]:
    """Fit temperatures and novelty on validation cases, state them for test cases, export."""
    train = stored["train"].take(_every(len(stored["train"]), 2000))
    validation, test = (stored[split].take(_every(len(stored[split]), 2000)) for split in SPLITS[1:])
    temperatures = frame_temperatures(net, validation)
    statistics = {
        name: run_all(net, frames, ("statistics",))["statistics"]
        for name, frames in (("train", train), ("validation", validation), ("test", test))
    }
    disturbed = torch.from_numpy(train.quality.max(1) >= DISTURBED)
    kinds = kinds_of(statistics["train"], disturbed, statistics["validation"])
    model = calibrate(net, kinds, temperatures)
    scores = score_frame(net, test)
    scores["novelty_false_alarms"], scores["novelty_false_alarms_95_upper"] = false_alarms(model, statistics["test"])
    scores["parity_frame_max_difference"] = export_frame(model, out / "frame.onnx")
    write_aside(out / CONFIDENCE, json.dumps({"temperatures": rounded(temperatures)}, indent=1) + "\n")
    write_aside(out / SCORES, json.dumps(_plain(scores), indent=1) + "\n")
    return scores


def learn_phase(
    folder: Path,
    out: Path,
    options: PhaseOptions,
    *,
    start: str,
    resume: bool = False,
    say: Say = print,
    progress: Progress = lambda done, total: None,
) -> dict[str, float]:
    """Train the phase network on what a frame network sees of a data set, and leave a model folder `model/NAME/VERSION`.

    Args:
        folder: of the data set.
        out: the run folder.
        options: see there.
        start: whose frame network sees: the run folder of `learn_frame`, or a model, by name or folder.
        resume, say, progress: as in `learn_frame`.

    Returns:
        Scores on the test cases.

    Raises:
        InputError: as `learn_frame`; or the name is no NAME/VERSION.
    """
    name, _, version = options.name.partition("/")
    if not (name and version) or "/" in version:
        raise InputError("name", "NAME/VERSION", options.name)
    where = join()
    try:
        data = open_user_data(folder, seed=options.seed)
        if data.labelled.phases is None:
            raise InputError(folder, "a data set with phases", f"{data.labelled.layout}, which has none")
        net, frame_file, frame_classes = _frame_network(start)
        classes = classes_of(data.labelled, frame_classes)
        kept = out / f"seen-{options.moments}-{digest_of_files([frame_file])[:12]}"
        if where.rank == 0:
            _see_all(net, data, kept, options.moments, progress)
        if where.world > 1:
            torch.distributed.barrier()
        seen = {split: _seen(kept, data, split) for split in SPLITS}
        files = [kept / f"{case}.pt" for split in SPLITS for case in data.splits[split]]
        configuration = {
            "kind": "phase",
            "options": asdict(options),
            "classes": classes.to_json(),
            "layout": data.labelled.layout,
            "licence": data.licence,
            "frame_sha256": digest_of_files([frame_file]),
            "splits": {split: list(data.splits[split]) for split in SPLITS},
            "data_sha256": digest_of_files(files),
        }
        run = _open(out, configuration, resume, where.rank)
        torch.manual_seed(options.seed)
        phase = PhaseNet(seen["train"][0].features.shape[1], classes, options.core)
        warm_up = max(1, min(50, options.steps // 4))
        schedule = Schedule(options.steps, warm_up=warm_up, clip=1.0, seed=options.seed)
        if not run.finished:
            length, batch = options.length, options.batch
            train_phase(seen["train"], phase, run, schedule, where, batch=batch, length=length, say=say)
        if where.rank:
            return {}
        return _finish_phase(load_phase(phase, run), seen, run, frame_file, classes, options, data)
    finally:
        leave()


def _finish_phase(
    net: PhaseNet,
    seen: dict[str, list[Sequence]],
    run: RunFolder,
    frame_file: Path,
    classes: Classes,
    options: PhaseOptions,
    data: UserData,
) -> dict[str, float]:
    temperatures = phase_temperatures(net, seen["validation"])
    bands = certainty_bands(*phase_confidence(net, seen["validation"], temperatures["phase"]))
    scores = score_phase(net, seen["test"]) | phase_report(net, seen["test"], temperatures["phase"])
    scores["parity_phase_max_difference"] = export_phase(net, run.path / "phase.onnx", temperatures, bands)
    confidence = {"temperatures": rounded(temperatures), "certainty_bands": rounded(bands)}
    write_aside(run.path / CONFIDENCE, json.dumps(confidence, indent=1) + "\n")
    write_aside(run.path / SCORES, json.dumps(_plain(scores), indent=1) + "\n")
    trained_on = f"{data.labelled.layout}, {len(data.labelled.cases)} cases, licence {data.licence or 'not stated'}"
    card = _card(options.name, trained_on, scores, confidence, run)
    folder = run.path / MODEL / options.name
    licence = data.licence or "not stated"
    write_model(folder, frame_file, run.path / "phase.onnx", card, trained_on, classes=classes, licence=licence)
    load_model(folder)
    return scores


def _card(name: str, trained_on: str, scores: dict[str, float], confidence: dict[str, Any], run: RunFolder) -> str:
    described = read_json(run.path / RUN, "a training run")
    rows = "\n".join(f"| {key} | {value:.4g} |" for key, value in scores.items())
    return f"""# Model card: {name}

**What it is for.** Nobody has validated this model. Run `surgical-ml evaluate cases` and `surgical-ml validate` on cases that
it was not trained on before anyone relies on it.

**Data.** {trained_on}; {", ".join(f"{len(cases)} {split}" for split, cases in described["configuration"]["splits"].items())}
cases, no patient in two splits; data digest {described["configuration"]["data_sha256"]}.

**Scores of the phase network on the test cases.**

| score | value |
|---|---|
{rows}

**Confidence.** Temperatures of the heads, part of the graph: {confidence["temperatures"]}. Least confidence of a certainty, by
validation cases: {confidence["certainty_bands"]}.

**Made with** `surgical-ml learn phase`, surgical_ml {described["code"]["surgical_ml"]}, revision
{described["code"]["revision"]}, torch {described["code"]["torch"]}.
"""


def _frame_network(start: str) -> tuple[FrameNet, Path, Classes]:
    """The network, its file, and its classes: of a run of `learn_frame`, or of a model."""
    folder = Path(start)
    if (folder / RUN).is_file():
        described = read_json(folder / RUN, "a training run")["configuration"]
        if described["kind"] != "frame" or not (folder / "frame.onnx").is_file():
            raise InputError(folder, "a run of `learn frame` that is over", f"one of `learn {described['kind']}`")
        lists = ("tools", "structures", "phases", "qualities")
        classes = Classes(described["classes"]["procedure"], *(tuple(described["classes"][key]) for key in lists))
        net = FrameNet(classes, described["options"]["encoder"])
        net.load_state_dict(torch.load(folder / WEIGHTS, weights_only=True))
        return net.eval(), folder / "frame.onnx", classes
    model = load_model(start)
    classes = Classes.of(model.manifest)
    images = torch.randn(16, 3, model.manifest.input.height, model.manifest.input.width)
    return restore_frame_net(model.file("frame"), images, FrameNet(classes)).eval(), model.file("frame"), classes


def _see_all(net: FrameNet, data: UserData, kept: Path, moments: int, progress: Progress) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    for done, case in enumerate(data.labelled.cases):
        progress(done, len(data.labelled.cases))
        path = kept / f"{case.name}.pt"
        if not path.exists():
            aside = path.with_suffix(".partial")
            torch.save(asdict(see_labelled(net, case, moments)), aside)
            aside.replace(path)
    progress(len(data.labelled.cases), len(data.labelled.cases))


def _seen(kept: Path, data: UserData, split: str) -> list[Sequence]:
    return [Sequence(**torch.load(kept / f"{case.name}.pt", weights_only=True)) for case in data.cases(split)]


def _open(out: Path, configuration: dict[str, Any], resume: bool, rank: int) -> RunFolder:
    """The run folder; where several processes train, the first one opens it and the others find it there."""
    if rank == 0:
        run = RunFolder(out, configuration, resume=resume)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    return run if rank == 0 else RunFolder(out, configuration, resume=True)


def _every(count: int, most: int):  # type: ignore[no-untyped-def]
    """At most so many rows, evenly spread."""
    return torch.linspace(0, count - 1, min(count, most)).round().long().numpy()


def _plain(scores: dict[str, float]) -> dict[str, float | None]:
    """NaN, which no JSON has, as null."""
    return {name: None if math.isnan(value) else value for name, value in scores.items()}
