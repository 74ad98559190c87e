"""What is written of an event can be read back, and what cannot be read is told."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.audit import canonical
from surgical_ml.calibration.validity import CHECKS, Residual
from surgical_ml.events import Action, OperatorAction, RecordFailure, RobotState, Tick
from surgical_ml.perception import Grid, Observation, Refusal, SeenInstrument, SeenStructure
from surgical_ml.record import event_name, read_event, read_observation, write_event, write_observation
from surgical_ml.video import Frame

STAMPS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(max_size=12)
EVENTS = st.one_of(
    st.builds(Tick, STAMPS),
    st.builds(RobotState, STAMPS, TEXTS, st.booleans(), st.lists(st.tuples(TEXTS, TEXTS), max_size=4).map(tuple)),
    st.builds(OperatorAction, STAMPS, st.sampled_from(Action), TEXTS, TEXTS, TEXTS),
    st.builds(RecordFailure, STAMPS, st.integers(0, 2**63 - 1), TEXTS),
    st.builds(Residual, STAMPS, st.sampled_from(sorted(CHECKS)), st.integers(-(10**9), 10**9), TEXTS),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(EVENTS)
def test_an_event_that_is_written_is_read_back(event):
    stored = canonical.decode(canonical.encode(write_event(event)))
    assert read_event(stored) == event
    assert stored["kind"] == event_name(event)


def test_a_frame_is_named_by_its_index_and_its_pixels_are_elsewhere():
    import numpy as np

    written = write_event(Frame(np.zeros((4, 4, 3), np.uint8), 17, 5))
    assert written == {"kind": "frame", "stamp_ns": 17, "index": 5}
    assert read_event(written) is None


@given(EVENTS, st.data())
def test_an_event_that_lacks_something_is_refused_by_name(event, data):
    written = write_event(event)
    missing = data.draw(st.sampled_from(sorted(written)))
    del written[missing]
    with pytest.raises(ValueError, match="kind" if missing == "kind" else f"{missing}: expected .* found none"):
        read_event(written)


@given(EVENTS, st.data())
def test_an_event_with_any_other_value_is_read_or_refused(event, data):
    written = write_event(event)
    changed = data.draw(st.sampled_from(sorted(written)))
    written[changed] = data.draw(JSON)
    try:
        again = read_event(written)
    except ValueError:
        return
    assert again is None or write_event(again) == written


@given(st.dictionaries(st.sampled_from(["kind", "stamp_ns", "values", "action", "x"]), JSON, max_size=4))
def test_any_values_are_an_event_or_refused(values):
    try:
        event = read_event(values)
    except ValueError:
        return
    assert event is None or event_name(event) == values["kind"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"kind": "lunch", "stamp_ns": 1}, "expected a known kind, found 'lunch'"),
        ({"kind": "tick", "stamp_ns": "1"}, "event tick: stamp_ns: expected int, found '1'"),
        ({"kind": "tick", "stamp_ns": True}, "event tick: stamp_ns: expected int, found True"),
        ({"kind": "frame", "stamp_ns": 1}, "event frame: index: expected int, found none"),
        (
            {"kind": "operator-action", "stamp_ns": 1, "action": "move", "actor": "", "code": "", "subject": ""},
            "'move' is not a valid Action",
        ),
        (
            {"kind": "robot-state", "stamp_ns": 1, "source": "s", "valid": True, "values": [["a"]]},
            "expected pairs of texts",
        ),
    ],
)
def test_what_is_wrong_in_an_event_is_named(values, told):
    with pytest.raises(ValueError, match=told):
        read_event(values)


def an_observation(**other):
    values = dict(
        index=3,
        stamp_ns=4,
        input_sha256="ab",
        size_px=(640, 360),
        content_shape="circle",
        content_box_px=(1, 2, 3, 4),
        refusal=Refusal.OUT_OF_BODY,
        degraded=("smoke",),
        instruments=(SeenInstrument("hook", 900_000, (5, 6), 700_000, 80, (1, 1, 9, 9), 400, True),),
        structures=(SeenStructure("gallbladder", 8, 100, (2, 2, 5, 5)),),
        presence_ppm=(1, 2),
        phase_ppm=(3, 4),
        next_ppm=(5, 6),
        progress_ppm=7,
        boundary_ppm=8,
        in_body_ppm=9,
        novelty_ppm=10,
    )
    return Observation(**values | other)


def test_an_observation_is_written_whole():
    written = write_observation(an_observation())
    assert canonical.decode(canonical.encode(written)) == written
    assert written["instruments"] == [["hook", 900_000, [5, 6], 700_000, 80, [1, 1, 9, 9], 400, True]]
    assert written["structures"] == [["gallbladder", 100, [2, 2, 5, 5]]]
    assert (written["refusal"], written["content"]) == ("out-of-body", ["circle", 1, 2, 3, 4])
    left_out = {"index", "stamp_ns", "content_shape", "content_box_px"}
    assert set(written) == set(Observation.__slots__) - left_out | {"content"}


STRUCTURES = ("cystic duct", "gallbladder")


def test_what_was_seen_is_read_back_and_the_cells_of_structures_with_it():
    labels = np.zeros((6, 10), np.uint8)
    labels[2:4, 3:7], labels[0, 0] = 8, 3
    seen = an_observation(grid=Grid(labels, 16.5, (-3.25, 1 / 3)))
    written = canonical.decode(canonical.encode(write_observation(seen)))
    again = read_observation(written, seen.index, seen.stamp_ns, STRUCTURES)
    (structure,) = again.structures
    assert replace(again, structures=seen.structures) == seen
    assert again.grid is not None
    assert (again.grid.labels == structure.label).tolist() == (labels == 8).tolist()
    assert (again.grid.scale, again.grid.offset_px) == (seen.grid.scale, seen.grid.offset_px)
    assert write_observation(again) == written
    assert len(canonical.encode(written)) < 2000


def test_a_frame_without_structures_has_no_cells():
    written = write_observation(an_observation(structures=(), grid=Grid(np.ones((2, 2), np.uint8), 1.0, (0.0, 0.0))))
    assert written["grid"] is None
    assert read_observation(written, 3, 4, STRUCTURES).grid is None


@given(st.data())
def test_any_other_value_of_what_was_seen_is_read_or_refused(data):
    written = write_observation(an_observation(grid=Grid(np.full((4, 4), 8, np.uint8), 2.0, (0.0, 0.0))))
    written[data.draw(st.sampled_from(sorted(written)))] = data.draw(
        JSON | st.just(1 << 40) | st.just([4, 4, "", "", "", [], "eJw"])
    )
    try:
        read_observation(written, 3, 4, STRUCTURES)
    except ValueError:
        return
