"""The life of advisories, against what people were promised of it."""

import pytest
from advisory_walk import FLOOD, HIGH, KEYS, LOW, MEDIUM, NONE, RISKS, SECOND, Walk, condition, risk, walk
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from surgical_ml.guidance import (
    MAX_WORDS,
    Activation,
    AdvisoryMachine,
    Cause,
    Condition,
    Kind,
    Life,
    Presence,
    Priority,
    Reason,
)
from surgical_ml.guidance.life import LIFE
from surgical_ml.guidance.machine import (
    BANNER_NS,
    CAPACITY,
    COOL_NS,
    DEFER_NS,
    LATCH_NS,
    PAUSE_NS,
    REMINDER_NS,
    SIGNALS_INACTIVE,
)

ORDER, OTHER_ORDER = ("order", "clipping"), ("order", "packaging")
HOOK, CLIPPER = ("mismatch", "hook"), ("mismatch", "clipper")
NEAR, LOST, SHORT = ("near", "cystic duct"), ("lost", "hook"), ("short", "preparation")
PAUSED, STARTING = ("withheld", "paused"), ("withheld", "starting")
Key = tuple[str, str]


class Told:
    """A machine, and what it says at each moment."""

    def __init__(self) -> None:
        self.machine = AdvisoryMachine(risk)
        self.so: dict[Key, Condition] = {}

    def at(self, now: int, *keys: Key, boundary: bool = False, **priorities: Priority) -> dict[Key, Presence]:
        """These are so and nothing else."""
        for key in keys:
            self.so.setdefault(key, condition(key, priorities.get(key[0], KEYS[key][0]), now))
        self.machine.update(now, tuple(self.so[key] for key in keys), boundary=boundary)
        self.so = {key: self.so[key] for key in keys}
        return {(a.code, a.subject): a.presence for a in self.machine.active}

    @property
    def banners(self) -> dict[Key, int]:
        return {(a.code, a.subject): a.banner for a in self.machine.active}

    @property
    def priorities(self) -> dict[Key, Priority]:
        return {(a.code, a.subject): a.priority for a in self.machine.active}


def test_in_thousands_of_random_steps_the_machine_says_what_a_plain_model_says_and_takes_every_row_of_its_table():
    """A tenth and less of the campaign, which takes 100,000 steps."""
    assert set(walk(7, 5000)) == set(LIFE)


class AdvisoryLife(RuleBasedStateMachine):
    """The same, with steps that are made shorter until the shortest that fails is left."""

    def __init__(self) -> None:
        super().__init__()
        self.walk = Walk()

    @rule(
        chosen=st.dictionaries(st.sampled_from(list(KEYS)), st.none() | st.integers(0, 1), max_size=3),
        dt_ns=st.sampled_from([0, SECOND // 5, SECOND, LATCH_NS, 61 * SECOND]) | st.integers(0, 3 * SECOND),
        boundary=st.sampled_from([False, False, False, True]),
    )
    def time_passes(self, chosen: dict[Key, int | None], dt_ns: int, boundary: bool) -> None:
        toggled = {key: None if k is None else KEYS[key][k % len(KEYS[key])] for key, k in chosen.items()}
        self.walk.time_passes(dt_ns, toggled, boundary=boundary)

    @rule(code=st.sampled_from(["", *RISKS]), subject=st.sampled_from(["", *{one[1] for one in KEYS}]))
    def a_person_acknowledges(self, code: str, subject: str) -> None:
        self.walk.acknowledge(code, subject)

    @rule()
    def a_person_resets(self) -> None:
        self.walk.reset()

    @rule(activation=st.sampled_from(Activation))
    def a_person_changes_the_signals(self, activation: Activation) -> None:
        self.walk.choose(activation)


AdvisoryLife.TestCase.settings = settings(max_examples=30, stateful_step_count=20)
TestAdvisoryLife = AdvisoryLife.TestCase


def test_a_condition_that_returns_after_it_was_acknowledged_announces_again():
    told = Told()
    told.at(1, ORDER)
    told.machine.acknowledge(1, "", "")
    assert told.at(2) == {}
    assert told.at(3, ORDER) == {ORDER: Presence.ON}
    assert told.machine.active[0].announced_ns == 3
    assert told.banners == {ORDER: 2}
    last = told.machine.take_transitions()[-1]
    assert (last.before, last.after, last.cause, last.banner) == (Life.HELD, Life.ON, Cause.ANNOUNCED, 2)


@pytest.mark.parametrize(("key", "ends"), [(ORDER, False), (HOOK, False), (PAUSED, True), (STARTING, True)])
def test_what_has_gone_unseen_stays_for_five_seconds_or_until_a_person_has_seen_it(key, ends):
    told = Told()
    told.at(0, key)
    kept = KEYS[key][0] is not NONE
    assert list(told.at(SECOND).values()) == [Presence.LATCHED] * kept
    assert len(told.at(SECOND + LATCH_NS - 1)) == kept
    assert len(told.at(SECOND + LATCH_NS)) == (not ends)
    assert len(told.at(SECOND + 100 * LATCH_NS)) == (not ends)
    told.machine.acknowledge(SECOND + 100 * LATCH_NS, *key)
    assert told.machine.active == ()


def test_what_is_present_keeps_its_announcement_and_takes_the_newest_reason():
    machine = AdvisoryMachine(risk)
    machine.update(1, (condition(ORDER, HIGH, text="First words"),))
    announced = machine.take_transitions()
    why = Reason("r", (), (), (), "low", (), "")
    machine.update(2, (Condition(*ORDER, Kind.PROCEDURAL, HIGH, 0, "Other words", why),))
    (one,) = machine.active
    assert (one.announced_ns, one.text, one.reason.certainty) == (1, "Other words", "low")
    assert announced[-1].cause is Cause.ANNOUNCED
    assert machine.take_transitions() == ()


def test_a_sentence_of_more_than_twelve_words_is_never_announced():
    machine = AdvisoryMachine(risk)
    with pytest.raises(ValueError, match="expected at most 12 words"):
        machine.update(1, (condition(ORDER, HIGH, text="word " * (MAX_WORDS + 1)),))
    machine.update(1, (condition(ORDER, HIGH, text="word " * MAX_WORDS),))
    assert len(machine.active) == 1


def test_what_must_last_is_announced_only_once_it_has_and_a_shorter_one_is_on_record():
    told = Told()
    delay_ns = RISKS["near"].delay_ns
    told.at(0, NEAR)
    assert told.at(delay_ns - 1, NEAR) == {}
    assert told.at(2 * SECOND) == {}
    assert [(t.after, t.cause) for t in told.machine.take_transitions()] == [
        (Life.WAITING, Cause.BEGAN),
        (Life.OFF, Cause.GONE),
    ]
    told.at(3 * SECOND, NEAR)
    assert told.at(3 * SECOND + delay_ns, NEAR) == {NEAR: Presence.ON}
    assert told.machine.take_transitions()[-1].delay_ns == delay_ns


def test_a_gap_shorter_than_its_row_of_the_risk_table_allows_is_no_gap():
    told = Told()
    told.at(0, NEAR)
    told.at(SECOND // 2, NEAR)
    assert told.at(SECOND) == {NEAR: Presence.ON}
    told.at(SECOND + 1, NEAR)
    assert told.at(2 * SECOND + 1) == {NEAR: Presence.LATCHED}


def test_a_second_one_of_a_kind_joins_the_banner_and_another_kind_waits_its_turn():
    told = Told()
    assert told.at(0, HOOK) == {HOOK: Presence.ON}
    assert told.at(1, HOOK, CLIPPER) == {HOOK: Presence.ON, CLIPPER: Presence.ON}
    assert told.banners == {HOOK: 1, CLIPPER: 1}
    assert LOST not in told.at(2, HOOK, CLIPPER, LOST)
    assert LOST not in told.at(BANNER_NS - 1, HOOK, CLIPPER, LOST)
    assert LOST in told.at(BANNER_NS, HOOK, CLIPPER, LOST)
    assert told.banners[LOST] == 2


def test_a_banner_that_was_answered_makes_room_at_once():
    told = Told()
    told.at(0, HOOK)
    told.at(1, HOOK, LOST)
    told.machine.acknowledge(2, *HOOK)
    assert told.at(3, HOOK, LOST) == {HOOK: Presence.ACKNOWLEDGED, LOST: Presence.ON}


def test_what_goes_while_it_waits_its_turn_is_never_shown_and_is_on_record():
    told = Told()
    told.at(0, HOOK)
    told.at(1, HOOK, LOST)
    told.machine.take_transitions()
    assert told.at(2 * SECOND, HOOK) == {HOOK: Presence.ON}
    (one,) = told.machine.take_transitions()
    assert (one.code, one.before, one.after, one.cause) == ("lost", Life.HELD, Life.OFF, Cause.GONE)


def test_the_most_urgent_never_wait_and_each_calls_for_itself():
    told = Told()
    told.at(0, HOOK)
    told.at(1, HOOK, ORDER)
    told.at(2, HOOK, ORDER, OTHER_ORDER)
    assert told.banners == {HOOK: 1, ORDER: 2, OTHER_ORDER: 3}


def test_a_deferrable_one_waits_for_the_next_boundary_of_phases():
    told = Told()
    assert told.at(0, SHORT) == {}
    assert told.at(100 * SECOND, SHORT) == {}
    assert told.at(101 * SECOND, SHORT, boundary=True) == {SHORT: Presence.ON}


def test_a_deferrable_one_is_not_put_off_for_ever():
    told = Told()
    told.at(0, SHORT)
    assert told.at(DEFER_NS - 1, SHORT) == {}
    assert told.at(DEFER_NS, SHORT) == {SHORT: Presence.ON}


def test_what_flickers_is_listed_as_it_is_and_calls_once_in_ten_seconds():
    told = Told()
    announcements = set()
    for k in range(100):
        told.at(k * SECOND // 5, *((HOOK,) if k % 2 == 0 else ()))
        announcements |= set(told.banners.values())
        assert told.machine.active[0].presence is (Presence.ON if k % 2 == 0 else Presence.LATCHED)
    assert announcements == {1, 2}
    assert COOL_NS == 10 * SECOND


def test_what_nobody_answers_is_announced_once_more_and_more_urgently():
    told = Told()
    told.at(0, LOST)
    patience_ns = RISKS["lost"].escalates_ns
    told.at(patience_ns - 1, LOST)
    assert (told.priorities, told.banners) == ({LOST: LOW}, {LOST: 1})
    told.at(patience_ns, LOST)
    assert (told.priorities, told.banners) == ({LOST: MEDIUM}, {LOST: 2})
    told.at(10 * patience_ns, LOST)
    assert (told.priorities, told.banners) == ({LOST: MEDIUM}, {LOST: 2})


def test_an_answered_one_is_not_announced_once_more():
    told = Told()
    told.at(0, LOST)
    told.machine.acknowledge(1, *LOST)
    told.at(10 * RISKS["lost"].escalates_ns, LOST)
    assert (told.priorities, told.banners) == ({LOST: LOW}, {LOST: 1})


def test_an_acknowledgement_does_not_cover_what_becomes_more_urgent():
    told = Told()
    told.at(0, NEAR)
    told.at(SECOND, NEAR)
    told.machine.acknowledge(SECOND, *NEAR)
    told.so[NEAR] = condition(NEAR, HIGH)
    assert told.at(2 * SECOND, NEAR) == {NEAR: Presence.ON}
    assert told.banners == {NEAR: 2}


def test_while_signals_are_paused_everything_is_listed_and_nobody_is_called_until_the_pause_ends():
    told = Told()
    told.machine.activate(0, Activation.PAUSED)
    told.at(0)
    seen = told.at(1, ORDER, HOOK)
    assert seen[ORDER] is seen[HOOK] is Presence.ON
    assert (told.banners[ORDER], told.banners[HOOK]) == (0, 0)
    assert told.machine.alerting.until_ns == PAUSE_NS
    told.at(PAUSE_NS - 1, ORDER, HOOK)
    assert told.banners[ORDER] == 0
    told.at(PAUSE_NS, ORDER, HOOK)
    assert told.machine.alerting.activation is Activation.ON
    assert told.banners[ORDER] == told.banners[HOOK] == 2, "one banner for everything that is on"


def test_people_are_reminded_that_signals_are_off():
    told = Told()
    told.machine.activate(0, Activation.OFF)
    key = (SIGNALS_INACTIVE, "off")
    numbers = []
    for k in range(5):
        told.at(k * REMINDER_NS // 2)
        told.machine.acknowledge(k * REMINDER_NS // 2, "", "")
        numbers.append(told.banners[key])
    assert numbers == [1, 1, 2, 2, 3]


def test_sound_that_is_off_changes_no_banner():
    told = Told()
    told.machine.activate(0, Activation.AUDIO_OFF)
    told.at(0)
    told.at(1, ORDER)
    assert told.banners[ORDER] == 2


def test_a_thousand_conditions_at_once_need_bounded_room_and_the_most_urgent_are_there():
    machine = AdvisoryMachine(risk)
    ranks = [LOW, MEDIUM, HIGH]
    recorded = set()
    for second in range(5):
        flood = [condition(("flood", f"{second} {k}"), ranks[0 if k % 20 else 2], second) for k in range(1000)]
        machine.update(second * SECOND, tuple(flood))
        assert len(machine.active) <= CAPACITY
        assert sum(one.priority is HIGH and one.presence is Presence.ON for one in machine.active) == 50
        steps = machine.take_transitions()
        recorded |= {one.subject for one in steps if one.cause in (Cause.BEGAN, Cause.CROWDED)}
        assert machine.alerting.crowded == 1000 - sum(one.presence is Presence.ON for one in machine.active)
    assert len(recorded) == 5000, "none is missing from the record"


def test_what_there_was_no_room_for_is_announced_as_soon_as_there_is_and_said_to_be_left_out_once():
    machine = AdvisoryMachine(risk)
    everything = tuple(condition(key, HIGH, k) for k, key in enumerate(FLOOD))
    for now in range(100, 103):
        machine.update(now, everything)
        assert len(machine.active) == CAPACITY
    left_out = [one for one in machine.take_transitions() if one.cause is Cause.CROWDED]
    assert len(left_out) == len(FLOOD) - CAPACITY
    machine.acknowledge(103, "", "")
    machine.update(104, everything[CAPACITY:])
    assert {one.subject for one in machine.active} == {str(k) for k in range(CAPACITY, len(FLOOD))}


def test_three_rising_edges_in_four_and_more_call_nobody_and_none_of_the_conditions_goes_unheard():
    """An hour of findings that flicker as those of a network do: the banners people see beside the raw edges."""
    told = Told()
    edges, banners, heard = 0, set(), set()
    for k in range(0, 18_000):
        # Every five minutes one tool and one structure flicker for twenty seconds, at five frames a second.
        within = k % 1500 < 100
        so = [key for key, period in ((HOOK, 4), (CLIPPER, 6), (NEAR, 5)) if within and k % period < period - 2]
        edges += len(set(so) - set(told.so))
        told.at(k * SECOND // 5, *so)
        if k % 1500 == 200:
            told.machine.acknowledge(k * SECOND // 5, "", "")
        banners |= set(told.banners.values())
        heard |= {(key, k // 1500) for key in told.banners}
    assert len(heard) == 3 * 12
    assert len(banners) <= 0.2 * edges, (len(banners), edges)
