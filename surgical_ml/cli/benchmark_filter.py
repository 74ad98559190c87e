"""`surgical-ml benchmark filter`: what the phase filter and its gate add to a network's scores."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from surgical_ml.cli.output import Json, progress_bar, say, say_json


def phase_filter(
    model: Annotated[str, typer.Option(help="Shipped model, or model folder.")] = "cholecystectomy",
    procedure: Annotated[str, typer.Option(help="Protocol that the filter follows.")] = "cholecystectomy",
    cases: Annotated[int, typer.Option(min=2, max=20, help="Held-out synthetic cases that are scored.")] = 20,
    fit: Annotated[int, typer.Option(min=0, max=8, help="Other cases, on which the weighing is measured.")] = 0,
    hours: Annotated[float, typer.Option(min=0.01, help="Of the case on which the cost of a step is measured.")] = 8.0,
    kept: Annotated[Path | None, typer.Option(help="Folder that keeps what was seen, for the next time.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    as_json: Json = False,
) -> None:
    """Score a network's likeliest phase, the filter, and the filter with its gate, on held-out cases and interruptions.

    Example: surgical-ml benchmark filter --cases 4 --hours 0.1
    """
    from surgical_ml.evaluation.filter_study.study import study_filter

    with TemporaryDirectory() as aside, progress_bar("benchmark", "cases", quiet=as_json) as update:
        done = study_filter(
            model,
            kept or Path(aside),
            protocol=procedure,
            cases=cases,
            fit=fit,
            workers=workers,
            hours=hours,
            progress=update,
        )
    if as_json:
        say_json(done.to_json())
    else:
        say(done.to_markdown())
