"""A recorded case delivered at its own pace, as a camera would: how late each answer is, and what is dropped."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from surgical_ml.audit import AuditWriter, Keyring, verify
from surgical_ml.decision import Decision
from surgical_ml.errors import InputError
from surgical_ml.evaluation.case_folder import CaseFolder, write_json
from surgical_ml.evaluation.case_story import Durations
from surgical_ml.evaluation.cases import ASIDE, ReplayProgress, ReplaySummary, aside, summarise
from surgical_ml.evaluation.report import write_report
from surgical_ml.evaluation.stopwatch import Stopwatch
from surgical_ml.events import Action, Event, OperatorAction, Tick, longest_silence_s
from surgical_ml.places import default_keys
from surgical_ml.session import Assets, Session
from surgical_ml.video import Frame, Slot, Source, open_source
from surgical_ml.video.pacing import Paced

REALTIME = "realtime.json"

LATE_US = 120_000
"""The assistant shows no result that is older."""

SWITCH_INTERVAL_S = 0.0005
"""As in the assistant: a busy Python thread otherwise adds up to 15 ms to each call that lets go of the interpreter."""

NOTE = (
    "Frames came at the pace of their stamps, and a newer one took the place of one that nobody had taken. Which were "
    "dropped depends on this machine and what else it did, and so do the decisions; two runs differ. Nothing here says "
    "how many frames could be judged in a second."
)


@dataclass(frozen=True, slots=True)
class _Delivered:
    """A frame with its own stamp; when it was due, and when it was there, on the clock."""

    frame: Frame
    due_ns: int
    received_ns: int


@dataclass(slots=True)
class _Judged:
    """A decision, and when it was made; `settled_ns` is when its record was durable, 0 before that."""

    decision: Decision
    delivered: _Delivered | None
    stages_us: dict[str, int]
    taken_ns: int
    decided_ns: int
    settled_ns: int = 0


def replay_realtime(
    video: str,
    out: Path,
    assets: Assets,
    *,
    fps: float | None = None,
    every: int = 1,
    progress: Callable[[ReplayProgress], None] | None = None,
    clock_ns: Callable[[], int] = time.monotonic_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> ReplaySummary:
    """Run one recorded case in real time and write its folder.

    The folder is that of `replay_case`, without masks or an overlay, which would take time from what is measured, and with
    `realtime.json`: frames delivered, judged and dropped; percentiles of the latency of each stage and from end to end,
    which is from the time at which a frame was due until the record of its decision was durable; and the age that the
    newest result had reached when the next one took its place. `timings.jsonl` has the same stages of each frame.
    `summary.json` has no throughput. Stamps of decisions are those of the video.

    Args:
        video: what `open_source` takes.
        out: a folder that does not exist yet.
        assets: loaded and warm.
        fps: frame rate to assume, frames/s; None believes the source.
        every: deliver every n-th frame only.
        progress: told after every judged frame.
        clock_ns, sleep: the monotonic clock in nanoseconds, and a wait of so many seconds.

    Raises:
        InputError: the source or the folder is not what it must be, or a record could not be made durable; nothing is
            left behind.
    """
    with open_source(video, fps=fps) as source, aside(out) as folder, _switching_quickly():
        return ReplaySummary(out, _run(source, folder, assets, every, progress, clock_ns, sleep))


def _run(
    source: Source,
    folder: Path,
    assets: Assets,
    every: int,
    progress: Callable[[ReplayProgress], None] | None,
    clock_ns: Callable[[], int],
    sleep: Callable[[float], None],
) -> dict[str, Any]:
    load, info = os.getloadavg()[0], source.info
    measured = _Measured()
    with (
        AuditWriter(folder / "audit", keyring=Keyring(default_keys())) as recorder,
        CaseFolder(folder, info.fps, timings=True) as writer,
    ):
        stopwatch = Stopwatch()
        session = assets.open(recorder, case=folder.name.removesuffix(ASIDE), stage=stopwatch.lap)
        stage = _Stage(Paced(source, clock_ns=clock_ns, sleep=sleep), session, stopwatch, every, clock_ns)
        began_ns = clock_ns()
        for judged in stage.judged():
            if judged.delivered is None:
                writer.put(judged.decision)
                measured.ticks += judged.decision.event == "tick"
                continue
            writer.put(judged.decision, judged.delivered.frame, measured.take(judged, judged.delivered))
            if progress is not None:
                passed, total = measured.judged + stage.dropped, info.frames and -(-info.frames // every)
                seconds = max(clock_ns() - began_ns, 1) / 1e9
                left = None if total is None else max(0, total - passed) * seconds / passed
                progress(ReplayProgress(passed, total, passed / seconds, left))
        writer.flush()
    values = summarise(info, session, writer, None, verify(folder / "audit"), every=every)
    told = measured.to_json(stage.delivered, stage.dropped)
    machine = {"platform": values["platform"], "load_before": round(load, 2)}
    write_json(folder / REALTIME, {"schema": 1, "mode": "realtime", "note": NOTE, "fps": info.fps, **machine, **told})
    write_json(folder / "summary.json", values)
    write_report(folder)
    return values


@dataclass(slots=True)
class _Measured:
    """Adds up what was measured of each judged frame."""

    judged: int = 0
    ticks: int = 0
    late: int = 0
    stages: dict[str, Durations] = field(default_factory=dict)
    ages: Durations = field(default_factory=Durations)
    _shown_due_ns: int | None = None

    def take(self, judged: _Judged, delivered: _Delivered) -> dict[str, int]:
        """The stages of one frame, in microseconds, in their order."""
        times_ns = {
            "capture": delivered.received_ns - delivered.due_ns,
            "wait": judged.taken_ns - delivered.received_ns,
            "durable": judged.settled_ns - judged.decided_ns,
            "end_to_end": judged.settled_ns - delivered.due_ns,
        }
        times = {name: max(0, ns) // 1000 for name, ns in times_ns.items()}
        stages = {"capture": times["capture"], "wait": times["wait"], **judged.stages_us}
        stages |= {"durable": times["durable"], "end_to_end": times["end_to_end"]}
        for name, microseconds in stages.items():
            self.stages.setdefault(name, Durations()).add(microseconds)
        if self._shown_due_ns is not None:
            self.ages.add(max(0, judged.settled_ns - self._shown_due_ns) // 1000)
        self._shown_due_ns = delivered.due_ns
        self.judged += 1
        self.late += stages["end_to_end"] > LATE_US
        return stages

    def to_json(self, delivered: int, dropped: int) -> dict[str, Any]:
        """Counts, and percentiles in milliseconds, to three digits; the maximum exactly."""
        return {
            "frames": {"delivered": delivered, "judged": self.judged, "dropped": dropped, "late": self.late},
            "late_ms": LATE_US / 1000,
            "ticks": self.ticks,
            "latency_ms": {name: _percentiles(times) for name, times in self.stages.items()},
            "result_age_ms": _percentiles(self.ages),
        }


def _percentiles(times: Durations) -> dict[str, float]:
    return {f"p{percent}": times.percentile_us(percent) / 1000 for percent in (50, 95, 99)} | {
        "max": times.max_us / 1000
    }


class _Stage:
    """The threads of the assistant: one takes frames at their times, one judges the newest, and a third hears of it.

    Attributes:
        delivered: frames that were put into the slot.
    """

    def __init__(
        self, paced: Paced, session: Session, stopwatch: Stopwatch, every: int, clock_ns: Callable[[], int]
    ) -> None:
        self._paced, self._session, self._stopwatch = paced, session, stopwatch
        self._every, self._clock_ns = every, clock_ns
        self._slot: Slot[_Delivered] = Slot()
        self._settled: SimpleQueue[_Judged | BaseException | int] = SimpleQueue()
        self._over = threading.Event()
        self._steps = 0
        self.delivered = 0

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced before they could be judged."""
        return self._slot.dropped

    def judged(self) -> Iterator[_Judged]:
        """Run, and give each decision once, in order, when its record is settled.

        Raises:
            InputError: the source is not what it must be, or it has no frame.
        """
        threads = [
            threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            for name, work in (("capture", self._deliver), ("inference", self._judge))
        ]
        for thread in threads:
            thread.start()
        given, steps = 0, -1
        try:
            while given != steps:
                item = self._settled.get()
                if isinstance(item, BaseException):
                    raise item
                if isinstance(item, int):
                    # The last records may still be on their way to the disk.
                    steps = item
                # A ticket may say twice that it is settled.
                elif item.decision.seq == given:
                    given += 1
                    yield item
        finally:
            self._over.set()
            self._slot.close()
            for thread in threads:
                thread.join()
        if self.delivered == 0:
            raise InputError(self._paced.info.name, "at least one frame", "none")

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # handed to the thread that asked, whatever it is
            self._settled.put(error)

    def _deliver(self) -> None:
        for frame in self._paced:
            if self._over.is_set():
                return
            if frame.index % self._every == 0:
                own = replace(frame, stamp_ns=frame.stamp_ns - self._paced.base_ns)
                self.delivered += 1
                self._slot.put(_Delivered(own, frame.stamp_ns, self._clock_ns()))
        self._over.set()

    def _judge(self) -> None:
        started, ticks = False, 0
        while not self._slot.closed:
            over = self._over.is_set()
            item = self._slot.take(0 if over else longest_silence_s(ticks))
            taken_ns = self._clock_ns()
            if item is not None:
                if not started:
                    self._step(OperatorAction(item.frame.stamp_ns, Action.START, "evaluation"), None, taken_ns)
                self._step(item.frame, item, taken_ns)
                started, ticks = True, 0
            elif over:
                break
            elif started:
                self._step(Tick(taken_ns - self._paced.base_ns), None, taken_ns)
                ticks += 1
        if started and not self._slot.closed:
            self._step(OperatorAction(self._clock_ns() - self._paced.base_ns, Action.END, "evaluation"), None, 0)
        self._settled.put(self._steps)

    def _step(self, event: Event, delivered: _Delivered | None, taken_ns: int) -> None:
        self._stopwatch.start()
        decision = self._session.step(event)
        self._steps += 1
        judged = _Judged(decision, delivered, self._stopwatch.stop(), taken_ns, self._clock_ns())

        def settled() -> None:
            judged.settled_ns = judged.settled_ns or self._clock_ns()
            self._settled.put(judged)

        if decision.ticket is None:
            settled()
        else:
            decision.ticket.when_settled(settled)


@contextmanager
def _switching_quickly() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
