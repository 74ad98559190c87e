"""No-go zones: read or refused in one line, and as far away as a ruler says."""

import math

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.errors import InputError
from surgical_ml.geometry import Interval, Tracker, read_zones
from surgical_ml.geometry.tracker import ARM_NS
from surgical_ml.perception import Observation, SeenInstrument

SIZE = (320, 192)
SQUARE = [[100, 50], [140, 50], [140, 90], [100, 90]]
BALL = {
    "name": "artery",
    "arm": "PSM1",
    "centre_m": [0.0, 0.0, 0.1],
    "radius_m": 0.005,
    "margin_m": 0.002,
    "sd_m": 0.0005,
}
ZONE = {"schema": "surgical_ml/zones@1", "image_size": list(SIZE)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("zones")


def written(folder, **values):
    path = folder / "zones.yaml"
    path.write_text(yaml.safe_dump(ZONE | values), "utf-8")
    return path


def square(folder, margin_px=10):
    return read_zones(written(folder, picture=[{"name": "duct", "polygon_px": SQUARE, "margin_px": margin_px}]))


@given(st.integers(0, SIZE[0] - 1), st.integers(0, SIZE[1] - 1))
def test_a_tip_is_as_far_from_a_drawn_zone_as_a_ruler_says(tmp_path_factory, x, y):
    zones = square(tmp_path_factory.getbasetemp())
    ((name, found, within),) = zones.near((x, y))
    true = math.hypot(max(100 - x, 0, x - 140), max(50 - y, 0, y - 90))
    assert name == "duct"
    assert abs(found - true) <= 0.6
    assert within == (true <= 10)


def test_a_mask_is_a_zone_like_the_polygon_that_it_was_drawn_with(folder):
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    cv2.fillPoly(mask, [np.array(SQUARE, np.int32)], 255)
    cv2.imwrite(str(folder / "duct.png"), mask)
    drawn = read_zones(written(folder, picture=[{"name": "duct", "mask": "duct.png", "margin_px": 10}]))
    for tip in [(5, 5), (120, 60), (139, 91), (300, 180)]:
        assert drawn.near(tip) == square(folder).near(tip)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"picture": [{"name": "duct"}]}, "polygon_px or mask, found neither"),
        ({"picture": [{"name": "duct", "polygon_px": SQUARE, "mask": "x.png"}]}, "polygon_px or mask, found both"),
        ({"picture": [{"name": "duct", "mask": "x.png"}]}, "a mask of 320 x 192 pixels, found no picture"),
        ({"picture": [{"name": "The long name of one duct", "polygon_px": SQUARE}]}, "picture.0.name"),
        ({"picture": [{"name": "duct", "polygon_px": [[900, 900], [901, 900], [900, 901]]}]}, "inside of the picture"),
        ({"picture": [{"name": "duct", "polygon_px": SQUARE}], "image_size": None}, "image_size"),
        ({"robot": [BALL, BALL]}, "each name once"),
        ({"robot": [BALL | {"sd_m": 0}]}, "robot.0.sd_m"),
        ({"schema": "surgical_ml/zones@2"}, "schema"),
        ({"action": "stop"}, "action"),
    ],
)
def test_a_file_that_is_not_what_it_must_be_is_refused_in_one_line(folder, values, told):
    with pytest.raises(InputError) as error:
        read_zones(written(folder, **values))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_zones_that_differ_have_digests_that_differ(folder):
    assert square(folder).sha256 == square(folder).sha256
    assert square(folder).sha256 != square(folder, margin_px=11).sha256


def test_the_interval_of_an_arms_distance_holds_the_truth_in_95_of_100_cases(folder):
    zones, draw = read_zones(written(folder, robot=[BALL])), np.random.default_rng(5)
    held, width_um = 0, 0
    for _ in range(1000):
        tip = np.array([0.0, 0.0, 0.1]) + draw.normal(0, 0.02, 3)
        true_um = 1e6 * max(0.0, float(np.linalg.norm(tip - [0.0, 0.0, 0.1])) - 0.005)
        ((found, _),) = zones.near_arm("PSM1", tuple(tip + draw.normal(0, 0.0005, 3)))
        held += found.interval.low_um - 1 <= true_um <= found.interval.high_um + 1
        width_um = max(width_um, found.interval.high_um - found.interval.mid_um)
    assert 930 <= held <= 985
    assert width_um <= 2000, "within 2 mm"


def observe(stamp_ns, *tips):
    seen = tuple(
        SeenInstrument("hook", 900_000, tip, 800_000, 60, (tip[0] - 20, tip[1], 20, 9), 0, True) for tip in tips
    )
    return Observation(stamp_ns // 10**8, stamp_ns, "", SIZE, "full", (0, 0, *SIZE), None, instruments=seen)


def test_the_tracker_says_since_when_a_tip_is_within_a_zone(folder):
    tracker = Tracker(square(folder))
    tracker.update(observe(10**8, (60, 70)))
    entered = [tracker.update(observe(k * 10**8, (92 + k, 70))).distances[0] for k in (2, 3, 4)]
    assert [(d.structure, d.within_ns) for d in entered] == [("duct", 2 * 10**8)] * 3
    assert tracker.update(observe(5 * 10**8, (60, 70))).distances[0].within_ns is None
    assert tracker.update(observe(6 * 10**8, (95, 70))).distances[0].within_ns == 6 * 10**8


def test_an_arms_word_counts_until_it_is_old_or_taken_back(folder):
    tracker = Tracker(read_zones(written(folder, robot=[BALL])))
    tracker.tell_arm(0, "PSM1", (0.0, 0.0, 0.106))
    (one,) = tracker.skip(ARM_NS).metric
    assert (one.interval, one.within_ns) == (Interval.about(0.001, 0.0005), 0)
    assert tracker.skip(ARM_NS + 1).metric == ()
    tracker.tell_arm(ARM_NS + 2, "PSM1", (0.0, 0.0, 0.2))
    assert tracker.skip(ARM_NS + 2).metric[0].within_ns is None
    tracker.tell_arm(ARM_NS + 3, "PSM1", None)
    assert tracker.skip(ARM_NS + 3).metric == ()
    assert tracker.skip(ARM_NS + 4).metric == ()


def test_an_instrument_on_its_way_out_is_said_to_leave_and_one_that_stays_is_not():
    out, still = Tracker(), Tracker()
    for k in range(6):
        scene = out.update(observe(k * 10**8, (250 + 10 * k, 90)))
        resting = still.update(observe(k * 10**8, (300, 90)))
    assert [track.leaving for track in scene.tracks] == [True]
    assert scene.tracks[0].velocity_px_s[0] == pytest.approx(100, abs=2)
    assert [track.leaving for track in resting.tracks] == [False]


def test_another_view_is_suggested_where_the_tips_are_off_centre():
    tracker = Tracker()
    assert tracker.update(observe(0, (160, 96))).view is None
    view = tracker.update(observe(10**8, (280, 40))).view
    assert (view.centre_px, view.shift_px) == ((280, 40), (120, -56))
    assert tracker.update(observe(2 * 10**8)).view is None
