"""A case that was judged live, completed to the folder that a replay leaves: every decision computed again from its record."""

import shutil
import time
from pathlib import Path

from surgical_ml.audit import verify
from surgical_ml.errors import InputError
from surgical_ml.evaluation.case_folder import CaseFolder, write_json
from surgical_ml.evaluation.cases import summarise
from surgical_ml.evaluation.record_replay import RecordReplay, replay_record
from surgical_ml.evaluation.report import write_report
from surgical_ml.video import open_source


def complete_case(folder: Path, video: str, *, fps: float | None = None) -> RecordReplay:
    """Add `decisions.jsonl`, `summary.json`, `keyframes/` and `report.html` to the folder of a recorded case.

    The decisions are those that the record leads to; whether they are those that were made then, the answer says.

    Args:
        folder: of the case, with `audit/`, and `timings.jsonl` as the live case left it.
        video: what it was recorded from, as `open_source` takes it.
        fps: frame rate to assume, frames/s; None believes the source.

    Raises:
        InputError: the log or the video is not what it must be; the folder is left as it was.
    """
    aside = folder / ".partial"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    began = time.perf_counter()
    try:
        with open_source(video, fps=fps) as source:
            info = source.info
        with CaseFolder(aside, info.fps, timings=False) as writer:
            found = replay_record(folder / "audit", video, fps=fps, observe=writer.put)
            writer.flush()
        for one in found.changed:
            # What a case was run with belongs to its report: under anything else it would tell of another case.
            raise InputError(f"{folder}: {one.name}", f"the recorded {one.recorded}", one.found)
        audit = verify(folder / "audit")
        write_json(aside / "summary.json", summarise(info, found.session, writer, time.perf_counter() - began, audit))
        for made in aside.iterdir():
            kept = folder / made.name
            if kept.is_dir():
                shutil.rmtree(kept)
            made.rename(kept)
    except OSError as error:
        raise InputError(error.filename or folder, "a place that can be written to", str(error.strerror)) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    write_report(folder)
    return found
