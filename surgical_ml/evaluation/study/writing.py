"""A study: everything that is computed from evaluated cases, written as `evaluation.json` and `report.html`."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surgical_ml.errors import InputError
from surgical_ml.evaluation.metrics.summary import plain_number
from surgical_ml.evaluation.study.case_results import case_json
from surgical_ml.evaluation.study.deviation_results import deviations_json
from surgical_ml.evaluation.study.evaluated import EvaluatedCase, read_cases, with_phases
from surgical_ml.evaluation.study.groups import (
    CASE_LENGTH,
    RESTARTED,
    case_groups,
    gate_all,
    gate_json,
    group_scores,
    read_groups,
    sensitivity_json,
    subgroups_json,
)
from surgical_ml.evaluation.study.instrument_results import segmentation_json, tips_json, tools_json
from surgical_ml.evaluation.study.moments import FOLDER, draw_moments, worst_moments
from surgical_ml.evaluation.study.phase_results import (
    calibration_json,
    case_scores,
    confusion_json,
    conventions_json,
    mean_worst_json,
    per_phase_json,
    ranking_json,
    score_all,
    score_cut,
    segments_json,
)
from surgical_ml.evaluation.study.predictors import COMMITTED, clocks, known_protocol, own_predictors, read_predictor
from surgical_ml.evaluation.study.sanity import doubts
from surgical_ml.evaluation.study.shape import FILE
from surgical_ml.evaluation.study.time_results import latency_json, out_of_body_json, progress_json, throughput_json
from surgical_ml.labels import member, read_json

RUN = "run.json"
MODES = ("throughput", "realtime")
_ASIDE = ".partial"


@dataclass(frozen=True, slots=True)
class Study:
    """What `evaluation.json` holds, and the folder it lies in; `report` is the page made of it."""

    folder: Path
    values: dict[str, Any]
    report: Path

    @property
    def blocked(self) -> bool:
        """Whether there was a gate and it did not pass: a group too small to judge is no pass."""
        gate = self.values["gate"]
        return gate is not None and gate["verdict"] != "pass"


def write_study(
    out: Path,
    labels: Path | None,
    *,
    groups: Path | None = None,
    largest_drop: float | None = None,
    also: Mapping[str, Path] | None = None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Study:
    """Compute everything that the cases of an evaluation say, and write `evaluation.json`, `worst/` and `report.html`.

    Args:
        out: of the evaluation: `cases/NAME/` as `replay` leaves them, and where `evaluate cases` made them `run.json`.
        labels: case folders of `surgical-ml simulate`, or Cholec80's layout; what is missing is not scored. None: nothing is.
        groups: a table `case,site,camera,...` of properties of cases.
        largest_drop: percent points by which the worst group may lie below the whole; None asks for no gate.
        also: name -> folder of somebody's predictions of phases for the same cases, ranked with the others.
        progress: told (cases read, cases).

    Raises:
        InputError: see `read_cases`, `read_groups`, `read_predictor` and `gate_all`; or the folder cannot be written to.
    """
    if not (out.is_dir() and (labels is None or labels.is_dir())):
        missing = out if not out.is_dir() else labels
        raise InputError(missing, "a folder", "none")
    run = read_json(out / RUN, "what an evaluation began with") if (out / RUN).is_file() else {}
    mode = run.get("mode", MODES[0])
    if mode not in MODES:
        raise InputError(f"{out / RUN}: mode", f"one of {list(MODES)}", str(mode))
    cases = read_cases(out, labels, realtime=mode == "realtime", progress=progress)
    notes: list[str] = []
    values = _identity(cases, mode, labels) | {"notes": notes}
    values |= _phases(cases, groups, largest_drop, also or {}, notes)
    values |= _other(cases, mode, notes)
    notes += _same_videos(run)
    moments = worst_moments(cases)
    aside = out / (FOLDER + _ASIDE)
    shutil.rmtree(aside, ignore_errors=True)
    try:
        files, said = draw_moments(moments, _videos(run), aside)
        notes += said
        values["worst"] = [moment.to_json(file) for moment, file in zip(moments, files, strict=True)]
        _write(out, values, aside)
    except OSError as error:
        raise InputError(error.filename or out, "a place that can be written to", str(error.strerror)) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    # The page takes what the file says; who computes a study needs nothing of it before.
    from surgical_ml.evaluation.study_report import write_study_report

    return Study(out, values, write_study_report(values, out))


def _identity(cases: Sequence[EvaluatedCase], mode: str, labels: Path | None) -> dict[str, Any]:
    summary, scored = cases[0].decided.summary, with_phases(cases)
    return {
        "schema": 1,
        "software": {"name": summary.software.name, "version": summary.software.version},
        "model": {"name": summary.model.name, "version": summary.model.version, "sha256": summary.model.sha256},
        "config_sha256": summary.config_sha256,
        "protocol": {"name": summary.protocol.name, "sha256": summary.protocol.sha256},
        "engine": summary.engine,
        "platform": summary.platform,
        "data": {
            "labels": "" if labels is None else str(labels),
            "cases": len(cases),
            "frames": sum(len(case.decided.index) for case in cases),
        },
        "mode": mode,
        "fps": plain_number(scored[0].fps) if scored else None,
        "phases": list(summary.phases),
        "tool_names": list(summary.tools),
    }


def _phases(
    cases: Sequence[EvaluatedCase],
    groups: Path | None,
    largest_drop: float | None,
    also: Mapping[str, Path],
    notes: list[str],
) -> dict[str, Any]:
    """Everything that needs true phases, and each case."""
    scored = with_phases(cases)
    if not scored:
        if groups or also or largest_drop is not None:
            raise InputError("groups, gate and other predictions", "cases with true phases", "none")
        notes.append("No case has true phases: no phase is scored.")
        return _without_phases(cases)
    if len(scored) < len(cases):
        notes.append(
            f"{len(cases) - len(scored)} of {len(cases)} cases have no true phases, and are not in their scores."
        )
    fps = scored[0].fps
    predictors = [*own_predictors(scored), *clocks(scored)]
    predictors += [read_predictor(name, folder, scored, fps) for name, folder in also.items()]
    scores, said = score_all(scored, predictors, fps)
    notes += said
    mine = scores[COMMITTED]
    strict, cut = mine["strict"], score_cut(scored, predictors[0], fps)
    if sum(strict.left_out):
        notes.append(f"{sum(strict.left_out)} samples without a true phase were left out.")
    notes += doubts(scored, {name: one["strict"] for name, one in scores.items()})
    table = read_groups(groups, [case.name for case in scored]) if groups else {}
    of_cases = case_groups(scored, table)
    parts = group_scores(scored, strict, of_cases)
    tables, rows = subgroups_json(parts, strict, [*of_cases])
    gate = None if largest_drop is None else gate_json(gate_all(rows, largest_drop), largest_drop)
    ranking, flips = ranking_json(scores)
    notes += _about_phases(scored, of_cases)
    of_case: dict[str, tuple[Any, Any]] = dict.fromkeys((case.name for case in cases), ({}, {}))
    of_case |= {case.name: (case_scores(strict, cut, k), parts[k]) for k, case in enumerate(scored)}
    return {
        "nan_policy": strict.nan_policy,
        "cases": [case_json(case, of_case[case.name][0], of_cases, of_case[case.name][1]) for case in cases],
        "conventions": conventions_json(mine),
        "per_phase": per_phase_json(strict),
        "confusion": confusion_json(strict),
        "ranking": ranking,
        "ranking_flips": flips,
        "segments": segments_json(cut),
        "calibration": calibration_json(scored, fps),
        "progress": progress_json(scored, fps),
        "subgroups": tables + sensitivity_json(scored, of_cases),
        "gate": gate,
        "mean_worst": mean_worst_json(strict, cut),
    }


def _without_phases(cases: Sequence[EvaluatedCase]) -> dict[str, Any]:
    nothing: dict[str, Any] = dict.fromkeys(("confusion", "segments", "calibration", "progress", "gate"))
    empty: dict[str, Any] = {
        "conventions": {},
        "per_phase": [],
        "ranking": [],
        "ranking_flips": [],
        "subgroups": [],
        "mean_worst": {},
    }
    return nothing | empty | {"nan_policy": "", "cases": [case_json(case, {}, {}, {}) for case in cases]}


def _about_phases(scored: Sequence[EvaluatedCase], of_cases: Mapping[str, object]) -> list[str]:
    notes = [
        "The predictor called network is the largest of the recorded phase scores, which the temporal filter has smoothed."
    ]
    if known_protocol(scored) is None:
        notes.append("No clock is ranked, and no progress scored: the protocol that was used is not at hand.")
    if CASE_LENGTH not in of_cases:
        notes.append("Fewer than three cases: no tertiles of length.")
    if not any(RESTARTED in case.decided.reasons for case in scored):
        notes.append("No case has a restart: there is no first minute after one.")
    return notes


def _other(cases: Sequence[EvaluatedCase], mode: str, notes: list[str]) -> dict[str, Any]:
    """What needs no phases, and a sentence for each that is not there."""
    realtime = mode == "realtime"
    values = {
        "deviations": deviations_json(cases),
        "tools": tools_json(cases),
        "tips": tips_json(cases),
        "segmentation": segmentation_json(cases),
        "out_of_body": out_of_body_json(cases),
        "latency": latency_json(cases) if realtime else None,
        "throughput": None if realtime else throughput_json(cases),
    }
    if any(case.truth.synthetic for case in cases):
        notes.append("The cases are synthetic: no number here says how the module does on a patient.")
    why = {
        "deviations": "No deviations are scored: no case says which there were.",
        "tools": "No tools are scored: no case has their truth, or the model knows other tools than Cholec80's.",
        "tips": "No tips are scored: no case has their truth and a record of its pictures' size.",
        "segmentation": "No masks are scored: no case has both true masks and written ones (--masks).",
        "out_of_body": "Nothing is said of frames outside the body: no case is known to have any.",
        "latency": "No latency: it is measured in the real-time mode only.",
        "throughput": "No throughput: in real time, frames come at their own pace.",
    }
    notes += [sentence for name, sentence in why.items() if values[name] is None]
    if realtime:
        notes.append(
            "In real time frames may be dropped; scores are of judged frames, and rates are those of the judged."
        )
    return values


def _same_videos(run: Mapping[str, Any]) -> list[str]:
    """A sentence for each two cases that are one: then n is too large, and every interval too narrow."""
    seen: dict[str, str] = {}
    notes = []
    for one in run.get("data", {}).get("cases", []):
        digest, name = one.get("sha256"), one.get("name")
        if digest in seen:
            notes.append(
                f"{seen[digest]} and {name} have the same video: one case counted twice makes intervals too narrow."
            )
        elif digest is not None:
            seen[digest] = name
    return notes


def _videos(run: Mapping[str, Any]) -> dict[str, Path]:
    """Case -> its video, as `run.json` lists them, if it is there."""
    if not run:
        return {}
    data = member(run, "data", dict, RUN)
    folder = Path(member(data, "folder", str, f"{RUN}, data"))
    cases = member(data, "cases", list, f"{RUN}, data")
    found = {member(one, "name", str, RUN): folder / member(one, "video", str, RUN) for one in cases}
    return {name: path for name, path in found.items() if path.exists()}


def _write(out: Path, values: dict[str, Any], pictures: Path) -> None:
    """Replace what an earlier study left; the numbers come last, and whole."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)
    if pictures.is_dir():
        pictures.rename(out / FOLDER)
    aside = out / (FILE + _ASIDE)
    aside.write_text(json.dumps(values, allow_nan=False) + "\n", "utf-8")
    aside.replace(out / FILE)
