"""The services of a case, answered by a second node of the process on a thread of its own.

Each waits for the disk, and checking a long record takes minutes. rclpy's executor cannot answer later, and while a
coroutine waits in it nothing else is served: on the assistant's own thread they would hold up what it publishes.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rclpy.executors import ExternalShutdownException, ShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from surgical_ml_msgs import srv

from surgical_ml.errors import InputError
from surgical_ml.ros.case_control import CaseControl

VERIFY_S = 3600.0


class Services:
    """Offers `~/start_case`, `~/end_case`, `~/acknowledge`, `~/pause` and `~/verify_audit` of the assistant.

    Args:
        node: the assistant, below whose name they stand.
        control: gives the case control while the node is active; None while it is not.
        state: gives the gate's state, one of Status.STATE_*.
    """

    def __init__(self, node: Node, control: Callable[[], CaseControl | None], state: Callable[[], int]) -> None:
        self._control, self._state = control, state
        self._node = Node(
            f"{node.get_name()}_services",
            namespace=node.get_namespace(),
            context=node.context,
            start_parameter_services=False,
            use_global_arguments=False,
        )
        below = node.get_fully_qualified_name()
        for kind, name, answer in (
            (srv.StartCase, "start_case", self._start_case),
            (srv.EndCase, "end_case", self._end_case),
            (srv.Acknowledge, "acknowledge", self._acknowledge),
            (srv.Pause, "pause", self._pause),
            (srv.VerifyAudit, "verify_audit", self._verify_audit),
        ):
            self._node.create_service(kind, f"{below}/{name}", answer)
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="services", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Offer them no longer; what is being answered is waited for."""
        self._executor.shutdown(timeout_sec=5.0)
        self._thread.join(5.0)
        self._node.destroy_node()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException, ShutdownException):
            self._executor.spin()

    def _active(self) -> CaseControl:
        control = self._control()
        if control is None:
            raise InputError("assistant", "to be active", "a node that is not")
        return control

    def _start_case(self, request: srv.StartCase.Request, response: srv.StartCase.Response) -> srv.StartCase.Response:
        try:
            control = self._active()
            resume = bool(request.case_id) and request.case_id == control.records.interrupted()
            case = control.start(request.case_id, request.procedure, request.actor, resume=resume)
        except InputError as refused:
            response.message = str(refused)
            return response
        response.success, response.case_id = True, case.name
        response.message = f"case {case.name} {'goes on' if resume else 'runs'}"
        response.config_digest = case.identity["config"]
        return response

    def _end_case(self, request: srv.EndCase.Request, response: srv.EndCase.Response) -> srv.EndCase.Response:
        try:
            name, report = self._active().end(request.actor)
        except InputError as refused:
            response.message = str(refused)
            return response
        response.success, response.case_id = report.ok, name
        response.audit_entries, response.audit_hash = report.entries, report.head
        response.message = f"case {name} ended" if report.ok else f"case {name} ended; its record: {report.problems[0]}"
        return response

    def _acknowledge(
        self, request: srv.Acknowledge.Request, response: srv.Acknowledge.Response
    ) -> srv.Acknowledge.Response:
        try:
            response.acknowledged = self._active().acknowledge(request.code, request.subject, request.actor)
        except InputError as refused:
            response.message = str(refused)
            return response
        response.success = response.acknowledged > 0
        response.message = f"{response.acknowledged} acknowledged" if response.success else "no such advisory is on"
        return response

    def _pause(self, request: srv.Pause.Request, response: srv.Pause.Response) -> srv.Pause.Response:
        try:
            self._active().pause(request.pause, request.actor)
            response.success, response.message = True, "paused" if request.pause else "resumed"
        except InputError as refused:
            response.message = str(refused)
        response.state = self._state()
        return response

    def _verify_audit(
        self, request: srv.VerifyAudit.Request, response: srv.VerifyAudit.Response
    ) -> srv.VerifyAudit.Response:
        try:
            control = self._active()
            running = control.case
            name = request.case_id or (running.name if running is not None else "")
            folder = control.records.audit(name)
            found = _verified(folder)
        except InputError as refused:
            response.message = str(refused)
            return response
        response.success, response.case_id = found["ok"], folder.parent.name
        response.entries, response.head_hash = found["entries"], found["head"]
        response.has_fault, response.first_fault_seq = not found["ok"], found["entries"]
        response.message = f"{found['entries']} entries are whole" if found["ok"] else found["problems"][0]
        return response


def _verified(folder: Path) -> dict:  # type: ignore[type-arg]
    """What `surgical-ml audit verify` finds; in a process of its own, since it is pure Python and would hold up the case."""
    command = [sys.executable, "-m", "surgical_ml.cli", "audit", "verify", str(folder), "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=VERIFY_S, check=False)
        return dict(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise InputError(folder, "a record that can be checked", str(error)) from error
