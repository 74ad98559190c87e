"""`surgical-ml benchmark`: the tables of the docs, measured on this machine."""

from typing import Annotated

import typer

from surgical_ml.cli.benchmark_deviations import courses, deviations
from surgical_ml.cli.benchmark_filter import phase_filter
from surgical_ml.cli.output import Json, progress_bar, say, say_json

benchmark = typer.Typer(no_args_is_help=True, help="Measure speed, side by side in one run.")

for name, command in (("deviations", deviations), ("courses", courses), ("filter", phase_filter)):
    benchmark.command(name)(command)


@benchmark.command("pipeline")
def benchmark_pipeline(
    video: Annotated[str | None, typer.Argument(help="Video to measure with; a rendered 720p clip otherwise.")] = None,
    cores: Annotated[int, typer.Option(min=1, help="Cores that may be used.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the measurements take turns in each.")] = 3,
    frames: Annotated[int, typer.Option(min=1, help="Frames of the rendered clip.")] = 300,
    engine: Annotated[str | None, typer.Option(help="Runtime of the frame network.")] = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="Let openvino compute in bfloat16.")] = False,
    threads: Annotated[int | None, typer.Option(help="Threads of one network run.")] = None,
    as_json: Json = False,
) -> None:
    """Measure decoding, the network, both, and whole replays; print Markdown tables.

    Example: surgical-ml benchmark pipeline --rounds 5
    """
    from surgical_ml.config import CaseConfig
    from surgical_ml.evaluation import benchmark as bench

    given = {"engine": engine, "bf16": bf16, "threads": threads}
    config = CaseConfig.of({name: value for name, value in given.items() if value is not None}, "options")
    with progress_bar("benchmark", "measurements", quiet=as_json) as update:
        done = bench.benchmark_pipeline(
            video, config=config, cores=cores, rounds=rounds, frames=frames, progress=update
        )
    if as_json:
        say_json(done.to_json())
    else:
        say(done.to_markdown())


@benchmark.command("metrics")
def benchmark_metrics(
    cases: Annotated[int, typer.Option(min=1, help="Made-up cases.")] = 40,
    hours: Annotated[float, typer.Option(help="Length of a case, hours.")] = 1.0,
    fps: Annotated[float, typer.Option(help="Samples/s.")] = 25.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the libraries take turns in each.")] = 3,
    as_json: Json = False,
) -> None:
    """Score the same cases with this library, scikit-learn and ivtmetrics; print times, ratios and differences.

    Example: surgical-ml benchmark metrics --cases 10
    """
    from surgical_ml.evaluation import benchmark_metrics as bench

    with progress_bar("benchmark", "measurements", quiet=as_json) as update:
        done = bench.benchmark_metrics(cases=cases, hours=hours, fps=fps, rounds=rounds, progress=update)
    if as_json:
        say_json(done.to_json())
    else:
        say(done.to_markdown())


@benchmark.command("cases")
def benchmark_cases(
    cores: Annotated[int, typer.Option(min=1, help="Cores that may be used.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the measurements take turns in each.")] = 3,
    cases: Annotated[int, typer.Option(min=1, help="Cases, all of them one rendered 720p clip.")] = 4,
    frames: Annotated[int, typer.Option(min=1, help="Frames of the clip.")] = 300,
    engine: Annotated[str | None, typer.Option(help="Runtime of the frame network.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of one network run.")] = None,
    as_json: Json = False,
) -> None:
    """Measure decoding, replays, and many cases on one worker, two, and two of Ray; print a Markdown table.

    Example: surgical-ml benchmark cases --rounds 1 --frames 100
    """
    from surgical_ml.config import CaseConfig
    from surgical_ml.evaluation import benchmark_cases as bench

    given = {"engine": engine, "threads": threads}
    config = CaseConfig.of({name: value for name, value in given.items() if value is not None}, "options")
    with progress_bar("benchmark", "measurements", quiet=as_json) as update:
        done = bench.benchmark_cases(
            config=config, cores=cores, rounds=rounds, cases=cases, frames=frames, progress=update
        )
    if as_json:
        say_json(done.to_json())
    else:
        say(done.to_markdown())


@benchmark.command("audit")
def benchmark_audit(
    entries: Annotated[int, typer.Option(min=64, help="Entries of each measurement.")] = 2000,
    recovery: Annotated[int, typer.Option(min=1, help="Entries of the log that is taken up again.")] = 1_000_000,
    frames: Annotated[int, typer.Option(min=1, help="Frames of the rendered case.")] = 250,
    cores: Annotated[int, typer.Option(min=1, help="Cores that may be used.")] = 2,
    as_json: Json = False,
) -> None:
    """Measure the record beside JSON lines and SQLite, its recovery, its size and what it costs a frame.

    Example: surgical-ml benchmark audit --recovery 100000
    """
    from surgical_ml.evaluation import benchmark_audit as bench

    with progress_bar("benchmark", "measurements", quiet=as_json) as update:
        done = bench.benchmark_audit(
            entries=entries, recovery_entries=recovery, frames=frames, cores=cores, progress=update
        )
    if as_json:
        say_json(done.to_json())
    else:
        say(done.to_markdown())


@benchmark.command("engine")
def benchmark_engine(
    model: Annotated[str, typer.Argument(help="Shipped model, or model folder.")] = "cholecystectomy",
    cores: Annotated[int, typer.Option(min=1, help="Cores that may be used.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one network run.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the engines take turns in each.")] = 5,
    frames: Annotated[int, typer.Option(min=1, help="Frames of a turn.")] = 30,
    as_json: Json = False,
) -> None:
    """Time the frame network on every engine that is installed; print Markdown tables.

    Example: surgical-ml benchmark engine --rounds 3
    """
    from surgical_ml.evaluation.benchmark_engines import benchmark_engines

    with progress_bar("benchmark", "turns", quiet=as_json) as update:
        done = benchmark_engines(model, cores=cores, threads=threads, rounds=rounds, frames=frames, progress=update)
    if as_json:
        say_json(done.to_json())
    else:
        say(done.to_markdown())
