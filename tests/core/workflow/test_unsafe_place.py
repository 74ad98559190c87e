"""A tip that stays in a no-go zone is told, one that passes by is not."""

import numpy as np
import pytest
from watched_case import PROTOCOL, observation

from surgical_ml.geometry import Distance, Scene
from surgical_ml.workflow.moment import Course, Moment
from surgical_ml.workflow.unsafe_place import STAYS_NS, UnsafePlaceDetector

STEP = 100_000_000
BELIEF = np.full(len(PROTOCOL.phases), 1 / len(PROTOCOL.phases))


def moment(k: int, scene: Scene | None) -> Moment:
    seen = None if scene is None else observation(k, k * STEP, "Preparation")
    return Moment(k * STEP, None if scene is None else k, seen, scene, STEP, BELIEF, Course(), None)


def scene(k: int, *near: tuple[str, str, int, int | None]) -> Scene:
    """Instrument, zone, pixels, and since which step it is within the margin."""
    rows = (
        Distance(1, tool, zone, px, True, None if since is None else since * STEP) for tool, zone, px, since in near
    )
    return Scene(k * STEP, (), tuple(rows))


def test_a_tip_that_stays_in_a_zone_is_told_with_its_beginning_and_ends_when_it_leaves():
    detector = UnsafePlaceDetector(PROTOCOL)
    told = [detector.step(moment(k, scene(k, ("hook", "bile_duct", 0, 10)))) for k in range(10, 20)]
    first = next(k for k, found in enumerate(told) if found)
    assert first * STEP == STAYS_NS
    (one,) = told[-1]
    assert (one.kind, one.subject, one.onset_ns, one.certainty) == ("unsafe-place", "bile_duct", 10 * STEP, "high")
    assert one.observed == ("hook at 0 px",)
    assert one.rule == "cholecystectomy/zones/bile_duct"
    assert 10 in one.evidence_frames
    # Time without a frame changes nothing.
    assert detector.step(moment(20, None)) == (one,)
    assert detector.step(moment(21, scene(21, ("hook", "bile_duct", 90, None)))) == ()


def test_a_tip_that_passes_by_is_not_told():
    detector = UnsafePlaceDetector(PROTOCOL)
    for begin in range(0, 60, 6):
        for k in range(begin, begin + 3):
            assert detector.step(moment(k, scene(k, ("hook", "bile_duct", 0, begin)))) == ()
        assert detector.step(moment(begin + 3, scene(begin + 3, ("hook", "bile_duct", 60, None)))) == ()


@pytest.mark.parametrize("px", [0, 12])
def test_of_several_tips_at_a_zone_the_nearest_is_named(px):
    detector = UnsafePlaceDetector(PROTOCOL)
    rows = (("hook", "bile_duct", px, 0), ("grasper", "bile_duct", 15, 0), ("grasper", "artery", 20, 0))
    for k in range(8):
        found = detector.step(moment(k, scene(k, *rows)))
    assert {(one.subject, one.observed[0].split()[0]) for one in found} == {
        ("bile_duct", "hook"),
        ("artery", "grasper"),
    }
    by_zone = {one.subject: one.certainty for one in found}
    assert by_zone == {"bile_duct": "high" if px == 0 else "medium", "artery": "medium"}
