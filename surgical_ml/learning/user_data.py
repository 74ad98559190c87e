"""A user's own data set, from its folder to frames and sequences that can be learned from."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from surgical_ml.errors import InputError
from surgical_ml.evaluation.dataset import require_checked
from surgical_ml.evaluation.dataset.card import read_card
from surgical_ml.labels import (
    PHASES,
    SPLITS,
    LabelledCase,
    LabelledFrame,
    LabelledSet,
    check_splits,
    open_labelled_set,
    split_by_patient,
)
from surgical_ml.learning.classes import Classes
from surgical_ml.learning.frame_net import STATE, FrameNet
from surgical_ml.learning.frames import (
    HEIGHT,
    IGNORED,
    NOT_A_TOOL,
    PRESENT_CELLS,
    STRIDE,
    UNKNOWN_PHASE,
    WIDTH,
    Sample,
    place,
    store,
    tip_maps,
)
from surgical_ml.learning.targets import mask_targets, plain, tool_columns
from surgical_ml.learning.train_frame import normalise
from surgical_ml.learning.train_phase import BOUNDARY_S, Sequence
from surgical_ml.video.content import find_content

Image = npt.NDArray[np.uint8]

_LOOKED_AT = 9
"""Frames of a case in which its field of view is looked for."""

_SEEK = 64
"""Frames of a video from which on seeking is quicker than reading on."""


@dataclass(frozen=True, slots=True)
class UserData:
    """A data set that was checked, and its division.

    Attributes:
        labelled: its cases.
        splits: each of `labels.SPLITS` -> names of cases; no patient is in two.
        licence: of the data.
    """

    labelled: LabelledSet
    splits: dict[str, tuple[str, ...]]
    licence: str

    def cases(self, split: str) -> list[LabelledCase]:
        """The cases of a split."""
        return [case for case in self.labelled.cases if case.name in self.splits[split]]


def open_user_data(folder: Path, *, seed: int = 0) -> UserData:
    """Open a user's data set: the one door through which data of others comes into training.

    The data set must pass `surgical-ml data check`, or say in `waivers.json` why not. Its card names splits and
    patients; where it names no splits, cases are divided by patient.

    Args:
        folder: of the data set, with `dataset.json` in it.
        seed: of the division, where the card has none.

    Raises:
        InputError: the check found what blocks, the layout is not known, or the division leaks.
    """
    require_checked(folder)
    card = read_card(folder)
    if card is None:
        raise InputError(folder, "a card dataset.json", "none")
    labelled = open_labelled_set(folder, PHASES[card.procedure])
    cases = tuple(replace(case, patient=card.patients.get(case.name, case.patient)) for case in labelled.cases)
    patients = {case.name: case.patient for case in cases}
    splits = check_splits(card.splits, patients) if card.splits else split_by_patient(patients, seed=seed)
    return UserData(replace(labelled, cases=cases), splits, card.licence or labelled.licence)


def classes_of(labelled: LabelledSet, base: Classes) -> Classes:
    """The classes of a network for a data set: those of `base`, with the set's own phases where it has others."""
    if labelled.phases is None or list(map(plain, labelled.phases.classes)) == list(map(plain, base.phases)):
        return base
    return replace(base, procedure=labelled.phases.name, phases=labelled.phases.classes)


def prepare_frames(
    data: UserData, out: Path, classes: Classes, *, a_case: int, progress: Callable[[int, int | None], None]
) -> None:
    """Write `out/<split>/<case>` for every case; those already there are kept.

    Args:
        data: from `open_user_data`.
        out: a folder of the run.
        classes: of the network.
        a_case: frames of a case at most, evenly spread; those with masks first.
        progress: told (cases done, cases).

    Raises:
        InputError: what the readers refuse, a picture or a video that cannot be decoded.
    """
    jobs = [(split, case) for split in SPLITS for case in data.cases(split)]
    table = mask_targets(data.labelled, classes) if data.labelled.classes else np.zeros(256, np.uint8)
    columns = tool_columns(data.labelled, classes)
    for done, (split, case) in enumerate(jobs):
        progress(done, len(jobs))
        if (out / split / case.name).exists():
            continue
        frames = list(case.frames())
        masked = [frame for frame in frames if frame.mask is not None]
        chosen = _spread(masked or frames, a_case)
        images = decode(chosen)
        samples = [_sample(frame, image, box, table, columns, classes) for frame, image, box in _boxed(chosen, images)]
        store(out / split / case.name, samples)
    progress(len(jobs), len(jobs))


@torch.inference_mode()
def see_labelled(net: FrameNet, case: LabelledCase, moments: int) -> Sequence:
    """A labelled case as the frame network sees it, at moments spread evenly over it.

    Args:
        net: in evaluation mode.
        case: with phases.
        moments: at most.

    Raises:
        InputError: no frame of it has a phase, or what the readers refuse.
    """
    everything = [frame for frame in case.frames() if frame.in_body is not False]
    known = [frame for frame in everything if frame.phase >= 0]
    if not known:
        raise InputError(case.name, "frames with a phase", "none")
    chosen = _spread(everything, moments)
    features = [
        net(normalise(torch.from_numpy(place(image, box)[:, :, ::-1].copy())[None]))["features"]
        for _, image, box in _boxed(chosen, decode(chosen))
    ]
    t = np.array([frame.t_s for frame in chosen])
    phases = np.array([frame.phase for frame in known])
    starts = np.array([known[0].t_s, *(known[k].t_s for k in np.flatnonzero(np.diff(phases)) + 1)])
    order = np.array([phases[0], *phases[np.flatnonzero(np.diff(phases)) + 1]])
    following = order[np.minimum(np.searchsorted(starts, t, side="right"), len(order) - 1)]
    near = [float(len(starts) > 1 and np.abs(starts[1:] - moment).min() < BOUNDARY_S) for moment in t]
    return Sequence(
        torch.cat(features),
        torch.tensor(t, dtype=torch.float32),
        torch.tensor([frame.phase for frame in chosen]),
        torch.tensor(following),
        torch.tensor(t / max(everything[-1].t_s, 1e-6), dtype=torch.float32),
        torch.tensor(near),
    )


def decode(frames: list[LabelledFrame]) -> Iterator[Image]:
    """The pictures of frames, (H, W, 3) uint8 BGR, in their order; a video is read through once.

    Raises:
        InputError: a picture or a frame of a video cannot be decoded.
    """
    video: cv2.VideoCapture | None = None
    path, at = Path(), 0
    try:
        for frame in frames:
            if frame.in_video is None:
                image = cv2.imread(str(frame.picture), cv2.IMREAD_COLOR)
                if image is None:
                    raise InputError(frame.picture, "a picture", "none that can be decoded")
                yield np.asarray(image, np.uint8)
                continue
            if video is None or path != frame.picture:
                if video is not None:
                    video.release()
                video, path, at = cv2.VideoCapture(str(frame.picture), cv2.CAP_FFMPEG), frame.picture, 0
            if not 0 <= frame.in_video - at < _SEEK:
                video.set(cv2.CAP_PROP_POS_FRAMES, frame.in_video)
                at = frame.in_video
            read, image = True, None
            while read and at <= frame.in_video:
                read, image = video.read()
                at += 1
            if not read or image is None:
                raise InputError(path, f"frame {frame.in_video}", "the end, or none that can be decoded")
            yield np.asarray(image, np.uint8)
    finally:
        if video is not None:
            video.release()


def _spread(frames: list[LabelledFrame], count: int) -> list[LabelledFrame]:
    return [frames[k] for k in np.unique(np.linspace(0, len(frames) - 1, count).round().astype(int))]


def _boxed(
    frames: list[LabelledFrame], images: Iterator[Image]
) -> Iterator[tuple[LabelledFrame, Image, tuple[int, int, int, int]]]:
    """Each frame with its picture and the field of view that most of a case's first frames show."""
    first: list[Image] = []
    for image in images:
        first.append(image)
        if len(first) == _LOOKED_AT:
            break
    seen = Counter(area.box for area in map(find_content, first) if area is not None)
    whole = (0, 0, first[0].shape[1], first[0].shape[0])
    box = seen.most_common(1)[0][0] if seen else whole
    for frame, image in zip(frames, _chained(first, images), strict=True):
        yield frame, image, box


def _chained(first: list[Image], rest: Iterator[Image]) -> Iterator[Image]:
    yield from first
    yield from rest


def _sample(
    frame: LabelledFrame,
    image: Image,
    box: tuple[int, int, int, int],
    table: npt.NDArray[np.uint8],
    columns: list[int | None],
    classes: Classes,
) -> Sample:
    grid = (HEIGHT // STRIDE, WIDTH // STRIDE)
    mask = np.full(grid, IGNORED, np.uint8)
    presence = np.full(len(classes.tools), np.nan, np.float32)
    if frame.mask is not None:
        ids = table[np.minimum(frame.mask.read(), IGNORED)]
        if ids.shape != image.shape[:2]:
            size = f"{image.shape[1]}x{image.shape[0]}"
            raise InputError(frame.mask.path, f"{size}, as its frame", f"{ids.shape[1]}x{ids.shape[0]}")
        mask = place(ids, box, nearest=True)[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
        if (mask < NOT_A_TOOL).all():
            cells = np.bincount(mask.ravel(), minlength=256)[1 : 1 + len(classes.tools)]
            # a tool that the set has no class for may be there all the same
            told = np.isin(np.arange(1, 1 + len(classes.tools)), table)
            presence = np.where(told, cells >= PRESENT_CELLS, np.nan).astype(np.float32)
    for k, column in enumerate(columns):
        if frame.tools is not None and column is not None:
            presence[k] = float(frame.tools[column])
    tips = None if frame.tips is None else [tip for tip in frame.tips if tip[0] in classes.tools]
    return {
        "image": place(image, box)[:, :, ::-1].copy(),
        "mask": mask,
        "tips": tip_maps(tips or [], box, classes.tools),
        "tips_known": np.float32(tips is not None),
        "presence": presence,
        "quality": np.full(len(classes.qualities), np.nan, np.float32),
        "in_body": np.float32(np.nan if frame.in_body is None else frame.in_body),
        "state": np.full(STATE, np.nan, np.float32),
        "phase": np.int64(frame.phase if frame.phase >= 0 else UNKNOWN_PHASE),
    }
