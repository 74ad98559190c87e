"""Starting and ending cases: the one place that holds the running case."""

import threading
import time
from collections.abc import Callable

from surgical_ml.audit import Report, verify
from surgical_ml.errors import InputError
from surgical_ml.events import Action
from surgical_ml.ros.capture import Feed
from surgical_ml.ros.records import Records
from surgical_ml.ros.running_case import RunningCase
from surgical_ml.session import Assets


class CaseControl:
    """Keeps at most one case running. Its methods wait for the disk; call them from any thread but the ROS thread's hot path.

    Args:
        assets, feed, records: of the configured node.
        frame_id: of the camera.
        ros_now_ns: the ROS clock.
        ready: told from any thread that decisions wait, or that the case has changed.
        log: told in one line what happened.
    """

    def __init__(
        self,
        assets: Assets,
        feed: Feed,
        records: Records,
        *,
        frame_id: str,
        ros_now_ns: Callable[[], int],
        ready: Callable[[], None],
        log: Callable[[str], None],
    ) -> None:
        self.assets, self.feed, self.records = assets, feed, records
        self._frame_id, self._ros_now_ns, self._ready, self._log = frame_id, ros_now_ns, ready, log
        self._changing = threading.RLock()
        self.case: RunningCase | None = None
        self.paused = False

    def start(self, name: str, procedure: str, actor: str, *, resume: bool = False) -> RunningCase:
        """Start a case, or go on with an interrupted one.

        Raises:
            InputError: a case is running, another protocol is asked for than the one that is loaded, the name cannot be
                used, or the record cannot be written.
        """
        with self._changing:
            if self.case is not None:
                raise InputError("start_case", "no running case", f"case {self.case.name}")
            if procedure not in ("", self.assets.protocol.name, self.assets.config.procedure):
                raise InputError("procedure", f"{self.assets.protocol.name}, which is configured", procedure)
            name, folder = self.records.begin(name, resume=resume)
            case = RunningCase(
                name,
                folder,
                self.assets,
                self.feed,
                keyring=self.records.keyring,
                resumed=resume,
                frame_id=self._frame_id,
                ros_now_ns=self._ros_now_ns,
                monotonic_ns=time.monotonic_ns,
                ready=self._ready,
            )
            self.case, self.paused = case, False
            try:
                case.start(actor, self._source_ended)
            except InputError:
                self._drop(case)
                raise
            self._log(f"case {name} {'goes on after a restart' if resume else 'started'}")
            return case

    def pause(self, pause: bool, actor: str) -> None:
        """Pause or resume judging; what is already so succeeds.

        Raises:
            InputError: no case is running, or the record cannot be written.
        """
        with self._changing:
            self.running().ask(Action.PAUSE if pause else Action.RESUME, actor)
            self.paused = pause

    def acknowledge(self, code: str, subject: str, actor: str) -> int:
        """Acknowledge advisories; how many changed.

        Raises:
            InputError: no case is running, or the record cannot be written.
        """
        with self._changing:
            return self.running().acknowledge(code, subject, actor)

    def end(self, actor: str) -> tuple[str, Report]:
        """End the case, close its record and check it: its name, and what the check found.

        Raises:
            InputError: no case is running, or its end could not be recorded; it is closed all the same.
        """
        with self._changing:
            case = self.running()
            try:
                case.end(actor)
            finally:
                self._drop(case)
            self.records.end(case.name)
            self._log(f"case {case.name} ended")
        return case.name, verify(self.records.audit(case.name))

    def running(self) -> RunningCase:
        """The running case, or InputError."""
        if self.case is None:
            raise InputError("case", "a running one", "none")
        return self.case

    def close(self) -> None:
        """Let go of everything; a case that runs stays marked as interrupted."""
        with self._changing:
            if self.case is not None:
                self._drop(self.case)
            self.feed.close()

    def _drop(self, case: RunningCase) -> None:
        case.close()
        self.case, self.paused = None, False
        self._ready()

    def _source_ended(self) -> None:
        """The recording is over, and so is the case; told by the capture thread, which must not wait for itself."""
        threading.Thread(target=self._end_by_source, name="case-end", daemon=True).start()

    def _end_by_source(self) -> None:
        try:
            self.end("source")
        except InputError as error:
            self._log(str(error))
