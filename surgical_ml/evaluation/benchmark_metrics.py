"""How fast the metrics are beside scikit-learn and ivtmetrics: the same cases in one run, and whether results agree."""

import importlib
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import surgical_ml
from surgical_ml.errors import InputError
from surgical_ml.evaluation.benchmark import cpu_name
from surgical_ml.evaluation.metrics import LabelledCase, PresenceCase, score_phases, score_presence
from surgical_ml.evaluation.metrics.cases import Numbers
from surgical_ml.labels import CHOLEC80_TOOLS, PHASES

OURS, SKLEARN, IVT = "surgical_ml", "scikit-learn", "ivtmetrics"

TASKS = {
    "phases": (
        "phases: confusion, accuracy, precision, recall, F1 and Jaccard of each video and phase",
        (OURS, SKLEARN),
    ),
    "presence": (
        "tools: average precision of each video and class, and of each class over all frames",
        (OURS, SKLEARN, IVT),
    ),
}
"""What is computed, and by whom: what a library has no words for it is not asked."""

AGREEMENT = 1e-9
"""Results of libraries may differ by so much, in percent: they add in other orders."""

_PHASES, _TOOLS = PHASES["cholec80"].classes, CHOLEC80_TOOLS.classes
_SEED = 0

Results = dict[str, Numbers]


@dataclass(frozen=True, slots=True)
class MetricsBenchmark:
    """What was measured.

    Attributes:
        machine: CPU, load before the run, versions.
        cases, frames: how many cases, and samples of all of them.
        seconds: task -> library -> CPU seconds of this process, one for each round.
        differences: task -> library -> largest difference of any number from ours, percent.
    """

    machine: dict[str, str]
    cases: int
    frames: int
    seconds: dict[str, dict[str, list[float]]]
    differences: dict[str, dict[str, float]]

    def ratio(self, task: str, library: str) -> float:
        """How many times as long the library takes as ours, by the medians."""
        own, other = (statistics.median(self.seconds[task][name]) for name in (OURS, library))
        return other / own

    def to_json(self) -> dict[str, Any]:
        """Every number under its name."""
        return {
            "schema": 1,
            "machine": self.machine,
            "cases": self.cases,
            "frames": self.frames,
            "cpu_seconds": self.seconds,
            "ratios": {
                task: {name: round(self.ratio(task, name), 2) for name in times} for task, times in self.seconds.items()
            },
            "largest_differences_percent": self.differences,
        }

    def to_markdown(self) -> str:
        """The table of docs/metrics.md."""
        rounds = len(self.seconds["phases"][OURS])
        lines = [f"- {name}: {value}" for name, value in self.machine.items()]
        lines += [
            f"- cases: {self.cases}, {self.frames} samples",
            "",
            f"| what | library | CPU s, median of {rounds} | lowest to highest | times ours | largest difference, % |",
            "|---|---|---|---|---|---|",
        ]
        for task, times in self.seconds.items():
            for name, values in times.items():
                spread = f"{min(values):.2f} to {max(values):.2f}"
                ratio, difference = (
                    ("", "")
                    if name == OURS
                    else (f"{self.ratio(task, name):.1f}", f"{self.differences[task][name]:.0e}")
                )
                median = f"{statistics.median(values):.2f}"
                lines.append(f"| {TASKS[task][0]} | {name} | {median} | {spread} | {ratio} | {difference} |")
        return "\n".join(lines)


def benchmark_metrics(
    *,
    cases: int = 40,
    hours: float = 1.0,
    fps: float = 25.0,
    rounds: int = 3,
    progress: Callable[[int, int], None] | None = None,
) -> MetricsBenchmark:
    """Score made-up cases with each library in turn, `rounds` times, and hold their results against ours.

    Args:
        cases: how many, each with seven phases and seven tools.
        hours: length of a case.
        fps: samples/s.
        rounds: of each measurement; they take turns, so that a machine that slows down slows down all of them.
        progress: told (measurements done, measurements).

    Raises:
        InputError: a number is out of its range, a library is not installed, or its results are not ours.
    """
    samples = round(hours * 3600 * fps)
    for what, value, least in (("cases", cases, 1), ("rounds", rounds, 1), ("samples of a case", samples, 1000)):
        if value < least:
            raise InputError(what, f"a whole number from {least}", str(value))
    libraries = {name: _library(name) for name in ("sklearn.metrics", "ivtmetrics")}
    load = os.getloadavg()[0]
    rng = np.random.default_rng(_SEED)
    phases = [_phases(rng, f"case{k}", samples) for k in range(cases)]
    tools = [_tools(rng, one) for one in phases]
    runs: dict[tuple[str, str], Callable[[], Results]] = {
        ("phases", OURS): lambda: _our_phases(phases, fps),
        ("phases", SKLEARN): lambda: _sklearn_phases(libraries["sklearn.metrics"], phases),
        ("presence", OURS): lambda: _our_presence(tools),
        ("presence", SKLEARN): lambda: _sklearn_presence(libraries["sklearn.metrics"], tools),
        ("presence", IVT): lambda: _ivt_presence(libraries["ivtmetrics"], tools),
    }
    seconds: dict[str, dict[str, list[float]]] = {task: {} for task in TASKS}
    results: dict[tuple[str, str], Results] = {}
    for k in range(rounds * len(runs)):
        task, name = list(runs)[k % len(runs)]
        began = time.process_time()
        results[task, name] = runs[task, name]()
        seconds[task].setdefault(name, []).append(time.process_time() - began)
        if progress is not None:
            progress(k + 1, rounds * len(runs))
    differences = {
        task: {name: _largest_difference(results[task, OURS], results[task, name]) for name in names if name != OURS}
        for task, (_, names) in TASKS.items()
    }
    for task, found in differences.items():
        for name, difference in found.items():
            if not difference <= AGREEMENT:
                raise InputError(
                    f"{task} of {name}", f"our numbers to {AGREEMENT:g} %", f"a difference of {difference:g}"
                )
    machine = {
        "CPU": f"{cpu_name()}, one core",
        "load before the run": f"{load:.1f}",
        "versions": f"surgical_ml {surgical_ml.__version__}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, scikit-learn {importlib.metadata.version('scikit-learn')}, "
        f"ivtmetrics {importlib.metadata.version('ivtmetrics')}",
    }
    return MetricsBenchmark(machine, cases, cases * samples, seconds, differences)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        expected = "scikit-learn and ivtmetrics: pip install 'surgical_ml[agreement]'"
        raise InputError("benchmark metrics", expected, str(error)) from error


def _phases(rng: np.random.Generator, name: str, n: int) -> LabelledCase:
    """A case that goes through its phases; the prediction comes late or early, and is wrong one time in seven."""
    cuts = np.sort(rng.dirichlet(np.full(len(_PHASES), 8.0)).cumsum()[:-1])
    truth = np.searchsorted(np.ceil(cuts * n), np.arange(n), side="right")
    prediction = np.roll(truth, int(rng.integers(-n // 50, n // 50 + 1)))
    wrong = rng.random(n) < 1 / 7
    return LabelledCase(name, truth, np.where(wrong, rng.integers(0, len(_PHASES), n), prediction))


def _tools(rng: np.random.Generator, case: LabelledCase) -> PresenceCase:
    """Each tool is in the picture during most of one phase and now and then in others; no two scores are equal."""
    own = case.truth[:, None] == np.arange(len(_TOOLS))
    truth = rng.random(own.shape) < np.where(own, 0.7, 0.05)
    # ivtmetrics takes a class that a video lacks for one that is never found
    truth[case.truth.searchsorted(np.arange(len(_TOOLS))), np.arange(len(_TOOLS))] = True
    return PresenceCase(case.name, truth, rng.normal(size=own.shape) + 1.5 * truth)


def _our_phases(cases: Sequence[LabelledCase], fps: float) -> Results:
    scores = score_phases(cases, _PHASES, fps=fps, protocol="strict")
    assert scores.confusion is not None
    confusion = scores.confusion[:, :, :-1].astype(np.float64)
    return scores.case_values | {"accuracy": scores.case_accuracy, "confusion": confusion}


def _sklearn_phases(metrics: Any, cases: Sequence[LabelledCase]) -> Results:
    ids = range(len(_PHASES))
    rows: dict[str, list[Any]] = {}
    for case in cases:
        pair = case.truth, case.prediction
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(*pair, labels=ids, zero_division=np.nan)
        found = {
            "precision": 100 * precision,
            "recall": 100 * recall,
            "f1": 100 * f1,
            "jaccard": 100 * metrics.jaccard_score(*pair, labels=ids, average=None),
            "accuracy": 100 * metrics.accuracy_score(*pair),
            "confusion": metrics.confusion_matrix(*pair, labels=ids),
        }
        for name, values in found.items():
            rows.setdefault(name, []).append(values)
    return {name: np.array(values, np.float64) for name, values in rows.items()}


def _our_presence(cases: Sequence[PresenceCase]) -> Results:
    scores = score_presence(cases, _TOOLS)
    return {"by video": scores.class_values, "over all frames": scores.all_frames}


def _sklearn_presence(metrics: Any, cases: Sequence[PresenceCase]) -> Results:
    by_video = [metrics.average_precision_score(case.truth, case.scores, average=None) for case in cases]
    truth, scores = (np.concatenate([getattr(case, name) for case in cases]) for name in ("truth", "scores"))
    together = metrics.average_precision_score(truth, scores, average=None)
    return {"by video": 100 * np.mean(by_video, axis=0), "over all frames": 100 * np.asarray(together)}


def _ivt_presence(ivtmetrics: Any, cases: Sequence[PresenceCase]) -> Results:
    # it turns numpy's warnings off for the whole process
    with np.errstate():
        recogniser = ivtmetrics.Recognition(len(_TOOLS))
        for case in cases:
            recogniser.update(case.truth.astype(np.int64), case.scores)
            recogniser.video_end()
        by_video, together = recogniser.compute_video_AP()["AP"], recogniser.compute_global_AP()["AP"]
    return {"by video": 100 * by_video, "over all frames": 100 * together}


def _largest_difference(ours: Results, theirs: Results) -> float:
    """NaN where one of the two has a value and the other has none."""
    return float(np.max([np.abs(values - theirs[name]).max() for name, values in ours.items()]))
