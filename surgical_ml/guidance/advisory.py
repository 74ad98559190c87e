"""What is announced, suggested and withheld: the vocabulary of this room (after ISO/IEEE 11073 BICEPS)."""

from dataclasses import dataclass
from enum import StrEnum

from surgical_ml.geometry import MetricDistance, View
from surgical_ml.workflow import Forecast

MAX_WORDS = 12


class Priority(StrEnum):
    """From the risk table, never from a model's confidence."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Presence(StrEnum):
    """The life of an advisory. LATCHED: the condition is gone, the announcement stays until it is reset."""

    ON = "on"
    LATCHED = "latched"
    ACKNOWLEDGED = "acknowledged"
    OFF = "off"


class Kind(StrEnum):
    """TECHNICAL: about the module and its inputs. PROCEDURAL: about the operation (BICEPS: Tec, Oth)."""

    TECHNICAL = "technical"
    PROCEDURAL = "procedural"


class Activation(StrEnum):
    """Whether announcements reach people (BICEPS: activation of an alert system). What is listed never depends on it.

    AUDIO_PAUSED, AUDIO_OFF: banners without sound. PAUSED, OFF: no banners either. The paused ones end by themselves.
    """

    ON = "on"
    AUDIO_PAUSED = "audio-paused"
    AUDIO_OFF = "audio-off"
    PAUSED = "paused"
    OFF = "off"


class GateState(StrEnum):
    """The states of the gate; the only piece that decides whether something may be shown."""

    INIT = "INIT"
    SELFTEST = "SELFTEST"
    READY = "READY"
    ACTIVE = "ACTIVE"
    DEGRADED_VIEW = "DEGRADED_VIEW"
    DEGRADED_DROPS = "DEGRADED_DROPS"
    WITHHELD = "WITHHELD"
    FAULT = "FAULT"


class Validity(StrEnum):
    """What a message shows of the gate's state."""

    OK = "OK"
    DEGRADED = "DEGRADED"
    WITHHELD = "WITHHELD"
    FAULT = "FAULT"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an advisory is given, for a machine to read and a person to check.

    Attributes:
        rule: the rule that fired, as `protocol/section/name` or `gate/...`.
        expected, observed: what the rule asks for, and what was seen.
        evidence_frames: frames that carry the evidence, oldest first; at most eight.
        certainty: `low`, `medium` or `high`.
        degraded_inputs: what was poor while it was judged.
        clears: in words, what makes it go away.
    """

    rule: str
    expected: tuple[str, ...]
    observed: tuple[str, ...]
    evidence_frames: tuple[int, ...]
    certainty: str
    degraded_inputs: tuple[str, ...]
    clears: str


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is so now and may have to be announced; made from deviations, distances and the gate.

    `code` and `subject` together are its identity; `text` has at most 12 words.
    """

    code: str
    subject: str
    kind: Kind
    priority: Priority
    onset_ns: int
    text: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Advisory:
    """A condition that was announced, and where it is in its life.

    `announced_ns` is when it was first shown. Advisories of one `banner` are announced together; a number that a display has
    not shown yet is what calls for attention, by light or sound. 0: it is listed and nobody is called.
    """

    code: str
    subject: str
    kind: Kind
    priority: Priority
    presence: Presence
    onset_ns: int
    announced_ns: int
    text: str
    reason: Reason
    banner: int = 0


@dataclass(frozen=True, slots=True)
class Alerting:
    """How announcements reach people now.

    Attributes:
        activation: of the signals.
        until_ns: when a pause ends; 0 where nothing is paused.
        crowded: conditions that are so and for which there was no room; 0 unless far too much happens at once.
    """

    activation: Activation = Activation.ON
    until_ns: int = 0
    crowded: int = 0


@dataclass(frozen=True, slots=True)
class Guidance:
    """What is suggested now; an information signal, never an alarm.

    Attributes:
        phase, next_phase: as the workflow has them; None while unknown.
        expected_instruments: tools that the protocol expects in this phase.
        nearest: (instrument, structure, distance in frame pixels) or None.
        progress_ppm: share of the operation that has passed.
        uncertain: what a reader should not rely on, in words.
        valid_until_ns: after this the guidance must not be used.
        metric: the nearest zone in micrometres, with an interval; None where only pixels are known.
        leaving: instruments that are on their way out of the picture.
        view: where the camera would centre; None where it does.
        forecast: when the phase and the case will be over, beside what a clock alone would say.
    """

    phase: str | None
    next_phase: str | None
    expected_instruments: tuple[str, ...]
    nearest: tuple[str, str, int] | None
    progress_ppm: int
    uncertain: tuple[str, ...]
    valid_until_ns: int
    metric: MetricDistance | None = None
    leaving: tuple[str, ...] = ()
    view: View | None = None
    forecast: Forecast | None = None
