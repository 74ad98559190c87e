"""A training may mix the two looks of a simulation, case by case and by seed, and the card of its model says so."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install 'surgical_ml[train]')")
pytest.importorskip("albumentations", reason="needs albumentations (pip install 'surgical_ml[train]')")

from surgical_ml.errors import InputError  # noqa: E402
from surgical_ml.learning import recipe  # noqa: E402
from surgical_ml.learning.frame_net import FrameNet  # noqa: E402
from surgical_ml.learning.frames import ANY_TOOL, Frames, look_of, render_frames  # noqa: E402
from surgical_ml.learning.train_phase import see_case  # noqa: E402
from surgical_ml.simulation import TOOLS  # noqa: E402

pytestmark = pytest.mark.train
FIRST = 300
"""A seed whose case is plain; the two after it are rich."""


def test_two_cases_in_three_are_rich_wherever_a_training_begins():
    for first in (0, 100_000, 900_001, 940_002):
        looks = [look_of("mixed", seed) for seed in range(first, first + 30)]
        assert (looks.count("rich"), looks.count("plain")) == (20, 10)


@pytest.mark.parametrize("look", ["plain", "rich"])
def test_a_training_of_one_look_has_that_look_in_every_case(look):
    assert {look_of(look, seed) for seed in range(9)} == {look}


def test_a_look_that_does_not_exist_is_refused_before_anything_is_rendered(tmp_path):
    with pytest.raises(InputError, match=r"look: expected one of \['plain', 'rich', 'mixed'\], found real"):
        render_frames(tmp_path, "train", first_seed=0, cases=1, frames=1, look="real", workers=1)
    assert not list(tmp_path.iterdir())


def test_both_halves_of_the_held_out_cases_hold_both_looks():
    """One half is what limits are fitted on, the other what scores are stated for: the places of cases, even and odd."""
    for half in (0, 1):
        looks = [look_of("mixed", 900_000 + k) for k in range(60) if k % 2 == half]
        assert (looks.count("rich"), looks.count("plain")) == (20, 10)


@pytest.mark.parametrize("split", ["train", "held-out"])
def test_a_mixed_folder_holds_each_case_as_its_own_look_would_render_it(tmp_path, split):
    for look in ("plain", "rich", "mixed"):
        render_frames(tmp_path / look, split, first_seed=FIRST, cases=2, frames=2, look=look, workers=1)
    assert sorted(path.name for path in (tmp_path / "mixed").iterdir()) == ["300", "301"]
    plain, rich, mixed = (Frames.load(tmp_path / look).image for look in ("plain", "rich", "mixed"))
    assert np.array_equal(mixed[:2], plain[:2])
    assert np.array_equal(mixed[2:], rich[2:])
    assert not np.array_equal(plain, rich)


def test_in_a_mixed_training_rich_cases_teach_where_instruments_are_and_not_which(tmp_path):
    for look in ("rich", "mixed"):
        render_frames(tmp_path / look, "train", first_seed=FIRST, cases=2, frames=3, look=look, workers=1)
    rich, mixed = (Frames.load(tmp_path / look) for look in ("rich", "mixed"))
    tools = (rich.mask[3:] >= 1) & (rich.mask[3:] <= len(TOOLS))
    assert tools.any()
    assert (mixed.mask[3:][tools] == ANY_TOOL).all()
    assert np.array_equal(mixed.mask[3:][~tools], rich.mask[3:][~tools])
    assert np.isnan(mixed.presence[3:]).all()
    assert (mixed.tips_known == [1, 1, 1, 0, 0, 0]).all()
    assert not np.isnan(mixed.presence[:3]).any()


def test_a_case_that_the_phase_network_learns_from_has_the_look_of_its_seed():
    torch.manual_seed(0)
    net = FrameNet().eval()

    def features(seed, look):
        return see_case(net, seed, "held-out", 2, disturbed=False, look=look).features

    for seed, own, other in ((FIRST, "plain", "rich"), (FIRST + 1, "rich", "plain")):
        mixed = features(seed, "mixed")
        assert torch.equal(mixed, features(seed, own))
        assert not torch.equal(mixed, features(seed, other))


def test_the_card_says_which_looks_a_network_learned_from():
    scores = {"novelty_false_alarms": 0.0, "novelty_false_alarms_95_upper": 0.01}
    said = recipe.card(scores, recipe.Amounts(), recipe.Source(look="mixed"), Path("some/1"))
    assert "two cases in three in the rich look, which teach where instruments are and not which" in said
    assert "sofa_env" not in said
    with_meshes = recipe.card(
        scores, recipe.Amounts(), recipe.Source(look="mixed", meshes=Path("meshes")), Path("some/1")
    )
    assert "github.com/ScheiklP/sofa_env\nat 85bf7e05 (MIT licence" in with_meshes
    assert "in the plain look, augmented" in recipe.card(scores, recipe.Amounts(), recipe.Source(), Path("some/1"))


def test_the_recipe_takes_the_mixed_look_from_the_command_line(tmp_path, monkeypatch, capsys):
    taken = []
    monkeypatch.setattr(recipe, "make", lambda *given: taken.append(given) or {"phase_accuracy_mean": 0.5})
    monkeypatch.setattr(sys, "argv", ["recipe", str(tmp_path), "some/1", "--look", "mixed"])
    recipe.main()
    assert taken == [(tmp_path, Path("some/1"), recipe.Amounts(), recipe.Source(look="mixed"))]
    assert json.loads(capsys.readouterr().out) == {"phase_accuracy_mean": 0.5}
