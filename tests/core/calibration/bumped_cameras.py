"""Cases of a calibrated camera as streams of residuals, and what happens to them when somebody bumps the camera.

The noise of a second's median: Gaussian, correlated from second to second by 0.6 (first order), its standard deviation the
one that `CHECKS` states, and the streams of one arm correlated by 0.3 with each other, since they share its kinematics; a
constant offset of each case, a quarter of that; every fiftieth second an outlier, uniform to ten standard deviations;
stretches without any value, 25 s apart and 3 s long on average (a shaft: 30 s and 5 s).
Bumps act through the geometry: two instruments of 8 mm from the left and right below, 8 cm away, in a 1080p picture.
"""

import numpy as np

from surgical_ml.calibration.lens import Lens
from surgical_ml.calibration.residuals import shaft_residual, shaft_width_px
from surgical_ml.calibration.rigid import apply, rigid
from surgical_ml.calibration.validity import CHECKS, SECOND_NS, Residual, ValidityWatch

OF_PICTURE = ("epipolar", "field-x", "field-y", "field-radius")
OF_SHAFT = ("shaft-angle", "shaft-offset", "shaft-along", "shaft-width")
STREAMS = (*((check, "") for check in OF_PICTURE), *((check, arm) for arm in ("PSM1", "PSM2") for check in OF_SHAFT))
LENS = Lens(model="pinhole", fx=1100, fy=1100, cx=960, cy=540, distortion=(0.0,) * 5, image_size=(1920, 1080))
SHAFTS = {
    "PSM1": np.array([[-0.05, 0.03, 0.07], [-0.005, 0.0, 0.085]]),
    "PSM2": np.array([[0.05, 0.03, 0.07], [0.005, 0.004, 0.08]]),
}
DIAMETER_M = 0.008
CORRELATED, SHARED, OUTLIERS = 0.6, 0.3, 0.02


def streams(rng, seconds):
    """{stream: (seconds,) thousandths, NaN where nothing was measured}."""
    shared = {arm: rng.normal(size=seconds) for arm in SHAFTS}
    found = {}
    for check, source in STREAMS:
        kind = CHECKS[check]
        steps = rng.normal(size=seconds)
        if source:
            steps = np.sqrt(SHARED) * shared[source] + np.sqrt(1 - SHARED) * steps
        at, follow = rng.normal(), []
        for step in (np.sqrt(1 - CORRELATED**2) * steps).tolist():
            at = CORRELATED * at + step
            follow.append(at)
        noise = np.array(follow)
        noise += rng.normal(0, 0.25)
        odd = rng.random(seconds) < OUTLIERS
        noise[odd] = rng.uniform(-10, 10, odd.sum())
        there, gap = (30, 5) if source else (25, 3)
        begin = rng.exponential(there)
        while begin < seconds:
            end = begin + rng.exponential(gap)
            noise[int(begin) : int(end)] = np.nan
            begin = end + rng.exponential(there)
        found[check, source] = kind.expected_milli + kind.sd_milli * noise
    return found


def bumped_by(rng, *, picture_px=0.0, turn_deg=0.0, shift_mm=0.0):
    """{stream: by how much its values change, thousandths}, of a bump in a random direction."""
    moved = {key: 0.0 for key in STREAMS}
    x, y = picture_px * direction(rng, 2)
    moved["field-x", ""], moved["field-y", ""] = 1000 * x, 1000 * y
    # of points matched to half a pixel, both pictures sharing the shift; x moves along the lines
    moved["epipolar", ""] = 1000 * float(np.median(np.abs(y / np.sqrt(2) + 0.5 * rng.normal(size=2001))) - 0.337)
    camera = rigid(np.deg2rad(turn_deg) * direction(rng, 3), shift_mm / 1000 * direction(rng, 3))
    for arm, shaft in SHAFTS.items():
        stands = apply(camera, shaft)
        off = shaft_residual(LENS, LENS.project(stands) + np.array([x, y]), shaft)
        moved["shaft-angle", arm], moved["shaft-offset", arm] = 1000 * off.angle_deg, 1000 * off.offset_px
        moved["shaft-along", arm] = 1000 * off.along_px
        width = shaft_width_px(LENS, stands, DIAMETER_M) - shaft_width_px(LENS, shaft, DIAMETER_M)
        moved["shaft-width", arm] = 1000 * width
    return moved


def direction(rng, n):
    vector = rng.normal(size=n)
    return vector / np.linalg.norm(vector)


def alarms(values, *, moved=None, bump_s=None, until_s=None):
    """How often a watch turned doubtful, and the first second at whose end it was; None if never."""
    watch = ValidityWatch()
    count, first, before = 0, None, False
    told = {
        key: [
            None if np.isnan(value) else round(value) for value in _with(of_it, moved and moved[key], bump_s).tolist()
        ]
        for key, of_it in values.items()
    }
    for second in range(until_s or len(next(iter(values.values())))):
        for (check, source), of_it in told.items():
            if of_it[second] is not None:
                watch.tell(Residual(second * SECOND_NS, check, of_it[second], source))
        watch.close_start(second * SECOND_NS)
        now = bool(watch.pass_time((second + 1) * SECOND_NS))
        if now and not before:
            count += 1
            first = second + 1 if first is None else first
        before = now
    return count, first


def _with(values, moved, bump_s):
    if moved is None:
        return values
    return values + moved * (np.arange(len(values)) >= bump_s)


def false_alarms(seed, hours):
    """How often an untouched camera becomes doubtful in so many hours, each hour another case."""
    return sum(alarms(streams(np.random.default_rng([seed, hour]), 3600))[0] for hour in range(hours))


def share_noticed(seed, cases, without=(), **bump):
    """Share of cases in which a camera that is bumped after a minute or so is doubtful within 20 s, and not before.

    Checks in `without` are not there.
    """
    noticed = 0
    for case in range(cases):
        rng = np.random.default_rng([seed, case])
        bump_s = int(rng.integers(40, 80))
        values = {key: of_it for key, of_it in streams(rng, bump_s + 20).items() if key[0] not in without}
        _, first = alarms(values, moved=bumped_by(rng, **bump), bump_s=bump_s)
        noticed += first is not None and first > bump_s
    return noticed / cases
