"""Thresholds from normal cases, for a false-alarm rate that is stated beforehand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from surgical_ml.errors import InputError
from surgical_ml.evaluation.deviation_study.study import StudyCases, false_per_hour, run_study
from surgical_ml.simulation import NoiseModel
from surgical_ml.workflow import Protocol

GRID: tuple[tuple[float, float], ...] = (
    (0.6, 0.95),
    (0.8, 0.98),
    (1.0, 0.99),
    (1.2, 0.995),
    (1.5, 0.998),
    (2.0, 0.999),
)
"""Seconds of evidence for a mismatch, and the share of a phase's durations that are not too long, from bold to patient. As
many are not too short."""

KINDS = ("tool-mismatch", "too-long", "too-short")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The boldest settings that keep the rate, and what each setting of the grid gave.

    Attributes:
        mismatch_s, too_long, too_short: for a protocol file.
        rate: false advisories of each kind per hour that were allowed.
        tried: of each setting of the grid, false advisories per hour by kind.
        source: how it was found, in words.
    """

    mismatch_s: float
    too_long: float
    too_short: float
    rate: float
    tried: tuple[dict[str, float], ...]
    source: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "mismatch_s": self.mismatch_s,
            "too_long": self.too_long,
            "too_short": self.too_short,
            "rate_per_hour": self.rate,
            "tried": [
                {"mismatch_s": seconds, "share": share, **rates}
                for (seconds, share), rates in zip(GRID, self.tried, strict=True)
            ],
            "source": self.source,
        }


def with_thresholds(protocol: Protocol, mismatch_s: float, too_long: float, too_short: float) -> Protocol:
    """A protocol with other thresholds."""
    alarms = protocol.time_alarms.model_copy(update={"too_long": too_long, "too_short": too_short})
    return protocol.model_copy(update={"mismatch_s": mismatch_s, "time_alarms": alarms})


def fit_thresholds(
    protocol: Protocol,
    *,
    cases: int,
    first: int,
    rate: float,
    noise: NoiseModel | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Thresholds:
    """Judge the same normal cases with each setting of the grid; take, for each threshold, the boldest that keeps the rate.

    Args:
        protocol: of the procedure.
        cases, first: normal label-only cases, and the seed of the first.
        rate: false advisories of each kind per hour that are allowed.
        noise: of the answers; the shipped one by default.
        workers: processes.
        progress: told (settings done, settings).

    Raises:
        InputError: no setting keeps the rate.
    """
    tried = []
    for done, (seconds, share) in enumerate(GRID, start=1):
        changed = with_thresholds(protocol, seconds, share, 1 - share)
        study = run_study(StudyCases(cases, 0, first), noise=noise, protocol=changed, workers=workers)
        tried.append({kind: round(false_per_hour(study, (kind,)), 3) for kind in KINDS})
        if progress is not None:
            progress(done, len(GRID))
    chosen = {}
    for kind in KINDS:
        kept = [k for k, rates in enumerate(tried) if all(later[kind] <= rate for later in tried[k:])]
        if not kept:
            raise InputError(
                f"threshold for {kind}", f"at most {rate:g} false advisories per hour", f"{tried[-1][kind]:g}"
            )
        chosen[kind] = GRID[kept[0]]
    return Thresholds(
        mismatch_s=chosen["tool-mismatch"][0],
        too_long=chosen["too-long"][1],
        too_short=round(1 - chosen["too-short"][1], 6),
        rate=rate,
        tried=tuple(tried),
        source=f"surgical-ml learn thresholds --cases {cases} --first {first} --rate {rate:g}",
    )
