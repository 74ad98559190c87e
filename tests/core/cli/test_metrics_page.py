"""Every command and every line of Python of docs/metrics.md runs as it stands there."""

import json
import re
import shlex
import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from surgical_ml.cli import main
from surgical_ml.cli.evaluate import evaluate
from surgical_ml.evaluation.study import write_study
from surgical_ml.labels import PHASES as VOCABULARIES

PHASES = VOCABULARIES["cholec80"].classes
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "metrics.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ (surgical-ml .*)$", PAGE, re.MULTILINE)
TOOLS = "Frame\tGrasper\tBipolar\tHook\tScissors\tClipper\tIrrigator\tSpecimenBag\n"


def element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def matrix(name, shape, kind, content):
    flags, size = element(6, struct.pack("<II", kind, 0)), element(5, struct.pack("<2i", *shape))
    return element(14, flags + size + element(1, name.encode()) + content)


def write_split(path):
    """A MATLAB file with one sequence of truth and prediction."""
    rows = {"Y": [0, 1, 1, 2], "P": [0, 0, 1, 2]}
    cells = [matrix(k, (1, 1), 1, matrix("", (1, 4), 9, element(2, bytes(row)))) for k, row in rows.items()]
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(cells))


def write_phases(folder, labels):
    folder.mkdir()
    for case in ("video01", "video02"):
        rows = "".join(f"{k}\t{label}\n" for k, label in enumerate(labels))
        (folder / f"{case}-phase.txt").write_text("Frame\tPhase\n" + rows)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """What the page speaks of, as small as can be."""
    for suffix, phases in (("", 7), ("8", 8)):
        labels = np.repeat(np.arange(phases), 20)
        write_phases(tmp_path / f"truth{suffix}", labels)
        write_phases(tmp_path / f"mine{suffix}", np.concatenate([labels[:3], labels[:-3]]))
    (tmp_path / "splits").mkdir()
    write_split(tmp_path / "splits" / "1.mat")
    mask = np.zeros((24, 32), np.uint8)
    mask[4:12, 4:12] = 1
    for folder in ("data", "replays"):
        (tmp_path / folder / "case1" / "masks").mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / folder / "case1" / "masks" / "000000.png"), mask)
    case = tmp_path / "data" / "case1"
    (case / "video-tool.txt").write_text(TOOLS + "0\t0\t0\t1\t0\t0\t0\t0\n")
    (case / "tips.csv").write_text("frame,tool,x_px,y_px\n0,hook,10.0,10.0\n")
    (case / "case.json").write_text(json.dumps({"duration_s": 60, "deviations": []}))
    decision = {"schema": 1, "event": "frame", "index": 0, "stamp_ns": 0, "phase": None, "advisories": []}
    decision["instruments"] = [{"type": "hook", "score": 900_000, "tip_px": [10, 11]}]
    (tmp_path / "replays" / "case1" / "decisions.jsonl").write_text(json.dumps(decision) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)


def write_evaluation(folder):
    """Two evaluated cases that follow `truth`, a second late."""
    labels = np.repeat(np.arange(7), 20)
    for case in ("video01", "video02"):
        (folder / "cases" / case).mkdir(parents=True)
        lines = []
        for k, label in enumerate(np.concatenate([labels[:1], labels[:-1]])):
            scores = [int(1e6 * (p == label)) for p in range(7)]
            phase = {
                "committed": PHASES[label],
                "candidate": None,
                "scores": scores,
                "certainty": "high",
                "progress": 0,
            }
            told = {"schema": 1, "seq": k, "event": "frame", "index": k, "stamp_ns": k * 10**9, "input_sha256": ""}
            told |= {"state": "ACTIVE", "validity": "OK", "withheld": "", "degraded": [], "phase": phase}
            lines.append(json.dumps(told | {"instruments": [], "guidance": None, "advisories": []}))
        (folder / "cases" / case / "decisions.jsonl").write_text("\n".join(lines) + "\n")
        (folder / "cases" / case / "timings.jsonl").write_text("")
        identity = {"software": {"name": "surgical_ml", "version": "0"}, "engine": "onnxruntime", "config_sha256": ""}
        identity |= {"model": {"name": "m", "version": "1", "sha256": ""}, "protocol": {"name": "p", "sha256": ""}}
        counts = {"schema": 1, "video": case, "frames": len(lines), "every": 1, "fps": 1.0, "frames_per_s": 30.0}
        rest = {"phases": PHASES, "tools": [], "keyframes": [], "audit": {"entries": 0, "head": "", "ok": True}}
        (folder / "cases" / case / "summary.json").write_text(json.dumps(identity | counts | rest))
    return folder


def test_the_page_shows_every_command_of_the_group_but_the_one_that_has_a_page_of_its_own():
    shown = {shlex.split(command)[2] for command in COMMANDS}
    assert shown == {command.name for command in evaluate.registered_commands} - {"cases"}


@pytest.mark.usefixtures("folders")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs(command, monkeypatch, capsys):
    if "study" in command:
        write_evaluation(Path("results"))
    if "compare" in command:
        for name in ("new", "reference"):
            write_study(write_evaluation(Path(name)), Path("truth"))
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as caught:
        main()
    out, err = capsys.readouterr()
    assert not caught.value.code, err
    assert out.startswith("protocol ") or json.loads(out)["protocol"]


def test_the_python_of_the_page_runs(capsys):
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
    reference = np.random.default_rng(0).normal(80, 5, 30)
    exec(code, {"new": reference + 0.5, "reference": reference})
    assert capsys.readouterr().out.rstrip().endswith("True")
