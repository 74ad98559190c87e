"""The record: entries that are durable before anything is shown, and a log that shows when it was changed."""

from surgical_ml.audit.disk import Disk
from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.keys import Keyring
from surgical_ml.audit.reader import read
from surgical_ml.audit.recorder import MemoryRecorder, Recorder, Ticket
from surgical_ml.audit.verify import Report, verify
from surgical_ml.audit.writer import AuditWriter

__all__ = [
    "AuditError",
    "AuditWriter",
    "Disk",
    "Keyring",
    "MemoryRecorder",
    "Recorder",
    "Report",
    "Ticket",
    "read",
    "verify",
]
