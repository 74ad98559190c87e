"""Masks of folders."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics import SegmentationScores, score_segmentation
from surgical_ml.labels import natural, read_cholecseg8k, read_endovis18, read_json, read_label_map

LabelMap = npt.NDArray[np.int64]

MASK_FORMATS: dict[str, tuple[Callable[[Path], LabelMap], str]] = {
    "label-map": (read_label_map, ".png"),
    "endovis18": (read_endovis18, ".png"),
    "cholecseg8k": (read_cholecseg8k, "_watershed_mask.png"),
}
"""Name -> reader, and how the names of its files end."""

MOST_CLASSES = 255


def evaluate_segmentation(
    labels: Path,
    predictions: Path,
    *,
    classes: tuple[str, ...] | None = None,
    truth_format: str = "label-map",
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> SegmentationScores:
    """Score label maps; a frame of the predictions has the same path below its folder as the truth.

    Pictures may lie in the folder itself, one video, or in a folder a video, or in its `masks`, as replay writes them.

    Args:
        labels, predictions: folders.
        classes: names in the order of ids, background first; None takes those of a `classes.json` beside the masks, or
            the ids themselves.
        truth_format: one of `MASK_FORMATS`; predictions are always label maps.
        progress: told (frames done, frames).

    Raises:
        InputError: a picture, or the set of frames, is not what it must be.
    """
    if truth_format not in MASK_FORMATS:
        raise InputError("truth format", f"one of {list(MASK_FORMATS)}", truth_format)
    read, ending = MASK_FORMATS[truth_format]
    truths, found = _pictures(labels, ending), _pictures(predictions, ending)
    missing, extra = sorted(truths.keys() - found.keys()), sorted(found.keys() - truths.keys())
    if missing or extra:
        parts = [f"none for {missing[0]} and {len(missing) - 1} more"] if missing else []
        parts += [f"{extra[0]} and {len(extra) - 1} more without a truth"] if extra else []
        raise InputError(predictions, f"a mask for each of the {len(truths)} frames and no other", ", ".join(parts))
    named = classes or _named_beside(labels, predictions)
    videos: dict[str, list[str]] = {}
    for name in sorted(truths, key=natural):
        videos.setdefault(_video(name), []).append(name)
    done = 0

    def frames(names: list[str]) -> Iterator[tuple[LabelMap, LabelMap]]:
        nonlocal done
        for name in names:
            yield read(truths[name]), read_label_map(found[name])
            done += 1
            progress(done, len(truths))

    known = named or ("background", *map(str, range(1, MOST_CLASSES)))
    scores = score_segmentation({video: frames(names) for video, names in videos.items()}, known)
    return scores if named else _only_seen(scores)


def read_classes(path: Path) -> tuple[str, ...]:
    """Names of classes: a JSON list, or a JSON object of ids, as `masks/classes.json` is.

    Raises:
        InputError: neither, or ids with gaps.
    """
    values: Any = read_json(path, "names of classes")
    if isinstance(values, dict) and sorted(values) == sorted(map(str, range(len(values)))):
        values = [values[str(k)] for k in range(len(values))]
    if not isinstance(values, list) or len(values) < 2 or not all(isinstance(name, str) for name in values):
        raise InputError(path, "a list of names, or an object of ids 0, 1, 2 ..., background first", str(values)[:60])
    return tuple(values)


def _pictures(folder: Path, ending: str) -> dict[str, Path]:
    """Path below the folder -> file; only those in folders `masks`, where there are such."""
    if not folder.is_dir():
        raise InputError(folder, "a folder", "a file" if folder.exists() else "none")
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob(f"*{ending}")}
    inner = {name: path for name, path in found.items() if "masks" in Path(name).parts}
    if not found:
        raise InputError(folder, f"pictures *{ending}", "none")
    return inner or found


def _video(name: str) -> str:
    parent = Path(name).parent
    parent = parent.parent if parent.name == "masks" else parent
    return parent.as_posix() if parent.parts else "all"


def _named_beside(*folders: Path) -> tuple[str, ...] | None:
    """What the files `classes.json` below the folders say, which must be the same."""
    files = sorted(path for folder in folders for path in folder.rglob("classes.json"))
    named = {read_classes(path): path for path in files}
    if len(named) > 1:
        first, second = list(named.items())[:2]
        raise InputError(second[1], f"the classes of {first[1]}", f"{list(second[0])[:6]}")
    return next(iter(named), None)


def _only_seen(scores: SegmentationScores) -> SegmentationScores:
    """Without the ids that no frame has."""
    seen = ~np.isnan(scores.class_values["iou"])
    return replace(
        scores,
        classes=tuple(name for name, there in zip(scores.classes, seen, strict=True) if there),
        class_values={measure: values[seen] for measure, values in scores.class_values.items()},
    )
