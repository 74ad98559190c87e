"""What a replay leaves behind: decisions, timings, keyframes, and where asked for a video and masks."""

import json
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import cv2

from surgical_ml.decision import Decision
from surgical_ml.errors import InputError
from surgical_ml.evaluation.keyframes import Keyframes
from surgical_ml.evaluation.overlay import draw, label_map
from surgical_ml.video import Frame, Image

DURABLE_WITHIN_S = 30.0
"""Offline, nobody waits for a picture: a disk this slow is an error, not a reason to withhold."""

MASKS = "masks"


class CaseFolder:
    """Writes the files of one case; a decision is written only once its record is durable.

    Args:
        folder: an existing, empty folder.
        fps: of the video, frames/s; 30 where the source does not know.
        overlay: write `overlay.mp4`.
        masks: write `masks/%06d.png`.
        timings: write `timings.jsonl`.
    """

    def __init__(
        self, folder: Path, fps: float | None, *, overlay: bool = False, masks: bool = False, timings: bool = True
    ) -> None:
        self._folder = folder
        self._fps = fps or 30.0
        self._overlay = overlay
        self._masks = masks
        self._pending: deque[Decision] = deque()
        self._decisions = _open(folder / "decisions.jsonl")
        self._timings = _open(folder / "timings.jsonl") if timings else None
        self._video: cv2.VideoWriter | None = None
        self.keyframes = Keyframes(folder)
        self.validity: dict[str, int] = {}
        self.withheld: dict[str, int] = {}
        self.content: dict[str, Any] = {}

    def __enter__(self) -> "CaseFolder":
        return self

    def __exit__(self, *_: object) -> None:
        # Each is closed, whatever a full disk makes of the others.
        with ExitStack() as left:
            left.callback(self._decisions.close)
            if self._timings is not None:
                left.callback(self._timings.close)
            if self._video is not None:
                left.callback(self._video.release)

    def name_classes(self, names: tuple[str, ...]) -> None:
        """Say what the ids of the masks mean, in `masks/classes.json`."""
        if self._masks:
            (self._folder / MASKS).mkdir()
            write_json(self._folder / MASKS / "classes.json", {str(k): name for k, name in enumerate(names)})

    def put(self, decision: Decision, frame: Frame | None = None, stages_us: dict[str, int] | None = None) -> None:
        """Take one decision, with its frame and the time of each stage where it answers one."""
        self._pending.append(decision)
        self._write_durable()
        if frame is None:
            return
        _count(self.validity, decision.validity.value)
        if decision.withheld:
            _count(self.withheld, decision.withheld)
        if self._timings is not None:
            _line(self._timings, {"index": decision.index, "stages_us": stages_us})
        wanted = self.keyframes.wants(decision)
        if wanted or self._overlay:
            drawn = draw(frame, decision)
            if wanted:
                self.keyframes.add(decision, drawn)
            if self._overlay:
                self._write_video(drawn)
        seen = decision.observation
        if seen is None:
            return
        self.content = {"shape": seen.content_shape, "box_px": list(seen.content_box_px)}
        if self._masks and seen.grid is not None:
            path = self._folder / MASKS / f"{frame.index:06d}.png"
            write_image(path, label_map(seen.grid, frame.width, frame.height))

    def flush(self) -> None:
        """Wait until every record is durable, and write what was waiting for that.

        Raises:
            InputError: a record could not be made durable.
        """
        for decision in self._pending:
            if decision.ticket is not None and not decision.ticket.wait(DURABLE_WITHIN_S):
                raise self._not_durable(decision)
        self._write_durable()

    def _write_durable(self) -> None:
        while self._pending:
            decision = self._pending[0]
            if decision.ticket is None or decision.ticket.failed:
                raise self._not_durable(decision)
            if not decision.ticket.durable:
                return
            _line(self._decisions, decision.to_json())
            self._pending.popleft()

    def _not_durable(self, decision: Decision) -> InputError:
        why = "no ticket" if decision.ticket is None else decision.ticket.failed or "still waiting for the disk"
        return InputError(self._folder / "audit", f"a durable record of decision {decision.seq}", str(why))

    def _write_video(self, picture: Image) -> None:
        if self._video is None:
            path = self._folder / "overlay.mp4"
            size = (picture.shape[1], picture.shape[0])
            self._video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, size)
            if not self._video.isOpened():
                raise InputError(path, "a video that can be encoded as mp4v", "no encoder, or no room")
        self._video.write(picture)


def write_json(path: Path, values: Any) -> None:
    """A JSON file that a person can read, too."""
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def write_image(path: Path, picture: Any) -> None:
    """An image file of the suffix's format.

    Raises:
        InputError: it could not be encoded or written.
    """
    done, data = cv2.imencode(path.suffix, picture)
    if not done:
        raise InputError(path, "a picture that can be encoded", f"{picture.shape} {picture.dtype}")
    path.write_bytes(data.tobytes())


def _open(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="\n")


def _line(file: TextIO, values: Any) -> None:
    file.write(json.dumps(values, separators=(",", ":")) + "\n")


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1
