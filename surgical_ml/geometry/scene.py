"""What the instruments do over time, and how near they are to what must not be touched."""

from dataclasses import dataclass

SURE = 1.96
"""Standard deviations to either side that hold the truth in 95 of 100 cases."""


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
        velocity_px_s: (x, y), smoothed, pixels a second, y down.
        axis_mrad: direction of its shaft in its latest observation, [0, pi) milliradians from the x axis, y down.
        leaving: it is seen, and on its way out of the picture.
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
    velocity_px_s: tuple[int, int] = (0, 0)
    axis_mrad: int = 0
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Distance:
    """From the tip of a track to the nearest pixel of a critical structure or of a zone, in the frame's pixels (0 = on it).

    `zone`: it is a no-go zone that was drawn. `within_ns`: of a zone, since when the tip is in it, or nearer than its
    margin; None while it is neither.
    """

    track: int
    instrument: str
    structure: str
    distance_px: int
    zone: bool = False
    within_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A distance, micrometres, and the two between which it lies in 95 of 100 cases; none is below 0."""

    low_um: int
    mid_um: int
    high_um: int

    @classmethod
    def about(cls, metres: float, sd_m: float) -> "Interval":
        """Of a distance that was measured with a standard deviation, both in metres."""
        low, mid, high = (max(0, round(1e6 * (metres + k * sd_m))) for k in (-SURE, 0, SURE))
        return cls(low, mid, high)


@dataclass(frozen=True, slots=True)
class MetricDistance:
    """From an instrument to a zone in micrometres, with what it may be off.

    Attributes:
        instrument: a tool, or the arm that holds one.
        structure: the zone.
        interval: of the distance.
        within_ns: since when it may be nearer than the zone's margin; None while it cannot.
        source: what it was measured with: `robot` or `stereo`.
    """

    instrument: str
    structure: str
    interval: Interval
    source: str
    within_ns: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera would centre: (x, y) in the frame's pixels, and by how much it would have to move there."""

    centre_px: tuple[int, int]
    shift_px: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Scene:
    """The tracks and distances of one frame.

    Attributes:
        distances: in pixels, nearest first.
        metric: in micrometres, nearest first; empty where nothing can be measured in them.
        view: where the camera would centre; None while it does, or while there is nothing to centre on.
    """

    stamp_ns: int
    tracks: tuple[Track, ...] = ()
    distances: tuple[Distance, ...] = ()
    metric: tuple[MetricDistance, ...] = ()
    view: View | None = None
