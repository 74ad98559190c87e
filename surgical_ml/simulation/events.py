"""What happens in an operation at a moment: bursts of current, clips that are set, the cut, a bleeding that grows."""

from dataclasses import dataclass

import numpy as np

from surgical_ml.simulation.plan import CasePlan


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens between two times: `cautery`, `clip`, `cut` or `bleeding`."""

    kind: str
    start_s: float
    end_s: float


def events(plan: CasePlan) -> tuple[Event, ...]:
    """The events of a case in order of their start; the same for the same plan, whatever its look."""
    rng = np.random.default_rng([plan.seed, 21])
    found = []
    for use in plan.tools:
        if use.tool not in ("hook", "bipolar"):
            continue
        at = use.start_s + float(rng.uniform(0.8, 2.0))
        while at < use.end_s - 0.8:
            length = float(rng.uniform(0.4, 1.6))
            found.append(Event("cautery", at, min(at + length, use.end_s - 0.3)))
            at += length + float(rng.exponential(3.0)) + 0.5
    if plan.clipped_s < plan.duration_s:
        found.append(Event("clip", plan.clipped_s, plan.clipped_s + 0.5))
    if plan.cut_s < plan.duration_s:
        found.append(Event("cut", plan.cut_s, plan.cut_s + 0.5))
    found += [Event("bleeding", one.start_s, one.end_s) for one in plan.disturbances if one.kind == "blood"]
    return tuple(sorted(found, key=lambda one: (one.start_s, one.kind)))
