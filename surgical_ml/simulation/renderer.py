"""The face of both looks: any moment of a planned case as a picture."""

from surgical_ml.simulation.picture import Picture
from surgical_ml.simulation.plan import CasePlan
from surgical_ml.simulation.scene import PlainScene


class Renderer:
    """Renders any moment of one planned case, in the look that its plan names.

    Args:
        plan: the script.
        size: (width, height) in pixels.
        view: `random`, `full`, `circle` or `box`: the shape of the field of view.
    """

    def __init__(self, plan: CasePlan, size: tuple[int, int], *, view: str = "random") -> None:
        self.plan, self.size = plan, size
        self._scene = PlainScene(plan, size, view=view)

    def at(self, t_s: float) -> Picture:
        """Render the moment `t_s`, seconds from the start of the case. Moments may be asked for in any order."""
        return self._scene.at(t_s)

    @property
    def content_box(self) -> tuple[int, int, int, int]:
        """(x, y, width, height) of the field of view in pixels."""
        return self._scene.content_box
