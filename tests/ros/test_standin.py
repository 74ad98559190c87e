"""The robot stand-in as a process: with the assistant's messages, with the watchdog's, and with silence."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_assistant import FakeAssistantProcess
from fence import publishings
from processes import running
from waiting import PATIENCE_S, wait_until

import surgical_ml.ros
from surgical_ml.audit import verify
from surgical_ml.ros.robot_inputs import RobotInputs
from surgical_ml.ros.standin.robot import OUTPUTS, PICTURES

SAFE_S = 5


class Robot:
    """The stand-in as a process, and its journal."""

    def __init__(self, journal: Path, *options: str) -> None:
        self.journal = journal
        command = [sys.executable, "-m", "surgical_ml.ros.standin", "--record", str(journal), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._lines: list[dict] = []
        self._read = 0

    @property
    def lines(self) -> list[dict]:
        if self.journal.exists():
            with self.journal.open("rb") as file:
                file.seek(self._read)
                whole = file.read().rpartition(b"\n")[0]
            self._read += len(whole) + 1 if whole else 0
            self._lines += [json.loads(line) for line in whole.splitlines()]
        return self._lines

    @property
    def said(self) -> list[str]:
        return [line["line"] for line in self.lines if line["kind"] == "said"]

    def wait_for(self, words: str, timeout_s: float = PATIENCE_S) -> str:
        """Wait until it has said something with these words; what it said."""
        wait_until(lambda: any(words in line for line in self.said), timeout_s, what=words)
        return next(line for line in self.said if words in line)

    def end(self) -> tuple[int, str]:
        """Wait for its end; its exit status and what it printed."""
        printed, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, printed


@contextmanager
def robot(journal: Path, *options: str) -> Iterator[Robot]:
    started = Robot(journal, *options)
    try:
        yield started
    finally:
        started.process.terminate()
        started.process.communicate(timeout=PATIENCE_S)


@pytest.fixture
def assistant(domain) -> Iterator[FakeAssistantProcess]:
    with FakeAssistantProcess() as process:
        yield process


def watching(records: Path, *parameters: str):
    chosen = [word for each in (f"records_dir:={records}", *parameters) for word in ("-p", each)]
    return running("-m", "surgical_ml.ros.watchdog", "--ros-args", *chosen)


# On a busy machine even a process in order may be silent for a second; where nothing is to be announced, it may.
PATIENT = ("phase_limit_ms:=20000", "status_limit_ms:=20000", "startup_limit_ms:=60000")


def test_it_tells_a_whole_case_and_is_done_when_the_case_ends(assistant, tmp_path):
    with watching(tmp_path / "records", *PATIENT), robot(tmp_path / "heard.jsonl", "--until", "case-end") as stub:
        stub.wait_for("assistant: WITHHELD (no-case)")
        stub.wait_for("watchdog: WITHHELD (no-case)")
        assistant.tell("case case-1")
        stub.wait_for("assistance is usable")
        stub.wait_for("phase: CalotTriangleDissection (certainty high")
        assistant.tell("warn")
        said = stub.wait_for("advisory ON: medium procedural tool-mismatch scissors from assistant")
        for part in (
            "expected grasper, hook",
            "observed scissors",
            "frames 3, 5, 8",
            "certainty medium",
            "clears with: scissors leave",
        ):
            assert part in said
        assistant.tell("calm")
        stub.wait_for("advisory gone: tool-mismatch scissors")
        assistant.tell("end")
        status, printed = stub.end()
        lines = stub.lines
    assert status == 0
    assert "phases: Preparation > CalotTriangleDissection\n" in printed
    assert "technical advisories: 0\n" in printed
    assert "that is no statement that it was safe" in printed
    summary = lines[-1]
    assert summary["kind"] == "summary"
    assert [one["code"] for one in summary["procedural"]] == ["tool-mismatch"]
    assert summary["technical"] == []
    topics = {line["topic"] for line in lines if line["kind"] == "message"}
    assert topics == {"phase", "instruments", "guidance", "advisories", "watchdog/advisories", "status"}
    assert summary["messages"]["phase"] == sum(
        line.get("topic") == "phase" for line in lines if line["kind"] == "message"
    )
    assert [line["received_ns"] for line in lines] == sorted(line["received_ns"] for line in lines)


def test_it_hears_of_a_killed_assistant_within_the_safety_limit(assistant, tmp_path, record_property):
    with watching(tmp_path / "records"), robot(tmp_path / "heard.jsonl", "--until", "case-end") as stub:
        assistant.tell("case case-1")
        stub.wait_for("assistance is usable")
        killed_ns = time.monotonic_ns()
        assistant.kill()
        stub.wait_for("advisory ON: medium technical assistant-silent", SAFE_S)
        stub.wait_for("advisory ON: medium technical assistant-lost", SAFE_S)
        at = {
            line["line"].split(" assistant ")[0]: line["received_ns"] for line in stub.lines if line["kind"] == "said"
        }
        for code in ("assistant-silent", "assistant-lost"):
            after_ns = at[f"advisory ON: medium technical {code}"] - killed_ns
            record_property(f"kill_to_{code}_at_the_robot_ms", after_ns // 1_000_000)
        stub.wait_for("assistance is not usable: ")
        assert stub.process.poll() is None
        assistant.start()
        assistant.tell("case case-1")
        stub.wait_for("the assistant has restarted")
        assistant.tell("end")
        stub.wait_for("case case-1 has ended")
        assert stub.end()[0] == 0
    [log] = (tmp_path / "records" / "watchdog").iterdir()
    assert verify(log).ok


def test_without_an_assistant_its_time_runs_out_and_nothing_is_taken_for_safe(domain, tmp_path):
    with robot(tmp_path / "heard.jsonl", "--until", "case-end", "--timeout", "0.5") as stub:
        status, printed = stub.end()
    assert status == 1
    assert "time is over: 0.5 s" in printed
    assert "phases: none\n" in printed
    assert "that is no statement that it was safe" in printed


@pytest.mark.parametrize(("options", "expected"), [((), 0), (("--until", "case-end"), 1)])
def test_stopped_by_a_person_it_still_tells_what_it_heard(domain, tmp_path, options, expected):
    with robot(tmp_path / "heard.jsonl", *options) as stub:
        stub.wait_for("the robot stand-in listens to /surgical_ml")
        stub.process.send_signal(signal.SIGINT)
        status, printed = stub.end()
    assert status == expected
    assert "messages: none" in printed
    assert stub.lines[-1]["kind"] == "summary"


def test_the_assistant_hears_the_arm_as_a_dvrk_would_write_it(make_node, tmp_path):
    node = make_node("assistant", namespace="/surgical_ml")
    events = []
    names = ["/PSM1/measured_js", "/PSM1/measured_cp", "/PSM1/tool_type"]
    inputs = RobotInputs(node, names, events.append, lambda: node.get_clock().now().nanoseconds)
    inputs.start()
    with robot(tmp_path / "heard.jsonl"):
        wait_until(lambda: all(one.fresh for one in inputs.sources()), PATIENCE_S, node, what="a fresh arm")
    assert all(event.valid for event in events)
    assert {event.source for event in events} == {name.strip("/") for name in names}
    [tool] = [dict(event.values)["data"] for event in events if event.source == "PSM1/tool_type"]
    assert tool == "LARGE_NEEDLE_DRIVER:400006"


def test_it_listens_to_every_output_of_the_assistant_and_the_watchdog():
    room = Path(surgical_ml.ros.__file__).parent
    published = {one.name for path in room.glob("*.py") for one in publishings(path.read_text(encoding="utf-8"))}
    heard = {*OUTPUTS, *PICTURES, "crtk/operating_state"}
    # Live calibration is a node of its own, for a person at a bench and not for a controller.
    heard_by_people = {name for name in published if name.startswith("calibration/")}
    assert {name for name in published - heard_by_people if not name.startswith("/")} <= heard
    assert {"advisories", "watchdog/advisories", "phase", "status"} <= heard


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--until", "never"], "invalid choice: 'never'"),
        (["--record", os.sep], "expected a file that can be written"),
        (["--ros-args", "-p", "until:=never"], "parameter until: expected case-end or nothing, found 'never'"),
    ],
)
def test_bad_usage_is_refused_in_words(domain, words, complaint):
    command = [sys.executable, "-m", "surgical_ml.ros.standin", *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ended.returncode == 2
    assert complaint in ended.stderr
    assert "Traceback" not in ended.stderr
