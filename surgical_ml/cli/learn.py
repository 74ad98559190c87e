"""`surgical-ml learn`: the networks, from a data set of one's own, and the protocol, from accumulated cases."""

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Annotated, Any

import typer

from surgical_ml.cli.learn_noise import noise, thresholds
from surgical_ml.cli.learn_protocol import adapt, protocol, show
from surgical_ml.cli.output import Json, progress_bar, say, say_json
from surgical_ml.errors import InputError

learn = typer.Typer(no_args_is_help=True, help="Learn from cases of one's own.")
for command in (protocol, adapt, show, noise, thresholds):
    learn.command(command.__name__)(command)

Data = Annotated[Path, typer.Argument(help="Folder of the data set, with dataset.json in it.")]
Out = Annotated[Path, typer.Option(help="Run folder to make.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run that is there.")]
Seed = Annotated[int, typer.Option(min=0, help="Of everything that is random.")]


@learn.callback()
def group() -> None:
    """Learn from cases of one's own."""


@learn.command("frame")
def frame(
    data: Data,
    out: Out,
    start: Annotated[str | None, typer.Option(help="Model to continue from, by name or folder.")] = None,
    resume: Resume = False,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 4000,
    batch: Annotated[int, typer.Option(min=2, help="Frames a step, over all processes.")] = 24,
    frames: Annotated[int, typer.Option(min=1, help="Frames of a case, at most.")] = 200,
    encoder: Annotated[str, typer.Option(help="mobilenetv4-conv-small or ddrnet-23-slim.")] = "mobilenetv4-conv-small",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train the network that looks at every frame.

    Example: surgical-ml learn frame dataset --out runs/frame --start cholecystectomy
    """
    own = _learning()
    options = own.FrameOptions(steps=steps, batch=batch, a_case=frames, encoder=encoder, seed=seed)
    with progress_bar(str(data), "cases", quiet=as_json) as update:
        told = (lambda _: None) if as_json else say
        scores = own.learn_frame(data, out, options, start=start, resume=resume, say=told, progress=update)
    _report(scores, out, as_json)


@learn.command("phase")
def phase(
    data: Data,
    out: Out,
    start: Annotated[str, typer.Option(help="Whose frame network sees: a run of `learn frame`, or a model.")],
    resume: Resume = False,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 700,
    moments: Annotated[int, typer.Option(min=2, help="Moments of a case, at most.")] = 400,
    length: Annotated[int, typer.Option(min=2, help="Moments of a sequence that is learned from.")] = 70,
    core: Annotated[str, typer.Option(help="gated, dilated or both.")] = "gated",
    name: Annotated[str, typer.Option(help="Of the model that is made, NAME/VERSION.")] = "own/1",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train the network that follows the operation, and make a model folder of both.

    Example: surgical-ml learn phase dataset --out runs/phase --start runs/frame --name hospital/1
    """
    own = _learning()
    options = own.PhaseOptions(steps=steps, moments=moments, length=length, core=core, name=name, seed=seed)
    with progress_bar(str(data), "cases", quiet=as_json) as update:
        told = (lambda _: None) if as_json else say
        scores = own.learn_phase(data, out, options, start=start, resume=resume, say=told, progress=update)
    _report(scores, out, as_json)


def _learning() -> Any:
    """The room that trains; by name, because types are checked in rooms without torch only."""
    from importlib import import_module
    from importlib.util import find_spec

    if find_spec("torch") is None or find_spec("albumentations") is None:
        raise InputError("training", "torch and albumentations: pip install 'surgical_ml[train]'", "not installed")
    return import_module("surgical_ml.learning.own")


def _report(scores: Mapping[str, float], out: Path, as_json: bool) -> None:
    if not scores:
        # one of several processes, and not the first
        return
    if as_json:
        say_json({name: None if isnan(value) else value for name, value in scores.items()})
        return
    width = max(map(len, scores))
    say("\n".join([*(f"{name:{width}} {value:.4g}" for name, value in scores.items()), f"run folder: {out}"]))
