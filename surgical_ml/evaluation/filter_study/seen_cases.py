"""Held-out synthetic cases as the shipped networks see them, kept on disk: looking is what takes the time."""

import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from surgical_ml.engine import Engine, Model, Tensor, load_model, open_engine
from surgical_ml.errors import InputError
from surgical_ml.perception import Perceiver
from surgical_ml.simulation import DISTURBANCES, Renderer, plan_case
from surgical_ml.simulation.plan import Look
from surgical_ml.video import Frame

FPS = 2
SIZE = (480, 270)
SHORTEST_S, LONGEST_S = 300.0, 900.0
"""Of the cases, which are compressed: `time_scale` says how many times."""


@dataclass(frozen=True, slots=True)
class CaseSpec:
    """One case: `seed` names it; every second one has the disturbances, one in three departs from the order."""

    seed: int
    look: Look = "plain"

    @property
    def duration_s(self) -> float:
        """Expected length, evenly on the scale of logarithms."""
        share = float(np.random.default_rng([self.seed, 31]).random())
        return float(SHORTEST_S * (LONGEST_S / SHORTEST_S) ** share)

    @property
    def disturbances(self) -> tuple[str, ...]:
        """Smoke, blood, blur, dark, overexposed, out of the body."""
        return DISTURBANCES if self.seed % 2 else ()

    @property
    def deviation(self) -> str:
        """A missing phase, or none."""
        return "order" if self.seed % 3 == 0 else "none"


@dataclass(frozen=True, slots=True)
class SeenCase:
    """What the networks said of one case, n frames, and what is true.

    Attributes:
        name: of the case.
        expected_s: how long it was planned to last; from this a configuration takes its `time_scale`.
        stamp_ns: (n,) int64 from the start.
        truth: (n,) int64 ids of the true phases.
        admitted: (n,) bool.
        phase_ppm: (n, phases) int64; 0 where not admitted.
        progress_ppm: (n,) int64.
        features: (n, f) float32, what the phase network was given; 0 where not admitted.
    """

    name: str
    expected_s: float
    stamp_ns: npt.NDArray[np.int64]
    truth: npt.NDArray[np.int64]
    admitted: npt.NDArray[np.bool_]
    phase_ppm: npt.NDArray[np.int64]
    progress_ppm: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]

    @property
    def duration_s(self) -> float:
        """From the first frame to the end of the last, seconds."""
        return float(self.stamp_ns[-1] - self.stamp_ns[0]) / 1e9 + 1.0 / FPS


class _Listening:
    """A phase network, and the features that it was given last."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name, self.inputs, self.outputs = engine.name, engine.inputs, engine.outputs
        self.heard: Tensor | None = None

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As `Engine.run`."""
        self.heard = inputs["features"][0]
        return self._engine.run(inputs)

    def close(self) -> None:
        """As `Engine.close`."""
        self._engine.close()


def see(model: Model, spec: CaseSpec) -> SeenCase:
    """Render one case and look at every frame of it, as a session does."""
    plan = plan_case(
        spec.seed,
        duration_s=spec.duration_s,
        deviation=spec.deviation,
        disturbances=spec.disturbances,
        split="held-out",
        look=spec.look,
    )
    listening = _Listening(open_engine("onnxruntime", model.file("phase"), threads=1))
    perceiver = Perceiver(model.manifest, open_engine("onnxruntime", model.file("frame"), threads=1), listening)
    renderer = Renderer(plan, SIZE)
    frames = int(plan.duration_s * FPS)
    width = next(one.shape[1] for one in listening.inputs if one.name == "features")
    stamp_ns, truth = np.zeros(frames, np.int64), np.zeros(frames, np.int64)
    admitted, progress_ppm = np.zeros(frames, np.bool_), np.zeros(frames, np.int64)
    phase_ppm = np.zeros((frames, len(model.manifest.phases)), np.int64)
    features = np.zeros((frames, width), np.float32)
    for k in range(frames):
        stamp_ns[k], truth[k] = round(k * 1e9 / FPS), plan.segment_at(k / FPS).phase
        seen = perceiver.perceive(Frame(renderer.at(k / FPS).image, int(stamp_ns[k]), k))
        if seen.admitted and listening.heard is not None:
            admitted[k], phase_ppm[k], progress_ppm[k] = True, seen.phase_ppm, seen.progress_ppm
            features[k] = listening.heard
    name = f"{spec.look}-{spec.seed}"
    return SeenCase(name, spec.duration_s, stamp_ns, truth, admitted, phase_ppm, progress_ppm, features)


def see_all(model: str, specs: list[CaseSpec], kept: Path, workers: int = 1) -> Iterator[SeenCase]:
    """Each case in turn, looked at once for each model: what was seen is kept in a folder.

    Args:
        model: shipped model or model folder.
        specs: of the cases.
        kept: folder of what was seen; made if there is none. A file's name holds the model's digest.
        workers: processes that look.

    Raises:
        InputError: the model is not what it must be, or a kept file is damaged.
    """
    sha256 = load_model(model).sha256
    kept.mkdir(parents=True, exist_ok=True)
    paths = [kept / f"{sha256[:12]}-{spec.look}-{spec.seed}.npz" for spec in specs]
    missing = [(spec, path) for spec, path in zip(specs, paths, strict=True) if not path.is_file()]
    if workers == 1 or len(missing) < 2:
        for spec, path in zip(specs, paths, strict=True):
            _keep(model, spec, path)
            yield _read(path)
        return
    # A forked copy of a process in which OpenCV has threads waits for them for ever.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = {path: pool.submit(_keep, model, spec, path) for spec, path in missing}
        for path in paths:
            if path in jobs:
                jobs[path].result()
            yield _read(path)


def _keep(model: str, spec: CaseSpec, path: Path) -> None:
    """Look at a case unless somebody has; the file is there as a whole or not at all."""
    if path.is_file():
        return
    seen = see(load_model(model), spec)
    aside = path.with_suffix(".partial")
    with aside.open("wb") as file:
        np.savez_compressed(file, **asdict(seen))
    aside.replace(path)


def _read(path: Path) -> SeenCase:
    try:
        with np.load(path) as stored:
            values = {one.name: stored[one.name] for one in fields(SeenCase)}
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(path, "a case as it was seen", f"{type(error).__name__}: {error}") from error
    seen = SeenCase(**values)
    return replace(seen, name=str(seen.name), expected_s=float(seen.expected_s))
