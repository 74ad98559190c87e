"""What a step of the filter costs, at the beginning of a long case and at its end."""

import pickle
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from surgical_ml.workflow import Protocol
from surgical_ml.workflow.phases import PhaseFilter

PART = 0.1
"""Of the steps, at either end, that are compared."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of a step with its estimate, and bytes that the filter holds, in the first tenth and in the last."""

    hours: float
    steps: int
    early_us: float
    late_us: float
    p99_us: float
    early_bytes: int
    late_bytes: int

    @property
    def ratio(self) -> float:
        """Late over early."""
        return self.late_us / self.early_us

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        times = {name: round(getattr(self, name), 1) for name in ("early_us", "late_us", "p99_us")}
        told = {
            "hours": self.hours,
            "steps": self.steps,
            "early_bytes": self.early_bytes,
            "late_bytes": self.late_bytes,
        }
        return told | times | {"ratio": round(self.ratio, 3)}


def measure_cost(protocol: Protocol, hours: float, fps: int) -> Cost:
    """Step through a case of so many hours, whose phases follow each other and whose scores flicker; medians."""
    phases, names = PhaseFilter(protocol, 1.0), protocol.phase_names
    steps = max(100, round(hours * 3600 * fps))
    rng = np.random.default_rng(7)
    taken = np.empty(steps)
    period_ns = round(1e9 / fps)
    part, early_bytes = round(PART * steps), 0
    for k in range(steps):
        shown = len(names) * k // steps if rng.random() < 0.9 else int(rng.integers(len(names)))
        scores = tuple(900_000 if j == shown else 100_000 // (len(names) - 1) for j in range(len(names)))
        began = time.perf_counter_ns()
        phases.step(k * period_ns, scores, k, 0)
        phases.estimate(k * period_ns)
        taken[k] = (time.perf_counter_ns() - began) / 1000
        if k == part:
            early_bytes = len(pickle.dumps(phases))
    return Cost(
        hours,
        steps,
        float(np.median(taken[:part])),
        float(np.median(taken[-part:])),
        float(np.quantile(taken, 0.99)),
        early_bytes,
        len(pickle.dumps(phases)),
    )
