"""Takes a log's checkpoints to a witness. What could not be delivered lies in the log and is delivered the next time."""

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Collection
from pathlib import Path

from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.keys import FOLDER as KEYS
from surgical_ml.audit.note import LARGEST_NOTE, Note, Signature, VerifierKey, check
from surgical_ml.audit.prove import prove_growth
from surgical_ml.audit.public import WITNESSED, add_file, kept_sizes, newest, read_bytes
from surgical_ml.audit.verify import Seen
from surgical_ml.audit.witness import cosigned

_ATTEMPTS = 3
"""A request, once more after the keys were sent, and once more from the size that the witness names."""


class Courier:
    """One witness, as a log speaks to it.

    Args:
        url: of the witness.
        key: its verifier key, which its signatures are checked against.
        timeout_s: how long it may take to answer, seconds.
    """

    def __init__(self, url: str, key: VerifierKey, *, timeout_s: float = 10.0) -> None:
        self._url, self._key, self._timeout_s = url.rstrip("/"), key, timeout_s

    def deliver(self, folder: Path, pins: Collection[str] = ()) -> int:
        """Have the newest checkpoint of a log signed by the witness and keep its signature; the size it covers.

        Nothing is sent where the witness has signed that checkpoint already.

        Raises:
            AuditError: the log's checkpoint or tiles are not what they must be, or the witness refuses: it has seen more
                entries than there are, or another tree.
            OSError: the witness cannot be reached.
        """
        size = newest(folder, pins).checkpoint.size
        last = max((size for size, _ in kept_sizes(folder, WITNESSED)), default=0)
        if last == size:
            return size
        for _ in range(_ATTEMPTS):
            growth, head = prove_growth(folder, min(last, size), pins)
            size = head.checkpoint.size
            status, body = self._ask("/add-checkpoint", growth.encode())
            if status == 200:
                return self._keep(folder, head.note, body, size)
            if status in (403, 404):
                self._introduce(folder)
            elif status == 409:
                last = self._size(body)
                if last >= size:
                    found = f"{size} entries" if last > size else "another tree of as many"
                    raise AuditError(folder, f"the {last} entries that {self._key.name} has seen", found)
            else:
                break
        raise AuditError(self._url, "a cosignature", f"{status}: {body[:200].decode('utf-8', 'replace').strip()}")

    def seen(self, origin: str) -> Seen | None:
        """The last checkpoint of a log that the witness signed; None if it knows none.

        Raises:
            AuditError: what it gives is not signed by its key.
            OSError: it cannot be reached.
        """
        status, body = self._ask(f"/checkpoint?origin={urllib.parse.quote(origin, safe='')}")
        if status == 404:
            return None
        checkpoint, _, name = cosigned(body, [self._key], self._url)
        return Seen(name, checkpoint)

    def _introduce(self, folder: Path) -> None:
        """Send the rotations, in their order, and then the certificates."""
        for pattern in ("rotation-*.note", "*.cert"):
            for path in sorted((folder / KEYS).glob(pattern)):
                status, body = self._ask("/add-key", read_bytes(path))
                if status != 200:
                    told = body[:200].decode("utf-8", "replace").strip()
                    raise AuditError(path, f"a device that {self._key.name} knows", f"{status}: {told}")

    def _keep(self, folder: Path, note: Note, body: bytes, size: int) -> int:
        lines = body.decode("utf-8", "replace").splitlines()
        added = tuple(Signature.parse(line, self._url) for line in lines)
        check(Note(note.text, added), [self._key], self._url)
        signed = Note(note.text, (*note.signatures, *added))
        add_file(folder, folder / WITNESSED / f"{size}.note", signed.encode())
        return size

    def _size(self, body: bytes) -> int:
        digits = body.decode("ascii", "replace").strip()
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
            raise AuditError(self._url, "the size that the witness has seen", repr(digits[:40]))
        return int(digits)

    def _ask(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        request = urllib.request.Request(self._url + path, body, {"Content-Type": "text/plain"})
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:
                return answer.status, bytes(answer.read(LARGEST_NOTE + 1))
        except urllib.error.HTTPError as error:
            return error.code, error.read(LARGEST_NOTE)
