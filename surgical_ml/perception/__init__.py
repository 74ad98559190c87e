"""Frame to observation: masks, instruments, tips, tool presence, phase scores; and admission."""

from surgical_ml.perception.observation import (
    PPM,
    Grid,
    Observation,
    Refusal,
    SeenInstrument,
    SeenStructure,
)
from surgical_ml.perception.perceiver import Perceiver, Stage

__all__ = ["PPM", "Grid", "Observation", "Perceiver", "Refusal", "SeenInstrument", "SeenStructure", "Stage"]
