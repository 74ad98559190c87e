"""Encoders, losses and augmentation of the frame network; and a run that goes on where it was broken off."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install 'surgical_ml[train]')")
pytest.importorskip("albumentations", reason="needs albumentations (pip install 'surgical_ml[train]')")

from pathlib import Path  # noqa: E402

from surgical_ml.errors import InputError  # noqa: E402
from surgical_ml.learning.augment import CORRUPTIONS, CircularMask, Placement, augment, pipeline  # noqa: E402
from surgical_ml.learning.classes import SIMULATED  # noqa: E402
from surgical_ml.learning.encoders import ENCODERS, Encoder, check_encoder, make_encoder  # noqa: E402
from surgical_ml.learning.frame_net import FrameNet  # noqa: E402
from surgical_ml.learning.frames import ANY_TOOL, IGNORED, NOT_A_TOOL, Frames, StoredFrames, sample, store  # noqa: E402
from surgical_ml.learning.loop import Place, Schedule  # noqa: E402
from surgical_ml.learning.losses import dice_loss, frame_losses, known_bce, mask_loss  # noqa: E402
from surgical_ml.learning.restore import restore_frame_net  # noqa: E402
from surgical_ml.learning.run_folder import RunFolder  # noqa: E402
from surgical_ml.learning.train_frame import rows_of_step, tensors, train_frame  # noqa: E402
from surgical_ml.places import shared_folder  # noqa: E402
from surgical_ml.simulation import Renderer, plan_case  # noqa: E402

pytestmark = pytest.mark.train
TOOLS, QUALITIES = len(SIMULATED.tools), SIMULATED.qualities
HOOK = SIMULATED.segmentation.index("hook")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Two cases of four rendered frames each."""
    folder = tmp_path_factory.mktemp("frames")
    for seed in (3, 4):
        renderer = Renderer(plan_case(seed, duration_s=60), (400, 320))
        store(folder / str(seed), [sample(renderer, t) for t in np.linspace(5, 50, 4)])
    return folder


@pytest.fixture(scope="module")
def frames(stored):
    return Frames.load(stored)


@pytest.mark.parametrize("name", list(ENCODERS))
def test_an_encoder_gives_four_maps_and_the_network_its_grid(name):
    check_encoder(make_encoder(name))
    net = FrameNet(encoder=name).eval()
    with torch.inference_mode():
        out = net(torch.zeros(1, 3, 192, 320))
    assert out["segmentation"].shape == (1, len(SIMULATED.segmentation), 48, 80)
    assert out["tips"].shape == (1, TOOLS, 48, 80)


def test_any_module_that_fits_is_an_encoder_and_one_that_does_not_is_refused():
    class Pools(Encoder):
        channels = (3, 3, 3, 3)

        def forward(self, image):
            return tuple(torch.nn.functional.avg_pool2d(image, s) for s in (4, 8, 16, 32))

    assert FrameNet(encoder=Pools()).eval()(torch.zeros(1, 3, 64, 64))["tips"].shape == (1, TOOLS, 16, 16)
    Pools.channels = (3, 3, 3, 4)
    with pytest.raises(InputError, match="Pools: expected maps of"):
        FrameNet(encoder=Pools())
    with pytest.raises(InputError, match="ddrnet-23-slim, found resnet"):
        FrameNet(encoder="resnet")


def test_the_accuracy_net_is_of_the_size_that_is_published():
    weights = sum(parameter.numel() for parameter in make_encoder("ddrnet-23-slim").parameters())
    assert 5.0e6 < weights < 6.2e6


def test_the_shipped_network_is_restored_though_its_encoder_had_no_name(frames):
    image, _ = tensors(frames)
    net = restore_frame_net(Path(shared_folder("models")) / "cholecystectomy/1/frame.onnx", image)
    with torch.inference_mode():
        guess = net(image)["segmentation"].argmax(1).numpy()
    assert (guess == frames.mask).mean() > 0.9


def logits_of(mask, sure=12.0):
    """(1, classes, h, w) that are sure of the classes of a mask."""
    return sure * torch.nn.functional.one_hot(mask, len(SIMULATED.segmentation)).permute(2, 0, 1)[None].float()


def test_a_tool_of_unknown_type_may_be_any_tool_but_nothing_else():
    some = torch.full((1, 4, 4), ANY_TOOL)
    hook, liver = torch.full((4, 4), HOOK), torch.full((4, 4), SIMULATED.segmentation.index("liver"))
    assert mask_loss(logits_of(hook), some) < 0.01
    assert mask_loss(logits_of(torch.full((4, 4), 1)), some) < 0.01
    assert mask_loss(logits_of(liver), some) > 5


def test_where_no_tool_is_organs_may_be_anything():
    none = torch.full((1, 4, 4), NOT_A_TOOL)
    for name in ("background", "liver", "cystic_duct"):
        assert mask_loss(logits_of(torch.full((4, 4), SIMULATED.segmentation.index(name))), none) < 0.01
    assert mask_loss(logits_of(torch.full((4, 4), HOOK)), none) > 5


def test_what_nobody_knows_costs_nothing_and_teaches_nothing():
    logits = torch.randn(1, len(SIMULATED.segmentation), 4, 4, requires_grad=True)
    nothing = torch.full((1, 4, 4), IGNORED)
    loss = mask_loss(logits, nothing) + dice_loss(logits, nothing)
    loss = loss + known_bce(logits, torch.full_like(logits, torch.nan))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert not logits.grad.any()


def test_dice_is_zero_for_the_truth_and_one_for_its_opposite():
    mask = torch.zeros(4, 4, dtype=torch.long)
    mask[:2] = HOOK
    assert dice_loss(logits_of(mask, 30), mask[None]) < 0.01
    assert dice_loss(logits_of(mask.flip(0), 30), mask[None]) > 0.85


def test_a_frame_of_which_only_the_mask_is_known_has_a_loss_from_the_mask_only(frames):
    image, truth = tensors(frames.take(np.array([0, 1])))
    for name in ("presence", "quality", "in_body", "state"):
        truth[name] = torch.full_like(truth[name], torch.nan)
    truth["phase"] = torch.full_like(truth["phase"], -1)
    truth["tips_known"] = torch.zeros(2)
    losses = frame_losses(FrameNet().eval()(image), truth)
    assert {name for name, value in losses.items() if float(value.detach())} == {"mask", "dice"}


def test_augmentation_is_the_same_for_the_same_seed_and_another_for_another(frames):
    steps = pipeline()
    seeds = np.arange(len(frames))
    first, again, other = (augment(frames, s, QUALITIES, steps) for s in (seeds, seeds, seeds + 50))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_changes_the_picture_and_nothing_else(frames, kind):
    step = kind(p=1.0, weakest=0.8)
    step.set_random_seed(4)
    done = step(image=frames.image[1], mask=frames.mask[1])
    assert done["image"].shape == frames.image[1].shape
    assert done["image"].dtype == np.uint8
    assert not np.array_equal(done["image"], frames.image[1])
    assert np.array_equal(done["mask"], frames.mask[1])


@pytest.mark.parametrize(("kind", "quality"), [(kind, kind.quality) for kind in CORRUPTIONS if kind.quality])
def test_a_frame_that_is_made_worse_is_said_to_be_worse(frames, kind, quality):
    import albumentations as A

    steps = A.Compose(
        [kind(p=1.0, weakest=0.7)],
        additional_targets={"tips": "mask"},
        is_check_shapes=False,
        save_applied_params=True,
    )
    done = augment(frames, np.arange(len(frames)), QUALITIES, steps)
    column = QUALITIES.index(quality)
    assert (done.quality[:, column] >= 0.7).all()
    rest = np.delete(np.arange(len(QUALITIES)), column)
    assert np.array_equal(done.quality[:, rest], frames.quality[:, rest])


def test_mask_and_tips_move_with_the_picture():
    """A white square is a hook with a tip in its middle, wherever it goes."""
    image, mask = np.zeros((192, 320, 3), np.uint8), np.zeros((48, 80), np.uint8)
    tips = np.zeros((48, 80, TOOLS), np.uint8)
    image[80:112, 140:180], mask[20:28, 35:45], tips[23:25, 39:41, 2] = 255, HOOK, 255
    for seed in range(8):
        step = Placement(p=1.0)
        step.set_random_seed(seed)
        image2, mask2 = step.apply(image, **(params := step.get_params())), None
        mask2, tips2 = step.apply_to_mask(mask, **params), step.apply_to_mask(tips, **params)
        small = image2[2::4, 2::4, 0] > 127
        both = np.count_nonzero(small & (mask2 == HOOK)) / np.count_nonzero(small | (mask2 == HOOK))
        assert both > 0.75
        middle = np.argwhere(small).mean(0)
        tip = np.argwhere(tips2[..., 2] == tips2[..., 2].max()).mean(0)
        assert np.hypot(*(middle - tip)) < 1.5


def test_what_lies_outside_a_round_view_is_in_no_mask():
    step = CircularMask(p=1.0)
    step.set_random_seed(1)
    params = step.get_params()
    image = step.apply(np.full((192, 320, 3), 200, np.uint8), **params)
    mask = step.apply_to_mask(np.full((48, 80), HOOK, np.uint8), **params)
    tips = step.apply_to_mask(np.full((48, 80, TOOLS), 255, np.uint8), **params)
    assert 0.2 < (mask > 0).mean() < 1.0
    assert ((image[2::4, 2::4, 0] > 0) == (mask > 0)).mean() > 0.98
    assert np.array_equal(tips[..., 0] > 0, mask > 0)


def test_frames_of_a_folder_are_taken_from_disk_in_the_order_that_is_asked_for(stored, frames):
    store_ = StoredFrames(stored)
    rows = np.array([6, 0, 3])
    taken = store_.take(rows)
    assert all(np.array_equal(getattr(taken, n), getattr(frames, n)[rows], equal_nan=True) for n in ("image", "phase"))
    assert store_.case_of.tolist() == [0] * 4 + [1] * 4
    with pytest.raises(InputError, match="a folder of frames for each case"):
        StoredFrames(stored / "3")


def test_every_frame_is_taken_once_before_any_comes_again():
    taken = np.concatenate([rows_of_step(12, 4, step, seed=1) for step in range(3)])
    assert sorted(taken.tolist()) == list(range(12))
    assert len(rows_of_step(3, 8, 0, seed=1)) == 8
    assert not np.array_equal(rows_of_step(12, 4, 0, seed=1), rows_of_step(12, 4, 3, seed=1))


def test_training_on_frames_goes_on_bit_for_bit_and_the_loss_falls(stored, tmp_path):
    class BrokenOff(Exception):
        pass

    def stop(line):
        if line.startswith("step 2/"):
            raise BrokenOff

    def train(folder, say):
        torch.manual_seed(0)
        run = RunFolder(folder, {}, resume=True)
        place, schedule = Place(0, 1, torch.device("cpu")), Schedule(6, warm_up=1, every=2)
        net = train_frame(StoredFrames(stored), FrameNet(), run, schedule, place, batch=4, say=say)
        return net.state_dict(), [row["loss"] for row in run.metrics()]

    whole, losses = train(tmp_path / "whole", lambda line: None)
    with pytest.raises(BrokenOff):
        train(tmp_path / "broken", stop)
    resumed, again = train(tmp_path / "broken", lambda line: None)
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert losses == again
    assert losses[-1] < losses[0]
