"""Which recorded cases a folder holds, where the truth of each lies, and the digest of its video."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from surgical_ml.errors import InputError
from surgical_ml.evaluation.dataset.inventory import VIDEOS
from surgical_ml.labels import natural
from surgical_ml.video.folder import EXTENSIONS

CASE_FOLDERS, CHOLEC80, FLAT = "case folders of surgical-ml simulate", "Cholec80", "videos and folders of images"

_PLAYED = (*VIDEOS, ".mcap")
_TRUTHS = ("case.json", "video-phase.txt", "video-tool.txt")
_ANNOTATIONS = {"phase_annotations": "-phase.txt", "tool_annotations": "-tool.txt"}
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class RecordedCase:
    """One case that can be run.

    Attributes:
        name: of the case, and of the folder of its results.
        video: a video file, a bag, or a folder of images.
        truth: the folder that holds its labels; None without any.
    """

    name: str
    video: Path
    truth: Path | None


@dataclass(frozen=True, slots=True)
class CaseList:
    """The cases of a folder, in the order of their numbers; all of them have a truth, or none has."""

    folder: Path
    layout: str
    cases: tuple[RecordedCase, ...]

    @property
    def labelled(self) -> bool:
        """The folder holds the truth as well."""
        return self.cases[0].truth is not None


def list_cases(folder: Path) -> CaseList:
    """Find the cases of a folder.

    Three layouts are known. Case folders, each with `video.mp4` and its labels, as `surgical-ml simulate` writes them.
    Cholec80's: `videos/videoNN.mp4`, `phase_annotations/videoNN-phase.txt`, `tool_annotations/videoNN-tool.txt`. And a
    folder of videos, bags and folders of images, each a case without a truth. What begins with a dot is passed over.

    Raises:
        InputError: there is no such folder or no case in it, a folder in it is no case, two videos have one name, or a
            case lacks its labels where others have theirs, or labels their video.
    """
    if not folder.is_dir():
        raise InputError(folder, "a folder of cases", "a file" if folder.exists() else "none")
    if (folder / "videos").is_dir():
        layout, cases = CHOLEC80, _cholec80(folder)
    elif any(folder.glob("*/video.mp4")):
        layout, cases = CASE_FOLDERS, _case_folders(folder)
    else:
        layout, cases = FLAT, _flat(folder)
    if not cases:
        raise InputError(folder, f"cases laid out as {CASE_FOLDERS}, {CHOLEC80}, or {FLAT}", "none")
    missing = [case.name for case in cases if case.truth is None]
    if missing and len(missing) < len(cases):
        raise InputError(folder, "labels of every case, or of none", f"none of {_some(missing)}")
    return CaseList(folder, layout, tuple(sorted(cases, key=lambda case: natural(case.name))))


def digest_video(video: Path) -> str:
    """SHA-256, hex, of a video file; of a folder, over the name and the digest of each image in name order.

    Raises:
        InputError: it cannot be read.
    """
    try:
        if video.is_file():
            return _digest(video)
        total = hashlib.sha256()
        for path in sorted(path for path in _visible(video) if path.suffix.lower() in EXTENSIONS):
            total.update(f"{path.name}\n{_digest(path)}\n".encode())
    except OSError as error:
        raise InputError(error.filename or video, "a video that can be read", error.strerror or str(error)) from error
    return total.hexdigest()


def _digest(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            total.update(piece)
    return total.hexdigest()


def _case_folders(folder: Path) -> list[RecordedCase]:
    cases = []
    for path in _visible(folder):
        if not path.is_dir():
            continue
        if not (path / "video.mp4").is_file():
            raise InputError(path, "a case folder with video.mp4, as the others here are", "none")
        truth = path if any((path / name).is_file() for name in _TRUTHS) else None
        cases.append(RecordedCase(path.name, path / "video.mp4", truth))
    return cases


def _cholec80(folder: Path) -> list[RecordedCase]:
    videos = _videos(folder / "videos")
    labelled: set[str] = set()
    for place, ending in _ANNOTATIONS.items():
        if not (folder / place).is_dir():
            continue
        found = {path.name.removesuffix(ending) for path in _visible(folder / place) if path.name.endswith(ending)}
        if unknown := found - videos.keys():
            raise InputError(folder / place, "labels of cases that have a video", f"some of {_some(unknown)}")
        labelled |= found
    return [RecordedCase(name, video, folder if name in labelled else None) for name, video in videos.items()]


def _flat(folder: Path) -> list[RecordedCase]:
    return [RecordedCase(name, video, None) for name, video in _videos(folder).items()]


def _videos(folder: Path) -> dict[str, Path]:
    """Every video, bag and folder of images, by its name."""
    videos: dict[str, Path] = {}
    for path in _visible(folder):
        if path.is_dir():
            if not any(one.suffix.lower() in EXTENSIONS for one in _visible(path)):
                raise InputError(path, f"a folder with images ({', '.join(EXTENSIONS)})", "none")
            name = path.name
        elif path.suffix.lower() in _PLAYED:
            name = path.stem
        else:
            continue
        if name in videos:
            raise InputError(folder, "a name for each video of its own", f"{videos[name].name} and {path.name}")
        videos[name] = path
    return videos


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _some(names: Iterable[str]) -> str:
    listed = sorted(names, key=natural)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
