"""`surgical-ml learn noise` and `thresholds`: what label-only cases and detectors are set by."""

from pathlib import Path
from typing import Annotated

import typer

from surgical_ml.cli.output import Json, progress_bar, say, say_json
from surgical_ml.errors import InputError


def noise(
    model: Annotated[str, typer.Argument(help="Shipped model, or model folder.")] = "cholecystectomy",
    out: Annotated[Path | None, typer.Option(help="JSON file to write; it must not exist.")] = None,
    cases: Annotated[int, typer.Option(min=1, help="Held-out synthetic cases to look at.")] = 12,
    first: Annotated[int, typer.Option(min=0, help="Seed of the first one.")] = 980_000,
    seconds: Annotated[float, typer.Option(help="Expected length of a case.")] = 120.0,
    fps: Annotated[float, typer.Option(help="Frames/s.")] = 5.0,
    kept: Annotated[Path | None, typer.Option(help="Folder that keeps what was seen.")] = None,
    as_json: Json = False,
) -> None:
    """Fit the noise of label-only cases to what a model's networks say: confusions, how long errors hold, scores.

    Example: surgical-ml learn noise cholecystectomy --cases 4 --out noise.json
    """
    import json

    from surgical_ml.engine import load_model
    from surgical_ml.evaluation.deviation_study.noise_fit import fit_noise, look_at_all

    if out is not None and out.exists():
        raise InputError(out, "no such file yet", "one")
    with progress_bar(model, "cases", quiet=as_json) as update:
        seen = look_at_all(model, range(first, first + cases), seconds=seconds, fps=fps, kept=kept, progress=update)
    source = (
        f"surgical-ml learn noise --cases {cases} --first {first} --seconds {seconds:g} --fps {fps:g}, "
        f"model {load_model(model).sha256[:12]}"
    )
    fitted = fit_noise(seen, source)
    text = json.dumps(fitted.to_json(), indent=1) + "\n"
    if out is not None:
        aside = out.with_name(f".{out.name}.partial")
        aside.write_text(text, "utf-8")
        aside.rename(out)
    if as_json:
        say_json(fitted.to_json())
    else:
        say(text.rstrip())


def thresholds(
    procedure: Annotated[str, typer.Argument(help="Protocol to set thresholds for.")] = "cholecystectomy",
    cases: Annotated[int, typer.Option(min=1, help="Normal label-only cases.")] = 40,
    first: Annotated[int, typer.Option(min=0, help="Seed of the first one.")] = 970_000,
    rate: Annotated[float, typer.Option(min=0, help="False advisories of each kind per hour that are allowed.")] = 1.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    as_json: Json = False,
) -> None:
    """Find the boldest thresholds that keep a false-alarm rate on normal cases; they go into a protocol file.

    Example: surgical-ml learn thresholds --cases 10 --rate 1
    """
    from surgical_ml.evaluation.deviation_study.thresholds import fit_thresholds
    from surgical_ml.workflow import load_protocol

    with progress_bar(procedure, "settings", quiet=as_json) as update:
        found = fit_thresholds(
            load_protocol(procedure), cases=cases, first=first, rate=rate, workers=workers, progress=update
        )
    if as_json:
        say_json(found.to_json())
        return
    for row in found.to_json()["tried"]:
        say(", ".join(f"{name} {value:g}" for name, value in row.items()))
    say(
        f"mismatch: {found.mismatch_s:g} s\ntime_alarms: {{too_long: {found.too_long:g}, too_short: {found.too_short:g}}}"
    )
    say(f"# {found.source}")
