"""Where the files that ship with the package lie: in a checkout, in a virtual environment, or in a ROS 2 workspace."""

import os
import sys
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
