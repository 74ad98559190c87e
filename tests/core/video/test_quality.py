"""Whether the input is a picture: each fault is entered and left after its own time, and one odd frame changes nothing."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.simulation import Renderer, plan_case
from surgical_ml.video import ContentTracker, Frame, Image, Quality, QualityMonitor, QualityState
from surgical_ml.video.quality import ENTER_NS, FROZEN_NS, LEAVE_NS

WIDTH, HEIGHT = 640, 360
OK = QualityState.OK
PERIOD_NS = 40_000_000
STILL = tuple(QualityState(name) for name in ("no-signal", "black", "saturated", "colour-bars", "blurred"))
"""The faults that one picture shows by itself and that persist like each other."""


def noisy(picture: np.ndarray, seed: int, sigma: float = 2.0) -> Image:
    """What a sensor makes of a scene."""
    noise = np.random.default_rng(seed).normal(0.0, sigma, (*picture.shape[:2], 1))
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def bars(colours: str, size: tuple[int, int] = (WIDTH, HEIGHT), level: int = 191, *, sides: int = 0) -> Image:
    """Upright bars named by letters (grey, yellow, cyan, green, magenta, red, blue, black `k`), between grey sides."""
    shines = {"w": "bgr", "y": "gr", "c": "bg", "g": "g", "m": "br", "r": "r", "b": "b", "k": ""}
    picture = np.full((size[1], size[0], 3), 104, np.uint8)
    edges = np.linspace(sides, size[0] - sides, len(colours) + 1).round().astype(int)
    for letter, left, right in zip(colours, edges, edges[1:], strict=False):
        picture[:, left:right] = [level if channel in shines[letter] else 0 for channel in "bgr"]
    return picture


@pytest.fixture(scope="module")
def scenes() -> list[Image]:
    """Clean, different pictures of a synthetic operation, without the noise of a sensor turned off."""
    renderer = Renderer(plan_case(7, duration_s=60.0, split="held-out"), (WIDTH, HEIGHT), view="full")
    return [renderer.at(t / 5).image for t in range(60, 75, 3)]


@pytest.fixture(scope="module")
def pictures(scenes: list[Image]) -> dict[QualityState, list[Image]]:
    """Two pictures that show each state by themselves."""
    ramp = np.linspace(235, 258, WIDTH)[None, :, None] * np.ones((HEIGHT, 1, 3))
    return {
        OK: scenes[:2],
        QualityState.NO_SIGNAL: [
            np.full((HEIGHT, WIDTH, 3), colour, np.uint8) for colour in ((255, 0, 0), (90, 90, 90))
        ],
        QualityState.BLACK: [noisy(np.full((HEIGHT, WIDTH, 3), 3.0), seed) for seed in (1, 2)],
        QualityState.SATURATED: [np.clip(ramp + more, 0, 255).astype(np.uint8) for more in (12, 14)],
        QualityState.COLOUR_BARS: [noisy(bars("wycgmrb"), seed) for seed in (1, 2)],
        QualityState.BLURRED: [cv2.GaussianBlur(scene, (0, 0), 0.05 * HEIGHT) for scene in scenes[:2]],
    }


class Input:
    """A video input; shows pictures to a monitor, one every period, and remembers what it said."""

    def __init__(self, period_ns: int = PERIOD_NS, start_ns: int = 5_000_000_000) -> None:
        self.monitor, self.content = QualityMonitor(), ContentTracker()
        self.period_ns, self.now_ns, self.index = period_ns, start_ns, 0

    def show(self, picture: Image) -> Quality:
        frame = Frame(picture, self.now_ns, self.index)
        self.now_ns, self.index = self.now_ns + self.period_ns, self.index + 1
        return self.monitor.update(frame, self.content.update(frame))

    def show_for(self, duration_ns: int, images: list[Image]) -> list[Quality]:
        """Alternate between pictures until so much time has passed since the first of them."""
        return [self.show(images[k % len(images)]) for k in range(duration_ns // self.period_ns + 1)]


@pytest.mark.parametrize("state", STILL)
def test_a_fault_is_entered_after_its_persistence_and_left_after_its_own(
    pictures: dict[QualityState, list[Image]], state: QualityState
) -> None:
    camera = Input()
    assert {quality.state for quality in camera.show_for(400_000_000, pictures[OK])} == {OK}
    began = camera.now_ns
    during = camera.show_for(ENTER_NS + PERIOD_NS, pictures[state])
    entered = next(k for k, quality in enumerate(during) if quality.state is state)
    assert {quality.state for quality in during[:entered]} == {OK}
    assert entered * PERIOD_NS == pytest.approx(ENTER_NS, abs=PERIOD_NS)
    assert during[-1] == Quality(state, began + entered * PERIOD_NS)
    after = camera.show_for(LEAVE_NS + PERIOD_NS, pictures[OK])
    left = next(k for k, quality in enumerate(after) if quality.state is OK)
    assert {quality.state for quality in after[:left]} == {state}
    assert left * PERIOD_NS == pytest.approx(LEAVE_NS, abs=PERIOD_NS)
    assert after[-1].state is OK


@settings(max_examples=20, deadline=None)
@given(data=st.data(), period_ns=st.sampled_from([16_666_667, 33_333_333, 40_000_000]))
def test_the_state_follows_what_persists_and_nothing_else(
    pictures: dict[QualityState, list[Image]], data: st.DataObject, period_ns: int
) -> None:
    """Runs of any findings, of any length: an account of the rules that is independent of how they are kept."""
    runs = data.draw(st.lists(st.tuples(st.sampled_from([OK, *STILL]), st.integers(1, 24)), min_size=1, max_size=8))
    camera = Input(period_ns)
    findings = [state for state, times in runs for _ in range(times)]
    states: list[QualityState] = []
    for k, finding in enumerate(findings):
        before = states[-1] if states else OK
        quality = camera.show(pictures[finding][k % 2])
        states.append(quality.state)
        # It only ever changes to what is seen at that moment, and says since when.
        assert quality.state in (before, finding)
        if quality.state is not before:
            assert quality.since_ns == camera.now_ns - period_ns
        same = next((n for n in range(k + 1) if findings[k - n] is not finding), k + 1)
        faulty = next((n for n in range(k + 1) if findings[k - n] is OK), k + 1)
        spans = (same - 1) * period_ns, (faulty - 1) * period_ns
        if finding is OK:
            assert quality.state is OK or spans[0] < LEAVE_NS
            assert before is OK or quality.state is before or spans[0] >= LEAVE_NS
        else:
            # What persists is named; any unbroken sequence of faults is a fault; less than that is none.
            assert quality.state is finding or spans[0] < ENTER_NS
            assert quality.state is not OK or spans[1] < ENTER_NS
            assert before is not OK or quality.state is OK or spans[1] >= ENTER_NS


@pytest.mark.parametrize("odd", STILL)
@pytest.mark.parametrize("usual", [OK, *STILL])
def test_one_odd_frame_changes_nothing(
    pictures: dict[QualityState, list[Image]], usual: QualityState, odd: QualityState
) -> None:
    camera = Input()
    camera.show_for(1_000_000_000, pictures[usual])
    for _ in range(3):
        assert camera.show(pictures[odd][0]).state is usual
        assert {quality.state for quality in camera.show_for(4 * PERIOD_NS, pictures[usual])} == {usual}


def test_one_good_frame_does_not_end_a_fault(pictures: dict[QualityState, list[Image]]) -> None:
    camera = Input()
    camera.show_for(500_000_000, pictures[QualityState.BLACK])
    states = [camera.show(pictures[kind][k % 2]).state for k in range(30) for kind in (OK, QualityState.BLACK)]
    assert set(states) == {QualityState.BLACK}


def test_faults_that_alternate_are_a_fault(pictures: dict[QualityState, list[Image]]) -> None:
    camera = Input()
    camera.show_for(500_000_000, pictures[OK])
    flicker = [pictures[QualityState.BLACK][0], pictures[QualityState.NO_SIGNAL][0]]
    assert camera.show_for(ENTER_NS + PERIOD_NS, flicker)[-1].state is not OK


def test_a_frozen_picture_is_a_fault_from_the_time_it_stands_still(scenes: list[Image]) -> None:
    camera = Input()
    camera.show_for(400_000_000, scenes)
    began = camera.now_ns
    frozen = camera.show_for(FROZEN_NS + 5 * PERIOD_NS, [noisy(scenes[0], 77)])
    entered = next(k for k, quality in enumerate(frozen) if quality.state is QualityState.FROZEN)
    assert entered * PERIOD_NS == pytest.approx(FROZEN_NS, abs=PERIOD_NS)
    assert frozen[-1] == Quality(QualityState.FROZEN, began + entered * PERIOD_NS)
    moving = camera.show_for(LEAVE_NS + PERIOD_NS, scenes)
    assert moving[0].state is QualityState.FROZEN
    assert moving[-1].state is OK


def test_one_picture_that_moves_does_not_unfreeze(scenes: list[Image]) -> None:
    camera = Input()
    camera.show_for(1_000_000_000, scenes[:1])
    assert camera.show(scenes[1]).state is QualityState.FROZEN
    assert {quality.state for quality in camera.show_for(1_000_000_000, scenes[:1])} == {QualityState.FROZEN}


@pytest.mark.parametrize("sigma", [0.3, 1.0, 5.0])
def test_the_noise_of_a_sensor_on_a_still_scene_is_not_frozen(scenes: list[Image], sigma: float) -> None:
    camera = Input()
    still = cv2.medianBlur(scenes[0], 5).astype(np.float32)
    states = {camera.show(noisy(still, seed, sigma)).state for seed in range(30)}
    assert states == {OK}


def test_a_picture_repeated_for_less_than_the_limit_is_not_frozen(scenes: list[Image]) -> None:
    """A stutter of the network, or 25 pictures a second on a 60 Hz output."""
    camera = Input()
    states = {camera.show(scenes[(k // 9) % len(scenes)]).state for k in range(90)}
    assert states == {OK}


def test_noise_alone_is_not_frozen_nor_without_signal() -> None:
    camera = Input()
    states = {camera.show(noisy(np.full((HEIGHT, WIDTH, 3), 120.0), seed, 30.0)).state for seed in range(20)}
    assert states.isdisjoint({QualityState.FROZEN, QualityState.NO_SIGNAL})


def test_another_size_counts_at_once_and_lasts_until_the_first_one_is_back(scenes: list[Image]) -> None:
    camera = Input()
    camera.show_for(400_000_000, scenes)
    smaller = [np.ascontiguousarray(scene[::2, ::2]) for scene in scenes]
    assert camera.show(smaller[0]).state is QualityState.WRONG_SIZE
    assert {quality.state for quality in camera.show_for(2_000_000_000, smaller)} == {QualityState.WRONG_SIZE}
    back = camera.show_for(LEAVE_NS + PERIOD_NS, scenes)
    assert back[0].state is QualityState.WRONG_SIZE
    assert back[-1].state is OK


@pytest.mark.parametrize(
    "picture",
    [
        bars("wycgmrb"),
        bars("wycgmrb", level=255),
        bars("wycgmrbk", level=255),
        bars("wycgmrb", sides=WIDTH // 8),
        bars("wycgmrb", (1920, 1080)),
        bars("wycgmrb", (720, 576)),
    ],
    ids=["SMPTE 75 %", "SMPTE 100 %", "EBU 100 %", "RP 219", "HD", "SD"],
)
def test_the_bars_of_each_standard_are_colour_bars(picture: Image) -> None:
    camera = Input()
    shown = camera.show_for(ENTER_NS + PERIOD_NS, [noisy(picture, 1), noisy(picture, 2)])
    assert shown[-1].state is QualityState.COLOUR_BARS


def test_other_stripes_are_not_colour_bars() -> None:
    for order in ("bgrmcyw", "wwyyccg", "rrrrrrr"):
        camera = Input()
        picture = bars(order)
        states = {camera.show(noisy(picture, seed)).state for seed in range(10)}
        assert QualityState.COLOUR_BARS not in states


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("view", ["full", "circle", "box"])
def test_clean_pictures_of_an_operation_are_ok(seed: int, view: str) -> None:
    renderer = Renderer(plan_case(seed, duration_s=60.0, split="held-out"), (WIDTH, HEIGHT), view=view)
    camera = Input()
    assert {camera.show(renderer.at(12.0 + 9.0 * k).image).state for k in range(5)} == {OK}


@pytest.mark.parametrize("sigma", [0.0, 3.0])
def test_a_picture_out_of_focus_is_blurred_and_a_noisy_sharp_one_is_not(scenes: list[Image], sigma: float) -> None:
    def states(change: Callable[[Image], Image]) -> set[QualityState]:
        camera = Input()
        shown = [camera.show(noisy(change(scenes[k % len(scenes)]), k, sigma)).state for k in range(8)]
        return set(shown[4:])

    assert states(lambda scene: cv2.GaussianBlur(scene, (0, 0), 0.05 * HEIGHT)) == {QualityState.BLURRED}
    assert states(lambda scene: scene) == {OK}


@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 50), height=st.integers(1, 50), seed=st.integers(0, 2**32 - 1))
def test_no_picture_is_too_small_to_be_judged(width: int, height: int, seed: int) -> None:
    camera = Input()
    for k in range(3):
        picture = np.random.default_rng([seed, k]).integers(0, 256, (height, width, 3), np.uint8)
        assert camera.show(picture).state in QualityState
