"""A model in another precision: a whole folder, compared with the model that it was made from before it is anything."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from surgical_ml.engine import Manifest, Model, Tensor, load_model
from surgical_ml.engine.precision import to_half, to_int8
from surgical_ml.errors import InputError
from surgical_ml.evaluation.agreement import Agreement, Side, compare, rendered
from surgical_ml.perception.preprocess import Preprocessor
from surgical_ml.simulation.plan import DISTURBANCES, Split
from surgical_ml.video import ContentTracker, Frame, open_source

CARD, RESULTS = "card.md", "results.json"
CALIBRATION_FRAMES = 96
_CALIBRATION_SEEDS = range(5200, 5224)
"""None of them is of a case that anything is compared on. Every second one has the looks of training, and of each two
neighbours' pairs one has whatever may spoil a picture: int8 is to hold where the phase network is not sure, too."""

Progress = Callable[[int, int | None], None]
_ROW = re.compile(r"^\| (?P<name>[\w@. /-]+) \| (?P<value>-?\d[\d.e+-]*) \|$", re.MULTILINE)


def make_variant(
    model: Model,
    precision: Literal["fp16", "int8"],
    out: Path,
    *,
    data: str | None = None,
    video: str | None = None,
    progress: Progress | None = None,
) -> Agreement:
    """Write a model folder in another precision; nothing stands there unless all of it does.

    fp16 changes both networks, int8 the frame network only: the phase network is too small to gain from it.

    Args:
        model: in fp32.
        precision: of the new one.
        out: folder to make; it must not exist.
        data: video that int8's ranges are taken from, `CALIBRATION_FRAMES` frames evenly over it; rendered operations
            if None.
        video: what both are compared on; several rendered operations if None.
        progress: told (frames compared, frames or None).

    Returns:
        How far the new one agrees with the old one on ONNX Runtime. One that agrees too little is written all the same,
        says so in its card, and cannot be signed.

    Raises:
        InputError: the model is not fp32, there is something at `out`, or as `to_half`, `to_int8` and `compare`.
    """
    if model.manifest.precision != "fp32":
        raise InputError(f"model {model.folder}", "one in fp32", model.manifest.precision)
    if out.exists():
        raise InputError(out, "no such folder yet", "one")
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".{out.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        frame, phase = aside / "frame.onnx", aside / "phase.onnx"
        if precision == "fp16":
            to_half(model.file("frame"), frame)
            to_half(model.file("phase"), phase)
        else:
            to_int8(model.file("frame"), frame, calibration_pictures(model.manifest, data))
            shutil.copyfile(model.file("phase"), phase)
        _write_manifest(model, precision, aside)
        made = load_model(aside)
        agreement = compare(Side(made), Side(model), video, progress=progress)
        _write_results(made, model, agreement)
        aside.rename(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return agreement


def calibration_pictures(manifest: Manifest, data: str | None = None) -> list[Tensor]:
    """What the frame network is given of so many frames: `CALIBRATION_FRAMES` tensors (1, 3, H, W) float32.

    Raises:
        InputError: the video cannot be opened, or holds no frame.
    """
    if data is None:
        return [picture for seed in _CALIBRATION_SEEDS for picture in _inputs(manifest, _calibration_case(seed))]
    with open_source(data) as source:
        step = max(1, (source.info.frames or 0) // CALIBRATION_FRAMES)
        pictures = _inputs(manifest, islice(source, 0, step * CALIBRATION_FRAMES, step))
    if not pictures:
        raise InputError(data, "at least one frame", "none")
    return pictures


def _calibration_case(seed: int) -> Iterable[Frame]:
    k = seed - _CALIBRATION_SEEDS[0]
    split: Split = "train" if k % 2 else "held-out"
    disturbances = DISTURBANCES if k % 4 >= 2 else ()
    return rendered(seed, CALIBRATION_FRAMES // len(_CALIBRATION_SEEDS), split=split, disturbances=disturbances)


def read_card(folder: Path) -> tuple[str, list[str]]:
    """A model's card, and each of its numbers that is not what the recorded results say.

    Args:
        folder: of the model, with `card.md` and `results.json`.

    Returns:
        The card, and one line for each number that differs, that was not recorded, or that the card leaves out.

    Raises:
        InputError: a file is missing, `results.json` is none, or it is of another model.
    """
    card, results = folder / CARD, folder / RESULTS
    if not card.is_file():
        raise InputError(card, "a model card", "no file")
    if not results.is_file():
        raise InputError(results, "the recorded results of the model", "no file")
    text = card.read_text("utf-8")
    try:
        recorded = json.loads(results.read_text("utf-8"))
        model, scores = str(recorded["model"]), {str(name): float(value) for name, value in recorded["scores"].items()}
        tables = {str(name): str(table) for name, table in recorded.get("tables", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(results, "a model's digest and its scores", f"{type(error).__name__}: {error}") from error
    own = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    if model != own:
        raise InputError(results, f"results of the model {own}", f"of {model}")
    rest = text
    wrong_tables = [
        f"{name}: a table that is not in the card as it was recorded" for name in tables if tables[name] not in text
    ]
    for table in tables.values():
        rest = rest.replace(table, "")
    told = {row["name"].strip(): row["value"] for row in _ROW.finditer(rest)}
    wrong = [
        f"{name}: expected {_shown(scores[name])}, found {value}" if name in scores else f"{name}: never recorded"
        for name, value in told.items()
        if name not in scores or value != _shown(scores[name])
    ]
    return text, wrong + wrong_tables + [f"{name}: not in the card" for name in scores if name not in told]


def write_results(folder: Path, scores: dict[str, float], tables: Mapping[str, str] | None = None) -> None:
    """Record what was measured of the model in a folder, whose manifest is there.

    Args:
        folder: of the model.
        scores: what the card's rows of two columns say.
        tables: whole tables of the card by name, Markdown.
    """
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    content = {"schema": 1, "model": digest, "scores": scores, "tables": dict(tables or {})}
    (folder / RESULTS).write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _shown(value: float) -> str:
    return f"{value:.4g}"


def _inputs(manifest: Manifest, frames: Iterable[Frame]) -> list[Tensor]:
    content, preprocess = ContentTracker(), Preprocessor(manifest.input)
    return [np.array(preprocess(frame.image, content.update(frame))[0]) for frame in frames]


def _write_manifest(model: Model, precision: str, folder: Path) -> None:
    values: dict[str, Any] = json.loads((model.folder / "manifest.json").read_text("utf-8"))
    values |= {"name": f"{values['name']}-{precision}", "precision": precision, "parent": model.sha256}
    values["files"] = {
        name: {"path": f"{name}.onnx", "sha256": hashlib.sha256((folder / f"{name}.onnx").read_bytes()).hexdigest()}
        for name in ("frame", "phase")
    }
    (folder / "manifest.json").write_text(json.dumps(values, indent=1) + "\n", "utf-8")


_MADE = {
    "fp16": "Products with weights in half precision; means, squares, soft-maxima, the novelty score and the phase network's "
    "state in float32.",
    "int8": "In int8, symmetric, by QDQ pairs: those convolutions of the frame network that save the most multiplications "
    "for what they cost. The first and the last ones, the coarsest grid, all else and the phase network in float32.",
}


def _write_results(made: Model, parent: Model, agreement: Agreement) -> None:
    """The card of the new one: what it is, how far it agrees, and the card of its parent, whose scores are not its own."""
    manifest = made.manifest
    scores = {
        "agreement_mask_iou": agreement.mask_iou_ppm / 1e6,
        "agreement_lowest_case_iou": agreement.lowest_case[1] / 1e6,
        "agreement_lowest_class_iou": agreement.lowest[1] / 1e6,
        "agreement_phase": agreement.phase_ppm / 1e6,
        "agreement_admission": agreement.admission_ppm / 1e6,
        "agreement_worst_frame_iou": agreement.worst_iou_ppm / 1e6,
    }
    rows = "\n".join(f"| {name} | {_shown(value)} |" for name, value in scores.items())
    verdict = (
        "It may be signed."
        if agreement.passed
        else "**That is too little: it must not be used, and cannot be signed.**"
    )
    theirs = parent.folder / CARD
    card = f"""# Model card: {manifest.name} {manifest.version}

**What it is.** {parent.manifest.name} {parent.manifest.version} (digest {parent.sha256})
in {manifest.precision}. {_MADE[manifest.precision]}

**How far it agrees with it**, on ONNX Runtime, over {agreement.frames} frames ({agreement.case}). The class that agrees
least is {agreement.lowest[0]}, the case {agreement.lowest_case[0]}, the worst frame number {agreement.worst_index} of
{agreement.worst_case}. {verdict}

| measure | value |
|---|---|
{rows}

The scores that its parent's card states were measured on the parent; they were not measured again here.
"""
    if theirs.is_file():
        # In its words, and without its numbers.
        lines = theirs.read_text("utf-8").splitlines()[1:]
        card += "\n## What its parent says of itself\n" + "\n".join(x for x in lines if not x.startswith("|")) + "\n"
    (made.folder / CARD).write_text(card, "utf-8")
    write_results(made.folder, scores)
