"""What a display is told of colours, flashes and sounds: within what the standard asks for, quiet where people were told."""

from itertools import product

import pytest

from surgical_ml.guidance import Activation, Presence, Priority
from surgical_ml.guidance.signals import SIGNALS, signal_for

EVERYTHING = list(product(Priority, Presence, (0, 1), Activation))


@pytest.mark.parametrize(
    ("priority", "colour", "slowest_mhz", "fastest_mhz"),
    [
        (Priority.HIGH, "red", 1400, 2800),
        (Priority.MEDIUM, "yellow", 400, 800),
        (Priority.LOW, "cyan", 0, 0),
        (Priority.NONE, "none", 0, 0),
    ],
)
def test_colours_and_rates_are_those_of_the_standard(priority, colour, slowest_mhz, fastest_mhz):
    row = SIGNALS[priority]
    assert row.colour == colour
    assert slowest_mhz <= row.flash_mhz <= fastest_mhz
    assert row.flash_mhz == 0 or 20 <= row.duty_percent <= 60


def test_the_more_urgent_the_more_it_calls():
    rows = [SIGNALS[one] for one in (Priority.HIGH, Priority.MEDIUM, Priority.LOW, Priority.NONE)]
    assert [row.pulses for row in rows] == sorted((row.pulses for row in rows), reverse=True)
    assert [row.flash_mhz for row in rows] == sorted((row.flash_mhz for row in rows), reverse=True)


@pytest.mark.parametrize(("priority", "presence", "banner", "activation"), EVERYTHING)
def test_only_what_is_on_and_calls_flashes_or_sounds(priority, presence, banner, activation):
    row = signal_for(priority, presence, banner, activation)
    calls = presence is Presence.ON and banner > 0 and priority is not Priority.NONE
    assert (row.pulses > 0) == (calls and activation is Activation.ON)
    banners = activation not in (Activation.PAUSED, Activation.OFF)
    assert (row.flash_mhz > 0) == (calls and banners and priority is not Priority.LOW)


@pytest.mark.parametrize(("priority", "presence", "banner", "activation"), EVERYTHING)
def test_every_state_that_keeps_a_signal_back_has_its_mark(priority, presence, banner, activation):
    row = signal_for(priority, presence, banner, activation)
    if presence is Presence.OFF:
        assert row.mark == "none"
    elif presence is Presence.ON:
        assert row.mark == ("none" if activation is Activation.ON else activation.value)
    else:
        assert row.mark == presence.value
