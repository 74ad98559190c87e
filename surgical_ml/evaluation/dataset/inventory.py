"""Which cases a folder holds, and which files belong to each."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from surgical_ml.errors import InputError
from surgical_ml.labels import natural

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".mpg", ".mpeg", ".m4v")

_PHASES = (
    re.compile(r"(?P<case>.+)-phase\.txt"),
    re.compile(r"(?P<case>(test_)?workflow_video_[0-9]+)\.txt"),
    re.compile(r"(?P<case>.+)\.mp4\.json"),
)
_TOOLS = re.compile(r"(?P<case>.+)-tool\.txt")
_TRIPLETS = re.compile(r"(?P<case>VID[0-9]+)\.json")
_NO_PICTURES = ("masks", "keyframes", "overlays", "labels", "annotations", "right_frames", "ground_truth")
_WATERSHED, _OTHER_MASKS = "_watershed_mask", "_mask"
"""Endings of CholecSeg8k's masks, which lie beside the frames: those that are read, and those that are looked at."""


@dataclass(slots=True)
class CaseFiles:
    """What belongs to one case; empty or None where there is none.

    Attributes:
        name: of the case.
        video: a video file.
        pictures: frames as pictures, in order.
        phases, tools, triplets: label files.
        masks: label maps, in order.
    """

    name: str
    video: Path | None = None
    pictures: list[Path] = field(default_factory=list)
    phases: Path | None = None
    tools: Path | None = None
    triplets: Path | None = None
    masks: list[Path] = field(default_factory=list)


def take_inventory(folder: Path) -> tuple[dict[str, CaseFiles], list[Path]]:
    """Cases by name, and the COCO files beside them.

    A file `video.mp4`, `video-phase.txt` or `video-tool.txt` belongs to the case its folder is named for, as
    `surgical-ml simulate` writes them; any other by its own name. Pictures belong to the folder they lie in, those of
    EndoVis to their sequence, and those of AutoLaparo's masks to the clip that their name begins with.

    Raises:
        InputError: there is no such folder, or nothing in it is part of a case.
    """
    if not folder.is_dir():
        raise InputError(folder, "the folder of a data set", "a file" if folder.exists() else "none")
    cases: dict[str, CaseFiles] = {}
    coco = []

    def case(name: str) -> CaseFiles:
        return cases.setdefault(name, CaseFiles(name))

    for path in sorted(folder.rglob("*"), key=lambda path: natural(path.relative_to(folder).as_posix())):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") for part in parts) or path.is_dir():
            continue
        suffix = path.suffix.lower()
        if suffix in VIDEOS:
            case(_owner(path, path.stem)).video = path
        elif suffix in PICTURES and len(parts) > 1:
            if path.stem.endswith(_WATERSHED):
                case(path.parent.name).masks.append(path)
            elif path.stem.endswith(_OTHER_MASKS):
                continue
            elif parts[0] in ("imgs", "masks") and len(parts) == 2:
                kept = case(_without_number(path.stem))
                (kept.pictures if parts[0] == "imgs" else kept.masks).append(path)
            elif "masks" in parts:
                case(parts[parts.index("masks") - 1]).masks.append(path)
            elif "left_frames" in parts[1:]:
                case(parts[parts.index("left_frames") - 1]).pictures.append(path)
            elif not set(parts) & set(_NO_PICTURES):
                case(path.parent.name).pictures.append(path)
        elif (match := _TOOLS.fullmatch(path.name)) is not None:
            case(_owner(path, match["case"])).tools = path
        elif (match := next(filter(None, (one.fullmatch(path.name) for one in _PHASES)), None)) is not None:
            case(_owner(path, match["case"])).phases = path
        elif (match := _TRIPLETS.fullmatch(path.name)) is not None:
            case(match["case"]).triplets = path
        elif suffix == ".json" and "coco" in path.name:
            coco.append(path)
    if not cases:
        raise InputError(folder, "videos, pictures or labels of cases", "none")
    return {name: cases[name] for name in sorted(cases, key=natural)}, coco


def _without_number(stem: str) -> str:
    return re.sub(r"[-_]?\d+$", "", stem) or stem


def _owner(path: Path, name: str) -> str:
    return path.parent.name if name == "video" else name
