"""What an ONNX file says of itself: precision and metadata, read without the onnx package: it is a protocol buffer."""

from collections.abc import Iterator
from typing import Literal

from surgical_ml.errors import InputError

Precision = Literal["fp32", "fp16", "int8"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH, _METADATA = 7, 14
_KEY, _VALUE = 1, 2
_NODE, _INITIALISER = 1, 5
_OPERATOR, _DATA_TYPE = 4, 2
_FLOAT16 = 10


def precision_of(model: bytes, where: object = "network") -> Precision:
    """The narrowest arithmetic in a network: int8 where it quantises, else fp16 where weights are, else fp32.

    Args:
        model: an ONNX file's content.
        where: names it in errors.

    Raises:
        InputError: it is none, or is cut off.
    """
    found: Precision = "fp32"
    nodes = 0
    try:
        for graph in _inside(memoryview(model), _GRAPH):
            for node in _inside(graph, _NODE):
                nodes += 1
                if any(bytes(name) == b"QuantizeLinear" for name in _inside(node, _OPERATOR)):
                    return "int8"
            for tensor in _inside(graph, _INITIALISER):
                if any(field == _DATA_TYPE and value == _FLOAT16 for field, value in _fields(tensor)):
                    found = "fp16"
    except (IndexError, ValueError) as error:
        raise InputError(where, "an ONNX file", "a protocol buffer that is cut off, or none") from error
    if not nodes:
        raise InputError(where, "an ONNX file", "no operator in it")
    return found


def metadata_of(model: bytes, where: object = "network") -> dict[str, str]:
    """What whoever exported a network wrote beside it, by name.

    Args:
        model: an ONNX file's content.
        where: names it in errors.

    Raises:
        InputError: it is none, or is cut off.
    """
    found = {}
    try:
        for entry in _inside(memoryview(model), _METADATA):
            told = {
                field: bytes(value).decode("utf-8") for field, value in _fields(entry) if not isinstance(value, int)
            }
            found[told.get(_KEY, "")] = told.get(_VALUE, "")
    except (IndexError, ValueError) as error:
        raise InputError(where, "an ONNX file", "a protocol buffer that is cut off, or none") from error
    return found


def _inside(message: memoryview, wanted: int) -> Iterator[memoryview]:
    for field, value in _fields(message):
        if field == wanted and isinstance(value, memoryview):
            yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and content of each field; a number, or bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(kind)
        if size > len(message) - at:
            raise IndexError(at)
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(shift)
