"""Files as text, JSON or bytes; whatever is wrong with one is an `InputError` that names it."""

import json
from pathlib import Path
from typing import Any

from surgical_ml.errors import InputError


def read_bytes(path: Path, kind: str) -> bytes:
    """The content of a file that is not empty.

    Args:
        path: of the file.
        kind: what it should be, for the error: "a label file".

    Raises:
        InputError: there is no such file, it cannot be read, or it is empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(path, kind, error.strerror or "no file") from error
    if not data.strip():
        raise InputError(path, kind, "an empty file")
    return data


def read_text(path: Path, kind: str) -> str:
    """A UTF-8 text file that is not empty, without a byte order mark.

    Raises:
        InputError: as `read_bytes`; or it is not UTF-8.
    """
    try:
        text = read_bytes(path, kind).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            path, f"{kind} in UTF-8", f"byte 0x{error.object[error.start]:02x} at {error.start}"
        ) from error
    # What counts as blank in text is more than in bytes: separators of records, spaces of other scripts, a lone mark.
    if not text.strip():
        raise InputError(path, kind, "an empty file")
    return text


def read_json(path: Path, kind: str) -> Any:
    """What a JSON file holds.

    Raises:
        InputError: as `read_text`; or it is not whole JSON.
    """
    text = read_text(path, kind)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(path, f"{kind} in JSON", f"{error.msg} at line {error.lineno}") from error
    except (RecursionError, ValueError) as error:
        raise InputError(path, f"{kind} in JSON", str(error)[:80]) from error


def member(values: Any, key: str, kinds: type | tuple[type, ...], where: str) -> Any:
    """A member of a JSON object that must be there and of a type.

    Raises:
        InputError: `values` is no object, lacks the key, or holds something else under it.
    """
    if not isinstance(values, dict):
        raise InputError(where, f"an object with {key}", f"{type(values).__name__}")
    if key not in values:
        raise InputError(where, f"a member {key}", f"only {sorted(map(str, values))[:6]}")
    value = values[key]
    if not isinstance(value, kinds) or isinstance(value, bool):
        names = " or ".join(k.__name__ for k in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise InputError(f"{where}, {key}", names, type(value).__name__)
    return value
