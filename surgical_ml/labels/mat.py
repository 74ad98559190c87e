"""MATLAB files of level 5 (`-v6`, `-v7`), as far as label files need them: numbers, text and cells of those.

Read here and not by SciPy: the format is short, and the core needs no further package for it. Source: "MAT-File
Format", The MathWorks.
"""

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.labels.files import read_bytes

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
    16: "u1",
    17: "u2",
}
_NUMERIC = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_CELL, _CHAR = 1, 4
_OTHER = {2: "a struct", 3: "an object", 5: "a sparse matrix", 16: "a function", 17: "an opaque object"}
_COMPLEX = 0x0800
_DEEPEST = 8

LARGEST_BYTES = 1 << 30
"""Of one variable, unpacked; a label file needs far less, a small file can claim far more."""


class _Bad(Exception):
    """What is wrong, in words; `read_mat` adds the file."""


def read_mat(path: Path) -> dict[str, Any]:
    """The variables of a file: arrays of numbers, strings, and lists for cells (in MATLAB's order of columns).

    Raises:
        InputError: not a whole file of level 5, or it holds something else than numbers, text and cells.
    """
    data = read_bytes(path, "a MATLAB file of level 5")
    if data.startswith(b"\x89HDF"):
        raise InputError(path, "a MATLAB file of level 5", "level 7.3; save it with -v7")
    if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI"):
        raise InputError(path, "a MATLAB file of level 5", "another format")
    order = "<" if data[126:128] == b"IM" else ">"
    variables: dict[str, Any] = {}
    try:
        at = _HEADER
        while at < len(data):
            element, at = _element(data, at, order)
            if element.kind == _COMPRESSED:
                element, _ = _element(_unpacked(element.data), 0, order)
            if element.kind != _MATRIX:
                raise _Bad(f"an element of type {element.kind}")
            name, value = _matrix(element.data, order, 0)
            variables[name] = value
    except _Bad as bad:
        raise InputError(path, "a whole MATLAB file of numbers, text and cells", str(bad)) from None
    if not variables:
        raise InputError(path, "at least one variable", "none")
    return variables


@dataclass(frozen=True, slots=True)
class _Element:
    kind: int
    data: bytes


def _element(data: bytes, at: int, order: str) -> tuple[_Element, int]:
    """The data element at an offset, and the offset after it."""
    if at + 8 > len(data):
        raise _Bad(f"the end inside a tag at byte {at}")
    kind, size = struct.unpack_from(order + "II", data, at)
    if kind >> 16:
        # a small element: type and size share the first word, the data is the second
        kind, size, begin, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        if size > 4:
            raise _Bad(f"a small element of {size} bytes")
    else:
        begin = at + 8
        end = begin + (size if kind == _COMPRESSED else size + -size % 8)
    if begin + size > len(data):
        raise _Bad(f"the end inside {size} bytes at byte {at}")
    return _Element(kind, data[begin : begin + size]), min(end, len(data))


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        whole = unpacker.decompress(data, LARGEST_BYTES)
    except zlib.error as error:
        raise _Bad(f"broken compression ({error})") from error
    if not unpacker.eof:
        raise _Bad(f"compression that is cut short, or more than {LARGEST_BYTES} bytes")
    return whole


def _matrix(data: bytes, order: str, depth: int) -> tuple[str, Any]:
    """Name and value of a matrix element."""
    if depth > _DEEPEST:
        raise _Bad(f"cells more than {_DEEPEST} deep")
    if not data:
        return "", np.empty((0, 0))
    flags, at = _element(data, 0, order)
    if flags.kind != 6 or len(flags.data) != 8:
        raise _Bad("a matrix without flags")
    word = struct.unpack(order + "I", flags.data[:4])[0]
    shape_element, at = _element(data, at, order)
    shape = [int(n) for n in _numbers(shape_element, order)]
    if len(shape) < 2 or min(shape) < 0:
        raise _Bad(f"a matrix of shape {shape}")
    name_element, at = _element(data, at, order)
    name = name_element.data.decode("latin-1")
    count, kind = math.prod(shape), word & 0xFF
    if kind == _CELL:
        cells = []
        for _ in range(count):
            element, at = _element(data, at, order)
            if element.kind != _MATRIX:
                raise _Bad(f"a cell of type {element.kind}")
            cells.append(_matrix(element.data, order, depth + 1)[1])
        return name, cells
    if word & _COMPLEX or kind not in (*_NUMERIC, _CHAR):
        raise _Bad(f"{name or 'a cell'}, {'complex' if word & _COMPLEX else _OTHER.get(kind, f'of class {kind}')}")
    stored, at = _element(data, at, order)
    values = _numbers(stored, order)
    if len(values) != count:
        raise _Bad(f"{name or 'a cell'} with {len(values)} values for shape {shape}")
    if kind == _CHAR:
        return name, "".join(map(chr, values.astype(np.uint32) % 0x110000))
    return name, values.astype(_NUMERIC[kind]).reshape(shape, order="F")


def _numbers(element: _Element, order: str) -> Any:
    if element.kind not in _STORED:
        raise _Bad(f"numbers of type {element.kind}")
    stored = np.dtype(order + _STORED[element.kind])
    if len(element.data) % stored.itemsize:
        raise _Bad(f"{len(element.data)} bytes for numbers of {stored.itemsize}")
    return np.frombuffer(element.data, stored)
