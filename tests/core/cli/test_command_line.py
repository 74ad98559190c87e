import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

SINUS = Path(__file__).resolve().parents[4] / "shared" / "data" / "sinus-endoscopy"


def surgical_ml(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "surgical_ml.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "200"})


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(3)
    for k in range(12):
        cv2.imwrite(str(folder / f"{k:03d}.png"), rng.integers(0, 255, (180, 320, 3), np.uint8))
    return folder


def refused(out: Path, *arguments: object) -> str:
    done = surgical_ml("replay", *arguments, "--out", out)
    assert done.returncode == 2, done.stderr
    assert not out.exists()
    assert not out.with_name(out.name + ".partial").exists()
    line = done.stderr.strip()
    assert "\n" not in line
    assert "Traceback" not in line
    return line


def test_text_in_an_mp4_is_refused_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    video = tmp_path / "text.mp4"
    video.write_text("not a video\n" * 100)
    assert str(video) in refused(tmp_path / "out", video)


def test_an_empty_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "empty.mp4" in refused(tmp_path / "out", tmp_path / "empty.mp4")


def test_an_unknown_procedure_is_named(tmp_path: Path, pictures: Path) -> None:
    assert "appendectomy" in refused(tmp_path / "out", pictures, "--procedure", "appendectomy")


def test_a_changed_model_is_refused(tmp_path: Path, pictures: Path) -> None:
    import shutil

    from surgical_ml.places import shared_folder

    model = tmp_path / "model"
    shutil.copytree(shared_folder("models") / "cholecystectomy" / "1", model)
    content = bytearray((model / "frame.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (model / "frame.onnx").write_bytes(content)
    assert "frame.onnx" in refused(tmp_path / "out", pictures, "--model", model)


def test_two_replays_give_the_same_bytes_and_a_log_that_verifies(tmp_path: Path, pictures: Path) -> None:
    for name in ("a", "b"):
        done = surgical_ml("replay", pictures, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
    first, second = ((tmp_path / name / "decisions.jsonl").read_bytes() for name in ("a", "b"))
    assert first == second
    done = surgical_ml("audit", "verify", tmp_path / "a" / "audit", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["ok"]


def test_a_changed_record_fails_the_check(tmp_path: Path, pictures: Path) -> None:
    assert surgical_ml("replay", pictures, "--out", tmp_path / "a").returncode == 0
    segment = next((tmp_path / "a" / "audit").rglob("*.wal"))
    content = bytearray(segment.read_bytes())
    content[len(content) // 3] ^= 1
    segment.write_bytes(content)
    done = surgical_ml("audit", "verify", tmp_path / "a" / "audit")
    assert done.returncode == 1
    assert "DAMAGED" in done.stdout


@pytest.mark.shared_data
@pytest.mark.skipif(not SINUS.is_dir(), reason="../shared/data is not beside the project")
def test_a_real_recording_unlike_training_is_withheld_with_its_reason(tmp_path: Path) -> None:
    """The novelty limit was never tuned on this recording."""
    done = surgical_ml("replay", SINUS, "--out", tmp_path / "sinus", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["content"]["shape"] == "circle"
    assert summary["validity"] == {"WITHHELD": summary["frames"]}
    assert summary["withheld"] == {"unlike-training": summary["frames"]}
