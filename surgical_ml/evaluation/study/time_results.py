"""Progress beside a clock, frames outside the body, latency in real time, and how fast recorded cases were judged."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from surgical_ml.audit import AuditError, read
from surgical_ml.evaluation.case_files import read_timings
from surgical_ml.evaluation.metrics import TimedCase, score_out_of_body, score_progress
from surgical_ml.evaluation.metrics.cases import Numbers
from surgical_ml.evaluation.metrics.summary import plain_number
from surgical_ml.evaluation.realtime import REALTIME
from surgical_ml.evaluation.study.decided import DecidedCase
from surgical_ml.evaluation.study.evaluated import EvaluatedCase
from surgical_ml.evaluation.study.instrument_results import AUDIT
from surgical_ml.evaluation.study.predictors import known_protocol
from surgical_ml.labels import read_json
from surgical_ml.perception import Refusal

OUT_OF_BODY = "out_of_body"
"""The disturbance of a synthetic case."""

END_TO_END = "end_to_end"
BARS = 40


def progress_json(cases: Sequence[EvaluatedCase], fps: float) -> dict[str, Any] | None:
    """The error of the progress that was said, beside that of a clock that knows the protocol's mean durations.

    While nothing was shown, the last value said counts, and 0 before there was one. None where the protocol is not at hand.
    """
    protocol = known_protocol(cases)
    if protocol is None:
        return None
    said = []
    for case in cases:
        shown = case.decided.progress >= 0
        last = np.maximum.accumulate(np.where(shown, np.arange(len(shown)), -1))
        value = np.where(last >= 0, case.decided.progress[np.maximum(last, 0)], 0) / 1e6
        said.append(TimedCase(case.name, value[case.truth.rows]))
    mean_s = sum(phase.mean_s for phase in protocol.phases)
    scores = score_progress(said, "progress", fps=fps, mean_duration_s=mean_s)
    return scores.to_json() | {
        "fps": plain_number(fps),
        "nan_policy": "while nothing was shown the last value said counts, and 0 before there was one",
    }


def out_of_body_json(cases: Sequence[EvaluatedCase]) -> dict[str, Any] | None:
    """How frames outside the body are told apart, in the cases that have such frames; None where no case has.

    A frame is called outside where that is why nothing was shown. AUROC is of what the network said, which only the record of
    a case holds; it is NaN where one of the records is not at hand.
    """
    parts: dict[str, tuple[Any, Any, Any]] = {}
    recorded = True
    fps = 1.0
    for case in cases:
        spans = [one for one in case.truth.disturbances or () if one.kind == OUT_OF_BODY]
        if not spans:
            continue
        decided = case.decided
        times = (decided.stamp_ns - decided.stamp_ns[0]) / 1e9
        outside = np.logical_or.reduce([(times >= one.start_s) & (times < one.end_s) for one in spans])
        reason = Refusal.OUT_OF_BODY.value
        called = decided.withheld == (decided.reasons.index(reason) if reason in decided.reasons else -1)
        scores = _outside_scores(decided)
        recorded = recorded and scores is not None
        parts[case.name] = outside, called.astype(np.float64) if scores is None else scores, called
        fps = decided.fps / decided.summary.every
    if not parts:
        return None
    values = score_out_of_body(parts, fps=fps).to_json() | {"frames": sum(len(one[0]) for one in parts.values())}
    return values if recorded else values | {"auroc": "NaN"}


def _outside_scores(case: DecidedCase) -> Numbers | None:
    """What the network said of each judged frame: probability of being outside; None without a whole record."""
    found = {}
    try:
        for _, values in read(case.folder / AUDIT):
            seen = values["body"].get("seen")
            if seen is not None:
                found[values["body"]["event"]["index"]] = 1 - seen["in_body_ppm"] / 1e6
    except (AuditError, OSError):
        return None
    scores = [found.get(index) for index in case.index.tolist()]
    return None if None in scores else np.array(scores, np.float64)


def latency_json(cases: Sequence[EvaluatedCase]) -> dict[str, Any]:
    """Latency of a run in real time, of every judged frame of every case: see `LatencyShape`.

    Raises:
        InputError: a case lacks its `realtime.json`, or a file is not what it must be.
    """
    stages: dict[str, list[int]] = {}
    drops, ages = 0, []
    for case in cases:
        told = read_json(case.decided.folder / REALTIME, "what a case in real time measured")
        drops += told["frames"]["dropped"]
        ages.append(told["result_age_ms"])
        for timing in read_timings(case.decided.folder):
            for stage, microseconds in timing.stages_us.items():
                stages.setdefault(stage, []).append(microseconds)
    times = {stage: np.array(values) / 1000 for stage, values in stages.items()}
    whole = times.pop(END_TO_END)
    counts, edges = np.histogram(whole, BARS, (0.0, float(whole.max())))
    summary = cases[0].decided.summary
    return {
        "cases": len(cases),
        "frames": len(whole),
        "device": f"{summary.engine}, {summary.platform}",
        **{f"p{percent}_ms": plain_number(np.percentile(whole, percent)) for percent in (50, 95, 99)},
        "max_ms": plain_number(whole.max()),
        "histogram": [
            [plain_number(edges[k]), plain_number(edges[k + 1]), int(count)] for k, count in enumerate(counts)
        ],
        "drops": int(drops),
        # percentiles of several cases do not add up to one; the worst case's are what can be promised
        "age_ms": {key: plain_number(max(age[key] for age in ages)) for key in ages[0]},
        "stages_ms": {
            stage: {
                **{f"p{percent}": plain_number(np.percentile(values, percent)) for percent in (50, 95, 99)},
                "max": plain_number(values.max()),
            }
            for stage, values in times.items()
        },
    }


def throughput_json(cases: Sequence[EvaluatedCase]) -> dict[str, Any] | None:
    """Frames/s of one worker over all cases, from what each took; None where a case does not say it."""
    summaries = [case.decided.summary for case in cases]
    seconds = [one.frames / one.frames_per_s for one in summaries if one.frames_per_s]
    if len(seconds) < len(summaries):
        return None
    device = f"{summaries[0].engine}, {summaries[0].platform}"
    return {"frames_per_s": plain_number(sum(one.frames for one in summaries) / sum(seconds)), "device": device}
