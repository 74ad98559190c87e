"""Views of a pattern from a folder of pictures or a video: looked for, chosen, and what is still missing among them."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from surgical_ml.calibration.camera import coverage
from surgical_ml.calibration.files import source_of
from surgical_ml.calibration.model import RejectedView, SourceFile
from surgical_ml.calibration.pattern import Pattern, find, why_not_found
from surgical_ml.calibration.view import Placement, View, placement
from surgical_ml.errors import InputError
from surgical_ml.video import Image, open_source
from surgical_ml.video.folder import EXTENSIONS

ENOUGH = 15
MOST = 30
"""More views than this cost time and tell nothing new, where they are chosen well."""

LOOKED_AT_PER_S = 2.0
LEAST_APART = 0.08
"""Placements nearer than this are one view of a pattern that was held still."""

_LOOKS = 12
_TILT = 0.17
_SIZES = 1.3

Observe = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True, eq=False)
class Collected:
    """What was found in pictures.

    Attributes:
        views: one for each picture that shows the whole pattern sharply, in order.
        rejected: the other pictures, with the reason.
        looked_at: how many pictures were looked at.
        sample: the first picture that shows the pattern, (H, W, 3) BGR, for the report.
    """

    views: tuple[View, ...]
    rejected: tuple[RejectedView, ...]
    looked_at: int
    sample: Image


def pictures_of(spec: str) -> Iterator[tuple[str, Image | None, int, int | None]]:
    """Each picture of a folder, or two of every second of a video: its name, itself, its number from 1, and how many.

    A file that cannot be decoded comes as None.

    Raises:
        InputError: there is nothing, no picture in the folder, or no video in the file.
    """
    path = Path(spec)
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.suffix.lower() in EXTENSIONS and one.name[0] != ".")
        if not files:
            raise InputError(path, f"a folder with pictures ({', '.join(EXTENSIONS)})", "none")
        for number, file in enumerate(files, 1):
            data = np.frombuffer(file.read_bytes(), np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
            yield file.name, None if image is None else np.asarray(image, np.uint8), number, len(files)
        return
    with open_source(spec) as source:
        total, due_ns = source.info.frames, None
        for number, frame in enumerate(source, 1):
            if due_ns is None or frame.stamp_ns >= due_ns:
                due_ns = frame.stamp_ns + round(1e9 / LOOKED_AT_PER_S)
                yield f"{frame.stamp_ns / 1e9:.2f} s", frame.image, number, total


def collect(spec: str, pattern: Pattern, observe: Observe = lambda *_: None) -> Collected:
    """Find a pattern in every picture of a folder, or in two frames of every second of a video.

    Args:
        spec: the folder, or the video as `open_source` takes it.
        pattern: what to look for.
        observe: told how many pictures are done, and of how many.

    Raises:
        InputError: there are no pictures, or none shows the pattern; with what they show instead.
    """
    views, rejected, unlike = list[View](), list[RejectedView](), list[Image]()
    sample: Image | None = None
    looked_at = 0
    for name, image, number, total in pictures_of(spec):
        looked_at += 1
        found = "not a picture that can be decoded" if image is None else find(pattern, image, name)
        if isinstance(found, View):
            sample = image if sample is None else sample
            views.append(found)
        else:
            rejected.append(RejectedView(name=name, reason=found))
            if image is not None and len(unlike) < _LOOKS:
                unlike.append(image)
        observe(number, total)
    if sample is None:
        reasons = [one.reason for one in rejected]
        commonest = max(sorted(set(reasons)), key=reasons.count) if reasons else "nothing in it"
        shown = why_not_found(pattern, unlike) if unlike else ""
        raise InputError(
            spec,
            f"pictures of the pattern {pattern}",
            f"none in {looked_at}: {commonest}" + (f"; {shown}" if shown else ""),
        )
    return Collected(tuple(views), tuple(rejected), looked_at, sample)


def pair_up(left: Collected, right: Collected) -> tuple[list[tuple[View, View]], list[RejectedView]]:
    """Views of two collections whose pictures lie at the same place in both, and those that only one side has.

    Pictures are matched by name where the names are the same, otherwise by the digits in them (`left_07`, `right_07`).

    Raises:
        InputError: no picture of one side has a partner on the other.
    """
    by_name = {view.name for view in left.views} & {view.name for view in right.views}
    keys = [[view.name if by_name else _number(view.name) for view in side.views] for side in (left, right)]
    for numbers, spec in zip(keys, ("left", "right"), strict=True):
        if len(set(numbers)) < len(numbers):
            raise InputError("pairs", "pictures whose names end in different numbers", f"two with one number, {spec}")
    on_right = dict(zip(keys[1], right.views, strict=True))
    pairs = [(view, on_right[key]) for key, view in zip(keys[0], left.views, strict=True) if key in on_right]
    if not pairs:
        names = f"{left.views[0].name} and {right.views[0].name}"
        raise InputError("pairs", "left and right pictures with the same names or numbers", names)
    lonely = []
    for side, other, own, of_other, seen in (
        ("left", "right", keys[0], keys[1], left.views),
        ("right", "left", keys[1], keys[0], right.views),
    ):
        for key, view in zip(own, seen, strict=True):
            if key not in of_other:
                reason = f"the pattern was not found in the {other} picture"
                lonely.append(RejectedView(name=f"{side} {view.name}", reason=reason))
    return pairs, lonely


def choose(views: Sequence[View], most: int = MOST) -> list[View]:
    """The views that differ most in where the pattern was held, in their old order; no two of a pattern held still.

    Farthest first: each choice is the view least like all that were chosen before.
    """
    places = [placement(view) for view in views]
    chosen = [0]
    nearest = np.array([place.distance(places[0]) for place in places])
    while len(chosen) < min(most, len(views)):
        farthest = int(np.argmax(nearest))
        if nearest[farthest] < LEAST_APART:
            break
        chosen.append(farthest)
        nearest = np.minimum(nearest, [place.distance(places[farthest]) for place in places])
    return [views[index] for index in sorted(chosen)]


def missing(views: Sequence[View]) -> tuple[str, ...]:
    """What to do with the pattern to make a calibration better: one short sentence each, nothing where all is well."""
    told = []
    if len(views) < ENOUGH:
        told.append(f"{ENOUGH - len(views)} more views")
    if not views:
        return tuple(told)
    grid = np.array(coverage(views))
    # two cells along every border: what a lens does there is told by nothing else
    rows, columns = (np.split(np.arange(side), (2, side - 2)) for side in grid.shape)
    for down, row in zip(("upper", "middle", "lower"), rows, strict=True):
        for across, column in zip(("left", "centre", "right"), columns, strict=True):
            if not grid[np.ix_(row, column)].any():
                told.append(f"the pattern in the {down} {across} of the picture")
    places = [placement(view) for view in views]
    told += _leans(places)
    sizes = [place.size for place in places]
    if max(sizes) < _SIZES * min(sizes):
        told.append("the pattern nearer and farther away")
    return tuple(told)


def provenance_sources(*specs: str) -> tuple[SourceFile, ...]:
    """What a calibration was made from: each folder or file with its digest; live sources have none."""
    return tuple(source_of(Path(spec)) for spec in specs if Path(spec).exists())


def taken_at(*specs: str) -> str | None:
    """When the youngest of the pictures was written, ISO 8601 in UTC; None of live sources: what ages is the camera."""
    stamps = [
        one.stat().st_mtime
        for spec in specs
        if Path(spec).exists()
        for one in (Path(spec).iterdir() if Path(spec).is_dir() else [Path(spec)])
    ]
    return f"{datetime.fromtimestamp(max(stamps), UTC):%Y-%m-%dT%H:%M:%SZ}" if stamps else None


def _leans(places: Sequence[Placement]) -> list[str]:
    told = []
    for values, axis in (
        ([place.tilt_x for place in places], "horizontal"),
        ([place.tilt_y for place in places], "vertical"),
    ):
        if max(values) < _TILT or min(values) > -_TILT:
            told.append(f"the pattern tilted both ways about its {axis} axis, by 20 to 45 degrees")
    return told


def _number(name: str) -> str:
    """The last number in a picture's name, or the whole name where there is none."""
    found = re.findall(r"\d+", Path(name).stem)
    return found[-1].lstrip("0") or "0" if found else name
