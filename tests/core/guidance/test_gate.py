"""The gate: nothing is shown without good input that has lasted, and whatever keeps it back is named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.guidance import Gate, GateInput, GateState, GateView, Validity, conditions_from
from surgical_ml.guidance.gate_table import DEGRADED_NS, PATIENT_NS, RETURN_NS, STALE_NS, UNRECORDED_NS
from surgical_ml.perception import Refusal

MS = 1_000_000
PERIOD = 40 * MS
PATIENT = {"out-of-body", "unlike-training"}
HARD = [one.value for one in Refusal if one.value not in PATIENT]
SHOWN = (Validity.OK, Validity.DEGRADED)


class Watched:
    """A gate with a clock that a test moves."""

    def __init__(self, period_ns: int = PERIOD, *, resumed: bool = False) -> None:
        self.gate = Gate(period_ns, resumed=resumed)
        self.period_ns = period_ns
        self.now = 0

    def event(self, after_ns: int = 0, **given_values: object) -> GateView:
        self.now += after_ns
        return self.gate.update(self.now, GateInput(**{"frame": False} | given_values))  # type: ignore[arg-type]

    def frames(self, seconds: float, **given_values: object) -> list[GateView]:
        count = round(seconds * 1e9 / self.period_ns)
        return [self.event(self.period_ns, frame=True, **given_values) for _ in range(count)]


def shown() -> Watched:
    watched = Watched()
    assert watched.frames(1.2)[-1].validity is Validity.OK
    return watched


def test_before_a_case_nothing_is_shown():
    watched = Watched()
    assert watched.gate.view.reason == "no-case"
    for view in watched.frames(3, started=False):
        assert (view.state, view.validity, view.reason) == (GateState.READY, Validity.WITHHELD, "no-case")


@pytest.mark.parametrize(("resumed", "reason"), [(False, "starting"), (True, "restarted")])
def test_a_case_is_shown_once_good_input_has_lasted_a_second(resumed, reason):
    watched = Watched(resumed=resumed)
    views = watched.frames(1.2)
    until = RETURN_NS // PERIOD
    assert {(view.validity, view.reason) for view in views[:until]} == {(Validity.WITHHELD, reason)}
    assert {(view.state, view.reason) for view in views[until:]} == {(GateState.ACTIVE, "")}


@pytest.mark.parametrize("refusal", HARD)
def test_a_fault_of_the_input_withholds_at_once_and_good_input_must_last_before_it_is_over(refusal):
    watched = shown()
    view = watched.event(PERIOD, frame=True, refusal=refusal)
    assert view.reason == refusal
    assert view.validity is (Validity.FAULT if refusal == "engine-fault" else Validity.WITHHELD)
    views = watched.frames(1.2)
    assert all(view.reason == refusal for view in views[: RETURN_NS // PERIOD])
    assert views[-1].validity is Validity.OK


@pytest.mark.parametrize("refusal", sorted(PATIENT))
def test_an_odd_picture_withholds_only_when_it_lasts(refusal):
    watched = shown()
    for _ in range(5):
        assert {view.validity for view in watched.frames(0.28, refusal=refusal)} == {Validity.OK}
        assert {view.validity for view in watched.frames(0.1)} == {Validity.OK}
    began = watched.now + PERIOD
    views = watched.frames(0.6, refusal=refusal)
    first = next(view for view in views if view.validity is Validity.WITHHELD)
    assert first.reason == refusal
    assert first.since_ns - began == -(-PATIENT_NS // PERIOD) * PERIOD


@pytest.mark.parametrize(("period_ns", "limit_ns"), [(PERIOD, STALE_NS), (500 * MS, 1500 * MS)])
def test_time_without_a_frame_makes_it_stale(period_ns, limit_ns):
    watched = Watched(period_ns)
    watched.frames(4)
    last = watched.now
    assert watched.event(limit_ns).validity is Validity.OK
    view = watched.event(1)
    assert (view.reason, view.since_ns) == ("stale", last + limit_ns + 1)
    # One frame does not end it.
    assert watched.event(1, frame=True).reason == "stale"


def test_a_case_in_which_no_frame_ever_comes_is_stale_too():
    watched = Watched()
    assert watched.event(MS).reason == "starting"
    assert watched.event(STALE_NS + 1).reason == "stale"


def test_a_pause_withholds_until_it_is_over_and_good_input_has_lasted():
    watched = shown()
    assert watched.event(paused=True).reason == "paused"
    assert {view.reason for view in watched.frames(5, paused=True)} == {"paused"}
    views = watched.frames(1.2)
    assert {view.validity for view in views[: RETURN_NS // PERIOD]} == {Validity.WITHHELD}
    assert views[-1].validity is Validity.OK


def test_the_end_of_a_case_is_the_end_of_showing():
    watched = shown()
    assert watched.event(started=False).state is GateState.READY


def test_a_lost_record_withholds_for_two_seconds_at_least():
    watched = shown()
    assert watched.event(PERIOD, record_failed=True).reason == "unrecorded"
    lost = watched.now
    for view in watched.frames(5):
        if watched.now - lost < UNRECORDED_NS:
            assert (view.validity, view.reason) == (Validity.WITHHELD, "unrecorded")
    assert view.validity is Validity.OK
    assert view.since_ns - lost >= UNRECORDED_NS + RETURN_NS


def test_what_is_poor_but_tolerable_is_shown_as_degraded_and_for_a_while_after():
    watched = shown()
    view = watched.event(PERIOD, frame=True, degraded=("smoke",))
    assert (view.state, view.validity, view.degraded) == (GateState.DEGRADED_VIEW, Validity.DEGRADED, ("smoke",))
    last = watched.now
    views = watched.frames(0.8)
    over = next(view for view in views if view.validity is Validity.OK)
    assert over.since_ns - last == -(-DEGRADED_NS // PERIOD) * PERIOD


def test_dropped_frames_are_shown_as_degraded():
    watched = shown()
    view = watched.event(3 * PERIOD, frame=True)
    assert (view.state, view.degraded) == (GateState.DEGRADED_DROPS, ("dropped-frames",))


EVENTS = st.builds(
    GateInput,
    frame=st.booleans(),
    refusal=st.sampled_from(["", "", "", *[one.value for one in Refusal]]),
    degraded=st.sampled_from([(), (), ("smoke",), ("smoke", "blood")]),
    started=st.sampled_from([True, True, True, True, False]),
    paused=st.sampled_from([False, False, False, True]),
    record_failed=st.sampled_from([False, False, False, False, True]),
).map(lambda one: one if one.frame else GateInput(False, "", (), one.started, one.paused, one.record_failed))
RUNS = st.lists(st.tuples(EVENTS, st.integers(0, 250 * MS), st.integers(1, 40)), max_size=12)


@settings(max_examples=150)
@given(RUNS)
def test_whatever_happens_nothing_is_shown_without_a_second_of_good_input_and_a_fresh_frame(runs):
    gate, now = Gate(PERIOD), 0
    good_since: int | None = None
    frame_ns = odd_ns = None
    lost_until = 0
    view = gate.view
    for event, gap_ns, count in runs:
        for _ in range(count):
            now += gap_ns
            was_shown = view.validity in SHOWN
            view = gate.update(now, event)
            if event.frame:
                frame_ns = now
                odd_ns = None if event.refusal not in PATIENT else odd_ns if odd_ns is not None else now
            lost_until = now + UNRECORDED_NS if event.record_failed else lost_until
            stale = frame_ns is None or now - frame_ns > STALE_NS
            blocked = not event.started or event.paused or now < lost_until or (not event.frame and stale)
            blocked |= event.refusal in HARD
            if blocked or event.refusal:
                good_since = None
            elif event.frame and good_since is None:
                good_since = now
            if view.validity in SHOWN:
                assert view.reason == ""
                assert not blocked
                assert odd_ns is None or now - odd_ns < PATIENT_NS
                if not was_shown:
                    assert good_since is not None
                    assert now - good_since >= RETURN_NS
            else:
                assert view.reason
                assert view.degraded == ()
                told = conditions_from((), view, frozenset())
                assert len(told) == (view.reason != "no-case")
            assert view.since_ns <= now
            assert (view.state is GateState.FAULT) == (view.validity is Validity.FAULT)


@settings(max_examples=25)
@given(RUNS, st.integers(0, 10**15))
def test_the_gate_knows_only_differences_of_time(runs, start_ns):
    """A case that begins at another stamp is answered alike."""

    def play(now: int) -> list[tuple[object, ...]]:
        gate, first, answers = Gate(PERIOD), now, []
        for event, gap_ns, count in runs:
            for _ in range(count):
                now += gap_ns
                view = gate.update(now, event)
                since = None if view.reason == "no-case" else view.since_ns - first
                answers.append((view.state, view.validity, view.reason, view.degraded, since))
        return answers

    assert play(start_ns + 10**12) == play(10**12)
