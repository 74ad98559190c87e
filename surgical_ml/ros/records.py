"""Where the records of cases lie: a folder a case, and a mark on the one that is running."""

import re
import secrets
import shutil
import time
from pathlib import Path

from surgical_ml.audit import Keyring
from surgical_ml.errors import InputError
from surgical_ml.places import default_keys

RUNNING = "running"
"""A case folder holds a file of this name until the case has ended; after a crash it tells what was interrupted."""

AUDIT = "audit"
LEAST_FREE_BYTES = 256 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Records:
    """The records folder, and the keys of this device that its logs are signed with.

    Raises:
        InputError: it cannot be made or written to, or has less than 256 MiB of room, or the device has no key and none
            can be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".probe-{secrets.token_hex(4)}"
            probe.write_bytes(b"")
            probe.unlink()
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise InputError(folder, "a folder for records that can be written to", error.strerror or "none") from error
        if free < LEAST_FREE_BYTES:
            raise InputError(folder, f"{LEAST_FREE_BYTES >> 20} MiB of room for records", f"{free >> 20} MiB")
        self.keyring = Keyring(default_keys())

    def interrupted(self) -> str:
        """The newest case that was begun and never ended; empty if there is none."""
        marks = sorted(self.folder.glob(f"*/{RUNNING}"), key=lambda mark: mark.stat().st_mtime_ns)
        return marks[-1].parent.name if marks else ""

    def begin(self, case: str, *, resume: bool) -> tuple[str, Path]:
        """Make (or, to resume it, find) the folder of a case and mark it as running; its name and folder.

        Raises:
            InputError: the name cannot be one, or a finished case of that name is there.
        """
        case = case or f"case-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(2)}"
        if not _NAME.fullmatch(case):
            raise InputError("case_id", "1 to 64 letters, digits, dots, dashes or underscores", repr(case))
        folder = self.folder / case
        if folder.exists() and not (resume and (folder / RUNNING).exists()):
            raise InputError("case_id", "a case that is not recorded yet", case)
        folder.mkdir(exist_ok=True)
        (folder / RUNNING).touch()
        return case, folder

    def end(self, case: str) -> None:
        """Take the mark away: the case has ended and its record is closed."""
        (self.folder / case / RUNNING).unlink(missing_ok=True)

    def audit(self, case: str) -> Path:
        """The log of a case; of the newest one if `case` is empty.

        Raises:
            InputError: there is none.
        """
        if case and not _NAME.fullmatch(case):
            raise InputError("case_id", "1 to 64 letters, digits, dots, dashes or underscores", repr(case))
        folders = (
            [self.folder / case] if case else sorted(self.folder.glob("*"), key=lambda one: one.stat().st_mtime_ns)
        )
        found = [folder / AUDIT for folder in folders if (folder / AUDIT).is_dir()]
        if not found:
            raise InputError(self.folder, f"a recorded case {case}".rstrip(), "none")
        return found[-1]
