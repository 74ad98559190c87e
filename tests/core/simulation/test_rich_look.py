"""In the rich look labels and pixels agree, poses are those of the camera that drew them, and held-out looks are other ones."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from surgical_ml.errors import InputError
from surgical_ml.simulation import (
    CLASSES,
    PARTS,
    RICH_DISTURBANCES,
    SCENES,
    TOOLS,
    CasePlan,
    Picture,
    Renderer,
    plan_case,
)
from surgical_ml.simulation.plan import Disturbance, ToolUse

SIZE = (320, 192)
PLAN = replace(plan_case(11, duration_s=62.0, look="rich"), tools=())


def with_tools(*tools: str, seed: int = 11) -> CasePlan:
    """The case with tools in view all the time, one a hand, and nothing else."""
    uses = tuple(ToolUse(tool, slot, 0.0, PLAN.duration_s) for tool, slot in zip(tools, (1, 0), strict=False))
    return replace(PLAN, tools=uses, seed=seed)


def bare(plan: CasePlan, size: tuple[int, int] = SIZE) -> Renderer:
    """A renderer whose instruments are pasted hard, move no tissue and throw no shadow, and whose optics add nothing."""
    renderer = Renderer(plan, size, view="full")
    scene = renderer._scene
    scene._feather = scene._give = scene._shadow = 0.0
    scene._events = ()
    optics = scene._optics
    optics._bloom = optics._softness = optics._sharpen = optics._noise = 0.0
    optics._coarse, optics._sometimes_interlaced = 0.0, False
    return renderer


@pytest.fixture(scope="module", params=[(tool, seed) for tool in TOOLS for seed in (11, 14)])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[str, Picture, Picture]]:
    """A tool, and the same moment with and without it, through bare optics."""
    tool, seed = request.param
    yield tool, bare(with_tools(tool, seed=seed)).at(30.5), bare(replace(PLAN, seed=seed)).at(30.5)


def test_pixels_differ_from_the_empty_scene_inside_the_mask_and_nowhere_else(
    pair: tuple[str, Picture, Picture],
) -> None:
    tool, shown, without = pair
    mask = shown.mask == CLASSES.index(tool)
    assert mask.mean() > 0.003
    changed = (shown.image != without.image).any(axis=2)
    assert not changed[~mask].any()
    assert changed[mask].mean() > 0.98


def test_parts_cover_a_tool_exactly_and_labels_beside_it_stay(pair: tuple[str, Picture, Picture]) -> None:
    tool, shown, without = pair
    mask = shown.mask == CLASSES.index(tool)
    np.testing.assert_array_equal(shown.parts > 0, mask)
    np.testing.assert_array_equal(shown.mask[~mask], without.mask[~mask])
    assert shown.parts.max() < len(PARTS)
    assert not without.parts.any()
    if tool == "specimen_bag":
        assert (shown.parts == PARTS.index("other")).sum() > 20


def test_the_tip_lies_at_its_tool(pair: tuple[str, Picture, Picture]) -> None:
    tool, shown, without = pair
    ((name, x, y),) = shown.tips
    assert name == shown.arms[0].tool == tool
    rows, columns = np.nonzero(shown.mask == CLASSES.index(tool))
    assert np.hypot(columns - x, rows - y).min() < 0.16 * SIZE[1]
    assert without.tips == without.arms == ()


@pytest.mark.parametrize("seed", range(4))
def test_metric_tips_project_through_the_stated_intrinsics(seed: int) -> None:
    renderer = Renderer(with_tools("grasper", "hook", seed=seed), SIZE, view="full")
    picture = renderer.at(20.0)
    shown = {tool: (x, y) for tool, x, y in picture.tips}
    assert shown
    for arm in picture.arms:
        projected = renderer.camera.project(np.array([arm.tip_m], np.float32))[0]
        if arm.tool in shown:
            np.testing.assert_allclose(projected, shown[arm.tool], atol=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_the_camera_pose_says_where_on_the_field_a_pixel_looks(seed: int) -> None:
    renderer = Renderer(replace(PLAN, seed=seed), SIZE, view="full")
    scene = renderer._scene
    points = []
    for t_s in (3.0, 31.0):
        # A mark that lies still on the canvas, followed to the picture and back into the field.
        mark = np.array([*(np.array(scene._canvas_size) / 2 + (9.0, -14.0)), 1.0])
        matrix, depth = scene._motion(t_s)
        x, y = matrix @ mark
        pose = np.array(renderer.at(t_s).camera).reshape(3, 4)
        seen = np.append(renderer.camera.point(x, y, depth / 1000), 1.0)
        points.append(pose @ seen)
    np.testing.assert_allclose(points[0], points[1], atol=2e-6)
    assert abs(points[0][2]) < 1e-6
    np.testing.assert_allclose(pose[:, :3] @ pose[:, :3].T, np.eye(3), atol=1e-6)


@pytest.mark.parametrize("scene", SCENES[:3])
def test_a_moment_looks_the_same_whatever_was_rendered_before(scene: str) -> None:
    plan = plan_case(5, duration_s=62.0, look="rich", scene=scene, disturbances=RICH_DISTURBANCES)
    renderer = Renderer(plan, SIZE)
    forwards = {t_s: renderer.at(t_s) for t_s in (4.0, 30.0, 58.0)}
    again = Renderer(plan, SIZE)
    for t_s in (58.0, 4.0, 30.0):
        picture = again.at(t_s)
        np.testing.assert_array_equal(picture.image, forwards[t_s].image)
        np.testing.assert_array_equal(picture.parts, forwards[t_s].parts)
        assert (picture.arms, picture.camera, picture.tips) == (
            forwards[t_s].arms,
            forwards[t_s].camera,
            forwards[t_s].tips,
        )


@pytest.mark.parametrize("kind", ["smoke", "blood", "blur", "dark", "overexposed", *RICH_DISTURBANCES])
def test_a_disturbance_changes_the_picture_and_no_label(kind: str) -> None:
    plan = with_tools("scissors")
    disturbed = replace(plan, disturbances=(Disturbance(kind, 10.0, 50.0, 0.9),))
    clear, spoilt = (Renderer(one, SIZE, view="full").at(30.0) for one in (plan, disturbed))
    np.testing.assert_array_equal(spoilt.mask, clear.mask)
    np.testing.assert_array_equal(spoilt.parts, clear.parts)
    assert np.abs(spoilt.image.astype(np.int16) - clear.image).mean() > 0.3
    assert spoilt.quality == tuple(0.9 * (name == kind) for name in ("smoke", "blood", "blur", "dark", "overexposed"))


def test_only_an_operation_has_structures() -> None:
    structures = {CLASSES.index(name) for name in ("liver", "gallbladder", "cystic_duct", "cystic_artery")}
    for scene in ("tissue", "texture"):
        picture = Renderer(plan_case(3, duration_s=62.0, look="rich", scene=scene), SIZE).at(30.0)
        assert not structures & set(np.unique(picture.mask))
    operation = Renderer(plan_case(3, duration_s=62.0, look="rich"), SIZE, view="full").at(30.0)
    assert len(structures & set(np.unique(operation.mask))) >= 2


def test_a_users_pictures_are_seen_behind_the_instruments() -> None:
    plan = replace(plan_case(8, duration_s=62.0, look="rich", scene="images"), tools=())
    dark, bright = (np.full((360, 640, 3), level, np.uint8) for level in (30, 200))
    shown = [Renderer(plan, SIZE, view="full", backgrounds=[image]).at(30.0).image.mean() for image in (dark, bright)]
    assert shown[1] > 1.5 * shown[0]
    with pytest.raises(InputError, match="backgrounds: expected at least one picture"):
        Renderer(plan, SIZE)
    with pytest.raises(InputError, match=r"look: expected rich, .*found plain"):
        Renderer(plan_case(8), SIZE, backgrounds=[dark])


def test_out_of_the_body_nothing_is_labelled() -> None:
    away = replace(with_tools("hook"), disturbances=(Disturbance("out_of_body", 10.0, 50.0, 1.0),))
    picture = Renderer(away, SIZE, view="full").at(30.0)
    assert not picture.in_body
    assert not picture.mask.any() and not picture.parts.any()
    assert picture.tips == picture.arms == ()


@pytest.mark.parametrize("view", ["circle", "box"])
def test_outside_the_field_of_view_there_is_nothing_to_see_and_no_label(view: str) -> None:
    renderer = Renderer(with_tools("grasper"), SIZE, view=view)
    picture = renderer.at(30.0)
    x, y, width, height = renderer.content_box
    outside = np.ones(SIZE[::-1], bool)
    outside[y : y + height, x : x + width] = False
    assert outside.any()
    assert not picture.image[outside].any() and not picture.mask[outside].any() and not picture.parts[outside].any()
