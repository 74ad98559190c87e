"""A case in real time: what is dropped and how late each answer is, and never how fast it could be."""

import json
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from surgical_ml.config import CaseConfig
from surgical_ml.errors import InputError
from surgical_ml.evaluation.cases import ReplayProgress
from surgical_ml.evaluation.many_cases import run_cases
from surgical_ml.evaluation.realtime import replay_realtime
from surgical_ml.session import Assets

LONGEST_S = 60.0
FRAMES = 40


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("realtime") / "noise"
    folder.mkdir()
    rng = np.random.default_rng(4)
    for k in range(FRAMES):
        cv2.imwrite(str(folder / f"{k:03d}.png"), rng.integers(0, 255, (90, 160, 3), np.uint8))
    return folder


@pytest.fixture(scope="module")
def assets() -> Assets:
    return Assets.load(CaseConfig.of({}))


class MadeClock:
    """Time that passes only while the capture thread waits, and then only when every frame has been answered."""

    def __init__(self, late_ns: int = 0) -> None:
        self.now_ns, self.late_ns = 5_000_000_000, late_ns
        self.answered = threading.Semaphore(0)
        self.waits: list[float] = []

    def clock_ns(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        assert self.answered.acquire(timeout=LONGEST_S), "the frame before was never answered"
        self.waits.append(seconds)
        self.now_ns += round(seconds * 1e9) + self.late_ns

    def progress(self, _: ReplayProgress) -> None:
        self.answered.release()


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_frames_faster_than_they_can_be_judged_are_dropped_and_counted(
    video: Path, assets: Assets, tmp_path: Path
) -> None:
    """At a thousand frames a second no engine is fast enough."""
    replay_realtime(str(video), tmp_path / "case", assets, fps=1000)
    told = json.loads((tmp_path / "case" / "realtime.json").read_text())["frames"]
    assert told["delivered"] == FRAMES
    assert told["dropped"] > 0
    assert told["judged"] + told["dropped"] == FRAMES
    judged = [one for one in lines(tmp_path / "case" / "decisions.jsonl") if one["event"] == "frame"]
    assert len(judged) == told["judged"] == len(lines(tmp_path / "case" / "timings.jsonl"))
    assert judged[-1]["index"] == FRAMES - 1, "the newest frame is the one that is judged"


def test_frames_come_at_the_pace_of_their_stamps_and_keep_them(video: Path, assets: Assets, tmp_path: Path) -> None:
    made = MadeClock()
    replay_realtime(
        str(video),
        tmp_path / "case",
        assets,
        fps=50,
        progress=made.progress,
        clock_ns=made.clock_ns,
        sleep=made.sleep,
    )
    assert made.waits == pytest.approx([0.02] * (FRAMES - 1))
    told = json.loads((tmp_path / "case" / "realtime.json").read_text())
    assert told["frames"] == {"delivered": FRAMES, "judged": FRAMES, "dropped": 0, "late": 0}
    assert told["latency_ms"]["end_to_end"] == {"p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}
    # A result was as old as a frame lasts when the next one took its place.
    assert told["result_age_ms"] == {"p50": 20.0, "p95": 20.0, "p99": 20.0, "max": 20.0}
    frames = [one for one in lines(tmp_path / "case" / "decisions.jsonl") if one["event"] == "frame"]
    assert [one["stamp_ns"] for one in frames] == [k * 20_000_000 for k in range(FRAMES)]


def test_latency_counts_from_when_a_frame_was_due(video: Path, assets: Assets, tmp_path: Path) -> None:
    made = MadeClock(late_ns=130_000_000)
    replay_realtime(
        str(video),
        tmp_path / "case",
        assets,
        fps=5,
        every=4,
        progress=lambda _: [made.answered.release() for _ in range(4)],
        clock_ns=made.clock_ns,
        sleep=made.sleep,
    )
    told = json.loads((tmp_path / "case" / "realtime.json").read_text())
    assert told["frames"]["judged"] == FRAMES // 4
    assert told["latency_ms"]["capture"]["p50"] == told["latency_ms"]["end_to_end"]["p50"] == 130.0
    # All but the first, which nobody waited for.
    assert told["frames"]["late"] == FRAMES // 4 - 1


def test_a_run_in_real_time_has_latencies_and_no_throughput(video: Path, tmp_path: Path) -> None:
    run = run_cases(video.parent, tmp_path / "out", realtime=True, fps=200, every=8)
    assert run.mode == "realtime"
    for name in ("run.json", "result.json", "cases/noise/summary.json", "cases/noise/realtime.json"):
        values = json.loads((tmp_path / "out" / name).read_text())
        assert values["mode"] == "realtime"
        assert not {"frames_per_s", "seconds"} & values.keys(), name
    told = json.loads((tmp_path / "out" / "cases" / "noise" / "realtime.json").read_text())
    assert {"capture", "wait", "frame_net", "durable", "end_to_end"} <= told["latency_ms"].keys()
    assert "depends on this machine" in told["note"]
    assert "in real time" in (tmp_path / "out" / "cases" / "noise" / "report.html").read_text()


def test_results_of_both_modes_do_not_share_a_folder(video: Path, tmp_path: Path) -> None:
    run_cases(video.parent, tmp_path / "out", fps=200, every=20)
    with pytest.raises(InputError, match=r'run\.json: mode: expected "throughput", .* found "realtime"'):
        run_cases(video.parent, tmp_path / "out", fps=200, every=20, realtime=True)


def test_a_source_that_breaks_off_is_an_error_and_leaves_nothing(video: Path, assets: Assets, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    for k in range(3):
        data = (video / f"{k:03d}.png").read_bytes()
        (tmp_path / "broken" / f"{k}.png").write_bytes(data if k < 2 else data[:40])
    with pytest.raises(InputError, match="an image that can be decoded"):
        replay_realtime(str(tmp_path / "broken"), tmp_path / "case", assets, fps=200)
    assert not list(tmp_path.glob("case*"))
