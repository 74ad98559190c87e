"""Whether every file is whole and there."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.evaluation.dataset.card import DatasetCard
from surgical_ml.evaluation.dataset.finding import Finding, block
from surgical_ml.evaluation.dataset.inventory import CaseFiles

Picture = npt.NDArray[np.uint8]

SAMPLES = 48
"""Pictures of a case that are decoded, evenly spread; of all others only begin and end are read."""

_BEGIN = {".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8", ".jpeg": b"\xff\xd8"}
_END = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}
_SMALLEST = 67
"""Bytes of the smallest PNG there can be; a link that was copied as text has about 20."""

_MOST_NAMED = 3


def check_files(folder: Path, card: DatasetCard | None, cases: Mapping[str, CaseFiles]) -> list[Finding]:
    """Files and cases that the card names are there and unchanged, and no picture's number is missing."""
    findings = []
    if card is not None:
        for name, digest in card.sha256.items():
            path = folder / name
            if not path.is_file():
                findings.append(block("file-missing", name, "the file that the card names", "none"))
            elif (found := _sha256(path)) != digest.lower():
                findings.append(block("file-changed", name, f"sha256 {digest.lower()}", f"sha256 {found}"))
        for split, names in card.splits.items():
            for name in names:
                if name not in cases:
                    near = [case for case in cases if case.startswith(name) or name.startswith(case)]
                    hint = f"none (did a number lose a digit? there is {near[0]})" if near else "none"
                    findings.append(block("case-missing", name, f"the case that split {split} names", hint))
        for name, count in card.frames.items():
            found_count = len(cases[name].pictures) if name in cases else 0
            if found_count != count:
                findings.append(
                    block("pictures-missing", name, f"{count} pictures, as the card says", str(found_count))
                )
    for case in cases.values():
        findings += _gaps(case)
    return findings


def check_pictures(case: CaseFiles) -> list[Finding]:
    """Every picture and mask of a case is whole."""
    findings = []
    for what, paths in (("picture", case.pictures), ("mask", case.masks)):
        broken = [path for path in paths if _broken(path)]
        if broken:
            shown = ", ".join(f"{path.name} ({_size(path)} bytes)" for path in broken[:_MOST_NAMED])
            more = f" and {len(broken) - _MOST_NAMED} more" if len(broken) > _MOST_NAMED else ""
            findings.append(block(f"{what}-broken", case.name, f"whole {what}s", shown + more))
    return findings


def sample_pictures(case: CaseFiles) -> tuple[list[Picture], list[Finding]]:
    """Pictures of a case, evenly spread over it, and what stood in the way of decoding them."""
    if case.video is not None:
        return _from_video(case.name, case.video)
    chosen = [path for path in case.pictures if not _broken(path)]
    chosen = [chosen[k] for k in np.unique(np.linspace(0, len(chosen) - 1, SAMPLES).astype(int))] if chosen else []
    pictures: list[Picture] = []
    for path in chosen:
        picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            return pictures, [block("picture-broken", case.name, "pictures that can be decoded", path.name)]
        pictures.append(np.asarray(picture, np.uint8))
    return pictures, []


def video_length(path: Path) -> tuple[int, float]:
    """Frames and frames/s, as the file says; 0 where it does not, or is no video."""
    capture = _open(path)
    try:
        return max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))), float(capture.get(cv2.CAP_PROP_FPS))
    finally:
        capture.release()


def _from_video(name: str, path: Path) -> tuple[list[Picture], list[Finding]]:
    capture = _open(path)
    pictures: list[Picture] = []
    try:
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if not capture.isOpened() or count <= 0:
            return [], [
                block("video-unreadable", name, "a video that can be decoded", f"{_size(path)} bytes that are none")
            ]
        # the last few frames of a container are often miscounted, a cut file lacks far more
        for place in np.unique(np.linspace(0, max(0, int(0.98 * count) - 1), SAMPLES).astype(int)):
            capture.set(cv2.CAP_PROP_POS_FRAMES, float(place))
            done, picture = capture.read()
            if not done:
                found = f"none at frame {place}"
                return pictures, [block("video-unreadable", name, f"{count} frames, as the file says", found)]
            pictures.append(np.asarray(picture, np.uint8))
    finally:
        capture.release()
    return pictures, []


def _open(path: Path) -> cv2.VideoCapture:
    # the decoder's own complaints would stand beside the finding that says what is wrong
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)


def _gaps(case: CaseFiles) -> list[Finding]:
    """Numbers of pictures rise by one even step."""
    numbers = ["".join(filter(str.isdigit, path.stem)) for path in case.pictures]
    if len(numbers) < 3 or not all(numbers):
        return []
    steps = np.diff([int(number[-12:]) for number in numbers])
    step = int(np.median(steps))
    odd = np.flatnonzero(steps != step)
    if len(odd) == 0:
        return []
    found = f"{numbers[odd[0] + 1]} after {numbers[odd[0]]}, and {len(odd) - 1} more gaps"
    return [block("pictures-missing", case.name, f"numbers that rise by {step}", found)]


def _broken(path: Path) -> bool:
    """By begin and end only: a dangling link, a link copied as text, a cut file."""
    suffix = path.suffix.lower()
    try:
        with path.open("rb") as file:
            begin = file.read(8)
            file.seek(0, os.SEEK_END)
            size = file.tell()
            file.seek(max(0, size - 64))
            end = file.read()
    except OSError:
        return True
    if size < _SMALLEST:
        return True
    return not begin.startswith(_BEGIN.get(suffix, b"")) or _END.get(suffix, b"") not in end


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
