"""What the system knows of its own clock: an entry's UTC is worth as much as this says."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

ERROR_UNKNOWN_US = 16_000_000
"""What the kernel says of a clock that nothing disciplines: sixteen seconds."""

_UNSYNCHRONISED = 0x0040
_ERROR = 5


@dataclass(frozen=True, slots=True)
class ClockState:
    """The state of the UTC clock.

    Attributes:
        synced: something (NTP, PTP, GPS) disciplines it.
        error_us: the largest error that is claimed, microseconds.
    """

    synced: bool
    error_us: int


class _Timex(ctypes.Structure):
    """`struct timex` of Linux, as far as it is read; the call writes no more than 208 bytes."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 208),
    )


def read_clock_state() -> ClockState:
    """Ask the kernel; where it cannot be asked, the clock counts as free-running."""
    told, ask = _Timex(), _adjtimex()
    state = _ERROR if ask is None else ask(ctypes.byref(told))
    if state < 0 or state == _ERROR or told.status & _UNSYNCHRONISED:
        return ClockState(False, ERROR_UNKNOWN_US)
    return ClockState(True, told.maxerror)


@cache
def _adjtimex() -> Callable[..., int] | None:
    try:
        return ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError, TypeError):
        return None
