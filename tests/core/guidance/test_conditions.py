"""What is announced of deviations and of the gate: short sentences, complete reasons, priorities of the risk table."""

from dataclasses import replace
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.geometry import Distance, Interval, MetricDistance, Scene, Track, View
from surgical_ml.guidance import (
    MAX_WORDS,
    TECHNICAL_CODE,
    AdvisoryMachine,
    GateState,
    GateView,
    Kind,
    Priority,
    Validity,
    conditions_from,
    make_guidance,
    risk,
)
from surgical_ml.guidance.machine import DEFER_NS
from surgical_ml.perception import Refusal
from surgical_ml.workflow import Certainty, Deviation, Forecast, WorkflowEstimate, load_protocol
from surgical_ml.workflow.protocol import LONGEST_NAME, spoken

PROTOCOL = load_protocol("cholecystectomy")
REASONS = [*[one.value for one in Refusal], "starting", "restarted", "paused", "stale", "unrecorded"]
SHOWN = GateView(GateState.ACTIVE, Validity.OK, "", (), 0)


def withheld(reason: str) -> GateView:
    return GateView(GateState.WITHHELD, Validity.WITHHELD, reason, (), 7)


def deviation(kind: str, subject: str, phase: str) -> Deviation:
    return Deviation(
        kind=kind,
        subject=subject,
        onset_ns=5,
        rule=f"cholecystectomy/{phase}/next",
        phase=phase,
        expected=("ClippingCutting",),
        observed=(subject,),
        evidence_frames=(3, 4),
        certainty=Certainty.HIGH,
        clears="the next ordinary change of phase",
    )


def everything_about(protocol_phases: tuple[str, ...], tools: tuple[str, ...]) -> list[Deviation]:
    orders = [deviation("order", after, before) for before, after in permutations(protocol_phases, 2)]
    return orders + [deviation("tool-mismatch", tool, phase) for tool, phase in product(tools, protocol_phases)]


def announced_alone(one: Deviation) -> str:
    """The sentence, through the machine that refuses long ones."""
    machine = AdvisoryMachine()
    for stamp_ns in (9, 9 + DEFER_NS):
        machine.update(stamp_ns, conditions_from((one,), SHOWN, frozenset()))
    (advisory,) = machine.active
    return advisory.text


def test_every_deviation_of_the_protocol_has_a_sentence_of_at_most_twelve_words():
    texts = {announced_alone(one) for one in everything_about(PROTOCOL.phase_names, PROTOCOL.tools)}
    assert len(texts) == 7 * 6 + 7 * 7
    assert all(len(text.split()) <= MAX_WORDS for text in texts)
    assert "Unexpected phase: Clipping cutting after Preparation" in texts
    assert "Unexpected instrument: specimen bag during Calot triangle dissection" in texts


NAME = st.text(st.characters(categories=["Lu", "Ll", "Nd"], include_characters="_ "), min_size=1, max_size=40).filter(
    lambda name: 1 <= len(spoken(name).split()) <= LONGEST_NAME
)


@given(NAME, NAME)
def test_names_that_a_protocol_may_have_make_sentences_of_at_most_twelve_words(subject, phase):
    for kind in risk.PROCEDURAL:
        assert len(announced_alone(deviation(kind, subject, phase)).split()) <= MAX_WORDS


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_the_gate_is_told_in_words(reason):
    (one,) = conditions_from((), withheld(reason), frozenset())
    assert (one.code, one.subject, one.kind, one.onset_ns) == (TECHNICAL_CODE, reason, Kind.TECHNICAL, 7)
    assert 2 <= len(one.text.split()) <= MAX_WORDS
    assert one.text.startswith("Assistance")
    assert one.reason.rule == f"gate/{reason}"
    assert one.reason.observed == (reason,)
    assert one.reason.expected
    assert one.reason.clears


def test_each_reason_has_its_own_words():
    texts = [conditions_from((), withheld(reason), frozenset())[0].text for reason in REASONS]
    assert len(set(texts)) == len(texts)


def test_without_a_case_nothing_is_announced():
    view = GateView(GateState.READY, Validity.WITHHELD, "no-case", (), 0)
    assert conditions_from((), view, frozenset()) == ()


def test_a_deviation_carries_its_whole_reason():
    given_one = deviation("order", "GallbladderPackaging", "Preparation")
    view = GateView(GateState.DEGRADED_VIEW, Validity.DEGRADED, "", ("smoke",), 0)
    (one,) = conditions_from((given_one,), view, frozenset())
    assert (one.kind, one.priority, one.onset_ns) == (Kind.PROCEDURAL, Priority.HIGH, 5)
    assert one.reason.rule == given_one.rule
    assert one.reason.expected == given_one.expected
    assert one.reason.observed == given_one.observed
    assert one.reason.evidence_frames == given_one.evidence_frames
    assert one.reason.certainty == "high"
    assert one.reason.degraded_inputs == ("smoke",)
    assert one.reason.clears == given_one.clears


@pytest.mark.parametrize(("kind", "priority"), [(kind, row.priority) for kind, row in risk.PROCEDURAL.items()])
@pytest.mark.parametrize("certainty", list(Certainty))
def test_the_priority_comes_from_the_kind_and_never_from_how_sure_a_model_is(kind, priority, certainty):
    given_one = deviation(kind, "hook", "Preparation")
    changed = Deviation(**{name: getattr(given_one, name) for name in given_one.__slots__} | {"certainty": certainty})
    assert conditions_from((changed,), SHOWN, frozenset())[0].priority is priority


@pytest.mark.parametrize("reason", REASONS)
def test_while_nothing_may_be_shown_no_new_deviation_is_announced_and_an_old_one_says_it_is_not_judged(reason):
    given_one = deviation("order", "GallbladderPackaging", "Preparation")
    assert [c.kind for c in conditions_from((given_one,), withheld(reason), frozenset())] == [Kind.TECHNICAL]
    known = frozenset({("order", "GallbladderPackaging")})
    one, technical = conditions_from((given_one,), withheld(reason), known)
    assert one.reason.degraded_inputs == (reason,)
    assert technical.kind is Kind.TECHNICAL


def estimate(**changes: object) -> WorkflowEstimate:
    values = {
        "stamp_ns": 1,
        "committed": "Preparation",
        "committed_since_ns": 0,
        "candidate": None,
        "belief_ppm": (1_000_000, 0, 0, 0, 0, 0, 0),
        "certainty": Certainty.HIGH,
        "next_phase": "CalotTriangleDissection",
        "next_ppm": 990_000,
        "progress_ppm": 10,
        "evidence_ns": 5,
    }
    return WorkflowEstimate(**values | changes)  # type: ignore[arg-type]


def test_guidance_names_what_follows_what_is_expected_and_what_is_near():
    scene = Scene(1, (), (Distance(1, "hook", "cystic_duct", 12), Distance(1, "hook", "liver", 40)))
    given_one = make_guidance(PROTOCOL, estimate(), scene, 99)
    assert (given_one.phase, given_one.next_phase) == ("Preparation", "CalotTriangleDissection")
    assert given_one.expected_instruments == PROTOCOL.phase("Preparation").tools.expected
    assert given_one.nearest == ("hook", "cystic_duct", 12)
    assert (given_one.uncertain, given_one.valid_until_ns) == (("distance is in pixels of the picture only",), 99)
    near = MetricDistance("PSM1", "artery", Interval(1000, 2000, 3000), "robot")
    leaving = Track(1, "hook", (9, 9), 80, True, 0, 1, 1, 900_000, 50, leaving=True)
    forecast = Forecast(1, 2, 1, 3, 4)
    richer = replace(scene, tracks=(leaving,), metric=(near,), view=View((9, 9), (-300, -200)))
    given_one = make_guidance(PROTOCOL, estimate(forecast=forecast), richer, 99, ("smoke",))
    assert (given_one.metric, given_one.leaving, given_one.view) == (near, ("hook",), View((9, 9), (-300, -200)))
    assert (given_one.uncertain, given_one.forecast) == (("view is poor: smoke",), forecast)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"committed": None}, ("phase not established yet",)),
        ({"certainty": Certainty.LOW}, ("phase is doubtful",)),
        ({"candidate": "ClippingCutting"}, ("phase may be changing to ClippingCutting",)),
    ],
)
def test_guidance_says_what_not_to_rely_on(changes, told):
    assert make_guidance(PROTOCOL, estimate(**changes), Scene(1), 99).uncertain == told


def test_a_tip_within_a_zone_is_announced_with_who_is_where_and_since_when():
    hook = Track(4, "hook", (9, 9), 0, True, 0, 70, 7, 900_000, 50)
    near = Distance(4, "hook", "common_bile_duct", 12, zone=True, within_ns=50)
    far = Distance(4, "hook", "port", 300, zone=True)
    (one,) = conditions_from((), SHOWN, frozenset(), (), Scene(70, (hook,), (near, far)))
    assert (one.code, one.subject, one.priority, one.onset_ns) == (
        "unsafe-place",
        "common_bile_duct",
        Priority.MEDIUM,
        50,
    )
    assert one.text == "No-go zone: hook at common bile duct"
    assert (one.reason.observed, one.reason.evidence_frames) == (("hook at 12 px",), (7,))
    assert (
        conditions_from((), withheld("frozen"), frozenset(), (), Scene(70, (hook,), (near,)))[0].kind is Kind.TECHNICAL
    )


def test_what_an_arm_says_of_its_tip_is_told_in_millimetres_with_what_it_may_be_off():
    near = MetricDistance("PSM1", "artery", Interval(0, 1500, 3460), "robot", within_ns=5)
    (one,) = conditions_from((), SHOWN, frozenset(), (), Scene(70, metric=(near,)))
    assert one.reason.observed == ("PSM1 at 0.0 to 3.5 mm",)
    assert one.reason.certainty == "medium"
