"""The life of advisories, against what people were promised of it."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from surgical_ml.guidance import MAX_WORDS, AdvisoryMachine, Condition, Kind, Presence, Priority, Reason, Transition
from surgical_ml.guidance.machine import LATCH_NS

SECOND = 1_000_000_000
REASON = Reason("protocol/section/name", ("this",), ("that",), (1, 2), "high", (), "something")
KEYS = [
    ("order", "ClippingCutting", Priority.HIGH),
    ("order", "Preparation", Priority.HIGH),
    ("tool-mismatch", "hook", Priority.MEDIUM),
    ("assistance-withheld", "paused", Priority.LOW),
    ("assistance-withheld", "blurred", Priority.LOW),
    ("assistance-withheld", "starting", Priority.NONE),
]


def condition(
    code: str, subject: str, priority: Priority, onset_ns: int = 0, text: str = "Something is so"
) -> Condition:
    return Condition(code, subject, Kind.PROCEDURAL, priority, onset_ns, text, REASON)


class AdvisoryLife(RuleBasedStateMachine):
    """Any conditions in any order, with a person who acknowledges and resets as it pleases.

    The state machine of the house is asked for its active set only; what each presence should be is worked out here, from
    what was promised.
    """

    @initialize()
    def begin(self) -> None:
        self.machine = AdvisoryMachine()
        self.now = 0
        self.present: set[tuple[str, str]] = set()
        self.since: dict[tuple[str, str], int] = {}
        self.expected: dict[tuple[str, str], Presence] = {}
        self.gone: dict[tuple[str, str], int] = {}
        self.told: dict[tuple[str, str], Presence] = {}
        self.announcements: dict[tuple[str, str], int] = {}
        self.onsets: dict[tuple[str, str], int] = {}

    @rule(
        chosen=st.sets(st.sampled_from(KEYS)), dt_ns=st.sampled_from([0, SECOND, LATCH_NS]) | st.integers(0, 3 * SECOND)
    )
    def time_passes(self, chosen: set[tuple[str, str, Priority]], dt_ns: int) -> None:
        self.now += dt_ns
        before, self.present = self.present, {(code, subject) for code, subject, _ in chosen}
        for key in self.present - before:
            self.since[key] = self.now
            self.onsets[key] = self.onsets.get(key, 0) + 1
        self.machine.update(self.now, tuple(condition(*one, self.since[one[:2]]) for one in chosen))
        for code, subject, priority in KEYS:
            self._promise((code, subject), priority)

    def _promise(self, key: tuple[str, str], priority: Priority) -> None:
        was = self.expected.get(key, Presence.OFF)
        if key in self.present:
            # A new condition always announces; an acknowledged one stays quiet.
            self.expected[key] = Presence.ACKNOWLEDGED if was is Presence.ACKNOWLEDGED else Presence.ON
        elif was is Presence.ACKNOWLEDGED or priority is Priority.NONE:
            self.expected[key] = Presence.OFF
        elif was is Presence.ON:
            self.expected[key], self.gone[key] = Presence.LATCHED, self.now
        elif was is Presence.LATCHED and priority is Priority.LOW and self.now - self.gone[key] >= LATCH_NS:
            self.expected[key] = Presence.OFF

    @precondition(lambda self: self.expected)
    @rule(
        code=st.sampled_from(["", *{one[0] for one in KEYS}]), subject=st.sampled_from(["", *{one[1] for one in KEYS}])
    )
    def a_person_acknowledges(self, code: str, subject: str) -> None:
        self.machine.acknowledge(code, subject)
        quiet = {Presence.ON: Presence.ACKNOWLEDGED, Presence.LATCHED: Presence.OFF}
        for key, was in self.expected.items():
            if code in ("", key[0]) and subject in ("", key[1]):
                self.expected[key] = quiet.get(was, was)

    @rule()
    def a_person_resets(self) -> None:
        self.machine.reset()
        for key, was in self.expected.items():
            self.expected[key] = Presence.OFF if was is Presence.LATCHED else was

    @invariant()
    def what_is_active_is_what_was_promised(self) -> None:
        found = {(a.code, a.subject): a.presence for a in self.machine.active}
        assert found == {key: value for key, value in self.expected.items() if value is not Presence.OFF}

    @invariant()
    def each_onset_is_announced_once(self) -> None:
        for one in self.machine.take_transitions():
            key = (one.code, one.subject)
            assert one.before is self.told.get(key, Presence.OFF)
            assert one.before is not one.after
            self.told[key] = one.after
            if one.after is Presence.ON:
                self.announcements[key] = self.announcements.get(key, 0) + 1
        assert self.announcements == self.onsets
        assert self.machine.take_transitions() == ()

    @invariant()
    def the_most_urgent_comes_first_and_then_the_oldest(self) -> None:
        order = list(Priority)[::-1]
        keys = [(order.index(a.priority), a.onset_ns) for a in self.machine.active]
        assert keys == sorted(keys)

    @invariant()
    def an_advisory_says_when_it_began_and_when_it_was_announced(self) -> None:
        for one in self.machine.active:
            assert one.onset_ns == self.since[one.code, one.subject]
            assert one.announced_ns >= one.onset_ns


AdvisoryLife.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestAdvisoryLife = AdvisoryLife.TestCase


def test_a_condition_that_returns_announces_again():
    machine = AdvisoryMachine()
    one = condition(*KEYS[0])
    machine.update(1, (one,))
    machine.acknowledge("", "")
    machine.update(2, ())
    assert machine.active == ()
    machine.update(3, (one,))
    assert machine.active[0].presence is Presence.ON
    assert machine.active[0].announced_ns == 3
    assert machine.take_transitions()[-1] == Transition("order", "ClippingCutting", Presence.OFF, Presence.ON)


@pytest.mark.parametrize(("key", "ends"), [(KEYS[0], False), (KEYS[2], False), (KEYS[3], True), (KEYS[5], True)])
def test_what_has_gone_unseen_stays_for_five_seconds_or_until_a_person_has_seen_it(key, ends):
    machine = AdvisoryMachine()
    machine.update(0, (condition(*key),))
    machine.update(SECOND, ())
    kept = key[2] is not Priority.NONE
    assert [one.presence for one in machine.active] == [Presence.LATCHED] * kept
    machine.update(SECOND + LATCH_NS - 1, ())
    assert len(machine.active) == kept
    machine.update(SECOND + LATCH_NS, ())
    assert len(machine.active) == (not ends)
    machine.update(SECOND + 100 * LATCH_NS, ())
    assert len(machine.active) == (not ends)
    machine.acknowledge(key[0], key[1])
    assert machine.active == ()


def test_what_is_present_keeps_its_announcement_and_takes_the_newest_reason():
    machine = AdvisoryMachine()
    machine.update(1, (condition("order", "x", Priority.HIGH, text="First words"),))
    newer = Condition(
        "order", "x", Kind.PROCEDURAL, Priority.HIGH, 0, "Other words", Reason("r", (), (), (), "low", (), "")
    )
    machine.update(2, (newer,))
    (one,) = machine.active
    assert (one.announced_ns, one.text, one.reason.certainty) == (1, "Other words", "low")
    assert len(machine.take_transitions()) == 1


def test_a_sentence_of_more_than_twelve_words_is_never_announced():
    machine = AdvisoryMachine()
    with pytest.raises(ValueError, match="expected at most 12 words"):
        machine.update(1, (condition("order", "x", Priority.HIGH, text="word " * (MAX_WORDS + 1)),))
    machine.update(1, (condition("order", "x", Priority.HIGH, text="word " * MAX_WORDS),))
    assert len(machine.active) == 1
