"""Other processes on a test's graph."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from waiting import PATIENCE_S


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen]:
    """A Python process with `arguments`, stopped at the end as an operator would stop it.

    Killing it would leave its shared memory, more than 64 MiB a process, behind for ever; that is the last resort.
    """
    process = subprocess.Popen([sys.executable, *arguments])
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
