"""Instances in COCO's JSON (Endoscapes, CholecInstanceSeg, PhaKIR): boxes, polygons, run-length masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.labels.files import member, read_json

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CocoImage:
    """A picture: its id, file name, and size in pixels."""

    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class CocoInstance:
    """An instance; `image` and `category` are ids.

    Attributes:
        box_px: left, top, width, height.
        score: None in a ground truth.
        shape: the segmentation as the file has it: polygons, a run-length object, or None for a box without a mask.
    """

    id: int
    image: int
    category: int
    box_px: tuple[float, float, float, float]
    score: float | None
    shape: Any


@dataclass(frozen=True, slots=True)
class CocoSet:
    """A file: pictures and categories by id, instances in the file's order."""

    path: Path
    images: dict[int, CocoImage]
    categories: dict[int, str]
    instances: tuple[CocoInstance, ...]

    def mask(self, instance: CocoInstance) -> Mask:
        """(height, width) bool.

        Raises:
            InputError: the instance has no segmentation, or one that does not fit its picture.
        """
        image = self.images[instance.image]
        where = f"{self.path}, annotation {instance.id}"
        if isinstance(instance.shape, list) and instance.shape:
            return _polygons(instance.shape, image, where)
        if isinstance(instance.shape, dict):
            return _runs(instance.shape, image, where)
        raise InputError(where, "polygons or a run-length mask", "none")

    def label_map(self, image: int) -> npt.NDArray[np.int64]:
        """Category ids of a picture's pixels, 0 where there is none; (height, width). Later instances lie on top.

        Raises:
            InputError: there is no such picture, a category has id 0, or an instance has no usable mask.
        """
        if image not in self.images:
            raise InputError(self.path, "the id of a picture", str(image))
        size = self.images[image]
        labels = np.zeros((size.height, size.width), np.int64)
        for instance in self.instances:
            if instance.image == image:
                if instance.category == 0:
                    raise InputError(self.path, "categories from 1 in a label map, where 0 is background", "0")
                labels[self.mask(instance)] = instance.category
        return labels


def read_coco(path: Path) -> CocoSet:
    """Read a file of instances.

    Raises:
        InputError: not such a file; an id that is there twice; an annotation of an unknown picture or category, or
            whose box has no area or lies outside its picture (boxes of -1 among them).
    """
    values = read_json(path, "COCO instances")
    images, categories = {}, {}
    for k, one in enumerate(member(values, "images", list, str(path))):
        where = f"{path}, image {k}"
        width, height = member(one, "width", int, where), member(one, "height", int, where)
        image = CocoImage(member(one, "id", int, where), member(one, "file_name", str, where), width, height)
        if image.id in images or not (0 < width <= 1 << 15 and 0 < height <= 1 << 15):
            raise InputError(where, "an id of its own and a size", f"id {image.id}, {width}x{height}")
        images[image.id] = image
    for k, one in enumerate(member(values, "categories", list, str(path))):
        where = f"{path}, category {k}"
        number = member(one, "id", int, where)
        if number in categories:
            raise InputError(where, "an id of its own", str(number))
        categories[number] = member(one, "name", str, where)
    instances, seen = [], set()
    for k, one in enumerate(member(values, "annotations", list, str(path))):
        instance = _instance(one, images, categories, f"{path}, annotation {k}")
        if instance.id in seen:
            raise InputError(f"{path}, annotation {k}", "an id of its own", str(instance.id))
        seen.add(instance.id)
        instances.append(instance)
    return CocoSet(path, images, categories, tuple(instances))


def _instance(one: Any, images: dict[int, CocoImage], categories: dict[int, str], where: str) -> CocoInstance:
    image, category = member(one, "image_id", int, where), member(one, "category_id", int, where)
    if image not in images:
        raise InputError(where, "the id of a picture", str(image))
    if category not in categories:
        raise InputError(where, f"a category of {sorted(categories)}", str(category))
    box = member(one, "bbox", list, where)
    if len(box) != 4 or not all(isinstance(part, int | float) and abs(part) < 1e9 for part in box):
        raise InputError(where, "a box of 4 numbers", str(box)[:60])
    left, top, width, height = (float(part) for part in box)
    size = images[image]
    # a pixel of slack: tools round differently at the border
    inside = left >= -1 and top >= -1 and left + width <= size.width + 1 and top + height <= size.height + 1
    if width <= 0 or height <= 0 or not inside:
        raise InputError(where, f"a box inside {size.width}x{size.height}", f"{box}")
    score = float(member(one, "score", (int, float), where)) if "score" in one else None
    return CocoInstance(
        member(one, "id", int, where), image, category, (left, top, width, height), score, one.get("segmentation")
    )


def _polygons(shapes: Sequence[Any], image: CocoImage, where: str) -> Mask:
    """Pixels whose centre lies in any of the polygons (even-odd)."""
    mask = np.zeros((image.height, image.width), np.bool_)
    for one in shapes:
        if not isinstance(one, list) or len(one) < 6 or len(one) % 2 or not all(_is_number(part) for part in one):
            raise InputError(where, "polygons of three points or more", str(one)[:60])
        mask |= _polygon(np.array(one, np.float64).reshape(-1, 2), image)
    return mask


def _polygon(points: npt.NDArray[np.float64], image: CocoImage) -> Mask:
    """Each edge flips, in the rows whose centre it crosses, what lies right of it."""
    flips = np.zeros((image.height, image.width + 1), np.int64)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        low, high = sorted((y0, y1))
        rows = np.arange(max(0, np.ceil(low - 0.5)), min(image.height, np.ceil(high - 0.5)), dtype=np.int64)
        if len(rows):
            x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            flips[rows, np.clip(np.ceil(x - 0.5), 0, image.width).astype(np.int64)] += 1
    return np.asarray(flips.cumsum(axis=1)[:, :-1] % 2 == 1)


def _runs(shape: dict[str, Any], image: CocoImage, where: str) -> Mask:
    """Alternating runs of absence and presence, column by column; as numbers, or packed six bits to a character."""
    if member(shape, "size", list, where) != [image.height, image.width]:
        raise InputError(where, f"a mask of {image.height}x{image.width}", f"{shape['size']}")
    counts = member(shape, "counts", (list, str), where)
    if isinstance(counts, str):
        counts = _unpacked(counts, where)
    total = image.height * image.width
    if not all(isinstance(one, int) and 0 <= one <= total for one in counts) or sum(counts) != total:
        raise InputError(where, f"runs over {total} pixels", f"{str(counts)[:40]}")
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(image.width, image.height).T


def _unpacked(text: str, where: str) -> list[int]:
    """COCO's compressed counts: five bits and a bit to go on a character; from the fourth on, less the one but last."""
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 60:
            raise InputError(where, "compressed runs", repr(text[:40]))
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise InputError(where, "compressed runs", "text that is cut short")
    return counts


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
