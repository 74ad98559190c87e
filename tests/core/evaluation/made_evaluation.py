"""A whole evaluation without a pixel: planned cases, their truth as `simulate` writes it, and decisions that err as told."""

import json

import numpy as np
from made_cases import advisory, decision, ns, write_case

from surgical_ml.simulation.generate import describe
from surgical_ml.simulation.plan import PHASES, TOOLS, plan_case
from surgical_ml.workflow import load_protocol

FPS = 2
DELAY_S = 3.0
"""From the onset of a deviation to its advisory."""


def case_names(cases):
    return [f"case{k:05d}" for k in range(cases)]


def made_evaluation(
    folder,
    *,
    cases=4,
    seconds=90.0,
    fps=FPS,
    errors=lambda k: 0.05,
    announced=lambda k: True,
    deviation="random",
    labels=True,
):
    """Write `folder/labels` and `folder/out`; gives both.

    Args:
        errors: case number -> share of frames that show the phase before the true one, in one stretch.
        announced: case number -> whether its deviations are announced.
        deviation: as in `plan_case`.
        labels: write them.
    """
    protocol = load_protocol("cholecystectomy")
    (folder / "out" / "cases").mkdir(parents=True)
    for k, name in enumerate(case_names(cases)):
        plan = plan_case(k, duration_s=seconds, deviation=deviation, disturbances=("smoke", "dark"))
        if labels:
            write_labels(folder / "labels" / name, plan, fps)
        write_case(
            folder / "out" / "cases" / name,
            list(decisions_of(plan, fps, errors(k), announced(k), k)),
            fps=float(fps),
            phases=list(PHASES),
            tools=list(TOOLS),
            protocol={"name": protocol.name, "sha256": protocol.digest},
        )
    return folder / "out", folder / "labels"


def write_labels(folder, plan, fps):
    frames = int(plan.duration_s * fps)
    folder.mkdir(parents=True)
    (folder / "case.json").write_text(json.dumps(describe(plan, fps)))
    phases = [f"{k}\t{PHASES[plan.segment_at(k / fps).phase]}" for k in range(frames)]
    tools = []
    for k in range(frames):
        seen = {use.tool for use in plan.tools_at(k / fps)}
        tools.append("\t".join((str(k), *(str(int(name in seen)) for name in TOOLS))))
    (folder / "video-phase.txt").write_text("\n".join(("Frame\tPhase", *phases)) + "\n")
    (folder / "video-tool.txt").write_text("\n".join(("\t".join(("Frame", *TOOLS)), *tools)) + "\n")


def decisions_of(plan, fps, errors, announced, seed):
    frames = int(plan.duration_s * fps)
    rng = np.random.default_rng(seed)
    wrong = round(errors * frames)
    start = int(rng.integers(frames // 4, frames - wrong)) if wrong < frames * 3 // 4 else 0
    for k in range(frames):
        t = k / fps
        true = plan.segment_at(t).phase
        shown = (true - 1) % len(PHASES) if start <= k < start + wrong else true
        standing = [
            advisory(
                code=one.kind,
                subject=one.subject,
                priority="high" if one.kind == "order" else "medium",
                onset=one.onset_s,
                announced=ns_up(one.onset_s + DELAY_S, fps),
            )
            for one in plan.deviations
            if announced and ns_up(one.onset_s + DELAY_S, fps) <= t < one.end_s
        ]
        values = decision(
            k, at=t, phase=PHASES[shown], tools=sorted(use.tool for use in plan.tools_at(t)), advisories=standing
        )
        sure = int(rng.integers(500_000, 1_000_001))
        rest = (1_000_000 - sure) // (len(PHASES) - 1)
        values["phase"] |= {
            "scores": [sure if p == shown else rest for p in range(len(PHASES))],
            "certainty": "high",
            "progress": int(1e6 * (k + 1) / frames),
        }
        for one in values["instruments"]:
            one |= {"score": int(rng.integers(600_000, 1_000_000)), "tip_px": None, "area_px": 100}
        yield values


def ns_up(seconds, fps):
    """The time of the first frame from then on."""
    return -(-ns(seconds) * fps // 10**9) / fps
