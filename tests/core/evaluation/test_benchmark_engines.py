"""Engines are timed side by side, and one that is not there says so."""

import pytest

from surgical_ml.engine import Engine
from surgical_ml.errors import InputError
from surgical_ml.evaluation import benchmark_engines as bench


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """One engine beside the baseline, at a size that takes no time."""
    pytest.importorskip("torch", reason="needs the extra train")
    monkeypatch.setattr(bench, "SIZES", ((64, 96),))
    monkeypatch.setattr(bench, "ARMS", {name: bench.ARMS[name] for name in (bench.BASELINE, "ONNX Runtime fp32")})


def test_every_engine_gets_its_turns_and_its_ratio(small: None) -> None:
    told: list[tuple[int, int | None]] = []
    done = bench.benchmark_engines(rounds=2, frames=3, progress=lambda at, of: told.append((at, of)))
    assert told == [(k + 1, 4) for k in range(4)]
    here = done.times["64x96"]
    assert set(here) == {bench.BASELINE, "ONNX Runtime fp32"}
    assert all(0 < one.least_us <= one.p50_us <= one.p99_us for one in here.values())
    assert all(len(one.medians_us) == 2 for one in here.values())
    assert done.ratio("64x96", bench.BASELINE) == (1.0, 1.0)
    assert "| ONNX Runtime fp32 | " in done.to_markdown()
    assert "no GPU at hand" in done.to_markdown()
    assert done.to_json()["ratios"]["64x96"][bench.BASELINE] == (1.0, 1.0)


def test_an_engine_that_is_not_there_is_named_and_not_left_out(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bench.open_engine

    def without(name: str, *rest: object, **options: object) -> Engine:
        if name == "onnxruntime":
            raise InputError("engine", "a package", "none")
        return whole(name, *rest, **options)

    monkeypatch.setattr(bench, "open_engine", without)
    done = bench.benchmark_engines(rounds=1, frames=1)
    assert done.missing == {"ONNX Runtime fp32": "expected a package, found none"}
    assert done.ratio("64x96", "ONNX Runtime fp32") is None
    assert "| ONNX Runtime fp32 | not measured: expected a package, found none |" in done.to_markdown()


@pytest.mark.parametrize("name", ["cores", "threads", "rounds", "frames"])
def test_a_number_out_of_its_range_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: expected a whole number from 1, found 0"):
        bench.benchmark_engines(**{name: 0})
