"""What `evaluation.json` holds, schema 1: the one contract between who computes a study, who shows it and who compares two.

Shares of phases, segments and tools are in percent, as the field prints them; those of events and of calibration are from
0 to 1. A number that JSON has no sign for stands there as `NaN`, `Inf` or `-Inf`. A section is null where it has nothing to
say; `notes` says why in a sentence.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FILE = "evaluation.json"

Number = Annotated[float, Field(allow_inf_nan=False)] | Literal["NaN", "Inf", "-Inf"]
Span = tuple[Number, Number, int | str | None]
"""From, to, what: seconds of the case, and an id of a phase or a word; None where there was no answer."""


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class IntervalShape(_Shape):
    """As `metrics.Interval.to_json` writes it."""

    estimate: Number
    low: Number
    high: Number
    level: float
    method: Literal["bca", "percentile"]
    draws: int
    n: int


class Named(_Shape):
    """Name and version of the software, or with a digest of the model."""

    name: str
    version: str
    sha256: str = ""


class ProtocolShape(_Shape):
    """The procedure's protocol that the cases were judged against."""

    name: str
    sha256: str


class DataShape(_Shape):
    """What was evaluated: where the truth came from (empty: none), and how much there was."""

    labels: str
    cases: int
    frames: int


class RibbonsShape(_Shape):
    """What held when; `truth` is null where the case has none, ids count `phases` from 0, None is no answer."""

    truth: list[Span] | None
    committed: list[Span]
    network: list[Span]
    validity: list[Span]


class EventShape(_Shape):
    """A deviation that truly happened, seconds of the case."""

    kind: str
    subject: str
    onset_s: Number
    end_s: Number


class AdvisoryShape(_Shape):
    """An advisory about the operation, at the time it was first shown.

    `matched` and `delay_s` (from the onset of the deviation that it announces) are null without truth, `delay_s` without a
    match. `lasted_s` is how long its condition stood, `certainty` the one that it was announced with.
    """

    kind: str
    subject: str
    priority: str
    certainty: str
    at_s: Number
    lasted_s: Number
    matched: bool | None
    delay_s: Number | None


class CaseShape(_Shape):
    """One case.

    Attributes:
        frames: judged ones; `scored` those of them that have a true phase.
        duration_s: seconds.
        fps: judged frames/s.
        validity, withheld: judged frames by validity, and by the reason for which nothing was shown.
        groups: by what -> the group that the whole case belongs to.
        ribbons: what held when.
        events: true deviations; null where nobody said whether there were any.
        advisories: in order of time.
        scores: measure -> value, the strict convention and the segmental scores; empty without truth.
        group_scores: by what -> group -> the value of the subgroup table's statistic in this case.
    """

    name: str
    frames: int
    scored: int
    duration_s: Number
    fps: Number
    validity: dict[str, int]
    withheld: dict[str, int]
    groups: dict[str, str]
    ribbons: RibbonsShape
    events: list[EventShape] | None
    advisories: list[AdvisoryShape]
    scores: dict[str, Number]
    group_scores: dict[str, dict[str, Number]]


class ConventionShape(_Shape):
    """One convention of phase recognition, in percent; `f1` is null in the relaxed ones, which have none."""

    protocol: str
    fps: Number
    nan_policy: str
    version: str
    cases: int
    frames: int
    accuracy: IntervalShape
    precision: IntervalShape
    recall: IntervalShape
    jaccard: IntervalShape
    f1: IntervalShape | None


class PhaseShape(_Shape):
    """One phase in one convention, in percent; `cases` have it in the truth."""

    phase: str
    convention: str
    precision: Number
    recall: Number
    jaccard: Number
    f1: Number
    cases: int


class ConfusionShape(_Shape):
    """Samples by true phase (rows) and predicted one; the last column, named `no answer`, is none."""

    counts: list[list[int]]
    rows: Literal["truth"]
    columns: Literal["prediction"]
    row_names: list[str]
    column_names: list[str]


class RankShape(_Shape):
    """One predictor: its value and its place (1 is best, equal values share one) in each convention."""

    predictor: str
    values: dict[str, Number]
    ranks: dict[str, int]


class LatencyOfTransitions(_Shape):
    """How late true transitions are seen: infinite where one is missed."""

    transitions: int
    median_s: Number
    p90_s: Number
    misses: int
    false_starts: int
    hold_s: float


class SegmentsShape(_Shape):
    """Segmental scores; percent, and a ratio of counts in `over_segmentation`, where 1 is best."""

    protocol: str
    fps: Number
    nan_policy: str
    version: str
    cases: int
    frames: int
    edit: IntervalShape
    f1_10: IntervalShape = Field(alias="f1@10")
    f1_25: IntervalShape = Field(alias="f1@25")
    f1_50: IntervalShape = Field(alias="f1@50")
    over_segmentation: IntervalShape
    transition_latency: LatencyOfTransitions


class BinShape(_Shape):
    """One bar of a reliability diagram; `low` to `high` are its bounds, the rest NaN in an empty one."""

    low: float
    high: float
    confidence: Number
    accuracy: Number
    count: int


class ReliabilityShape(_Shape):
    """15 bars and the expected calibration error of `n` samples."""

    bins: Annotated[list[BinShape], Field(min_length=15, max_length=15)]
    ece: Number
    n: int


class CalibrationShape(_Shape):
    """Whether the recorded phase scores are frequencies; shares from 0 to 1."""

    protocol: str
    fps: Number
    nan_policy: str
    version: str
    cases: int
    frames: int
    boundary: ReliabilityShape
    interior: ReliabilityShape
    all_: ReliabilityShape = Field(alias="all")
    classwise_ece: Number
    brier: Number
    nll: Number
    aurc: Number
    risk_80: Number = Field(alias="risk@80")
    risk_90: Number = Field(alias="risk@90")


class KindShape(_Shape):
    """One kind of deviation."""

    kind: str
    true: int
    found: int
    advisories: int
    false: int
    sensitivity: Number
    delay_median_s: Number


class MissShape(_Shape):
    """A deviation that nothing announced."""

    case: str
    kind: str
    subject: str
    onset_s: Number
    end_s: Number


class FalseShape(_Shape):
    """An advisory that announced no deviation."""

    case: str
    kind: str
    subject: str
    priority: str
    at_s: Number


class CurvePoint(_Shape):
    """What another operating point would have given; `operating` is the one that was recorded."""

    threshold: Number
    what: str
    family: Literal["held", "certainty"]
    sensitivity: Number
    false_per_hour: Number
    operating: bool


class DeviationsShape(_Shape):
    """How deviations are announced; shares from 0 to 1, false advisories per hour of the cases without deviations."""

    protocol: str
    nan_policy: str
    version: str
    cases: int
    deviations: int
    clean_hours: Number
    sensitivity: IntervalShape
    precision: IntervalShape
    f1: IntervalShape
    delay_median_s: Number
    delay_p95_s: Number
    false_per_hour: dict[str, IntervalShape]
    by_kind: list[KindShape]
    misses: list[MissShape]
    false: list[FalseShape]
    curve: list[CurvePoint]


class LatencyShape(_Shape):
    """Measured at the real frame rate only: milliseconds from acquisition to decision."""

    cases: int
    frames: int
    device: str
    p50_ms: Number
    p95_ms: Number
    p99_ms: Number
    max_ms: Number
    histogram: list[tuple[Number, Number, int]]
    drops: int
    age_ms: dict[str, Number]
    stages_ms: dict[str, dict[str, Number]]


class ThroughputShape(_Shape):
    """How fast recorded cases were judged by one worker; says nothing of latency."""

    frames_per_s: Number
    device: str


class GroupRow(_Shape):
    """As `metrics.statistics.Subgroup.to_json` writes it."""

    group: str
    cases: int
    events: int | None
    verdict: Literal["sufficient", "insufficient"]
    interval: IntervalShape | None


class SubgroupsShape(_Shape):
    """One way to divide: `of` says whether whole cases are divided or the frames of each, `overall` is the undivided value."""

    by: str
    of: Literal["cases", "frames"]
    statistic: str
    overall: Number
    rows: list[GroupRow]


class GateShape(_Shape):
    """The release gate; groups are named `by: group`, `drop` and `largest_drop` are in percent points."""

    verdict: Literal["pass", "blocked", "insufficient"]
    worst: str
    drop: Number
    largest_drop: float
    insufficient: list[str]


class WorstShape(_Shape):
    """A moment to look at; `image` is a file below the folder, null where the video was not at hand."""

    case: str
    at_s: Number
    index: int
    why: str
    image: str | None


class MeanWorst(_Shape):
    """A mean over cases beside its worst case and the mean of the worst tenth."""

    mean: Number
    worst: Number
    cvar10: Number


class StudyShape(_Shape):
    """All of `evaluation.json`.

    Attributes:
        software, model, config_sha256, protocol, engine, platform: what judged, and where.
        data: what it judged.
        mode: `throughput` as fast as it went, or `realtime` at the video's pace, with drops.
        fps: scored samples/s; null where no case has true phases.
        nan_policy: of the strict convention.
        phases, tool_names: names, in the order of their ids.
        notes: what a reader of the numbers should know, a sentence each.
        tools, tips, segmentation, progress, out_of_body: what the metrics library's scores write of themselves.
        mean_worst: measure -> mean, worst, CVaR.
    """

    schema_: Literal[1] = Field(alias="schema")
    software: Named
    model: Named
    config_sha256: str
    protocol: ProtocolShape
    engine: str
    platform: str
    data: DataShape
    mode: Literal["throughput", "realtime"]
    fps: Number | None
    nan_policy: str
    phases: list[str]
    tool_names: list[str]
    notes: list[str]
    cases: list[CaseShape]
    conventions: dict[str, ConventionShape]
    per_phase: list[PhaseShape]
    confusion: ConfusionShape | None
    ranking: list[RankShape]
    ranking_flips: list[str]
    segments: SegmentsShape | None
    calibration: CalibrationShape | None
    deviations: DeviationsShape | None
    tools: dict[str, Any] | None
    tips: dict[str, Any] | None
    segmentation: dict[str, Any] | None
    progress: dict[str, Any] | None
    out_of_body: dict[str, Any] | None
    latency: LatencyShape | None
    throughput: ThroughputShape | None
    subgroups: list[SubgroupsShape]
    gate: GateShape | None
    worst: list[WorstShape]
    mean_worst: dict[str, MeanWorst]
