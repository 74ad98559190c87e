"""What a `Session` takes: everything that happens in a case, each with its stamp in integer nanoseconds."""

from dataclasses import dataclass
from enum import StrEnum

from surgical_ml.calibration.validity import Residual
from surgical_ml.video import Frame


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed without a frame."""

    stamp_ns: int


def longest_silence_s(ticks: int) -> float:
    """How long whoever feeds a session may wait for a frame before it tells the session that time passes, in seconds.

    Once a second has passed so, everything has been withheld, and each tick is an entry of the log: fewer are enough.

    Args:
        ticks: since the last frame.
    """
    return 0.05 if ticks < 20 else 0.25


@dataclass(frozen=True, slots=True)
class RobotState:
    """One read-only message of the robot, as the controller published it.

    Attributes:
        stamp_ns: when it was received, on the clock of the frames.
        source: the topic it came from, such as `PSM1/operating_state`.
        valid: False where its own stamp was zero (CRTK's sign for invalid data).
        values: its fields as text, in the message's order.
    """

    stamp_ns: int
    source: str
    valid: bool
    values: tuple[tuple[str, str], ...] = ()


class Action(StrEnum):
    """What a person may ask for."""

    START = "start"
    END = "end"
    ACKNOWLEDGE = "acknowledge"
    PAUSE = "pause"
    RESUME = "resume"
    RESET = "reset"
    AUDIO_PAUSE = "audio-pause"
    AUDIO_OFF = "audio-off"
    SIGNALS_PAUSE = "signals-pause"
    SIGNALS_OFF = "signals-off"
    SIGNALS_ON = "signals-on"


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """A person's request.

    Attributes:
        stamp_ns: when it was made.
        action: what is asked for.
        actor: a pseudonym of who asked; never a name.
        code: which advisory an acknowledgement means; empty for all that are present.
        subject: its subject; empty for every subject of the code.
    """

    stamp_ns: int
    action: Action
    actor: str = "unknown"
    code: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class RecordFailure:
    """A decision's record did not become durable in time; told to the session by whoever publishes."""

    stamp_ns: int
    seq: int
    what: str


Event = Frame | Tick | RobotState | OperatorAction | RecordFailure | Residual
