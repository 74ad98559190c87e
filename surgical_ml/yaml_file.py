"""A YAML file, read with one error for whatever may be wrong with it."""

from pathlib import Path
from typing import Any

import yaml

from surgical_ml.errors import InputError

_LEAKS = (ValueError, LookupError, AttributeError, RecursionError)
"""What PyYAML lets out besides its own errors: at `2020-13-45`, `!!bool maybe`, `!!timestamp x`, and at deep nesting."""


def read_yaml(path: Path, what: str) -> Any:
    """What a YAML file says: dicts, lists and scalars. `what` it is, for the error.

    Raises:
        InputError: it cannot be read, or is no YAML; names the first thing that is wrong.
    """
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(path, what, error.strerror or "no file") from error
    except (yaml.YAMLError, *_LEAKS) as error:
        raise InputError(path, "YAML", (str(error) or type(error).__name__).splitlines()[0]) from error
