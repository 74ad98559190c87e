"""Masks as images: label maps, coloured scenes (EndoVis 2018), per-instrument folders (EndoVis 2017), CholecSeg8k."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.labels.files import member, read_bytes, read_json

LabelMap = npt.NDArray[np.int64]

IGNORED = 255
"""The id of pixels that nobody can tell: they are left out of every score (Endoscapes, CholecSeg8k's edges)."""

CHOLECSEG8K_CLASSES = (
    "Black Background",
    "Abdominal Wall",
    "Liver",
    "Gastrointestinal Tract",
    "Fat",
    "Grasper",
    "Connective Tissue",
    "Blood",
    "Cystic Duct",
    "L-hook Electrocautery",
    "Gallbladder",
    "Hepatic Vein",
    "Liver Ligament",
)
_WATERSHED = (0x50, 0x11, 0x21, 0x13, 0x12, 0x31, 0x23, 0x24, 0x25, 0x32, 0x22, 0x33, 0x05)
_WATERSHED_UNLABELLED = (0x00, 0xFF)

ENDOVIS17_TYPES = (
    "background",
    "Bipolar Forceps",
    "Prograsp Forceps",
    "Large Needle Driver",
    "Vessel Sealer",
    "Grasping Retractor",
    "Monopolar Curved Scissors",
    "Other",
)

ENDOVIS17_PARTS = ("background", "shaft", "wrist", "claspers", "probe")
_PARTS17 = (10, 20, 30, 40)
"""Values of the parts in a mask, in the order of `ENDOVIS17_PARTS` after the background."""

ENDOVIS18_COLOURS: Mapping[tuple[int, int, int], str] = MappingProxyType(
    {
        (0, 0, 0): "background-tissue",
        (0, 255, 0): "instrument-shaft",
        (0, 255, 255): "instrument-clasper",
        (125, 255, 12): "instrument-wrist",
        (255, 55, 0): "kidney-parenchyma",
        (24, 55, 125): "covered-kidney",
        (187, 155, 25): "thread",
        (0, 255, 125): "clamps",
        (255, 255, 125): "suturing-needle",
        (123, 15, 175): "suction-instrument",
        (124, 155, 5): "small-intestine",
        (12, 255, 141): "ultrasound-probe",
    }
)
"""Red, green, blue of each class of the 2018 scene data; their order is that of the class ids."""


def read_label_map(path: Path) -> LabelMap:
    """A picture whose pixel values are class ids: grey of 8 or 16 bit, grey stored as colour, or indices of a palette.

    Returns:
        (height, width) int64.

    Raises:
        InputError: no file, not a whole picture, or a picture in colours.
    """
    data, picture = _read_picture(path)
    if picture.ndim == 2:
        return picture.astype(np.int64)
    palette = _palette(data)
    if palette is not None:
        colours = {colour: k for k, colour in reversed(list(enumerate(palette)))}
        if len(colours) < len(palette):
            # an index that shares its colour with another cannot be told from it, so such a palette may only be padded
            used = {colour for colour in colours if palette.count(colour) > 1} & set(_colours_in(picture))
            if any(colour != palette[-1] for colour in used):
                raise InputError(path, "a palette of different colours", f"{sorted(used)[0]} twice")
        return _by_colour(picture, colours, path)
    plain = picture[..., :3]
    if (plain[..., 0] != plain[..., 1]).any() or (plain[..., 0] != plain[..., 2]).any():
        raise InputError(path, "a label map: one value a pixel", "a picture in colours")
    return plain[..., 0].astype(np.int64)


def read_colour_map(path: Path, colours: Mapping[tuple[int, int, int], int]) -> LabelMap:
    """A picture whose colours are classes.

    Args:
        path: of the picture.
        colours: red, green, blue -> id.

    Returns:
        (height, width) int64.

    Raises:
        InputError: no file, not a whole picture, or a colour that is no class.
    """
    _, picture = _read_picture(path)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    return _by_colour(picture, colours, path)


def read_endovis18(path: Path) -> LabelMap:
    """A scene mask of EndoVis 2018; ids in the order of `ENDOVIS18_COLOURS`.

    Raises:
        InputError: as `read_colour_map`.
    """
    return read_colour_map(path, {colour: k for k, colour in enumerate(ENDOVIS18_COLOURS)})


def read_colours(path: Path) -> dict[tuple[int, int, int], int]:
    """EndoVis 2018's `labels.json`: a list of objects with `color` and `classid`.

    Raises:
        InputError: not such a file, or a colour that is there twice.
    """
    colours: dict[tuple[int, int, int], int] = {}
    values = read_json(path, "a list of classes")
    for k, one in enumerate(values if isinstance(values, list) else [values]):
        where = f"{path}, class {k}"
        colour = member(one, "color", list, where)
        if len(colour) != 3 or not all(isinstance(part, int) and 0 <= part <= 255 for part in colour):
            raise InputError(where, "red, green and blue from 0 to 255", str(colour)[:40])
        key = (colour[0], colour[1], colour[2])
        if key in colours:
            raise InputError(where, "a colour of its own", f"{key} again")
        colours[key] = member(one, "classid", int, where)
    return colours


def read_endovis17(ground_truth: Path, picture: str) -> LabelMap:
    """One frame of an EndoVis 2017 training sequence, which has a folder an instrument: `Left_Prograsp_Forceps_labels`.

    Any value above 0 is the instrument, whichever of its parts. Where two overlap, the folder later in the alphabet
    wins.

    Args:
        ground_truth: the folder `ground_truth` of a sequence.
        picture: the frame's file name.

    Returns:
        (height, width) int64, ids of `ENDOVIS17_TYPES`.

    Raises:
        InputError: no folder of an instrument, one whose type is unknown, or one whose frame is missing or of another
            size.
    """
    result: LabelMap | None = None
    for folder, mask in _instruments17(ground_truth, picture):
        if result is None:
            result = np.zeros_like(mask)
        result[mask > 0] = _type17(folder)
    assert result is not None
    return result


def read_endovis17_parts(ground_truth: Path, picture: str) -> LabelMap:
    """The parts in one frame of an EndoVis 2017 training sequence: shaft 10, wrist 20, claspers 30, probe 40.

    Overlaps are as in `read_endovis17`. The folder `Other` has no parts: its pixels are `IGNORED`.

    Args:
        ground_truth: the folder `ground_truth` of a sequence.
        picture: the frame's file name.

    Returns:
        (height, width) int64: 0 background, 1 shaft, 2 wrist, 3 claspers, 4 probe.

    Raises:
        InputError: as `read_endovis17`, or a value that is no part.
    """
    result: LabelMap | None = None
    for folder, mask in _instruments17(ground_truth, picture):
        if result is None:
            result = np.zeros_like(mask)
        if ENDOVIS17_TYPES[_type17(folder)] == "Other":
            result[mask > 0] = IGNORED
            continue
        odd = ~np.isin(mask, (0, *_PARTS17))
        if odd.any():
            raise InputError(folder / picture, f"parts {', '.join(map(str, _PARTS17))}", str(int(mask[odd][0])))
        result[mask > 0] = mask[mask > 0] // _PARTS17[0]
    assert result is not None
    return result


def _instruments17(ground_truth: Path, picture: str) -> Iterator[tuple[Path, LabelMap]]:
    """Each instrument's folder and its mask, all of one size."""
    folders = sorted(ground_truth.glob("*_labels"))
    if not folders:
        raise InputError(ground_truth, "a folder *_labels for each instrument", "none")
    size: tuple[int, ...] | None = None
    for folder in folders:
        _type17(folder)
        mask = read_label_map(folder / picture)
        size = size or mask.shape
        if mask.shape != size:
            raise InputError(folder / picture, f"{size[1]}x{size[0]}", f"{mask.shape[1]}x{mask.shape[0]}")
        yield folder, mask


def _type17(folder: Path) -> int:
    """The id of an instrument's type, by the name of its folder."""
    name = re.sub(r"_(Left|Right)$|^(Left|Right)_|^Maryland_", "", folder.name.removesuffix("_labels"))
    known = [one.replace(" ", "_") for one in ENDOVIS17_TYPES]
    if name not in known:
        raise InputError(folder, f"an instrument of {', '.join(known[1:])}", name)
    return known.index(name)


def read_cholecseg8k(path: Path) -> LabelMap:
    """A watershed mask of CholecSeg8k, `frame_80_endo_watershed_mask.png`: grey values that are the data set's colours.

    The two values that the data set does not document, black pixels that were never labelled and a white edge one pixel
    wide, become `IGNORED`.

    Returns:
        (height, width) int64, ids of `CHOLECSEG8K_CLASSES`.

    Raises:
        InputError: no file, not a whole picture, or a value that is no class (a colour mask is none).
    """
    values = read_label_map(path)
    ids = np.full(256, -1, np.int64)
    ids[list(_WATERSHED)] = range(len(_WATERSHED))
    ids[list(_WATERSHED_UNLABELLED)] = IGNORED
    if values.max(initial=0) > 255 or (ids[values] < 0).any():
        odd = int(values[(values > 255) | (ids[np.minimum(values, 255)] < 0)][0])
        raise InputError(path, "watershed values of CholecSeg8k", f"0x{odd:02x}")
    return np.asarray(ids[values])


def _read_picture(path: Path) -> tuple[bytes, npt.NDArray[np.uint8]]:
    """The file's bytes; and (h, w), or (h, w, 3) or (h, w, 4) with red first."""
    data = read_bytes(path, "a picture")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise InputError(path, "a whole picture", f"{len(data)} bytes that are none") from error
    if picture is None:
        raise InputError(path, "a whole picture", f"{len(data)} bytes that are none")
    if picture.ndim == 3:
        picture = picture[..., [2, 1, 0, *range(3, picture.shape[2])]]
    return data, picture


def _palette(data: bytes) -> list[tuple[int, int, int]] | None:
    """The palette of a PNG file; None where pixels have values of their own."""
    at = data.find(b"PLTE", 0, 1 << 16)
    if not data.startswith(b"\x89PNG") or data[25] != 3 or at < 4:
        return None
    entries = np.frombuffer(data, np.uint8, int.from_bytes(data[at - 4 : at], "big"), at + 4).reshape(-1, 3)
    return [(int(r), int(g), int(b)) for r, g, b in entries]


def _colours_in(picture: npt.NDArray[np.uint8]) -> list[tuple[int, int, int]]:
    codes = np.unique(_codes(picture))
    return [(int(code >> 16), int(code >> 8 & 255), int(code & 255)) for code in codes]


def _codes(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    wide = picture.astype(np.int64)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2])


def _by_colour(picture: npt.NDArray[np.uint8], colours: Mapping[tuple[int, int, int], int], path: Path) -> LabelMap:
    distinct, places = np.unique(_codes(picture), return_inverse=True)
    ids = []
    for code in distinct:
        colour = (int(code >> 16), int(code >> 8 & 255), int(code & 255))
        if colour not in colours:
            raise InputError(path, "colours of known classes", f"{colour}")
        ids.append(colours[colour])
    return np.array(ids, np.int64)[places].reshape(picture.shape[:2])
