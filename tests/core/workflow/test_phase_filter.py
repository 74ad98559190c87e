"""The filter over phase scores: a belief that stays one, and a gate that commits on evidence only."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watched_case import PROTOCOL, WatchedCase, scores

from surgical_ml.workflow.commitment import BELIEVED
from surgical_ml.workflow.evidence import USUAL
from surgical_ml.workflow.phases import PhaseFilter
from surgical_ml.workflow.protocol import END

NAMES = PROTOCOL.phase_names
SECOND = 1_000_000_000
STEPS = st.tuples(
    st.integers(-2 * SECOND, 7200 * SECOND) | st.integers(0, SECOND // 10), st.none() | st.just("uniform")
)
GARBAGE = st.tuples(*[st.integers(-(10**9), 10**9) | st.integers(0, 10**6)] * len(NAMES))


def new_filter(time_scale: float = 1.0) -> PhaseFilter:
    return PhaseFilter(PROTOCOL, time_scale)


def is_belief(one: PhaseFilter) -> bool:
    values = [float(value) for value in one.belief]
    return all(math.isfinite(v) and v >= 0 for v in values) and abs(sum(values) - 1) < 1e-6


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(
            st.integers(-2 * SECOND, 7200 * SECOND) | st.integers(0, SECOND // 10),
            st.none() | GARBAGE | st.sampled_from([scores(name) for name in NAMES] + [scores(None)]),
        ),
        max_size=60,
    ),
    st.sampled_from([1.0, 20.0, 1000.0]),
)
def test_the_belief_stays_one_whatever_comes(steps, time_scale):
    one, now = new_filter(time_scale), 0
    for index, (dt_ns, given_scores) in enumerate(steps):
        now += dt_ns
        one.step(now, given_scores, index, 0)
        assert is_belief(one)
        estimate = one.estimate(now)
        assert all(0 <= value <= 1_000_000 for value in estimate.belief_ppm)
        assert abs(sum(estimate.belief_ppm) - 1_000_000) <= len(NAMES)
        assert estimate.committed in (None, *NAMES)
        assert estimate.candidate is None or estimate.candidate != estimate.committed


def test_hours_without_evidence_leave_the_committed_phase_and_say_that_it_is_doubtful():
    case = WatchedCase()
    case.show(50, "ClippingCutting")
    assert case.estimate.certainty == "high"
    case.wait(8 * 3600, every_s=1.0)
    assert case.estimate.committed == "ClippingCutting"
    assert case.estimate.certainty == "low"
    assert abs(sum(case.estimate.belief_ppm) - 1_000_000) <= len(NAMES)
    case.show(4, "GallbladderRetraction")
    assert case.phases == ["ClippingCutting", "GallbladderRetraction"]


def test_frames_that_all_bear_one_stamp_establish_nothing():
    one = new_filter()
    for index in range(5_000):
        assert one.step(SECOND, scores("ClippingCutting"), index, 0) is None
    assert one.committed is None
    assert is_belief(one)


def commit_time_s(fps: float, between: bool = False) -> float:
    case = WatchedCase(fps)
    case.show(5, "Preparation")
    begin_ns = case.now_ns
    if between:
        # What a robot says a hundred times a second is no evidence, and takes none away.
        case.between = lambda now: [case.workflow.step(now + k * 1_000_000, None, None) for k in range(3)]
    case.show(10, "CalotTriangleDissection")
    (_, first), (when_ns, second) = case.committed
    assert (first, second) == ("Preparation", "CalotTriangleDissection")
    return (when_ns - begin_ns) / SECOND


@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize("fps", [5, 10, 25, 60])
def test_a_phase_is_committed_at_the_same_time_at_every_frame_rate(fps, between):
    assert commit_time_s(fps, between) == pytest.approx(commit_time_s(30), abs=0.45)
    assert commit_time_s(fps, between) >= PROTOCOL.commit_s


@given(st.lists(st.integers(1, SECOND // 5), min_size=30, max_size=80))
def test_irregular_frames_commit_once_their_time_suffices(gaps):
    one, now, when = new_filter(), 0, None
    for index, gap in enumerate([*gaps, *[SECOND // 10] * 60]):
        now += gap
        if one.step(now, scores("Preparation"), index, 0) is not None:
            when = now
            break
    assert when is not None
    assert PROTOCOL.commit_s <= when / SECOND <= PROTOCOL.commit_s + 1.5


def test_frames_that_prefer_nothing_establish_nothing():
    case = WatchedCase()
    case.show(600, None)
    assert case.phases == []


@given(st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(0, 20_000), st.integers(0, 20_000))
@settings(max_examples=40)
def test_a_single_odd_frame_changes_no_phase_whatever_gap_surrounds_it(first, odd, before_s, after_s):
    case = WatchedCase()
    case.show(4, first)
    assert case.phases == [first]
    case.wait(before_s, every_s=max(1.0, before_s / 50))
    case.show(0.1, odd)
    case.wait(after_s, every_s=max(1.0, after_s / 50))
    # Frames that prefer nothing do not turn it into evidence.
    case.show(20, None)
    assert case.phases == [first]


def test_an_odd_frame_is_no_evidence_because_the_phase_is_due():
    case = WatchedCase()
    case.show(4, "ClippingCutting")
    # By now the next phase is more likely than not, without anybody having seen it.
    case.wait(300)
    case.show(0.1, "GallbladderDissection")
    case.show(20, None)
    assert case.phases == ["ClippingCutting"]
    case.show(3, "GallbladderDissection")
    assert case.phases == ["ClippingCutting", "GallbladderDissection"]


def test_a_change_names_when_its_evidence_began_and_the_frames_that_carry_it():
    one, now, changes = new_filter(), 0, []
    for index in range(200):
        now += SECOND // 20
        shown = "Preparation" if index < 100 else "CalotTriangleDissection"
        change = one.step(now, scores(shown), index, 0)
        if change is not None:
            changes.append((now, change))
    (_, first), (when, second) = changes
    assert (first.before, first.after) == (None, "Preparation")
    assert (second.before, second.after) == ("Preparation", "CalotTriangleDissection")
    assert 5 * SECOND < second.onset_ns < when - SECOND
    assert 1 <= len(second.frames) <= 8
    assert list(second.frames) == sorted(set(second.frames))
    assert all(100 <= frame < 200 for frame in second.frames)


def test_the_estimate_says_what_follows_and_nothing_at_the_end():
    chain = PROTOCOL.model_copy(
        update={
            "phases": tuple(
                phase.model_copy(update={"next": {(*NAMES, END)[k + 1]: 1.0}})
                for k, phase in enumerate(PROTOCOL.phases)
            )
        }
    )
    case = WatchedCase(protocol=chain)
    for name, following in zip(NAMES, [*NAMES[1:], None], strict=True):
        case.show(5, name)
        assert (case.estimate.committed, case.estimate.next_phase) == (name, following)
        assert (case.estimate.next_ppm > 900_000) == (following is not None)


def test_evidence_counts_the_admitted_video_behind_a_phase():
    case = WatchedCase()
    case.show(10, "Preparation")
    assert case.estimate.evidence_ns == pytest.approx(10 * SECOND, abs=SECOND)
    counted = case.estimate.evidence_ns
    case.wait(100)
    assert case.estimate.evidence_ns == counted


def test_no_belief_that_a_case_begins_with_commits_by_itself():
    assert float(new_filter().belief.max()) < BELIEVED
    assert PROTOCOL.commit_s > USUAL.correlated_s
