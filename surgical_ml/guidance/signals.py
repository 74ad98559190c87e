"""How a display shows an advisory, as data: colour, flashing, sound and mark, after IEC 60601-1-8.

A display takes one row for the most urgent advisory of the newest banner and one for each that is listed. Guidance is an
information signal: it has no row here, and must look and sound like none of these.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from surgical_ml.guidance.advisory import Activation, Presence, Priority


@dataclass(frozen=True, slots=True)
class Signal:
    """How one advisory is shown.

    Attributes:
        colour: `red`, `yellow`, `cyan` or `none`.
        flash_mhz: flashes in a thousand seconds; 0 is steady light.
        duty_percent: share of a flash that is light.
        pulses: of sound in a burst; 0 is silence.
        repeat_ms: from one burst to the next; 0 where it sounds once.
        mark: code of the symbol beside it: `none`, `latched`, `acknowledged`, `audio-paused`, `audio-off`, `paused`, `off`.
    """

    colour: str
    flash_mhz: int
    duty_percent: int
    pulses: int
    repeat_ms: int
    mark: str = "none"


SIGNALS: Mapping[Priority, Signal] = {
    Priority.HIGH: Signal("red", 2000, 50, 10, 10_000),
    Priority.MEDIUM: Signal("yellow", 600, 50, 3, 20_000),
    Priority.LOW: Signal("cyan", 0, 100, 1, 0),
    Priority.NONE: Signal("none", 0, 100, 0, 0),
}
"""Of an advisory that is on while signals are on. Within 1.4 to 2.8 Hz for HIGH and 0.4 to 0.8 Hz for MEDIUM."""


def signal_for(priority: Priority, presence: Presence, banner: int, activation: Activation) -> Signal:
    """How an advisory is shown in its presence, under the activation.

    Args:
        priority, presence, banner: the advisory's.
        activation: of the case's signals.

    Returns:
        Steady and silent unless it is on and calls (`banner` above 0); then it flashes unless banners are inactive, and
        sounds unless sound is. The colour of the priority stays in every presence but `off`.
    """
    row = SIGNALS[priority]
    if presence is Presence.OFF:
        return SIGNALS[Priority.NONE]
    if presence is not Presence.ON:
        return Signal(row.colour, 0, 100, 0, 0, presence.value)
    mark = "none" if activation is Activation.ON else activation.value
    if banner == 0 or activation in (Activation.PAUSED, Activation.OFF):
        return Signal(row.colour, 0, 100, 0, 0, mark)
    if activation is not Activation.ON:
        return Signal(row.colour, row.flash_mhz, row.duty_percent, 0, 0, mark)
    return row
