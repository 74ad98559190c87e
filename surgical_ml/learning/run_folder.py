"""A training run on disk: what it was, what it was made from, how it went, and where it can go on."""

import csv
import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

import surgical_ml
from surgical_ml.errors import InputError
from surgical_ml.labels import read_json

RUN, METRICS, CURVES, CHECKPOINT, WEIGHTS = "run.json", "metrics.jsonl", "metrics.csv", "checkpoint.pt", "weights.pt"


class RunFolder:
    """One run: `run.json`, `metrics.jsonl` and `metrics.csv`, `checkpoint.pt` while it goes on, `weights.pt` when it is over.

    Args:
        path: of the folder; made if missing.
        configuration: everything that decides the result, as plain values, the digest of the data included.
        resume: go on where an earlier run with the same configuration stopped.

    Raises:
        InputError: there is a run and nobody asked to resume it, or it had another configuration or other code (the
            message names the first thing that differs).
    """

    def __init__(self, path: Path, configuration: Mapping[str, Any], *, resume: bool = False) -> None:
        self.path = path
        described = {"schema": 1, "configuration": dict(configuration), "code": code_version()}
        described = json.loads(json.dumps(described))
        if (path / RUN).exists():
            if not resume:
                raise InputError(path, "no run yet, or --resume", f"a {RUN}")
            before = read_json(path / RUN, "a training run")
            for key, value in _flat(described):
                found = dict(_flat(before)).get(key)
                if found != value:
                    raise InputError(path / RUN, f"{key} {value}, to go on", str(found))
            return
        path.mkdir(parents=True, exist_ok=True)
        write_aside(path / RUN, json.dumps(described, indent=1) + "\n")

    @property
    def finished(self) -> bool:
        """Whether the weights are there."""
        return (self.path / WEIGHTS).exists()

    def checkpoint(self) -> dict[str, Any] | None:
        """Where to go on; None at the beginning. Metrics of later steps, which are lost, are forgotten."""
        path = self.path / CHECKPOINT
        found = torch.load(path, weights_only=True) if path.exists() else None
        kept = [row for row in self.metrics() if found is not None and row["step"] <= found["step"]]
        write_aside(self.path / METRICS, "".join(json.dumps(row) + "\n" for row in kept))
        return found

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a checkpoint, in the place of the last."""
        aside = self.path / f"{CHECKPOINT}.partial"
        torch.save(dict(state), aside)
        aside.replace(self.path / CHECKPOINT)

    def finish(self, weights: Mapping[str, Any]) -> None:
        """Keep the weights, write the curves as CSV, and drop the checkpoint."""
        aside = self.path / f"{WEIGHTS}.partial"
        torch.save(dict(weights), aside)
        rows = self.metrics()
        names = sorted({name for row in rows for name in row} - {"step"})
        with (self.path / CURVES).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["step", *names])
            writer.writeheader()
            writer.writerows(rows)
        aside.replace(self.path / WEIGHTS)
        (self.path / CHECKPOINT).unlink(missing_ok=True)

    def log(self, row: Mapping[str, float]) -> None:
        """One line of `metrics.jsonl`."""
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(row)) + "\n")

    def metrics(self) -> list[dict[str, float]]:
        """What was logged; a last line that a crash cut short is left out."""
        path = self.path / METRICS
        rows = []
        for line in path.read_text("utf-8").splitlines() if path.exists() else []:
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return rows


def write_aside(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    aside = path.with_name(path.name + ".partial")
    aside.write_text(text, "utf-8")
    aside.replace(path)


def code_version() -> dict[str, str]:
    """What was running: the package's version, the revision where there is one, the digest of the learning code, torch."""
    here = Path(__file__).parent
    revision = subprocess.run(
        ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "surgical_ml": surgical_ml.__version__,
        "revision": revision or "unknown",
        "learning_sha256": digest_of_files(sorted(here.glob("*.py"))),
        "torch": torch.__version__,
    }


def digest_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 over names and contents, hex."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.name} {content}\n".encode())
    return digest.hexdigest()


def _flat(values: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(values, dict):
        return [(prefix, values)]
    # The revision changes with every commit, whatever it touches; what counts is the digest of the code.
    return [
        pair
        for key, value in values.items()
        if key != "revision"
        for pair in _flat(value, f"{prefix}.{key}".lstrip("."))
    ]
