"""`surgical-ml evaluate cases`: whole recorded cases through the assistant, and what they say together."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surgical_ml.cli.case_options import (
    Bf16,
    CalibrationFile,
    ConfigFile,
    EngineName,
    ModelName,
    Procedure,
    TimeScale,
    case_config,
)
from surgical_ml.cli.evaluate_compare import Drop, study_lines
from surgical_ml.cli.output import Json, Update, progress_bar, say, say_json
from surgical_ml.errors import InputError

if TYPE_CHECKING:
    from surgical_ml.evaluation.many_cases import Run, RunProgress


def cases(
    data: Annotated[
        Path,
        typer.Argument(help="Case folders of simulate, Cholec80's folder, or a folder of videos or image folders."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the results; new, empty, or of the same run, which goes on.")],
    labels: Annotated[Path | None, typer.Option(help="Folder of the ground truth; that of the data otherwise.")] = None,
    groups: Annotated[Path | None, typer.Option(help="CSV table case,site,camera,... of properties of cases.")] = None,
    largest_drop: Drop = None,
    workers: Annotated[int, typer.Option(min=1, help="Cases that are run at once.")] = 1,
    runner: Annotated[str, typer.Option(help="process, or ray: needs the extra cluster.")] = "process",
    address: Annotated[str | None, typer.Option(help="Running Ray cluster; one on this machine otherwise.")] = None,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Deliver frames at their own pace, to measure latency and drops.")
    ] = False,
    procedure: Procedure = None,
    model: ModelName = None,
    engine: EngineName = None,
    bf16: Bf16 = False,
    calibration: CalibrationFile = None,
    config: ConfigFile = None,
    time_scale: TimeScale = None,
    fps: Annotated[float | None, typer.Option(help="Frames/s to assume; each source's own otherwise.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Judge every n-th frame.")] = 1,
    masks: Annotated[bool, typer.Option("--masks", help="Write a label map for each frame too.")] = False,
    as_json: Json = False,
) -> None:
    """Run many recorded cases, on several workers or a cluster, and say what they say together.

    A run that was stopped goes on where it was. Exit status 1: a case failed, or the release gate did not pass.

    Example: surgical-ml evaluate cases data --out results --workers 2
    """
    from surgical_ml.evaluation.many_cases import run_cases
    from surgical_ml.evaluation.study import FILE, write_study

    chosen = case_config(
        config,
        procedure=procedure,
        model=model,
        engine=engine,
        bf16=bf16 or None,
        calibration=calibration,
        time_scale=time_scale,
    )
    if runner not in ("process", "ray"):
        raise InputError("runner", "process or ray", runner)
    if labels is not None and not labels.is_dir():
        raise InputError(labels, "a folder of labels", "a file" if labels.exists() else "none")
    if groups is not None and not groups.is_file():
        raise InputError(groups, "a table of groups", "a folder" if groups.exists() else "none")
    with ExitStack() as bars:
        read = bars.enter_context(progress_bar("reading videos", "videos", quiet=as_json))
        update: Update | None = None

        def progress(at: "RunProgress") -> None:
            nonlocal update
            if update is None:
                # A terminal shows one bar at a time.
                bars.close()
                update = bars.enter_context(progress_bar(out.name, "frames", quiet=as_json))
            update(at.frames_done, at.total, f"{at.cases_done}/{at.cases} cases")

        run = run_cases(
            data,
            out,
            config=chosen,
            workers=workers,
            runner="ray" if runner == "ray" else "process",
            address=address,
            realtime=realtime,
            fps=fps,
            every=every,
            masks=masks,
            read=read,
            progress=progress,
        )
        study = None
        if len(run.failed) < len(run.cases):
            bars.close()
            update = bars.enter_context(progress_bar("computing", "cases", quiet=as_json))
            study = write_study(
                run.folder, labels or run.truth, groups=groups, largest_drop=largest_drop, progress=update
            )
    if as_json:
        files = {} if study is None else {"evaluation": str(study.folder / FILE), "report": str(study.report)}
        gate = None if study is None else study.values["gate"]
        say_json(run.to_json() | {"folder": str(run.folder), "gate": gate} | files)
    else:
        say("\n".join([_told(run), *([] if study is None else study_lines(study))]))
    if run.failed or (study is not None and study.blocked):
        raise typer.Exit(1)


def _told(run: "Run") -> str:
    values = run.to_json()
    counts = {state: sum(case.state == state for case in run.cases) for state in ("done", "kept", "failed")}
    lines = [f"failed: {case.name}: {case.reason}" for case in run.failed]
    lines.append(f"{run.folder}: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
    if values.get("frames_per_s"):
        lines[-1] += f"; {values['frames']} frames at {values['frames_per_s']} frames/s with {run.workers} workers"
    return "\n".join(lines)
