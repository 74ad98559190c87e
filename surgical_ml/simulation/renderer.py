"""The face of both looks: any moment of a planned case as a picture."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.simulation.meshes import MeshTool
from surgical_ml.simulation.picture import Picture
from surgical_ml.simulation.plan import CasePlan
from surgical_ml.simulation.rasteriser import Camera
from surgical_ml.simulation.rich_scene import RichScene
from surgical_ml.simulation.scene import PlainScene


class Renderer:
    """Renders any moment of one planned case, in the look that its plan names.

    Args:
        plan: the script.
        size: (width, height) in pixels.
        view: `random`, `full`, `circle` or `box`: the shape of the field of view.
        meshes: a user's instruments, from `read_instruments`; rich look only.
        backgrounds: (H, W, 3) uint8 BGR pictures, one of which a case of the scene `images` shows.

    Raises:
        InputError: the scene is `images`, and there is none; or the plain look is to show what it cannot.
    """

    def __init__(
        self,
        plan: CasePlan,
        size: tuple[int, int],
        *,
        view: str = "random",
        meshes: tuple[MeshTool, ...] = (),
        backgrounds: Sequence[npt.NDArray[np.uint8]] = (),
    ) -> None:
        self.plan, self.size = plan, size
        self.camera: Camera | None = None
        if plan.look == "plain":
            if meshes or backgrounds:
                raise InputError("look", "rich, for meshes and backgrounds of one's own", plan.look)
            self._scene: PlainScene | RichScene = PlainScene(plan, size, view=view)
            return
        if plan.scene == "images" and not backgrounds:
            raise InputError("backgrounds", "at least one picture for the scene of images", "none")
        scene = RichScene(plan, size, view=view, meshes=meshes, backgrounds=backgrounds)
        self._scene, self.camera = scene, scene.camera

    def at(self, t_s: float) -> Picture:
        """Render the moment `t_s`, seconds from the start of the case. Moments may be asked for in any order."""
        return self._scene.at(t_s)

    @property
    def content_box(self) -> tuple[int, int, int, int]:
        """(x, y, width, height) of the field of view in pixels."""
        return self._scene.content_box
