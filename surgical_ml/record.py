"""What is written of an event and its decision, and how an event is read back: integers, text and lists only."""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from surgical_ml.calibration.validity import Residual
from surgical_ml.decision import Decision
from surgical_ml.events import Action, Event, OperatorAction, RecordFailure, RobotState, Tick
from surgical_ml.guidance import Advisory
from surgical_ml.perception import Grid, Observation, Refusal, SeenInstrument, SeenStructure
from surgical_ml.video import Frame

FRAME = "frame"
TICK = "tick"
ROBOT_STATE = "robot-state"
OPERATOR_ACTION = "operator-action"
RECORD_FAILURE = "record-failure"
CALIBRATION_RESIDUAL = "calibration-residual"


def event_name(event: Event) -> str:
    """The kind of an event, as records and decisions name it."""
    match event:
        case Frame():
            return FRAME
        case Tick():
            return TICK
        case RobotState():
            return ROBOT_STATE
        case OperatorAction():
            return OPERATOR_ACTION
        case RecordFailure():
            return RECORD_FAILURE
        case Residual():
            return CALIBRATION_RESIDUAL


def write_event(event: Event) -> dict[str, Any]:
    """An event without its pixels; a frame is named by its index, and by the digest in what was seen of it."""
    values: dict[str, Any] = {"kind": event_name(event), "stamp_ns": event.stamp_ns}
    match event:
        case Frame():
            values["index"] = event.index
        case RobotState():
            values |= {"source": event.source, "valid": event.valid, "values": [list(pair) for pair in event.values]}
        case OperatorAction():
            values |= {
                "action": event.action.value,
                "actor": event.actor,
                "code": event.code,
                "subject": event.subject,
            }
        case RecordFailure():
            values |= {"seq": event.seq, "what": event.what}
        case Residual():
            values |= {"check": event.check, "source": event.source, "value_milli": event.value_milli}
        case Tick():
            pass
    return values


_FIELDS: dict[str, dict[str, type]] = {
    FRAME: {"index": int},
    TICK: {},
    ROBOT_STATE: {"source": str, "valid": bool, "values": list},
    OPERATOR_ACTION: {"action": str, "actor": str, "code": str, "subject": str},
    RECORD_FAILURE: {"seq": int, "what": str},
    CALIBRATION_RESIDUAL: {"check": str, "source": str, "value_milli": int},
}


def read_event(values: Mapping[str, Any]) -> Tick | RobotState | OperatorAction | RecordFailure | Residual | None:
    """The event that was written; None for a frame, whose pixels are elsewhere.

    Raises:
        ValueError: the kind is unknown, or a value of it is missing or not what it must be.
    """
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise ValueError(f"event: expected a known kind, found {kind!r}")
    for name, wanted in ({"stamp_ns": int} | _FIELDS[kind]).items():
        if type(values.get(name)) is not wanted:
            found = repr(values[name]) if name in values else "none"
            raise ValueError(f"event {kind}: {name}: expected {wanted.__name__}, found {found}")
    stamp_ns: int = values["stamp_ns"]
    match kind:
        case "tick":
            return Tick(stamp_ns)
        case "robot-state":
            return RobotState(stamp_ns, values["source"], values["valid"], _pairs(values["values"]))
        case "operator-action":
            action = Action(values["action"])
            return OperatorAction(stamp_ns, action, values["actor"], values["code"], values["subject"])
        case "record-failure":
            return RecordFailure(stamp_ns, values["seq"], values["what"])
        case "calibration-residual":
            return Residual(stamp_ns, values["check"], values["value_milli"], values["source"])
    return None


def _pairs(values: list[Any]) -> tuple[tuple[str, str], ...]:
    """A robot's fields, name and text."""
    for pair in values:
        if not isinstance(pair, list) or [type(part) for part in pair] != [str, str]:
            raise ValueError(f"event {ROBOT_STATE}: values: expected pairs of texts, found {pair!r}")
    return tuple((name, text) for name, text in values)


def write_observation(seen: Observation) -> dict[str, Any]:
    """What the networks said of a frame: from it everything after them can be computed again.

    Of the label map only the cells of critical structures are written, packed, since distances are measured to them.
    """
    return {
        "input_sha256": seen.input_sha256,
        "size_px": list(seen.size_px),
        "content": [seen.content_shape, *seen.content_box_px],
        "refusal": seen.refusal.value if seen.refusal else "",
        "degraded": list(seen.degraded),
        "instruments": [
            [
                thing.type,
                thing.score_ppm,
                list(thing.tip_px) if thing.tip_px else None,
                thing.tip_score_ppm,
                thing.area_px,
                list(thing.box_px),
                thing.axis_mrad,
                thing.at_border,
            ]
            for thing in seen.instruments
        ],
        "structures": [[thing.type, thing.area_px, list(thing.box_px)] for thing in seen.structures],
        "presence_ppm": list(seen.presence_ppm),
        "phase_ppm": list(seen.phase_ppm),
        "next_ppm": list(seen.next_ppm),
        "progress_ppm": seen.progress_ppm,
        "boundary_ppm": seen.boundary_ppm,
        "in_body_ppm": seen.in_body_ppm,
        "novelty_ppm": seen.novelty_ppm,
        "grid": _write_grid(seen),
    }


def read_observation(values: Mapping[str, Any], index: int, stamp_ns: int, structures: Sequence[str]) -> Observation:
    """The observation that was written, its label map holding critical structures only.

    Args:
        values: as `write_observation` gave them.
        index, stamp_ns: of its frame.
        structures: names of the critical structures, in the model's order.

    Raises:
        ValueError: a value is missing or not what it must be.
    """
    try:
        shape, *box = values["content"]
        labels = {name: 1 + at for at, name in enumerate(structures)}
        return Observation(
            index=index,
            stamp_ns=stamp_ns,
            input_sha256=values["input_sha256"],
            size_px=_whole(values["size_px"], 2),
            content_shape=shape,
            content_box_px=_whole(box, 4),
            refusal=Refusal(values["refusal"]) if values["refusal"] else None,
            degraded=tuple(values["degraded"]),
            instruments=tuple(
                SeenInstrument(
                    type, score, None if tip is None else _whole(tip, 2), peak, area, _whole(box, 4), axis, border
                )
                for type, score, tip, peak, area, box, axis, border in values["instruments"]
            ),
            structures=tuple(
                SeenStructure(type, labels[type], area, _whole(box, 4)) for type, area, box in values["structures"]
            ),
            presence_ppm=_whole(values["presence_ppm"]),
            phase_ppm=_whole(values["phase_ppm"]),
            next_ppm=_whole(values["next_ppm"]),
            progress_ppm=values["progress_ppm"],
            boundary_ppm=values["boundary_ppm"],
            in_body_ppm=values["in_body_ppm"],
            novelty_ppm=values["novelty_ppm"],
            grid=_read_grid(values.get("grid"), labels),
        )
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"observation of frame {index}: expected what was seen of a frame, found {error!r}") from error


def _write_grid(seen: Observation) -> list[Any] | None:
    """Where critical structures are: height, width, scale and offset (as C99 hexadecimals), their names, packed cells."""
    grid = seen.grid
    if grid is None or not seen.structures:
        return None
    labels = np.zeros(grid.labels.shape, np.uint8)
    for at, structure in enumerate(seen.structures):
        labels[grid.labels == structure.label] = 1 + at
    x, y = grid.offset_px
    packed = base64.b64encode(zlib.compress(labels.tobytes(), 1)).decode("ascii")
    names = [structure.type for structure in seen.structures]
    return [*labels.shape, float(grid.scale).hex(), float(x).hex(), float(y).hex(), names, packed]


def _read_grid(values: Sequence[Any] | None, labels: Mapping[str, int]) -> Grid | None:
    if values is None:
        return None
    height, width, scale, x, y, names, packed = values
    try:
        cells = zlib.decompress(base64.b64decode(packed, validate=True))
    except zlib.error as error:
        raise ValueError(f"observation: grid: {error}") from error
    # A table of every byte: what was packed as its place in the list of names becomes its own label again.
    table = np.zeros(256, np.uint8)
    table[1 : 1 + len(names)] = [labels[name] for name in names]
    found = table[np.frombuffer(cells, np.uint8).reshape(height, width)]
    return Grid(found, float.fromhex(scale), (float.fromhex(x), float.fromhex(y)))


def _whole(values: Sequence[Any], count: int | None = None) -> tuple[Any, ...]:
    """A list of integers as a tuple, of that length where it has one."""
    if any(type(value) is not int for value in values) or count not in (None, len(values)):
        raise ValueError(f"observation: expected {count or 'some'} integers, found {values!r}"[:200])
    return tuple(values)


def decision_digest(decision: Decision) -> str:
    """SHA-256, hex, of everything in a decision that the inputs determine: two decisions are equal if these are."""
    canonical = json.dumps(decision.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_reason(advisory: Advisory) -> list[Any]:
    """An advisory's code and subject, and its reason: what was asked for, what was seen, and in which frames."""
    why = advisory.reason
    told = [why.rule, list(why.expected), list(why.observed), list(why.evidence_frames), why.certainty]
    return [advisory.code, advisory.subject, *told, list(why.degraded_inputs), why.clears]


def write_decision(decision: Decision) -> dict[str, Any]:
    """The digest that a decision must have when it is computed again, and of its content what a reader looks for."""
    phase = decision.phase
    return {
        "seq": decision.seq,
        "sha256": decision_digest(decision),
        "state": decision.state.value,
        "validity": decision.validity.value,
        "withheld": decision.withheld,
        "committed": phase.committed if phase and phase.committed else "",
        "candidate": phase.candidate if phase and phase.candidate else "",
        "advisories": [f"{a.priority.value} {a.presence.value} {a.code} {a.subject}" for a in decision.advisories],
    }
