"""A process that writes a log until it is killed. Prints `seq name` of each entry once it is durable.

killed_writer.py stream FOLDER SEED         writes bursts without end
killed_writer.py calls FOLDER before|torn   dies at its first call of the operating system, then at its second, ...
"""

import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from surgical_ml.audit import AuditWriter, disk

SEGMENT_BYTES = 6_000


def stream(folder: Path, seed: int) -> None:
    draw = random.Random(seed)
    with AuditWriter(folder, segment_bytes=SEGMENT_BYTES) as writer:
        count = 0
        while True:
            tickets = []
            for _ in range(draw.randrange(1, 20)):
                name = f"{seed}-{count}"
                body = {"name": name, "text": "x" * draw.randrange(600)}
                tickets.append((name, writer.append("event", body, urgent=draw.random() < 0.2)))
                count += 1
            for name, ticket in tickets:
                if not ticket.wait(30):
                    raise SystemExit(f"{name}: {ticket.failed}")
                print(ticket.seq, name, flush=True)


class DyingCalls:
    """The module `os`, as the disk sees it, of a process that is killed at its n-th call.

    `torn`: half of what was to be written is.
    """

    COUNTED = frozenset({"open", "posix_fallocate", "pwrite", "fsync", "fdatasync", "ftruncate", "close"})

    def __init__(self, die_at: int, torn: bool) -> None:
        self._left = die_at
        self._torn = torn

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in self.COUNTED:
            return real

        def counted(*arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                if name == "pwrite" and self._torn:
                    descriptor, data, at = arguments
                    os.pwrite(descriptor, data[: len(data) // 2], at)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)

        return counted


def short_life(folder: Path, acknowledgements: Path) -> None:
    """A log begun, closed, taken up again and rolled over."""
    with acknowledgements.open("w") as told:
        for life in range(2):
            with AuditWriter(folder, segment_bytes=1_600) as writer:
                for k in range(3):
                    name = f"{life}-{k}"
                    ticket = writer.append("event", {"name": name, "text": "x" * 100}, urgent=True)
                    if ticket.wait(30):
                        print(ticket.seq, name, file=told, flush=True)


def calls(folder: Path, torn: bool) -> None:
    die_at = 1
    while True:
        child = os.fork()
        if child == 0:
            disk.os = DyingCalls(die_at, torn)  # type: ignore[attr-defined]
            short_life(folder / f"{die_at:03d}", folder / f"{die_at:03d}.acknowledged")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            # It made fewer calls than that, so each has been its last one once.
            raise SystemExit(os.waitstatus_to_exitcode(status))
        die_at += 1


if __name__ == "__main__":
    what, where, how = sys.argv[1:]
    if what == "stream":
        stream(Path(where), int(how))
    else:
        calls(Path(where), how == "torn")
