"""A simulated case is a folder that is complete and says what is in its pixels, or it is not there."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from surgical_ml.errors import InputError
from surgical_ml.simulation import CLASSES, PHASES, TOOLS, Renderer, plan_case, simulate
from surgical_ml.simulation.generate import write_case

SMALL = {"size": (64, 64), "fps": 1, "duration_s": 42.0}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three cases with deviations and disturbances, rendered one after the other."""
    out = tmp_path_factory.mktemp("simulated") / "cases"
    simulate(out, cases=3, seed=40, deviation="random", disturbances=("smoke", "out_of_body"), **SMALL)
    return out


def test_the_same_seed_gives_the_same_bytes_however_many_workers(cases: Path, tmp_path: Path) -> None:
    simulate(tmp_path, cases=3, seed=40, deviation="random", disturbances=("smoke", "out_of_body"), workers=3, **SMALL)
    assert contents(tmp_path) == contents(cases)


def test_a_case_is_the_same_in_whatever_company_it_is_rendered(cases: Path, tmp_path: Path) -> None:
    simulate(tmp_path, cases=1, seed=41, deviation="random", disturbances=("smoke", "out_of_body"), **SMALL)
    assert contents(tmp_path / "case00041") == contents(cases / "case00041")
    assert contents(cases / "case00041")["video.mp4"] != contents(cases / "case00040")["video.mp4"]


def test_every_frame_has_its_labels_and_they_are_those_of_the_plan(cases: Path) -> None:
    for folder in sorted(cases.iterdir()):
        case = json.loads((folder / "case.json").read_text())
        video = cv2.VideoCapture(str(folder / "video.mp4"))
        frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        assert frames == int(case["duration_s"]) > 40
        masks = [cv2.imread(str(folder / "masks" / f"{k:06d}.png"), cv2.IMREAD_UNCHANGED) for k in range(frames)]
        assert {mask.shape for mask in masks} == {(64, 64)}
        assert not (folder / "masks" / f"{frames:06d}.png").exists()

        phases = [line.split("\t") for line in (folder / "video-phase.txt").read_text().splitlines()]
        assert phases[0] == ["Frame", "Phase"]
        segments = [(PHASES[s["phase"]], s["start_s"], s["end_s"]) for s in case["segments"]]
        for k, (frame, phase) in enumerate(phases[1:]):
            assert int(frame) == k
            assert next(name for name, start, end in segments if start <= k < end) == phase
        assert len(phases) == frames + 1

        tools = [line.split("\t") for line in (folder / "video-tool.txt").read_text().splitlines()]
        assert tools[0] == ["Frame", *TOOLS]
        assert len(tools) == frames + 1
        tips = [line.split(",") for line in (folder / "tips.csv").read_text().splitlines()[1:]]
        for k, (frame, *present) in enumerate(tools[1:]):
            assert int(frame) == k
            named = {tool for tool, flag in zip(TOOLS, present, strict=True) if flag == "1"}
            assert named == {tool for at, tool, _, _ in tips if int(at) == k}
            # A tip in the picture has its tool around it.
            assert named <= {CLASSES[label] for label in np.unique(masks[k])}


def test_masks_may_be_left_out(tmp_path: Path) -> None:
    (folder,) = simulate(tmp_path, masks=False, **SMALL)
    assert not (folder / "masks").exists()
    assert (folder / "video.mp4").stat().st_size > 0


def test_progress_counts_the_frames_of_all_cases(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    simulate(tmp_path, cases=2, masks=False, progress=lambda done, total: told.append((done, total)), **SMALL)
    total = told[-1][1]
    assert told == [(done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"procedure": "appendectomy"}, "procedure: expected .*cholecystectomy.*, found appendectomy"),
        ({"deviation": "surprise"}, "deviation: expected .*order.*, found surprise"),
        ({"disturbances": ("fog",)}, "disturbance: expected .*smoke.*, found fog"),
        ({"cases": 0}, "cases: expected a whole number from 1, found 0"),
        ({"fps": 0}, "fps: expected a whole number from 1, found 0"),
        ({"workers": 0}, "workers: expected a whole number from 1, found 0"),
        ({"size": (65, 64)}, "size: expected even numbers of pixels from 64, found 65x64"),
        ({"size": (62, 64)}, "size: expected even numbers of pixels from 64, found 62x64"),
        ({"duration_s": -1.0}, "duration: expected seconds"),
        ({"seed": -1}, "seed: expected a whole number from 0"),
    ],
)
def test_what_means_nothing_is_refused_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, object], complaint: str
) -> None:
    with pytest.raises(InputError, match=complaint):
        simulate(tmp_path / "cases", **(SMALL | arguments))
    assert not (tmp_path / "cases").exists()


def test_a_case_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "case00001").mkdir()
    with pytest.raises(InputError, match="case00001: expected no such folder yet, found one"):
        simulate(tmp_path, cases=2, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["case00001"]


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cases").write_text("in the way")
    with pytest.raises(InputError, match="cases: expected a place that can be written to, found File exists"):
        simulate(tmp_path / "cases", **SMALL)


@pytest.mark.parametrize(
    ("error", "raised"),
    [(OSError(errno.ENOSPC, "No space left on device"), InputError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_case_that_fails_on_its_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, raised: type[BaseException]
) -> None:
    whole = Renderer.at

    def at(self: Renderer, t_s: float) -> object:
        if t_s >= 12.0:
            raise error
        return whole(self, t_s)

    monkeypatch.setattr(Renderer, "at", at)
    with pytest.raises(raised):
        write_case(plan_case(1, duration_s=42.0), tmp_path / "case", (64, 64), 1, True)
    assert list(tmp_path.iterdir()) == []


def test_a_leftover_of_a_killed_run_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "case00000.partial" / "masks").mkdir(parents=True)
    (tmp_path / "case00000.partial" / "masks" / "000999.png").write_bytes(b"old")
    (folder,) = simulate(tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["case00000"]
    assert not (folder / "masks" / "000999.png").exists()


def test_a_video_that_found_no_room_is_no_case(tmp_path: Path) -> None:
    """The encoder does not say so itself; here no file may grow beyond 8 kB."""
    script = (
        "import resource, sys; from pathlib import Path\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "from surgical_ml.errors import InputError\n"
        "from surgical_ml.simulation import simulate\n"
        "try:\n"
        "    simulate(Path(sys.argv[1]), size=(64, 64), fps=1, duration_s=42.0, masks=False)\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    out = tmp_path / "cases"
    done = subprocess.run([sys.executable, "-c", script, out], capture_output=True, text=True, check=True)
    assert "video.mp4: expected room for a video of" in done.stdout
    assert list(out.iterdir()) == []
