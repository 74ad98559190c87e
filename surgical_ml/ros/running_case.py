"""One running case: its session on a thread of its own, its record, and what comes out of it."""

import threading
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from surgical_ml.audit import AuditWriter, Keyring
from surgical_ml.decision import Decision
from surgical_ml.errors import InputError
from surgical_ml.evaluation.calibration_feed import CalibrationFeed
from surgical_ml.evaluation.stopwatch import Stopwatch
from surgical_ml.events import Action, Event, OperatorAction, RobotState, Tick, longest_silence_s
from surgical_ml.guidance import Presence
from surgical_ml.ros.capture import Captured, Feed
from surgical_ml.ros.convert import Converter
from surgical_ml.ros.latency import Latencies
from surgical_ml.ros.records import AUDIT
from surgical_ml.session import Assets
from surgical_ml.video import Frame, Slot

ANSWER_S = 5.0
NOBODY = frozenset({"", "auto_case", "deactivate", "shutdown", "source"})
"""Who else asks than people; a person's name is kept in the record as a pseudonym only."""

RESERVE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision on its way to whoever publishes it.

    Attributes:
        decision: whose record may not be durable yet.
        frame: the frame it answers; None for another event.
        stages_us: how long each stage took, in microseconds; empty for another event.
        received_ns: when the frame, or the event, was there, on the monotonic clock.
        decided_ns: when the decision was made, on the monotonic clock.
    """

    decision: Decision
    frame: Frame | None
    stages_us: dict[str, int]
    received_ns: int
    decided_ns: int


_Key = tuple[str, str]
"""Code and subject of an advisory."""


@dataclass(frozen=True, slots=True)
class _Asked:
    event: Event
    answer: Future[tuple[Decision, frozenset[_Key]]] | None
    received_ns: int


class RunningCase:
    """Feeds a session, and hands out its decisions in order.

    The session lives on the worker thread and is touched by no other. Frames overwrite each other in a size-one slot;
    every other event waits in line. Nothing of a frame is kept but the newest decision's. With a camera's calibration,
    a thread of its own measures once a second whether that still holds, and what it finds waits in line as well.

    Args:
        name, folder: of the case, as `Records.begin` gave them.
        assets: warm; of no other running case.
        feed: of the frames.
        keyring: of this device; signs the case's record.
        resumed: the case was interrupted and goes on in the same log.
        frame_id: of the camera.
        ros_now_ns, monotonic_ns: the ROS clock and the monotonic clock, in nanoseconds.
        ready: told from any thread that there is something in `pending`, or `failure`.

    Attributes:
        pending: decisions, oldest first; taken by one thread.
        failure: the traceback that ended the worker, or what measures; empty while all is well.
        judged: frames that were judged.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        assets: Assets,
        feed: Feed,
        *,
        keyring: Keyring,
        resumed: bool,
        frame_id: str,
        ros_now_ns: Callable[[], int],
        monotonic_ns: Callable[[], int],
        ready: Callable[[], None],
    ) -> None:
        self.name, self.folder, self.assets, self.feed = name, folder, assets, feed
        self.writer = AuditWriter(folder / AUDIT, keyring=keyring, reserve_bytes=RESERVE_BYTES)
        self._stopwatch = Stopwatch()
        self._session = assets.open(self.writer, case=name, resumed=resumed, stage=self._stopwatch.lap)
        self.identity = self._session.identity()
        self.converter = Converter(ros_now_ns() - feed.now_ns(), frame_id)
        self.latencies = Latencies()
        self.pending: deque[Judged] = deque()
        self.failure = ""
        self.judged = 0
        self._on: frozenset[_Key] = frozenset()
        self._monotonic_ns, self._ready = monotonic_ns, ready
        self._slot: Slot[Captured | _Asked] = Slot()
        self._timings = _timings(folder / "timings.jsonl")
        self._worker = threading.Thread(target=self._run, name="inference", daemon=True)
        self._calibration = CalibrationFeed.of(assets, _utc_now)
        self._to_measure: Slot[tuple[Frame, Decision]] = Slot()
        self._measurer = threading.Thread(target=self._measure, name="calibration", daemon=True)

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced before they could be judged."""
        return self._slot.dropped

    def start(self, actor: str, ended: Callable[[], None]) -> Decision:
        """Start judging; returns once the start is on record.

        Args:
            actor: who asks; the record holds a pseudonym.
            ended: told, from the capture thread, that the source has no more frames.

        Raises:
            InputError: the record could not be written.
        """
        self._worker.start()
        if self._calibration is not None:
            self._measurer.start()
        decision = self.ask(Action.START, actor)
        self.feed.start(self._slot.put, ended)
        return decision

    def ask(self, action: Action, actor: str) -> Decision:
        """Have a person's request judged, and wait until it is on record.

        Raises:
            InputError: there was no answer, or its record could not be written.
        """
        return self._ask(action, actor, "", "")[0]

    def acknowledge(self, code: str, subject: str, actor: str) -> int:
        """Acknowledge advisories; how many were on before and are not any more.

        Raises:
            InputError: as `ask`.
        """
        decision, on_before = self._ask(Action.ACKNOWLEDGE, actor, code, subject)
        return len(on_before - _on(decision))

    def _ask(self, action: Action, actor: str, code: str, subject: str) -> tuple[Decision, frozenset[_Key]]:
        answer: Future[tuple[Decision, frozenset[_Key]]] = Future()
        person = actor if actor in NOBODY else self.writer.pseudonym(actor, case=self.name)
        event = OperatorAction(self.feed.now_ns(), action, person or "unknown", code, subject)
        self._slot.interject(_Asked(event, answer, self._monotonic_ns()))
        try:
            decision, on_before = answer.result(ANSWER_S)
        except TimeoutError as error:
            raise InputError(f"case {self.name}: {action.value}", f"an answer within {ANSWER_S:g} s", "none") from error
        if decision.ticket is None or not decision.ticket.wait(ANSWER_S):
            why = decision.ticket.failed if decision.ticket is not None else ""
            raise InputError(
                f"case {self.name}: {action.value}", "a durable record", why or "a disk that does not answer"
            )
        return decision, on_before

    def tell(self, event: Event) -> None:
        """Have any other event judged."""
        if self._calibration is not None and isinstance(event, RobotState):
            self._calibration.hear(event)
        self._slot.interject(_Asked(event, None, self._monotonic_ns()))

    def note_timing(self, judged: Judged, stages_us: dict[str, int]) -> None:
        """Keep the times of a published frame, for the percentiles and for `timings.jsonl`."""
        self.latencies.add(stages_us)
        stages = ",".join(f'"{stage}":{time}' for stage, time in stages_us.items())
        self._timings.write(f'{{"index":{judged.decision.index},"stages_us":{{{stages}}}}}\n')

    def end(self, actor: str) -> Decision:
        """Stop the frames, judge the end, and wait until it is on record; the log stays open until `close`.

        Raises:
            InputError: as `ask`.
        """
        self.feed.stop()
        return self.ask(Action.END, actor)

    def close(self) -> None:
        """Stop the worker, write what is queued and close the log; what is pending can still be taken. May be called twice."""
        self.feed.stop()
        self._slot.close()
        self._to_measure.close()
        for thread in (self._worker, self._measurer):
            if thread.ident is not None:
                thread.join(ANSWER_S)
        self.writer.close()

    def finish(self) -> None:
        """Close the file of timings: everything that was pending has been taken."""
        self._timings.close()

    def _run(self) -> None:
        ticks = 0
        try:
            while not self._slot.closed:
                item = self._slot.take(longest_silence_s(ticks))
                ticks = 0 if isinstance(item, Captured) else ticks + 1
                self._serve(item)
        except Exception:
            self.failure = traceback.format_exc()
            self._ready()

    def _serve(self, item: Captured | _Asked | None) -> None:
        if self._slot.closed:
            return
        if isinstance(item, Captured):
            self._stopwatch.start()
            decision = self._session.step(item.frame)
            self.judged += 1
            self._hand_on(decision, item.frame, self._stopwatch.stop(), item.received_ns)
            if self._calibration is not None and self._calibration.due(item.frame):
                self._to_measure.put((item.frame, decision))
            return
        asked = item or _Asked(Tick(self.feed.now_ns()), None, self._monotonic_ns())
        decision = self._session.step(asked.event)
        if asked.answer is not None:
            asked.answer.set_result((decision, self._on))
        self._hand_on(decision, None, {}, asked.received_ns)

    def _measure(self) -> None:
        try:
            while not self._to_measure.closed:
                item = self._to_measure.take(ANSWER_S)
                if item is not None and self._calibration is not None:
                    for residual in self._calibration.look(*item):
                        self.tell(residual)
        except Exception:
            self.failure = traceback.format_exc()
            self._ready()

    def _hand_on(self, decision: Decision, frame: Frame | None, stages_us: dict[str, int], received_ns: int) -> None:
        self._on = _on(decision)
        self.pending.append(Judged(decision, frame, stages_us, received_ns, self._monotonic_ns()))
        if decision.ticket is not None:
            decision.ticket.when_settled(self._ready)


def _on(decision: Decision) -> frozenset[_Key]:
    """The advisories that nobody has acknowledged."""
    return frozenset(
        (one.code, one.subject) for one in decision.advisories if one.presence is not Presence.ACKNOWLEDGED
    )


def _utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _timings(path: Path) -> TextIO:
    """The file for the times of frames, written a line at a time; half a line that a crash left is cut off."""
    if path.exists():
        whole = path.read_bytes().rpartition(b"\n")
        path.write_bytes(whole[0] + whole[1])
    return path.open("a", buffering=1, encoding="utf-8", newline="\n")
