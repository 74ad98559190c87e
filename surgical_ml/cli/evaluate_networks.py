"""`surgical-ml evaluate networks`: what a model's networks are worth on held-out synthetic cases."""

from typing import Annotated

import typer

from surgical_ml.cli.output import Json, progress_bar, say, say_json
from surgical_ml.errors import InputError

FIRST_SEED = 970_000


def networks(
    model: Annotated[
        str, typer.Option(help="Shipped model by name or name/version, or model folder.")
    ] = "cholecystectomy",
    engine: Annotated[str, typer.Option(help="Runtime of the frame network.")] = "onnxruntime",
    cases: Annotated[int, typer.Option(min=1, help="Held-out cases.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the first case.")] = FIRST_SEED,
    seconds: Annotated[float, typer.Option(min=10, help="Expected length of each case, s.")] = 360.0,
    fps: Annotated[float, typer.Option(min=0.1, help="Frames/s.")] = 5.0,
    look: Annotated[str, typer.Option(help="plain, or rich.")] = "rich",
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the pictures.")] = "480x270",
    workers: Annotated[int, typer.Option(min=1, help="Cases that are rendered at once.")] = 2,
    as_json: Json = False,
) -> None:
    """Render cases with tools, textures and lights that training never saw, and score both networks, by condition.

    Example: surgical-ml evaluate networks --cases 5 --seconds 60
    """
    from surgical_ml.cli.simulate import picture_size
    from surgical_ml.engine import load_model
    from surgical_ml.evaluation.network_cases import CaseSpec, run_cases
    from surgical_ml.evaluation.network_scores import score_networks
    from surgical_ml.simulation import LOOKS

    if look not in LOOKS:
        raise InputError("look", f"one of {list(LOOKS)}", look)
    found = load_model(model)
    spec = CaseSpec(seconds, fps, "plain" if look == "plain" else "rich", picture_size(size))
    with progress_bar("looking at cases", "cases", quiet=as_json) as update:
        seen = run_cases(found, range(seed, seed + cases), spec, engine=engine, workers=workers, progress=update)
    scores = score_networks(found.manifest, found.sha256, seen, spec)
    if as_json:
        say_json(scores.to_json())
    else:
        say(scores.to_markdown())
