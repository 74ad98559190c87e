"""What the filter and its gate add to a network's scores on held-out cases: accuracy, segments, calibration, delay."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from surgical_ml.engine import load_model, open_engine
from surgical_ml.evaluation.filter_study.cost import Cost, measure_cost
from surgical_ml.evaluation.filter_study.followed import Followed, Ids, follow
from surgical_ml.evaluation.filter_study.interruptions import RECOVERED_S, Recovery, interrupt
from surgical_ml.evaluation.filter_study.seen_cases import FPS, CaseSpec, SeenCase, see_all
from surgical_ml.evaluation.filter_study.weighing import Measured, measure
from surgical_ml.evaluation.metrics import (
    Comparison,
    LabelledCase,
    ScoredCase,
    SegmentalScores,
    compare,
    mean_of,
    not_inferior,
    phase_statistic,
    score_calibration,
    score_phases,
    score_segments,
)
from surgical_ml.evaluation.metrics.cases import Numbers
from surgical_ml.evaluation.metrics.phases import PhaseScores
from surgical_ml.labels import UNDEFINED
from surgical_ml.simulation.plan import Look
from surgical_ml.workflow import load_protocol
from surgical_ml.workflow.evidence import USUAL

SEEDS, FIT_SEEDS = range(7000, 7100), range(7100, 7200)
"""Of the cases that are scored, and of those that the weighing is measured on; nothing was trained on either."""

RAW, FILTER, GATE = "highest score", "filter", "filter and gate"
PARTS = (RAW, FILTER, GATE)

MARGIN = 1.0
"""Percent points of strict accuracy by which an answer counts as worse; fixed before anybody looked."""

LEAST_US = 200.0
_SEED = 0


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Mean absolute error of the remaining time, and the clock's, as shares of a case; how often the 80 % interval holds."""

    error: float
    clock_error: float
    inside: float


@dataclass(frozen=True, slots=True)
class FilterStudy:
    """All that was found.

    Attributes:
        model: name, version and digest.
        cases, hours: that were scored.
        scores, cuts: part -> strict scores, segmental scores.
        accuracy: part -> paired difference of strict accuracy from the highest score, percent points.
        f1: part -> the same of F1@10.
        boundary_ece: of the network's scores, of the filter's belief, and of what is told.
        delay_s: part -> median of the delay that it adds to a transition as the highest score has it; a miss is infinite.
        wrong_s: part -> seconds of wrong answers an hour.
        time_left: beside a clock.
        recoveries: from interruptions.
        cost: of a step.
        measured: the weighing, where it was asked for.
    """

    model: str
    cases: int
    hours: float
    scores: dict[str, PhaseScores]
    cuts: dict[str, SegmentalScores]
    accuracy: dict[str, Comparison]
    f1: dict[str, Comparison]
    boundary_ece: dict[str, float]
    delay_s: dict[str, float]
    time_left: TimeLeft
    recoveries: list[Recovery]
    cost: Cost
    measured: Measured | None

    @property
    def verdicts(self) -> dict[str, bool]:
        """What the module promises of itself -> whether it was found."""
        cut, ece = self.cuts[GATE], self.boundary_ece
        return {
            f"strict accuracy less than {MARGIN:g} point worse than the highest score's, by the lower bound": not_inferior(
                self.accuracy[GATE], MARGIN
            ),
            "over-segmentation at most 1.2": float(np.nanmean(cut.over_segmentation)) <= 1.2,
            "boundary ECE at most half of the scores'": ece["told"] <= ece["scores"] / 2,
            "F1@10 at least 10 points above the highest score's": self.f1[GATE].difference.estimate >= 10,
            "median added delay at most 2 s": self.delay_s[GATE] <= 2.0,
            f"recovered within {RECOVERED_S:g} s of clean video": all(row.late == 0 for row in self.recoveries),
            "no wrong phase shown as certain after an interruption": all(
                row.unflagged_s == 0 for row in self.recoveries
            ),
            "a step below 0.2 ms": self.cost.early_us < LEAST_US and self.cost.late_us < LEAST_US,
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": 1,
            "model": self.model,
            "cases": self.cases,
            "hours": round(self.hours, 3),
            "fps": FPS,
            "parts": {part: dict(zip(_COLUMNS, self._row(part), strict=True)) for part in PARTS},
            "accuracy_difference": {part: one.difference.to_json() for part, one in self.accuracy.items()},
            "f1_difference": {part: one.difference.to_json() for part, one in self.f1.items()},
            "boundary_ece": {name: round(value, 5) for name, value in self.boundary_ece.items()},
            "time_left": {name: round(value, 4) for name, value in asdict(self.time_left).items()},
            "interruptions": [row.to_json() for row in self.recoveries],
            "cost": self.cost.to_json(),
            "weighing": None if self.measured is None else asdict(self.measured),
            "verdicts": self.verdicts,
        }

    def _row(self, part: str) -> list[float]:
        cut, strict = self.cuts[part], self.scores[part]
        values = [strict.accuracy.mean, strict.summaries["jaccard"].mean]
        values += [float(np.nanmean(one)) for one in (cut.edit, cut.f1[:, 0], cut.f1[:, 2], cut.over_segmentation)]
        return [round(value, 3) for value in (*values, float(np.median(cut.latencies_s)), self.delay_s[part])]

    def to_markdown(self) -> str:
        """The tables of docs/workflow.md."""
        lines = [f"Model {self.model}; {self.cases} held-out cases, {self.hours:.1f} h at {FPS} frames/s.", ""]
        lines += ["| part | " + " | ".join(_COLUMNS) + " |", "|---" * (1 + len(_COLUMNS)) + "|"]
        lines += [f"| {part} | " + " | ".join(f"{value:.2f}" for value in self._row(part)) + " |" for part in PARTS]
        lines += ["", "Paired differences from the highest score, percent points, 95 % intervals:", ""]
        for part in PARTS[1:]:
            lines.append(f"- {part}: accuracy {self.accuracy[part].difference}, F1@10 {self.f1[part].difference}")
        eces = ", ".join(f"{name} {value:.4f}" for name, value in self.boundary_ece.items())
        left = self.time_left
        lines += [
            f"- boundary ECE: {eces}",
            f"- time left, error as a share of the case: {left.error:.3f}, of a clock {left.clock_error:.3f}; "
            f"the 80 % interval holds it {left.inside:.0%} of the time",
            "",
            "| interruption | places | slowest recovery, s of clean video | wrong and certain, s |",
            "|---|---|---|---|",
        ]
        lines += [f"| {r.kind} | {r.places} | {r.slowest_s:.1f} | {r.unflagged_s:.1f} |" for r in self.recoveries]
        c = self.cost
        lines += [
            "",
            f"A step: {c.early_us:.0f} us in the first tenth of {c.hours:g} h ({c.steps} steps), {c.late_us:.0f} us in "
            f"the last (ratio {c.ratio:.2f}), p99 {c.p99_us:.0f} us; state {c.early_bytes} and {c.late_bytes} bytes.",
            "",
        ]
        if self.measured is not None:
            m, w = self.measured, self.measured.weighing
            lines += [
                f"Weighing with the least NLL ({m.nll:.4f} a frame, the scores' own {m.nll_scores:.4f}): correlated "
                f"{w.correlated_s:g} s, lasting {w.lasting:g}, newest {w.newest:g}; used: {USUAL.correlated_s:g} s, "
                f"{USUAL.lasting:g}, {USUAL.newest:g}. Flicker holds together for {m.flicker_s:.2f} s, wrong answers for "
                f"{m.errors_s:.1f} s; {m.surely_wrong:.2%} of the true phases have a score below {USUAL.doubt:g}.",
                "",
            ]
        lines += [f"- {'yes' if held else 'NO'}: {name}" for name, held in self.verdicts.items()]
        return "\n".join(lines)


_COLUMNS = (
    "strict accuracy, %",
    "Jaccard, %",
    "edit",
    "F1@10",
    "F1@50",
    "over-segmentation",
    "latency, s",
    "added delay, s",
)


def study_filter(
    model: str,
    kept: Path,
    *,
    protocol: str = "cholecystectomy",
    cases: int = 20,
    fit: int = 0,
    look: Look = "plain",
    workers: int = 1,
    hours: float = 8.0,
    progress: Callable[[int, int], None] | None = None,
) -> FilterStudy:
    """Look at held-out cases with a model, and score its scores, the filter, and the gate.

    Args:
        model: shipped model or model folder.
        kept: folder that keeps what was seen, for the next time.
        protocol: of the procedure.
        cases: that are scored.
        fit: other cases, on which the weighing is measured; 0 measures nothing.
        look: of the pictures.
        workers: processes that look.
        hours: of the case on which the cost of a step is measured, at 10 frames/s.
        progress: told (cases seen, cases).

    Raises:
        InputError: the model, the protocol or a kept file is not what it must be.
    """
    loaded, followed_protocol = load_model(model), load_protocol(protocol)
    specs = [CaseSpec(seed, look) for seed in (*SEEDS[:cases], *FIT_SEEDS[:fit])]
    seen = []
    for case in see_all(model, specs, kept, workers):
        seen.append(case)
        if progress is not None:
            progress(len(seen), len(specs))
    scored, others = seen[:cases], seen[cases:]
    found = [follow(case, followed_protocol) for case in scored]
    labelled = {part: _labelled(scored, found, part) for part in PARTS}
    names = followed_protocol.phase_names
    scores = {part: score_phases(one, names, fps=FPS, protocol="strict") for part, one in labelled.items()}
    cuts = {part: score_segments(one, fps=FPS) for part, one in labelled.items()}
    raw, raw_cut = scores[RAW], cuts[RAW]
    engine = open_engine("onnxruntime", loaded.file("phase"), threads=1)
    manifest = loaded.manifest
    return FilterStudy(
        model=f"{manifest.name}/{manifest.version} {loaded.sha256[:12]}",
        cases=len(scored),
        hours=sum(case.duration_s for case in scored) / 3600,
        scores=scores,
        cuts=cuts,
        accuracy={
            part: compare(phase_statistic(one, "accuracy"), phase_statistic(raw, "accuracy"), len(scored), seed=_SEED)
            for part, one in scores.items()
        },
        f1={
            part: compare(mean_of(one.f1[:, 0]), mean_of(raw_cut.f1[:, 0]), len(scored), seed=_SEED)
            for part, one in cuts.items()
        },
        boundary_ece=_boundary_ece(scored, found),
        delay_s={part: _added(one.latencies_s, raw_cut.latencies_s) for part, one in cuts.items()},
        time_left=_time_left(scored, found),
        recoveries=interrupt(scored, found, followed_protocol, engine),
        cost=measure_cost(followed_protocol, hours, 10),
        measured=measure(others, followed_protocol) if others else None,
    )


def _labelled(cases: Sequence[SeenCase], found: Sequence[Followed], part: str) -> list[LabelledCase]:
    def answer(one: Followed) -> Ids:
        return {RAW: one.raw, FILTER: one.likeliest, GATE: one.committed}[part]

    return [LabelledCase(case.name, case.truth, answer(one)) for case, one in zip(cases, found, strict=True)]


def _boundary_ece(cases: Sequence[SeenCase], found: Sequence[Followed]) -> dict[str, float]:
    """Of the frames that were admitted."""
    values = {}
    for name in ("scores", "belief", "told"):
        scored = []
        for case, one in zip(cases, found, strict=True):
            shares = {"scores": case.phase_ppm / 1e6, "belief": one.belief, "told": one.told}[name]
            even = np.full(shares.shape, 1 / shares.shape[1])
            shares = np.where(case.admitted[:, None], shares, even)
            truth = np.where(case.admitted, case.truth, UNDEFINED)
            scored.append(ScoredCase(case.name, truth, shares / shares.sum(axis=1, keepdims=True)))
        values[name] = score_calibration(scored, fps=FPS).boundary.ece
    return values


def _added(latencies_s: Numbers, raw_s: Numbers) -> float:
    """Median over the transitions that the highest score has."""
    there = np.isfinite(raw_s)
    return float(np.median(latencies_s[there] - raw_s[there])) if there.any() else float("nan")


def _time_left(cases: Sequence[SeenCase], found: Sequence[Followed]) -> TimeLeft:
    """Every case counts the same."""
    rows = []
    for case, one in zip(cases, found, strict=True):
        left_s = case.duration_s - case.stamp_ns / 1e9
        inside = (one.low_s <= left_s) & (left_s <= one.high_s)
        errors = [np.abs(said - left_s).mean() / case.duration_s for said in (one.remaining_s, one.clock_s)]
        rows.append([*errors, inside.mean()])
    return TimeLeft(*np.mean(rows, axis=0).tolist())
