"""Deviations: what departs from the protocol is found, with its evidence, and what does not is let alone."""

from collections import deque

import pytest
from watched_case import PROTOCOL, WatchedCase

from surgical_ml.errors import InputError
from surgical_ml.perception import Refusal
from surgical_ml.workflow import Workflow
from surgical_ml.workflow.protocol import Requires
from surgical_ml.workflow.tool_mismatch import NEAR_NEXT

SECOND = 1_000_000_000
NAMES = PROTOCOL.phase_names
PHASE_S = 5.0

PLAIN = PROTOCOL.model_copy(
    update={
        "phases": tuple(
            phase.model_copy(update={"duration": None, "requires": Requires()}) for phase in PROTOCOL.phases
        )
    }
)
"""Only order and tools: phases of five seconds are too short for nobody, and nothing has to have come before."""


def route(target: str) -> list[str]:
    """A shortest ordinary course from the first phase to another."""
    waiting = deque([[NAMES[0]]])
    while waiting:
        course = waiting.popleft()
        if course[-1] == target:
            return course
        waiting.extend([*course, name] for name in PROTOCOL.phase(course[-1]).following if name not in course)
    raise AssertionError(f"{target} cannot be reached")


STEPS = [(phase.name, after) for phase in PROTOCOL.phases for after in phase.following]
SKIPS = [
    (phase.name, after) for phase in PROTOCOL.phases for after in NAMES if after not in (phase.name, *phase.following)
]
ODD_TOOLS = [(phase.name, tool) for phase in PROTOCOL.phases for tool in PROTOCOL.tools if not phase.tools.admits(tool)]
USUAL_TOOLS = [(phase.name, tool) for phase in PROTOCOL.phases for tool in PROTOCOL.tools if phase.tools.admits(tool)]


def play(course: list[str]) -> WatchedCase:
    case = WatchedCase(protocol=PLAIN)
    for phase in course:
        case.show(PHASE_S, phase, PROTOCOL.phase(phase).tools.expected)
    return case


@pytest.mark.parametrize(("before", "after"), STEPS)
def test_an_ordinary_course_is_followed_without_a_deviation(before, after):
    course = [*route(before), after]
    case = play(course)
    assert case.phases == course
    assert case.raised == []


def test_a_case_may_be_joined_anywhere():
    for name in NAMES:
        assert play([name]).raised == []


def passed_over(before: str, after: str) -> list[str]:
    """What lies between two phases on a shortest ordinary course; the second where there is none."""
    waiting = deque([[before]])
    while waiting:
        course = waiting.popleft()
        if course[-1] == after:
            return course[1:-1]
        waiting.extend([*course, name] for name in PROTOCOL.phase(course[-1]).following if name not in course)
    return [after]


@pytest.mark.parametrize(("before", "after"), SKIPS)
def test_a_phase_out_of_order_is_found_with_its_evidence(before, after):
    case = play(route(before))
    begin_ns, begin_index = case.now_ns, case.index
    case.show(PHASE_S, after)
    (one,) = case.raised
    between = passed_over(before, after)
    if after in route(before):
        assert (one.kind, one.subject, one.phase) == ("repeated", after, before)
    elif between == [after] or any(PROTOCOL.phase(name).critical for name in between):
        assert (one.kind, one.subject, one.phase) == ("order", after, before)
    else:
        assert (one.kind, one.phase) == ("skipped", after)
        assert (one.subject, one.subject in NAMES) == (one.expected[0], True)
    if one.kind != "skipped":
        assert one.expected == PROTOCOL.phase(before).following
    assert one.observed == (after,)
    assert one.rule == f"cholecystectomy/{before}/next"
    # An unlisted step starts from so little belief that its evidence shows a little late.
    assert begin_ns < one.onset_ns <= begin_ns + 3 * SECOND
    assert 1 <= len(one.evidence_frames) <= 8
    assert list(one.evidence_frames) == sorted(one.evidence_frames)
    assert all(begin_index < index <= case.index for index in one.evidence_frames)
    assert one.clears
    assert case.present == (one,)
    case.show(PHASE_S, PROTOCOL.phase(after).following[0])
    assert one not in case.present


def needed_s(phase: str, tool: str) -> float:
    following = {t for name in PROTOCOL.phase(phase).following for t in PROTOCOL.phase(name).tools.expected}
    return PROTOCOL.mismatch_s * (NEAR_NEXT if tool in following else 1.0)


@pytest.mark.parametrize(("phase", "tool"), USUAL_TOOLS)
def test_a_tool_that_belongs_to_the_phase_raises_nothing(phase, tool):
    case = play(route(phase))
    case.show(10, phase, (tool,))
    assert case.raised == []


@pytest.mark.parametrize(("phase", "tool"), ODD_TOOLS)
def test_a_tool_where_it_should_not_be_is_found_once_it_persists(phase, tool):
    case = play(route(phase))
    begin_ns, begin_index = case.now_ns, case.index
    case.show(needed_s(phase, tool) - 0.2, phase, (tool,))
    assert case.raised == []
    case.show(0.4, phase, (tool,))
    (one,) = case.raised
    assert (one.kind, one.subject, one.phase) == ("tool-mismatch", tool, phase)
    assert one.expected == PROTOCOL.phase(phase).tools.expected
    assert one.observed == (tool,)
    assert one.rule == f"cholecystectomy/{phase}/tools"
    assert one.onset_ns == begin_ns + case.period_ns
    assert 1 <= len(one.evidence_frames) <= 8
    assert all(begin_index < index <= case.index for index in one.evidence_frames)
    # It lasts at most as long without the tool as it may have been seen.
    case.show(1.5 * needed_s(phase, tool) + 0.2, phase, ())
    assert case.present == ()
    assert case.raised == [one]


PHASE, TOOL = "ClippingCutting", "specimen_bag"


def in_clipping() -> WatchedCase:
    return play(route(PHASE))


def test_a_tool_that_comes_and_goes_is_no_mismatch():
    case = in_clipping()
    for _ in range(20):
        case.show(0.5, PHASE, (TOOL,))
        case.show(0.6, PHASE)
    assert case.raised == []


def test_a_tool_that_is_seen_most_of_the_time_is_a_mismatch():
    case = in_clipping()
    for _ in range(20):
        case.show(0.5, PHASE, (TOOL,))
        case.show(0.2, PHASE)
    assert [one.subject for one in case.raised] == [TOOL]


def test_a_tool_that_is_hardly_recognised_is_no_mismatch():
    case = in_clipping()
    case.show(10, PHASE, (TOOL,), tool_ppm=490_000)
    assert case.raised == []


def about_the_operation(case: WatchedCase) -> list[str]:
    return [one.subject for one in case.raised if one.kind != "stream"]


@pytest.mark.parametrize("how", ["refused", "no frames"])
def test_what_was_not_admitted_neither_adds_to_a_suspicion_nor_takes_from_it(how):
    case = in_clipping()
    case.show(1.0, PHASE, (TOOL,))
    for _ in range(3):
        if how == "refused":
            case.show(20, PHASE, (TOOL,), refusal=Refusal.UNLIKE_TRAINING)
        else:
            case.wait(20)
        assert about_the_operation(case) == []
    # The frame after a gap stands for a moment, not for the gap.
    case.show(0.1, PHASE, (TOOL,))
    assert about_the_operation(case) == []
    case.show(1.0, PHASE, (TOOL,))
    assert about_the_operation(case) == [TOOL]


def test_a_withheld_stretch_is_no_evidence_for_a_phase():
    case = in_clipping()
    case.show(60, "GallbladderRetraction", ("specimen_bag",), refusal=Refusal.OUT_OF_BODY)
    assert case.phases[-1] == PHASE
    assert case.raised == []
    assert case.estimate.candidate is None


def test_a_single_frame_of_anything_raises_nothing():
    for name in NAMES:
        case = in_clipping()
        case.show(0.1, name, PROTOCOL.tools)
        case.show(5, PHASE, PROTOCOL.phase(PHASE).tools.expected)
        assert case.raised == []


def test_a_mismatch_ends_when_the_phase_turns_out_to_be_the_tools_own():
    case = play(route("GallbladderDissection"))
    case.show(12, "GallbladderPackaging", ("specimen_bag",))
    assert case.phases[-1] == "GallbladderPackaging"
    assert case.present == ()


def test_several_departures_are_told_at_once():
    case = in_clipping()
    case.show(PHASE_S, "GallbladderPackaging", ("scissors", "clipper"))
    assert {(one.kind, one.subject) for one in case.present} == {
        ("skipped", "GallbladderDissection"),
        ("tool-mismatch", "scissors"),
        ("tool-mismatch", "clipper"),
    }


def test_events_between_the_frames_change_nothing_that_is_found():
    quiet, busy = in_clipping(), in_clipping()
    busy.between = lambda now: [busy.workflow.step(now + k * 1_000_000, None, None) for k in range(5)]
    for case in (quiet, busy):
        case.show(4, PHASE, (TOOL,))
        case.show(PHASE_S, "CleaningCoagulation")
    assert busy.raised == quiet.raised
    assert busy.phases == quiet.phases
    assert [one.onset_ns for one in busy.raised] == [one.onset_ns for one in quiet.raised]


@pytest.mark.parametrize(
    ("phases", "tools", "told"),
    [
        (NAMES[::-1], PROTOCOL.tools, "model for cholecystectomy: phases: expected"),
        (NAMES[:-1], PROTOCOL.tools, "model for cholecystectomy: phases: expected"),
        (NAMES, PROTOCOL.tools[1:], "model for cholecystectomy: tools: expected"),
    ],
)
def test_a_model_of_other_phases_or_tools_is_refused(phases, tools, told):
    with pytest.raises(InputError, match=told):
        Workflow(PROTOCOL, phases=phases, tools=tools)
