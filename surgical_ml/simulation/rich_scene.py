"""One frame of a synthetic operation in the rich look: all is drawn at random, so that a real frame is one more draw."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.simulation.anatomy import MARGIN, Field, FieldState, Style, noise
from surgical_ml.simulation.events import events
from surgical_ml.simulation.hands import Arm, Hands
from surgical_ml.simulation.meshes import MeshTool
from surgical_ml.simulation.optics import Optics, Troubles
from surgical_ml.simulation.picture import Picture
from surgical_ml.simulation.plan import CLASSES, QUALITIES, TOOLS, CasePlan
from surgical_ml.simulation.rasteriser import Camera, Lighting, rasterise, shade
from surgical_ml.simulation.scene import TARGETS, field_of_view
from surgical_ml.simulation.textures import Canvas, Clothier, clutter, organs, texture

Float = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

_COARSE = 8
"""Tissue is deformed on a grid so many times coarser than the picture."""

_FAT, _LOBES = 0, 5
"""Regions of the operating field; 1 to 4 are liver, gallbladder, duct and artery."""


class RichScene:
    """Renders any moment of one planned case in the rich look.

    Args:
        plan: the script.
        size: (width, height) in pixels.
        view: the shape of the field of view, as in `Renderer`.
        meshes: a user's instruments, which take the place of most of the module's own where there is one of the kind.
        backgrounds: (H, W, 3) uint8 BGR pictures, for the scene `images`.
    """

    def __init__(
        self,
        plan: CasePlan,
        size: tuple[int, int],
        *,
        view: str,
        meshes: tuple[MeshTool, ...] = (),
        backgrounds: Sequence[Bytes] = (),
    ) -> None:
        self.plan, self.size = plan, size
        rng = np.random.default_rng([plan.seed, 30])
        width, height = size
        self.camera = Camera(size, float(rng.uniform(0.78, 1.05)) * width)
        self._depth = float(rng.uniform(48, 115))
        self._hands = Hands(plan, self.camera, self._depth, meshes)
        self._optics = Optics(rng, size, plan.split)
        self._view = field_of_view(view, size, rng, widest=0.8)
        self._seen = None if self._view is None else self._view.astype(np.uint8)
        self._speed = rng.uniform(0.02, 0.12, (4, 3))
        self._phase = rng.uniform(0, 2 * np.pi, (4, 3))
        self._zoom = float(rng.uniform(0.95, 1.5))
        self._turn = float(rng.uniform(-0.3, 0.3))
        self._breath = float(rng.uniform(0.18, 0.3))
        self._sway = rng.uniform(-0.012, 0.012, (2, 2)).astype(np.float32)
        self._give = float(rng.uniform(0.0, 0.05))
        self._lamp = rng.uniform(-14, 14, 3).astype(np.float32) * np.array([1, 1, 0.3], np.float32)
        self._shine, self._polish = float(rng.uniform(80, 420)), float(rng.uniform(0.05, 0.22))
        self._steep, self._modelled = float(rng.uniform(0.3, 1.2)), float(rng.uniform(0.3, 1.0))
        self._feather = float(rng.choice([0.0, rng.uniform(0.4, 0.8), rng.uniform(0.8, 1.4)])) * max(1.0, height / 400)
        self._harmony = float(rng.choice([0.0, 0.0, rng.uniform(0.05, 0.3)]))
        self._shadow = float(rng.uniform(0.1, 0.65))
        self._throw = rng.uniform(-0.05, 0.05, 2) * height
        self._stain = float(rng.choice([0.0, 0.0, rng.uniform(0.0, 0.4)]))
        self._state: FieldState | None = None
        self._events = events(plan)
        self._canvas_size = (round(width * MARGIN), round(height * MARGIN))
        self._field = Field(plan, size)
        self._clothe(rng, backgrounds)
        self._lighting = self._lamps(rng)
        self._pool = cv2.resize(noise(rng, (height // 4, width // 4), 4, 0.55, base=4), size)
        self._outside = [texture(rng, (height, width), "smooth", 3), texture(rng, (height, width), "ridged", 6)]
        self._away_colours = rng.uniform((60, 60, 40), (220, 200, 190), (2, 3)).astype(np.float32)

    @property
    def content_box(self) -> tuple[int, int, int, int]:
        """(x, y, width, height) of the field of view in pixels."""
        if self._seen is None:
            return 0, 0, *self.size
        x, y, width, height = cv2.boundingRect(self._seen)
        return x, y, width, height

    def at(self, t_s: float) -> Picture:
        """Render the moment `t_s`, seconds from the start of the case."""
        plan = self.plan
        quality = tuple(plan.strength(kind, t_s) for kind in QUALITIES)
        rng = np.random.default_rng([plan.seed, 36, round(t_s * 1000)])
        if plan.strength("out_of_body", t_s) > 0.0:
            return self._away(t_s, rng)
        matrix, depth = self._motion(t_s)
        target = matrix @ np.array([*self._field.point(TARGETS[plan.segment_at(t_s).phase]), 1.0])
        arms = []
        for use in plan.tools_at(t_s):
            away = np.array([-0.16 if use.slot == 0 else 0.05, -0.02]) * self.size[1]
            arm = self._hands.arm(use, t_s, (target[:2] + away).astype(np.float32), depth)
            if arm is not None:
                arms.append(arm)
        scene, mask = self._tissue(matrix, depth, t_s, arms)
        self._bleed(scene, t_s, target)
        parts = np.zeros(mask.shape, np.uint8)
        if arms:
            self._instruments(scene, mask, parts, arms)
        self._burn(scene, t_s, arms)
        troubles = Troubles(*quality, *(plan.strength(name, t_s) for name in Troubles.__slots__[len(QUALITIES) :]))
        before = self._motion(t_s - 0.04)[0]
        centre = np.array([*(np.array(self._canvas_size) / 2), 1.0])
        moved = (matrix - before) @ centre
        image = self._optics.through(scene, troubles, (float(moved[0]), float(moved[1])), t_s, rng)
        tips = tuple((arm.pose.tool, *arm.tip_px) for arm in arms if self._shows(arm.tip_px))
        return Picture(
            self._through_scope(image),
            self._through_scope(mask),
            tips,
            quality,
            True,
            self._through_scope(parts),
            tuple(arm.pose for arm in arms),
            self._pose(matrix, depth),
        )

    def _shows(self, tip: tuple[float, float]) -> bool:
        inside = 0 <= tip[0] < self.size[0] and 0 <= tip[1] < self.size[1]
        return inside and (self._view is None or bool(self._view[int(tip[1]), int(tip[0])]))

    def _through_scope(self, picture: Bytes) -> Bytes:
        """Black wherever the endoscope shows nothing."""
        return picture if self._seen is None else cv2.bitwise_and(picture, picture, mask=self._seen)

    def _motion(self, t_s: float) -> tuple[npt.NDArray[np.float64], float]:
        """Canvas to picture, (2, 3), and the distance of the field in mm: the camera wanders, turns and comes closer."""
        width, height = self.size
        wave = np.sin(2 * np.pi * self._speed * t_s + self._phase).mean(axis=1)
        scale = self._zoom * (1 + 0.15 * wave[2])
        angle = self._turn + 0.15 * wave[3]
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
        middle = np.array(self._canvas_size) / 2
        matrix[:, 2] = np.array([width, height]) / 2 + 0.12 * height * wave[:2] - matrix[:, :2] @ middle
        return matrix, self._depth * self._zoom / scale

    def _pose(self, matrix: npt.NDArray[np.float64], depth: float) -> tuple[float, ...]:
        """The rows of the transform from the camera to the field: its plane is z = 0, its origin the canvas's middle."""
        scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
        back = matrix[:, :2].T / scale**2
        mm = depth * scale / self.camera.focal_px
        at = (back @ (np.array(self.camera.centre_px) - matrix[:, 2]) - np.array(self._canvas_size) / 2) * mm
        turned = back * scale
        rows = [[*turned[0], 0.0, at[0] / 1000], [*turned[1], 0.0, at[1] / 1000], [0.0, 0.0, 1.0, -depth / 1000]]
        return tuple(round(float(value), 8) for row in rows for value in row)

    def _clothe(self, rng: np.random.Generator, backgrounds: Sequence[Bytes]) -> None:
        """Draw what the field is covered with."""
        plan, size = self.plan, self._canvas_size
        self._clutter_seed = int(rng.integers(2**31))
        self._cluttered = plan.scene != "operation" or bool(rng.random() < 0.15)
        if plan.scene == "operation":
            tones = _anatomical(rng, plan.split)
            self._clothier = Clothier(rng, size, 6, plan.split, tones=tones)
            flat = np.full(3, 100.0, np.float32)
            self._field.style = Style(flat, flat, flat, flat, flat, self._field.style.roughness, 0.05)
            self._lobes = texture(rng, (size[1], size[0]), "smooth", 3) > rng.uniform(0.0, 0.7)
            return
        self._clothier = Clothier(rng, size, 8, plan.split, real=plan.scene != "texture")
        regions = organs(rng, size)
        if plan.scene == "texture" and rng.random() < 0.4:
            regions[:] = 0
        self._still = self._clothier.clothe(regions, np.zeros((size[1], size[0]), np.uint8))
        if plan.scene == "images":
            self._still = _clothed_with(backgrounds[int(rng.integers(len(backgrounds)))], self._still, rng)
        self._put_clutter(self._still)

    def _put_clutter(self, canvas: Canvas) -> None:
        if self._cluttered:
            colour, wet = np.ascontiguousarray(canvas.colour[..., :3]), canvas.colour[..., 3].copy()
            clutter(colour, wet, np.random.default_rng(self._clutter_seed))
            canvas.colour[..., :3], canvas.colour[..., 3] = colour, wet

    def _canvas(self, t_s: float) -> Canvas:
        """The field as it is at a time."""
        if self.plan.scene != "operation":
            return self._still
        state = FieldState.at(self.plan, t_s)
        if state != self._state:
            painted, mask = self._field.paint(state)
            structures = np.zeros(len(CLASSES), np.uint8)
            structures[len(TOOLS) + 1 :] = np.arange(1, len(CLASSES) - len(TOOLS))
            regions = structures[mask]
            regions[(regions == _FAT) & self._lobes] = _LOBES
            light = painted[..., 0].astype(np.float32) / 100
            clips = light > 2.0
            light = 1.0 + self._modelled * (np.where(clips, 1.0, light) - 1.0)
            canvas = self._clothier.clothe(regions, mask, np.asarray(light, np.float32))
            canvas.colour[clips] = (205, 205, 200, 160)
            self._put_clutter(canvas)
            self._still, self._state = canvas, state
        return self._still

    def _tissue(
        self, matrix: npt.NDArray[np.float64], depth: float, t_s: float, arms: list[Arm]
    ) -> tuple[Float, Bytes]:
        """The lit field through the camera, (H, W, 3) float32, and its (H, W) class ids."""
        canvas = self._canvas(t_s)
        at_x, at_y = self._seen_at(matrix, t_s, arms)
        reflect = cv2.BORDER_REFLECT
        colour = cv2.remap(canvas.colour, at_x, at_y, cv2.INTER_LINEAR, borderMode=reflect)
        slope = cv2.remap(canvas.slope, at_x, at_y, cv2.INTER_LINEAR, borderMode=reflect)
        mask = cv2.remap(canvas.mask, at_x, at_y, cv2.INTER_NEAREST, borderMode=reflect)
        gx, gy = cv2.split(slope * np.float32(self._steep))
        # The field turned with the camera; its slopes turn with it.
        cos, sin = matrix[:, 0] / np.hypot(*matrix[:, 0])
        gx, gy = np.float32(cos) * gx - np.float32(sin) * gy, np.float32(sin) * gx + np.float32(cos) * gy
        width, height = self.size
        cx, cy = self.camera.centre_px
        x = ((np.arange(width) - cx) / self.camera.focal_px).astype(np.float32)[None, :]
        y = ((np.arange(height) - cy) / self.camera.focal_px).astype(np.float32)[:, None]
        lx, ly = self._lamp[0] / np.float32(depth), self._lamp[1] / np.float32(depth)
        facing = (1.0 + gx * (x - lx) + gy * (y - ly)) / np.sqrt(1.0 + 0.6 * (gx * gx + gy * gy))
        light = self._optics.light * np.clip(facing, 0.15, 1.8)
        # A mirror's slope sends the lamp's light into the lens.
        off = (gx - x + lx / 2) ** 2 + (gy - y + ly / 2) ** 2
        wet = colour[..., 3]
        glint = (
            np.exp(off * np.float32(-0.5 / self._polish**2))
            * wet
            * (np.float32(self._shine / 255) * self._optics.light)
        )
        scene = colour[..., :3] * light[..., None]
        scene += cv2.merge([glint, glint, glint])
        return scene, mask

    def _seen_at(self, matrix: npt.NDArray[np.float64], t_s: float, arms: list[Arm]) -> tuple[Float, Float]:
        """Where on the canvas each pixel looks: breathing and instruments move the tissue."""
        width, height = self.size
        rows, columns = -(-height // _COARSE) + 1, -(-width // _COARSE) + 1
        x = (np.arange(columns, dtype=np.float32) * _COARSE)[None, :] + np.zeros((rows, 1), np.float32)
        y = (np.arange(rows, dtype=np.float32) * _COARSE)[:, None] + np.zeros((1, columns), np.float32)
        breath = np.float32(np.sin(2 * np.pi * self._breath * t_s) * height)
        u, v = x / height - 0.8, y / height - 0.5
        px = x + breath * (self._sway[0, 0] + self._sway[0, 1] * v)
        py = y + breath * (self._sway[1, 0] + self._sway[1, 1] * u)
        for arm in arms:
            reach = 0.13 * height
            dx, dy = x - arm.tip_px[0], y - arm.tip_px[1]
            push = np.exp(-(dx * dx + dy * dy) / (2 * reach * reach)) * np.float32(self._give * height)
            px -= push * np.float32(arm.anchor[2])
            py -= push * np.float32(arm.anchor[3])
        back = cv2.invertAffineTransform(matrix)
        at_x = back[0, 0] * px + back[0, 1] * py + back[0, 2]
        at_y = back[1, 0] * px + back[1, 1] * py + back[1, 2]
        # The grid's points are the corners of its cells, so that it is enlarged by interpolating between them.
        place = (
            np.arange(columns * _COARSE, dtype=np.float32) / _COARSE,
            np.arange(rows * _COARSE, dtype=np.float32) / _COARSE,
        )
        gx = np.broadcast_to(place[0][:width], (height, width)).astype(np.float32)
        gy = np.broadcast_to(place[1][:height, None], (height, width)).astype(np.float32)
        both = cv2.merge([at_x.astype(np.float32), at_y.astype(np.float32)])
        fine = cv2.remap(both, gx, gy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(fine[..., 0]), np.ascontiguousarray(fine[..., 1])

    def _instruments(self, scene: Float, mask: Bytes, parts: Bytes, arms: list[Arm]) -> None:
        """Draw the instruments and their shadows in place."""
        width, height = self.size
        faces = rasterise([arm.body for arm in arms], self.camera)
        x, y, w, h = cv2.boundingRect((faces.index > 0).astype(np.uint8))
        if w == 0:
            return
        rim = 4
        rows, columns = (
            slice(max(0, y - rim), min(height, y + h + rim)),
            slice(max(0, x - rim), min(width, x + w + rim)),
        )
        window = (rows, columns)
        shown = faces.index[window] > 0
        self._cast(scene, (faces.index > 0).astype(np.uint8))
        smooth = 2 * round(height / 200) + 1
        light = shade(
            faces,
            window,
            self.camera,
            self._lighting,
            [arm.surfaces for arm in arms],
            [arm.anchor for arm in arms],
            self._stain,
            smooth,
        )
        light *= (0.35 + 0.65 * self._optics.light[window] / self._optics.light.max())[..., None]
        if self._harmony:
            # Light that goes to and fro between an instrument and what lies around it.
            around = cv2.blur(scene[window], (height // 8, height // 8))
            light[shown] += self._harmony * (around[shown] - light[shown])
        if self._feather:
            share = shown.astype(np.float32)
            soft = cv2.GaussianBlur(share, (0, 0), self._feather)
            spread = cv2.GaussianBlur(light, (0, 0), self._feather) / (soft[..., None] + 1e-3)
            light = np.where(shown[..., None], light, spread)
            soft = soft[..., None]
            scene[window] += soft * (light - scene[window])
        else:
            scene[window][shown] = light[shown]
        tool_ids = np.array([0, *(CLASSES.index(arm.pose.tool) for arm in arms)], np.uint8)
        mask[window][shown] = tool_ids[faces.body[faces.index[window]]][shown]
        parts[window][shown] = faces.part[faces.index[window]][shown]

    def _cast(self, scene: Float, shape: Bytes) -> None:
        """The shadow of the instruments on the field."""
        width, height = self.size
        small = cv2.resize(shape * 255, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
        shift = np.array([[1, 0, self._throw[0] / 4], [0, 1, self._throw[1] / 4]])
        moved = cv2.warpAffine(small, shift, (width // 4, height // 4), borderMode=cv2.BORDER_REPLICATE)
        moved = cv2.GaussianBlur(moved, (0, 0), 0.012 * height / 4 + abs(self._throw).mean() / 12)
        dark = cv2.resize(moved, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)
        scene *= (1.0 - dark * np.float32(self._shadow / 255))[..., None]

    def _bleed(self, scene: Float, t_s: float, target: npt.NDArray[np.float64]) -> None:
        """A pool of blood that grows from its source."""
        for one in self._events:
            if one.kind != "bleeding" or not one.start_s <= t_s < one.end_s:
                continue
            height = self.size[1]
            grown = 0.35 * np.sqrt((t_s - one.start_s) / (one.end_s - one.start_s))
            y, x = np.mgrid[0:height, 0 : self.size[0]].astype(np.float32)
            away = np.hypot(x - np.float32(target[0]), 1.3 * (y - np.float32(target[1]))) / height + 0.10 * self._pool
            cover = np.clip((grown - away) * 25.0, 0.0, 0.88)[..., None]
            wet = np.array([20, 16, 118], np.float32) * self._optics.light[..., None]
            glint = 160.0 * np.clip(self._pool - 0.9, 0.0, 0.5)[..., None]
            scene += cover * (wet + glint - scene)

    def _burn(self, scene: Float, t_s: float, arms: list[Arm]) -> None:
        """The spark and the smoke at the tip of a hook or a bipolar forceps under current."""
        current = next(
            (one for one in self._events if one.kind == "cautery" and one.start_s <= t_s < one.end_s + 1.2), None
        )
        tips = [arm.tip_px for arm in arms if arm.pose.tool in ("hook", "bipolar")]
        if current is None or not tips:
            return
        height = self.size[1]
        y, x = np.mgrid[0:height, 0 : self.size[0]].astype(np.float32)
        dx, dy = (x - tips[0][0]) / height, (y - tips[0][1]) / height
        age = min(1.0, t_s - current.start_s) * (1.0 if t_s < current.end_s else 1.0 - (t_s - current.end_s) / 1.2)
        # The plume rises and widens.
        rise = np.maximum(-dy, 0.0)
        width = 0.03 + 0.45 * rise
        plume = np.exp(-((dx - 0.1 * self._pool * rise) ** 2) / (2 * width**2)) * np.exp(-3.0 * rise) * (dy < 0.02)
        cover = np.clip(
            0.75 * age * plume * (0.8 + 0.5 * np.roll(self._pool, -round(0.3 * height * t_s), axis=0)), 0, 0.9
        )
        scene += cover[..., None] * (np.array([195, 190, 195], np.float32) * self._optics.light[..., None] - scene)
        if t_s < current.end_s and round(t_s * 25) % 3 == 0:
            glow = 500.0 * np.exp(-(dx * dx + dy * dy) / (2 * 0.010**2))
            scene += cv2.merge([glow, 0.8 * glow, 0.6 * glow])

    def _lamps(self, rng: np.random.Generator) -> Lighting:
        """The light on the instruments, and what they mirror: the tissue around, the dark, and the lamp."""
        n = 256
        around_it = self._still.colour[..., :3] if self.plan.scene == "images" else self._clothier.tones
        tissue = around_it.reshape(-1, 3).mean(axis=0)
        grey = tissue.mean()
        base = tissue * 0.45 + 0.55 * grey
        around = cv2.resize(rng.standard_normal((6, 6, 1)).astype(np.float32), (n, n), interpolation=cv2.INTER_CUBIC)
        around = around[..., None] if around.ndim == 2 else around
        seen = np.clip(1.0 + float(rng.uniform(0.3, 0.8)) * around, 0.05, 2.5) * base * float(rng.uniform(0.4, 1.1))
        y, x = np.mgrid[-1 : 1 : n * 1j, -1 : 1 : n * 1j].astype(np.float32)
        lamps = 1 if self.plan.split == "train" else 2
        for k in range(lamps):
            at = rng.uniform(-0.25, 0.25, 2) + np.array([0.25 * (2 * k - 1) * (lamps - 1), 0.0])
            spot = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * float(rng.uniform(0.05, 0.28)) ** 2))
            seen = seen + (float(rng.uniform(250, 800)) / lamps * spot)[..., None]
        sharp = seen.astype(np.float32)
        length = float(rng.uniform(0.4, 4.0))
        marks = cv2.GaussianBlur(rng.standard_normal((256, 256)).astype(np.float32), (0, 0), sigmaX=0.6, sigmaY=length)
        marks += cv2.GaussianBlur(rng.standard_normal((256, 256)).astype(np.float32), (0, 0), 9.0) * 12
        marks /= marks.std() * 1.5
        return Lighting(
            np.array([self._lamp[0], self._lamp[1], self._lamp[2]], np.float32),
            float(rng.uniform(0.7, 1.5)),
            0.8 * self._depth,
            float(rng.uniform(0.05, 0.35)),
            (sharp, cv2.GaussianBlur(sharp, (0, 0), 0.09 * n)),
            marks.astype(np.float32),
            texture(rng, (256, 256), "smooth", 7),
        )

    def _away(self, t_s: float, rng: np.random.Generator) -> Picture:
        """Outside the body: drapes, gloves, the room, out of focus; or the dark tube of the trocar with the room at its end."""
        width, height = self.size
        moved = [
            np.roll(one, (round(0.2 * height * t_s), round(0.3 * height * t_s)), axis=(0, 1)) for one in self._outside
        ]
        share = np.clip(0.5 + 2.0 * moved[0], 0, 1)[..., None]
        scene = self._away_colours[0] * share + self._away_colours[1] * (1 - share)
        scene *= (1.0 + 0.10 * moved[1])[..., None]
        if self.plan.seed % 3 == 0:
            y, x = np.mgrid[0:height, 0:width].astype(np.float32)
            ring = np.hypot(x - width / 2, y - height / 2) / height
            scene *= np.clip(1.0 - 6.0 * (ring - 0.28), 0.04, 1.0)[..., None]
        scene = cv2.GaussianBlur(scene.astype(np.float32), (0, 0), 0.008 * height)
        image = self._optics.through(scene, Troubles(*(0.0,) * len(Troubles.__slots__)), (0.0, 0.0), t_s, rng)
        nothing = np.zeros((height, width), np.uint8)
        return Picture(self._through_scope(image), nothing, (), (0.0,) * len(QUALITIES), False, nothing.copy())


def _anatomical(rng: np.random.Generator, split: str) -> Float:
    """The tones of fat, liver, gallbladder, duct, artery and lobes of fat, (6, 2, 3) BGR."""
    ranges = (
        ((75, 105, 170), (135, 190, 230)),
        ((25, 25, 75), (75, 80, 160)),
        ((85, 110, 120), (165, 190, 215)),
        ((105, 150, 180), (165, 210, 235)),
        ((40, 35, 160), (95, 90, 225)),
        ((70, 130, 190), (140, 205, 240)),
    )
    shares = (
        rng.uniform(0.4, 0.6, (6, 2, 1))
        if split == "held-out"
        else rng.choice([0.0, 1.0], (6, 2, 1)) * 0.6 + rng.uniform(0, 0.4, (6, 2, 1))
    )
    low, high = (np.array([one[k] for one in ranges], np.float32)[:, None] for k in (0, 1))
    tones = (low + (high - low) * shares) * rng.uniform(0.85, 1.15, (6, 1, 3))
    return np.asarray(tones, np.float32)


def _clothed_with(image: Bytes, canvas: Canvas, rng: np.random.Generator) -> Canvas:
    """A canvas that shows a user's picture, mirrored, turned and cropped at random."""
    height, width = canvas.mask.shape
    share = float(rng.uniform(0.6, 1.0))
    scale = max(width / image.shape[1], height / image.shape[0]) / share
    big = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    y, x = (int(rng.integers(0, big.shape[k] - one + 1)) for k, one in ((0, height), (1, width)))
    cut = big[y : y + height, x : x + width][:: int(rng.choice([-1, 1])), :: int(rng.choice([-1, 1]))]
    cut = np.ascontiguousarray(cut)
    # A photograph has its own light and glints already.
    wet = canvas.colour[..., 3] // 4
    grey = cv2.GaussianBlur(cv2.cvtColor(cut, cv2.COLOR_BGR2GRAY), (0, 0), height / 150).astype(np.float32)
    slope = cv2.merge([np.gradient(grey, axis=1), np.gradient(grey, axis=0)]).astype(np.float32) * np.float32(0.02)
    return Canvas(cv2.merge([*cv2.split(cut), wet]), slope, canvas.mask)
