"""Writes synthetic operations to disk: video and ground truth, each case a folder that appears complete or not at all."""

import json
import multiprocessing
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.simulation.events import events
from surgical_ml.simulation.meshes import read_instruments
from surgical_ml.simulation.picture import PARTS, Picture
from surgical_ml.simulation.plan import (
    CLASSES,
    DISTURBANCES,
    PHASES,
    QUALITIES,
    TOOLS,
    CasePlan,
    Look,
    Scene,
    Split,
    plan_case,
)
from surgical_ml.simulation.rasteriser import Camera
from surgical_ml.simulation.renderer import Renderer
from surgical_ml.simulation.stream import StreamFault, stream_faults, stream_frames

DEMO_SIZE = (1280, 720)
DEMO_FPS = 25
DEMO_S = 62.0
DEMO_SHORTEST_S = 6.0


_IMAGES = (".png", ".jpg", ".jpeg", ".bmp")


@dataclass(frozen=True, slots=True)
class Extras:
    """What a case may be written with besides its plan.

    Attributes:
        stream: kinds of `STREAM_FAULTS` that its video has.
        meshes: a folder of STL files, as in `read_instruments`; None for the module's own instruments.
        backgrounds: pictures, one of which a case shows in the scene `images`.
    """

    stream: tuple[str, ...] = ()
    meshes: Path | None = None
    backgrounds: tuple[Path, ...] = ()


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
    look: Look = "plain",
    scene: Scene = "operation",
    stream: tuple[str, ...] = (),
    meshes: Path | None = None,
    backgrounds: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write `case<seed>` folders: `video.mp4`, `masks/%06d.png`, `video-phase.txt` and `video-tool.txt` in Cholec80's layout,
    `tips.csv`, and `case.json` with the whole plan. The rich look adds `parts/%06d.png`, `poses.jsonl`, `frames.csv` and
    `camera_info.yaml`; a stream with faults adds `stamps.csv`.

    Args:
        out: parent folder; made if missing. A case folder that is already there is refused.
        cases: how many; their seeds are `seed`, `seed + 1`, ...
        deviation, disturbances, split, duration_s, look, scene: as in `plan_case`.
        size: (width, height) in pixels, both even.
        fps: frames/s.
        workers: cases that are rendered at once, each in a process of its own.
        stream: kinds of `STREAM_FAULTS` in the written video.
        meshes: a folder of a user's instruments, as in `read_instruments`; rich look only.
        backgrounds: a folder of pictures for the scene `images`; rich look only.
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
            look=look,
            scene=scene,
        )
        for k in range(cases)
    ]
    extras = Extras(stream, meshes, () if backgrounds is None else _pictures(backgrounds))
    _refuse_what_does_not_fit(plans[0], extras)
    folders = [out / f"case{plan.seed:05d}" for plan in plans]
    for folder in folders:
        if folder.exists():
            raise InputError(folder, "no such folder yet", "one")
    with _writable(out):
        out.mkdir(parents=True, exist_ok=True)
    frames = [len(stream_frames(plan, fps, stream_faults(plan, stream))) for plan in plans]
    told = progress or (lambda done, total: None)
    if min(workers, cases) == 1:
        for k, (plan, folder) in enumerate(zip(plans, folders, strict=True)):

            def case_progress(done: int, before: int = sum(frames[:k])) -> None:
                told(before + done, sum(frames))

            write_case(plan, folder, size, fps, masks, extras, case_progress)
    else:
        jobs = [(plan, folder, size, fps, masks, extras) for plan, folder in zip(plans, folders, strict=True)]
        for k in _in_parallel(jobs, workers):
            told(sum(frames[: k + 1]), sum(frames))
    return folders


def _pictures(folder: Path) -> tuple[Path, ...]:
    """The pictures of a folder, in the order of their names."""
    if not folder.is_dir():
        raise InputError(folder, "a folder of pictures", "none")
    found = tuple(sorted(one for one in folder.iterdir() if one.suffix.lower() in _IMAGES))
    if not found:
        raise InputError(folder, f"pictures: {', '.join(_IMAGES)}", "none")
    return found


def _refuse_what_does_not_fit(plan: CasePlan, extras: Extras) -> None:
    """Say before anything is rendered what could not be."""
    stream_faults(plan, extras.stream)
    if plan.look == "plain" and (extras.meshes or extras.backgrounds):
        raise InputError("look", "rich, for meshes and backgrounds of one's own", plan.look)
    if (plan.scene == "images") != bool(extras.backgrounds):
        raise InputError("scene", "images where there are backgrounds, and only there", plan.scene)
    if extras.meshes is not None:
        read_instruments(extras.meshes)


def _renderer(plan: CasePlan, size: tuple[int, int], extras: Extras) -> Renderer:
    """The renderer of a case, with one of the user's pictures, which the seed picks."""
    backgrounds = []
    if extras.backgrounds:
        rng = np.random.default_rng([plan.seed, 25])
        path = extras.backgrounds[int(rng.integers(len(extras.backgrounds)))]
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise InputError(path, "a picture", "a file that is none")
        backgrounds.append(np.asarray(image, np.uint8))
    meshes = () if extras.meshes is None else read_instruments(extras.meshes)
    return Renderer(plan, size, meshes=meshes, backgrounds=backgrounds)


def _in_parallel(jobs: list[tuple[CasePlan, Path, tuple[int, int], int, bool, Extras]], workers: int) -> Iterator[int]:
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
    extras: Extras | None = None,
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
            aside.mkdir(parents=True)
            _render(plan, aside, size, fps, masks, extras or Extras(), progress or (lambda done: None))
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _render(
    plan: CasePlan,
    folder: Path,
    size: tuple[int, int],
    fps: int,
    masks: bool,
    extras: Extras,
    progress: Callable[[int], None],
) -> None:
    renderer = _renderer(plan, size, extras)
    faults = stream_faults(plan, extras.stream)
    stream = stream_frames(plan, fps, faults)
    rich = renderer.camera is not None
    maps = (["masks", "parts"] if rich else ["masks"]) if masks else []
    for name in maps:
        (folder / name).mkdir()
    phases, tools, tips = ["Frame\tPhase"], ["\t".join(("Frame", *TOOLS))], ["frame,tool,x_px,y_px"]
    stamps, poses = ["frame,stamp_ns,shown_ns"], []
    rows = [",".join(("frame", "progress_ppm", "in_body", *(f"{name}_ppm" for name in QUALITIES)))]
    writer = _video(folder / "video.mp4", size, fps)
    nothing = np.zeros((size[1], size[0]), np.uint8)
    black = Picture(cv2.merge([nothing] * 3), nothing, (), (0.0,) * len(QUALITIES), False)
    for k, frame in enumerate(stream):
        picture = black if frame.shown_s is None else renderer.at(frame.shown_s)
        writer.write(picture.image)
        for name in maps:
            shown = picture.mask if name == "masks" else picture.parts
            data = cv2.imencode(".png", nothing if shown is None else shown)[1]
            (folder / name / f"{k:06d}.png").write_bytes(data.tobytes())
        seen = {name for name, _, _ in picture.tips}
        phases.append(f"{k}\t{PHASES[plan.segment_at(frame.t_s).phase]}")
        tools.append("\t".join((str(k), *(str(int(name in seen)) for name in TOOLS))))
        tips.extend(f"{k},{name},{x:.1f},{y:.1f}" for name, x, y in picture.tips)
        stamps.append(f"{k},{frame.stamp_ns},{'' if frame.shown_s is None else round(frame.shown_s * 1e9)}")
        ppm = [round(1e6 * value) for value in (frame.t_s / plan.duration_s, *picture.quality)]
        rows.append(",".join(map(str, (k, ppm[0], int(picture.in_body), *ppm[1:]))))
        arms = [asdict(arm) for arm in picture.arms]
        poses.append(json.dumps({"frame": k, "field_from_camera": picture.camera or None, "instruments": arms}))
        progress(k + 1)
    _finish(writer, folder / "video.mp4", len(stream))
    lists = {"video-phase.txt": phases, "video-tool.txt": tools, "tips.csv": tips}
    if faults:
        lists["stamps.csv"] = stamps
    if renderer.camera is not None:
        lists |= {"frames.csv": rows, "poses.jsonl": poses, "camera_info.yaml": _camera_info(renderer.camera)}
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    case = describe(plan, fps, faults)
    (folder / "case.json").write_text(json.dumps(case, indent=1) + "\n", "utf-8")


def _camera_info(camera: Camera) -> list[str]:
    """The lines of a ROS camera_info file."""
    f, (cx, cy) = camera.focal_px, camera.centre_px
    matrices: dict[str, tuple[int, int, list[float]]] = {
        "camera_matrix": (3, 3, [f, 0, cx, 0, f, cy, 0, 0, 1]),
        "distortion_coefficients": (1, 5, [0, 0, 0, 0, 0]),
        "rectification_matrix": (3, 3, [1, 0, 0, 0, 1, 0, 0, 0, 1]),
        "projection_matrix": (3, 4, [f, 0, cx, 0, 0, f, cy, 0, 0, 0, 1, 0]),
    }
    lines = [f"image_width: {camera.size[0]}", f"image_height: {camera.size[1]}"]
    lines += ["camera_name: synthetic", "distortion_model: plumb_bob"]
    for name, (rows, columns, values) in matrices.items():
        data = ", ".join(f"{float(value):.6f}" for value in values)
        lines += [f"{name}:", f"  rows: {rows}", f"  cols: {columns}", f"  data: [{data}]"]
    return lines


def describe(plan: CasePlan, fps: int, faults: tuple[StreamFault, ...] = ()) -> dict[str, Any]:
    """The plan for a JSON file, with the names that its numbers mean."""
    values = asdict(plan) | {"fps": fps, "phases": list(PHASES), "classes": list(CLASSES), "synthetic": True}
    values |= {"events": [asdict(one) for one in events(plan)], "stream_faults": [asdict(one) for one in faults]}
    if plan.look == "rich":
        values["parts"] = list(PARTS)
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
