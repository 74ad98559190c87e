"""A module that always withholds is useless: clean cases that it was not trained on are judged."""

from collections import Counter

import pytest

from surgical_ml.audit import MemoryRecorder
from surgical_ml.config import CaseConfig
from surgical_ml.events import Action, OperatorAction
from surgical_ml.guidance import Kind
from surgical_ml.session import Assets
from surgical_ml.simulation import Renderer, plan_case
from surgical_ml.video import Frame

SECONDS, FPS = 90, 4
LEAST_OK = 0.98


@pytest.fixture(scope="module")
def assets() -> Assets:
    return Assets.load(CaseConfig.of({"nominal_fps": FPS, "time_scale": 20.0}))


@pytest.mark.parametrize("seed", [31, 32, 33])
def test_on_a_clean_held_out_case_nearly_every_frame_is_ok_and_nothing_departs(assets: Assets, seed: int) -> None:
    plan = plan_case(seed, duration_s=SECONDS, split="held-out")
    renderer = Renderer(plan, (854, 480))
    session = assets.open(MemoryRecorder(), case=f"clean-{seed}")
    session.step(OperatorAction(0, Action.START))
    shown: Counter[str] = Counter()
    announced = set()
    for k in range(int(plan.duration_s * FPS)):
        decision = session.step(Frame(renderer.at(k / FPS).image, round(k * 1e9 / FPS), k))
        shown[f"{decision.validity.value} {decision.withheld}"] += 1
        announced |= {(a.code, a.subject) for a in decision.advisories if a.kind is Kind.PROCEDURAL}
    judged = sum(shown.values()) - shown["WITHHELD starting"]
    assert shown["WITHHELD starting"] <= FPS + 1, "withheld at the start for longer than a second"
    assert shown["OK "] >= LEAST_OK * judged, dict(shown)
    assert announced == set()
