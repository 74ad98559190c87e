"""Instruments keep their identity while they move, hide for a moment and cross; distances are what a ruler would say."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from surgical_ml.geometry import Scene, Tracker
from surgical_ml.geometry.tracker import FORGET_NS, REACH
from surgical_ml.perception import Grid, Observation, SeenInstrument, SeenStructure

SIZE = (1280, 720)
PERIOD_NS = 40_000_000


def instrument(kind: str, x: float, y: float, *, tip: bool = True) -> SeenInstrument:
    """Its box reaches 200 pixels to the left of its tip, so that the middle is elsewhere."""
    at = (round(x), round(y))
    return SeenInstrument(
        kind, 900_000, at if tip else None, 800_000 if tip else 0, 5000, (at[0] - 200, at[1], 200, 50), 0, True
    )


def observe(
    stamp_ns: int, *instruments: SeenInstrument, grid: Grid | None = None, labels: tuple[int, ...] = ()
) -> Observation:
    structures = tuple(SeenStructure(f"structure {label}", label, 100, (0, 0, 1, 1)) for label in labels)
    return Observation(
        stamp_ns // PERIOD_NS, stamp_ns, "", SIZE, "full", (0, 0, *SIZE), None,
        instruments=instruments, structures=structures, grid=grid,
    )  # fmt: skip


def follow(*frames: tuple[SeenInstrument, ...]) -> list[Scene]:
    """The scenes of consecutive frames."""
    tracker = Tracker()
    return [tracker.update(observe(k * PERIOD_NS, *instruments)) for k, instruments in enumerate(frames)]


def ids(scene: Scene) -> dict[str, int]:
    return {track.type: track.id for track in scene.tracks if track.seen}


def test_identities_count_from_one_in_order_of_appearance() -> None:
    first, second = follow(
        (instrument("grasper", 300, 300),), (instrument("grasper", 310, 300), instrument("hook", 700, 300))
    )
    assert ids(first) == {"grasper": 1}
    assert ids(second) == {"grasper": 1, "hook": 2}


def test_a_track_tells_what_is_known_of_it() -> None:
    late = replace(instrument("hook", 500, 400), score_ppm=700_000, area_px=123)
    (track,) = follow((instrument("hook", 500, 400),), (late,))[-1].tracks
    assert (track.first_ns, track.last_ns, track.last_index) == (0, PERIOD_NS, 1)
    assert (track.tip_px, track.score_ppm, track.area_px, track.seen) == ((500, 400), 700_000, 123, True)


def test_another_type_is_another_track_even_in_the_same_place() -> None:
    assert ids(follow((instrument("hook", 500, 400),), (instrument("bipolar", 500, 400),))[-1]) == {"bipolar": 2}


def test_no_instrument_jumps_further_than_the_reach() -> None:
    reach = REACH * SIZE[0]
    near = follow((instrument("hook", 100, 400),), (instrument("hook", 99 + reach, 400),))
    far = follow((instrument("hook", 100, 400),), (instrument("hook", 101 + reach, 400),))
    assert ids(near[-1]) == {"hook": 1}
    assert ids(far[-1]) == {"hook": 2}


@pytest.mark.parametrize(("lost_ns", "identity"), [(PERIOD_NS, 1), (FORGET_NS, 1), (FORGET_NS + 1, 2), (10**12, 2)])
def test_identity_survives_a_short_loss_only(lost_ns: int, identity: int) -> None:
    tracker = Tracker()
    tracker.update(observe(0, instrument("hook", 500, 400)))
    for stamp_ns in range(PERIOD_NS, lost_ns, PERIOD_NS):
        scene = tracker.skip(stamp_ns) if stamp_ns % (2 * PERIOD_NS) else tracker.update(observe(stamp_ns))
        assert [track.seen for track in scene.tracks] in ([False], [])
        if stamp_ns > FORGET_NS:
            break
    assert ids(tracker.update(observe(lost_ns, instrument("hook", 520, 410)))) == {"hook": identity}


def test_what_is_not_seen_keeps_its_last_place_and_says_so() -> None:
    tracker = Tracker()
    tracker.update(observe(0, instrument("hook", 500, 400)))
    (track,) = tracker.skip(PERIOD_NS).tracks
    assert (track.seen, track.tip_px, track.last_ns) == (False, (500, 400), 0)


def test_a_new_case_begins_with_identity_one() -> None:
    tracker = Tracker()
    tracker.update(observe(0, instrument("hook", 500, 400), instrument("grasper", 100, 100)))
    tracker.reset()
    assert tracker.skip(PERIOD_NS).tracks == ()
    assert ids(tracker.update(observe(PERIOD_NS, instrument("hook", 500, 400)))) == {"hook": 1}


anything = st.lists(
    st.builds(
        instrument,
        st.sampled_from(["hook", "grasper"]),
        st.integers(0, SIZE[0] - 1),
        st.integers(0, SIZE[1] - 1),
        tip=st.booleans(),
    ),
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2 * FORGET_NS), st.none() | anything), max_size=15))
def test_whatever_is_seen_identities_are_unique_and_never_come_back(
    events: list[tuple[int, list[SeenInstrument] | None]],
) -> None:
    tracker, again = Tracker(), Tracker()
    now, newest = 0, 0
    alive: set[int] = set()
    for wait_ns, instruments in events:
        now += wait_ns
        event = observe(now, *(instruments or ()))
        scene = tracker.skip(now) if instruments is None else tracker.update(event)
        assert scene == (again.skip(now) if instruments is None else again.update(event))
        here = [track.id for track in scene.tracks]
        assert here == sorted(set(here))
        # Who is new is newer than everyone before; who is not new was here a moment ago.
        assert all(identity > newest for identity in set(here) - alive)
        alive, newest = set(here), max([newest, *here])
        seen = [(track.type, track.area_px) for track in scene.tracks if track.seen]
        assert sorted(seen) == sorted((one.type, one.area_px) for one in instruments or ())


@settings(max_examples=60, deadline=None)
@given(
    meet=st.tuples(st.integers(400, 880), st.integers(250, 470)),
    speeds=st.tuples(st.integers(60, 500), st.integers(60, 500)),
    angles=st.tuples(st.floats(0, 2 * math.pi), st.floats(0, 2 * math.pi)),
    before=st.integers(10, 20),
    hidden=st.integers(0, 2),
    jitter=st.integers(0, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_two_of_a_type_do_not_swap_when_they_cross(
    meet: tuple[int, int],
    speeds: tuple[int, int],
    angles: tuple[float, float],
    before: int,
    hidden: int,
    jitter: int,
    seed: int,
) -> None:
    """Both pass the same point at the same time, seen or hidden meanwhile; a hand's tremor is in their places."""
    velocity = np.array([[s * math.cos(a), s * math.sin(a)] for s, a in zip(speeds, angles, strict=True)])
    # Two that fly in formation, or tremble more than they part, cannot be told apart by anyone.
    assume(np.linalg.norm(velocity[0] - velocity[1]) > 150 + 100 * jitter)
    rng = np.random.default_rng(seed)
    tracker = Tracker()
    identity: list[int] = []
    for k in range(-before, before + 1):
        places = np.array(meet) + velocity * (k * PERIOD_NS / 1e9) + rng.integers(-jitter, jitter + 1, (2, 2))
        tips = [(round(x), round(y)) for x, y in places]
        stamp_ns = (k + before) * PERIOD_NS
        if abs(k) < hidden:
            tracker.skip(stamp_ns)
            continue
        scene = tracker.update(observe(stamp_ns, *(instrument("grasper", *tip) for tip in tips)))
        if not identity:
            identity = [track.id for track in scene.tracks]
        if k == before:
            by_tip = {track.tip_px: track.id for track in scene.tracks if track.seen}
            assert [by_tip[tip] for tip in tips] == identity


def test_ties_go_to_the_older_track_and_the_earlier_instrument() -> None:
    """Each of two new places is as far from each of two old ones."""
    scenes = follow(
        (instrument("grasper", 400, 300), instrument("grasper", 600, 300)),
        (instrument("grasper", 500, 200), instrument("grasper", 500, 400)),
    )
    assert [(track.id, track.tip_px) for track in scenes[1].tracks] == [(1, (500, 200)), (2, (500, 400))]


@settings(max_examples=40, deadline=None)
@given(x=st.integers(-600, 600), y=st.integers(-400, 400), frames=st.integers(2, 20))
def test_the_speed_of_a_steady_movement_is_right_from_the_second_frame_on(x: int, y: int, frames: int) -> None:
    velocity = np.array([x, y]) / 25
    assume(np.abs(velocity).max() * frames < 500)
    path = [np.round(np.array([640, 360]) + k * velocity) for k in range(frames)]
    tracks = follow(*((instrument("hook", *place),) for place in path))[-1].tracks
    assert len(tracks) == 1
    # Whole pixels: half a pixel at both ends of a frame's way, less where more frames are averaged.
    assert tracks[0].speed_px_s == pytest.approx(math.hypot(x, y), abs=25 * math.sqrt(2) + 1)


def test_a_new_instrument_has_no_speed_yet() -> None:
    assert follow((instrument("hook", 500, 400),))[0].tracks[0].speed_px_s == 0


def test_a_tip_that_hides_or_comes_back_is_no_movement() -> None:
    still = instrument("hook", 500, 400)
    hidden = instrument("hook", 500, 400, tip=False)
    scenes = follow((still,), (still,), (hidden,), (hidden,), (still,), (still,))
    assert [scene.tracks[0].speed_px_s for scene in scenes] == [0] * 6
    assert {scene.tracks[0].id for scene in scenes} == {1}
    assert {scene.tracks[0].tip_px for scene in scenes} == {(500, 400)}


ROWS, COLUMNS = 12, 20


@settings(max_examples=40, deadline=None)
@given(
    cells=st.binary(min_size=ROWS * COLUMNS, max_size=ROWS * COLUMNS),
    scale=st.floats(1.0, 64.0),
    offset=st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
    instruments=anything,
)
def test_distances_are_those_that_trying_every_cell_finds(
    cells: bytes, scale: float, offset: tuple[float, float], instruments: list[SeenInstrument]
) -> None:
    labels = np.frombuffer(cells, np.uint8).reshape(ROWS, COLUMNS) % 8
    grid = Grid(labels, scale, offset)
    scene = Tracker().update(observe(0, *instruments, grid=grid, labels=(2, 3)))
    expected = []
    for track, one in zip(scene.tracks, instruments, strict=True):
        for label in (2, 3):
            gaps = [
                math.dist(one.tip_px, (offset[0] + (column + 0.5) * scale, offset[1] + (row + 0.5) * scale))
                for row in range(ROWS)
                for column in range(COLUMNS)
                if labels[row, column] == label and one.tip_px is not None
            ]
            if gaps:
                expected.append((min(gaps), track.id, f"structure {label}", one.type))
    found = [(d.distance_px, d.track, d.structure, d.instrument) for d in scene.distances]
    assert found == sorted(found)
    assert sorted((track, structure, kind) for _, track, structure, kind in found) == sorted(
        (track, structure, kind) for _, track, structure, kind in expected
    )
    gap_of = {(track, structure): gap for gap, track, structure, _ in expected}
    for gap, track, structure, _ in found:
        assert gap == pytest.approx(gap_of[track, structure], abs=0.5 + 1e-6)


def test_equal_distances_are_sorted_by_track_and_then_by_structure() -> None:
    labels = np.zeros((ROWS, COLUMNS), np.uint8)
    labels[5, 5], labels[5, 7] = 3, 2
    grid = Grid(labels, 10.0, (0.0, 0.0))
    # The middle between both cells, for both.
    both = (instrument("hook", 65, 55), instrument("grasper", 65, 55))
    scene = Tracker().update(observe(0, *both, grid=grid, labels=(3, 2)))
    assert [(d.track, d.structure, d.distance_px) for d in scene.distances] == [
        (1, "structure 2", 10),
        (1, "structure 3", 10),
        (2, "structure 2", 10),
        (2, "structure 3", 10),
    ]


def test_only_a_tip_that_is_seen_now_has_a_distance() -> None:
    grid = Grid(np.ones((ROWS, COLUMNS), np.uint8), 10.0, (0.0, 0.0))
    tracker = Tracker()
    seen = tracker.update(observe(0, instrument("hook", 50, 50), grid=grid, labels=(1,)))
    assert [d.distance_px for d in seen.distances] == [7]
    hidden = instrument("hook", 50, 50, tip=False)
    assert tracker.update(observe(PERIOD_NS, hidden, grid=grid, labels=(1,))).distances == ()
    assert tracker.update(observe(2 * PERIOD_NS, grid=grid, labels=(1,))).distances == ()
    assert tracker.skip(3 * PERIOD_NS).distances == ()
