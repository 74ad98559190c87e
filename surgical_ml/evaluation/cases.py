"""Whole cases through `Session`, offline."""

import os
import platform
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Full, Queue
from typing import Any

import surgical_ml
from surgical_ml.audit import AuditWriter, Keyring, Report, verify
from surgical_ml.calibration.validity import StartFinding
from surgical_ml.config import CaseConfig
from surgical_ml.errors import InputError
from surgical_ml.evaluation.calibration_feed import CalibrationFeed
from surgical_ml.evaluation.case_folder import CaseFolder, write_json
from surgical_ml.evaluation.report import write_report
from surgical_ml.evaluation.stopwatch import Stopwatch
from surgical_ml.events import Action, OperatorAction
from surgical_ml.places import default_keys
from surgical_ml.session import Assets, Session
from surgical_ml.video import Frame, Source, SourceInfo, open_source

ASIDE = ".partial"
"""Ends the name of a case folder while it is written."""

READ_AHEAD = 4
"""Frames decoded ahead of the one that is judged; enough to overlap, little enough to forget about."""


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """How far a replay has come; `total` is None where the source cannot say."""

    done: int
    total: int | None
    frames_per_s: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What `summary.json` holds, and where the case folder is."""

    folder: Path
    values: dict[str, Any]


def replay_case(
    video: str,
    out: Path,
    *,
    config: CaseConfig | None = None,
    assets: Assets | None = None,
    fps: float | None = None,
    overlay: bool = False,
    masks: bool = False,
    every: int = 1,
    progress: Callable[[ReplayProgress], None] | None = None,
) -> ReplaySummary:
    """Run one recorded case through a `Session` and write its folder.

    The folder appears complete or not at all: it is written aside and renamed. It holds `decisions.jsonl` (only what the
    inputs determine: two runs give the same bytes), `timings.jsonl`, `audit/`, `summary.json`, `keyframes/`,
    `report.html`, and where asked for `overlay.mp4` and `masks/`.

    Args:
        video: what `open_source` takes.
        out: a folder that does not exist yet, or is empty.
        config: of the case; the default configuration if None.
        assets: what a configuration names, loaded and warm, where many cases are run; it comes before `config`.
        fps: frame rate to assume, frames/s; None believes the source.
        overlay: write an MP4 with the decisions drawn on the frames.
        masks: write a label-map PNG a frame; the network's, whatever the gate says.
        every: judge every n-th frame only.
        progress: told after every judged frame.

    Raises:
        InputError: the source, the model, the protocol or the folder is not what it must be, or a record could not be
            made durable; nothing is left behind.
    """
    if every < 1:
        raise InputError("every", "a whole number from 1", str(every))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(out, "a new or empty folder", "files" if out.is_dir() else "a file")
    with open_source(video, fps=fps) as source, aside(out) as folder:
        assets = assets or Assets.load(config or CaseConfig.of({}))
        values = _replay(source, folder, assets, overlay, masks, every, progress)
    return ReplaySummary(out, values)


def _replay(
    source: Source,
    folder: Path,
    assets: Assets,
    overlay: bool,
    masks: bool,
    every: int,
    progress: Callable[[ReplayProgress], None] | None,
) -> dict[str, Any]:
    stopwatch = Stopwatch()
    case = folder.name.removesuffix(ASIDE)
    with (
        AuditWriter(folder / "audit", keyring=Keyring(default_keys())) as recorder,
        CaseFolder(folder, source.info.fps, overlay=overlay, masks=masks) as writer,
    ):
        session = assets.open(recorder, case=case, stage=stopwatch.lap)
        writer.name_classes(session.model.manifest.segmentation)
        feed = CalibrationFeed.of(assets)
        began = time.perf_counter()
        judged, last_ns = 0, 0
        for frame in prefetched(source, every, stopwatch):
            if judged == 0:
                writer.put(session.step(OperatorAction(frame.stamp_ns, Action.START, "replay")))
            stopwatch.start()
            decision = session.step(frame)
            writer.put(decision, frame, stopwatch.stop())
            if feed is not None and feed.due(frame):
                for residual in feed.look(frame, decision):
                    writer.put(session.step(residual))
            judged, last_ns = judged + 1, frame.stamp_ns
            if progress is not None:
                progress(_progress(judged, source.info.frames, every, time.perf_counter() - began))
        if judged == 0:
            raise InputError(source.info.name, "at least one frame", "none")
        seconds = time.perf_counter() - began
        writer.put(session.step(OperatorAction(last_ns, Action.END, "replay")))
        writer.flush()
    values = summarise(source.info, session, writer, seconds, verify(folder / "audit"), every=every)
    write_json(folder / "summary.json", values)
    write_report(folder)
    return values


def summarise(
    info: SourceInfo, session: Session, writer: CaseFolder, seconds: float | None, audit: Report, *, every: int = 1
) -> dict[str, Any]:
    """What `summary.json` says of a case.

    Args:
        info: of its video.
        session: that judged it.
        writer: that took its decisions.
        seconds: that judging took; None where frames came at their own pace, which says nothing of how fast it can be.
        audit: what the check of its record found.
        every: each how-manieth frame was judged.
    """
    manifest, config, judged = session.model.manifest, session.config, sum(writer.validity.values())
    return {
        "schema": 1,
        "video": info.name,
        "frames": judged,
        "every": every,
        "fps": info.fps,
        "mode": "realtime" if seconds is None else "throughput",
        **({} if seconds is None else {"seconds": round(seconds, 3), "frames_per_s": round(judged / seconds, 2)}),
        "platform": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "software": {"name": "surgical_ml", "version": surgical_ml.__version__},
        "engine": config.engine,
        "model": {"name": manifest.name, "version": manifest.version, "sha256": session.model.sha256},
        "config_sha256": config.digest,
        "protocol": {"name": session.protocol.name, "sha256": session.protocol.digest},
        "classes": {"segmentation": list(manifest.segmentation)},
        "phases": list(session.protocol.phase_names),
        "tools": list(manifest.tools),
        "content": writer.content,
        "validity": dict(sorted(writer.validity.items())),
        "withheld": dict(sorted(writer.withheld.items())),
        "keyframes": writer.keyframes.listing(),
        **({} if session.calibration_check is None else {"calibration_check": _checked(session.calibration_check)}),
        "audit": {"entries": audit.entries, "head": audit.head, "ok": audit.ok},
    }


def _checked(findings: tuple[StartFinding, ...]) -> list[dict[str, str]]:
    """Each stream of residuals in the first twenty seconds; an empty list says that nothing could be measured."""
    return [
        {"check": one.check, "source": one.source, "verdict": one.verdict, "expected": one.expected, "found": one.found}
        for one in findings
    ]


@contextmanager
def aside(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes `out` on success and vanishes on failure."""
    partial = out.with_name(out.name + ASIDE)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except OSError as error:
        raise InputError(
            error.filename or out, "a place that can be written to", error.strerror or str(error)
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def prefetched(source: Source, every: int, stopwatch: Stopwatch) -> Iterator[Frame]:
    """Every n-th frame of a source, decoded on a thread of its own while the last one is judged."""
    ready: Queue[tuple[Frame, int] | BaseException | None] = Queue(READ_AHEAD)
    stopped = threading.Event()

    def put(item: tuple[Frame, int] | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except Full:
                continue

    def read() -> None:
        try:
            began = time.perf_counter_ns()
            for frame in source:
                if stopped.is_set():
                    return
                if frame.index % every == 0:
                    put((frame, (time.perf_counter_ns() - began) // 1000))
                    began = time.perf_counter_ns()
            put(None)
        except BaseException as error:  # handed to the thread that asked, whatever it is
            put(error)

    thread = threading.Thread(target=read, name="decode", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            frame, microseconds = item
            stopwatch.decoded(microseconds)
            yield frame
    finally:
        stopped.set()
        thread.join()


def _progress(done: int, frames: int | None, every: int, seconds: float) -> ReplayProgress:
    total = None if frames is None else -(-frames // every)
    rate = done / seconds if seconds > 0 else 0.0
    left = None if total is None or rate == 0 else max(0, total - done) / rate
    return ReplayProgress(done, total, rate, left)
