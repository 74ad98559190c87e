"""A data set as patients, cases and frames, whichever of the field's layouts it lies in; nothing is decoded until asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.labels.masks import LabelMap
from surgical_ml.labels.vocabulary import UNDEFINED, Vocabulary

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv")


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A mask that can be read: `read()` gives (H, W) int64 ids of the set's `classes`, `IGNORED` where nobody can tell.

    Attributes:
        path: the file, or the folder of the files, that it comes from.
        read: reads it.

    Raises:
        InputError: from `read`, what the layout's reader refuses.
    """

    path: Path
    read: Callable[[], LabelMap]


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """One frame and what is known of it.

    Attributes:
        case: its case.
        number: as its publisher numbers it.
        t_s: seconds from the start of the case.
        picture: a picture file, or the video that holds the frame.
        in_video: which frame of that video, from 0; None where `picture` is a picture.
        phase: id of the set's `phases`, `UNDEFINED` where unknown.
        tools: presence of each of the set's `tools`; None where unknown.
        tips: (tool, x, y) in pixels of the picture, for each tip in it; None where unknown.
        in_body: whether the endoscope is inside; None where unknown.
        mask: None where there is none.
    """

    case: str
    number: int
    t_s: float
    picture: Path
    in_video: int | None = None
    phase: int = UNDEFINED
    tools: tuple[bool, ...] | None = None
    tips: tuple[tuple[str, float, float], ...] | None = None
    in_body: bool | None = None
    mask: MaskFile | None = None


@dataclass(frozen=True, slots=True)
class LabelledCase:
    """One operation, or one clip of it.

    Attributes:
        name: unique in its set.
        patient: a name that is the same for the same patient in every data set; None where the publisher does not say.
        read: gives the frames in order of time.

    Raises:
        InputError: from `read`, whatever is wrong with the case's files.
    """

    name: str
    patient: str | None
    read: Callable[[], Iterator[LabelledFrame]]

    def frames(self) -> Iterator[LabelledFrame]:
        """The labelled frames, in order of time."""
        return self.read()


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A data set.

    Attributes:
        layout: whose layout it is in.
        folder: where it lies.
        licence: what its publisher asks for; empty for one's own.
        phases, tools: the vocabularies; None where the set labels none.
        classes: of its masks, in the order of their ids; empty where it has none.
        cases: in the order of their numbers.
    """

    layout: str
    folder: Path
    licence: str
    phases: Vocabulary | None
    tools: Vocabulary | None
    classes: tuple[str, ...]
    cases: tuple[LabelledCase, ...]


def numbered(folder: Path, pattern: str, kinds: tuple[str, ...], what: str) -> dict[int, Path]:
    """Files of a folder by the number in their names, without gaps.

    Args:
        folder: to look in.
        pattern: of the stem, with `*` for the number: `frame*`.
        kinds: suffixes.
        what: they are, for the error: "a frame".

    Raises:
        InputError: no such folder, none of these files, two with one number, or a number that is missing between them.
    """
    if not folder.is_dir():
        raise InputError(folder, f"a folder with {what} a file", "none")
    before, _, after = pattern.partition("*")
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        stem = path.stem
        if path.suffix.lower() not in kinds or not (stem.startswith(before) and stem.endswith(after)):
            continue
        number = stem[len(before) : len(stem) - len(after)]
        if not number.isdecimal():
            continue
        if int(number) in found:
            raise InputError(folder, f"one file of number {int(number)}", f"{found[int(number)].name} and {path.name}")
        found[int(number)] = path
    if not found:
        raise InputError(folder, f"files {pattern} of {', '.join(kinds)}", "none")
    numbers = np.array(sorted(found))
    gaps = np.flatnonzero(np.diff(numbers) != 1)
    if len(gaps):
        k = int(gaps[0])
        raise InputError(folder, f"{what} of every number", f"{numbers[k + 1]} after {numbers[k]}")
    return {int(number): found[int(number)] for number in numbers}


def only(paths: list[Path], thing: str, where: Path) -> Path:
    """The one file that there must be.

    Raises:
        InputError: there is none, or more than one.
    """
    if len(paths) != 1:
        raise InputError(where, f"one {thing}", ", ".join(path.name for path in paths[:3]) or "none")
    return paths[0]
