"""Canonical JSON: the one sequence of bytes for a value, so that its hash means something.

A subset of RFC 8785. Floats are refused, because how they print is where implementations disagree: quantities are
integers in named units. Keys are ASCII, in which every way of sorting agrees. Integers are those of 64 bits, since
stamps in nanoseconds need them; a reader that keeps doubles only may show the largest ones rounded, but hashes are
taken over the stored bytes, so no proof depends on it.
"""

import json
from typing import Any

from surgical_ml.audit.errors import AuditError

DEEPEST = 32
"""Nesting beyond this is a mistake, and would exhaust a reader's stack before it is found to be one."""

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode
_WHAT = "an integer, a string, a bool, null, a list or an object"


def encode(value: Any, thing: str = "value", *, inside: int = 0) -> bytes:
    """The canonical UTF-8 bytes of a value.

    Args:
        value: None, bool, int, str, or lists, tuples and dicts of these.
        thing: its name, for the error.
        inside: how many levels of lists and objects will stand around it.

    Raises:
        AuditError: it holds a float, an integer beyond 64 bits, a lone surrogate, a key that is not ASCII text, or
            anything else without a canonical form; the error names the place inside `value`.
    """
    try:
        _check(value, inside)
    except _Unfit as unfit:
        place = "".join(reversed(unfit.place))
        raise AuditError(thing + place, unfit.expected, unfit.found) from None
    try:
        return _encode(value).encode("utf-8")
    except UnicodeEncodeError as error:
        found = f"the lone surrogate U+{ord(error.object[error.start]):04X}"
        raise AuditError(thing, "text that UTF-8 can hold", found) from error


def decode(data: bytes, thing: str = "value") -> Any:
    """The value of canonical bytes.

    Args:
        data: what `encode` returned.
        thing: its name, for the error.

    Raises:
        AuditError: not JSON, or not the canonical form of what it says: another order of keys, a key twice, white
            space, a float.
    """
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise AuditError(thing, "canonical JSON", str(error)) from error
    if encode(value, thing) != data:
        raise AuditError(thing, "canonical JSON", "JSON in another form")
    return value


class _Unfit(Exception):
    """A value without a canonical form; its place is spelled inside out, since only failures pay for spelling it."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(expected, found)
        self.expected, self.found, self.place = expected, found, list[str]()


def _check(value: Any, depth: int) -> None:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is int:
        if not -(2**63) <= value < 2**63:
            raise _Unfit("an integer of 64 bits, or a string", "a larger one")
    elif kind is dict:
        _check_depth(depth)
        for key, item in value.items():
            if type(key) is not str or not key.isascii():
                raise _Unfit("keys of ASCII text", f"the key {key!r}")
            try:
                _check(item, depth + 1)
            except _Unfit as unfit:
                unfit.place.append(f".{key}")
                raise
    elif kind is list or kind is tuple:
        _check_depth(depth)
        for index, item in enumerate(value):
            try:
                _check(item, depth + 1)
            except _Unfit as unfit:
                unfit.place.append(f"[{index}]")
                raise
    elif isinstance(value, float):
        raise _Unfit(_WHAT, f"the float {value!r}")
    else:
        raise _Unfit(_WHAT, f"a {kind.__module__}.{kind.__qualname__}")


def _check_depth(depth: int) -> None:
    if depth == DEEPEST:
        raise _Unfit(f"at most {DEEPEST} levels", "more")
