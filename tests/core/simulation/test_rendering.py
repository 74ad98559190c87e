"""Labels and pixels of a synthetic picture agree, whatever else was rendered before it."""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.simulation import CLASSES, QUALITIES, TOOLS, CasePlan, Picture, Renderer, plan_case
from surgical_ml.simulation.plan import Disturbance, ToolUse

SIZE = (320, 180)
PLAN = replace(plan_case(11, duration_s=62.0), tools=())


def with_tool(tool: str, slot: int = 1) -> CasePlan:
    """The case with one tool in view all the time, and nothing else."""
    return replace(PLAN, tools=(ToolUse(tool, slot, 0.0, PLAN.duration_s),))


@pytest.fixture(scope="module")
def empty() -> Renderer:
    return Renderer(PLAN, SIZE, view="full")


@pytest.fixture(scope="module", params=TOOLS)
def pair(request: pytest.FixtureRequest, empty: Renderer) -> Iterator[tuple[str, Picture, Picture]]:
    """A tool, and the same moment with and without it."""
    yield request.param, Renderer(with_tool(request.param), SIZE, view="full").at(30.0), empty.at(30.0)


def test_a_tool_changes_the_pixels_that_its_mask_names(pair: tuple[str, Picture, Picture]) -> None:
    tool, shown, without = pair
    mask = shown.mask == CLASSES.index(tool)
    assert mask.mean() > 0.005
    changed = (shown.image != without.image).any(axis=2)
    assert changed[mask].mean() > 0.97


def test_beside_its_mask_a_tool_only_throws_a_shadow(pair: tuple[str, Picture, Picture]) -> None:
    tool, shown, without = pair
    mask = (shown.mask == CLASSES.index(tool)).astype(np.uint8)
    # Edges are smooth: the pixels next to the mask belong to both.
    beside = cv2.dilate(mask, np.ones((5, 5), np.uint8)) == 0
    change = shown.image.astype(np.int16) - without.image
    assert change[beside].max() <= 2
    # A shadow is no wider than the shaft that throws it, which is at most 0.072 heights wide, and lies beside it.
    reach = 2 * round(2.0 * 0.072 * SIZE[1]) + 1
    far = cv2.dilate(mask, np.ones((reach, reach), np.uint8)) == 0
    assert far.any()
    assert not change[far].any()


def test_beside_its_mask_a_tool_changes_no_label(pair: tuple[str, Picture, Picture]) -> None:
    tool, shown, without = pair
    outside = shown.mask != CLASSES.index(tool)
    np.testing.assert_array_equal(shown.mask[outside], without.mask[outside])
    assert CLASSES.index(tool) not in without.mask


def test_the_tip_lies_on_the_tool_or_between_its_jaws(pair: tuple[str, Picture, Picture]) -> None:
    tool, shown, without = pair
    ((name, x, y),) = shown.tips
    assert name == tool
    rows, columns = np.nonzero(shown.mask == CLASSES.index(tool))
    nearest = np.hypot(columns + 0.5 - x, rows + 0.5 - y).min()
    assert nearest < 0.072 * SIZE[1]
    assert without.tips == ()


@settings(max_examples=10, deadline=None)
@given(moments=st.lists(st.integers(0, 60_000), min_size=2, max_size=4, unique=True))
def test_a_moment_looks_the_same_whatever_was_rendered_before(empty: Renderer, moments: list[int]) -> None:
    forwards = {ms: empty.at(ms / 1000) for ms in moments}
    for ms in reversed(moments):
        again = empty.at(ms / 1000)
        np.testing.assert_array_equal(again.image, forwards[ms].image)
        np.testing.assert_array_equal(again.mask, forwards[ms].mask)
        assert again.tips == forwards[ms].tips


def test_another_renderer_of_the_same_plan_draws_the_same_and_of_another_seed_something_else(empty: Renderer) -> None:
    same = Renderer(PLAN, SIZE, view="full").at(20.0)
    other = Renderer(replace(PLAN, seed=12), SIZE, view="full").at(20.0)
    np.testing.assert_array_equal(same.image, empty.at(20.0).image)
    np.testing.assert_array_equal(same.mask, empty.at(20.0).mask)
    assert (other.image != same.image).mean() > 0.5


@pytest.mark.parametrize("view", ["circle", "box"])
def test_outside_the_field_of_view_there_is_nothing_to_see_and_no_label(view: str) -> None:
    renderer = Renderer(with_tool("grasper"), SIZE, view=view)
    picture = renderer.at(30.0)
    x, y, width, height = renderer.content_box
    assert (width, height) != SIZE
    outside = np.ones(SIZE[::-1], bool)
    outside[y : y + height, x : x + width] = False
    assert not picture.image[outside].any()
    assert not picture.mask[outside].any()
    assert picture.image.any(axis=2)[y : y + height, x : x + width].mean() > 0.7


@pytest.mark.parametrize("kind", QUALITIES)
def test_a_disturbance_is_told_with_its_strength_and_moves_no_label(empty: Renderer, kind: str) -> None:
    disturbed = replace(PLAN, disturbances=(Disturbance(kind, 10.0, 50.0, 0.75),))
    picture = Renderer(disturbed, SIZE, view="full").at(30.0)
    assert picture.quality == tuple(0.75 * (name == kind) for name in QUALITIES)
    assert picture.in_body
    np.testing.assert_array_equal(picture.mask, empty.at(30.0).mask)
    assert np.abs(picture.image.astype(np.int16) - empty.at(30.0).image).mean() > 2


def test_out_of_the_body_nothing_is_labelled() -> None:
    away = replace(with_tool("hook"), disturbances=(Disturbance("out_of_body", 10.0, 50.0, 1.0),))
    renderer = Renderer(away, SIZE, view="full")
    picture = renderer.at(30.0)
    assert not picture.in_body
    assert not picture.mask.any()
    assert picture.tips == ()
    assert renderer.at(5.0).in_body


def test_a_structure_is_seen_once_it_is_freed(empty: Renderer) -> None:
    dissection = next(segment for segment in PLAN.segments if segment.phase == 1)
    vessels = {CLASSES.index("cystic_duct"), CLASSES.index("cystic_artery")}
    assert not vessels & set(np.unique(empty.at(1.0).mask))
    assert vessels <= set(np.unique(empty.at(dissection.end_s).mask))
