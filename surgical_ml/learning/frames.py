"""Training frames, rendered from synthetic cases and placed in the network's input as the module itself places them."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from surgical_ml.simulation import DISTURBANCES, TOOLS, Picture, Renderer, plan_case, shuffle_tools

WIDTH, HEIGHT, STRIDE = 320, 192, 4
_SIZES = {(480, 270): 0.36, (400, 320): 0.14, (432, 324): 0.14, (854, 480): 0.21, (1280, 720): 0.15}
"""Rendered sizes and how often each is drawn: the aspect ratios of 16:9, 5:4 and 4:3 endoscopy, at sizes that a clip has."""

_COMPRESSED = 0.6
"""Share of the pictures that went through a lossy codec, as recorded and streamed video did."""

PRESENT_CELLS = 6
"""A tool counts as present from this many cells of the stride-4 grid."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Rendered frames and their truth; n frames.

    Attributes:
        image: (n, 192, 320, 3) uint8 RGB; mask: (n, 48, 80) uint8 class ids.
        tips: (n, 7, 48, 80) uint8, 255 at each tip falling off as a Gaussian of 1.5 cells.
        presence: (n, 7), quality: (n, 5), in_body: (n,), state: (n, 5) anatomy, all float32 in 0..1; phase: (n,) int64.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    tips: npt.NDArray[np.uint8]
    presence: npt.NDArray[np.float32]
    quality: npt.NDArray[np.float32]
    in_body: npt.NDArray[np.float32]
    state: npt.NDArray[np.float32]
    phase: npt.NDArray[np.int64]

    @classmethod
    def load(cls, folder: Path) -> "Frames":
        """Join every file that `render_frames` wrote."""
        parts = [np.load(path) for path in sorted(folder.glob("*.npz"))]
        return cls(*(np.concatenate([part[name] for part in parts]) for name in cls.__slots__))


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


def _tip_maps(picture: Picture, box: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    x, y, width, height = box
    scale = min(WIDTH / width, HEIGHT / height)
    left, top = (WIDTH - round(width * scale)) // 2, (HEIGHT - round(height * scale)) // 2
    rows, columns = np.mgrid[0 : HEIGHT // STRIDE, 0 : WIDTH // STRIDE]
    maps = np.zeros((len(TOOLS), HEIGHT // STRIDE, WIDTH // STRIDE), np.float32)
    for tool, tip_x, tip_y in picture.tips:
        column = ((tip_x - x) * scale + left) / STRIDE - 0.5
        row = ((tip_y - y) * scale + top) / STRIDE - 0.5
        bump = np.exp(-((columns - column) ** 2 + (rows - row) ** 2) / (2 * 1.5**2))
        k = TOOLS.index(tool)
        maps[k] = np.maximum(maps[k], bump)
    return np.round(255 * maps).astype(np.uint8)


def sample(renderer: Renderer, t_s: float) -> dict[str, npt.NDArray[np.generic] | float | int]:
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
    return {
        "image": place(seen, box)[:, :, ::-1],
        "mask": mask,
        "tips": _tip_maps(picture, box),
        "presence": (cells >= PRESENT_CELLS).astype(np.float32),
        "quality": np.asarray(picture.quality, np.float32),
        "in_body": np.float32(picture.in_body),
        "state": np.asarray(state, np.float32),
        "phase": np.int64(plan.segment_at(t_s).phase),
    }


def _render_case(seed: int, split: str, frames: int, path: Path) -> None:
    rng = np.random.default_rng([seed, 11])
    plan = plan_case(
        seed,
        duration_s=float(rng.uniform(60, 400)),
        deviation=str(rng.choice(["none", "none", "tool-mismatch", "order"])),
        disturbances=DISTURBANCES if rng.random() < 0.5 else (),
        split="train" if split == "train" else "held-out",
    )
    if rng.random() < 0.45:
        plan = shuffle_tools(plan, seed)
    renderer = Renderer(plan, draw_size(rng))
    # In order of time, so that each state of the field is painted once.
    samples = [sample(renderer, t) for t in np.sort(rng.uniform(0, plan.duration_s, frames))]
    np.savez(path, **{name: np.stack([one[name] for one in samples]) for name in Frames.__slots__})


def render_frames(folder: Path, split: str, *, first_seed: int, cases: int, frames: int, workers: int = 2) -> None:
    """Render `frames` random moments of each case into `folder`, one file a case; files already there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds = [seed for seed in range(first_seed, first_seed + cases) if not (folder / f"{seed}.npz").exists()]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_render_case, seed, split, frames, folder / f"{seed}.npz") for seed in seeds]
        for job in jobs:
            job.result()
