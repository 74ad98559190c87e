"""Instruments with an identity, and how near their tips are to what must not be touched."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from surgical_ml.geometry.scene import Distance, MetricDistance, Scene, Track, View
from surgical_ml.geometry.zones import Zones
from surgical_ml.perception import Grid, Observation, SeenInstrument

FORGET_NS = 700_000_000
"""A track that was not seen for this long is over; exchanging an instrument takes longer."""

REACH = 0.25
"""An instrument moves at most this share of the picture's width between two observations of it."""

SMOOTHING_NS = 200_000_000

LEAVES_NS = 500_000_000
"""An instrument is leaving if at its present velocity its tip is out of the picture this soon."""

ARM_NS = 300_000_000
"""What an arm said of its tip is no distance any more after this long."""

OFF_CENTRE = 0.15
"""Share of the picture's width by which the middle of what matters may be off before another view is suggested."""


@dataclass(frozen=True, slots=True)
class _Motion:
    """Where a track was last, in pixels, whether that was its tip, and its smoothed velocity in pixels a second."""

    place: tuple[float, float]
    tip: bool
    velocity: tuple[float, float] = (0.0, 0.0)

    def after(self, dt_ns: int) -> tuple[float, float]:
        """Where it should be; nobody keeps moving straight on for longer than the smoothing time."""
        seconds = min(dt_ns, SMOOTHING_NS) / 1e9
        return self.place[0] + self.velocity[0] * seconds, self.place[1] + self.velocity[1] * seconds


class Tracker:
    """Greedy nearest-first matching by type and by where each track should be by now; ties go to the older track.

    Args:
        zones: that must not be entered.
    """

    def __init__(self, zones: Zones | None = None) -> None:
        self._zones = zones or Zones({})
        self.reset()

    def reset(self) -> None:
        """A new case: identities start at 1 again."""
        self._tracks: list[Track] = []
        self._motions: dict[int, _Motion] = {}
        self._next = 1
        self._arms: dict[str, tuple[int, tuple[MetricDistance, ...]]] = {}
        self._within: dict[tuple[str, str], int] = {}

    def tell_arm(self, stamp_ns: int, arm: str, tip_m: tuple[float, float, float] | None) -> None:
        """What an arm says of its tip: metres in its base frame; None where it says that it does not know."""
        near = () if tip_m is None else self._zones.near_arm(arm, tip_m)
        listed = (
            replace(one, within_ns=self._since(stamp_ns, (arm, one.structure), within=within)) for one, within in near
        )
        self._arms[arm] = (stamp_ns, tuple(listed))

    def skip(self, stamp_ns: int) -> Scene:
        """Time passes without an admitted observation; tracks age, none is seen."""
        self._tracks = [replace(t, seen=False) for t in self._tracks if stamp_ns - t.last_ns <= FORGET_NS]
        self._motions = {t.id: self._motions[t.id] for t in self._tracks}
        over = [key for key in self._within if key[0].isdigit() and int(key[0]) not in self._motions]
        for key in over:
            del self._within[key]
        return Scene(stamp_ns, tuple(self._tracks), metric=self._metric(stamp_ns))

    def update(self, observation: Observation) -> Scene:
        """Match one admitted observation. Tracks are ordered by their id; distances nearest first."""
        now = observation.stamp_ns
        self.skip(now)
        matched = self._match(observation)
        tracks = [self._follow(t, observation, matched[t.id]) if t.id in matched else t for t in self._tracks]
        for k in range(len(observation.instruments)):
            if k not in matched.values():
                tracks.append(self._begin(observation, k))
                matched[tracks[-1].id] = k
        self._tracks = tracks
        seen = [(track, observation.instruments[matched[track.id]]) for track in tracks if track.seen]
        distances = (*_distances(observation, seen), *self._to_zones(seen))
        nearest_first = tuple(sorted(distances, key=lambda d: (d.distance_px, d.track, d.structure)))
        return Scene(now, tuple(tracks), nearest_first, self._metric(now), _view(observation, seen))

    def _to_zones(self, seen: list[tuple[Track, SeenInstrument]]) -> list[Distance]:
        return [
            Distance(
                track.id,
                track.type,
                zone,
                distance_px,
                zone=True,
                within_ns=self._since(track.last_ns, (str(track.id), zone), within=within),
            )
            for track, one in seen
            if one.tip_px is not None
            for zone, distance_px, within in self._zones.near(one.tip_px)
        ]

    def _since(self, stamp_ns: int, key: tuple[str, str], *, within: bool) -> int | None:
        """Since when somebody is within a zone."""
        if not within:
            self._within.pop(key, None)
            return None
        return self._within.setdefault(key, stamp_ns)

    def _metric(self, stamp_ns: int) -> tuple[MetricDistance, ...]:
        found = [one for said_ns, listed in self._arms.values() if stamp_ns - said_ns <= ARM_NS for one in listed]
        return tuple(sorted(found, key=lambda one: (one.interval.low_um, one.instrument, one.structure)))

    def _match(self, observation: Observation) -> dict[int, int]:
        """Which instrument, by its place in the observation, each track that goes on is; by the track's id."""
        reach = REACH * observation.size_px[0]
        expected = {t.id: self._motions[t.id].after(observation.stamp_ns - t.last_ns) for t in self._tracks}
        pairs = sorted(
            (distance, track.id, k)
            for track in self._tracks
            for k, one in enumerate(observation.instruments)
            if one.type == track.type and (distance := math.dist(expected[track.id], _place(one))) <= reach
        )
        matched: dict[int, int] = {}
        for _, identity, k in pairs:
            if identity not in matched and k not in matched.values():
                matched[identity] = k
        return matched

    def _begin(self, observation: Observation, k: int) -> Track:
        one, now = observation.instruments[k], observation.stamp_ns
        identity, self._next = self._next, self._next + 1
        self._motions[identity] = _Motion(_place(one), one.tip_px is not None)
        return Track(
            id=identity,
            type=one.type,
            tip_px=one.tip_px,
            speed_px_s=0,
            seen=True,
            first_ns=now,
            last_ns=now,
            last_index=observation.index,
            score_ppm=one.score_ppm,
            area_px=one.area_px,
            axis_mrad=one.axis_mrad,
        )

    def _follow(self, track: Track, observation: Observation, k: int) -> Track:
        one, now, before = observation.instruments[k], observation.stamp_ns, self._motions[track.id]
        place, velocity = _place(one), before.velocity
        # From a tip to the middle of a box is no movement.
        if before.tip == (one.tip_px is not None):
            dt_ns = max(1, now - track.last_ns)
            # Of a young track the mean since it began, so that it is not slow because it is new.
            share = dt_ns / (dt_ns + min(SMOOTHING_NS, track.last_ns - track.first_ns))
            moved = ((b - a) * 1e9 / dt_ns for a, b in zip(before.place, place, strict=True))
            x, y = (old + share * (new - old) for old, new in zip(velocity, moved, strict=True))
            velocity = (x, y)
        self._motions[track.id] = _Motion(place, one.tip_px is not None, velocity)
        return replace(
            track,
            tip_px=one.tip_px or track.tip_px,
            speed_px_s=round(math.hypot(*velocity)),
            seen=True,
            last_ns=now,
            last_index=observation.index,
            score_ppm=one.score_ppm,
            area_px=one.area_px,
            velocity_px_s=(round(velocity[0]), round(velocity[1])),
            axis_mrad=one.axis_mrad,
            leaving=_leaves(observation.content_box_px, place, velocity),
        )


def _leaves(content: tuple[int, int, int, int], place: tuple[float, float], velocity: tuple[float, float]) -> bool:
    """Whether it is out of the content area soon."""
    x, y = (place[k] + velocity[k] * LEAVES_NS / 1e9 for k in (0, 1))
    return not (content[0] <= x < content[0] + content[2] and content[1] <= y < content[1] + content[3])


def _view(observation: Observation, seen: list[tuple[Track, SeenInstrument]]) -> View | None:
    """The middle of the tips that are seen, where it is far enough from the middle of the picture to say so."""
    tips = [one.tip_px for _, one in seen if one.tip_px is not None]
    if not tips:
        return None
    x, y, width, height = observation.content_box_px
    centre = tuple(round(sum(tip[k] for tip in tips) / len(tips)) for k in (0, 1))
    shift = centre[0] - (x + width // 2), centre[1] - (y + height // 2)
    return None if math.hypot(*shift) <= OFF_CENTRE * width else View((centre[0], centre[1]), shift)


def _place(one: SeenInstrument) -> tuple[float, float]:
    """The tip, or the middle of the box where the tip is hidden."""
    if one.tip_px is not None:
        return float(one.tip_px[0]), float(one.tip_px[1])
    x, y, width, height = one.box_px
    return x + width / 2, y + height / 2


def _distances(observation: Observation, seen: list[tuple[Track, SeenInstrument]]) -> tuple[Distance, ...]:
    """From each tip seen in this observation to the nearest cell of each structure, in frame pixels."""
    grid = observation.grid
    if grid is None:
        return ()
    found = []
    for structure in observation.structures:
        cells = _cells(grid, structure.label)
        for track, one in seen:
            if one.tip_px is not None and len(cells):
                gap = np.sqrt(((cells - np.asarray(one.tip_px)) ** 2).sum(axis=1).min())
                found.append(Distance(track.id, track.type, structure.type, round(float(gap))))
    return tuple(found)


def _cells(grid: Grid, label: int) -> npt.NDArray[np.float64]:
    """Centres of a structure's cells, in frame pixels, (n, 2) x and y."""
    rows, columns = np.nonzero(grid.labels == label)
    x = grid.offset_px[0] + (columns + 0.5) * grid.scale
    y = grid.offset_px[1] + (rows + 0.5) * grid.scale
    return np.stack([x, y], axis=1)
