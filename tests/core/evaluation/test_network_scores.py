"""What a model's networks are worth on held-out cases: each number is what its name says."""

from dataclasses import replace

import numpy as np
import pytest

from surgical_ml.engine import load_model
from surgical_ml.evaluation.network_cases import CONDITIONS, CaseSpec, NetworkCase, run_cases
from surgical_ml.evaluation.network_scores import score_networks

SPEC = CaseSpec(seconds=12, fps=2, look="plain", size=(320, 180))


@pytest.fixture(scope="module")
def model():
    return load_model("cholecystectomy")


def a_case(model, frames=60, **changed):
    """Every frame clean, one grasper and the liver there and found, all that is asked answered right."""
    manifest = model.manifest
    classes, tools = len(manifest.segmentation), len(manifest.tools)
    area = np.zeros((frames, classes), np.int64)
    area[:, [0, 1, 1 + tools]] = 100
    present = np.zeros((frames, tools), bool)
    present[::2, 0] = True
    conditions = np.zeros((frames, len(CONDITIONS)), bool)
    conditions[:, 0] = True
    values = {
        "seed": 1,
        "conditions": conditions,
        "in_body": np.arange(frames) >= 10,
        "in_body_score": np.where(np.arange(frames) >= 10, 0.9, 0.1),
        "overlap": area,
        "union": area,
        "instrument_overlap": area[:, 1],
        "instrument_union": area[:, 1],
        "present": present,
        "presence_score": present * 0.8,
        "tip_frame": np.arange(10, frames),
        "tip_error": np.full(frames - 10, 0.004),
        "tips_extra": 0,
        "phase": np.arange(frames) // 30,
        "likeliest": np.arange(frames) // 30,
        "committed": np.arange(frames) // 30,
        "refused": np.zeros(frames, bool),
    }
    return NetworkCase(**(values | changed))


def scored(model, *cases):
    return score_networks(model.manifest, model.sha256, cases, SPEC)


def estimates(model, *cases):
    return {name: one.estimate for name, one in scored(model, *cases).overall.items()}


def test_a_network_that_is_always_right_has_every_score_at_its_best(model):
    assert estimates(model, a_case(model), a_case(model, seed=2)) == {
        "instrument_iou": 1.0,
        "tool_iou": 1.0,
        "structure_iou": 1.0,
        "presence_map": 1.0,
        "tip_error": 0.004,
        "tips_found": 1.0,
        "in_body_auroc": 1.0,
        "phase_accuracy": 100.0,
        "f1_10": 100.0,
        "over_segmentation": 1.0,
        "committed_phase_accuracy": 100.0,
        "committed_f1_10": 100.0,
        "committed_over_segmentation": 1.0,
    }


def test_a_tip_that_was_not_found_is_missing_and_has_no_error(model):
    case = a_case(model)
    errors = case.tip_error.copy()
    errors[::2] = np.nan
    found = estimates(model, replace(case, tip_error=errors))
    assert (found["tip_error"], found["tips_found"]) == (0.004, 0.5)


def test_a_class_is_worth_its_mean_over_the_frames_that_show_it_and_the_classes_their_mean(model):
    case = a_case(model)
    union = case.union.copy()
    union[20:, 2] = 50  # bipolar forceps that are not there, or were not found
    overlap = case.overlap.copy()
    overlap[:, 1] = 60
    found = scored(model, replace(case, union=union, overlap=overlap))
    assert found.overall["tool_iou"].estimate == pytest.approx((0.6 + 0.0) / 2)
    assert found.classes["grasper"] == pytest.approx(0.6)
    assert found.classes["bipolar"] == 0.0
    assert np.isnan(found.classes["hook"])


def test_a_refused_frame_has_the_answer_of_the_last_that_was_not(model):
    case = a_case(model)
    likeliest = case.likeliest.copy()
    likeliest[40:50] = -1
    assert estimates(model, replace(case, likeliest=likeliest))["phase_accuracy"] == 100.0
    likeliest[30:50] = -1
    assert estimates(model, replace(case, likeliest=likeliest))["phase_accuracy"] == 60.0


def test_what_happens_outside_the_body_is_not_held_against_masks_and_phases(model):
    case = a_case(model)
    overlap, likeliest = case.overlap.copy(), case.likeliest.copy()
    overlap[:10], likeliest[:9] = 0, 5
    found = estimates(model, replace(case, overlap=overlap, instrument_overlap=overlap[:, 1], likeliest=likeliest))
    assert found["instrument_iou"] == found["tool_iou"] == 1.0
    assert found["phase_accuracy"] == 100.0


def test_a_condition_is_told_of_its_own_frames_and_only_where_there_are_enough(model):
    case = a_case(model)
    conditions = np.zeros_like(case.conditions)
    conditions[10:50, 1], conditions[50:, 2] = True, True
    both = case.instrument_overlap.copy()
    both[10:50] = 30
    found = scored(model, replace(case, conditions=conditions, instrument_overlap=both)).conditions
    assert found["smoke"]["instrument_iou"].estimate == pytest.approx(0.3)
    assert np.isnan(found["blood"]["instrument_iou"].estimate)
    assert np.isnan(found["clean"]["instrument_iou"].estimate)


def test_what_is_seen_of_a_case_does_not_depend_on_the_number_of_workers(model):
    alone, together = (run_cases(model, [3, 4], SPEC, workers=workers) for workers in (1, 2))
    for one, other in zip(alone, together, strict=True):
        for name in NetworkCase.__slots__:
            assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "tip_error"), name
    assert alone[0].seed == 3
    assert alone[0].overlap.sum() > 0
    assert (alone[0].overlap <= alone[0].union).all()
    scores = scored(model, *alone)
    assert scores.overall["instrument_iou"].estimate > 0.3
    assert "| instrument_iou |" in scores.to_markdown()
    assert scores.flat("held")["held_instrument_iou"] == scores.overall["instrument_iou"].estimate
    assert all(np.isfinite(value) for value in scores.flat("held").values())
