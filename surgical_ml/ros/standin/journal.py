"""Everything the stand-in heard, one JSON object a line."""

import array
import json
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from surgical_ml.errors import InputError

LONGEST_BYTES = 1_024
"""Of an array of bytes; of a longer one, a picture, only the length is written."""


def plain(value: Any) -> Any:
    """A message as dictionaries, lists, numbers and text; pictures as their length."""
    if hasattr(value, "get_fields_and_field_types"):
        return {name: plain(getattr(value, name)) for name in value.get_fields_and_field_types()}
    if isinstance(value, (bytes, bytearray)):
        return value[0] if len(value) == 1 else list(value)
    if isinstance(value, array.array) and value.typecode == "B" and len(value) > LONGEST_BYTES:
        return {"bytes": len(value)}
    if isinstance(value, (array.array, np.ndarray)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


class Journal:
    """Writes lines to a file, each flushed; to nowhere where the path is empty.

    Each line is an object with `kind` (`message`, `event`, `said`, `summary`), `received_ns` (monotonic) and fields.

    Raises:
        InputError: the file cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._file: TextIO | None = _open(path) if path else None

    def write(self, kind: str, received_ns: int, **fields: Any) -> None:
        """One line; it is with the operating system when this returns."""
        if self._file is None:
            return
        line = {"kind": kind, "received_ns": received_ns, **fields}
        self._file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _open(path: str) -> TextIO:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return Path(path).open("w", encoding="utf-8")
    except OSError as error:
        raise InputError(path, "a file that can be written", error.strerror or str(error)) from error
