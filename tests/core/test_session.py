"""One case from its start to its end: what each event leads to, and that it is recorded before it is told."""

import gc
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_case import PERIOD, PROTOCOL, SECOND, ScriptedCase, Shown, manifest, pixels

from surgical_ml import record
from surgical_ml.audit import MemoryRecorder, Ticket, canonical
from surgical_ml.config import CaseConfig
from surgical_ml.decision import Decision
from surgical_ml.engine import Model
from surgical_ml.errors import InputError
from surgical_ml.events import Action, OperatorAction, RecordFailure, RobotState, Tick
from surgical_ml.guidance import Activation, GateState, Kind, Presence, Priority, Validity
from surgical_ml.guidance.gate_table import UNRECORDED_NS
from surgical_ml.guidance.machine import PAUSE_NS
from surgical_ml.perception import Observation, SeenInstrument
from surgical_ml.session import CASE_START, DECISION, GUIDANCE_VALID_NS, Session
from surgical_ml.video import Frame

SKIPPED = "GallbladderPackaging"


def procedural(decision: Decision) -> list[tuple[str, str, Presence]]:
    return [(a.code, a.subject, a.presence) for a in decision.advisories if a.kind is Kind.PROCEDURAL]


def technical(decision: Decision) -> list[str]:
    return [a.subject for a in decision.advisories if a.kind is Kind.TECHNICAL and a.presence is Presence.ON]


# What is recorded


def test_the_first_entry_says_what_everything_after_it_depends_on():
    case = ScriptedCase()
    case.tick()
    first = case.entries[0]
    assert (first["type"], first["case"]) == (CASE_START, "case-1")
    assert first["body"]["identity"] == case.session.identity()
    assert set(first["body"]["identity"]) >= {"model", "protocol", "config", "software"}
    assert CaseConfig.of(json.loads(first["body"]["config"])) == case.session.config
    assert first["body"]["resumed"] is False


def test_every_event_of_every_kind_is_answered_and_recorded_in_order():
    case = ScriptedCase()
    case.act(Action.START)
    case.frame()
    case.tick()
    case.robot(state="enabled")
    case.lose_record()
    for action in Action:
        case.act(action)
    kinds = ["operator-action", "frame", "tick", "robot-state", "record-failure", *["operator-action"] * len(Action)]
    assert [decision.event for decision in case.decisions] == kinds
    assert [decision.seq for decision in case.decisions] == list(range(len(kinds)))
    entries = case.entries[1:]
    assert [entry["type"] for entry in entries] == [DECISION] * len(kinds)
    assert [entry["body"]["event"]["kind"] for entry in entries] == kinds
    assert [entry["body"]["decision"]["seq"] for entry in entries] == list(range(len(kinds)))
    assert [entry["body"]["seen"] is not None for entry in entries] == [kind == "frame" for kind in kinds]


def test_a_recorded_digest_is_that_of_the_decision():
    case = ScriptedCase().start()
    case.show(5, phase="ClippingCutting")
    for decision, entry in zip(case.decisions, case.entries[1:], strict=True):
        assert entry["body"]["decision"]["sha256"] == record.decision_digest(decision)


class Watching:
    """A recorder that remembers in which order it was asked, and settles nothing by itself."""

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.urgent: list[bool] = []

    def append(self, type: str, body: Mapping[str, Any], *, urgent: bool = False, **_: object) -> Ticket:
        canonical.encode(dict(body), type)
        self.tickets.append(Ticket(len(self.tickets)))
        self.urgent.append(urgent)
        return self.tickets[-1]


def test_a_decision_is_queued_before_it_is_told_and_carries_its_ticket():
    recorder = Watching()
    case = ScriptedCase(recorder)
    for count in range(1, 20):
        decision = case.frame()
        assert len(recorder.tickets) == 1 + count
        assert decision.ticket is recorder.tickets[-1]
        assert not decision.ticket.durable
        decision.ticket.settle()
        assert decision.ticket.durable


def test_a_recorder_that_refuses_is_heard_of_by_the_ticket():
    class Refusing(Watching):
        def append(self, *arguments: Any, **options: Any) -> Ticket:
            ticket = super().append(*arguments, **options)
            ticket.settle("No space left on device")
            return ticket

    decision = ScriptedCase(Refusing()).tick()
    assert decision.ticket is not None
    assert decision.ticket.decided
    assert not decision.ticket.durable


def test_the_change_of_a_high_advisory_is_made_durable_at_once():
    recorder = Watching()
    case = ScriptedCase(recorder).start()
    began = len(recorder.urgent)
    case.show(8, phase=SKIPPED)
    announced = next(k for k, one in enumerate(case.decisions) if procedural(one))
    # The case's start stands before the first decision.
    assert recorder.urgent[announced + 1]
    assert sum(recorder.urgent[began:]) == 1


def test_a_decision_holds_nothing_that_cannot_be_compared_exactly():
    case = ScriptedCase().start()
    case.show(8, phase=SKIPPED, tools=("grasper", "scissors"), smoke=1.0)
    case.show(1, in_body=0.0)
    for decision in case.decisions:
        line = json.loads(json.dumps(decision.to_json()))
        assert line == decision.to_json()
        canonical.encode(line)


# What is shown


def test_before_the_case_nothing_is_shown_whatever_is_seen():
    case = ScriptedCase()
    for decision in case.show(5):
        assert (decision.validity, decision.withheld) == (Validity.WITHHELD, "no-case")
        assert (decision.phase, decision.guidance, decision.instruments, decision.advisories) == (None, None, (), ())
    case.act(Action.START)
    # What was seen before the case began is no evidence in it.
    began_ns = case.now
    decision = case.show(1.2)[-1]
    assert decision.validity is Validity.OK
    assert decision.phase is not None
    assert decision.phase.committed_since_ns >= began_ns
    assert decision.phase.evidence_ns <= decision.stamp_ns - began_ns


def test_good_video_is_shown_with_phase_instruments_and_guidance():
    decision = ScriptedCase().start().frame()
    assert (decision.state, decision.validity, decision.withheld) == (GateState.ACTIVE, Validity.OK, "")
    assert decision.phase.committed == "Preparation"
    assert [track.type for track in decision.instruments] == ["grasper"]
    assert decision.guidance.next_phase == "CalotTriangleDissection"
    assert decision.guidance.valid_until_ns == decision.stamp_ns + GUIDANCE_VALID_NS
    assert decision.judged_ns == decision.stamp_ns
    assert decision.advisories == ()
    assert len(decision.input_sha256) == 64


def test_an_ordinary_course_stays_silent():
    case = ScriptedCase().start()
    for name in ("CalotTriangleDissection", "ClippingCutting", "GallbladderDissection", "GallbladderPackaging"):
        case.show(5, phase=name, tools=PROTOCOL.phase(name).tools.expected)
        assert case.decisions[-1].phase.committed == name
    assert all(procedural(decision) == [] for decision in case.decisions)


def test_no_frames_are_noticed_by_time_alone():
    case = ScriptedCase().start()
    assert case.tick(100_000_000).validity is Validity.OK
    decision = case.tick(250_000_000)
    assert (decision.validity, decision.withheld) == (Validity.WITHHELD, "stale")
    assert (decision.phase, decision.guidance, decision.instruments) == (None, None, ())
    assert technical(decision) == ["stale"]
    assert decision.judged_ns == case.decisions[-3].stamp_ns
    assert case.show(1.2)[-1].validity is Validity.OK


def test_a_pause_withholds_and_nothing_seen_in_it_is_evidence():
    case = ScriptedCase().start()
    decision = case.act(Action.PAUSE)
    assert (decision.validity, decision.withheld) == (Validity.WITHHELD, "paused")
    assert technical(decision) == ["paused"]
    paused = case.show(30, phase=SKIPPED, tools=("specimen_bag", "scissors"))
    assert {decision.withheld for decision in paused} == {"paused"}
    case.act(Action.RESUME)
    decision = case.show(1.3, Shown())[-1]
    assert decision.validity is Validity.OK
    assert decision.phase.committed == "Preparation"
    assert all(procedural(one) == [] for one in case.decisions)


def test_the_end_of_a_case_is_the_end_of_showing():
    case = ScriptedCase().start()
    assert case.act(Action.END).withheld == "no-case"
    assert {decision.state for decision in case.show(3)} == {GateState.READY}


def test_a_resumed_case_says_that_it_was_interrupted():
    case = ScriptedCase(resumed=True)
    case.act(Action.START)
    decision = case.frame()
    assert decision.withheld == "restarted"
    assert technical(decision) == ["restarted"]
    assert case.entries[0]["body"]["resumed"] is True
    assert case.show(1.2)[-1].validity is Validity.OK


def test_a_lost_record_withholds_everything_for_a_while_and_says_so():
    case = ScriptedCase().start()
    decision = case.lose_record(seq=case.decisions[-1].seq)
    assert (decision.event, decision.validity, decision.withheld) == ("record-failure", Validity.WITHHELD, "unrecorded")
    assert (decision.phase, decision.guidance, decision.instruments) == (None, None, ())
    (advisory,) = decision.advisories
    assert (advisory.kind, advisory.subject, advisory.priority) == (Kind.TECHNICAL, "unrecorded", Priority.HIGH)
    began = case.now
    later = case.show(4)
    assert all(one.withheld == "unrecorded" for one in later if one.stamp_ns - began < UNRECORDED_NS)
    assert later[-1].validity is Validity.OK


def test_outside_the_body_nothing_becomes_a_departure():
    case = ScriptedCase().start()
    wild = Shown(phase="GallbladderRetraction", tools=("specimen_bag", "clipper"), in_body=0.0)
    outside = case.show(60, wild)
    assert {one.withheld for one in outside[4:]} == {"out-of-body"}
    assert technical(outside[-1]) == ["out-of-body"]
    assert {one.priority for one in outside[-1].advisories} == {Priority.NONE}
    assert case.show(2, Shown())[-1].phase.committed == "Preparation"
    assert all(procedural(one) == [] for one in case.decisions)


def test_a_picture_unlike_training_is_withheld_and_invents_nothing():
    case = ScriptedCase().start()
    strange = case.show(20, phase="GallbladderRetraction", novelty=5.0)
    assert {one.withheld for one in strange[4:]} == {"unlike-training"}
    assert {one.phase for one in strange[4:]} == {None}
    assert all(procedural(one) == [] for one in case.decisions)


def test_smoke_is_shown_as_degraded():
    decision = ScriptedCase().start().show(1, smoke=0.9)[-1]
    assert (decision.state, decision.degraded) == (GateState.DEGRADED_VIEW, ("smoke",))
    assert decision.phase is not None


@pytest.mark.parametrize("how", ["fault", "not a number", "infinite", "phase fault"])
def test_a_fault_of_an_engine_is_an_explicit_state(how):
    case = ScriptedCase().start()
    if how == "fault":
        case.networks.frame.answer = None
    elif how == "phase fault":
        case.networks.phase.answer = None
    else:
        case.networks.frame.answer["presence"][0, 2] = np.nan if how == "not a number" else np.inf
    decision = case.frame()
    assert (decision.state, decision.validity, decision.withheld) == (GateState.FAULT, Validity.FAULT, "engine-fault")
    assert technical(decision) == ["engine-fault"]
    assert decision.observation.phase_ppm == ()
    assert case.entries[-1]["body"]["seen"]["refusal"] == "engine-fault"


# Departures


def test_a_departure_is_announced_once_and_stays_until_a_person_has_seen_it():
    case = ScriptedCase().start()
    shown = case.show(10, phase=SKIPPED)
    first = next(one for one in shown if procedural(one))
    (advisory,) = first.advisories
    assert (advisory.code, advisory.subject, advisory.presence) == ("order", SKIPPED, Presence.ON)
    assert (advisory.priority, advisory.kind) == (Priority.HIGH, Kind.PROCEDURAL)
    assert advisory.onset_ns < advisory.announced_ns == first.stamp_ns
    assert advisory.reason.expected == ("CalotTriangleDissection",)
    assert advisory.reason.evidence_frames
    changes = [change for entry in case.entries[1:] for change in entry["body"]["transitions"]]
    steps = [one[2:5] for one in changes if one[:2] == ["order", SKIPPED]]
    assert steps == [["off", "waiting", "began"], ["waiting", "held", "lasted"], ["held", "on", "announced"]]
    assert changes[-1][5:] == ["high", 1, advisory.announced_ns - advisory.onset_ns]
    decision = case.act(Action.ACKNOWLEDGE, code="order", subject=SKIPPED)
    assert procedural(decision) == [("order", SKIPPED, Presence.ACKNOWLEDGED)]
    assert procedural(case.show(5)[-1]) == [("order", SKIPPED, Presence.ACKNOWLEDGED)]
    gone = case.show(6, phase="GallbladderRetraction", tools=("grasper",))[-1]
    assert procedural(gone) == []


def test_a_departure_that_nobody_has_seen_stays_latched_until_it_is_reset():
    case = ScriptedCase().start()
    case.show(8, phase=SKIPPED)
    decision = case.show(30, phase="GallbladderRetraction", tools=("grasper",))[-1]
    assert procedural(decision) == [("order", SKIPPED, Presence.LATCHED)]
    assert procedural(case.act(Action.RESET)) == []


def test_a_known_departure_stays_listed_while_it_cannot_be_judged():
    case = ScriptedCase().start()
    case.show(8, phase=SKIPPED)
    decision = case.show(10, in_body=0.0)[-1]
    (advisory,) = [one for one in decision.advisories if one.kind is Kind.PROCEDURAL]
    assert (advisory.presence, advisory.reason.degraded_inputs) == (Presence.ON, ("out-of-body",))


def test_an_acknowledgement_of_something_else_changes_nothing():
    case = ScriptedCase().start()
    case.show(8, phase=SKIPPED)
    before = case.decisions[-1].advisories
    assert case.act(Action.ACKNOWLEDGE, code="tool-mismatch").advisories == before
    assert case.act(Action.ACKNOWLEDGE, code="order", subject="Preparation").advisories == before


# Time


def test_an_event_that_was_overtaken_does_not_turn_time_back():
    case = ScriptedCase().start()
    now = case.now
    case.step(Tick(now + 190_000_000))
    late = case.step(Frame(pixels(900), now + 100_000_000, 900))
    assert late.validity is Validity.OK
    assert late.stamp_ns == late.judged_ns == now + 100_000_000
    # The gate counts from the tick on.
    assert late.guidance.valid_until_ns == now + 190_000_000 + GUIDANCE_VALID_NS


def test_what_a_robot_says_between_the_frames_takes_nothing_away_from_their_evidence():
    quiet, busy = ScriptedCase().start(), ScriptedCase().start()
    for case in (quiet, busy):
        case.networks.show(Shown(phase="CalotTriangleDissection"))
    for _ in range(40):
        quiet.frame()
        busy.frame()
        for k in range(1, 10):
            busy.step(RobotState(busy.now + k * 10_000_000, "PSM1/measured_js", True, (("q", "0.1"),)))
    shown = [
        [one.phase.committed for one in case.decisions if one.event == "frame" and one.phase] for case in (quiet, busy)
    ]
    assert shown[0] == shown[1]
    assert shown[0][-1] == "CalotTriangleDissection"


SIGHTS = [Shown(), Shown(phase=SKIPPED), Shown(tools=("scissors",)), Shown(in_body=0.1)]


def events_that_show(*sights: Shown | None) -> st.SearchStrategy[list[tuple[Any, Shown | None, int, int]]]:
    """Stretches of one kind of event: (kind, what is seen, time between them, how many); None is a fault of an engine."""
    kinds = st.sampled_from(["frame"] * 6 + ["tick", "robot", "lost", *Action])
    gaps = st.integers(-20_000_000, 400_000_000) | st.just(PERIOD)
    return st.lists(st.tuples(kinds, st.sampled_from(sights), gaps, st.integers(1, 25)), max_size=10)


def play(case: ScriptedCase, events: list[tuple[Any, Shown | None, int, int]]) -> list[str]:
    """The digests of a case, which begins at once so that something happens in it."""
    case.act(Action.START)
    for kind, what, dt_ns, count in events:
        if what is None:
            case.networks.frame.answer = None
        else:
            case.networks.show(what)
        for _ in range(count):
            match kind:
                case "frame":
                    case.frame(dt_ns)
                case "tick":
                    case.tick(dt_ns)
                case "robot":
                    case.robot(state="enabled")
                case "lost":
                    case.lose_record()
                case _:
                    case.act(kind)
    return [record.decision_digest(one) for one in case.decisions]


@settings(max_examples=20)
@given(events_that_show(*SIGHTS), events_that_show(*SIGHTS))
def test_the_same_events_give_the_same_decisions_whatever_case_came_before(events, others):
    first = ScriptedCase()
    digests = play(first, events)
    play(ScriptedCase(perceiver=first.perceiver, networks=first.networks), others)
    again = ScriptedCase(perceiver=first.perceiver, networks=first.networks)
    assert play(again, events) == digests
    assert again.entries == first.entries


@settings(max_examples=20)
@given(events_that_show(*SIGHTS, None))
def test_a_case_can_be_played_again_from_its_record_and_its_frames(events):
    case, again = ScriptedCase(), ScriptedCase()
    frames: dict[int, tuple[Frame, Any, Any]] = {}
    step = case.session.step

    def remember(event: Any) -> Decision:
        if isinstance(event, Frame):
            frames[event.index] = (event, case.networks.frame.answer, case.networks.phase.answer)
        return step(event)

    case.session.step = remember  # type: ignore[method-assign]
    digests = play(case, events)
    for entry in case.entries[1:]:
        written = entry["body"]["event"]
        event = record.read_event(written)
        if event is None:
            event, again.networks.frame.answer, again.networks.phase.answer = frames[written["index"]]
        again.step(event)
    assert [record.decision_digest(one) for one in again.decisions] == digests


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.sampled_from([1.0, 30.0, 1e4]))
def test_whatever_numbers_the_networks_return_a_case_goes_on(seed, scale):
    draw = np.random.default_rng(seed)
    case = ScriptedCase()
    case.act(Action.START)
    for _ in range(15):
        for engine in (case.networks.frame, case.networks.phase):
            for spec in engine.outputs:
                engine.answer[spec.name] = draw.normal(0, scale, spec.shape).astype(np.float32)
        case.networks.frame.answer["in_body"][:], case.networks.frame.answer["novelty"][:] = 1.0, 0.1
        decision = case.frame()
        assert decision.state in GateState
        if decision.phase is not None:
            assert abs(sum(decision.phase.belief_ppm) - 1_000_000) <= len(PROTOCOL.phases)


# Memory


class LabelsOnly:
    """Stands in for perception where only what follows it is looked at: an observation without pixels."""

    def __init__(self) -> None:
        thing = SeenInstrument("grasper", 900_000, (16, 16), 900_000, 60, (10, 0, 12, 18), 1500, True)
        self.seen = Observation(
            index=0,
            stamp_ns=0,
            input_sha256="0" * 64,
            size_px=(32, 32),
            content_shape="full",
            content_box_px=(0, 0, 32, 32),
            refusal=None,
            instruments=(thing,),
            phase_ppm=(900_000, *[16_667] * 6),
        )

    def reset(self) -> None:
        pass

    def perceive(self, frame: Frame, _: object) -> Observation:
        """The same instrument everywhere; another tool and another phase every minute."""
        minute = frame.index // 1800
        tool = PROTOCOL.tools[minute % len(PROTOCOL.tools)]
        phase = minute % len(PROTOCOL.phases)
        scores = tuple(900_000 if k == phase else 16_667 for k in range(len(PROTOCOL.phases)))
        x = frame.index % 30
        thing = replace(self.seen.instruments[0], type=tool, tip_px=(x, 16))
        return replace(self.seen, index=frame.index, stamp_ns=frame.stamp_ns, instruments=(thing,), phase_ppm=scores)


class Forgetting:
    """Takes entries as a log does, and keeps none."""

    def __init__(self) -> None:
        self.ticket = Ticket(0)
        self.ticket.settle()

    def append(self, *_: Any, **__: Any) -> Ticket:
        return self.ticket


def growth_bytes(steps: int) -> int:
    """How much more memory a process holds after so many steps, every third a frame; an eighth of them to warm up."""
    model = Model(Path("none"), manifest(), "m" * 64)
    session = Session(CaseConfig.of({"nominal_fps": 10}), model, PROTOCOL, LabelsOnly(), Forgetting(), case="long")
    session.step(OperatorAction(0, Action.START))
    picture, process = pixels(0), psutil.Process()
    before = 0
    for k in range(steps):
        stamp_ns = k * SECOND // 30
        if k == steps // 8:
            gc.collect()
            before = process.memory_info().rss
        if k % 3 == 0:
            session.step(Frame(picture, stamp_ns, k))
        else:
            session.step(Tick(stamp_ns) if k % 3 == 1 else RobotState(stamp_ns, "PSM1/operating_state", True))
        if k % 5000 == 0:
            session.step(OperatorAction(stamp_ns, Action.RESET))
    gc.collect()
    return process.memory_info().rss - before


def test_a_long_case_needs_no_more_memory_than_a_short_one():
    assert growth_bytes(100_000) < 8_000_000


# What does not fit


def test_a_model_of_another_procedure_is_refused():
    other = manifest().model_copy(update={"phases": PROTOCOL.phase_names[::-1]})
    model = Model(Path("none"), other, "m" * 64)
    with pytest.raises(InputError, match="model for cholecystectomy: phases: expected"):
        Session(CaseConfig.of({}), model, PROTOCOL, ScriptedCase().perceiver, MemoryRecorder(), case="case-1")


def test_events_are_what_they_are_called():
    """The record names events by these words; whoever reads old records relies on them."""
    names = [record.event_name(event) for event in (Tick(0), RobotState(0, "s", True), OperatorAction(0, Action.END))]
    assert [*names, record.event_name(RecordFailure(0, 1, "w")), record.event_name(Frame(pixels(0), 0, 0))] == [
        "tick",
        "robot-state",
        "operator-action",
        "record-failure",
        "frame",
    ]


# Signals


def test_whoever_may_not_switch_signals_off_pauses_them_and_nothing_is_left_out():
    case = ScriptedCase().start()
    decision = case.act(Action.SIGNALS_OFF)
    assert (decision.alerting.activation, decision.alerting.until_ns) == (Activation.PAUSED, case.now + PAUSE_NS)
    assert [(a.code, a.subject) for a in decision.advisories] == [("signals-inactive", "paused")]
    departed = case.show(10, phase=SKIPPED)[-1]
    assert procedural(departed) == [("order", SKIPPED, Presence.ON)]
    assert {a.banner for a in departed.advisories if a.code == "order"} == {0}
    resumed = case.act(Action.SIGNALS_ON)
    assert resumed.alerting.activation is Activation.ON
    assert all(a.banner > 0 for a in resumed.advisories if a.code == "order")


def test_a_site_may_allow_its_people_to_switch_signals_off_without_end():
    case = ScriptedCase(config=CaseConfig.of({"nominal_fps": 10, "signals_off": True})).start()
    decision = case.act(Action.SIGNALS_OFF)
    assert (decision.alerting.activation, decision.alerting.until_ns) == (Activation.OFF, 0)
