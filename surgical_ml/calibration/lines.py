"""YAML whose keys remember their lines, so that a refusal can say where."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from surgical_ml.errors import InputError

MAX_BYTES = 16 * 1024 * 1024  # a calibration is a few kilobytes; anything larger is another kind of file
OPENCV_MATRIX = "tag:yaml.org,2002:opencv-matrix"


class _Loader(yaml.SafeLoader):
    """Safe YAML that also takes OpenCV's matrix tag as a plain mapping."""


def _matrix(loader: _Loader, node: yaml.MappingNode) -> Any:
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(OPENCV_MATRIX, _matrix)
# YAML 1.1 reads 1e-05 as text; every writer of calibrations means a number.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


@dataclass(frozen=True, slots=True)
class LinedMapping:
    """A mapping read from a file.

    Attributes:
        name: of the file, for messages.
        values: what it holds.
        lines: the line of each top-level key, from 1.
    """

    name: str
    values: dict[str, Any]
    lines: dict[str, int]

    def at(self, key: str) -> str:
        """The place of a key, as a message names it."""
        return f"{self.name}, line {self.lines[key]}, {key}" if key in self.lines else self.name


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        InputError: it is missing, a folder, empty, too large, or not text.
    """
    if not path.is_file():
        raise InputError(path, "a calibration file", "a folder" if path.is_dir() else "nothing there")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise InputError(path, f"a calibration of at most {MAX_BYTES} bytes", f"{size} bytes")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(path, "text (UTF-8)", f"byte {error.start} is not") from error
    if not text.strip() or "\0" in text:
        raise InputError(path, "a calibration", "an empty file" if not text.strip() else "a binary file")
    return text


def read_mapping(path: Path) -> LinedMapping:
    """A YAML or JSON file whose top level is a mapping, with or without OpenCV's `%YAML:1.0` heading.

    Raises:
        InputError: it is not one; the message names the line.
    """
    text = read_text(path)
    # OpenCV writes a directive that is not YAML; blanked rather than removed, so that lines keep their numbers.
    text = re.sub(r"\A%YAML:\d\.\d[^\n]*", "", text)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            lines = _lines_of(node)
            values = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "nesting too deep or a value out of range"
        raise InputError(f"{path}{place}", "YAML or JSON", f"{problem}") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InputError(path, "a mapping of names to values", f"a {type(values).__name__}")
    return LinedMapping(str(path), values, lines)


def _lines_of(node: yaml.Node | None) -> dict[str, int]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    found: dict[str, int] = {}
    for key, _ in node.value:
        name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
        if name in found:
            raise yaml.MarkedYAMLError(problem=f"{name} stated twice", problem_mark=key.start_mark)
        found[name] = key.start_mark.line + 1
    return found


def numbers(mapping: LinedMapping, key: str, count: int | tuple[int, ...] | None = None) -> list[float]:
    """The numbers under a key: a list, nested lists, or a matrix of rows, cols and data.

    Args:
        mapping: where to look.
        key: which.
        count: how many there must be; several where any of them will do; None for any number.

    Raises:
        InputError: the key is missing, or there is something else than that many finite numbers.
    """
    if key not in mapping.values:
        raise InputError(mapping.name, f"{key}", "no such key" + _near(mapping, key))
    value = mapping.values[key]
    if isinstance(value, dict):
        if "data" not in value:
            raise InputError(mapping.at(key), "rows, cols and data", ", ".join(map(str, value)) or "nothing")
        flat = flatten(mapping.at(key), value["data"])
        size = (value.get("rows"), value.get("cols"))
        if all(isinstance(side, int) for side in size) and size[0] * size[1] != len(flat):  # type: ignore[operator]
            raise InputError(mapping.at(key), f"{size[0]}x{size[1]} numbers", f"{len(flat)}")
    else:
        flat = flatten(mapping.at(key), value)
    counts = (count,) if isinstance(count, int) else count
    if counts is not None and len(flat) not in counts:
        raise InputError(mapping.at(key), f"{' or '.join(map(str, counts))} numbers", f"{len(flat)}")
    return flat


def flatten(place: str, value: Any) -> list[float]:
    """Numbers, however nested, as one list; refuses anything else and what is not finite."""
    if isinstance(value, (list, tuple)):
        return [number for item in value for number in flatten(place, item)]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(place, "numbers", repr(value)[:60])
    if not abs(float(value)) < float("inf"):
        raise InputError(place, "finite numbers", repr(value))
    return [float(value)]


def _near(mapping: LinedMapping, key: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key, mapping.values, 1, 0.75)
    return f"; {close[0]} in line {mapping.lines[close[0]]} looks like it" if close else ""
