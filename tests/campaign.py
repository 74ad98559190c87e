"""The full-count campaigns: `make campaign` runs them and writes docs/evidence.md. A share of each runs in `make test`."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "core" / "audit"))
sys.path.insert(0, str(Path(__file__).parent / "core" / "calibration"))
sys.path.insert(0, str(Path(__file__).parent / "core" / "calibration"))
sys.path.insert(0, str(Path(__file__).parent / "core" / "engine"))
sys.path.insert(0, str(Path(__file__).parent / "core" / "evaluation" / "metrics"))
sys.path.insert(0, str(Path(__file__).parent / "core" / "guidance"))

from advisory_walk import walk
from bumped_cameras import false_alarms, share_noticed
from known_cameras import share_held
from log_faults import flip_campaign, kill_campaign, open_log
from mounted_cameras import mounting_errors, offset_errors_ms, turned_scope_rms_px
from phase_walks import walk_together
from simulated_studies import CASES, share_covered, share_passed

import surgical_ml
from surgical_ml.audit import MemoryRecorder, verify
from surgical_ml.audit.wal import HEADER_BYTES
from surgical_ml.config import CaseConfig
from surgical_ml.decision import Decision
from surgical_ml.engine import load_model, open_engine
from surgical_ml.engine.precision import to_half
from surgical_ml.events import Action, OperatorAction
from surgical_ml.guidance import Kind, Presence
from surgical_ml.guidance.life import LIFE
from surgical_ml.session import Assets
from surgical_ml.simulation import Renderer, demo_clip, plan_case
from surgical_ml.video import Frame, open_source

KILLS = 100
STEPS = 10_000
ADVISORY_STEPS = 100_000
STUDIES = 10_000
CALIBRATIONS = 500
MOUNTINGS = 100
WATCHED_HOURS = 300
BUMPS = 1000
CLEAN_SEEDS = range(600, 610)
CLIP_SEEDS = range(950, 960)
"""Neither was looked at while anything was trained or any limit chosen."""

CLEAN_S, CLEAN_FPS = 120.0, 5
TIME_SCALE = 34.0


def flips(work: Path) -> str:
    """Every bit of a log of three segments."""
    log = work / "flips"
    bodies = [{"n": k, "text": "x" * 40} for k in range(5)]
    with open_log(log, bodies, segment_bytes=HEADER_BYTES + 700):
        pass
    report = verify(log)
    unnoticed = flip_campaign(log, work / "scratch", count=None)
    told = ", ".join(unnoticed) or "none"
    return f"every bit of a log of {report.segments} segments and {report.entries} entries flipped alone; unnoticed: {told}"


def kills(work: Path) -> str:
    """A writer killed again and again."""
    acknowledged = kill_campaign(work / "kills", kills=KILLS)
    report = verify(work / "kills")
    assert report.ok
    return f"{KILLS} kills -9 of a writer; {acknowledged} entries acknowledged, every one present; the log verifies"


def clean_cases(work: Path) -> str:
    """How much of clean held-out cases is judged, and what is announced in them."""
    config = CaseConfig.of({"nominal_fps": CLEAN_FPS, "time_scale": 15.0})
    assets = Assets.load(config)
    shares, announced, withheld = [], 0, Counter[str]()
    for seed in CLEAN_SEEDS:
        plan = plan_case(seed, duration_s=CLEAN_S, split="held-out")
        renderer = Renderer(plan, (854, 480))
        frames = (
            Frame(renderer.at(k / CLEAN_FPS).image, round(k * 1e9 / CLEAN_FPS), k)
            for k in range(int(plan.duration_s * CLEAN_FPS))
        )
        decisions = _judge(assets, frames)
        reasons = Counter(decision.withheld or decision.validity.value for decision in decisions)
        shares.append(reasons["OK"] / (len(decisions) - reasons["starting"]))
        withheld += reasons
        announced += len(_announced(decisions))
    every = sum(withheld.values()) - withheld["starting"]
    return (
        f"{len(shares)} clean held-out synthetic cases, {every} frames after the first second of each: OK "
        f"{100 * withheld['OK'] / every:.2f} % (worst case {100 * min(shares):.2f} %); departures announced: {announced}; "
        f"everything: {dict(sorted(withheld.items()))}"
    )


def clips(work: Path) -> str:
    """Whether clips of the demo's kind have just that named which was put into them."""
    assets = Assets.load(CaseConfig.of({"time_scale": TIME_SCALE, "nominal_fps": 25.0}))
    rows, right = [], 0
    for seed in CLIP_SEEDS:
        clip = work / f"{seed}.mp4"
        if not clip.exists():
            demo_clip(clip, seed)
        with open_source(str(clip)) as source:
            decisions = _judge(assets, source)
        truth = json.loads(clip.with_suffix(".json").read_text("utf-8"))["deviations"]
        put_in = sorted((one["kind"], one["subject"]) for one in truth)
        named = _announced(decisions)
        same = put_in == sorted(named)
        right += same
        onset = truth[0]["onset_s"] if truth else None
        delay = "" if not same or onset is None else f"{named[put_in[0]] / 1e9 - onset:.1f} s"
        shown = ", ".join(" ".join(one) for one in put_in) or "nothing"
        told = ", ".join(" ".join(one) for one in sorted(named)) or "nothing"
        shares = Counter(decision.validity.value for decision in decisions)
        ok = 100 * (shares["OK"] + shares["DEGRADED"]) / len(decisions)
        rows.append(f"| {seed} | {shown} | {told} | {delay} | {ok:.1f} % |")
    table = "\n".join(["| seed | put into it | announced | after | shown |", "|---|---|---|---|---|", *rows])
    told = f"{right} of {len(CLIP_SEEDS)} fresh clips, smoke and blood included, have just that named which was put in"
    return f"{told}:\n\n{table}"


def statistics(work: Path) -> str:
    """How often an interval holds the truth, and how often a model that is worse by the margin passes."""
    kinds = {
        "percentile, normal values": share_covered(STUDIES, skewed=False, method="percentile"),
        "BCa, normal values": share_covered(STUDIES, skewed=False, method="bca"),
        "BCa, skewed values": share_covered(STUDIES, skewed=True, method="bca"),
    }
    assert all(0.93 <= share <= 0.97 for share in kinds.values())
    passed = share_passed(STUDIES)
    assert 0.015 <= passed <= 0.035
    covered = "; ".join(f"{kind}: {share:.1%}" for kind, share in kinds.items())
    return (
        f"{STUDIES} simulated studies of {CASES} cases each. 95 % intervals that hold the true mean: {covered}. A model that "
        f"is worse by exactly the margin passes as not inferior in {passed:.1%}"
    )


def bumps(work: Path) -> str:
    """How often an untouched camera is called doubtful, and a bumped one within twenty seconds."""
    alarms = false_alarms(1, WATCHED_HOURS)
    assert alarms <= WATCHED_HOURS / 100
    kinds = {
        "shifted by 2 px, turned by 1 degree and moved by 2 mm": {"picture_px": 2.0, "turn_deg": 1.0, "shift_mm": 2.0},
        "shifted by 2 px alone": {"picture_px": 2.0},
        "turned by 1 degree alone": {"turn_deg": 1.0},
        "moved by 2 mm alone": {"shift_mm": 2.0},
    }
    shares = {kind: share_noticed(2, BUMPS, **bump) for kind, bump in kinds.items()}
    assert min(shares.values()) >= 0.95
    narrow = "moved by 2 mm alone, where the width of shafts is not measured"
    shares[narrow] = share_noticed(2, BUMPS, without=("shaft-width",), shift_mm=2.0)
    noticed = "; ".join(f"{kind}: {share:.1%}" for kind, share in shares.items())
    return (
        f"{alarms} false alarms in {WATCHED_HOURS} h of simulated residuals of a camera that nobody touched, each hour "
        f"another case. Noticed within 20 s, of {BUMPS} bumps in random directions each: {noticed}. The noise is stated in "
        "tests/core/calibration/bumped_cameras.py; no pixels were made"
    )


def calibrations(work: Path) -> str:
    """How often the intervals that a camera's calibration states hold the truth."""
    main, every, largest = share_held(CALIBRATIONS)
    assert 0.92 <= main <= 0.98
    assert 0.92 <= every <= 0.98
    assert largest["holdout_px"] <= 0.5
    assert largest["focal_percent"] <= 0.2
    assert largest["principal_px"] <= 2
    return (
        f"{CALIBRATIONS} calibrations of a known 1080p camera from 15 to 25 views each, 0.2 px of noise. 95 % intervals that "
        f"hold the truth: of focal lengths and principal point {main:.1%}, of all parameters {every:.1%}. The largest of all: "
        f"{largest['holdout_px']:.2f} px held out, {largest['focal_percent']:.3f} % of a focal length, "
        f"{largest['principal_px']:.2f} px of the principal point"
    )


def mountings(work: Path) -> str:
    """How well the camera on the robot, the offset of the clocks and a scope's turns are found."""
    errors, solvers = mounting_errors(MOUNTINGS)
    offsets, scopes = offset_errors_ms(MOUNTINGS), turned_scope_rms_px(MOUNTINGS // 10)
    assert errors[:, 0].max() <= 0.5
    assert errors[:, 1].max() <= 0.1
    assert offsets.max() <= 1
    assert scopes.max() <= 1.5
    apart = ", ".join(f"{solver} {distance:.2f} mm" for solver, distance in sorted(solvers.items()))
    return (
        f"{MOUNTINGS} hand-eye calibrations of 15 poses with noise of pictures and robot: at most {errors[:, 0].max():.2f} "
        f"mm and {errors[:, 1].max():.3f} degrees off; solvers at most so far from the refined result: {apart}. "
        f"{MOUNTINGS} offsets of two clocks from a minute of motion: at most {offsets.max():.2f} ms off. {len(scopes)} oblique "
        f"scopes turned from 0 to 180 degrees: at most {scopes.max():.2f} px RMS off"
    )


def advisories(work: Path) -> str:
    """The machine of advisories beside a plain model of what was promised."""
    visited = walk(1, ADVISORY_STEPS)
    assert set(visited) == set(LIFE)
    return (
        f"{ADVISORY_STEPS} random steps beside a plain reference model, floods of eighty conditions among them: the same "
        f"is listed after each step; no condition lost, no acknowledgement that silences another; {sum(visited.values())} "
        f"transitions told, each of the {len(LIFE)} of the table at least {min(visited.values())} times"
    )


def engines(work: Path) -> str:
    """The phase network on every engine and in both precisions, each on its own state, beside the one of a case."""
    files = {"fp32": load_model("cholecystectomy").file("phase"), "fp16": work / "phase.onnx"}
    to_half(files["fp32"], files["fp16"])
    reference = open_engine("onnxruntime", files["fp32"], threads=1)
    told = []
    for name, precision in (("onnxruntime", "fp16"), ("openvino", "fp32"), ("openvino", "fp16"), ("torch", "fp32")):
        same, farthest = walk_together(reference, open_engine(name, files[precision], threads=1), STEPS)
        told.append(f"{name} {precision}: {100 * same / STEPS:.2f} %, states at most {farthest:.1e} apart")
    return f"{STEPS} steps beside ONNX Runtime fp32, the same likeliest phase on: " + "; ".join(told)


def _judge(assets: Assets, frames) -> list[Decision]:  # type: ignore[no-untyped-def]
    session = assets.open(MemoryRecorder(), case="campaign")
    session.step(OperatorAction(0, Action.START))
    return [session.step(frame) for frame in frames]


def _announced(decisions: list[Decision]) -> dict[tuple[str, str], int]:
    """When each departure was first announced, ns."""
    found: dict[tuple[str, str], int] = {}
    for decision in decisions:
        for one in decision.advisories:
            if one.kind is Kind.PROCEDURAL and one.presence is Presence.ON:
                found.setdefault((one.code, one.subject), one.announced_ns)
    return found


def main() -> None:
    """Run every campaign and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evidence", type=Path, help="Markdown file to write")
    parser.add_argument("--clips", type=Path, help="folder that keeps the rendered clips; a temporary one by default")
    given = parser.parse_args()
    campaigns: list[tuple[str, Callable[[Path], str]]] = [
        ("Changed bits", flips),
        ("Killed writers", kills),
        ("Life of advisories", advisories),
        ("Clean cases", clean_cases),
        ("Clips of the demo's kind", clips),
        ("Engines", engines),
        ("Statistics", statistics),
        ("Calibrated cameras", calibrations),
        ("Hand-eye, clocks and turned scopes", mountings),
        ("Whether a calibration still holds", bumps),
    ]
    sections = []
    with tempfile.TemporaryDirectory() as temporary:
        if given.clips is not None:
            given.clips.mkdir(parents=True, exist_ok=True)
        for title, campaign in campaigns:
            began = time.perf_counter()
            print(f"{title} ...", flush=True)
            found = campaign(given.clips if campaign is clips and given.clips else Path(temporary))
            print(found, flush=True)
            sections.append(f"## {title}\n\n{found}\n\nTook {time.perf_counter() - began:.0f} s.\n")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    head = (
        "# Evidence\n\n"
        "Written by `make campaign`; not by hand. All video here is synthetic: it says that the module works, and nothing "
        "about patients.\n\n"
        f"surgical_ml {surgical_ml.__version__} at {commit.stdout.strip() or 'an unknown revision'}, "
        f"model {Assets.load(CaseConfig.of({})).model.sha256[:12]}, on {machine}; {time.strftime('%Y-%m-%d', time.gmtime())}.\n"
    )
    given.evidence.write_text("\n".join([head, *sections]), "utf-8")


if __name__ == "__main__":
    main()
