"""The demo, whole, as `make demo` runs it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from surgical_ml_msgs.msg import Advisory

from surgical_ml.audit import verify
from surgical_ml.ros.demo import Received

LIMIT_S = 900


@pytest.mark.slow
def test_the_demo_shows_the_main_job_and_its_warnings_are_those_of_the_clip(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    command = [sys.executable, "-m", "surgical_ml.ros.demo", "--out", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "phases: " in done.stdout
    assert re.search(r"advisory ON: \w+ procedural .* expected .* observed .* evidence frames \d", done.stdout)
    assert re.search(r"audit: whole, \d+ entries", done.stdout)
    assert re.search(r"\d+ decisions, 0 differ", done.stdout)
    report = Path(re.search(r"Report:\s+(\S+)", done.stdout)[1])
    assert report.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert verify(report.parent / "audit").ok


def test_only_procedural_advisories_of_the_assistant_count_as_what_the_robot_received(tmp_path):
    def line(topic: str, kind: int, code: str) -> str:
        fields = {"advisories": [{"kind": kind, "code": code, "subject": "hook"}]}
        return json.dumps({"kind": "message", "received_ns": 1, "topic": topic, "fields": fields}) + "\n"

    record = tmp_path / "robot.jsonl"
    record.write_text(
        json.dumps({"kind": "said", "received_ns": 1, "line": "hello"})
        + "\n"
        + line("advisories", Advisory.KIND_TECHNICAL, "assistance-withheld")
        + line("watchdog/advisories", Advisory.KIND_TECHNICAL, "assistant-silent")
        + 2 * line("advisories", Advisory.KIND_PROCEDURAL, "tool-mismatch")
    )
    assert Received.read(record).advisories == (("tool-mismatch", "hook"),)
