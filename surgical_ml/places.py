"""Where the files that ship with the package lie: in a checkout, in a virtual environment, or in a ROS 2 workspace."""

import hashlib
import os
import sys
from functools import cache
from pathlib import Path

from surgical_ml.errors import InputError


def shared_folder(name: str) -> Path:
    """The folder `models`, `calibration` or `launch` that belongs to this installation.

    The variable SURGICAL_ML_SHARE, where set, is the only place looked at. Otherwise: beside the package (a checkout,
    an editable install), then `share/surgical_ml` of any folder above it (a colcon workspace), then of the interpreter.

    Raises:
        InputError: there is none.
    """
    package = Path(__file__).resolve().parent
    chosen = os.environ.get("SURGICAL_ML_SHARE")
    if chosen:
        candidates = [Path(chosen) / name]
    else:
        candidates = [package.parent / name]
        candidates += [folder / "share" / "surgical_ml" / name for folder in (*package.parents, Path(sys.prefix))]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise InputError(f"shared folder {name}", f"a folder at {candidates[0]}", "none")


def default_records() -> Path:
    """Where the assistant and the watchdog keep their records unless they are told otherwise."""
    return Path(os.environ.get("ROS_HOME") or Path.home() / ".ros") / "surgical_ml" / "records"


def default_keys() -> Path:
    """Where this device's key and the keys of its cases' secrets lie: SURGICAL_ML_KEYS, or beside the records."""
    return Path(os.environ.get("SURGICAL_ML_KEYS") or default_records().parent / "keys")


@cache
def program_digest() -> str:
    """SHA-256, hex, over the name and content of every Python file of the installed package, in name order."""
    package = Path(__file__).resolve().parent
    total = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        total.update(f"{path.relative_to(package).as_posix()}\n".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
