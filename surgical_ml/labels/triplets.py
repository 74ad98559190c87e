"""Action triplets: CholecT50's JSON, the challenge's prediction files, and the table that takes triplets apart."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.labels.files import member, read_json, read_text
from surgical_ml.labels.score_text import ScoreTrack

Component = Literal["triplet", "instrument", "verb", "target", "phase"]

_COLUMN: dict[Component, int] = {"triplet": 0, "instrument": 1, "verb": 7, "target": 8, "phase": 14}
_SCORE: dict[Component, int] = {"instrument": 2, "target": 9}
_VALUES = 15

BOX = slice(3, 7)
"""Columns of the instrument's box in `TripletVideo.instances`: left, top, width, height as shares of the frame."""

PARTS = ("ivt", "i", "v", "t", "iv", "it")
"""What the columns of the mapping table stand for, in its order."""


@dataclass(frozen=True, slots=True)
class TripletVideo:
    """One video of CholecT50.

    Attributes:
        case: its name.
        path: the file.
        fps: samples/s, as the file says.
        categories: component -> names, in the order of their ids.
        frames: (n,) int64, in order; a frame without an instance is there too.
        instance_frames: (m,) int64, the place in `frames` of each instance.
        instances: (m, 15) float64: triplet, instrument, its score, its box (left, top, width, height), verb, target,
            its score, its box, phase; -1 where there is none.
    """

    case: str
    path: Path
    fps: float
    categories: dict[Component, tuple[str, ...]]
    frames: npt.NDArray[np.int64]
    instance_frames: npt.NDArray[np.int64]
    instances: npt.NDArray[np.float64]

    def presence(self, component: Component) -> ScoreTrack:
        """For each frame and class the largest score of an instance; 1 where instances have no score of their own."""
        names = self.categories[component]
        ids = self.instances[:, _COLUMN[component]].astype(np.int64)
        scores = self.instances[:, _SCORE[component]] if component in _SCORE else np.ones(len(ids))
        table = np.zeros((len(self.frames), len(names)))
        there = ids >= 0
        np.maximum.at(table, (self.instance_frames[there], ids[there]), np.abs(scores[there]))
        return ScoreTrack(self.case, self.path, names, self.frames, table)


def read_cholect50(path: Path, case: str) -> TripletVideo:
    """Read the JSON file of one video.

    Raises:
        InputError: not such a file; categories whose ids have gaps; an instance that has not 15 values, or an id
            outside its category; a frame that is no number; fewer or more frames than `num_frames` says.
    """
    values = read_json(path, "triplet annotations")
    fps = float(member(values, "fps", (int, float), str(path)))
    declared = member(values, "num_frames", int, str(path))
    listed = member(values, "categories", (dict, list), str(path))
    if isinstance(listed, list):
        listed = {key: value for one in listed if isinstance(one, dict) for key, value in one.items()}
    categories = {component: _names(listed, component, path) for component in get_args(Component)}
    annotations = member(values, "annotations", dict, str(path))
    if len(annotations) != declared:
        raise InputError(path, f"annotations of {declared} frames, as num_frames says", str(len(annotations)))
    frames, owners, instances = [], [], []
    for k, key in enumerate(sorted(annotations, key=lambda key: _frame(key, path))):
        frames.append(_frame(key, path))
        for one in member(annotations, key, list, f"{path}, annotations"):
            instances.append(_instance(one, categories, f"{path}, frame {key}"))
            owners.append(k)
    return TripletVideo(
        case,
        path,
        fps,
        categories,
        np.array(frames, np.int64),
        np.array(owners, np.int64),
        np.array(instances, np.float64).reshape(-1, _VALUES),
    )


@dataclass(frozen=True, slots=True)
class TripletPrediction:
    """What a model of the triplet challenge wrote for one video.

    Attributes:
        recognition: the scores of every triplet on every frame.
        detections: (m, 8) float64: place in the frames, triplet, instrument, its score, left, top, width, height.
    """

    recognition: ScoreTrack
    detections: npt.NDArray[np.float64]


def read_triplet_prediction(path: Path, classes: tuple[str, ...], case: str) -> TripletPrediction:
    """Read a prediction file of the CholecTriplet challenge (ivtmetrics): frame -> `recognition`, `detection`.

    Args:
        path: of the file.
        classes: names of the triplets.
        case: its name.

    Raises:
        InputError: not such a file; a frame without one score in [0, 1] for each class; a detection that has not a
            triplet and an instrument with id, score and box.
    """
    values = read_json(path, "triplet predictions")
    if not isinstance(values, dict) or not values:
        raise InputError(path, "an object of frames", "none")
    frames, scores, detections = [], [], []
    for k, key in enumerate(sorted(values, key=lambda key: _frame(key, path))):
        where = f"{path}, frame {key}"
        frames.append(_frame(key, path))
        row = member(values[key], "recognition", list, where)
        if len(row) != len(classes) or not all(_is_number(one) and 0 <= one <= 1 for one in row):
            raise InputError(where, f"{len(classes)} scores from 0 to 1", f"{len(row)}: {str(row[:3])[:40]}")
        scores.append(row)
        for one in values[key].get("detection", []):
            instrument = member(one, "instrument", list, where)
            if len(instrument) != 6 or not all(map(_is_number, instrument)):
                raise InputError(where, "an instrument with id, score and box", str(instrument)[:60])
            detections.append([k, member(one, "triplet", int, where), *instrument])
    track = ScoreTrack(case, path, classes, np.array(frames, np.int64), np.array(scores, np.float64))
    return TripletPrediction(track, np.array(detections, np.float64).reshape(-1, 8))


def read_label_mapping(path: Path) -> npt.NDArray[np.int64]:
    """The table of triplets' parts, `label_mapping.txt` or `maps.txt`.

    Returns:
        (triplets, 6) int64, ids in the order of `PARTS`; row k belongs to triplet k.

    Raises:
        InputError: not such a file, or triplets that are not 0, 1, 2 ...
    """
    rows = []
    for k, line in enumerate(read_text(path, "a table of triplets").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            fields = [field.strip() for field in line.split(",")]
            if len(fields) != len(PARTS) or not all(re.fullmatch(r"[0-9]{1,6}", field) for field in fields):
                raise InputError(f"{path}, line {k}", f"{len(PARTS)} ids", repr(line[:60]))
            rows.append([int(field) for field in fields])
    table = np.array(rows, np.int64).reshape(-1, len(PARTS))
    if not np.array_equal(table[:, 0], np.arange(len(table))) or len(table) == 0:
        raise InputError(path, "triplets 0, 1, 2 ... in order", "others" if len(table) else "none")
    return table


def take_apart(scores: npt.NDArray[np.float64], mapping: npt.NDArray[np.int64], part: str) -> npt.NDArray[np.float64]:
    """Scores of a part of triplets: for each class the largest of the triplets it belongs to, as ivtmetrics has it.

    Args:
        scores: (n, triplets).
        mapping: of `read_label_mapping`.
        part: one of `PARTS`.

    Returns:
        (n, classes of the part), in the order of their ids.

    Raises:
        InputError: the number of triplets differs, or there is no such part.
    """
    if part not in PARTS:
        raise InputError("part", f"one of {list(PARTS)}", part)
    if scores.ndim != 2 or scores.shape[1] != len(mapping):
        raise InputError("scores", f"(n, {len(mapping)})", str(scores.shape))
    owner = mapping[:, PARTS.index(part)]
    return np.stack([scores[:, owner == one].max(axis=1) for one in np.unique(owner)], axis=1)


def _names(listed: Any, component: Component, path: Path) -> tuple[str, ...]:
    where = f"{path}, categories"
    names = member(listed, component, dict, where)
    if sorted(names) != sorted(map(str, range(len(names)))) or not names:
        raise InputError(f"{where}, {component}", "ids 0, 1, 2 ...", f"{sorted(names)[:8]}")
    return tuple(str(names[str(k)]) for k in range(len(names)))


def _frame(key: str, path: Path) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", key):
        raise InputError(path, "frame numbers", repr(key[:40]))
    return int(key)


def _instance(one: Any, categories: dict[Component, tuple[str, ...]], where: str) -> list[float]:
    if not isinstance(one, list) or len(one) != _VALUES or not all(map(_is_number, one)):
        found = f"{len(one)}" if isinstance(one, list) else type(one).__name__
        raise InputError(where, f"{_VALUES} numbers an instance", found)
    for component, column in _COLUMN.items():
        number = one[column]
        if number != int(number) or not -1 <= number < len(categories[component]):
            raise InputError(where, f"a {component} from -1 to {len(categories[component]) - 1}", f"{number}")
    return [float(value) for value in one]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
