"""Data sets of masks: CholecSeg8k, EndoVis 2017 and 2018, AutoLaparo (task 3).

Layouts, as their publishers give them:

    CholecSeg8k (Hong et al. 2020)       video01/video01_00080/frame_80_endo.png, frame_80_endo_mask.png,
                                         frame_80_endo_color_mask.png, frame_80_endo_watershed_mask.png
    EndoVis 2017 (Allan et al. 2019)     instrument_dataset_1/left_frames/frame000.png       1920x1080, 2/s
                                         instrument_dataset_1/ground_truth/Left_Prograsp_Forceps_labels/frame000.png,
                                         10 shaft, 20 wrist, 30 claspers, 40 probe
    EndoVis 2018 (Allan et al. 2020)     seq_1/left_frames/frame000.png, seq_1/labels/frame000.png in the colours of
                                         labels.json, which lies beside the sequences, above them, or in each      2/s
    AutoLaparo, task 3 (Wang et al. 2022) imgs/NAME.jpg, masks/NAME.png: grey values 20, 40, ... 180
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.labels.dataset import PICTURES, LabelledCase, LabelledFrame, LabelledSet, MaskFile, numbered
from surgical_ml.labels.folders import natural
from surgical_ml.labels.masks import (
    CHOLECSEG8K_CLASSES,
    ENDOVIS17_PARTS,
    ENDOVIS17_TYPES,
    ENDOVIS18_COLOURS,
    IGNORED,
    LabelMap,
    read_cholecseg8k,
    read_colour_map,
    read_colours,
    read_endovis17,
    read_endovis17_parts,
    read_label_map,
)

ENDOVIS_FPS = 2
CHOLECSEG8K_FPS = 25

AUTOLAPARO_CLASSES = (
    "background",
    "grasping forceps, manipulator",
    "grasping forceps, shaft",
    "LigaSure, manipulator",
    "LigaSure, shaft",
    "dissecting and grasping forceps, manipulator",
    "dissecting and grasping forceps, shaft",
    "electric hook, manipulator",
    "electric hook, shaft",
    "uterus",
)
_AUTOLAPARO_STEP = 20
"""Grey values of task 3 are the ids of `AUTOLAPARO_CLASSES` times this."""


def read_cholecseg8k_set(folder: Path) -> LabelledSet:
    """CholecSeg8k. A clip of 80 frames is a case; the video that it is cut from, one of Cholec80, is its patient.

    Raises:
        InputError: no clip; a clip in the folder of another video; a clip without frames; a frame without its watershed
            mask or the other way round. From a frame's mask: what `read_cholecseg8k` refuses.
    """
    clips = [path for path in folder.glob("video*/video*_*") if path.is_dir()]
    if not clips:
        raise InputError(folder, "clips videoNN/videoNN_NNNNN", "none")
    cases = []
    for clip in sorted(clips, key=lambda path: natural(path.name)):
        video = clip.parent.name
        if clip.name.partition("_")[0] != video:
            raise InputError(clip, f"a clip of {video}", clip.name)
        frames = numbered(clip, "frame_*_endo", (".png",), "a frame")
        masks = numbered(clip, "frame_*_endo_watershed_mask", (".png",), "a watershed mask")
        for k in sorted({*frames} ^ {*masks}):
            raise InputError(clip, f"a frame and a watershed mask of number {k}", "only one of them")
        cases.append(LabelledCase(clip.name, f"cholec80/{video}", partial(_clip_frames, clip.name, frames, masks)))
    return LabelledSet("CholecSeg8k", folder, "CC-BY-NC-SA-4.0", None, None, CHOLECSEG8K_CLASSES, tuple(cases))


def _clip_frames(name: str, frames: Mapping[int, Path], masks: Mapping[int, Path]) -> Iterator[LabelledFrame]:
    first = min(frames)
    for k, path in frames.items():
        mask = MaskFile(masks[k], partial(read_cholecseg8k, masks[k]))
        yield LabelledFrame(name, k, (k - first) / CHOLECSEG8K_FPS, path, in_body=True, mask=mask)


def read_endovis17_set(folder: Path, *, parts: bool = False) -> LabelledSet:
    """The training sequences of EndoVis 2017. Which come from one animal is not published: each is a patient.

    Args:
        folder: that holds `instrument_dataset_1` and so on.
        parts: masks of the parts of instruments, not of their types.

    Raises:
        InputError: no sequence; one without left frames or ground truth; a folder of an instrument that lacks a frame.
            From a frame's mask: what the mask reader refuses.
    """
    found = sorted(folder.glob("instrument_dataset_*"), key=lambda path: natural(path.name))
    if not found:
        raise InputError(folder, "sequences instrument_dataset_N", "none")
    cases = []
    for sequence in found:
        frames = numbered(sequence / "left_frames", "frame*", (".png",), "a frame")
        instruments = sorted((sequence / "ground_truth").glob("*_labels"))
        if not instruments:
            raise InputError(sequence / "ground_truth", "a folder *_labels for each instrument", "none")
        for instrument in instruments:
            lacking = [path.name for path in frames.values() if not (instrument / path.name).is_file()]
            if lacking:
                raise InputError(instrument, f"a mask of each of the {len(frames)} frames", f"none of {lacking[0]}")
        read = partial(_sequence17, sequence.name, frames, sequence / "ground_truth", parts)
        cases.append(LabelledCase(sequence.name, f"endovis17/{sequence.name}", read))
    classes = ENDOVIS17_PARTS if parts else ENDOVIS17_TYPES
    return LabelledSet("EndoVis 2017", folder, "research use only", None, None, classes, tuple(cases))


def _sequence17(name: str, frames: Mapping[int, Path], truth: Path, parts: bool) -> Iterator[LabelledFrame]:
    for k, path in frames.items():
        read = partial(read_endovis17_parts if parts else read_endovis17, truth, path.name)
        yield LabelledFrame(name, k, k / ENDOVIS_FPS, path, in_body=True, mask=MaskFile(truth, read))


def read_endovis18_set(folder: Path) -> LabelledSet:
    """The training sequences of EndoVis 2018, each a procedure and so a patient. Looked for three levels deep.

    Raises:
        InputError: no sequence, two of one number, one without labels of each of its frames, no `labels.json`, or one
            whose colours are not those that are published. From a frame's mask: what `read_colour_map` refuses.
    """
    levels = [path for depth in ("", "*/", "*/*/") for path in folder.glob(f"{depth}seq_*")]
    found = sorted((path for path in levels if (path / "left_frames").is_dir()), key=lambda path: natural(path.name))
    if not found:
        raise InputError(folder, "sequences seq_N with left_frames", "none")
    cases: list[LabelledCase] = []
    for sequence in found:
        if any(case.name == sequence.name for case in cases):
            raise InputError(folder, f"one {sequence.name}", "two")
        frames = numbered(sequence / "left_frames", "frame*", (".png",), "a frame")
        masks = numbered(sequence / "labels", "frame*", (".png",), "a label picture")
        for k in sorted({*frames} ^ {*masks}):
            raise InputError(sequence, f"a frame and a label picture of number {k}", "only one of them")
        colours = _published_colours(sequence, folder)
        read = partial(_sequence18, sequence.name, frames, masks, colours)
        cases.append(LabelledCase(sequence.name, f"endovis18/{sequence.name}", read))
    classes = tuple(ENDOVIS18_COLOURS.values())
    return LabelledSet("EndoVis 2018", folder, "CC-BY-NC-SA-4.0", None, None, classes, tuple(cases))


def _published_colours(sequence: Path, folder: Path) -> dict[tuple[int, int, int], int]:
    places = [sequence / "labels.json"]
    for above in sequence.parents:
        places.append(above / "labels.json")
        if above == folder:
            break
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        raise InputError(sequence, "a labels.json beside or above it", "none")
    expected = {colour: k for k, colour in enumerate(ENDOVIS18_COLOURS)}
    colours = read_colours(path)
    for colour in colours:
        if expected.get(colour) != colours[colour]:
            raise InputError(path, "the colours and ids of EndoVis 2018", f"{colour} with id {colours[colour]}")
    return colours


def _sequence18(
    name: str, frames: Mapping[int, Path], masks: Mapping[int, Path], colours: Mapping[tuple[int, int, int], int]
) -> Iterator[LabelledFrame]:
    for k, path in frames.items():
        mask = MaskFile(masks[k], partial(read_colour_map, masks[k], colours))
        yield LabelledFrame(name, k, k / ENDOVIS_FPS, path, in_body=True, mask=mask)


def read_autolaparo_masks(folder: Path) -> LabelledSet:
    """AutoLaparo's task 3, segmentation. From which operation a picture comes is not in its name.

    So no case has a patient, and nobody can split the set until a data set's card says which picture is whose. Pictures
    that differ in their last number only are a case.

    Raises:
        InputError: no pictures, or one without a mask or the other way round. From a frame's mask: no such values.
    """
    pictures = {path.stem: path for path in sorted((folder / "imgs").glob("*")) if path.suffix.lower() in PICTURES}
    masks = {path.stem: path for path in sorted((folder / "masks").glob("*.png"))}
    if not pictures:
        raise InputError(folder / "imgs", "pictures", "none")
    for name in sorted({*pictures} ^ {*masks}, key=natural):
        raise InputError(folder, f"a picture and a mask of {name}", "only one of them")
    groups: dict[str, list[str]] = {}
    for name in sorted(pictures, key=natural):
        groups.setdefault(re.sub(r"[-_]?\d+$", "", name) or name, []).append(name)
    cases = [
        LabelledCase(group, None, partial(_task3, group, [(pictures[name], masks[name]) for name in names]))
        for group, names in groups.items()
    ]
    return LabelledSet("AutoLaparo masks", folder, "academic use only", None, None, AUTOLAPARO_CLASSES, tuple(cases))


def _task3(group: str, files: list[tuple[Path, Path]]) -> Iterator[LabelledFrame]:
    for k, (picture, mask) in enumerate(files):
        yield LabelledFrame(
            group, k, float(k), picture, in_body=True, mask=MaskFile(mask, partial(read_autolaparo_mask, mask))
        )


def read_autolaparo_mask(path: Path) -> LabelMap:
    """A mask of AutoLaparo's task 3, grey values 0, 20, ... 180.

    Returns:
        (height, width) int64, ids of `AUTOLAPARO_CLASSES`.

    Raises:
        InputError: as `read_label_map`, or another value.
    """
    values = read_label_map(path)
    ids = np.full(256, -1, np.int64)
    ids[np.arange(len(AUTOLAPARO_CLASSES)) * _AUTOLAPARO_STEP] = range(len(AUTOLAPARO_CLASSES))
    odd = (values > IGNORED) | (ids[np.minimum(values, IGNORED)] < 0)
    if odd.any():
        raise InputError(path, f"values 0, {_AUTOLAPARO_STEP}, ... 180 of AutoLaparo", str(int(values[odd][0])))
    return np.asarray(ids[values])
