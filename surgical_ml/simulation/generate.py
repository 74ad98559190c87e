"""Writes synthetic operations to disk: video and ground truth, each case a folder that appears complete or not at all."""

import json
import multiprocessing
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2

from surgical_ml.errors import InputError
from surgical_ml.simulation.plan import CLASSES, DISTURBANCES, PHASES, TOOLS, CasePlan, Split, plan_case
from surgical_ml.simulation.renderer import Renderer

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
        workers: cases that are rendered at once, each in a process of its own.
        progress: told (frames done, frames); with several workers, whenever a case is complete.

    Raises:
        InputError: an argument is out of its range, a folder is in the way, or there is no place to write to. Cases that
            were complete by then stay; nothing else does.
    """  # noqa: D205
    for name, value in (("cases", cases), ("fps", fps), ("workers", workers)):
        if value < 1:
            raise InputError(name, "a whole number from 1", str(value))
    if min(size) < 64 or size[0] % 2 or size[1] % 2:
        raise InputError("size", "even numbers of pixels from 64", f"{size[0]}x{size[1]}")
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
    with _writable(out):
        out.mkdir(parents=True, exist_ok=True)
    frames = [_frames(plan, fps) for plan in plans]
    told = progress or (lambda done, total: None)
    if min(workers, cases) == 1:
        for k, (plan, folder) in enumerate(zip(plans, folders, strict=True)):

            def case_progress(done: int, before: int = sum(frames[:k])) -> None:
                told(before + done, sum(frames))

            write_case(plan, folder, size, fps, masks, case_progress)
    else:
        jobs = [(plan, folder, size, fps, masks) for plan, folder in zip(plans, folders, strict=True)]
        for k in _in_parallel(jobs, workers):
            told(sum(frames[: k + 1]), sum(frames))
    return folders


def _in_parallel(jobs: list[tuple[CasePlan, Path, tuple[int, int], int, bool]], workers: int) -> Iterator[int]:
    """Render cases in processes; gives the number of each when it is complete, in their order."""
    others = multiprocessing.active_children()
    # A forked copy of a process in which OpenCV has threads waits for them for ever.
    fresh = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=fresh, initializer=_begin_worker)
    try:
        for k, done in enumerate([pool.submit(write_case, *job) for job in jobs]):
            done.result()
            yield k
    except BrokenProcessPool as error:
        raise InputError(
            "workers", "processes that finish", "one that was killed: is there too little memory?"
        ) from error
    finally:
        # Where all is well, they have nothing left to do; where it is not, nobody waits for the case they are at.
        for process in set(multiprocessing.active_children()) - set(others):
            process.terminate()
        pool.shutdown(cancel_futures=True)
        for _, folder, *_ in jobs:
            shutil.rmtree(_aside(folder), ignore_errors=True)


def _begin_worker() -> None:
    """A worker leaves Ctrl-C to its parent, ends when that says so, and keeps to its core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(1)


def _aside(folder: Path) -> Path:
    return folder.with_name(folder.name + ".partial")


def _frames(plan: CasePlan, fps: int) -> int:
    return int(plan.duration_s * fps)


def write_case(
    plan: CasePlan,
    folder: Path,
    size: tuple[int, int],
    fps: int,
    masks: bool,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Render one case into a new folder; `progress` is told the frames done.

    Raises:
        InputError: it cannot be written; nothing is left behind.
    """
    aside = _aside(folder)
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with _writable(folder):
            (aside / "masks" if masks else aside).mkdir(parents=True)
            _render(plan, aside, size, fps, masks, progress or (lambda done: None))
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _render(
    plan: CasePlan, folder: Path, size: tuple[int, int], fps: int, masks: bool, progress: Callable[[int], None]
) -> None:
    renderer = Renderer(plan, size)
    phases, tools, tips = ["Frame\tPhase"], ["\t".join(("Frame", *TOOLS))], ["frame,tool,x_px,y_px"]
    frames = _frames(plan, fps)
    writer = _video(folder / "video.mp4", size, fps)
    for k in range(frames):
        picture = renderer.at(k / fps)
        writer.write(picture.image)
        if masks:
            path = folder / "masks" / f"{k:06d}.png"
            path.write_bytes(cv2.imencode(".png", picture.mask)[1].tobytes())
        seen = {name for name, _, _ in picture.tips}
        phases.append(f"{k}\t{PHASES[plan.segment_at(k / fps).phase]}")
        tools.append("\t".join((str(k), *(str(int(name in seen)) for name in TOOLS))))
        tips.extend(f"{k},{name},{x:.1f},{y:.1f}" for name, x, y in picture.tips)
        progress(k + 1)
    _finish(writer, folder / "video.mp4", frames)
    for name, lines in (("video-phase.txt", phases), ("video-tool.txt", tools), ("tips.csv", tips)):
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "case.json").write_text(json.dumps(describe(plan, fps), indent=1) + "\n", "utf-8")


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


def demo_clip(path: Path, seed: int, progress: Callable[[int, int], None] | None = None) -> CasePlan:
    """Write one 720p clip, and its truth beside it as `<name>.json`; returns the plan.

    Args:
        path: of the clip.
        seed: of the case; see `demo_plan`.
        progress: told (frames done, frames).

    Raises:
        InputError: they cannot be written; no half of a clip is left behind.
    """
    plan = demo_plan(seed)
    renderer = Renderer(plan, DEMO_SIZE)
    frames = _frames(plan, DEMO_FPS)
    aside = path.with_suffix(".partial.mp4")
    try:
        with _writable(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = _video(aside, DEMO_SIZE, DEMO_FPS)
            for k in range(frames):
                writer.write(renderer.at(k / DEMO_FPS).image)
                if progress is not None:
                    progress(k + 1, frames)
            _finish(writer, aside, frames)
            path.with_suffix(".json").write_text(json.dumps(describe(plan, DEMO_FPS), indent=1) + "\n", "utf-8")
            aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)
    return plan


def _video(path: Path, size: tuple[int, int], fps: int) -> cv2.VideoWriter:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), float(fps), size)
    if not writer.isOpened():
        raise InputError(path, "a video that can be encoded as mp4v", "no encoder, or no room")
    return writer


def _finish(writer: cv2.VideoWriter, path: Path, frames: int) -> None:
    """Close a video; the encoder itself does not say when there was no room for a frame."""
    writer.release()
    written = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    found = int(written.get(cv2.CAP_PROP_FRAME_COUNT))
    written.release()
    if found != frames:
        raise InputError(path, f"room for a video of {frames} frames", f"{found} that could be written")


@contextmanager
def _writable(place: Path) -> Iterator[None]:
    """What the system says against writing, as one line."""
    try:
        yield
    except OSError as error:
        named = error.filename or place
        raise InputError(named, "a place that can be written to", error.strerror or str(error)) from error
