"""The study of the phase filter: what it says of cases that are known, and of a few that are seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from surgical_ml.engine import load_model
from surgical_ml.evaluation.filter_study import seen_cases
from surgical_ml.evaluation.filter_study.cost import measure_cost
from surgical_ml.evaluation.filter_study.followed import follow
from surgical_ml.evaluation.filter_study.seen_cases import CaseSpec, SeenCase, see, see_all
from surgical_ml.workflow import load_protocol

PROTOCOL = load_protocol("cholecystectomy")


def a_case(flicker: float, seed: int = 0) -> SeenCase:
    """Seven phases of 60 s at 2 frames/s, whose likeliest phase is another one in so many of the frames."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(7), 120).astype(np.int64)
    likeliest = np.where(rng.random(len(truth)) < flicker, rng.integers(0, 7, len(truth)), truth)
    scores = np.full((len(truth), 7), 20_000, np.int64)
    scores[np.arange(len(truth)), likeliest] = 880_000
    n = len(truth)
    return SeenCase(
        "made",
        420.0,
        np.arange(n, dtype=np.int64) * 500_000_000,
        truth,
        np.ones(n, bool),
        scores,
        np.zeros(n, np.int64),
        np.zeros((n, 4), np.float32),
    )


def test_a_filter_holds_a_phase_where_the_scores_flicker():
    case = a_case(0.15)
    found = follow(case, PROTOCOL)
    raw = case.phase_ppm.argmax(1)
    assert np.mean(found.committed == case.truth) > 0.95
    assert np.count_nonzero(np.diff(found.committed)) < np.count_nonzero(np.diff(raw)) / 10


def test_what_was_not_admitted_changes_nothing_that_was_established():
    case = a_case(0.0)
    blind = replace(case, admitted=case.admitted & ~((np.arange(840) >= 60) & (np.arange(840) < 100)))
    found = follow(blind, PROTOCOL)
    assert (found.committed[60:100] == 0).all()


def test_the_state_of_the_filter_does_not_grow():
    cost = measure_cost(PROTOCOL, 0.05, 10)
    assert cost.late_bytes <= cost.early_bytes + 4096


def test_what_was_seen_is_kept_and_read_again_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seen_cases, "SHORTEST_S", 12.0)
    monkeypatch.setattr(seen_cases, "LONGEST_S", 13.0)
    spec = CaseSpec(7100)
    (first,) = see_all("cholecystectomy", [spec], tmp_path)
    monkeypatch.setattr(seen_cases, "see", None)
    (again,) = see_all("cholecystectomy", [spec], tmp_path)
    for name in SeenCase.__slots__:
        assert np.array_equal(getattr(first, name), getattr(again, name)), name
    assert first.admitted.mean() > 0.5
    assert see(load_model("cholecystectomy"), spec).name == first.name
