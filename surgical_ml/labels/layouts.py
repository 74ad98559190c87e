"""Opens a folder as the data set that it is, by what lies in it."""

from collections.abc import Callable
from pathlib import Path

from surgical_ml.errors import InputError
from surgical_ml.labels.dataset import LabelledSet
from surgical_ml.labels.scene_sets import (
    read_autolaparo_masks,
    read_cholecseg8k_set,
    read_endovis17_set,
    read_endovis18_set,
)
from surgical_ml.labels.vocabulary import CHOLEC80_PHASES, Vocabulary
from surgical_ml.labels.workflow_sets import (
    read_autolaparo_set,
    read_case_folders,
    read_cholec80_set,
    read_multibypass140_set,
)

_PUBLISHED: dict[str, tuple[tuple[str, ...], Callable[[Path], LabelledSet]]] = {
    "Cholec80": (("phase_annotations", "tool_annotations"), read_cholec80_set),
    "CholecSeg8k": (("video*/video*_*/*_watershed_mask.png",), read_cholecseg8k_set),
    "EndoVis 2017": (("instrument_dataset_*",), read_endovis17_set),
    "EndoVis 2018": (("seq_*/left_frames", "*/seq_*/left_frames", "*/*/seq_*/left_frames"), read_endovis18_set),
    "AutoLaparo": (("labels/label_*.txt",), read_autolaparo_set),
    "AutoLaparo masks": (("imgs",), read_autolaparo_masks),
    "MultiBypass140": (("labels/*/labels_by70",), read_multibypass140_set),
}
"""Layout -> what only it has, as patterns below the folder, and its reader."""

CASE_FOLDERS = "case folders"
DATASET_LAYOUTS = (*_PUBLISHED, CASE_FOLDERS)


def open_labelled_set(folder: Path, phases: Vocabulary = CHOLEC80_PHASES) -> LabelledSet:
    """Read a data set in whichever layout it is.

    Args:
        folder: of the data set.
        phases: of case folders of one's own; a published data set has its own.

    Raises:
        InputError: no such folder, no layout that is known, signs of two, or what the layout's reader refuses.
    """
    if not folder.is_dir():
        raise InputError(folder, "the folder of a data set", "a file" if folder.exists() else "none")
    found = [
        layout for layout, (signs, _) in _PUBLISHED.items() if any(next(folder.glob(sign), None) for sign in signs)
    ]
    if next(folder.glob("*/video-phase.txt"), None):
        found.append(CASE_FOLDERS)
    if len(found) != 1:
        expected = f"one data set laid out as {', '.join(DATASET_LAYOUTS)}"
        raise InputError(folder, expected, " and ".join(found) or "none of them")
    return read_case_folders(folder, phases) if found[0] == CASE_FOLDERS else _PUBLISHED[found[0]][1](folder)
