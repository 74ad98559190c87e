"""Whether a calibration still holds: noticed when it does not, and not a false alarm in a hundred hours."""

import numpy as np
import pytest
from bumped_cameras import alarms, bumped_by, false_alarms, share_noticed, streams
from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.calibration.model import Validity
from surgical_ml.calibration.validity import (
    CHECKS,
    SECOND_NS,
    Residual,
    ValidityWatch,
    check_start,
    stamp_residuals,
)
from surgical_ml.errors import InputError

TOLD = st.lists(st.tuples(st.integers(0, 3 * SECOND_NS), st.sampled_from(sorted(CHECKS)), st.integers(-(10**6), 10**6)))


def steadily(watch, value_milli, seconds, *, begin_s=0, check="field-x", every=1):
    for second in range(begin_s, begin_s + seconds, every):
        watch.tell(Residual(second * SECOND_NS + 7, check, value_milli))
    return watch.pass_time((begin_s + seconds) * SECOND_NS)


def test_a_tenth_of_three_hundred_hours_has_no_false_alarm():
    assert false_alarms(seed=1, hours=30) == 0


def test_a_bumped_camera_is_noticed_within_twenty_seconds():
    assert share_noticed(2, 60, picture_px=2.0, turn_deg=1.0, shift_mm=2.0) >= 0.95


def test_a_camera_whose_picture_is_shifted_by_two_pixels_is_noticed_by_that_alone():
    assert share_noticed(3, 60, picture_px=2.0) >= 0.95


@pytest.mark.parametrize("bump", [{"turn_deg": 1.0}, {"shift_mm": 2.0}], ids=["turned", "moved"])
def test_a_camera_that_is_only_turned_or_only_moved_is_noticed_too(bump):
    assert share_noticed(6, 80, **bump) >= 0.93  # 0.98 in the thousand of the campaign


def test_a_bump_shows_in_the_streams_that_it_must_show_in():
    moved = bumped_by(np.random.default_rng(4), picture_px=2.0)
    assert (moved["shaft-angle", "PSM1"], moved["shaft-width", "PSM1"]) == pytest.approx((0, 0), abs=1e-6)
    assert np.hypot(moved["field-x", ""], moved["field-y", ""]) == pytest.approx(2000)
    assert moved["field-radius", ""] == 0


def test_a_doubt_says_what_was_expected_what_was_found_and_since_when():
    watch = ValidityWatch()
    steadily(watch, 0, 30)
    (doubt,) = steadily(watch, 2000, 20, begin_s=30)
    assert (doubt.check, doubt.since_ns) == ("field-x", 30 * SECOND_NS)
    assert doubt.expected == "place of the field of view across: 0.00 px, give or take 0.88"
    assert doubt.found == "2.00 px"


def test_values_that_are_too_small_are_noticed_as_well():
    assert steadily(ValidityWatch(), -2000, 20)[0].found == "-2.00 px"


def test_a_camera_that_is_put_back_is_trusted_again_but_not_at_once():
    watch = ValidityWatch()
    steadily(watch, 2000, 60)
    assert steadily(watch, 0, 5, begin_s=60)
    assert steadily(watch, 0, 40, begin_s=65) == ()


def test_a_single_outlier_however_far_is_no_doubt():
    watch = ValidityWatch()
    for minute in range(10):
        assert steadily(watch, 10**9, 1, begin_s=60 * minute) == ()
        assert steadily(watch, 0, 59, begin_s=60 * minute + 1) == ()


def test_a_hundred_values_in_a_second_weigh_as_much_as_one():
    one, many = ValidityWatch(), ValidityWatch()
    steadily(one, 2000, 5)
    for k in range(500):
        many.tell(Residual(k * SECOND_NS // 100, "field-x", 2000))
    assert (one.pass_time(5 * SECOND_NS) == ()) and (many.pass_time(5 * SECOND_NS) == ())


def test_silence_neither_raises_nor_ends_a_doubt():
    watch = ValidityWatch()
    assert watch.pass_time(3600 * SECOND_NS) == ()
    doubts = steadily(watch, 2000, 30, begin_s=3600)
    assert doubts
    assert watch.pass_time(8000 * SECOND_NS) == doubts


def test_each_arm_is_watched_alone():
    watch = ValidityWatch()
    for second in range(30):
        watch.tell(Residual(second * SECOND_NS, "shaft-angle", 1500, "PSM1"))
        watch.tell(Residual(second * SECOND_NS, "shaft-angle", 0, "PSM2"))
    assert [doubt.source for doubt in watch.pass_time(30 * SECOND_NS)] == ["PSM1"]


@given(TOLD)
def test_the_same_residuals_give_the_same_doubts(told):
    told = sorted(told)
    watches = ValidityWatch(), ValidityWatch()
    for watch in watches:
        for stamp_ns, check, value in told:
            watch.tell(Residual(stamp_ns, check, value))
    assert watches[0].pass_time(4 * SECOND_NS) == watches[1].pass_time(4 * SECOND_NS)


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=60))
def test_values_near_what_is_expected_never_raise_a_doubt(values):
    kind = CHECKS["epipolar"]
    watch = ValidityWatch()
    for second, value in enumerate(values):
        near = kind.expected_milli + value % (2 * kind.sd_milli) - kind.sd_milli
        assert steadily(watch, near, 1, begin_s=second, check="epipolar") == ()


def test_an_unknown_check_is_refused():
    with pytest.raises(InputError, match=r"residual: expected one of epipolar, .* found 'mood'"):
        Residual(0, "mood", 1)


def test_an_untouched_camera_stays_trusted_while_values_are_missing():
    values = streams(np.random.default_rng(5), 600)
    assert any(np.isnan(of_it).any() for of_it in values.values())
    assert alarms(values) == (0, None)


# The check at the start


def start(value_milli, seconds, check="field-y"):
    return [Residual(5 * SECOND_NS + k * SECOND_NS, check, value_milli) for k in seconds]


@pytest.mark.parametrize(
    ("residuals", "verdicts"),
    [
        (start(0, range(20)), ["holds"]),
        (start(1000, range(20)), ["doubtful"]),
        (start(-1000, range(20)), ["doubtful"]),
        (start(1000, range(9)), ["silent"]),
        (start(0, range(20)) + start(3000, range(20, 60)), ["holds"]),
        (start(0, range(20)) + start(2000, range(20), "epipolar"), ["doubtful", "holds"]),
        ([], []),
    ],
)
def test_the_first_twenty_seconds_say_whether_a_calibration_holds(residuals, verdicts):
    assert [one.verdict for one in check_start(residuals)] == verdicts


def test_a_finding_of_the_start_carries_its_numbers():
    (finding,) = check_start(start(1000, range(20)))
    assert finding.expected == "place of the field of view down: 0.00 px, give or take 0.88"
    assert finding.found == "1.00 px"


def test_a_stream_that_the_start_finds_off_is_doubted_until_it_is_near_what_is_expected():
    watch = ValidityWatch()
    assert watch.close_start(0) is None
    steadily(watch, 1000, 20)
    (finding,) = watch.close_start(20 * SECOND_NS)
    assert finding.verdict == "doubtful"
    assert watch.close_start(21 * SECOND_NS) is None
    assert [doubt.check for doubt in watch.pass_time(21 * SECOND_NS)] == ["field-x"]
    assert steadily(watch, 0, 20, begin_s=21) == ()


# Several streams


def test_what_no_stream_shows_clearly_shows_in_all_of_them_together():
    alone, together = ValidityWatch(), ValidityWatch()
    for second in range(30):
        for check, kind in CHECKS.items():
            value = kind.expected_milli + 3 * kind.sd_milli // 2
            together.tell(Residual(second * SECOND_NS, check, value))
            if check == "field-x":
                alone.tell(Residual(second * SECOND_NS, check, value))
    assert alone.pass_time(30 * SECOND_NS) == ()
    assert together.pass_time(30 * SECOND_NS)


# Stamps


@pytest.mark.parametrize(
    ("now", "temperature_c", "beyond"),
    [
        ("2026-11-25T08:00:00Z", 30.0, {"age": 0, "temperature": 0}),
        ("2026-11-25T08:00:00Z", None, {"age": 0}),
        (None, 30.0, {"temperature": 0}),
        ("2026-12-02T00:00:00Z", 30.0, {"age": 24_000, "temperature": 0}),
        ("2026-11-25T08:00:00Z", 41.5, {"age": 0, "temperature": 1500}),
        ("2026-11-25T08:00:00Z", 12.0, {"age": 0, "temperature": 8000}),
    ],
)
def test_age_and_temperature_are_held_against_what_was_stated(now, temperature_c, beyond):
    stated = Validity(valid_until="2026-12-01T00:00:00Z", temperature_c=(20.0, 40.0))
    found = stamp_residuals(7, stated, now, temperature_c)
    assert {one.check: one.value_milli for one in found} == beyond
    assert stamp_residuals(7, Validity(), now, temperature_c) == ()


def test_a_camera_head_that_is_too_warm_is_doubtful_at_once_and_until_it_has_cooled():
    watch = ValidityWatch()
    watch.tell(Residual(5, "temperature", 1500))
    watch.tell(Residual(9, "temperature", 500))
    (doubt,) = watch.pass_time(10)
    assert (doubt.since_ns, doubt.found) == (5, "0.50 degrees Celsius")
    assert doubt.expected == "temperature of the camera head outside of what was calibrated: none"
    watch.tell(Residual(11, "temperature", 0))
    assert watch.pass_time(12) == ()
