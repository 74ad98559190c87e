"""A case through a real `Session`, with two engines that see what a test says instead of what a picture shows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from surgical_ml.audit import MemoryRecorder, Recorder
from surgical_ml.config import CaseConfig
from surgical_ml.decision import Decision
from surgical_ml.engine import EngineFault, InputSpec, Manifest, Model, Tensor, TensorSpec, Thresholds
from surgical_ml.engine.manifest import FileEntry
from surgical_ml.events import Action, Event, OperatorAction, RecordFailure, RobotState, Tick
from surgical_ml.perception import Perceiver
from surgical_ml.session import Session
from surgical_ml.video import Frame
from surgical_ml.workflow import load_protocol

SHIPPED = load_protocol("cholecystectomy")
PROTOCOL = SHIPPED.model_copy(update={"time_alarms": SHIPPED.time_alarms.model_copy(update={"least_s": 3600.0})})
"""Scripted phases last seconds; that they are far shorter than real ones is no departure here."""

STRUCTURES = ("gallbladder",)
QUALITIES = ("smoke",)
SIDE = 32
CELLS = SIDE // 4
FEATURES = STATE = 4
SECOND = 1_000_000_000
PERIOD = SECOND // 10


def manifest() -> Manifest:
    entry = FileEntry(path="none.onnx", sha256="0" * 64)
    return Manifest(
        schema=1,
        name="scripted",
        version="1",
        procedure=PROTOCOL.name,
        licence="Apache-2.0",
        input=InputSpec(width=SIDE, height=SIDE, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
        tools=PROTOCOL.tools,
        structures=STRUCTURES,
        segmentation=("background", *PROTOCOL.tools, *STRUCTURES),
        phases=PROTOCOL.phase_names,
        qualities=QUALITIES,
        thresholds=Thresholds(presence=0.5, tip=0.3, in_body=0.5, novelty=1.0),
        files={"frame": entry, "phase": entry},
        trained_on="nothing",
    )


@dataclass(frozen=True)
class Shown:
    """What the networks make of a frame."""

    phase: str = "Preparation"
    tools: tuple[str, ...] = ("grasper",)
    in_body: float = 1.0
    novelty: float = 0.2
    smoke: float = 0.0


class ScriptedEngine:
    """Returns what was put into `answer`; a fault where that is None."""

    def __init__(self, inputs: dict[str, tuple[int, ...]], outputs: dict[str, tuple[int, ...]]) -> None:
        self.name = "scripted"
        self.inputs = tuple(TensorSpec(name, shape, "float32") for name, shape in inputs.items())
        self.outputs = tuple(TensorSpec(name, shape, "float32") for name, shape in outputs.items())
        self.answer: dict[str, Tensor] | None = {}
        self.runs = 0

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self.runs += 1
        if self.answer is None:
            raise EngineFault("scripted: a fault")
        answer = dict(self.answer)
        if "new_state" in {spec.name for spec in self.outputs}:
            # As the real one does, it counts the steps since a reset: a state that was kept too long would show.
            answer["new_state"] = inputs["state"] * (1 - inputs["reset"]) + 1
            answer["boundary"] = answer["boundary"] + np.float32(answer["new_state"].mean() / 1000)
        return answer

    def close(self) -> None:
        pass


class Networks:
    """The pair of engines."""

    def __init__(self) -> None:
        tools, phases = len(PROTOCOL.tools), len(PROTOCOL.phases)
        classes = 1 + tools + len(STRUCTURES)
        self.frame = ScriptedEngine(
            {"image": (1, 3, SIDE, SIDE)},
            {
                "segmentation": (1, classes, CELLS, CELLS),
                "presence": (1, tools),
                "tips": (1, tools, CELLS, CELLS),
                "quality": (1, len(QUALITIES)),
                "in_body": (1, 1),
                "features": (1, FEATURES),
                "novelty": (1, 1),
            },
        )
        self.phase = ScriptedEngine(
            {"features": (1, FEATURES), "dt": (1, 1), "reset": (1, 1), "state": (1, STATE)},
            {
                "phase": (1, phases),
                "next_phase": (1, phases),
                "progress": (1, 1),
                "boundary": (1, 1),
                "new_state": (1, STATE),
            },
        )
        self.show(Shown())

    def show(self, what: Shown) -> None:
        frame = {spec.name: np.zeros(spec.shape, np.float32) for spec in self.frame.outputs}
        frame["segmentation"][:, 0] = 4.0
        for k, tool in enumerate(what.tools):
            # Each tool is a block of its own at the border, wide enough to count.
            cell, channel = 2 * k, 1 + PROTOCOL.tools.index(tool)
            frame["segmentation"][0, channel, 0:5, cell : cell + 2] = 9.0
            frame["tips"][0, channel - 1, 4, cell] = 0.9
            frame["presence"][0, channel - 1] = 0.95
        frame["in_body"][:], frame["novelty"][:], frame["quality"][:] = what.in_body, what.novelty, what.smoke
        phase = {spec.name: np.zeros(spec.shape, np.float32) for spec in self.phase.outputs}
        phase["phase"][:] = 0.1 / (len(PROTOCOL.phases) - 1)
        phase["phase"][0, PROTOCOL.phase_names.index(what.phase)] = 0.9
        self.frame.answer, self.phase.answer = frame, phase


def pixels(seed: int) -> np.ndarray:
    """A picture that is no other one's: sharp squares of four pixels, as bright as tissue."""
    squares = np.random.default_rng(seed).integers(40, 200, (CELLS, CELLS, 3), np.uint8)
    return np.ascontiguousarray(squares.repeat(SIDE // CELLS, axis=0).repeat(SIDE // CELLS, axis=1))


class ScriptedCase:
    """A session, its recorder, and a clock that moves from frame to frame."""

    def __init__(
        self,
        recorder: Recorder | None = None,
        *,
        networks: Networks | None = None,
        perceiver: Perceiver | None = None,
        config: CaseConfig | None = None,
        resumed: bool = False,
        calibration: str = "",
    ) -> None:
        self.networks = networks or Networks()
        self.recorder = recorder if recorder is not None else MemoryRecorder()
        self.perceiver = perceiver or Perceiver(manifest(), self.networks.frame, self.networks.phase)
        self.session = Session(
            config or CaseConfig.of({"nominal_fps": 10}),
            Model(Path("none"), manifest(), "m" * 64),
            PROTOCOL,
            self.perceiver,
            self.recorder,
            case="case-1",
            calibration=calibration,
            resumed=resumed,
        )
        self.now = 0
        self.index = -1
        self.decisions: list[Decision] = []

    @property
    def entries(self) -> list[dict[str, Any]]:
        assert isinstance(self.recorder, MemoryRecorder)
        return self.recorder.entries

    def step(self, event: Event) -> Decision:
        self.decisions.append(self.session.step(event))
        return self.decisions[-1]

    def act(self, action: Action, *, code: str = "", subject: str = "") -> Decision:
        return self.step(OperatorAction(self.now, action, "nurse-1", code, subject))

    def tick(self, after_ns: int = PERIOD) -> Decision:
        self.now += after_ns
        return self.step(Tick(self.now))

    def robot(self, **values: str) -> Decision:
        return self.step(RobotState(self.now, "PSM1/operating_state", True, tuple(values.items())))

    def lose_record(self, seq: int = 0) -> Decision:
        return self.step(RecordFailure(self.now, seq, "still waiting for the disk"))

    def frame(self, after_ns: int = PERIOD) -> Decision:
        self.now += after_ns
        self.index += 1
        return self.step(Frame(pixels(self.index), self.now, self.index))

    def show(self, seconds: float, what: Shown | None = None, **changes: Any) -> list[Decision]:
        """Frames for so long, ten a second."""
        if what is not None or changes:
            self.networks.show(replace(what or Shown(), **changes))
        return [self.frame() for _ in range(round(seconds * SECOND / PERIOD))]

    def start(self) -> "ScriptedCase":
        """Begun, and shown."""
        self.act(Action.START)
        self.show(5)
        assert self.decisions[-1].validity.value == "OK", self.decisions[-1]
        return self
