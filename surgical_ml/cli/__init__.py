"""The command line `surgical-ml`: bad input is one line and exit 2, a failed check is exit 1."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from surgical_ml.errors import InputError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
audit = typer.Typer(no_args_is_help=True, help="Check and read an audit log.")
app.add_typer(audit, name="audit")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def _say(values: dict[str, Any], as_json: bool, text: str) -> None:
    typer.echo(json.dumps(values, sort_keys=True) if as_json else text)


@app.command()
def replay(
    video: Annotated[str, typer.Argument(help="A video file, a folder of images, a bag, a camera or a pipeline.")],
    out: Annotated[Path, typer.Option(help="Folder to write; new or empty.")],
    procedure: Annotated[str | None, typer.Option(help="Shipped protocol or protocol file.")] = None,
    model: Annotated[str | None, typer.Option(help="Shipped model name[/version] or model folder.")] = None,
    engine: Annotated[str | None, typer.Option(help="Runtime of the networks.")] = None,
    config: Annotated[Path | None, typer.Option(help="Case configuration (YAML); options here override it.")] = None,
    time_scale: Annotated[float | None, typer.Option(help="Above 1 for compressed synthetic cases only.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames/s to assume; the source's own otherwise.")] = None,
    every: Annotated[int, typer.Option(help="Judge every n-th frame.")] = 1,
    overlay: Annotated[bool, typer.Option("--overlay", help="Write overlay.mp4 too.")] = False,
    masks: Annotated[bool, typer.Option("--masks", help="Write a label map for each frame too.")] = False,
    as_json: Json = False,
) -> None:
    """Run one recorded case offline and write its folder.

    Example: surgical-ml replay case.mp4 --out case --overlay
    """
    from surgical_ml.config import CaseConfig
    from surgical_ml.evaluation.cases import ReplayProgress, replay_case

    base = CaseConfig.load(config) if config else CaseConfig.of({})
    given = {"procedure": procedure, "model": model, "engine": engine, "time_scale": time_scale}
    chosen = base.model_dump(by_alias=True) | {name: value for name, value in given.items() if value is not None}
    columns = TextColumn("{task.fields[rate]:.0f} frames/s"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=as_json) as bar:
        task = bar.add_task("replay", total=None, rate=0.0)

        def progress(at: ReplayProgress) -> None:
            bar.update(task, completed=at.done, total=at.total, rate=at.frames_per_s)

        summary = replay_case(
            video,
            out,
            config=CaseConfig.of(chosen, "options"),
            fps=fps,
            overlay=overlay,
            masks=masks,
            every=every,
            progress=progress,
        )
    values = summary.values
    shown = ", ".join(f"{name} {count}" for name, count in values["validity"].items())
    why = ", ".join(f"{name} {count}" for name, count in values["withheld"].items())
    content = values["content"]["shape"] if values["content"] else "unknown"
    _say(
        values,
        as_json,
        f"{values['frames']} frames at {values['frames_per_s']} frames/s; view {content}; {shown}"
        + (f" (withheld: {why})" if why else "")
        + f"\naudit: {values['audit']['entries']} entries, {'whole' if values['audit']['ok'] else 'DAMAGED'}\n{out}",
    )


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder that receives the case folders.")],
    procedure: Annotated[str, typer.Option(help="Which operation.")] = "cholecystectomy",
    cases: Annotated[int, typer.Option(help="How many.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the first case.")] = 0,
    deviation: Annotated[str, typer.Option(help="none, random, order or tool-mismatch.")] = "none",
    seconds: Annotated[float, typer.Option(help="Length of each case, s.")] = 300.0,
    as_json: Json = False,
) -> None:
    """Write synthetic operations with their ground truth.

    Example: surgical-ml simulate data --cases 4 --seed 10
    """
    from surgical_ml.simulation import simulate as write

    folders = write(out, procedure=procedure, cases=cases, seed=seed, deviation=deviation, duration_s=seconds)
    _say({"cases": [str(path) for path in folders]}, as_json, "\n".join(str(path) for path in folders))


@audit.command("verify")
def audit_verify(folder: Annotated[Path, typer.Argument(help="Of the log.")], as_json: Json = False) -> None:
    """Read a whole log; exit 1 if an entry is missing, changed or out of order.

    Example: surgical-ml audit verify case/audit
    """
    from surgical_ml.audit import verify

    report = verify(folder)
    verdict = "whole" if report.ok else "DAMAGED"
    values = {
        "ok": report.ok,
        "entries": report.entries,
        "head": report.head,
        "torn_tail": report.torn_tail,
        "problems": list(report.problems),
    }
    text = [f"{folder}: {verdict}, {report.entries} entries, head {report.head}", *report.problems]
    _say(values, as_json, "\n".join(text))
    raise typer.Exit(0 if report.ok else 1)


@audit.command("show")
def audit_show(folder: Annotated[Path, typer.Argument(help="Of the log.")]) -> None:
    """Print every entry, one JSON object a line.

    Example: surgical-ml audit show case/audit | tail -1
    """
    from surgical_ml.audit import read

    for _, values in read(folder):
        typer.echo(json.dumps(values, sort_keys=True, default=str))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is here, what is missing, and what needs it.

    Example: surgical-ml doctor
    """
    from surgical_ml.places import shared_folder

    needs = {
        "onnxruntime": "the default engine",
        "rclpy": "the ROS 2 nodes",
        "surgical_ml_msgs": "the ROS 2 nodes; make test builds it",
        "tensorrt": "the TensorRT engine, on an NVIDIA GPU",
        "torch": "training",
        "openvino": "the OpenVINO engine",
        "gi": "GStreamer sources",
    }
    found = {name: importlib.util.find_spec(name) is not None for name in needs}
    lines = [f"{'ok     ' if found[name] else 'missing'} {name}: {why}" for name, why in needs.items()]
    try:
        models = str(shared_folder("models"))
        lines.append(f"ok      models: {models}")
    except InputError as error:
        models = ""
        lines.append(f"missing models: {error}")
    _say({"modules": found, "models": models}, as_json, "\n".join(lines))
    raise typer.Exit(0 if found["onnxruntime"] and models else 1)


def main() -> None:
    """Entry point of the console script."""
    # What OpenCV has to say about a bad file is said better, in one line, by whoever opened it.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    try:
        app()
    except InputError as error:
        typer.echo(f"surgical-ml: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        # The reader has seen enough, as `head` does.
        sys.stderr.close()
        sys.exit(0)
