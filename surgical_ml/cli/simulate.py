"""`surgical-ml simulate`: synthetic operations with their ground truth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from surgical_ml.cli.output import Json, progress_bar, say, say_json
from surgical_ml.errors import InputError

if TYPE_CHECKING:
    from surgical_ml.simulation.plan import Look, Scene, Split


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder that receives the case folders.")],
    procedure: Annotated[str, typer.Option(help="Which operation.")] = "cholecystectomy",
    cases: Annotated[int, typer.Option(help="How many.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the first case; the others follow it.")] = 0,
    deviations: Annotated[str, typer.Option(help="none, random, order or tool-mismatch.")] = "none",
    faults: Annotated[
        str,
        typer.Option(
            help="What may spoil the picture: all, or a list of smoke,blood,blur,dark,overexposed,out_of_body; in the rich "
            "look also fog,lens_dirt,droplets,motion_blur,interlacing,blocks,white_balance. What may happen to the "
            "stream: stream, or a list of drops,freeze,black,duplicates,jitter."
        ),
    ] = "",
    seconds: Annotated[float, typer.Option(help="Expected length of each case, s; the phases vary it.")] = 300.0,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels, both even.")] = "854x480",
    fps: Annotated[int, typer.Option(help="Frames/s.")] = 25,
    masks: Annotated[bool, typer.Option(help="Write a label map for each frame.")] = True,
    workers: Annotated[int, typer.Option(help="Cases that are rendered at once, each on a core.")] = 1,
    look: Annotated[str, typer.Option(help="plain, as the shipped networks know it, or rich, for transfer.")] = "plain",
    scene: Annotated[
        str, typer.Option(help="Behind the instruments of the rich look: operation, tissue or texture.")
    ] = "operation",
    split: Annotated[str, typer.Option(help="Family of shapes, lights and textures: train or held-out.")] = "held-out",
    instrument_meshes: Annotated[
        Path | None, typer.Option(help="Folder of STL files that take the place of most instruments; rich look.")
    ] = None,
    backgrounds: Annotated[
        Path | None, typer.Option(help="Folder of pictures to show behind the instruments; rich look.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write synthetic operations: video, masks, phases, tools, tips and what deviates.

    Example: surgical-ml simulate data --cases 4 --seed 10 --deviations random --faults smoke,blood --look rich
    """
    from surgical_ml.simulation import DISTURBANCES, LOOKS, RICH_DISTURBANCES, SCENES, STREAM_FAULTS
    from surgical_ml.simulation import simulate as write

    width, height = picture_size(size)
    for name, value, known in (
        ("look", look, LOOKS),
        ("scene", scene, SCENES),
        ("split", split, ("train", "held-out")),
    ):
        if value not in known:
            raise InputError(name, f"one of {list(known)}", value)
    asked = [name for name in faults.split(",") if name]
    stream = STREAM_FAULTS if "stream" in asked else tuple(name for name in asked if name in STREAM_FAULTS)
    every = (*DISTURBANCES, *(RICH_DISTURBANCES if look == "rich" else ()))
    spoils = tuple(name for name in asked if name not in ("all", "stream", *STREAM_FAULTS))
    unknown = sorted(set(spoils) - set(every))
    if unknown:
        raise InputError("faults", f"a list of all, stream, {', '.join((*every, *STREAM_FAULTS))}", ", ".join(unknown))
    with progress_bar(str(out), "frames", quiet=as_json) as update:
        folders = write(
            out,
            procedure=procedure,
            cases=cases,
            seed=seed,
            deviation=deviations,
            disturbances=every if "all" in asked else spoils,
            size=(width, height),
            fps=fps,
            duration_s=seconds,
            masks=masks,
            workers=workers,
            look=cast("Look", look),
            scene="images" if backgrounds is not None else cast("Scene", scene),
            split=cast("Split", split),
            stream=stream,
            meshes=instrument_meshes,
            backgrounds=backgrounds,
            progress=update,
        )
    if as_json:
        say_json({"cases": [str(path) for path in folders]})
    else:
        say("\n".join(str(path) for path in folders))


def picture_size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT as (width, height) in pixels.

    Raises:
        InputError: it is not that.
    """
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InputError("size", "WIDTHxHEIGHT", text)
    return int(width), int(height)
