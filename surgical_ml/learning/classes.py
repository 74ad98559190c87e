"""What a model tells apart: its tools, structures, phases and qualities, in the order of the networks' channels."""

from dataclasses import dataclass
from typing import Any

from surgical_ml.engine import Manifest
from surgical_ml.simulation import PHASES, QUALITIES, STRUCTURES, TOOLS


@dataclass(frozen=True, slots=True)
class Classes:
    """The lists of a model's manifest.

    Attributes:
        procedure: kind of operation.
        tools, structures, phases, qualities: names; the place of a name is its channel.
    """

    procedure: str
    tools: tuple[str, ...]
    structures: tuple[str, ...]
    phases: tuple[str, ...]
    qualities: tuple[str, ...]

    @property
    def segmentation(self) -> tuple[str, ...]:
        """Background, then the tools, then the structures."""
        return ("background", *self.tools, *self.structures)

    @classmethod
    def of(cls, manifest: Manifest) -> "Classes":
        """Those of a model."""
        return cls(manifest.procedure, manifest.tools, manifest.structures, manifest.phases, manifest.qualities)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as a manifest holds them."""
        lists = {name: list(getattr(self, name)) for name in ("tools", "structures", "phases", "qualities")}
        return {"procedure": self.procedure, **lists, "segmentation": list(self.segmentation)}


SIMULATED = Classes("cholecystectomy", TOOLS, STRUCTURES, PHASES, QUALITIES)
"""Those of the synthetic operations, and of the shipped model."""
