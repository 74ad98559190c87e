"""`surgical-ml benchmark deviations` and `courses`: how well departures are found, and how often nothing was the matter."""

from pathlib import Path
from typing import Annotated

import typer

from surgical_ml.cli.output import Json, progress_bar, say, say_json

Workers = Annotated[int, typer.Option(min=1, help="Processes.")]


def deviations(
    normal: Annotated[int, typer.Option(min=1, help="Cases without a departure.")] = 200,
    departing: Annotated[int, typer.Option(min=1, help="Cases with departures.")] = 200,
    first: Annotated[int, typer.Option(min=0, help="Seed of the first case.")] = 990_000,
    noise: Annotated[Path | None, typer.Option(help="Noise model; the shipped one by default.")] = None,
    pixels: Annotated[bool, typer.Option("--pixels", help="Draw the cases and let the model see them.")] = False,
    model: Annotated[str, typer.Option(help="With --pixels: shipped model, or model folder.")] = "cholecystectomy",
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Judge held-out synthetic cases, with and without departures, through whole sessions; print Markdown tables.

    Example: surgical-ml benchmark deviations --normal 10 --departing 10
    """
    from surgical_ml.evaluation.deviation_study.pixels import run_pixel_study
    from surgical_ml.evaluation.deviation_study.study import StudyCases, run_study
    from surgical_ml.simulation import NoiseModel

    cases = StudyCases(normal, departing, first)
    with progress_bar("benchmark", "cases", quiet=as_json) as update:
        if pixels:
            done = run_pixel_study(cases, model=model, workers=workers, progress=update)
        else:
            known = None if noise is None else NoiseModel.read(noise)
            done = run_study(cases, noise=known, workers=workers, progress=update)
    if as_json:
        say_json(done.to_json())
    else:
        say(done.to_markdown())


def courses(
    labels: Annotated[Path, typer.Argument(help="Folder of cases, as `surgical-ml learn protocol` takes it.")],
    procedure: Annotated[str, typer.Option(help="Protocol to start from.")] = "gastric_bypass",
    learned: Annotated[int, typer.Option("--learn", min=0, help="Cases to learn from; 0 for none.")] = 50,
    test: Annotated[int, typer.Option(min=1, help="Other cases to judge.")] = 20,
    adapt: Annotated[
        bool, typer.Option("--adapt", help="Adapt the protocol by these cases; do not learn afresh.")
    ] = False,
    splits: Annotated[int, typer.Option(min=1, help="Random splits.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the splits and the noise.")] = 0,
    error: Annotated[float, typer.Option(min=0, max=0.5, help="Share of the answers that are another phase.")] = 0.04,
    hold: Annotated[float, typer.Option(min=0.1, help="How long an answer holds, seconds.")] = 2.0,
    as_json: Json = False,
) -> None:
    """Judge real operations by a protocol that others made: false advisories per hour, and which injected departures are found.

    Example: surgical-ml benchmark courses multibypass140 --learn 50 --test 20
    """
    from surgical_ml.evaluation.deviation_study.course_study import CourseNoise, study_courses
    from surgical_ml.workflow import load_protocol
    from surgical_ml.workflow.protocol_adapting import adapt_protocol
    from surgical_ml.workflow.protocol_learning import learn_protocol

    with progress_bar("benchmark", "splits", quiet=as_json) as update:
        done = study_courses(
            labels,
            load_protocol(procedure),
            learn=learned,
            test=test,
            splits=splits,
            seed=seed,
            noise=CourseNoise(error, hold),
            change=adapt_protocol if adapt else learn_protocol,
            progress=update,
        )
    if as_json:
        say_json(done.to_json())
    else:
        say(done.to_markdown())
