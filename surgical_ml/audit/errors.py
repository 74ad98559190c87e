"""The error that this room raises for a log, a key or an entry that is not what it must be."""

from surgical_ml.errors import InputError


class AuditError(InputError):
    """A log cannot be read, written or believed; `thing` names the file, and the byte where there is one."""
