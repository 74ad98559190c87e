"""Whether labels can be read, fit the length of their videos, and belong to their cases."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.evaluation.dataset.finding import Finding, block, warn
from surgical_ml.evaluation.dataset.integrity import video_length
from surgical_ml.evaluation.dataset.inventory import CaseFiles
from surgical_ml.labels import (
    CHOLEC80_TOOLS,
    PHASES,
    check_even,
    check_rate,
    read_cholect50,
    read_coco,
    read_multibypass140,
    read_phase_text,
    read_tool_text,
    sampled_phases,
)
from surgical_ml.labels.triplets import BOX

SLACK = 0.02
"""Labels may be longer or shorter than their video by this share: containers and annotators round differently."""

SLACK_S = 2.0

RESTLESS_S = 3.0
RESTLESS_RUNS = 20
"""Phases that change more often than this, and so often at least, are in no order of time."""

RARE = 0.005
"""A class with a smaller share of the samples is rare."""


@dataclass(frozen=True, slots=True)
class CaseLabels:
    """What could be read of one case.

    Attributes:
        phases: (n,) ids, None where there are none.
        spans_s: kind of label -> seconds of video that it covers.
        digests: kind of label -> digest of its content.
        video_s: length of the video or of the pictures, 0 while unknown.
    """

    phases: npt.NDArray[np.int64] | None
    spans_s: dict[str, float]
    digests: dict[str, str]
    video_s: float


def read_case(
    case: CaseFiles, procedure: str, phase_fps: float, picture_fps: float
) -> tuple[CaseLabels, list[Finding]]:
    """Read every label of a case; what cannot be read is a finding.

    Args:
        case: its files.
        procedure: for the vocabulary of phases.
        phase_fps: samples/s of phase text files.
        picture_fps: pictures/s, where there is no video.
    """
    findings: list[Finding] = []
    spans, digests = {}, {}
    phases = None
    frames, video_fps = video_length(case.video) if case.video is not None else (0, 0.0)
    video_s = frames / video_fps if video_fps > 0 else len(case.pictures) / picture_fps
    try:
        if case.phases is not None and case.phases.suffix == ".json":
            track = sampled_phases(read_multibypass140(case.phases, case.name), 1)
            phases, spans["phases"] = track.labels, float(len(track.labels))
        elif case.phases is not None:
            track = read_phase_text(case.phases, PHASES[procedure], case.name)
            check_rate(track.frames, phase_fps, case.phases)
            check_even(track.frames, case.phases)
            phases, spans["phases"] = track.labels, len(track.labels) / phase_fps
        if phases is not None:
            digests["phases"] = _digest(phases)
    except InputError as error:
        findings.append(_unreadable(case.name, error))
    try:
        if case.tools is not None:
            tools = read_tool_text(case.tools, CHOLEC80_TOOLS, case.name)
            present = tools.as_truth()
            check_even(tools.frames, case.tools)
            # numbered as the video's frames are, whatever the rate of the tools
            spans["tools"] = float(tools.frames[-1] + 1) / (video_fps or phase_fps)
            digests["tools"] = _digest(present)
    except InputError as error:
        findings.append(_unreadable(case.name, error))
    try:
        if case.triplets is not None:
            triplets = read_cholect50(case.triplets, case.name)
            spans["triplets"] = float(triplets.frames[-1] + 1) / triplets.fps if len(triplets.frames) else 0.0
            digests["triplets"] = _digest(triplets.instances)
            boxes = triplets.instances[triplets.instances[:, 1] >= 0][:, BOX]
            missing = int((boxes < 0).any(axis=1).sum())
            if missing:
                found = f"-1 in {missing} of {len(boxes)}"
                findings.append(block("boxes-missing", case.name, "a box for each instrument", found))
    except InputError as error:
        findings.append(_unreadable(case.name, error))
    return CaseLabels(phases, spans, digests, video_s), findings


def check_lengths(name: str, labels: CaseLabels) -> list[Finding]:
    """Labels cover their video, and each other: so they count in the same time."""
    findings = []
    for kind, span in labels.spans_s.items():
        if labels.video_s and not _fits(span, labels.video_s):
            longer = "longer" if span > labels.video_s else "shorter"
            found = f"{span:.0f} s, {span / labels.video_s:.3g} times as much"
            code = f"labels-{longer}-than-video"
            findings.append(block(code, name, f"{kind} of {labels.video_s:.0f} s, as the video has", found))
    if not labels.video_s:
        for (first, a), (second, b) in combinations(labels.spans_s.items(), 2):
            if not _fits(a, b):
                expected = f"{second} of {a:.0f} s, as {first} have"
                found = f"{b:.0f} s: numbered at another rate?"
                findings.append(block("time-bases-differ", name, expected, found))
    return findings


def check_restless(name: str, labels: CaseLabels) -> list[Finding]:
    """Phases last a while: labels whose order in time was lost, as by a shuffle, change all the time."""
    if labels.phases is None:
        return []
    runs = 1 + int((np.diff(labels.phases) != 0).sum())
    lasting = labels.spans_s["phases"] / runs
    if runs < RESTLESS_RUNS or lasting >= RESTLESS_S:
        return []
    expected = f"phases that last {RESTLESS_S:g} s or more on average"
    return [block("labels-restless", name, expected, f"{lasting:.2g} s: shuffled?")]


def check_belonging(labels: Mapping[str, CaseLabels]) -> list[Finding]:
    """No two cases have the same labels, or each other's."""
    findings = []
    kinds = sorted({kind for one in labels.values() for kind in one.digests})
    for kind in kinds:
        owners: dict[str, list[str]] = {}
        for name, one in labels.items():
            if kind in one.digests:
                owners.setdefault(one.digests[kind], []).append(name)
        for names in owners.values():
            for name in names[1:]:
                findings.append(block("labels-duplicate", name, f"{kind} of its own", f"those of {names[0]}"))
    timed = {name: one for name, one in labels.items() if one.video_s and "phases" in one.spans_s}
    for (a, first), (b, second) in combinations(timed.items(), 2):
        own = _fits(first.spans_s["phases"], first.video_s) or _fits(second.spans_s["phases"], second.video_s)
        if (
            not own
            and _fits(first.spans_s["phases"], second.video_s)
            and _fits(second.spans_s["phases"], first.video_s)
        ):
            findings.append(
                block("labels-swapped", a, "phases as long as its video", f"those fit {b}, and {b}'s fit {a}")
            )
    return findings


def check_balance(labels: Mapping[str, CaseLabels], procedure: str, trained_on: set[str]) -> list[Finding]:
    """Every phase is there, and often enough, in the cases that are trained on."""
    chosen = [one.phases for name, one in labels.items() if name in trained_on and one.phases is not None]
    if not chosen:
        return []
    names = PHASES[procedure].classes
    together = np.concatenate(chosen)
    counts = np.bincount(together[together >= 0], minlength=len(names))
    findings = []
    for name, count in zip(names, counts, strict=True):
        share = count / max(1, counts.sum())
        if share < RARE:
            findings.append(warn("class-rare", name, f"at least {RARE:.1%} of the samples", f"{share:.2%}"))
    undefined = float((together < 0).mean())
    if undefined > RARE:
        findings.append(
            warn("samples-undefined", "dataset", "a phase for nearly every sample", f"{undefined:.1%} without")
        )
    return findings


def check_coco(path: Path, folder: Path) -> list[Finding]:
    """A file of instances can be read, and its pictures are there."""
    name = path.relative_to(folder).as_posix()
    try:
        found = read_coco(path)
    except InputError as error:
        return [_unreadable(name, error)]
    missing = [
        image.file_name
        for image in found.images.values()
        if not (path.parent / image.file_name).is_file() and not (folder / image.file_name).is_file()
    ]
    if missing:
        return [
            block(
                "pictures-missing",
                name,
                f"its {len(found.images)} pictures",
                f"no {missing[0]} and {len(missing) - 1} more",
            )
        ]
    return []


def _unreadable(subject: str, error: InputError) -> Finding:
    return block("labels-unreadable", subject, f"{Path(error.thing).name}: {error.expected}", error.found)


def _fits(a: float, b: float) -> bool:
    return abs(a - b) <= max(SLACK * max(a, b), SLACK_S)


def _digest(values: npt.NDArray[np.generic]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
