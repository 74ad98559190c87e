"""What a case folder says was decided, as arrays: each file read once, a line at a time."""

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic_core import from_json

from surgical_ml.errors import InputError
from surgical_ml.evaluation.announcements import Announced, Announcements
from surgical_ml.evaluation.case_files import DECISIONS, SummaryTold, read_summary
from surgical_ml.evaluation.metrics.tools import Tips
from surgical_ml.guidance import Validity
from surgical_ml.labels import UNDEFINED

VALIDITIES = tuple(one.value for one in Validity)
CERTAINTIES = ("low", "medium", "high")

DEFAULT_FPS = 30.0
"""Of a video that does not say."""

Ids = npt.NDArray[np.int64]
Ppm = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class DecidedCase:
    """One case; arrays have a place for each of its n judged frames.

    Attributes:
        name, folder: of the case.
        summary: what `summary.json` says.
        fps: of the video, frames/s.
        index: (n,) of the frame in its video.
        stamp_ns: (n,).
        at_byte: (n,) where the line of the decision begins in `decisions.jsonl`.
        validity: (n,) place in `VALIDITIES`.
        withheld: (n,) place in `reasons`, 0 where something was shown.
        reasons: for which nothing was shown; the first is empty.
        committed: (n,) id of the committed phase, or `UNDEFINED`.
        scores: (n, phases) ppm; all 0 where nothing was shown.
        progress: (n,) ppm, -1 where nothing was shown.
        seen: (n, tools) ppm, the largest score of an instrument of that type; 0 where none was seen.
        tips: of the seen instruments.
        announced: every advisory about the operation.
    """

    name: str
    folder: Path
    summary: SummaryTold
    fps: float
    index: Ids
    stamp_ns: Ids
    at_byte: Ids
    validity: Ids
    withheld: Ids
    reasons: tuple[str, ...]
    committed: Ids
    scores: Ppm
    progress: Ppm
    seen: Ppm
    tips: Tips
    announced: tuple[Announced, ...]

    @property
    def duration_s(self) -> float:
        """From the first judged frame to the end of the last, seconds."""
        return float(self.stamp_ns[-1] - self.stamp_ns[0]) / 1e9 + self.summary.every / self.fps

    @property
    def network(self) -> Ids:
        """(n,) id of the largest score, or `UNDEFINED` where there are none."""
        return np.where(self.scored, self.scores.argmax(axis=1), UNDEFINED).astype(np.int64)

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """(n,) whether there are scores."""
        return np.asarray(self.scores.any(axis=1))

    def seconds(self, row: int) -> float:
        """Time of a judged frame since the first one."""
        return float(self.stamp_ns[row] - self.stamp_ns[0]) / 1e9


def read_decided(folder: Path, *, realtime: bool = False) -> DecidedCase:
    """Read a case folder.

    Args:
        folder: as `replay` leaves it.
        realtime: frames may have been dropped, so stamps need not keep the rate.

    Raises:
        InputError: it is no case folder; a line is not what it must be, or does not fit the summary; stamps contradict
            the summary's frame rate.
    """
    summary = read_summary(folder)
    rows = _Rows(summary)
    path = folder / DECISIONS
    name = str(path)
    with path.open("rb") as file:
        at_byte = 0
        for number, line in enumerate(file, 1):
            where = f"{name}: line {number}"
            try:
                rows.take(from_json(line), at_byte, where)
            except InputError:
                raise
            except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
                raise InputError(where, "one decision, as a replay writes it", f"{error}"[:80]) from error
            at_byte += len(line)
    if len(rows.index) != summary.frames:
        raise InputError(path, f"{summary.frames} judged frames, as the summary says", str(len(rows.index)))
    case = rows.done(folder)
    if not realtime and summary.fps is not None and len(case.stamp_ns) > 1:
        gap_s = float(np.median(np.diff(case.stamp_ns))) / 1e9
        if gap_s <= 0 or abs(gap_s * summary.fps / summary.every - 1) > 0.05:
            expected = f"decisions at {summary.fps / summary.every:g}/s, as the summary says"
            raise InputError(path, expected, f"one every {gap_s:g} s: another rate?")
    return case


def decision_at(case: DecidedCase, row: int) -> dict[str, Any]:
    """The whole line of `decisions.jsonl` of one judged frame."""
    with (case.folder / DECISIONS).open("rb") as file:
        file.seek(int(case.at_byte[row]))
        values: dict[str, Any] = from_json(file.readline())
    return values


class _Rows:
    """Gathers what each line says; a line that lacks something raises whatever Python raises."""

    def __init__(self, summary: SummaryTold) -> None:
        self._summary = summary
        self._phase_ids: dict[str | None, int] = {name: k for k, name in enumerate(summary.phases)} | {None: UNDEFINED}
        self._tool_ids = {name: k for k, name in enumerate(summary.tools)}
        self._validities = {name: k for k, name in enumerate(VALIDITIES)}
        self._reasons = {"": 0}
        self._announcements = Announcements()
        self._no_scores = [0] * len(summary.phases)
        self.index, self.stamps, self.bytes = array("q"), array("q"), array("q")
        self.validity, self.withheld, self.committed = array("q"), array("q"), array("q")
        self.scores, self.progress, self.seen = array("i"), array("i"), array("i")
        self.tips: dict[tuple[int, str], list[tuple[float, float]]] = {}

    def take(self, values: Any, at_byte: int, where: str) -> None:
        """The next line."""
        if values["schema"] != 1:
            raise InputError(where, "schema 1", str(values["schema"]))
        if self.index:
            self._announcements.take(values["advisories"], values["stamp_ns"], where)
        if values["event"] != "frame":
            return
        if not self.index:
            self._announcements.take(values["advisories"], values["stamp_ns"], where)
        self.index.append(values["index"])
        self.stamps.append(values["stamp_ns"])
        self.bytes.append(at_byte)
        self.validity.append(self._validities[values["validity"]])
        self.withheld.append(self._reasons.setdefault(values["withheld"], len(self._reasons)))
        phase = values["phase"]
        if phase is None:
            self.committed.append(UNDEFINED)
            self.scores.extend(self._no_scores)
            self.progress.append(-1)
        else:
            if phase["committed"] not in self._phase_ids:
                raise InputError(where, f"a phase of {', '.join(self._summary.phases)}", str(phase["committed"]))
            if len(phase["scores"]) != len(self._no_scores):
                raise InputError(where, f"{len(self._no_scores)} phase scores", str(len(phase["scores"])))
            self.committed.append(self._phase_ids[phase["committed"]])
            self.scores.extend(phase["scores"])
            self.progress.append(phase.get("progress", -1))
        self._take_instruments(values["instruments"], values["index"])

    def _take_instruments(self, instruments: list[Any], index: int) -> None:
        row = [0] * len(self._tool_ids)
        for one in instruments:
            k = self._tool_ids[one["type"]]
            row[k] = max(row[k], one.get("score", 0))
            if one.get("tip_px") is not None:
                x, y = one["tip_px"]
                self.tips.setdefault((index, one["type"]), []).append((float(x), float(y)))
        self.seen.extend(row)

    def done(self, folder: Path) -> DecidedCase:
        """All lines are taken."""
        n = len(self.index)
        return DecidedCase(
            name=folder.name,
            folder=folder,
            summary=self._summary,
            fps=self._summary.fps or DEFAULT_FPS,
            index=np.array(self.index, np.int64),
            stamp_ns=np.array(self.stamps, np.int64),
            at_byte=np.array(self.bytes, np.int64),
            validity=np.array(self.validity, np.int64),
            withheld=np.array(self.withheld, np.int64),
            reasons=tuple(self._reasons),
            committed=np.array(self.committed, np.int64),
            scores=np.array(self.scores, np.int32).reshape(n, -1),
            progress=np.array(self.progress, np.int32),
            seen=np.array(self.seen, np.int32).reshape(n, -1),
            tips=self.tips,
            announced=self._announcements.all,
        )
