"""`surgical-ml simulate`: synthetic operations with their ground truth."""

from pathlib import Path
from typing import Annotated

import typer

from surgical_ml.cli.output import Json, progress_bar, say, say_json
from surgical_ml.errors import InputError


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder that receives the case folders.")],
    procedure: Annotated[str, typer.Option(help="Which operation.")] = "cholecystectomy",
    cases: Annotated[int, typer.Option(help="How many.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the first case; the others follow it.")] = 0,
    deviations: Annotated[str, typer.Option(help="none, random, order or tool-mismatch.")] = "none",
    faults: Annotated[
        str,
        typer.Option(
            help="What may spoil the picture: all, or a list of smoke,blood,blur,dark,overexposed,out_of_body."
        ),
    ] = "",
    seconds: Annotated[float, typer.Option(help="Expected length of each case, s; the phases vary it.")] = 300.0,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels, both even.")] = "854x480",
    fps: Annotated[int, typer.Option(help="Frames/s.")] = 25,
    masks: Annotated[bool, typer.Option(help="Write a label map for each frame.")] = True,
    workers: Annotated[int, typer.Option(help="Cases that are rendered at once, each on a core.")] = 1,
    as_json: Json = False,
) -> None:
    """Write synthetic operations: video, masks, phases, tools, tips and what deviates.

    Example: surgical-ml simulate data --cases 4 --seed 10 --deviations random --faults smoke,blood
    """
    from surgical_ml.simulation import DISTURBANCES
    from surgical_ml.simulation import simulate as write

    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InputError("size", "WIDTHxHEIGHT", size)
    kinds = DISTURBANCES if faults == "all" else tuple(name for name in faults.split(",") if name)
    with progress_bar(str(out), "frames", quiet=as_json) as update:
        folders = write(
            out,
            procedure=procedure,
            cases=cases,
            seed=seed,
            deviation=deviations,
            disturbances=kinds,
            size=(int(width), int(height)),
            fps=fps,
            duration_s=seconds,
            masks=masks,
            workers=workers,
            progress=update,
        )
    if as_json:
        say_json({"cases": [str(path) for path in folders]})
    else:
        say("\n".join(str(path) for path in folders))
