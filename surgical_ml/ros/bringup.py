"""Starts and stops the processes of a graph without `ros2 launch`, which has no wheel: for the demo and for tests.

It does what `launch/assistant.launch.py` does: the same modules, parameters and environment.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import yaml

from surgical_ml.ros.profile import environment

STOP_S = 15.0

ASSISTANT, WATCHDOG, STANDIN = "surgical_ml.ros.assistant", "surgical_ml.ros.watchdog", "surgical_ml.ros.standin"


class Bringup:
    """Processes on one graph of this machine; a context manager that stops them, last started first.

    Args:
        folder: receives a log of each process, `<name>.log`, and its parameters, `<name>.yaml`.
        domain: the ROS domain id.
    """

    def __init__(self, folder: Path, domain: int) -> None:
        self._folder = folder
        self._environment = (
            os.environ
            | environment()
            | {
                "ROS_DOMAIN_ID": str(domain),
                "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
                "ROS_LOG_DIR": str(folder / "ros"),
            }
        )
        self._processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def start(
        self,
        name: str,
        module: str,
        parameters: Mapping[str, object] | None = None,
        *,
        arguments: Sequence[str] = (),
        shown: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Start a Python module as a process.

        Args:
            name: of its log and parameter files.
            module: as `python -m` takes it.
            parameters: of its node.
            arguments: before those of ROS.
            shown: what it prints goes to this process's output instead of its log.
        """
        command = [sys.executable, "-m", module, *arguments]
        if parameters:
            file = self._folder / f"{name}.yaml"
            file.write_text(yaml.safe_dump({"/**": {"ros__parameters": dict(parameters)}}), encoding="utf-8")
            command += ["--ros-args", "--params-file", str(file)]
        if shown:
            process = subprocess.Popen(command, env=self._environment)
        else:
            with (self._folder / f"{name}.log").open("ab") as log:
                process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=subprocess.STDOUT)
        self._processes.append(process)
        return process

    def log(self, name: str) -> str:
        """What a process has printed."""
        return (self._folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        """Ask a process to end, as an operator would; kill it if it does not. Its exit code."""
        if process.poll() is None:
            # One that a test has stopped cannot hear anything until it goes on.
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.wait()

    def __enter__(self) -> "Bringup":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            self.stop(process)
