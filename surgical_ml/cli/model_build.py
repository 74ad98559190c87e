"""`surgical-ml model build`: the plans that an engine runs, made once on the machine that will run them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from surgical_ml.cli.output import Json, progress_bar, say, say_json


def build(
    given: Annotated[
        str, typer.Argument(metavar="MODEL", help="Shipped model by name or name/version, or its folder.")
    ],
    engine: Annotated[Literal["tensorrt"], typer.Option(help="Engine to build for.")] = "tensorrt",
    network: Annotated[
        list[Literal["frame", "phase"]] | None,
        typer.Option(help="Network to build; only the frame network runs on a GPU in a case."),
    ] = None,
    fold: Annotated[
        bool, typer.Option("--fold", help="Normalise the picture, and find the labels, on the GPU as well.")
    ] = False,
    key: Annotated[Path | None, typer.Option(help="Ed25519 private key (PEM) to sign the plan with.")] = None,
    as_json: Json = False,
) -> None:
    """Build a model's plans for this machine's GPU, driver and TensorRT, and run each once; takes minutes.

    A plan lies beside its network, and is refused wherever anything that it was built for differs.

    Example: surgical-ml model build cholecystectomy --engine tensorrt
    """
    from surgical_ml.engine import load_model, open_engine, warm_up
    from surgical_ml.engine.plan_builder import build_plan
    from surgical_ml.engine.signature import read_key

    model = load_model(given)
    signing = None if key is None else read_key(key)
    built = []
    for name in network or ["frame"]:
        picture = model.manifest.input if fold and name == "frame" else None
        with progress_bar(f"{engine}, {name} network", "steps", quiet=as_json) as update:
            plan = build_plan(model.file(name), update, fold=picture, signing=signing)
        # A plan that cannot run is found here, and not where a case begins.
        running = open_engine(engine, model.file(name))
        warm_up(running)
        running.close()
        built.append(str(plan))
        if not as_json:
            say(f"{plan}: built, and runs")
    if as_json:
        say_json({"plans": built})
