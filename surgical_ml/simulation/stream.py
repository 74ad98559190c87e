"""Faults of a video stream: which picture each frame of a faulty stream shows, and what its stamp says."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.simulation.plan import CasePlan

STREAM_FAULTS = ("drops", "freeze", "black", "duplicates", "jitter")
"""Frames lost; one picture held; black frames; frames sent twice, in the place of the next; stamps that are off."""

_LOST, _TWICE = 0.5, 0.4
"""Share of the frames that is lost, and sent twice, while a fault of the kind lasts."""

_JITTER = 0.35
"""Spread of a stamp while it jitters, in periods of a frame."""


@dataclass(frozen=True, slots=True)
class StreamFault:
    """A fault of the stream, one of `STREAM_FAULTS`, between two times of the case."""

    kind: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class StreamFrame:
    """One frame of a stream.

    Attributes:
        t_s: when it was due, seconds from the start of the case; its phase is that of this moment.
        shown_s: the moment whose picture it shows; None for black.
        stamp_ns: what it says of its time, nanoseconds from the start of the case.
    """

    t_s: float
    shown_s: float | None
    stamp_ns: int


def stream_faults(plan: CasePlan, kinds: Iterable[str]) -> tuple[StreamFault, ...]:
    """One to three faults of each kind, of one to eight seconds each, by the seed of the case; sorted by start.

    Raises:
        InputError: a kind is unknown.
    """
    asked = set(kinds)
    unknown = sorted(asked - set(STREAM_FAULTS))
    if unknown:
        raise InputError("fault", f"one of {list(STREAM_FAULTS)}", ", ".join(unknown))
    found = []
    for k, kind in enumerate(STREAM_FAULTS):
        if kind not in asked:
            continue
        rng = np.random.default_rng([plan.seed, 22, k])
        for _ in range(int(rng.integers(1, 4))):
            length = min(float(rng.uniform(1.0, 8.0)), 0.2 * plan.duration_s)
            start = float(rng.uniform(0.0, plan.duration_s - length))
            found.append(StreamFault(kind, start, start + length))
    return tuple(sorted(found, key=lambda one: (one.start_s, one.kind)))


def stream_frames(plan: CasePlan, fps: int, faults: Iterable[StreamFault]) -> list[StreamFrame]:
    """The frames of a case at `fps` frames/s, as they arrive; stamps never go back."""
    faults = tuple(faults)
    rng = np.random.default_rng([plan.seed, 23])
    frames: list[StreamFrame] = []
    before: float | None = 0.0
    for k in range(int(plan.duration_s * fps)):
        t_s = k / fps
        lost, twice, off = rng.random(), rng.random(), rng.normal(0.0, _JITTER)
        active = {one.kind: one for one in faults if one.start_s <= t_s < one.end_s}
        if "drops" in active and lost < _LOST:
            continue
        shown: float | None = t_s
        if "black" in active:
            shown = None
        elif "freeze" in active:
            shown = max(0.0, np.ceil(active["freeze"].start_s * fps - 1) / fps)
        elif "duplicates" in active and twice < _TWICE and frames:
            shown = before
        stamp = round(1e9 * (t_s + (off / fps if "jitter" in active else 0.0)))
        stamp = max(stamp, frames[-1].stamp_ns + 1 if frames else 0)
        frames.append(StreamFrame(t_s, shown, stamp))
        before = shown
    return frames
