"""A folder of cases, each with its labels, in whichever layout it is."""

import re
from collections.abc import Mapping
from pathlib import Path

from surgical_ml.errors import InputError
from surgical_ml.labels.decisions import read_decided_phases
from surgical_ml.labels.intervals import read_multibypass140, sampled_phases
from surgical_ml.labels.phase_text import read_phase_text, read_phase_text_as_script
from surgical_ml.labels.track import LabelTrack, check_even, check_rate
from surgical_ml.labels.vocabulary import MULTIBYPASS140_PHASES, Vocabulary

PHASE_LAYOUTS = {
    "Cholec80 text": re.compile(r"(?P<case>[^/]+)-phase\.txt"),
    "M2CAI16 text": re.compile(r"(?P<case>(test_)?workflow_video_[0-9]+)(_pred)?\.txt"),
    "MultiBypass140 intervals": re.compile(r"(?P<case>[^/]+)\.mp4\.json"),
    "case folders of surgical-ml simulate": re.compile(r"(?P<case>[^/]+)/video-phase\.txt"),
    "case folders of surgical-ml replay": re.compile(r"(?P<case>[^/]+)/decisions\.jsonl"),
}
"""Where a case's phases lie below a folder."""


def find_cases(folder: Path, layouts: Mapping[str, re.Pattern[str]]) -> tuple[str, dict[str, Path]]:
    """The files of a folder that hold cases.

    Args:
        folder: looked through two levels deep.
        layouts: name -> pattern of a path below the folder, with the group `case`.

    Returns:
        The layout's name, and case -> file in the order of the cases' numbers.

    Raises:
        InputError: no such folder, no file of any layout, files of two layouts, or two files of one case.
    """
    if not folder.is_dir():
        raise InputError(folder, "a folder", "a file" if folder.exists() else "none")
    found: dict[str, dict[str, Path]] = {}
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        for layout, pattern in layouts.items():
            if (match := pattern.fullmatch(path.relative_to(folder).as_posix())) and path.is_file():
                cases = found.setdefault(layout, {})
                if match["case"] in cases:
                    raise InputError(folder, f"one file of {match['case']}", f"{cases[match['case']]} and {path}")
                cases[match["case"]] = path
    if not found:
        raise InputError(folder, f"files laid out as {' or '.join(layouts)}", "none")
    if len(found) > 1:
        first, second = (next(iter(found[layout].values())).name for layout in list(found)[:2])
        raise InputError(folder, "files of one layout", f"{' and '.join(found)} ({first}, {second})")
    layout, cases = next(iter(found.items()))
    return layout, {case: cases[case] for case in sorted(cases, key=natural)}


def read_phase_folder(
    folder: Path, vocabulary: Vocabulary, fps: float, *, as_script: bool = False
) -> dict[str, LabelTrack]:
    """Read the phases of every case below a folder.

    Args:
        folder: in one of `PHASE_LAYOUTS`.
        vocabulary: of the phases.
        fps: samples/s, as declared.
        as_script: read text files as the field's MATLAB evaluation does, which does not mind a gap.

    Returns:
        Case -> track.

    Raises:
        InputError: what `find_cases` and the readers refuse, or frame numbers with gaps or that contradict the rate.
    """
    layout, cases = find_cases(folder, PHASE_LAYOUTS)
    tracks = {}
    for case, path in cases.items():
        if layout == "MultiBypass140 intervals":
            if vocabulary != MULTIBYPASS140_PHASES:
                raise InputError(path, f"labels of {vocabulary.name}", layout)
            tracks[case] = sampled_phases(read_multibypass140(path, case), fps)
        elif layout == "case folders of surgical-ml replay":
            tracks[case] = read_decided_phases(path, vocabulary, case, fps)
        elif as_script:
            tracks[case] = read_phase_text_as_script(path, vocabulary, case)
        else:
            tracks[case] = read_phase_text(path, vocabulary, case)
        check_rate(tracks[case].frames, fps, path)
        if not as_script:
            check_even(tracks[case].frames, path)
    return tracks


def pair_tracks(
    truths: Mapping[str, LabelTrack], predictions: Mapping[str, LabelTrack], where: Path
) -> list[tuple[LabelTrack, LabelTrack]]:
    """Truth and prediction of each case, which must be on the same frames.

    Args:
        truths, predictions: case -> track.
        where: the folder of the predictions, for the error.

    Raises:
        InputError: a case lacks one of the two, or their lengths or frame numbers differ.
    """
    check_same_cases(truths, predictions, where)
    for case, truth in truths.items():
        prediction = predictions[case]
        n, m = len(truth.frames), len(prediction.frames)
        if n != m:
            ratio = max(n, m) / min(n, m)
            hint = f": {ratio:.4g} times as many, as at another rate" if ratio > 1.5 else ""
            raise InputError(prediction.path, f"{n} samples, as {truth.path} has", f"{m}{hint}")
        differ = truth.frames != prediction.frames
        if differ.any():
            k = int(differ.argmax())
            expected = f"the frame numbers of {truth.path}"
            raise InputError(prediction.path, expected, f"{prediction.frames[k]} instead of {truth.frames[k]}")
    return [(truth, predictions[case]) for case, truth in truths.items()]


def check_same_cases(truths: Mapping[str, object], predictions: Mapping[str, object], where: Path) -> None:
    """Refuse two sets of cases that differ.

    Raises:
        InputError: names the cases that are missing or extra.
    """
    missing = [case for case in truths if case not in predictions]
    extra = [case for case in predictions if case not in truths]
    if missing or extra:
        parts = [f"none for {_some(missing)}"] if missing else []
        parts += [f"{_some(extra)} without a truth"] if extra else []
        raise InputError(where, f"a prediction for each of the {len(truths)} cases and no other", ", ".join(parts))


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts video9 before video10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"([0-9]+)", name) if part]


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
