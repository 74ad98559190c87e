"""Whether what a model is tested on was hidden from it: cases, patients and pictures in one split only."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.evaluation.dataset.card import DatasetCard
from surgical_ml.evaluation.dataset.finding import Finding, block, warn
from surgical_ml.evaluation.dataset.integrity import Picture

Hashes = npt.NDArray[np.uint8]

SIDE = 16
"""Of the small picture a hash is made of: 256 bits, each whether a pixel is brighter than its right neighbour."""

SAME = 14
"""Bits that may differ between two copies of a picture, encoded differently; unrelated ones differ in some 100."""

ALIKE = 0.25
"""Share of a case's pictures that another case must have for the two to be one."""

BLANK_CONTRAST = 6.0
"""Standard deviation of grey values below which a picture shows nothing."""

LONGEST_BLANK = 0.05


def perceptual_hashes(pictures: Sequence[Picture]) -> Hashes:
    """Difference hashes of the pictures that show something.

    Args:
        pictures: BGR.

    Returns:
        (n, 32) packed bits.
    """
    rows = []
    for picture in pictures:
        if not is_blank(picture):
            grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
            small = cv2.resize(grey, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
            rows.append(np.packbits(small[:, :-1] > small[:, 1:]))
    return np.array(rows, np.uint8).reshape(-1, SIDE * SIDE // 8)


def is_blank(picture: Picture) -> bool:
    """Whether a picture shows nothing: black, white or one colour, as out-of-body views are often replaced by."""
    return float(picture[:: max(1, len(picture) // 64), ::8].std(axis=(0, 1)).max()) < BLANK_CONTRAST


def check_splits(card: DatasetCard | None) -> list[Finding]:
    """No case and no patient is in two splits."""
    if card is None:
        return []
    findings = []
    for (first, a), (second, b) in combinations(card.splits.items(), 2):
        for name in sorted(set(a) & set(b)):
            findings.append(block("case-in-two-splits", name, f"one of {first} and {second}", "both"))
        patients = {card.patients[name]: name for name in a if name in card.patients}
        for name in b:
            patient = card.patients.get(name)
            if patient in patients and patients[patient] != name:
                found = f"{patients[patient]} in {first} is of the same patient {patient}"
                findings.append(block("patient-in-two-splits", name, f"a patient that only {second} has", found))
    unsplit = {name for name in card.patients if not any(name in names for names in card.splits.values())}
    if card.splits and unsplit:
        findings.append(warn("case-in-no-split", sorted(unsplit)[0], "each case in a split", f"{len(unsplit)} in none"))
    return findings


def check_pictures_alike(hashes: Mapping[str, Hashes], card: DatasetCard | None) -> list[Finding]:
    """No two cases show the same pictures; across splits that is a leak."""
    split_of = {name: split for split, names in (card.splits if card else {}).items() for name in names}
    findings = []
    for (a, first), (b, second) in combinations(hashes.items(), 2):
        if len(first) and len(second) and (share := _alike(first, second)) >= ALIKE:
            found = f"{share:.0%} of its pictures in {a}"
            if a in split_of and b in split_of and split_of[a] != split_of[b]:
                expected = f"pictures that only {split_of[b]} has"
                findings.append(block("pictures-in-two-splits", b, expected, f"{found} ({split_of[a]})"))
            else:
                findings.append(block("case-duplicate", b, "pictures of its own", found))
    return findings


def check_blank(name: str, pictures: Sequence[Picture]) -> list[Finding]:
    """Few pictures of a case show nothing."""
    if not pictures:
        return []
    share = float(np.mean([is_blank(picture) for picture in pictures]))
    if share > 0.5:
        return [block("mostly-blank", name, "pictures that show something", f"{share:.0%} blank")]
    if share > LONGEST_BLANK:
        return [warn("blank-stretches", name, f"at most {LONGEST_BLANK:.0%} blank pictures", f"{share:.0%}")]
    return []


def _alike(first: Hashes, second: Hashes) -> float:
    """Share of the shorter case's pictures that the other has."""
    few, many = sorted((first, second), key=len)
    distance = np.bitwise_count(few[:, None] ^ many[None]).sum(axis=2)
    return float((distance.min(axis=1) <= SAME).mean())
