"""The script of a synthetic operation is a possible operation, and its injected deviations are where it says."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.simulation import DEVIATIONS, DISTURBANCES, PHASES, TOOLS, CasePlan, plan_case, shuffle_tools
from surgical_ml.simulation.plan import NEVER

ORDERS = ((0, 1, 2, 3, 4, 5, 6), (0, 1, 2, 3, 5, 4, 6))
"""The two usual courses: the bag before or after the field is cleaned."""

seeds = st.integers(0, 2**31)
durations = st.floats(30.0, 3600.0)
kinds = st.sampled_from(["none", *DEVIATIONS])
disturbances = st.lists(st.sampled_from(DISTURBANCES), unique=True, max_size=6).map(tuple)

plans = st.builds(
    lambda seed, duration, deviation, kinds: plan_case(
        seed, duration_s=duration, deviation=deviation, disturbances=kinds
    ),
    seeds,
    durations,
    kinds,
    disturbances,
)


@settings(max_examples=60, deadline=None)
@given(plans)
def test_phases_follow_each_other_without_gap_or_overlap(plan: CasePlan) -> None:
    assert plan.segments[0].start_s == 0.0
    assert plan.segments[-1].end_s == plan.duration_s
    assert all(left.end_s == right.start_s for left, right in pairwise(plan.segments))
    assert all(segment.end_s - segment.start_s >= 6.0 - 1e-9 for segment in plan.segments)
    for segment in plan.segments:
        middle = (segment.start_s + segment.end_s) / 2
        assert plan.segment_at(middle) == segment
        assert 0.0 < plan.phase_progress(segment.phase, middle) < 1.0
        assert plan.phase_progress(segment.phase, plan.duration_s) == pytest.approx(1.0)


@settings(max_examples=60, deadline=None)
@given(plans)
def test_tools_are_held_by_one_hand_each_and_come_in_order(plan: CasePlan) -> None:
    starts = [use.start_s for use in plan.tools]
    assert starts == sorted(starts)
    for use in plan.tools:
        assert use.tool in TOOLS
        assert 0.0 <= use.start_s < use.end_s <= plan.duration_s
        assert use in plan.tools_at((use.start_s + use.end_s) / 2)
    for slot in {use.slot for use in plan.tools}:
        hand = [use for use in plan.tools if use.slot == slot]
        assert all(before.end_s <= after.start_s for before, after in pairwise(hand))


@settings(max_examples=60, deadline=None)
@given(seeds, durations, disturbances)
def test_without_a_deviation_order_and_tools_are_usual(seed: int, duration_s: float, kinds: tuple[str, ...]) -> None:
    plan = plan_case(seed, duration_s=duration_s, disturbances=kinds)
    assert plan.deviations == ()
    assert tuple(segment.phase for segment in plan.segments) in ORDERS
    for use in plan.tools:
        assert use.tool not in NEVER[plan.segment_at((use.start_s + use.end_s) / 2).phase]


@settings(max_examples=60, deadline=None)
@given(seeds, durations)
def test_a_deviation_of_order_is_one_phase_left_out_and_begins_with_what_comes_instead(
    seed: int, duration_s: float
) -> None:
    plan = plan_case(seed, duration_s=duration_s, deviation="order")
    (deviation,) = plan.deviations
    done = tuple(segment.phase for segment in plan.segments)
    left_out = set(range(len(PHASES))) - set(done)
    assert len(left_out) == 1
    assert any(done == tuple(phase for phase in order if phase not in left_out) for order in ORDERS)
    (instead,) = [s for s in plan.segments if s.start_s == deviation.onset_s]
    assert (deviation.kind, deviation.subject) == ("order", PHASES[instead.phase])
    assert plan.segments[plan.segments.index(instead) - 1].phase == min(left_out) - 1
    assert deviation.end_s == instead.end_s


@settings(max_examples=60, deadline=None)
@given(seeds, durations)
def test_a_tool_that_does_not_belong_lies_in_its_phase_and_is_alone_in_its_hand(seed: int, duration_s: float) -> None:
    plan = plan_case(seed, duration_s=duration_s, deviation="tool-mismatch")
    (deviation,) = plan.deviations
    segment = plan.segment_at(deviation.onset_s)
    assert segment.start_s <= deviation.onset_s < deviation.end_s <= segment.end_s
    assert deviation.end_s - deviation.onset_s >= 4.0
    assert deviation.subject in NEVER[segment.phase]
    middle = (deviation.onset_s + deviation.end_s) / 2
    assert [use.tool for use in plan.tools_at(middle) if use.slot == 1] == [deviation.subject]
    others = [use for use in plan.tools if (use.tool, use.start_s) != (deviation.subject, deviation.onset_s)]
    assert all(use.tool not in NEVER[plan.segment_at((use.start_s + use.end_s) / 2).phase] for use in others)


@settings(max_examples=60, deadline=None)
@given(plans)
def test_duct_and_artery_are_clipped_and_cut_while_they_are_to_be(plan: CasePlan) -> None:
    for at in (plan.clipped_s, plan.cut_s):
        assert at == float("inf") or PHASES[plan.segment_at(at).phase] == "ClippingCutting"
    if 2 not in {segment.phase for segment in plan.segments}:
        assert plan.clipped_s == plan.cut_s == float("inf")


@settings(max_examples=60, deadline=None)
@given(seeds, durations, disturbances)
def test_disturbances_are_of_the_kinds_that_were_asked_for_and_fade(
    seed: int, duration_s: float, kinds: tuple[str, ...]
) -> None:
    plan = plan_case(seed, duration_s=duration_s, disturbances=kinds)
    assert {one.kind for one in plan.disturbances} <= set(kinds)
    for one in plan.disturbances:
        assert 0.0 <= one.start_s < one.end_s <= plan.duration_s
        assert 0.5 <= one.strength <= 1.0
        alone = replace(plan, disturbances=(one,))
        assert alone.strength(one.kind, (one.start_s + one.end_s) / 2) == one.strength
        assert alone.strength(one.kind, one.start_s) == 0.0
        assert 0.0 < alone.strength(one.kind, one.end_s - 0.25) < one.strength
    assert all(plan.strength(kind, -1.0) == 0.0 for kind in DISTURBANCES)


@settings(max_examples=50, deadline=None)
@given(seeds, durations, kinds, disturbances)
def test_the_same_seed_and_arguments_give_the_same_case(
    seed: int, duration_s: float, deviation: str, kinds: tuple[str, ...]
) -> None:
    first, again, other = (
        plan_case(number, duration_s=duration_s, deviation=deviation, disturbances=kinds)
        for number in (seed, seed, seed + 1)
    )
    assert first == again
    assert first != other


def test_a_random_deviation_is_drawn_by_the_seed_and_one_case_in_four_has_none() -> None:
    drawn = [plan_case(seed, deviation="random").deviations for seed in range(400)]
    assert drawn == [plan_case(seed, deviation="random").deviations for seed in range(400)]
    shares = {kind: sum(found[:1] != () and found[0].kind == kind for found in drawn) / 400 for kind in DEVIATIONS}
    assert shares == {"tool-mismatch": pytest.approx(0.5, abs=0.1), "order": pytest.approx(0.25, abs=0.1)}


@settings(max_examples=30, deadline=None)
@given(plans, seeds)
def test_shuffled_tools_are_other_tools_at_the_same_times(plan: CasePlan, seed: int) -> None:
    shuffled = shuffle_tools(plan, seed)
    assert [(use.slot, use.start_s, use.end_s) for use in shuffled.tools] == [
        (use.slot, use.start_s, use.end_s) for use in plan.tools
    ]
    assert shuffled.segments == plan.segments
    assert {use.tool for use in shuffled.tools} <= set(TOOLS)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"procedure": "appendectomy"}, r"procedure: expected one of \['cholecystectomy'\], found appendectomy"),
        ({"deviation": "surprise"}, r"deviation: expected none, random, or one of .*'order'.*, found surprise"),
        ({"disturbances": ("smoke", "fog")}, r"disturbance: expected one of .*'smoke'.*, found fog"),
        ({"seed": -1}, "seed: expected a whole number from 0, found -1"),
        ({"duration_s": 0.0}, r"duration: expected seconds in \(0, 86400\], found 0\.0"),
        ({"duration_s": float("nan")}, "duration: expected .*, found nan"),
        ({"duration_s": 1e9}, "duration: expected .*, found 1000000000"),
    ],
)
def test_names_and_numbers_that_mean_nothing_are_refused(arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        plan_case(**({"seed": 0} | arguments))
