"""The quality of a data set, before anyone trains on it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import surgical_ml
from surgical_ml.errors import InputError
from surgical_ml.evaluation.dataset.annotations import (
    check_balance,
    check_belonging,
    check_coco,
    check_lengths,
    check_restless,
    read_case,
)
from surgical_ml.evaluation.dataset.card import check_card, read_card
from surgical_ml.evaluation.dataset.finding import Finding, apply_waivers, read_waivers
from surgical_ml.evaluation.dataset.integrity import check_files, check_pictures, sample_pictures
from surgical_ml.evaluation.dataset.inventory import take_inventory
from surgical_ml.evaluation.dataset.leakage import (
    check_blank,
    check_pictures_alike,
    check_splits,
    perceptual_hashes,
)
from surgical_ml.labels import PHASES

WAIVERS = "waivers.json"


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """What was found; `passed` where nothing blocks."""

    folder: Path
    cases: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether anyone may train on it."""
        return not any(finding.blocks for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "dataset": self.folder.name,
            "version": surgical_ml.__version__,
            "passed": self.passed,
            "cases": len(self.cases),
            "counts": dict(sorted(Counter(finding.code for finding in self.findings).items())),
            "findings": [finding.to_json() for finding in self.findings],
        }


def check_dataset(
    folder: Path, *, progress: Callable[[int, int | None], None] = lambda done, total: None
) -> DatasetReport:
    """Check a data set: card, files, pictures, labels, their lengths and owners, splits, balance.

    Args:
        folder: of the data set, with `dataset.json` and where needed `waivers.json` in it.
        progress: told (cases done, cases).

    Raises:
        InputError: there is no such folder, no case in it, or its card or waivers are not valid.
    """
    cases, coco = take_inventory(folder)
    card = read_card(folder)
    waivers = read_waivers(folder / WAIVERS)
    procedure = card.procedure if card else "cholec80"
    if procedure not in PHASES:
        raise InputError(folder / "dataset.json", f"a procedure of {sorted(PHASES)}", procedure)
    findings = [*check_card(card), *check_splits(card), *check_files(folder, card, cases)]
    labels, hashes = {}, {}
    for done, (name, case) in enumerate(cases.items(), 1):
        findings += check_pictures(case)
        pictures, broken = sample_pictures(case)
        labels[name], unreadable = read_case(
            case, procedure, card.phase_fps if card else 25.0, card.video_fps if card else 1.0
        )
        findings += [*broken, *unreadable, *check_blank(name, pictures)]
        findings += [*check_lengths(name, labels[name]), *check_restless(name, labels[name])]
        hashes[name] = perceptual_hashes(pictures)
        progress(done, len(cases))
    for path in coco:
        findings += check_coco(path, folder)
    trained_on = set(card.splits.get("train", cases)) if card else set(cases)
    findings += [
        *check_belonging(labels),
        *check_pictures_alike(hashes, card),
        *check_balance(labels, procedure, trained_on),
    ]
    return DatasetReport(folder, tuple(cases), tuple(apply_waivers(findings, waivers)))


def require_checked(folder: Path) -> DatasetReport:
    """What training calls first.

    Raises:
        InputError: as `check_dataset`; or something blocks, the first of which it names.
    """
    report = check_dataset(folder)
    blocking = [finding for finding in report.findings if finding.blocks]
    if blocking:
        found = f"{len(blocking)} findings that block, first {blocking[0].code} {blocking[0].subject}"
        raise InputError(folder, "a data set that passes `surgical-ml data check`, or waivers", found)
    return report
