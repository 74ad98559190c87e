"""A chain of ages lasts as long as the log-normal that it is made from."""

import numpy as np
import pytest

from surgical_ml.workflow.ageing import AGES, ageing
from surgical_ml.workflow.protocol_duration import STANDARD


def share_over_by_now(median_s: float, spread: float, times_s: np.ndarray) -> np.ndarray:
    """Of the chain, by small steps."""
    chain, dt_s = ageing(median_s, spread), float(times_s[1] - times_s[0])
    rates = np.diag(chain.grow, 1) - np.diag(chain.leave + np.append(chain.grow, 0.0))
    step = np.linalg.matrix_power(np.eye(AGES) + rates * dt_s / 64, 64)
    still, shares = np.eye(AGES)[0], []
    for _ in times_s:
        shares.append(1.0 - still.sum())
        still = still @ step
    return np.array(shares)


@pytest.mark.parametrize("median_s", [20.0, 700.0])
@pytest.mark.parametrize("spread", [0.4, 0.5, 0.7, 1.2, 2.0])
def test_as_many_visits_are_over_at_any_time_as_the_log_normal_says(median_s, spread):
    times_s = np.linspace(0.0, median_s * np.exp(2 * spread), 1500)
    wanted = [0.0, *(STANDARD.cdf((np.log(t) - np.log(median_s)) / spread) for t in times_s[1:])]
    found = share_over_by_now(median_s, spread, times_s)
    # One visit in ten, spread over all its length, may be of any length.
    assert np.abs(found - wanted).max() < 0.09
    assert found[np.searchsorted(times_s, median_s)] == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("spread", [0.05, 0.3, 0.8, 3.0])
def test_rates_are_finite_and_the_ages_add_up_to_the_length_of_a_visit(spread):
    chain = ageing(60.0, spread)
    assert np.isfinite(chain.leave).all()
    assert (chain.leave > 0).all()
    assert (chain.grow >= 0).all()
    rates = np.diag(chain.grow, 1) - np.diag(chain.leave + np.append(chain.grow, 0.0))
    mean_s = np.linalg.solve(-rates, np.ones(AGES))[0]
    assert chain.spent_s.sum() == pytest.approx(mean_s)


def test_a_time_scale_is_a_change_of_unit():
    slow, fast = ageing(60.0, 0.6), ageing(6.0, 0.6)
    assert fast.leave == pytest.approx(10 * slow.leave)
    assert fast.grow == pytest.approx(10 * slow.grow)
