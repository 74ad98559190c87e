"""A live assistant in a test: its processes, and a listener that keeps everything that it says."""

from pathlib import Path

from rclpy.node import Node
from surgical_ml_msgs import msg
from waiting import PATIENCE_S, wait_until

from surgical_ml.ros import qos
from surgical_ml.ros.bringup import ASSISTANT, Bringup

SHOWN = (msg.Phase.VALIDITY_OK, msg.Phase.VALIDITY_DEGRADED)
"""On a busy machine frames are dropped, which is a degradation and no fault."""


class Ears:
    """Subscribes to the assistant and the watchdog and keeps every message."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.phase: list[msg.Phase] = []
        self.guidance: list[msg.Guidance] = []
        self.instruments: list[msg.InstrumentArray] = []
        self.advisories: list[msg.AdvisoryArray] = []
        self.watchdog: list[msg.AdvisoryArray] = []
        self.status: list[msg.Status] = []
        for kind, topic, profile, heard in (
            (msg.Phase, "phase", qos.PHASE, self.phase),
            (msg.Guidance, "guidance", qos.GUIDANCE, self.guidance),
            (msg.InstrumentArray, "instruments", qos.INSTRUMENTS, self.instruments),
            (msg.AdvisoryArray, "advisories", qos.ADVISORIES, self.advisories),
            (msg.AdvisoryArray, "watchdog/advisories", qos.ADVISORIES, self.watchdog),
            (msg.Status, "status", qos.STATUS, self.status),
        ):
            node.create_subscription(kind, f"/surgical_ml/{topic}", heard.append, profile)

    def wait(self, condition, what: str, timeout_s: float = PATIENCE_S) -> None:
        """Until `condition()` is true."""
        wait_until(condition, timeout_s, self.node, what=what)

    def says(self, reason: str) -> bool:
        """The newest status gives this reason, or begins with it."""
        return bool(self.status) and self.status[-1].withheld_reason.startswith(reason)

    def advises(self, subject: str, heard: str = "advisories") -> bool:
        """The newest list holds an advisory on this subject that is on."""
        return any(
            one.subject == subject and one.presence == msg.Advisory.PRESENCE_ON
            for newest in getattr(self, heard)[-1:]
            for one in newest.advisories
        )

    def shows(self) -> bool:
        """The newest status says that something is shown."""
        return bool(self.status) and self.status[-1].validity in SHOWN

    def call(self, kind: type, name: str, **fields):
        """The answer of a service of the assistant."""
        client = self.node.create_client(kind, f"/surgical_ml/assistant/{name}")
        try:
            self.wait(client.service_is_ready, f"the service {name}")
            future = client.call_async(kind.Request(**fields))
            self.wait(future.done, f"the answer of {name}")
            return future.result()
        finally:
            self.node.destroy_client(client)


def start_assistant(graph: Bringup, records: Path, source: str, **parameters):
    """The assistant process, by itself active; with `auto_case` unless told otherwise."""
    given = {
        "source": source,
        "records_dir": str(records),
        "autostart": True,
        "auto_case": True,
        "case_id": "case",
        "nominal_fps": 25.0,
        # These tests are about what is said, not about how quickly a busy machine says it.
        "max_age_ms": 10_000,
    }
    return graph.start("assistant", ASSISTANT, given | parameters)
