"""Data sets of whole operations: Cholec80, AutoLaparo (task 1), MultiBypass140, and case folders of one's own.

Layouts, as their publishers give them:

    Cholec80 (CAMMA, Twinanda et al. 2017)          videos/video01.mp4                      25 frames/s
                                                    phase_annotations/video01-phase.txt     every frame
                                                    tool_annotations/video01-tool.txt       every 25th frame
    AutoLaparo, task 1 (Wang et al. 2022)           videos/01.mp4                           25 frames/s
                                                    labels/label_01.txt                     1/s, frames and phases from 1
    MultiBypass140 (CAMMA, Lavanchy et al. 2024)    labels/<centre>/labels_by70/BBP01.mp4.json   milliseconds
                                                    datasets/MultiBypass140/<centre>/videos/BBP01.mp4, or frames at 1/s in
                                                    labels/<centre>/labels_by70_splits/frames/BBP01/img1.jpg
    case folders (`surgical-ml simulate`, hospitals) CASE/video.mp4, CASE/video-phase.txt, and where there are any
                                                    CASE/video-tool.txt, CASE/masks/000000.png, masks' classes.json above
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.labels.dataset import (
    PICTURES,
    VIDEOS,
    LabelledCase,
    LabelledFrame,
    LabelledSet,
    MaskFile,
    numbered,
    only,
)
from surgical_ml.labels.files import read_json, read_text
from surgical_ml.labels.folders import natural
from surgical_ml.labels.intervals import OVERLAYS, read_multibypass140, sampled_phases
from surgical_ml.labels.masks import LabelMap, read_label_map
from surgical_ml.labels.phase_text import read_phase_text
from surgical_ml.labels.score_text import read_tool_text
from surgical_ml.labels.track import LabelTrack, check_even, check_rate
from surgical_ml.labels.vocabulary import (
    AUTOLAPARO_PHASES,
    CHOLEC80_PHASES,
    CHOLEC80_TOOLS,
    MULTIBYPASS140_PHASES,
    UNDEFINED,
    Vocabulary,
)

VIDEO_FPS = 25
"""Frames/s of the videos of Cholec80 and AutoLaparo."""

_OUT_OF_BODY = next(label for label, name in OVERLAYS.items() if name == "out_of_body")


def read_cholec80_set(folder: Path) -> LabelledSet:
    """Cholec80; a frame each second, where phases and tools are both known.

    Raises:
        InputError: a folder is missing, or a video lacks its phases or its tools, or the other way round. From a case's
            frames: what the text readers refuse; phases that are not at 25/s; tools that are not at 1/s or go on after
            the phases.
    """
    phases = _by_case(folder / "phase_annotations", r"(?P<case>video\d+)-phase\.txt", "phases")
    tools = _by_case(folder / "tool_annotations", r"(?P<case>video\d+)-tool\.txt", "tools")
    videos = _by_case(folder / "videos", r"(?P<case>video\d+)\.mp4", "a video")
    _same(folder, videos, phases, "phases in phase_annotations")
    _same(folder, videos, tools, "tools in tool_annotations")
    cases = [
        LabelledCase(name, f"cholec80/{name}", partial(_cholec80_frames, name, videos[name], phases[name], tools[name]))
        for name in sorted(videos, key=natural)
    ]
    return LabelledSet("Cholec80", folder, "CC-BY-NC-SA-4.0", CHOLEC80_PHASES, CHOLEC80_TOOLS, (), tuple(cases))


def _cholec80_frames(name: str, video: Path, phase_file: Path, tool_file: Path) -> Iterator[LabelledFrame]:
    track = _evenly(read_phase_text(phase_file, CHOLEC80_PHASES, name), VIDEO_FPS)
    if len(track.frames) > 1 and track.frames[1] - track.frames[0] != 1:
        raise InputError(phase_file, f"every frame, {VIDEO_FPS}/s", f"{track.frames[1]} after {track.frames[0]}")
    tools = read_tool_text(tool_file, CHOLEC80_TOOLS, name)
    check_even(tools.frames, tool_file)
    if len(tools.frames) > 1 and tools.frames[1] - tools.frames[0] != VIDEO_FPS:
        found = f"{tools.frames[1]} after {tools.frames[0]}"
        raise InputError(tool_file, f"every {VIDEO_FPS}th frame, 1/s", found)
    present = tools.as_truth()
    if tools.frames[-1] > track.frames[-1]:
        raise InputError(tool_file, f"frames until {track.frames[-1]}, as {phase_file.name} has", f"{tools.frames[-1]}")
    for frame, row in zip(tools.frames.tolist(), present, strict=True):
        phase = int(track.labels[frame - int(track.frames[0])])
        yield LabelledFrame(name, frame, frame / VIDEO_FPS, video, frame, phase, tuple(bool(one) for one in row))


def read_autolaparo_set(folder: Path) -> LabelledSet:
    """AutoLaparo's task 1, workflow recognition; a frame each second.

    Raises:
        InputError: a folder is missing, or a video lacks its labels or the other way round. From a case's frames: what
            the text reader refuses, frames that do not count 1, 2, 3, phases outside 1 to 7.
    """
    labels = _by_case(folder / "labels", r"label_(?P<case>\d+)\.txt", "phases")
    videos = _by_case(folder / "videos", r"(?P<case>\d+)\.mp4", "a video")
    _same(folder, videos, labels, "phases in labels")
    cases = [
        LabelledCase(name, f"autolaparo/{name}", partial(_autolaparo_frames, name, videos[name], labels[name]))
        for name in sorted(videos, key=natural)
    ]
    return LabelledSet("AutoLaparo", folder, "academic use only", AUTOLAPARO_PHASES, None, (), tuple(cases))


def _autolaparo_frames(name: str, video: Path, path: Path) -> Iterator[LabelledFrame]:
    # Phases count from 1 there, so the id 0 is taken by a name that no phase has.
    counted = Vocabulary("autolaparo, from 1", ("(none)", *AUTOLAPARO_PHASES.classes))
    track = _evenly(read_phase_text(path, counted, name), 1)
    if track.frames[0] != 1 or track.frames[-1] != len(track.frames):
        raise InputError(path, "frames 1, 2, 3 at 1/s", f"{track.frames[0]} to {track.frames[-1]}")
    if track.labels.min() < 1:
        raise InputError(path, f"phases from 1 to {len(AUTOLAPARO_PHASES.classes)}", str(int(track.labels.min())))
    for k, phase in enumerate(track.labels.tolist()):
        yield LabelledFrame(name, k + 1, float(k), video, k * VIDEO_FPS, phase - 1)


def read_multibypass140_set(folder: Path) -> LabelledSet:
    """MultiBypass140, either centre or both; a frame each second. A patient is a video: the publisher names no other.

    Raises:
        InputError: no labels, or an operation with labels and neither a video nor frames. From a case's frames: what the
            interval reader refuses; fewer frames than labels say.
    """
    files = sorted((folder / "labels").glob("*/labels_by70/*.mp4.json"), key=lambda path: natural(path.name))
    if not files:
        raise InputError(folder, "labels/<centre>/labels_by70/*.mp4.json", "none")
    cases = []
    for path in files:
        name = path.name.removesuffix(".mp4.json")
        videos = sorted(folder.glob(f"datasets/**/videos/{name}.mp4"))
        pictures = path.parents[1] / "labels_by70_splits" / "frames" / name
        if videos:
            read = partial(_bypass_frames, name, path, only(videos, f"video of {name}", folder), None)
        elif pictures.is_dir():
            read = partial(_bypass_frames, name, path, None, pictures)
        else:
            raise InputError(folder, f"a video or frames of {name}", "neither")
        cases.append(LabelledCase(name, f"multibypass140/{name}", read))
    return LabelledSet("MultiBypass140", folder, "CC-BY-NC-SA-4.0", MULTIBYPASS140_PHASES, None, (), tuple(cases))


def _bypass_frames(name: str, path: Path, video: Path | None, pictures: Path | None) -> Iterator[LabelledFrame]:
    labels = read_multibypass140(path, name)
    phases = sampled_phases(labels, 1).labels.tolist()
    outside = [(one.start_ms, one.end_ms) for one in labels.overlays if one.label == _OUT_OF_BODY]
    if video is not None:
        frames, fps = _length(video)
        places = [min(round(k * fps), frames - 1) for k in range(len(phases))]
        if round((len(phases) - 1) * fps) >= frames + fps:
            raise InputError(video, f"{len(phases)} s, as {path.name} has", f"{frames / fps:.0f} s")
    else:
        assert pictures is not None
        files = numbered(pictures, "img*", PICTURES, "a frame")
        # the last second may lack its picture: extraction at 1/s rounds down
        if min(files) != 1 or len(files) < len(phases) - 1:
            raise InputError(pictures, f"img1 to img{len(phases)}", f"img{min(files)} to img{max(files)}")
    for k, phase in enumerate(phases):
        inside = not any(start <= k * 1000 < end for start, end in outside)
        if video is not None:
            yield LabelledFrame(name, k, float(k), video, places[k], phase, in_body=inside)
        elif k + 1 in files:
            yield LabelledFrame(name, k + 1, float(k), files[k + 1], None, phase, in_body=inside)


def read_case_folders(folder: Path, phases: Vocabulary = CHOLEC80_PHASES) -> LabelledSet:
    """Case folders of one's own, as `surgical-ml simulate` writes them: the layout that a hospital brings its cases in.

    Every frame that has a phase is a frame of the set. A patient is a case, unless a data set's card says otherwise.
    Masks need `classes.json`, id -> name, in the case's `masks` or in the folder of the set; what is simulated says its
    classes in `case.json`.

    Args:
        folder: of the cases.
        phases: what `video-phase.txt` may hold.

    Raises:
        InputError: no case, a case without a video, tools or masks in some cases only, masks of other classes than
            another case has. From a case's frames: what the readers refuse, and labels longer than the video.
    """
    found = {path.parent.name: path.parent for path in sorted(folder.glob("*/video-phase.txt"))}
    if not found:
        raise InputError(folder, "case folders with a video-phase.txt", "none")
    names = sorted(found, key=natural)
    tools = [name for name in names if (found[name] / "video-tool.txt").is_file()]
    if tools and len(tools) < len(names):
        lacking = next(name for name in names if name not in tools)
        raise InputError(found[lacking], "a video-tool.txt, as other cases have", "none")
    classes: tuple[str, ...] = ()
    for name in names:
        if not (found[name] / "masks").is_dir():
            continue
        own = _mask_classes(found[name], folder)
        if classes and own != classes:
            raise InputError(found[name], f"masks of {', '.join(classes)}", ", ".join(own))
        classes = own
    cases = []
    for name in names:
        video = only([path for path in found[name].glob("video.*") if path.suffix in VIDEOS], "video", found[name])
        cases.append(LabelledCase(name, name, partial(_own_frames, name, found[name], video, phases)))
    vocabulary = CHOLEC80_TOOLS if tools else None
    return LabelledSet("case folders", folder, "", phases, vocabulary, classes, tuple(cases))


def _own_frames(name: str, folder: Path, video: Path, phases: Vocabulary) -> Iterator[LabelledFrame]:
    frames, fps = _length(video)
    track = read_phase_text(folder / "video-phase.txt", phases, name)
    check_even(track.frames, track.path)
    if track.frames[-1] >= frames:
        raise InputError(track.path, f"frames below {frames}, as {video.name} has", str(int(track.frames[-1])))
    tools: dict[int, tuple[bool, ...]] = {}
    if (folder / "video-tool.txt").is_file():
        scores = read_tool_text(folder / "video-tool.txt", CHOLEC80_TOOLS, name)
        rows = zip(scores.frames.tolist(), scores.as_truth(), strict=True)
        tools = {frame: tuple(bool(one) for one in row) for frame, row in rows}
    tips = _own_tips(folder / "tips.csv")
    for frame, phase in zip(track.frames.tolist(), track.labels.tolist(), strict=True):
        mask = folder / "masks" / f"{frame:06d}.png"
        yield LabelledFrame(
            name,
            frame,
            frame / fps,
            video,
            frame,
            phase,
            tools.get(frame),
            None if tips is None else tuple(tips.get(frame, ())),
            mask=MaskFile(mask, partial(_own_mask, mask)) if mask.is_file() else None,
        )


def _own_tips(path: Path) -> dict[int, list[tuple[str, float, float]]] | None:
    """Frame -> tips; None where there is no such file, and so nothing is known of tips."""
    if not path.is_file():
        return None
    tips: dict[int, list[tuple[str, float, float]]] = {}
    for k, line in enumerate(read_text(path, "tool tips").splitlines()[1:], 2):
        frame, _, rest = line.partition(",")
        tool, _, place = rest.partition(",")
        x, _, y = place.partition(",")
        try:
            tip = tool, float(x), float(y)
            tips.setdefault(int(frame), []).append(tip)
        except ValueError as error:
            raise InputError(f"{path}, line {k}", "frame,tool,x_px,y_px", repr(line[:40])) from error
        if not np.isfinite(tip[1:]).all():
            raise InputError(f"{path}, line {k}", "frame,tool,x_px,y_px", repr(line[:40]))
    return tips


def _own_mask(path: Path) -> LabelMap:
    return read_label_map(path)


def _mask_classes(case: Path, folder: Path) -> tuple[str, ...]:
    for path in (case / "masks" / "classes.json", folder / "classes.json"):
        if path.is_file():
            values = read_json(path, "names of mask ids")
            if not isinstance(values, dict) or sorted(values) != sorted(map(str, range(len(values)))):
                raise InputError(path, "names of the ids 0, 1, 2, ...", str(values)[:60])
            return tuple(str(values[str(k)]) for k in range(len(values)))
    if (case / "case.json").is_file():
        values = read_json(case / "case.json", "a simulated case")
        if isinstance(values, dict) and isinstance(values.get("classes"), list):
            return tuple(str(name) for name in values["classes"])
    raise InputError(case / "masks", "a classes.json that names the ids", "none")


def _by_case(folder: Path, pattern: str, what: str) -> dict[str, Path]:
    """Case -> file, of the files whose names fit; others are left alone."""
    if not folder.is_dir():
        raise InputError(folder, f"a folder with {what} a case", "none")
    named = ((re.fullmatch(pattern, path.name), path) for path in sorted(folder.iterdir()))
    found = {match["case"]: path for match, path in named if match}
    if not found:
        raise InputError(folder, f"{what} a case, named as the publisher does", "none")
    return found


def _same(folder: Path, videos: dict[str, Path], labels: dict[str, Path], what: str) -> None:
    for name in sorted({*videos} ^ {*labels}, key=natural):
        lacking = f"{what} of {name}" if name in videos else f"a video of {name} in videos"
        raise InputError(folder, lacking, "none")


def _evenly(track: LabelTrack, fps: float) -> LabelTrack:
    check_rate(track.frames, fps, track.path)
    check_even(track.frames, track.path)
    if (track.labels == UNDEFINED).all():
        raise InputError(track.path, "at least one phase", "only undefined ones")
    return track


def _length(video: Path) -> tuple[int, float]:
    """Frames and frames/s of a video, as its container says."""
    opened = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    frames, fps = int(opened.get(cv2.CAP_PROP_FRAME_COUNT)), float(opened.get(cv2.CAP_PROP_FPS))
    opened.release()
    if frames < 1 or not np.isfinite(fps) or fps <= 0:
        raise InputError(video, "a video with frames", f"{max(frames, 0)} frames at {max(fps, 0.0):g}/s")
    return frames, fps
