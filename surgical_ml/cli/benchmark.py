"""`surgical-ml benchmark`: the tables of the docs, measured on this machine."""

from typing import Annotated

import typer

from surgical_ml.cli.output import Json, progress_bar, say, say_json

benchmark = typer.Typer(no_args_is_help=True, help="Measure speed, side by side in one run.")


@benchmark.callback()
def _benchmark() -> None:
    """Keeps `pipeline` a command of its own while it is the only one."""


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
