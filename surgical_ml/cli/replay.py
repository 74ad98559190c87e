"""`surgical-ml replay`: recorded cases, offline."""

import re
from pathlib import Path
from typing import Annotated, Any

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
from surgical_ml.cli.output import Json, progress_bar, say, say_json
from surgical_ml.errors import InputError


def replay(
    video: Annotated[
        list[str], typer.Argument(help="Video file, folder of images, bag (*.mcap), or gst:PIPELINE; one or several.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the case, or of the case folders of several; new or empty.")],
    procedure: Procedure = None,
    model: ModelName = None,
    engine: EngineName = None,
    bf16: Bf16 = False,
    calibration: CalibrationFile = None,
    config: ConfigFile = None,
    time_scale: TimeScale = None,
    fps: Annotated[float | None, typer.Option(help="Frames/s to assume; the source's own otherwise.")] = None,
    every: Annotated[int, typer.Option(help="Judge every n-th frame.")] = 1,
    overlay: Annotated[bool, typer.Option("--overlay", help="Write overlay.mp4 too.")] = False,
    masks: Annotated[bool, typer.Option("--masks", help="Write a label map for each frame too.")] = False,
    as_json: Json = False,
) -> None:
    """Run recorded cases offline; write decisions, timings, record and report.

    Example: surgical-ml replay case.mp4 --out case --overlay
    """
    from surgical_ml.evaluation.cases import ReplayProgress, replay_case

    chosen = case_config(
        config,
        procedure=procedure,
        model=model,
        engine=engine,
        bf16=bf16 or None,
        calibration=calibration,
        time_scale=time_scale,
    )
    cases: list[dict[str, Any]] = []
    for source, folder in _folders(video, out):
        with progress_bar(folder.name, "frames", quiet=as_json) as update:

            def progress(at: ReplayProgress, update: Any = update) -> None:
                update(at.done, at.total)

            done = replay_case(
                source,
                folder,
                config=chosen,
                fps=fps,
                overlay=overlay,
                masks=masks,
                every=every,
                progress=progress,
            )
        cases.append(done.values | {"folder": str(folder), "report": str(folder / "report.html")})
        if not as_json:
            say(_told(cases[-1]))
    if as_json:
        say_json(cases[0] if len(video) == 1 else {"cases": cases})


def _folders(videos: list[str], out: Path) -> list[tuple[str, Path]]:
    """Each video with its case folder: `out` itself for one, a folder below it named like the video for several."""
    if len(videos) == 1:
        return [(videos[0], out)]
    names = [re.sub(r"[^\w.-]+", "-", Path(video).stem).strip("-") or "case" for video in videos]
    for name in names:
        if names.count(name) > 1:
            raise InputError("videos", "names that differ, for each names its folder", f"{name} twice")
    return [(video, out / name) for video, name in zip(videos, names, strict=True)]


def _told(values: dict[str, Any]) -> str:
    shown = ", ".join(f"{name} {count}" for name, count in values["validity"].items())
    why = ", ".join(f"{name} {count}" for name, count in values["withheld"].items())
    view = values["content"]["shape"] if values["content"] else "unknown"
    record = "whole" if values["audit"]["ok"] else "DAMAGED"
    return "\n".join(
        (
            f"{values['folder']}: {values['frames']} frames at {values['frames_per_s']} frames/s; view {view}; {shown}"
            + (f" (withheld: {why})" if why else ""),
            f"record: {values['audit']['entries']} entries, {record}",
            f"report: {values['report']}",
        )
    )
