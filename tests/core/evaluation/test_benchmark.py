"""The benchmark: what it compares, and that its numbers are those that were measured."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from surgical_ml.errors import InputError
from surgical_ml.evaluation.benchmark import ARMS, PipelineBenchmark, StageTime, benchmark_pipeline


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("video")
    rng = np.random.default_rng(5)
    for k in range(4):
        cv2.imwrite(str(folder / f"{k}.png"), rng.integers(0, 255, (180, 320, 3), np.uint8))
    return folder


def test_everything_is_measured_in_turn_and_told_as_it_goes(video: Path) -> None:
    told: list[tuple[int, int]] = []
    done = benchmark_pipeline(str(video), cores=1, rounds=2, progress=lambda *at: told.append(at))
    assert told == [(k, 11) for k in range(1, 12)]
    assert {arm: len(rates) for arm, rates in done.rates.items()} == dict.fromkeys(ARMS, 2)
    assert all(rate > 0 for rates in done.rates.values() for rate in rates)
    stages = {
        "quality",
        "preprocess",
        "frame_net",
        "phase_net",
        "perception",
        "geometry",
        "workflow",
        "guidance",
        "record",
    }
    assert set(done.one_core) == stages | {"total"}
    assert set(done.stages) == stages | {"decode", "total"}
    assert "320x180, 4 frames" in done.clip["clip"]


def made() -> PipelineBenchmark:
    rates = {arm: [10.0 * k, 30.0 * k, 20.0 * k] for k, arm in enumerate(ARMS, 1)}
    stages = {"quality": StageTime(1000, 2000, 3000), "frame_net": StageTime(9000, 9500, 9900)}
    alone = {"quality": StageTime(800, 900, 1000), "record": StageTime(200, 300, 400), "total": StageTime(9000, 9, 9)}
    return PipelineBenchmark({"CPU": "made up"}, {"clip": "none"}, rates, stages, alone)


def test_a_ratio_is_that_of_medians_and_overhead_that_of_stages_without_networks() -> None:
    values = made().to_json()
    assert values["ratios"]["replay/decode"] == 5.0
    assert values["ratios"]["replay/sequence"] == round(5 / 3, 3)
    assert values["overhead_us"] == 1000


def test_the_tables_hold_every_number() -> None:
    text = made().to_markdown()
    assert "| replay: everything, recorded | 100.0 | 50.0 to 150.0 |  |" in text
    assert "| decode only | 20.0 | 10.0 to 30.0 | 500% |" in text
    assert "| quality | 1.00 | 2.00 | 3.00 | 0.80 | 0.90 | 1.00 |" in text
    assert "on one core: 1.00 ms a frame" in text


def test_percentiles_are_values_that_were_measured() -> None:
    assert StageTime.of([5]) == StageTime(5, 5, 5)
    assert StageTime.of(list(range(1, 101))) == StageTime(50, 95, 100)


@pytest.mark.parametrize("name", ["cores", "rounds", "frames"])
def test_fewer_than_one_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=name):
        benchmark_pipeline(None, **{name: 0})
