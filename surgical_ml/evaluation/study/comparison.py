"""Two models on the same cases: how they differ, whether the first may take the second's place, for whom it is worse."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

import surgical_ml
from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics import Comparison, Statistic, compare, holm, mean_of, not_inferior, subgroups
from surgical_ml.evaluation.metrics.cases import Numbers
from surgical_ml.evaluation.metrics.statistics import Gate, Indices, Subgroup
from surgical_ml.evaluation.metrics.summary import plain_number
from surgical_ml.evaluation.study.groups import gate_all, gate_json
from surgical_ml.evaluation.study.phase_results import SEED
from surgical_ml.evaluation.study.shape import FILE, CaseShape, StudyShape
from surgical_ml.labels import check_same_cases, read_text

SENSITIVITY = "sensitivity"
MEASURES = ("accuracy", "precision", "recall", "jaccard", "f1", "edit", "f1@10", "f1@25", "f1@50", SENSITIVITY)
"""All in percent, higher is better: the strict convention, segments, and the share of deviations that were announced."""

FAMILY = ("accuracy", "jaccard", "f1", "edit", "f1@10")
"""What is compared unless somebody says otherwise."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure of two models: estimates in percent, their paired difference, and p before and after Holm."""

    measure: str
    first: float
    second: float
    comparison: Comparison
    p_holm: float
    not_inferior: bool


@dataclass(frozen=True, slots=True)
class StudyComparison:
    """Two studies on the same cases.

    Attributes:
        first, second: as their folders hold them.
        folders: theirs.
        margin: percent points, fixed before.
        measures: in the order asked for.
        groups: property -> subgroups, of the difference in the statistic of each.
        gate: on the worst group's difference; None where nobody asked for it.
        largest_drop: of the gate, percent points.
    """

    first: StudyShape
    second: StudyShape
    folders: tuple[Path, Path]
    margin: float
    measures: tuple[Measured, ...]
    groups: dict[str, list[Subgroup]]
    gate: Gate | None
    largest_drop: float | None

    @property
    def passed(self) -> bool:
        """The first is shown not to be inferior in every measure, and the gate passes where there is one."""
        return all(one.not_inferior for one in self.measures) and (self.gate is None or self.gate.verdict == "pass")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": 1,
            "protocol": "paired bootstrap over cases, strict convention; differences are first - second",
            "version": surgical_ml.__version__,
            "unit": "percent points",
            "fps": self.first.fps,
            "nan_policy": self.first.nan_policy,
            "cases": len(self.first.cases),
            "frames": sum(case.scored for case in self.first.cases),
            "first": _identity(self.first, self.folders[0]),
            "second": _identity(self.second, self.folders[1]),
            "margin": {"value": self.margin, "fixed": "before the comparison, by whoever asked for it"},
            "measures": [
                {
                    "measure": one.measure,
                    "first": plain_number(one.first),
                    "second": plain_number(one.second),
                    "difference": one.comparison.difference.to_json(),
                    "p": one.comparison.p,
                    "p_holm": one.p_holm,
                    "not_inferior": one.not_inferior,
                }
                for one in self.measures
            ],
            "subgroups": [{"by": by, "rows": [row.to_json() for row in rows]} for by, rows in self.groups.items()],
            "gate": None if self.gate is None or self.largest_drop is None else gate_json(self.gate, self.largest_drop),
            "passed": self.passed,
        }


def compare_studies(
    first: Path,
    second: Path,
    *,
    margin: float,
    measures: Sequence[str] = FAMILY,
    largest_drop: float | None = None,
) -> StudyComparison:
    """Compare two evaluated models by a paired bootstrap over the cases that both were run on.

    The first may take the second's place if it is shown not to be inferior in every measure of the family: since all must be
    shown, none has to be adjusted for the others. The p of a difference is; Holm's adjusted one stands beside it.

    Args:
        first, second: folders with `evaluation.json`, of the same cases at the same rate.
        margin: percent points; a first model worse by less than that is as good. It is fixed before anybody looks.
        measures: of `MEASURES`.
        largest_drop: percent points by which the first may be worse than the second in the worst subgroup; None asks for no
            gate.

    Raises:
        InputError: a folder holds no study; the cases, their scored samples, rate, mode or protocol differ; a measure is
            unknown, or no case has it; the margin is not above 0.
    """
    studies = read_study(first), read_study(second)
    if not measures or len(set(measures)) != len(measures) or set(measures) - set(MEASURES):
        raise InputError("measures", f"some of {', '.join(MEASURES)}, each once", ", ".join(measures) or "none")
    _check_alike(*studies, second)
    theirs = {case.name: case for case in studies[1].cases}
    pairs = [(case, theirs[case.name]) for case in studies[0].cases]
    found = {}
    for measure in measures:
        one = _statistic([case for case, _ in pairs], measure, first)
        other = _statistic([case for _, case in pairs], measure, second)
        everybody = np.arange(len(pairs))[None]
        found[measure] = (
            float(one(everybody)[0]),
            float(other(everybody)[0]),
            compare(one, other, len(pairs), seed=SEED),
        )
    adjusted = holm({measure: comparison.p for measure, (*_, comparison) in found.items()})
    groups = _groups(pairs)
    gate = None
    if largest_drop is not None:
        if not groups:
            raise InputError("gate", "subgroups that both studies have", "none")
        gate = gate_all({by: (0.0, rows) for by, rows in groups.items()}, largest_drop)
    measured = [
        Measured(measure, one, other, comparison, adjusted[measure], not_inferior(comparison, margin))
        for measure, (one, other, comparison) in found.items()
    ]
    return StudyComparison(*studies, (first, second), margin, tuple(measured), groups, gate, largest_drop)


def read_study(folder: Path) -> StudyShape:
    """What `evaluation.json` of a folder holds.

    Raises:
        InputError: there is none, or it is not of the agreed shape; names the first thing that is wrong.
    """
    path = folder / FILE
    try:
        return StudyShape.model_validate_json(read_text(path, "a study, as `surgical-ml evaluate study` writes it"))
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(str(part) for part in wrong["loc"])
        raise InputError(path, "a study of schema 1", f"{place}: {wrong['msg']}") from error


def _check_alike(first: StudyShape, second: StudyShape, where: Path) -> None:
    mine, theirs = ({case.name: case for case in study.cases} for study in (first, second))
    check_same_cases(mine, theirs, where)
    for what in ("mode", "fps"):
        if getattr(first, what) != getattr(second, what):
            found = str(getattr(second, what))
            raise InputError(f"{where}, {what}", f"{getattr(first, what)}, as the first study has", found)
    if first.phases != second.phases:
        raise InputError(f"{where}, phases", ", ".join(first.phases), ", ".join(second.phases))
    for name, case in mine.items():
        other = theirs[name]
        if case.scored != other.scored or case.ribbons.truth != other.ribbons.truth or case.events != other.events:
            found = f"{other.scored}, or another truth"
            raise InputError(f"{where}, {name}", f"the truth of the first study: {case.scored} scored samples", found)


def _statistic(cases: Sequence[CaseShape], measure: str, where: Path) -> Statistic:
    if measure == SENSITIVITY:
        true = np.array([len(case.events or ()) for case in cases], np.float64)
        found = np.array([sum(bool(one.matched) for one in case.advisories) for case in cases], np.float64)
        if not true.sum():
            raise InputError(where, "deviations, for the sensitivity to them", "none")
        return _ratio(found, true)
    values = np.array([float(case.scores.get(measure, "NaN")) for case in cases])
    if np.isnan(values).all():
        raise InputError(where, f"cases with {measure}", "none")
    return mean_of(values)


def _ratio(part: Numbers, whole: Numbers) -> Statistic:
    """Sums over drawn cases, in percent; without a value where none has a whole."""

    def statistic(drawn: Indices) -> Numbers:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(100 * part[drawn].sum(axis=1) / whole[drawn].sum(axis=1), np.float64)

    return statistic


def _groups(pairs: Sequence[tuple[CaseShape, CaseShape]]) -> dict[str, list[Subgroup]]:
    """The paired difference in each group of cases, or of frames of cases, that both studies have."""
    found: dict[str, list[Subgroup]] = {}
    keys = dict.fromkeys((by, group) for case, _ in pairs for by, of in case.group_scores.items() for group in of)
    for by, group in keys:
        values = np.array(
            [
                float(case.group_scores.get(by, {}).get(group, "NaN"))
                - float(other.group_scores.get(by, {}).get(group, "NaN"))
                for case, other in pairs
            ]
        )
        members = [int(k) for k in np.flatnonzero(~np.isnan(values))]
        if members:
            found.setdefault(by, []).extend(subgroups({group: members}, mean_of(values), seed=SEED))
    return found


def _identity(study: StudyShape, folder: Path) -> dict[str, str]:
    return {
        "folder": str(folder),
        "model": f"{study.model.name}/{study.model.version}",
        "model_sha256": study.model.sha256,
        "config_sha256": study.config_sha256,
        "engine": study.engine,
        "software": study.software.version,
    }
