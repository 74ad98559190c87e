"""Instruments with an identity, and how near their tips are to what must not be touched."""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from surgical_ml.geometry.scene import Distance, Scene, Track
from surgical_ml.perception import Grid, Observation, SeenInstrument

FORGET_NS = 700_000_000
"""A track that was not seen for this long is over; exchanging an instrument takes longer."""

REACH = 0.25
"""An instrument moves at most this share of the picture's width between two observations of it."""

SMOOTHING_NS = 200_000_000


class Tracker:
    """Greedy nearest-first matching by type and place. Deterministic: ties go to the older track."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """A new case: identities start at 1 again."""
        self._tracks: list[Track] = []
        self._places: dict[int, tuple[float, float]] = {}
        self._next = 1

    def skip(self, stamp_ns: int) -> Scene:
        """Time passes without an admitted observation; tracks age, none is seen."""
        self._tracks = [replace(t, seen=False) for t in self._tracks if stamp_ns - t.last_ns <= FORGET_NS]
        return Scene(stamp_ns, tuple(self._tracks))

    def update(self, observation: Observation) -> Scene:
        """Match one admitted observation. Tracks are ordered by their id; distances nearest first."""
        now = observation.stamp_ns
        self.skip(now)
        reach = REACH * observation.size_px[0]
        pairs = sorted(
            (distance, track.id, k)
            for track in self._tracks
            for k, one in enumerate(observation.instruments)
            if one.type == track.type and (distance := math.dist(self._places[track.id], _place(one))) <= reach
        )
        taken: set[int] = set()
        matched: dict[int, int] = {}
        for _, identity, k in pairs:
            if identity not in matched and k not in taken:
                matched[identity] = k
                taken.add(k)
        tracks = [
            self._follow(track, observation.instruments[matched[track.id]], observation)
            if track.id in matched
            else track
            for track in self._tracks
        ]
        for k, one in enumerate(observation.instruments):
            if k not in taken:
                tracks.append(self._begin(one, observation))
        self._tracks = tracks
        self._places = {t.id: self._places[t.id] for t in tracks}
        return Scene(now, tuple(tracks), _distances(observation, tracks))

    def _begin(self, one: SeenInstrument, observation: Observation) -> Track:
        identity, self._next = self._next, self._next + 1
        self._places[identity] = _place(one)
        now = observation.stamp_ns
        return Track(identity, one.type, one.tip_px, 0, True, now, now, observation.index, one.score_ppm, one.area_px)

    def _follow(self, track: Track, one: SeenInstrument, observation: Observation) -> Track:
        now, place = observation.stamp_ns, _place(one)
        dt_ns = max(1, now - track.last_ns)
        speed = math.dist(self._places[track.id], place) * 1e9 / dt_ns
        share = dt_ns / (dt_ns + SMOOTHING_NS)
        self._places[track.id] = place
        return replace(
            track,
            tip_px=one.tip_px or track.tip_px,
            speed_px_s=round(track.speed_px_s + share * (speed - track.speed_px_s)),
            seen=True,
            last_ns=now,
            last_index=observation.index,
            score_ppm=one.score_ppm,
            area_px=one.area_px,
        )


def _place(one: SeenInstrument) -> tuple[float, float]:
    """The tip, or the middle of the box where the tip is hidden."""
    if one.tip_px is not None:
        return float(one.tip_px[0]), float(one.tip_px[1])
    x, y, width, height = one.box_px
    return x + width / 2, y + height / 2


def _distances(observation: Observation, tracks: list[Track]) -> tuple[Distance, ...]:
    """From each seen tip to the nearest cell of each structure, in frame pixels."""
    grid = observation.grid
    if grid is None:
        return ()
    found = []
    tips = {(one.type, one.tip_px) for one in observation.instruments if one.tip_px is not None}
    for structure in observation.structures:
        cells = _cells(grid, structure.label)
        for track in tracks:
            if track.seen and track.tip_px is not None and (track.type, track.tip_px) in tips and len(cells):
                gap = np.sqrt(((cells - np.asarray(track.tip_px)) ** 2).sum(axis=1).min())
                found.append(Distance(track.id, track.type, structure.type, round(float(gap))))
    return tuple(sorted(found, key=lambda d: (d.distance_px, d.track, d.structure)))


def _cells(grid: Grid, label: int) -> npt.NDArray[np.float64]:
    """Centres of a structure's cells, in frame pixels, (n, 2) x and y."""
    rows, columns = np.nonzero(grid.labels == label)
    x = grid.offset_px[0] + (columns + 0.5) * grid.scale
    y = grid.offset_px[1] + (rows + 0.5) * grid.scale
    return np.stack([x, y], axis=1)
