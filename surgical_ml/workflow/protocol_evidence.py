"""What stands behind a protocol that was learned: from how many cases, and between which bounds each number lies."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from surgical_ml.workflow.protocol_duration import Seconds

Share = Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, strict=True)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StepEvidence(_Strict):
    """How often a phase led to another one, or to the end: `times` in so many `cases`, and the share's 95 % interval."""

    times: Count
    cases: Count
    share: tuple[Share, Share]


class ToolEvidence(_Strict):
    """In how many of the cases a tool was seen in a phase, the share's 95 % interval, and for which share of its time."""

    cases: Count
    of: Count
    share: tuple[Share, Share]
    rate: Share
    rate_interval: tuple[Share, Share]


class PhaseEvidence(_Strict):
    """What stands behind one phase.

    Attributes:
        cases: with a visit to it.
        visits: in all of them.
        median_s, spread: 95 % intervals of both numbers of the duration; None where it is not stated.
        next: what followed, `rare` ones too.
        tools: which tools were seen in it; empty where nobody looked for tools.
        not_learned: what too few cases show: a duration is not stated then, and the rest is what the protocol before it said.
        contradicted: what the protocol before it requires, and too many cases do not do.
    """

    cases: Count
    visits: Count
    median_s: tuple[Seconds, Seconds] | None = Field(default=None, alias="median")
    spread: tuple[float, float] | None = None
    next: dict[str, StepEvidence] = {}
    tools: dict[str, ToolEvidence] = {}
    not_learned: tuple[Literal["duration", "next", "tools"], ...] = ()
    contradicted: tuple[str, ...] = ()


class Origin(_Strict):
    """The protocol that another one comes from."""

    name: str
    version: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Learned(_Strict):
    """Where a learned protocol comes from.

    Attributes:
        cases: that it was learned from, or adapted to.
        sha256: of their courses, in whatever order they came.
        origin: whose phases, tools and clinical rules it has; `from` in the file.
        weight: for how many local cases the origin counted, where it was adapted; None where it was learned afresh.
    """

    cases: Count
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    origin: Origin = Field(alias="from")
    weight: float | None = Field(default=None, gt=0, strict=True, allow_inf_nan=False)
