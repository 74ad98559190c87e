"""Parts of the cases and of their frames, the statistic of each, and the gate on the worst of them.

A property of a case divides the cases: site, camera, whatever a table says, and the tertile of length. A property of frames
divides each case's frames: smoke, blood, light, how many tools are in the view, the first minute after a restart. The
statistic of cases is the strict Jaccard. That of frames is their accuracy: a few seconds hold one phase or two, and a Jaccard
over phases that a handful of frames decides says nothing.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics import PhaseScores, mean_of, release_gate, subgroups
from surgical_ml.evaluation.metrics.cases import Numbers
from surgical_ml.evaluation.metrics.phases import nan_mean
from surgical_ml.evaluation.metrics.statistics import Gate, Indices, Subgroup
from surgical_ml.evaluation.metrics.summary import plain_number
from surgical_ml.evaluation.study.deviation_results import matches
from surgical_ml.evaluation.study.evaluated import EvaluatedCase
from surgical_ml.evaluation.study.phase_results import SEED
from surgical_ml.labels import read_text

CASE_LENGTH = "case length"
TERTILES = ("short", "middle", "long")
LEAST_FOR_TERTILES = 3

RESTARTED = "restarted"
"""The gate's reason while a restarted assistant has no good video yet."""

AFTER_RESTART_S = 60.0

MOST_TOOLS = 3

Part = npt.NDArray[np.bool_]


def read_groups(path: Path, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """A table of the properties of cases: a header `case,site,camera,...`, then a row a case; an empty field is unknown.

    Args:
        path: of the table, comma-separated.
        names: of the cases that are scored; rows of others are passed over.

    Returns:
        Property -> case -> group.

    Raises:
        InputError: no such table, a row that does not fit its header, a case that stands there twice or not at all.
    """
    rows = list(csv.reader(read_text(path, "a table of groups").splitlines()))
    header = [name.strip() for name in rows[0]]
    if header[0] != "case" or len(header) < 2 or len(set(header)) != len(header):
        raise InputError(f"{path}, line 1", "a header: case, and a name for each property", ",".join(rows[0])[:60])
    table: dict[str, dict[str, str]] = {name: {} for name in header[1:]}
    seen: set[str] = set()
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != len(header):
            raise InputError(f"{path}, line {number}", f"{len(header)} fields", str(len(row)))
        case, *groups = (field.strip() for field in row)
        if case in seen:
            raise InputError(f"{path}, line {number}", "each case once", f"{case} again")
        seen.add(case)
        if case in names:
            for name, group in zip(header[1:], groups, strict=True):
                if group:
                    table[name][case] = group
    missing = [name for name in names if name not in seen]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(path, "a row for each case", f"none for {missing[0]}{more}")
    return table


def case_groups(cases: Sequence[EvaluatedCase], table: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Property -> case -> group: what the table says, and the tertile of length of three cases or more."""
    groups = {by: dict(of) for by, of in table.items()}
    if len(cases) >= LEAST_FOR_TERTILES:
        lengths = np.array([case.seconds for case in cases])
        place = np.searchsorted(np.quantile(lengths, [1 / 3, 2 / 3]), lengths)
        groups[CASE_LENGTH] = {case.name: TERTILES[k] for case, k in zip(cases, place, strict=True)}
    return groups


def frame_groups(case: EvaluatedCase) -> dict[str, dict[str, Part]]:
    """Property -> group -> which of the m scored samples belong to it; only properties that somebody knows."""
    groups: dict[str, dict[str, Part]] = {}
    times, truth = case.times_s, case.truth
    if truth.disturbances is not None:
        spans = truth.disturbances
        during = {
            kind: np.logical_or.reduce(
                [np.zeros(len(times), bool)]
                + [(times >= one.start_s) & (times < one.end_s) for one in spans if one.kind == kind]
            )
            for kind in ("smoke", "blood", "dark", "overexposed")
        }
        for kind in ("smoke", "blood"):
            groups[kind] = {"present": during[kind], "absent": ~during[kind]}
        dark, bright = during["dark"], during["overexposed"]
        groups["light"] = {"dark": dark, "overexposed": bright & ~dark, "ordinary": ~dark & ~bright}
    if truth.tools is not None and truth.tool_rows is not None:
        count = np.full(len(case.decided.index), -1)
        count[truth.tool_rows] = truth.tools.sum(axis=1)
        count = count[truth.rows]
        last = f"{MOST_TOOLS} or more"
        groups["tools in view"] = {str(k): count == k for k in range(MOST_TOOLS)} | {last: count >= MOST_TOOLS}
    if RESTARTED in case.decided.reasons:
        reason = case.decided.reasons.index(RESTARTED)
        began = case.decided.stamp_ns[np.flatnonzero(case.decided.withheld == reason)]
        now = case.decided.stamp_ns[truth.rows]
        latest = np.searchsorted(began, now, side="right") - 1
        after = (latest >= 0) & (now - began[np.maximum(latest, 0)] < AFTER_RESTART_S * 1e9)
        groups["restart"] = {"first minute after": after, "otherwise": ~after}
    return groups


def group_scores(
    cases: Sequence[EvaluatedCase], strict: PhaseScores, groups: Mapping[str, Mapping[str, str]]
) -> list[dict[str, dict[str, float]]]:
    """The statistic of each group in each case, percent: by case -> property -> group -> value."""
    jaccard = nan_mean(strict.case_values["jaccard"], 1)
    found = []
    for k, case in enumerate(cases):
        values = {by: {of[case.name]: float(jaccard[k])} for by, of in groups.items() if case.name in of}
        assert case.truth.phases is not None, "only cases with true phases are scored"
        defined = case.truth.phases >= 0
        right = case.decided.committed[case.truth.rows] == case.truth.phases
        for by, parts in frame_groups(case).items():
            shares = {
                group: 100.0 * float(right[part & defined].mean())
                for group, part in parts.items()
                if (part & defined).any()
            }
            if shares:
                values[by] = shares
        found.append(values)
    return found


def subgroups_json(
    scores: Sequence[Mapping[str, Mapping[str, float]]], strict: PhaseScores, of_cases: Sequence[str]
) -> tuple[list[dict[str, Any]], dict[str, tuple[float, list[Subgroup]]]]:
    """Every subgroup table.

    Args:
        scores: of `group_scores`.
        strict: over all.
        of_cases: properties of whole cases; any other divides frames.

    Returns:
        As `SubgroupsShape`; and property -> value of all and the rows, for the gate.
    """
    tables, rows_of = [], {}
    for by in dict.fromkeys(by for one in scores for by in one):
        whole = by in of_cases
        overall = strict.summaries["jaccard"].mean if whole else strict.accuracy.mean
        rows = [row for group in _groups(scores, by) for row in _row(group, scores, by)]
        tables.append(_table(by, "cases" if whole else "frames", overall, rows))
        rows_of[by] = (overall, rows)
    return tables, rows_of


def _groups(scores: Sequence[Mapping[str, Mapping[str, float]]], by: str) -> list[str]:
    found = list(dict.fromkeys(group for one in scores for group in one.get(by, {})))
    return sorted(found, key=TERTILES.index) if by == CASE_LENGTH else sorted(found)


def _row(group: str, scores: Sequence[Mapping[str, Mapping[str, float]]], by: str) -> list[Subgroup]:
    values: Numbers = np.array([one.get(by, {}).get(group, np.nan) for one in scores], np.float64)
    members = np.flatnonzero(~np.isnan(values))
    return subgroups({group: [int(k) for k in members]}, mean_of(values), seed=SEED)


def _table(by: str, of: Literal["cases", "frames"], overall: float, rows: Sequence[Subgroup]) -> dict[str, Any]:
    return {
        "by": by,
        "of": of,
        "statistic": "strict jaccard" if of == "cases" else "accuracy",
        "overall": plain_number(overall),
        "rows": [row.to_json() for row in rows],
    }


def sensitivity_json(cases: Sequence[EvaluatedCase], groups: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """The share of deviations that were announced, percent, in each group of cases; beside the gate, not in it.

    Args:
        cases: of the study; those whose deviations are known count.
        groups: property -> case -> group.

    Returns:
        As `SubgroupsShape`, with the deviations of each group as its events; none without any deviation.
    """
    known = [case for case in cases if case.truth.deviations is not None]
    true = np.array([len(case.truth.deviations or ()) for case in known], np.float64)
    if not true.sum():
        return []
    found = np.array([len(matches(case)[1]) for case in known], np.float64)

    def sensitivity(drawn: Indices) -> Numbers:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(100 * found[drawn].sum(axis=1) / true[drawn].sum(axis=1), np.float64)

    tables = []
    for by, of in groups.items():
        members = {group: [k for k, case in enumerate(known) if of.get(case.name) == group] for group in of.values()}
        ordered = sorted(members, key=TERTILES.index) if by == CASE_LENGTH else sorted(members)
        rows = subgroups({group: members[group] for group in ordered}, sensitivity, seed=SEED, events=true)
        overall = 100 * float(found.sum() / true.sum())
        tables.append(_table(by, "cases", overall, rows) | {"statistic": "sensitivity to deviations"})
    return tables


def gate_all(tables: Mapping[str, tuple[float, Sequence[Subgroup]]], largest_drop: float) -> Gate:
    """One gate on the worst group of all tables; groups are named `property: group`.

    One group below the limit blocks; otherwise one that is too small to judge makes the whole insufficient.

    Args:
        tables: property -> value of all, and its groups.
        largest_drop: how far a group may lie below its whole, percent points.

    Raises:
        InputError: there are no groups, or the drop is below 0.
    """
    if not largest_drop >= 0:
        raise InputError("largest drop", "percent points from 0", str(largest_drop))
    gates = [(by, release_gate(overall, rows, largest_drop)) for by, (overall, rows) in tables.items() if len(rows) > 0]
    if not gates:
        raise InputError("gate", "at least one subgroup: truth of phases, and something that divides them", "none")
    insufficient = tuple(f"{by}: {name}" for by, one in gates for name in one.insufficient)
    severity = ("pass", "insufficient", "blocked")
    verdict = max((one.verdict for _, one in gates), key=severity.index)
    # of two with the same verdict the larger drop decides; a drop that is not a number is the largest
    by, worst = max(
        gates,
        key=lambda pair: (
            pair[1].verdict == "blocked",
            np.isnan(pair[1].drop) and pair[1].verdict == "blocked",
            -np.inf if np.isnan(pair[1].drop) else pair[1].drop,
        ),
    )
    return Gate(verdict, f"{by}: {worst.worst}", worst.drop, insufficient)


def gate_json(gate: Gate, largest_drop: float) -> dict[str, Any]:
    """As `GateShape`."""
    return {
        "verdict": gate.verdict,
        "worst": gate.worst,
        "drop": plain_number(gate.drop),
        "largest_drop": largest_drop,
        "insufficient": list(gate.insufficient),
    }
