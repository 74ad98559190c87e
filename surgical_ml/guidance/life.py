"""The life of one advisory as a table, and the record of each step in it.

BICEPS knows four presences; before them stand two states of a condition that nobody has been told of yet. A pair that the
table does not hold is no step, and asking for it is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from surgical_ml.guidance.advisory import Priority


class Life(StrEnum):
    """WAITING: it must last before it is announced. HELD: it has lasted, and others come first. The rest: `Presence`."""

    OFF = "off"
    WAITING = "waiting"
    HELD = "held"
    ON = "on"
    LATCHED = "latched"
    ACKNOWLEDGED = "acknowledged"


class Cause(StrEnum):
    """Why an advisory takes a step."""

    BEGAN = "began"
    LASTED = "lasted"
    ANNOUNCED = "announced"
    GONE = "gone"
    RETURNED = "returned"
    ACKNOWLEDGED = "acknowledged"
    RESET = "reset"
    EXPIRED = "expired"
    ESCALATED = "escalated"
    LOWERED = "lowered"
    REMINDED = "reminded"
    RESUMED = "resumed"
    CROWDED = "crowded"


LIFE: Mapping[tuple[Life, Cause], Life] = {
    (Life.OFF, Cause.BEGAN): Life.WAITING,
    (Life.OFF, Cause.CROWDED): Life.OFF,
    (Life.WAITING, Cause.LASTED): Life.HELD,
    (Life.WAITING, Cause.GONE): Life.OFF,
    (Life.WAITING, Cause.CROWDED): Life.OFF,
    (Life.HELD, Cause.ANNOUNCED): Life.ON,
    (Life.HELD, Cause.GONE): Life.OFF,
    (Life.HELD, Cause.CROWDED): Life.OFF,
    (Life.ON, Cause.ACKNOWLEDGED): Life.ACKNOWLEDGED,
    (Life.ON, Cause.GONE): Life.LATCHED,
    (Life.ON, Cause.EXPIRED): Life.OFF,
    (Life.ON, Cause.ESCALATED): Life.ON,
    (Life.ON, Cause.LOWERED): Life.ON,
    (Life.ON, Cause.REMINDED): Life.ON,
    (Life.ON, Cause.RESUMED): Life.ON,
    (Life.ON, Cause.CROWDED): Life.OFF,
    (Life.LATCHED, Cause.RETURNED): Life.ON,
    (Life.LATCHED, Cause.ACKNOWLEDGED): Life.OFF,
    (Life.LATCHED, Cause.RESET): Life.OFF,
    (Life.LATCHED, Cause.EXPIRED): Life.OFF,
    (Life.LATCHED, Cause.CROWDED): Life.OFF,
    (Life.ACKNOWLEDGED, Cause.GONE): Life.OFF,
    (Life.ACKNOWLEDGED, Cause.ESCALATED): Life.ON,
    (Life.ACKNOWLEDGED, Cause.LOWERED): Life.ACKNOWLEDGED,
    (Life.ACKNOWLEDGED, Cause.REMINDED): Life.ON,
    (Life.ACKNOWLEDGED, Cause.CROWDED): Life.OFF,
}
"""What follows what. WAITING or HELD to OFF is a suppressed one: it was so, and nobody was told; the record says it."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One advisory took a step.

    Attributes:
        code, subject: which.
        before, after, cause: a row of `LIFE`.
        priority: it had after the step.
        banner: that announces it after the step; 0 for none.
        delay_ns: from the onset of its condition to the step; of an announcement this is the delay that a person notices.
    """

    code: str
    subject: str
    before: Life
    after: Life
    cause: Cause
    priority: Priority
    banner: int
    delay_ns: int
