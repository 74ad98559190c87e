"""Sends what an assistant would, from a process of its own; told what to do line by line on its standard input.

`case NAME`, `end`, `pause`, `resume`, `blind` (frames stop, the process goes on), `see`, `warn`, `calm`.
"""

import os
import select
import signal
import subprocess
import sys
import uuid

import rclpy
from builtin_interfaces.msg import Time
from rclpy.node import Node
from surgical_ml_msgs.msg import Advisory, AdvisoryArray, Guidance, InstrumentArray, Phase, Reason, Status

from surgical_ml.ros import qos
from surgical_ml.ros.spinning import spin

OK, WITHHELD = Phase.VALIDITY_OK, Phase.VALIDITY_WITHHELD
STOP_S = 60
PHASES = ["Preparation", "CalotTriangleDissection"]


class FakeAssistant(Node):
    def __init__(self):
        super().__init__("assistant", namespace="/surgical_ml")
        self.case, self.paused, self.blind, self.warned = "", False, False, False
        self.frame = self.tick = 0
        self.run = uuid.uuid4().hex
        self.phases = self.create_publisher(Phase, "phase", qos.PHASE)
        self.instruments = self.create_publisher(InstrumentArray, "instruments", qos.INSTRUMENTS)
        self.guidance = self.create_publisher(Guidance, "guidance", qos.GUIDANCE)
        self.advisories = self.create_publisher(AdvisoryArray, "advisories", qos.ADVISORIES)
        self.status = self.create_publisher(Status, "status", qos.STATUS)
        self.create_timer(0.05, self.step)

    def obey(self, command):
        match command.split():
            case ["case", name]:
                self.case, self.paused, self.frame = name, False, 0
            case ["end"]:
                self.case = ""
            case ["pause" | "resume" as word]:
                self.paused = word == "pause"
            case ["blind" | "see" as word]:
                self.blind = word == "blind"
            case ["warn" | "calm" as word]:
                self.warned = word == "warn"

    def step(self):
        while select.select([sys.stdin], [], [], 0)[0] and (line := sys.stdin.readline()):
            self.obey(line)
        now = self.get_clock().now()
        if self.case and not self.paused and not self.blind:
            self.judge(now.to_msg(), (now + qos.PHASE_LEASE).to_msg())
        if self.tick % 2 == 0:
            withheld = "" if self.case else "no-case"
            self.status.publish(
                Status(
                    run_id=self.run,
                    seq=self.frame,
                    validity=WITHHELD if withheld else OK,
                    withheld_reason=withheld,
                    published=now.to_msg(),
                    case_id=self.case,
                    paused=self.paused,
                )
            )
        if self.tick % 4 == 0:
            self.advise(now.to_msg())
        self.tick += 1

    def judge(self, stamp: Time, until: Time):
        phase = Phase(seq=self.frame, validity=OK, frame_index=self.frame, phases=PHASES, committed=PHASES[0])
        phase.header.stamp = stamp
        if self.frame >= 10:
            phase.committed, phase.certainty = PHASES[1], Phase.CERTAINTY_HIGH
        self.phases.publish(phase)
        instruments = InstrumentArray(seq=self.frame, validity=OK)
        instruments.header.stamp = stamp
        self.instruments.publish(instruments)
        guidance = Guidance(seq=self.frame, validity=OK, valid_until=until, next_phase=PHASES[1])
        guidance.header.stamp = stamp
        self.guidance.publish(guidance)
        self.frame += 1

    def advise(self, stamp: Time):
        shown = bool(self.case) and not self.paused
        message = AdvisoryArray(seq=self.frame, validity=OK if shown else WITHHELD, published=stamp, sender="assistant")
        message.case_id = self.case
        if not shown:
            message.withheld_reason = "paused" if self.case else "no-case"
        if self.warned:
            reason = Reason(
                rule="cholecystectomy/tools/CalotTriangleDissection",
                expected=["grasper", "hook"],
                observed=["scissors"],
                evidence_frames=[3, 5, 8],
                certainty=Reason.CERTAINTY_MEDIUM,
                clears="scissors leave the picture",
            )
            warning = Advisory(
                code="tool-mismatch",
                subject="scissors",
                kind=Advisory.KIND_PROCEDURAL,
                priority=Advisory.PRIORITY_MEDIUM,
                presence=Advisory.PRESENCE_ON,
                text="Unexpected instrument: scissors during Calot triangle dissection",
                reason=reason,
            )
            message.advisories, message.highest_priority = [warning], warning.priority
        self.advisories.publish(message)


class FakeAssistantProcess:
    """This file as a process that a test starts, talks to, stops and kills; a context manager."""

    def __init__(self) -> None:
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "FakeAssistantProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def start(self) -> None:
        """Begin, or begin again after `kill`."""
        # Without the profile of shared memory: a killed process would leave 64 MiB of it behind.
        variables = {name: value for name, value in os.environ.items() if name != "FASTRTPS_DEFAULT_PROFILES_FILE"}
        self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, text=True, env=variables)

    def tell(self, command: str) -> None:
        """Have it do something, as listed above."""
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_S)


if __name__ == "__main__":
    rclpy.init()
    node = FakeAssistant()
    spin(node)
    rclpy.try_shutdown()
