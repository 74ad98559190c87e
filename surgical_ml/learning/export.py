"""From trained weights to a model folder: novelty calibrated, graphs exported and compared, manifest and card written."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor

from surgical_ml.learning.classes import SIMULATED, Classes
from surgical_ml.learning.frame_net import FRAME_HEADS, Deployed, FrameNet
from surgical_ml.learning.frames import HEIGHT, WIDTH
from surgical_ml.learning.phase_net import DeployedPhase, PhaseNet
from surgical_ml.learning.train_frame import MEAN, STD

OPSET = 18
FALSE_ALARMS = 0.002
"""Share of clean held-out frames that the novelty limit turns away."""

UNUSUAL_DISTURBED = 0.02
"""Share of the disturbed training frames (blood, smoke, blur) beyond their own limit: the worst of them are withheld."""

FEWEST = 50
"""Pictures that it takes to describe a kind of them."""

DISTURBED = 0.2
"""A picture counts as disturbed from this strength of any disturbance."""

FRAME_OUTPUTS = ["segmentation", "presence", "tips", "quality", "in_body", "features", "novelty"]
PHASE_INPUTS = ["features", "dt", "reset", "state"]
PHASE_OUTPUTS = ["phase", "next_phase", "progress", "boundary", "new_state"]


def whitening(statistics: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,) and the (d, d) matrix to uncorrelated directions, each divided by its deviation and a floor.

    The floor keeps directions in which training pictures hardly vary from shouting at numerical noise.
    """
    mean, unit = statistics.mean(0), 1.0 / (statistics.std(0) + 1e-6)
    values, vectors = torch.linalg.eigh(torch.cov(((statistics - mean) * unit).T.double()))
    deviations = values.clamp_min(0).sqrt()
    scale = 1.0 / torch.maximum(deviations, 0.01 * deviations.max())
    return mean, unit[:, None] * (vectors * scale).float()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of picture that a network knows.

    Attributes:
        described: (n, `statistics_of`) of the training pictures that describe it.
        known: (m, `statistics_of`) of the pictures that its limit is fitted on.
        beyond: the share of them that lies beyond it.
    """

    described: Tensor
    known: Tensor
    beyond: float


def kinds_of(train: Tensor, disturbed: Tensor, clean: Tensor) -> list[Kind]:
    """Clean and disturbed pictures, each a kind of its own; one kind for all where too few are disturbed to be described.

    Args:
        train: (n, `statistics_of`) of training pictures. disturbed: (n,) bool.
        clean: (m, `statistics_of`) of clean held-out pictures, of which `FALSE_ALARMS` lie beyond the limit.
    """
    if int(disturbed.sum()) < FEWEST:
        return [Kind(train, clean, FALSE_ALARMS)]
    spoilt = train[disturbed]
    return [Kind(train[~disturbed], clean, FALSE_ALARMS), Kind(spoilt, spoilt, UNUSUAL_DISTURBED)]


def calibrate(net: FrameNet, kinds: Sequence[Kind], temperatures: Mapping[str, float] | None = None) -> Deployed:
    """Describe each kind of picture, and fix how far from all of them counts as novel.

    Args:
        net: trained.
        kinds: at least one.
        temperatures: head -> temperature, as `Deployed` takes them.
    """
    fits = [whitening(kind.described) for kind in kinds]
    limits = []
    for (mean, whiten), kind in zip(fits, kinds, strict=True):
        limits.append(torch.quantile(((kind.known - mean) @ whiten).square().mean(1), 1 - kind.beyond))
    means, whitens = (torch.stack(list(parts)) for parts in zip(*fits, strict=True))
    return Deployed(net, means, whitens, torch.stack(limits), temperatures).eval()


def export_frame(model: Deployed, path: Path) -> float:
    """Write `frame.onnx`; returns the largest difference from torch over random images."""
    example = torch.randn(1, 3, HEIGHT, WIDTH)
    told = {"temperatures": {head: float(getattr(model, f"temperature_{head}")) for head in FRAME_HEADS}}
    _export(model, (example,), path, ["image"], FRAME_OUTPUTS, told)
    return _difference(model, path, [{"image": torch.randn(1, 3, HEIGHT, WIDTH)} for _ in range(8)], FRAME_OUTPUTS)


def export_phase(
    net: PhaseNet,
    path: Path,
    temperatures: Mapping[str, float] | None = None,
    bands: Mapping[str, float] | None = None,
) -> float:
    """Write `phase.onnx`; returns the largest difference from torch over random steps.

    Args:
        net: trained.
        path: of the file.
        temperatures: head -> temperature, which become part of the graph.
        bands: certainty -> least confidence, which are told in the file's metadata.
    """
    model = DeployedPhase(net, temperatures).eval()

    def example() -> dict[str, Tensor]:
        values = torch.randn(1, net.features), torch.rand(1, 1), torch.zeros(1, 1), torch.rand(1, net.width) - 0.5
        return dict(zip(PHASE_INPUTS, values, strict=True))

    told = {"temperatures": dict(temperatures or {}), "certainty_bands": dict(bands or {})}
    _export(model, tuple(example().values()), path, PHASE_INPUTS, PHASE_OUTPUTS, told)
    return _difference(model, path, [example() for _ in range(64)], PHASE_OUTPUTS)


def _export(
    model: torch.nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    inputs: list[str],
    outputs: list[str],
    told: Mapping[str, Mapping[str, float]],
) -> None:
    program = torch.onnx.export(
        model.eval(), example, dynamo=True, opset_version=OPSET, input_names=inputs, output_names=outputs, verbose=False
    )
    for name, values in told.items():
        program.model.metadata_props[name] = json.dumps(values, sort_keys=True)
    program.save(str(path))


@torch.inference_mode()
def _difference(model: torch.nn.Module, path: Path, runs: list[dict[str, Tensor]], outputs: list[str]) -> float:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for values in runs:
        torch_out = model(*values.values())
        ort_out = session.run(outputs, {name: value.numpy() for name, value in values.items()})
        for left, right in zip(torch_out, ort_out, strict=True):
            worst = max(worst, float(np.abs(left.numpy() - right).max()))
    return worst


def write_model(
    folder: Path,
    frame: Path,
    phase: Path,
    card: str,
    trained_on: str,
    *,
    classes: Classes = SIMULATED,
    licence: str = "Apache-2.0",
) -> None:
    """Put the two graphs, the manifest with their digests, and the card into a model folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, path in (("frame", frame), ("phase", phase)):
        target = folder / f"{name}.onnx"
        shutil.copyfile(path, target)
        files[name] = {"path": target.name, "sha256": hashlib.sha256(target.read_bytes()).hexdigest()}
    manifest = {
        "schema": 1,
        "name": folder.parent.name,
        "version": folder.name,
        "licence": licence,
        "input": {"width": WIDTH, "height": HEIGHT, "mean": list(MEAN), "std": list(STD)},
        **classes.to_json(),
        "thresholds": {"presence": 0.5, "tip": 0.3, "in_body": 0.5, "novelty": 1.0},
        "files": files,
        "trained_on": trained_on,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    (folder / "card.md").write_text(card, "utf-8")
