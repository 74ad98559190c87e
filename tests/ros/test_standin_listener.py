"""What a careful controller makes of the assistant's messages."""

import json

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from surgical_ml_msgs.msg import (
    Advisory,
    AdvisoryArray,
    Guidance,
    Instrument,
    InstrumentArray,
    Phase,
    Reason,
    Status,
)

from surgical_ml.errors import InputError
from surgical_ml.ros.standin.journal import Journal, plain
from surgical_ml.ros.standin.listener import NOT_SAFE, Listener

MS = 1_000_000
ROS_NS = 1_700_000_000_000_000_000
"""How far the ROS clock is ahead of the monotonic one."""

SILENT_AFTER_A_SECOND = ("status", "advisories", "watchdog/advisories")
OK, DEGRADED, WITHHELD = Phase.VALIDITY_OK, Phase.VALIDITY_DEGRADED, Phase.VALIDITY_WITHHELD


class Scene:
    """A listener, and a clock that is moved by hand."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.listener = Listener(self.lines.append)
        self.now_ns = 1_000 * MS
        self.frame, self.run = 0, "run-1"

    def time(self, after_ms: int = 0) -> Time:
        seconds, rest = divmod(self.now_ns + ROS_NS + after_ms * MS, 1_000 * MS)
        return Time(sec=seconds, nanosec=rest)

    def hear(self, topic: str, message: object) -> None:
        self.listener.hear(topic, message, self.now_ns, self.now_ns + ROS_NS)

    def phase(self, committed: str = "Preparation", validity: int = OK, *, age_ms: int = 5, **fields: object) -> None:
        self.frame += 1
        header = Header(stamp=self.time(-age_ms))
        self.hear(
            "phase", Phase(header=header, validity=validity, committed=committed, frame_index=self.frame, **fields)
        )

    def status(self, case: str = "case-1", *, paused: bool = False) -> None:
        self.hear("status", Status(case_id=case, paused=paused, seq=self.frame, run_id=self.run))

    def advise(self, *advisories: Advisory, sender: str = "assistant", validity: int = OK, reason: str = "") -> None:
        message = AdvisoryArray(
            validity=validity, withheld_reason=reason, published=self.time(), sender=sender, advisories=list(advisories)
        )
        self.hear("advisories" if sender == "assistant" else "watchdog/advisories", message)

    def all_is_well(self, ms: int = 100) -> None:
        """Half a frame rate of an assistant and a watchdog in order."""
        for _ in range(ms // 100):
            self.now_ns += 100 * MS
            self.status()
            self.phase()
            self.advise()
            self.advise(sender="watchdog")
            self.check()

    def check(self, after_ms: int = 0) -> None:
        self.now_ns += after_ms * MS
        self.listener.check(self.now_ns, self.now_ns + ROS_NS)

    def take_lines(self) -> list[str]:
        taken, self.lines[:] = list(self.lines), []
        return taken


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def running() -> Scene:
    scene = Scene()
    scene.all_is_well(500)
    assert "assistance is usable" in scene.take_lines()
    return scene


def mismatch(presence: int = Advisory.PRESENCE_ON, announced_s: int = 5) -> Advisory:
    reason = Reason(
        rule="cholecystectomy/tools/Preparation",
        expected=["grasper"],
        observed=["scissors"],
        evidence_frames=[3, 5, 8],
        certainty=Reason.CERTAINTY_MEDIUM,
        clears="scissors leave the picture",
    )
    return Advisory(
        code="tool-mismatch",
        subject="scissors",
        kind=Advisory.KIND_PROCEDURAL,
        priority=Advisory.PRIORITY_MEDIUM,
        presence=presence,
        announced=Time(sec=announced_s),
        text="Unexpected instrument: scissors during preparation",
        reason=reason,
    )


WHOLE_REASON = (
    "expected grasper; observed scissors; evidence frames 3, 5, 8; certainty medium; "
    "clears with: scissors leave the picture"
)


def test_each_phase_is_said_once_with_its_certainty_and_frame(scene):
    for name in ("Preparation", "Preparation", "CalotTriangleDissection"):
        scene.phase(name, certainty=Phase.CERTAINTY_HIGH)
    assert scene.lines == [
        "phase: Preparation (certainty high, frame 1)",
        "phase: CalotTriangleDissection (certainty high, frame 3)",
    ]
    assert scene.listener.phases == ["Preparation", "CalotTriangleDissection"]


@pytest.mark.parametrize("fields", [{"validity": WITHHELD}, {"age_ms": 301}, {"age_ms": 10**12}])
def test_a_phase_that_is_withheld_or_old_or_without_a_stamp_is_not_used(scene, fields):
    scene.phase(**fields)
    scene.hear("phase", Phase(validity=OK, committed="Preparation"))
    assert scene.listener.phases == []


def test_an_advisory_is_said_with_its_whole_reason_when_it_comes_changes_and_goes(scene):
    scene.advise(mismatch())
    scene.advise(mismatch())
    scene.advise(mismatch(Advisory.PRESENCE_LATCHED))
    scene.advise()
    said = "medium procedural tool-mismatch scissors from assistant: Unexpected instrument: scissors during preparation"
    assert scene.lines[1:] == [
        f"advisory ON: {said}; reason: {WHOLE_REASON}",
        f"advisory LATCHED: {said}; reason: {WHOLE_REASON}",
        "advisory gone: tool-mismatch scissors from assistant; nothing follows from that",
    ]


def test_an_advisory_counts_once_for_each_announcement(scene):
    scene.advise(mismatch())
    scene.advise(mismatch(Advisory.PRESENCE_ACKNOWLEDGED))
    scene.advise(mismatch(announced_s=9))
    [first, second] = scene.listener.summary()["procedural"]
    assert first["reason"] == second["reason"] == WHOLE_REASON
    [line] = [line for line in scene.listener.summary_in_words() if "tool-mismatch" in line]
    assert line.endswith(f", 2 times; reason: {WHOLE_REASON}")


def test_what_the_watchdog_and_the_assistant_list_is_kept_apart(scene):
    scene.advise(mismatch())
    scene.advise(sender="watchdog")
    assert not [line for line in scene.lines if "gone" in line]


def test_an_old_list_is_no_list(scene):
    late = AdvisoryArray(validity=OK, published=scene.time(-1_001), advisories=[mismatch()])
    scene.hear("advisories", late)
    assert scene.lines == []


def test_validity_is_said_when_it_changes_with_the_reason(scene):
    scene.advise()
    scene.advise()
    scene.advise(validity=WITHHELD, reason="out-of-body")
    scene.advise(validity=DEGRADED)
    assert scene.lines == ["assistant: OK", "assistant: WITHHELD (out-of-body)", "assistant: DEGRADED"]


def test_silence_is_said_once_and_is_no_sign_of_safety(running):
    running.check(350)
    running.check(50)
    assert running.take_lines() == [
        "silence: no phase for 300 ms",
        f"assistance is not usable: no phase for 300 ms; {NOT_SAFE}",
    ]
    running.check(700)
    assert running.take_lines() == [f"silence: no {topic} for 1000 ms" for topic in SILENT_AFTER_A_SECOND]
    running.all_is_well()
    assert "phase is heard again" in running.lines
    assert "assistance is usable" in running.lines


def test_outside_a_case_and_in_a_pause_no_phase_is_expected(running):
    running.status(paused=True)
    assert running.take_lines() == ["a person has paused the assistant"]
    running.check(400)
    running.status("")
    running.check(400)
    assert not [line for line in running.take_lines() if "silence" in line]


def test_assistance_is_not_usable_until_the_watchdog_vouches_for_it(scene):
    scene.status()
    scene.phase()
    scene.advise()
    scene.advise(sender="watchdog", validity=WITHHELD, reason="starting")
    assert scene.take_lines()[-1] != "assistance is usable"
    scene.advise(sender="watchdog")
    assert scene.take_lines()[-1] == "assistance is usable"
    scene.advise(sender="watchdog", validity=WITHHELD, reason="assistant-silent")
    assert scene.take_lines()[-1] == (
        f"assistance is not usable: the watchdog does not vouch for it (assistant-silent); {NOT_SAFE}"
    )


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda s: s.phase(validity=WITHHELD, withheld_reason="frozen"), "WITHHELD (frozen)"),
        (lambda s: s.phase(age_ms=400), "it is older than 300 ms"),
        (lambda s: s.hear("phase", Phase(validity=OK)), "it has no time of acquisition"),
        (
            lambda s: s.listener.notice("phase", "lease-lost", s.now_ns, s.now_ns + ROS_NS),
            "the lease of phase has run out",
        ),
    ],
)
def test_assistance_ceases_to_be_usable_with_a_reason(running, spoil, why):
    spoil(running)
    assert running.take_lines() == [f"assistance is not usable: {why}; {NOT_SAFE}"]


def test_guidance_is_used_only_while_it_is_valid(scene):
    fields = {"next_phase": "CalotTriangleDissection", "expected_instruments": ["grasper", "hook"]}
    scene.hear("guidance", Guidance(validity=OK, valid_until=scene.time(-1), **fields))
    assert scene.take_lines() == []
    for _ in range(2):
        scene.hear("guidance", Guidance(validity=OK, valid_until=scene.time(500), **fields))
    assert scene.take_lines() == ["guidance: next CalotTriangleDissection; instruments expected now: grasper, hook"]
    scene.check(501)
    assert scene.take_lines() == ["guidance: its time of validity is over; it is not used any longer"]
    scene.hear("guidance", Guidance(validity=OK, valid_until=scene.time(500), **fields))
    scene.hear("guidance", Guidance(validity=WITHHELD, withheld_reason="out-of-body"))
    assert scene.take_lines()[-1] == "guidance: it is withheld (out-of-body); it is not used any longer"


def test_each_instrument_is_said_when_it_is_first_seen(scene):
    seen = [Instrument(track=1, type="grasper", seen=True), Instrument(track=2, type="hook", seen=False)]
    for validity in (WITHHELD, OK, OK):
        scene.hear("instruments", InstrumentArray(validity=validity, instruments=seen))
    assert scene.lines == ["instrument: grasper for the first time (track 1)"]


def test_a_case_begins_and_ends(running):
    assert (running.listener.began, running.listener.ended) == (True, False)
    running.status("")
    assert running.take_lines() == ["case case-1 has ended"]
    assert running.listener.ended


def test_a_case_that_a_restarted_assistant_does_not_know_has_not_ended(running):
    running.run = "run-2"
    running.status("")
    running.status("")
    assert not running.listener.ended
    assert running.take_lines()[:2] == [
        "the assistant has restarted; what it announced before is lost, not over",
        "case case-1: the restarted assistant does not know it; it has not ended",
    ]
    running.status("case-1")
    running.status("")
    assert running.listener.ended


def test_the_summary_tells_everything_and_takes_nothing_for_safety(running):
    running.advise(mismatch())
    running.listener.notice("phase", "deadline-missed", running.now_ns, running.now_ns + ROS_NS)
    text = "\n".join(running.listener.summary_in_words())
    assert "phases: Preparation\n" in text
    assert "procedural advisories: 1\n" in text
    assert WHOLE_REASON in text
    assert "technical advisories: 0\n" in text
    assert "phase 5" in text
    assert "events: phase deadline-missed 1" in text
    assert text.endswith("that is no statement that it was safe")
    assert json.loads(json.dumps(running.listener.summary()))["phases"] == ["Preparation"]


def test_every_message_becomes_json_and_a_picture_becomes_its_length():
    diagnostics = DiagnosticArray(status=[DiagnosticStatus(level=DiagnosticStatus.ERROR)])
    assert json.loads(json.dumps(plain(diagnostics)))["status"][0]["level"] == 2
    assert plain(JointState(position=[0.5]))["position"] == [0.5]
    assert plain(Image(data=bytes(10_000)))["data"] == {"bytes": 10_000}
    assert plain(AdvisoryArray(advisories=[mismatch()]))["advisories"][0]["reason"]["evidence_frames"] == [3, 5, 8]


def test_the_journal_has_each_line_at_once(tmp_path):
    path = tmp_path / "deep" / "heard.jsonl"
    journal = Journal(str(path))
    journal.write("event", 5, topic="phase", event="lease-lost")
    assert json.loads(path.read_text()) == {
        "kind": "event",
        "received_ns": 5,
        "topic": "phase",
        "event": "lease-lost",
    }
    journal.close()
    with pytest.raises(InputError, match="expected a file that can be written, found Is a directory"):
        Journal(str(tmp_path))
