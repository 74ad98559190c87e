"""The main job, shown: `python -m surgical_ml.ros.demo [--seed N]`; what `make demo` runs.

The assistant, the watchdog and a stand-in for the robot's controller run as three processes on one ROS graph, on a
synthetic clip. Nothing is scripted: the clip's truth is read only afterwards, to say whether the warnings were right.
"""

import argparse
import json
import random
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from surgical_ml_msgs.msg import Advisory

from surgical_ml.audit import verify
from surgical_ml.errors import InputError
from surgical_ml.evaluation.recorded_case import complete_case
from surgical_ml.places import shared_folder
from surgical_ml.ros.bringup import ASSISTANT, STANDIN, WATCHDOG, Bringup

CLIP = Path("clips") / "cholecystectomy.mp4"
TIME_SCALE = 34.0
"""The clips show in a minute what takes half an hour."""

CASE = "demo"
TIMEOUT_S = 240
DOMAINS = range(1, 102)


@dataclass(frozen=True, slots=True)
class Received:
    """The procedural advisories that reached the robot: (code, subject)."""

    advisories: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, record: Path) -> "Received":
        """Of the stand-in's own record."""
        found: dict[tuple[str, str], None] = {}
        with record.open(encoding="utf-8") as lines:
            for line in lines:
                entry: dict[str, Any] = json.loads(line)
                if entry.get("topic") != "advisories":
                    continue
                for one in entry["fields"]["advisories"] if entry["kind"] == "message" else ():
                    if one["kind"] == Advisory.KIND_PROCEDURAL:
                        found[one["code"], one["subject"]] = None
        return cls(tuple(found))


def main() -> None:
    """Run the demo from the command line; exit 0 if everything was as it must be, 1 if not, 2 for bad input."""
    parser = argparse.ArgumentParser(description="Run the assistant on a synthetic clip on a live ROS 2 graph.")
    parser.add_argument(
        "--seed", type=int, help="make a fresh clip; the seed decides what goes wrong in it, if anything"
    )
    parser.add_argument("--out", type=Path, help="folder to write (default: out/demo or out/demo-seed-N)")
    given = parser.parse_args()
    out = given.out or Path("out") / ("demo" if given.seed is None else f"demo-seed-{given.seed}")
    console = Console(highlight=False, soft_wrap=True)
    try:
        sys.exit(0 if _demo(given.seed, out, console) else 1)
    except InputError as error:
        console.print(f"demo: {error}", markup=False)
        sys.exit(2)


def _demo(seed: int | None, out: Path, console: Console) -> bool:
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    clip = shared_folder("launch") / CLIP if seed is None else _render(seed, out / "clip.mp4", console)
    console.print(
        f"\n[bold]1. The assistant, the watchdog and a robot stand-in on one ROS 2 graph[/], on {clip.name}\n"
    )
    record = out / "robot.jsonl"
    finished = _run(clip, out, record)
    received = Received.read(record) if record.exists() else Received(())
    if finished != 0:
        console.print(f"the robot stand-in ended with {finished}; see the logs in {out / 'logs'}")
        return False

    console.print("\n[bold]2. The record[/]")
    case = out / "records" / CASE
    report = verify(case / "audit")
    console.print(
        f"{case / 'audit'}: {'whole' if report.ok else 'DAMAGED'}, {report.entries} entries, head {report.head}"
    )
    watched = [verify(log.parent.parent) for log in (out / "records").glob("watchdog/*/private/wal")]
    console.print(f"watchdog's own log: {'whole' if watched and all(one.ok for one in watched) else 'DAMAGED'}")

    console.print("\n[bold]3. Every decision computed again from the record[/]")
    again = complete_case(case, str(clip))
    console.print(f"{again.compared} decisions, {len(again.differences)} differ")

    console.print("\n[bold]4. Against the truth of the clip[/]")
    right = _judge(clip.with_suffix(".json"), received, console)
    console.print(f"\n[bold]Report:[/] {(case / 'report.html').resolve()}")
    return bool(report.ok and again.same and right and all(one.ok for one in watched))


def _render(seed: int, clip: Path, console: Console) -> Path:
    # Rendering is no part of the assistant, and only a fresh clip needs it.
    from surgical_ml.simulation import demo_clip

    columns = TextColumn("rendering the clip of seed {task.fields[seed]}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("render", seed=seed)
        demo_clip(clip, seed, progress=lambda done, total: bar.update(task, completed=done, total=total))
    return clip


def _run(clip: Path, out: Path, record: Path) -> int:
    """Bring everything up, wait until the robot stand-in has seen the case end; its exit code."""
    records = str((out / "records").resolve())
    with Bringup(out / "logs", random.choice(DOMAINS)) as graph:
        # A busy machine takes its time to start three processes; that is no fault of the assistant's.
        graph.start("watchdog", WATCHDOG, {"records_dir": records, "startup_limit_ms": 60_000})
        arguments = ["--record", str(record), "--until", "case-end", "--timeout", str(TIMEOUT_S)]
        robot = graph.start("robot", STANDIN, arguments=arguments, shown=True)
        graph.start(
            "assistant",
            ASSISTANT,
            {
                "source": str(clip.resolve()),
                "records_dir": records,
                "time_scale": TIME_SCALE,
                "nominal_fps": 25.0,
                "autostart": True,
                "auto_case": True,
                "case_id": CASE,
                # 120 ms is for an edge GPU. Here three processes share a CPU with whatever else the machine does.
                "max_age_ms": 500,
            },
        )
        return robot.wait()


def _judge(truth: Path, received: Received, console: Console) -> bool:
    """Say what was put into the clip and what the robot was told of it; whether they are the same."""
    injected = [(one["kind"], one["subject"]) for one in json.loads(truth.read_text("utf-8"))["deviations"]]
    console.print(f"put into it:        {_list(injected)}")
    console.print(f"the robot received: {_list(received.advisories)}")
    right = sorted(injected) == sorted(received.advisories)
    console.print("the same" if right else "[bold]NOT the same[/]")
    return right


def _list(pairs: Any) -> str:
    return ", ".join(f"{kind} {subject}" for kind, subject in pairs) or "no deviation"


if __name__ == "__main__":
    main()
