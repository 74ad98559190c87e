"""Phase labels as Cholec80 and M2CAI16 have them: a text file a video, a frame number and a label a line."""

import re
from collections import Counter
from pathlib import Path
from types import MappingProxyType

import numpy as np

from surgical_ml.errors import InputError
from surgical_ml.labels.files import read_text
from surgical_ml.labels.track import LabelTrack
from surgical_ml.labels.vocabulary import UNDEFINED, Vocabulary, ids_of

_FRAME = re.compile(r"[0-9]{1,15}")


def read_phase_text(path: Path, vocabulary: Vocabulary, case: str) -> LabelTrack:
    """Read a phase file with care.

    A first line that does not begin with a number is a header. Labels are names or 0-based ids, -1 is undefined.

    Args:
        path: of the file.
        vocabulary: what the labels may be.
        case: its name.

    Raises:
        InputError: no file, not UTF-8 text, no samples, a line that is not a frame number and a label, an unknown
            label.
    """
    lines = read_text(path, "a phase file").rstrip().splitlines()
    header = lines[0] if not _FRAME.fullmatch((lines[0].split() or [""])[0]) else ""
    first = 2 if header else 1
    frames, labels = _columns(lines[first - 1 :], path, first)
    numbers = ids_of(labels, vocabulary, str(path), first)
    return LabelTrack(case, path, np.array(frames, np.int64), np.array(numbers, np.int64), header)


def read_phase_text_as_script(path: Path, vocabulary: Vocabulary, case: str) -> LabelTrack:
    """Read a phase file as the field's MATLAB evaluation does: for the official protocol only.

    The first line is dropped, whatever it is. A label that is neither exactly a name nor exactly a 0-based id is
    undefined; `unmatched` says which were, and how often.

    Raises:
        InputError: no file, not UTF-8 text, no samples, or a line that is not a frame number and a label.
    """
    lines = read_text(path, "a phase file").rstrip().splitlines()
    frames, labels = _columns(lines[1:], path, 2)
    known = {name: k for k, name in enumerate(vocabulary.classes)}
    known |= {str(k): k for k in range(len(vocabulary.classes))}
    unmatched = Counter(label for label in labels if label not in known and label != str(UNDEFINED))
    numbers = [known.get(label, UNDEFINED) for label in labels]
    return LabelTrack(
        case,
        path,
        np.array(frames, np.int64),
        np.array(numbers, np.int64),
        lines[0],
        MappingProxyType(dict(sorted(unmatched.items()))),
    )


def _columns(lines: list[str], path: Path, first: int) -> tuple[list[int], list[str]]:
    """Frame numbers and labels; `first` is the number of the first line."""
    rows = [line.split(None, 1) for line in lines]
    if not rows:
        raise InputError(path, "at least one sample", "none")
    for k, row in enumerate(rows):
        if len(row) != 2 or not _FRAME.fullmatch(row[0]):
            raise InputError(f"{path}, line {first + k}", "a frame number and a label", repr(lines[k][:60]))
    return [int(frame) for frame, _ in rows], [label.strip() for _, label in rows]
