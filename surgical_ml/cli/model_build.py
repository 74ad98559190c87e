"""`surgical-ml model build`: the plan that an engine runs, made once on the machine that will run them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from surgical_ml.cli.output import Json, progress_bar, say, say_json
from surgical_ml.errors import InputError


def build(
    given: Annotated[
        str, typer.Argument(metavar="MODEL", help="Shipped model by name or name/version, or its folder.")
    ],
    engine: Annotated[Literal["tensorrt"], typer.Option(help="Engine to build for.")] = "tensorrt",
    network: Annotated[
        Literal["frame", "phase"],
        typer.Option(help="Network to build; in a case only the frame network runs on a GPU."),
    ] = "frame",
    fold: Annotated[
        bool, typer.Option("--fold", help="Normalise the picture, and find the labels, on the GPU as well.")
    ] = False,
    key: Annotated[Path | None, typer.Option(help="Ed25519 private key (PEM) to sign the plan with.")] = None,
    as_json: Json = False,
) -> None:
    """Build a network's plan for this machine's GPU, driver and TensorRT, and run it; takes minutes.

    The plan lies beside its network, and is refused wherever anything that it was built for differs.

    Example: surgical-ml model build cholecystectomy --engine tensorrt
    """
    from surgical_ml.engine import load_model, open_engine, warm_up
    from surgical_ml.engine.plan_builder import build_plan
    from surgical_ml.engine.signature import read_key

    model = load_model(given)
    onnx = model.file(network)
    signing = None if key is None else read_key(key)
    if fold and network != "frame":
        raise InputError("--fold", "the network frame, which sees the picture", network)
    with progress_bar(f"{engine}, {network} network", "steps", quiet=as_json) as update:
        plan = build_plan(onnx, update, fold=model.manifest.input if fold else None, signing=signing)
    # A plan that cannot run is found here, and not where a case begins.
    running = open_engine(engine, onnx)
    warm_up(running)
    running.close()
    if as_json:
        say_json({"plan": str(plan)})
    else:
        say(f"{plan}: built, and runs")
