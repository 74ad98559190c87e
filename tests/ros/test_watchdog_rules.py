"""When the watchdog speaks, and when it must not."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from surgical_ml.audit.canonical import encode
from surgical_ml.errors import InputError
from surgical_ml.ros.watchdog_rules import (
    MS,
    RETURN_NS,
    Code,
    Judgement,
    LeaseSeen,
    Level,
    Limits,
    PhaseSeen,
    StatusSeen,
    WatchdogRules,
    transitions,
)

TICK_MS = 50
LIMITS = Limits()


class Scene:
    """An assistant as the watchdog hears it: what it sends, and the time that passes tick by tick."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.now_ns = 5_000 * MS
        self.rules = WatchdogRules(limits, self.now_ns)
        self.frame = -1
        self.run = "run-1"
        self.case_id = ""
        self.paused = False
        self.judgement = Judgement("starting", "", ())

    @property
    def codes(self) -> set[Code]:
        return {one.code for one in self.judgement.findings}

    def judge_frame(self) -> None:
        self.frame += 1
        self.rules.take(self.now_ns, PhaseSeen(seq=self.frame, frame_index=self.frame))

    def say_status(self, withheld: str = "") -> None:
        seen = StatusSeen(max(self.frame, 0), self.case_id, self.paused, withheld, self.run)
        self.rules.take(self.now_ns, seen)

    def restart(self, case_id: str = "") -> None:
        self.run += "+"
        self.frame, self.case_id, self.paused = -1, case_id, False

    def pass_ms(self, ms: int, *, frames: bool = False, status: bool = False, withheld: str = "") -> None:
        for _ in range(ms // TICK_MS):
            self.now_ns += TICK_MS * MS
            if frames:
                self.judge_frame()
            if status:
                self.say_status(withheld)
            self.judgement = self.rules.judge(self.now_ns)


@pytest.fixture
def running() -> Scene:
    """A case that has been judged for two seconds."""
    scene = Scene()
    scene.case_id = "case-1"
    scene.pass_ms(2_000, frames=True, status=True)
    assert scene.judgement == Judgement("", "case-1", ())
    return scene


def test_nothing_is_said_while_frames_are_judged(running):
    running.pass_ms(60_000, frames=True, status=True)
    assert running.judgement == Judgement("", "case-1", ())


def test_an_assistant_that_stops_judging_is_announced_after_300_ms_with_a_whole_reason(running):
    running.pass_ms(300, status=True)
    assert running.codes == set()
    running.pass_ms(50, status=True)
    [silent] = running.judgement.findings
    assert silent.code is Code.SILENT
    assert silent.level is Level.MEDIUM
    assert silent.text == "Assistance lost: assistant stopped judging video frames"
    assert silent.rule == "watchdog/phase"
    assert silent.expected == ("a judged frame at least every 300 ms while a case runs",)
    assert silent.observed == ("no phase message for more than 300 ms", "last frame 39", "status still arrives")
    assert silent.evidence_frames == (39,)
    assert silent.clears == "judged frames for 1 s, or a person pauses or ends the case"
    assert silent.announced_ns - silent.onset_ns == 350 * MS
    assert running.judgement.withheld == "assistant-silent"


def test_the_reason_says_what_the_status_says_and_that_the_lease_has_run_out(running):
    running.rules.take(running.now_ns, LeaseSeen(alive=False))
    running.pass_ms(350, status=True, withheld="stale")
    [silent] = running.judgement.findings
    assert "status still arrives and says stale" in silent.observed
    assert "lease of the phase publisher has run out" in silent.observed


def test_the_same_frame_again_is_no_judged_frame(running):
    for _ in range(8):
        running.rules.take(running.now_ns, PhaseSeen(seq=running.frame, frame_index=running.frame))
        running.pass_ms(50, status=True)
    assert running.codes == {Code.SILENT}


def test_a_lost_process_is_medium_while_a_case_was_running(running):
    running.pass_ms(1_050)
    lost, silent = running.judgement.findings
    assert (lost.code, lost.level, silent.code) == (Code.LOST, Level.MEDIUM, Code.SILENT)
    assert lost.text == "Assistance lost: assistant process does not answer"
    assert lost.observed == ("no status for more than 1000 ms", "phase does not arrive", "a case was running")
    assert "status does not arrive" in silent.observed
    assert running.judgement.withheld == "assistant-lost"


def test_a_lost_process_is_found_when_it_has_answered_for_a_second(running):
    running.pass_ms(2_000)
    running.pass_ms(1_000, frames=True, status=True)
    assert Code.LOST in running.codes
    running.pass_ms(50, frames=True, status=True)
    assert running.judgement == Judgement("", "case-1", ())


def test_a_lost_process_is_low_outside_a_case():
    scene = Scene()
    scene.pass_ms(500, status=True)
    scene.pass_ms(1_050)
    [lost] = scene.judgement.findings
    assert (lost.code, lost.level) == (Code.LOST, Level.LOW)


def test_an_assistant_that_never_appears_is_announced_after_the_allowance():
    scene = Scene()
    scene.pass_ms(10_000)
    assert scene.judgement == Judgement("starting", "", ())
    scene.pass_ms(50)
    [absent] = scene.judgement.findings
    assert (absent.code, absent.level) == (Code.ABSENT, Level.LOW)
    assert absent.text == "Assistance absent: assistant process was never seen"
    scene.pass_ms(1_000, status=True)
    assert scene.codes == {Code.ABSENT}
    scene.pass_ms(50, status=True)
    assert scene.judgement == Judgement("no-case", "", ())


def test_one_that_appears_soon_after_must_also_be_heard_for_a_second():
    scene = Scene(Limits(startup_ms=500))
    scene.pass_ms(800)
    scene.pass_ms(1_000, status=True)
    assert scene.codes == {Code.ABSENT}
    scene.pass_ms(50, status=True)
    assert scene.codes == set()


def test_it_clears_only_when_frames_have_been_judged_for_a_second(running):
    running.pass_ms(500, status=True)
    running.pass_ms(1_000, frames=True, status=True)
    assert running.codes == {Code.SILENT}
    running.pass_ms(50, frames=True, status=True)
    assert running.judgement == Judgement("", "case-1", ())


def test_a_single_frame_does_not_clear_it(running):
    running.pass_ms(500, status=True)
    before = running.judgement
    for _ in range(5):
        running.pass_ms(50, frames=True, status=True)
        running.pass_ms(400, status=True)
        assert running.codes == {Code.SILENT}
    [now], [then] = running.judgement.findings, before.findings
    assert (now.onset_ns, now.announced_ns) == (then.onset_ns, then.announced_ns)


def test_a_case_that_ends_properly_is_no_fault(running):
    running.case_id = ""
    running.pass_ms(30_000, status=True)
    assert running.judgement == Judgement("no-case", "", ())


def test_a_pause_is_no_fault_and_resuming_gives_the_first_frame_its_time(running):
    running.paused = True
    running.pass_ms(30_000, status=True)
    assert running.judgement == Judgement("paused", "case-1", ())
    running.paused = False
    running.pass_ms(300, status=True)
    assert running.judgement == Judgement("starting", "case-1", ())
    running.pass_ms(100, status=True)
    assert running.codes == {Code.SILENT}


def test_ending_or_pausing_a_silent_case_clears_it(running):
    running.pass_ms(500, status=True)
    assert running.codes == {Code.SILENT}
    running.paused = True
    running.pass_ms(50, status=True)
    assert running.judgement == Judgement("paused", "case-1", ())


def test_the_next_case_gets_its_own_time_for_the_first_frame(running):
    running.pass_ms(250, status=True)
    running.case_id = "case-2"
    running.pass_ms(300, status=True)
    assert running.codes == set()
    running.pass_ms(100, status=True)
    assert running.codes == {Code.SILENT}
    assert running.judgement.case_id == "case-2"


def test_the_next_case_does_not_clear_what_the_one_before_has_lost(running):
    running.pass_ms(500, status=True)
    running.case_id = "case-2"
    running.pass_ms(100, status=True)
    assert running.codes == {Code.SILENT}


def test_a_frame_from_before_a_short_pause_does_not_vouch_for_what_comes_after(running):
    running.paused = True
    running.pass_ms(100, status=True)
    running.paused = False
    running.pass_ms(50, status=True)
    assert running.judgement.withheld == "starting"
    running.pass_ms(50, frames=True, status=True)
    assert running.judgement.withheld == ""


def test_a_restarted_assistant_that_resumes_the_case_is_announced_for_ten_seconds(running):
    running.pass_ms(3_000)
    running.restart("case-1")
    running.pass_ms(1_100, frames=True, status=True)
    [restarted] = running.judgement.findings
    assert (restarted.code, restarted.level) == (Code.RESTARTED, Level.LOW)
    running.pass_ms(8_850, frames=True, status=True)
    assert running.codes == {Code.RESTARTED}
    running.pass_ms(150, frames=True, status=True)
    assert running.judgement == Judgement("", "case-1", ())


def test_a_restarted_assistant_that_does_not_know_the_case_has_not_ended_it(running):
    running.pass_ms(3_000)
    running.restart()
    running.pass_ms(20_000, status=True)
    [silent] = running.judgement.findings
    assert silent.code is Code.SILENT
    assert "the restarted assistant does not know the case" in silent.observed
    assert running.judgement.case_id == "case-1"
    running.case_id = "case-2"
    running.pass_ms(1_500, frames=True, status=True)
    assert running.judgement == Judgement("", "case-2", ())


def test_an_interrupted_case_is_silent_at_once_and_its_last_frames_are_no_comfort(running):
    running.restart()
    running.pass_ms(50, frames=True, status=True)
    assert running.codes == {Code.SILENT, Code.RESTARTED}
    assert [one.level for one in running.judgement.findings] == [Level.MEDIUM, Level.LOW]


def test_a_restart_outside_a_case_or_in_a_pause_interrupts_nothing(running):
    running.paused = True
    running.pass_ms(500, status=True)
    running.restart()
    running.pass_ms(2_000, status=True)
    assert running.codes == {Code.RESTARTED}
    assert running.judgement.withheld == "no-case"


def test_what_is_more_urgent_stands_first_whatever_it_is():
    scene = Scene()
    scene.pass_ms(500, status=True)
    scene.pass_ms(1_500)
    scene.case_id = "case-1"
    scene.pass_ms(500, status=True)
    assert [(one.code, one.level) for one in scene.judgement.findings] == [
        (Code.SILENT, Level.MEDIUM),
        (Code.LOST, Level.LOW),
    ]


def test_a_clean_end_of_which_one_message_was_lost_is_no_restart(running):
    running.case_id = ""
    running.pass_ms(500, status=True)
    assert running.judgement == Judgement("no-case", "", ())


@pytest.mark.parametrize(("case_id", "told"), [("", {Code.RESTARTED, Code.SILENT}), ("case-1", {Code.RESTARTED})])
def test_a_writer_that_was_found_late_is_still_known_as_another_one(running, case_id, told):
    running.pass_ms(3_000)
    running.restart(case_id)
    running.frame = 500
    running.pass_ms(2_000, frames=True, status=True)
    assert running.codes == told


def test_a_process_that_only_slept_has_not_restarted(running):
    running.pass_ms(3_000)
    running.case_id = ""
    running.pass_ms(2_000, status=True)
    assert running.judgement == Judgement("no-case", "", ())


def test_a_short_sleep_of_the_watchdog_does_not_hide_a_restart(running):
    running.pass_ms(2_000)
    running.now_ns += 500 * MS
    running.restart("case-1")
    running.frame = 500
    running.pass_ms(1_500, frames=True, status=True)
    assert running.codes == {Code.RESTARTED}


@pytest.mark.parametrize("hears_first", [True, False])
def test_what_a_watchdog_missed_in_its_own_sleep_is_no_restart(running, hears_first):
    running.now_ns += 5_000 * MS
    if not hears_first:
        running.rules.judge(running.now_ns)
    running.judge_frame()
    running.say_status()
    running.pass_ms(2_000, frames=True, status=True)
    assert running.codes == set()


def test_two_first_messages_are_of_two_runs():
    scene = Scene()
    for run in ("run-1", "run-2"):
        scene.rules.take(scene.now_ns, StatusSeen(0, "", run=run))
    scene.pass_ms(50)
    assert scene.codes == {Code.RESTARTED}


def test_a_second_restart_is_announced_anew(running):
    running.restart("case-1")
    running.pass_ms(6_000, frames=True, status=True)
    first = running.judgement.findings
    running.restart("case-1")
    running.pass_ms(6_000, frames=True, status=True)
    assert [one.code for one in running.judgement.findings] == [Code.RESTARTED]
    assert running.judgement.findings[0].announced_ns - first[0].announced_ns == 6_000 * MS


def test_a_watchdog_that_slept_itself_hears_what_arrived_before_it_accuses(running):
    running.now_ns += 5_000 * MS
    before = running.judgement
    assert running.rules.judge(running.now_ns) == before
    running.judge_frame()
    running.say_status()
    running.pass_ms(2_000, frames=True, status=True)
    assert running.codes == set()


def test_a_watchdog_that_is_always_late_warns_all_the_same_and_says_so(running):
    for _ in range(2):
        running.now_ns += 400 * MS
        running.say_status()
        running.judgement = running.rules.judge(running.now_ns)
    [silent] = running.judgement.findings
    assert silent.degraded_inputs == ("watchdog was late",)
    running.pass_ms(100, status=True)
    assert running.judgement.findings == (silent,)


@pytest.mark.parametrize("name", ["phase_ms", "status_ms", "startup_ms"])
def test_a_limit_that_is_not_positive_is_refused_by_name(name):
    with pytest.raises(InputError, match=f"parameter {name}: expected a positive number of milliseconds, found 0"):
        Limits(**{name: 0})


def test_every_judgement_has_a_canonical_form_whatever_the_assistant_sends():
    scene = Scene()
    scene.case_id, scene.frame = "Zürich ✂", 2**64 - 2
    scene.pass_ms(100, frames=True, status=True)
    scene.pass_ms(2_000)
    assert {Code.LOST, Code.SILENT} == scene.codes
    assert encode(scene.judgement.to_json())


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens, in whatever order, the promises hold."""

    @initialize(phase_ms=st.sampled_from([100, 300, 1_000]))
    def begin(self, phase_ms: int) -> None:
        self.scene = Scene(Limits(phase_ms=phase_ms, startup_ms=3_000))
        self.limit_ns = phase_ms * MS
        self.before = self.scene.judgement
        self.quiet_ms = 0  # for how long a running case has certainly not been judged
        self.good_ms = 0  # for how long everything has been as it should be

    def _go(self, ms: int, *, frames: bool, status: bool) -> None:
        self.before = self.scene.judgement
        self.scene.pass_ms(ms, frames=frames, status=status)
        running = self.scene.case_id != "" and not self.scene.paused
        # The first status of this stretch may be what tells that the case runs.
        self.quiet_ms = ms - TICK_MS if running and status and not frames else 0
        self.good_ms = self.good_ms + ms if frames and status else 0

    @rule(ms=st.sampled_from([50, 200, 400, 1_500, 3_000]), frames=st.booleans(), status=st.booleans())
    def time_passes(self, ms: int, frames: bool, status: bool) -> None:
        self._go(ms, frames=frames, status=status)

    @rule(case_id=st.sampled_from(["", "case-1", "case-2"]), paused=st.booleans())
    def a_person_acts(self, case_id: str, paused: bool) -> None:
        self.scene.case_id, self.scene.paused = case_id, paused
        self._go(50, frames=False, status=True)

    @rule(case_id=st.sampled_from(["", "case-1"]))
    def the_assistant_restarts(self, case_id: str) -> None:
        self.scene.restart(case_id)
        self._go(50, frames=False, status=True)

    @rule(alive=st.booleans())
    def the_lease_changes(self, alive: bool) -> None:
        self.before = self.scene.judgement
        self.scene.rules.take(self.scene.now_ns, LeaseSeen(alive))
        self.scene.judgement = self.scene.rules.judge(self.scene.now_ns)

    @rule(ms=st.integers(300, 5_000))
    def the_watchdog_sleeps(self, ms: int) -> None:
        self.scene.now_ns += ms * MS
        self._go(50, frames=True, status=True)
        self.good_ms = 0

    @invariant()
    def a_running_case_that_is_not_judged_is_announced(self) -> None:
        if self.quiet_ms * MS > self.limit_ns + TICK_MS * MS:
            assert Code.SILENT in self.scene.codes

    @invariant()
    def two_good_seconds_end_every_announcement_but_a_restart(self) -> None:
        if self.good_ms * MS >= 2 * RETURN_NS and self.scene.case_id:
            assert self.scene.codes <= {Code.RESTARTED}
            assert self.scene.judgement.withheld == ("paused" if self.scene.paused else "")

    @invariant()
    def it_vouches_only_for_an_assistant_that_is_judging(self) -> None:
        if self.scene.judgement.withheld == "":
            assert self.scene.codes <= {Code.RESTARTED}
            assert self.scene.case_id and not self.scene.paused

    @invariant()
    def every_finding_is_whole_and_stands_in_its_order(self) -> None:
        findings = self.scene.judgement.findings
        assert len({one.code for one in findings}) == len(findings)
        for one, after in itertools.pairwise(findings):
            assert not (one.level is Level.LOW and after.level is Level.MEDIUM)
        for one in findings:
            assert 0 < len(one.text.split()) <= 12
            assert one.expected and one.observed and one.clears and one.rule
            assert one.onset_ns <= one.announced_ns <= self.scene.now_ns

    @invariant()
    def the_transitions_lead_from_one_judgement_to_the_next(self) -> None:
        before = {one.code for one in self.before.findings}
        for code, old, new in transitions(self.before, self.scene.judgement):
            assert (code in before) == (old == "on") and old != new
            before ^= {code}
        assert before == self.scene.codes

    @invariant()
    def asking_again_changes_nothing(self) -> None:
        assert self.scene.rules.judge(self.scene.now_ns) == self.scene.judgement


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
