"""The watchdog as a process on a live graph: it sees an assistant die, says so, and has recorded it first."""

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fake_assistant import FakeAssistantProcess
from processes import running
from rclpy.parameter import Parameter
from surgical_ml_msgs.msg import Advisory, AdvisoryArray, Reason
from waiting import PATIENCE_S, published_by, wait_until

from surgical_ml.audit import AuditWriter, Disk, read, verify
from surgical_ml.ros import qos, watchdog
from surgical_ml.ros.watchdog import Watchdog

OK, WITHHELD, FAULT = AdvisoryArray.VALIDITY_OK, AdvisoryArray.VALIDITY_WITHHELD, AdvisoryArray.VALIDITY_FAULT
SAFE_S = 5


class Listener:
    """What a robot's controller hears of the watchdog."""

    def __init__(self, make_node) -> None:
        self.node = make_node("listener", namespace="/surgical_ml")
        self.messages: list[AdvisoryArray] = []
        self.diagnostics: list[DiagnosticStatus] = []
        self.node.create_subscription(AdvisoryArray, "watchdog/advisories", self.messages.append, qos.ADVISORIES)
        self.node.create_subscription(
            DiagnosticArray, "/diagnostics", lambda m: self.diagnostics.extend(m.status), qos.DIAGNOSTICS
        )

    @property
    def last(self) -> AdvisoryArray | None:
        return self.messages[-1] if self.messages else None

    @property
    def codes(self) -> list[str]:
        return [one.code for one in self.last.advisories] if self.last else []

    def wait_for(self, condition, timeout_s: float = PATIENCE_S, what: str = "") -> None:
        wait_until(lambda: self.last is not None and condition(self.last), timeout_s, self.node, what=what)

    def wait_until_ok(self) -> None:
        self.wait_for(lambda m: m.validity == OK and not m.advisories, what="a watchdog that sees frames judged")

    def wait_for_code(self, code: str, timeout_s: float = SAFE_S) -> Advisory:
        self.wait_for(lambda m: code in self.codes, timeout_s, what=code)
        return next(one for one in self.last.advisories if one.code == code)


@pytest.fixture
def listener(make_node) -> Listener:
    return Listener(make_node)


@pytest.fixture
def assistant(domain) -> Iterator[FakeAssistantProcess]:
    with FakeAssistantProcess() as process:
        yield process


def watching(records: Path, *parameters: str):
    chosen = [word for each in (f"records_dir:={records}", *parameters) for word in ("-p", each)]
    return running("-m", "surgical_ml.ros.watchdog", "--ros-args", *chosen)


def log_of(records: Path) -> Path:
    [folder] = (records / "watchdog").iterdir()
    return folder


def entries_of(records: Path) -> list[dict]:
    return [entry for _, entry in read(log_of(records))]


def transitions_in(records: Path) -> list[tuple[str, str]]:
    judgements = [entry["body"] for entry in entries_of(records) if entry["type"] == "watchdog-judgement"]
    return [(code, after) for body in judgements for code, _, _, after in body["transitions"]]


def test_a_killed_assistant_is_announced_and_its_return_as_well(listener, assistant, tmp_path, record_property):
    with watching(tmp_path, "startup_limit_ms:=60000") as process:
        assistant.tell("case case-1")
        listener.wait_until_ok()

        killed = time.monotonic()
        assistant.kill()
        silent = listener.wait_for_code("assistant-silent")
        record_property("kill_to_silent_ms", round(1000 * (time.monotonic() - killed)))
        lost = listener.wait_for_code("assistant-lost")
        record_property("kill_to_lost_ms", round(1000 * (time.monotonic() - killed)))

        assert silent.subject == lost.subject == "assistant"
        assert silent.kind == lost.kind == Advisory.KIND_TECHNICAL
        assert silent.priority == lost.priority == Advisory.PRIORITY_MEDIUM
        assert silent.text == "Assistance lost: assistant stopped judging video frames"
        assert silent.reason.rule == "watchdog/phase"
        assert silent.reason.certainty == Reason.CERTAINTY_HIGH
        assert silent.reason.clears
        [frame] = silent.reason.evidence_frames
        assert f"last frame {frame}" in list(silent.reason.observed)
        assert 0 < silent.onset.sec <= silent.announced.sec
        assert (listener.last.validity, listener.last.withheld_reason) == (WITHHELD, "assistant-lost")
        assert listener.last.case_id == "case-1"
        assert listener.last.sender == "watchdog"
        assert listener.last.highest_priority == Advisory.PRIORITY_MEDIUM

        assistant.start()
        assistant.tell("case case-1")
        restarted = listener.wait_for_code("assistant-restarted", PATIENCE_S)
        assert restarted.priority == Advisory.PRIORITY_LOW
        listener.wait_for(lambda m: m.validity == OK, what="judged frames again")
        assert set(listener.codes) <= {"assistant-restarted"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0

    report = verify(log_of(tmp_path))
    assert (report.ok, report.torn_tail) == (True, False), report.problems
    came_and_went = transitions_in(tmp_path)
    came = dict.fromkeys(code for code, after in came_and_went if after == "on")
    assert list(came) == ["assistant-silent", "assistant-lost", "assistant-restarted"]
    assert ("assistant-silent", "off") in came_and_went
    assert ("assistant-lost", "off") in came_and_went


def test_a_stopped_assistant_is_announced_and_all_is_well_when_it_goes_on(
    listener, assistant, tmp_path, record_property
):
    with watching(tmp_path):
        assistant.tell("case case-1")
        listener.wait_until_ok()
        stopped = time.monotonic()
        assistant.process.send_signal(signal.SIGSTOP)
        try:
            silent = listener.wait_for_code("assistant-silent")
            record_property("stop_to_silent_ms", round(1000 * (time.monotonic() - stopped)))
            assert silent.priority == Advisory.PRIORITY_MEDIUM
            listener.wait_for_code("assistant-lost")
        finally:
            assistant.process.send_signal(signal.SIGCONT)
        listener.wait_until_ok()
    assert "assistant-restarted" not in [code for code, _ in transitions_in(tmp_path)]
    assert verify(log_of(tmp_path)).ok


def test_a_process_that_lives_but_judges_nothing_is_announced(listener, assistant, tmp_path, record_property):
    with watching(tmp_path):
        assistant.tell("case case-1")
        listener.wait_until_ok()
        blind = time.monotonic()
        assistant.tell("blind")
        silent = listener.wait_for_code("assistant-silent")
        record_property("blind_to_silent_ms", round(1000 * (time.monotonic() - blind)))
        assert "status still arrives" in list(silent.reason.observed)
        assistant.tell("see")
        listener.wait_until_ok()


def test_a_pause_and_a_clean_end_are_no_fault(listener, assistant, tmp_path):
    # On a busy machine even a process in order may be silent for a second; that is not what is tried here.
    with watching(tmp_path, "phase_limit_ms:=1000", "status_limit_ms:=20000"):
        assistant.tell("case case-1")
        listener.wait_until_ok()
        for command, reason in (("pause", "paused"), ("end", "no-case")):
            assistant.tell(command)
            listener.wait_for(lambda m, reason=reason: m.withheld_reason == reason, what=reason)
            first = len(listener.messages)
            listener.wait_for(lambda m, first=first: len(listener.messages) >= first + 8)  # 1.6 s at 5 Hz
            after = listener.messages[first:]
            assert {message.withheld_reason for message in after} == {reason}
            assert [one.code for message in after for one in message.advisories] == []
    assert verify(log_of(tmp_path)).ok
    entries = entries_of(tmp_path)
    # The first entry of all says whose signature the log bears.
    assert [entries[k]["type"] for k in (0, 1, -1)] == ["key-certified", "watchdog-start", "watchdog-stop"]


def test_an_assistant_that_never_appears_is_announced_once_its_time_is_over(listener, tmp_path):
    with watching(tmp_path, "startup_limit_ms:=500"):
        absent = listener.wait_for_code("assistant-absent", PATIENCE_S)
        assert absent.priority == Advisory.PRIORITY_LOW
        assert listener.last.withheld_reason == "assistant-absent"
        wait_until(lambda: listener.diagnostics, PATIENCE_S, listener.node, what="diagnostics")
        assert listener.diagnostics[-1].name == "surgical_ml: watchdog"


def test_it_publishes_nothing_outside_its_own_names(listener, tmp_path):
    allowed = {"/surgical_ml/watchdog/advisories", "/diagnostics", "/rosout", "/parameter_events"}
    with watching(tmp_path):
        listener.wait_for(lambda m: True)
        wait_until(
            lambda: published_by(listener.node, "watchdog", "/surgical_ml") == allowed,
            PATIENCE_S,
            listener.node,
            what="exactly the allowed publishers",
        )
        clients = listener.node.get_client_names_and_types_by_node("watchdog", "/surgical_ml")
        assert clients == []


def test_a_judgement_is_in_the_log_before_it_is_shown(listener, assistant, tmp_path):
    reasons: list[str] = []

    def check(message: AdvisoryArray) -> None:
        recorded = [e["body"]["seq"] for e in entries_of(tmp_path) if e["type"] == "watchdog-judgement"]
        assert message.validity == FAULT or message.seq in recorded
        reasons.append(message.withheld_reason)

    def wait_for(reason: str) -> None:
        wait_until(lambda: reasons and reasons[-1] == reason, PATIENCE_S, listener.node, what=reason)

    listener.node.create_subscription(AdvisoryArray, "watchdog/advisories", check, qos.ADVISORIES)
    with watching(tmp_path):
        assistant.tell("case case-1")
        wait_for("")
        assistant.tell("blind")
        wait_for("assistant-silent")
        assistant.tell("end")
        wait_for("no-case")


def test_a_watchdog_that_cannot_write_warns_all_the_same_and_says_that_it_is_unrecorded(listener, tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    with watching(in_the_way, "startup_limit_ms:=500"):
        listener.wait_for_code("assistant-absent", PATIENCE_S)
        assert (listener.last.validity, listener.last.withheld_reason) == (FAULT, "unrecorded")
        wait_until(lambda: listener.diagnostics, PATIENCE_S, listener.node, what="diagnostics")
        assert listener.diagnostics[-1].level == DiagnosticStatus.ERROR


class SlowDisk(Disk):
    """Flushes only while `answers` is set."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.answers.set()

    def flush(self, descriptor: int) -> None:
        assert self.answers.wait(PATIENCE_S)
        super().flush(descriptor)


def test_a_disk_that_hangs_delays_a_warning_by_a_tenth_of_a_second_and_no_more(
    make_node, monkeypatch, tmp_path, listener
):
    disk = SlowDisk()
    monkeypatch.setattr(watchdog, "AuditWriter", functools.partial(AuditWriter, disk=disk))
    overrides = [Parameter("records_dir", value=str(tmp_path)), Parameter("startup_limit_ms", value=3000)]
    node = make_node(Watchdog, parameter_overrides=overrides)
    try:
        wait_until(lambda: listener.last and listener.last.validity == WITHHELD, PATIENCE_S, node, listener.node)
        disk.answers.clear()
        wait_until(lambda: "assistant-absent" in listener.codes, PATIENCE_S, node, listener.node)
        assert (listener.last.validity, listener.last.withheld_reason) == (FAULT, "unrecorded")
        disk.answers.set()
        wait_until(lambda: listener.last.validity == WITHHELD, PATIENCE_S, node, listener.node)
        assert listener.last.withheld_reason == "assistant-absent"
        assert ("assistant-absent", "on") in transitions_in(tmp_path)
    finally:
        disk.answers.set()
        node.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_when_it_is_asked_to(listener, tmp_path, number):
    with watching(tmp_path) as process:
        listener.wait_for(lambda m: True)
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 0
    assert verify(log_of(tmp_path)).ok
    assert entries_of(tmp_path)[-1]["type"] == "watchdog-stop"


def test_a_limit_that_means_nothing_is_refused_in_one_line(domain, tmp_path):
    words = ["-p", f"records_dir:={tmp_path}", "-p", "phase_limit_ms:=0"]
    command = [sys.executable, "-m", "surgical_ml.ros.watchdog", "--ros-args", *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ended.returncode == 2
    assert "parameter phase_ms: expected a positive number of milliseconds, found 0" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_it_imports_nothing_that_sees_or_decides():
    script = "import sys, surgical_ml.ros.watchdog; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=dict(os.environ)
    ).stdout.split()
    assert not {"cv2", "onnxruntime", "torch", "openvino", "pydantic"} & {name.split(".")[0] for name in loaded}
    rooms = {name.split(".")[1] for name in loaded if name.startswith("surgical_ml.")}
    assert rooms == {"audit", "errors", "places", "ros"}
    assert {name for name in loaded if name.startswith("surgical_ml.ros.")} == {
        "surgical_ml.ros.qos",
        "surgical_ml.ros.spinning",
        "surgical_ml.ros.watchdog",
        "surgical_ml.ros.watchdog_rules",
    }
