"""What the instruments do over time, and how near they are to what must not be touched."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Track:
    """One instrument with an identity that outlives single frames.

    Attributes:
        id: from 1, never used again within a case.
        type: the tool; an observation of another type is another track.
        tip_px: (x, y) in the frame's pixels; the last known one while `seen` is False.
        speed_px_s: size of the smoothed velocity of the tip (where it stays hidden: of its box), pixels a second.
        seen: it was observed in this very frame.
        first_ns, last_ns: stamps of its first and of its latest observation.
        last_index: the frame of its latest observation.
        score_ppm: of its latest observation.
        area_px: of its latest observation.
    """

    id: int
    type: str
    tip_px: tuple[int, int] | None
    speed_px_s: int
    seen: bool
    first_ns: int
    last_ns: int
    last_index: int
    score_ppm: int
    area_px: int


@dataclass(frozen=True, slots=True)
class Distance:
    """From the tip of a track to the nearest pixel of a critical structure, in the frame's pixels (0 = on it)."""

    track: int
    instrument: str
    structure: str
    distance_px: int


@dataclass(frozen=True, slots=True)
class Scene:
    """The tracks and distances of one frame; `distances` is sorted, nearest first."""

    stamp_ns: int
    tracks: tuple[Track, ...] = ()
    distances: tuple[Distance, ...] = ()
