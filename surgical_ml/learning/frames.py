"""Training frames, rendered or real, placed in the network's input as the module itself places them.

Whatever they come from, they lie on disk in one way: a folder a case, a NumPy file a truth. A truth that nobody knows has a
value of its own, and no loss is taken from it.
"""

import shutil
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.errors import InputError
from surgical_ml.labels import natural
from surgical_ml.simulation import (
    DISTURBANCES,
    LOOKS,
    RICH_DISTURBANCES,
    TOOLS,
    CasePlan,
    Renderer,
    plan_case,
    read_instruments,
    shuffle_tools,
)

WIDTH, HEIGHT, STRIDE = 320, 192, 4
_SIZES = {(480, 270): 0.36, (400, 320): 0.14, (432, 324): 0.14, (854, 480): 0.21, (1280, 720): 0.15}
"""Rendered sizes and how often each is drawn: the aspect ratios of 16:9, 5:4 and 4:3 endoscopy, at sizes that a clip has."""

_COMPRESSED = 0.6
"""Share of the pictures that went through a lossy codec, as recorded and streamed video did."""

PRESENT_CELLS = 6
"""A tool counts as present from this many cells of the stride-4 grid."""


IGNORED, ANY_TOOL, NOT_A_TOOL = 255, 254, 253
"""Mask ids of what is known in part: nothing; that some tool is there, but not which; that no tool is there."""

UNKNOWN_PHASE = -1

TRAINING_LOOKS = (*LOOKS, "mixed")
"""What the cases of a training may look like; see `look_of`."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames and their truth; n frames of the network's size, tools and qualities as its classes have them.

    Attributes:
        image: (n, 192, 320, 3) uint8 RGB; mask: (n, 48, 80) uint8 class ids, or what is known in part.
        tips: (n, tools, 48, 80) uint8, 255 at each tip falling off as a Gaussian of 1.5 cells.
        tips_known: (n,) float32, 1 where tips are.
        presence: (n, tools), quality: (n, qualities), in_body: (n,), state: (n, 5) anatomy, all float32 in 0..1, NaN where
            unknown; phase: (n,) int64, `UNKNOWN_PHASE` where unknown.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    tips: npt.NDArray[np.uint8]
    tips_known: npt.NDArray[np.float32]
    presence: npt.NDArray[np.float32]
    quality: npt.NDArray[np.float32]
    in_body: npt.NDArray[np.float32]
    state: npt.NDArray[np.float32]
    phase: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: npt.NDArray[np.int64]) -> "Frames":
        """Some of the frames, in the order of `rows`."""
        return Frames(*(getattr(self, name)[rows] for name in self.__slots__))

    @classmethod
    def load(cls, folder: Path) -> "Frames":
        """Every frame of a folder, in memory."""
        store = StoredFrames(folder)
        return store.take(np.arange(len(store)))


class StoredFrames:
    """The frames of a folder, left on disk until they are taken.

    Args:
        folder: with a folder a case, as `store` writes them.

    Raises:
        InputError: there is no case in it.
    """

    def __init__(self, folder: Path) -> None:
        self.paths = sorted((path for path in folder.glob("*") if path.is_dir()), key=lambda path: natural(path.name))
        self.paths = [path for path in self.paths if not path.name.endswith(".partial")]
        if not self.paths:
            raise InputError(folder, "a folder of frames for each case", "none")
        self._parts = [
            {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in Frames.__slots__} for path in self.paths
        ]
        self._ends = np.cumsum([len(part["phase"]) for part in self._parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def case_of(self) -> npt.NDArray[np.int64]:
        """(n,) the place of each frame's case in `paths`."""
        return np.searchsorted(self._ends, np.arange(len(self)), side="right").astype(np.int64)

    def files(self) -> list[Path]:
        """Every file, for a digest of the data."""
        return [path / f"{name}.npy" for path in self.paths for name in Frames.__slots__]

    def take(self, rows: npt.NDArray[np.int64]) -> Frames:
        """Some of the frames, in the order of `rows`, in memory."""
        part = np.searchsorted(self._ends, rows, side="right")
        first = np.concatenate([[0], self._ends[:-1]])
        places = [(int(p), int(row - first[p])) for p, row in zip(part, rows, strict=True)]
        return Frames(*(np.stack([self._parts[p][name][k] for p, k in places]) for name in Frames.__slots__))


Sample = dict[str, npt.NDArray[np.generic] | np.generic]
"""One frame, as the arrays of `Frames` hold it."""


def store(folder: Path, samples: list[Sample]) -> None:
    """Write the frames of one case, whole or not at all."""
    aside = folder.with_name(folder.name + ".partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name in Frames.__slots__:
        np.save(aside / f"{name}.npy", np.stack([one[name] for one in samples]))
    aside.rename(folder)


def draw_size(rng: np.random.Generator) -> tuple[int, int]:
    """A size to render a case in, (width, height) in pixels."""
    sizes = list(_SIZES)
    return sizes[int(rng.choice(len(sizes), p=list(_SIZES.values())))]


def _through_codec(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Some pictures as a codec leaves them: JPEG's blocks and colour subsampling, of random quality."""
    if rng.random() >= _COMPRESSED:
        return image
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 96))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def place(
    image: npt.NDArray[np.uint8], box: tuple[int, int, int, int], *, nearest: bool = False
) -> npt.NDArray[np.uint8]:
    """Crop to a box and fit into the network's input with black bars, as `perception.preprocess` does."""
    x, y, width, height = box
    scale = min(WIDTH / width, HEIGHT / height)
    inner = min(WIDTH, round(width * scale)), min(HEIGHT, round(height * scale))
    left, top = (WIDTH - inner[0]) // 2, (HEIGHT - inner[1]) // 2
    canvas = np.zeros((HEIGHT, WIDTH, *image.shape[2:]), np.uint8)
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(
        image[y : y + height, x : x + width], inner, interpolation=how
    )
    return canvas


def tip_maps(
    tips: Iterable[tuple[str, float, float]], box: tuple[int, int, int, int], tools: tuple[str, ...] = TOOLS
) -> npt.NDArray[np.uint8]:
    """(tools, 48, 80) uint8: 255 at each tip, falling off as a Gaussian of 1.5 cells.

    Args:
        tips: (tool, x, y) in pixels of the picture. box: (x, y, width, height) of its content. tools: of the network.
    """
    x, y, width, height = box
    scale = min(WIDTH / width, HEIGHT / height)
    left, top = (WIDTH - round(width * scale)) // 2, (HEIGHT - round(height * scale)) // 2
    rows, columns = np.mgrid[0 : HEIGHT // STRIDE, 0 : WIDTH // STRIDE]
    maps = np.zeros((len(tools), HEIGHT // STRIDE, WIDTH // STRIDE), np.float32)
    for tool, tip_x, tip_y in tips:
        column = ((tip_x - x) * scale + left) / STRIDE - 0.5
        row = ((tip_y - y) * scale + top) / STRIDE - 0.5
        bump = np.exp(-((columns - column) ** 2 + (rows - row) ** 2) / (2 * 1.5**2))
        k = tools.index(tool)
        maps[k] = np.maximum(maps[k], bump)
    return np.round(255 * maps).astype(np.uint8)


def sample(renderer: Renderer, t_s: float) -> Sample:
    """One moment, as the arrays of `Frames` hold it."""
    picture, plan, box = renderer.at(t_s), renderer.plan, renderer.content_box
    seen = _through_codec(picture.image, np.random.default_rng([plan.seed, 13, round(t_s * 1000)]))
    mask = place(picture.mask, box, nearest=True)[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    cells = np.bincount(mask.ravel(), minlength=len(TOOLS) + 1)[1 : len(TOOLS) + 1]
    state = [
        plan.phase_progress(1, t_s),
        t_s >= plan.clipped_s,
        t_s >= plan.cut_s,
        plan.phase_progress(3, t_s),
        plan.phase_progress(4, t_s) > 0.5,
    ]
    operation = plan.scene == "operation"
    return {
        "image": place(seen, box)[:, :, ::-1],
        "mask": mask,
        "tips": tip_maps(picture.tips, box),
        "tips_known": np.float32(1.0),
        "presence": (cells >= PRESENT_CELLS).astype(np.float32),
        "quality": np.asarray(picture.quality, np.float32),
        "in_body": np.float32(picture.in_body),
        "state": np.asarray(state if operation else [np.nan] * len(state), np.float32),
        "phase": np.int64(plan.segment_at(t_s).phase if operation else UNKNOWN_PHASE),
    }


def without_types(one: Sample) -> Sample:
    """A frame that teaches where instruments are, and not which: types, presence and tips of each type are unknown.

    The shapes of the rich look are drawn so widely that a type is hardly to be told by its shape; a network that must tell
    it all the same forgets how the types of the plain look differ.
    """
    mask = np.asarray(one["mask"], np.uint8)
    return one | {
        "mask": np.where((mask >= 1) & (mask <= len(TOOLS)), np.uint8(ANY_TOOL), mask),
        "tips_known": np.float32(0.0),
        "presence": np.full(len(TOOLS), np.nan, np.float32),
    }


def look_of(look: str, seed: int) -> str:
    """The look of one case: where a training is `mixed`, two cases in three are rich and the third is plain, by seed.

    A network that has seen both knows a plain simulation and is not lost in a real picture. The rich cases of a mixed training
    are `without_types`.

    Args:
        look: one of `TRAINING_LOOKS`.
        seed: of the case.

    Raises:
        InputError: there is no such look.
    """
    if look not in TRAINING_LOOKS:
        raise InputError("look", f"one of {list(TRAINING_LOOKS)}", look)
    if look != "mixed":
        return look
    return "plain" if seed % 3 == 0 else "rich"


def synthetic_plan(rng: np.random.Generator, seed: int, split: str, look: str, **how: Any) -> CasePlan:
    """The plan of one case to learn from.

    In the rich look some cases show no operation: instruments over tissue of no named organ, or over no tissue at all,
    so that an instrument is known by itself and not by what is usually behind it.
    """
    if look == "rich":
        how["scene"] = str(rng.choice(["operation", "tissue", "texture"], p=_SCENES))
        if how.get("disturbances"):
            how["disturbances"] = (*how["disturbances"], *RICH_DISTURBANCES)
    return plan_case(seed, split="train" if split == "train" else "held-out", look=look, **how)


_SCENES = [0.6, 0.25, 0.15]


def _render_case(seed: int, split: str, frames: int, path: Path, look: str, meshes: Path | None) -> None:
    rng = np.random.default_rng([seed, 11])
    plan = synthetic_plan(
        rng,
        seed,
        split,
        look_of(look, seed),
        duration_s=float(rng.uniform(60, 400)),
        deviation=str(rng.choice(["none", "none", "tool-mismatch", "order"])),
        disturbances=DISTURBANCES if rng.random() < 0.5 else (),
    )
    if rng.random() < 0.45:
        plan = shuffle_tools(plan, seed)
    with_meshes = meshes is not None and plan.look == "rich" and seed % 3 == 1
    renderer = Renderer(plan, draw_size(rng), meshes=read_instruments(meshes) if with_meshes else ())
    # In order of time, so that each state of the field is painted once.
    seen = [sample(renderer, t) for t in np.sort(rng.uniform(0, plan.duration_s, frames))]
    store(path, [without_types(one) for one in seen] if look == "mixed" and plan.look == "rich" else seen)


def render_frames(
    folder: Path,
    split: str,
    *,
    first_seed: int,
    cases: int,
    frames: int,
    look: str = "plain",
    meshes: Path | None = None,
    workers: int = 2,
) -> None:
    """Render `frames` random moments of each case into `folder`, a folder a case; cases already there are kept.

    Args:
        folder: a folder a case is made in it, named by the case's seed.
        split: `train`, or any other for held-out colours and shapes.
        first_seed: of the first case; cases: how many; frames: of each.
        look: one of `TRAINING_LOOKS`.
        meshes: a folder of instruments, as in `read_instruments`, which rich cases of every third seed show; None for none.
        workers: processes; what is rendered does not depend on how many.

    Raises:
        InputError: there is no such look, or `meshes` holds no instruments.
    """
    look_of(look, first_seed)
    if meshes is not None:
        read_instruments(meshes)
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [seed for seed in range(first_seed, first_seed + cases) if not (folder / str(seed)).exists()]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_render_case, seed, split, frames, folder / str(seed), look, meshes) for seed in seeds]
        for job in jobs:
            job.result()
