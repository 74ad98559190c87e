"""Writes synthetic operations to disk: video and ground truth, each case a folder that appears complete or not at all."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2

from surgical_ml.errors import InputError
from surgical_ml.simulation.plan import CLASSES, DISTURBANCES, PHASES, TOOLS, CasePlan, Split, plan_case
from surgical_ml.simulation.scene import Renderer

DEMO_SIZE = (1280, 720)
DEMO_FPS = 25
DEMO_S = 62.0
DEMO_SHORTEST_S = 6.0


def simulate(
    out: Path,
    *,
    procedure: str = "cholecystectomy",
    cases: int = 1,
    seed: int = 0,
    deviation: str = "none",
    disturbances: tuple[str, ...] = (),
    split: Split = "held-out",
    size: tuple[int, int] = (854, 480),
    fps: int = 25,
    duration_s: float = 300.0,
    masks: bool = True,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write `case<seed>` folders: `video.mp4`, `masks/%06d.png`, `video-phase.txt` and `video-tool.txt` in Cholec80's layout,
    `tips.csv`, and `case.json` with the whole plan.

    Args:
        out: parent folder; made if missing. A case folder that is already there is refused.
        cases: how many; their seeds are `seed`, `seed + 1`, ...
        deviation, disturbances, split, duration_s: as in `plan_case`.
        size: (width, height) in pixels, both even.
        fps: frames/s.
        workers: processes.
        progress: told (cases done, cases).

    Raises:
        InputError: an argument is out of its range, or a folder is in the way.
    """  # noqa: D205
    if cases < 1 or fps < 1 or min(size) < 64 or size[0] % 2 or size[1] % 2:
        raise InputError("simulate", "cases and fps from 1, an even size from 64", f"{cases}, {fps}, {size}")
    plans = [
        plan_case(
            seed + k,
            procedure=procedure,
            duration_s=duration_s,
            deviation=deviation,
            disturbances=disturbances,
            split=split,
        )
        for k in range(cases)
    ]
    folders = [out / f"case{plan.seed:05d}" for plan in plans]
    for folder in folders:
        if folder.exists():
            raise InputError(folder, "no such folder yet", "one")
    out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(max(1, workers)) as pool:
        jobs = [pool.submit(write_case, *job, size, fps, masks) for job in zip(plans, folders, strict=True)]
        for done, job in enumerate(jobs, 1):
            job.result()
            if progress is not None:
                progress(done, cases)
    return folders


def write_case(plan: CasePlan, folder: Path, size: tuple[int, int], fps: int, masks: bool) -> None:
    """Render one case into a new folder."""
    aside = folder.with_name(folder.name + ".partial")
    shutil.rmtree(aside, ignore_errors=True)
    (aside / "masks" if masks else aside).mkdir(parents=True)
    renderer = Renderer(plan, size)
    phases, tools, tips = ["Frame\tPhase"], ["\t".join(("Frame", *TOOLS))], ["frame,tool,x_px,y_px"]
    writer = _video(aside / "video.mp4", size, fps)
    for k in range(int(plan.duration_s * fps)):
        picture = renderer.at(k / fps)
        writer.write(picture.image)
        if masks:
            cv2.imwrite(str(aside / "masks" / f"{k:06d}.png"), picture.mask)
        seen = {name for name, _, _ in picture.tips}
        phases.append(f"{k}\t{PHASES[plan.segment_at(k / fps).phase]}")
        tools.append("\t".join((str(k), *(str(int(name in seen)) for name in TOOLS))))
        tips.extend(f"{k},{name},{x:.1f},{y:.1f}" for name, x, y in picture.tips)
    writer.release()
    for name, lines in (("video-phase.txt", phases), ("video-tool.txt", tools), ("tips.csv", tips)):
        (aside / name).write_text("\n".join(lines) + "\n", "utf-8")
    (aside / "case.json").write_text(json.dumps(describe(plan, fps), indent=1) + "\n", "utf-8")
    aside.rename(folder)


def describe(plan: CasePlan, fps: int) -> dict[str, Any]:
    """The plan for a JSON file, with the names that its numbers mean."""
    values = asdict(plan) | {"fps": fps, "phases": list(PHASES), "classes": list(CLASSES), "synthetic": True}
    for key in ("clipped_s", "cut_s"):
        values[key] = None if values[key] == float("inf") else values[key]
    return values


def demo_plan(seed: int) -> CasePlan:
    """A minute's operation. The seed alone decides whether a deviation is in it, and which."""
    kinds = tuple(kind for kind in DISTURBANCES if kind in ("smoke", "blood"))
    return plan_case(
        seed,
        duration_s=DEMO_S,
        deviation="random",
        disturbances=kinds,
        split="held-out",
        shortest_phase_s=DEMO_SHORTEST_S,
    )


def demo_clip(path: Path, seed: int) -> CasePlan:
    """Write one 720p clip, and its truth beside it as `<name>.json`; returns the plan."""
    plan = demo_plan(seed)
    renderer = Renderer(plan, DEMO_SIZE)
    aside = path.with_suffix(".partial.mp4")
    writer = _video(aside, DEMO_SIZE, DEMO_FPS)
    for k in range(int(plan.duration_s * DEMO_FPS)):
        writer.write(renderer.at(k / DEMO_FPS).image)
    writer.release()
    aside.rename(path)
    path.with_suffix(".json").write_text(json.dumps(describe(plan, DEMO_FPS), indent=1) + "\n", "utf-8")
    return plan


def _video(path: Path, size: tuple[int, int], fps: int) -> cv2.VideoWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), float(fps), size)
    if not writer.isOpened():
        raise InputError(path, "a video that can be encoded as mp4v", "no encoder, or no room")
    return writer
