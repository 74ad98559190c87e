"""Proofs that stand alone: of an entry, as a C2SP tlog-proof; of growth, as the request that a C2SP witness is sent."""

import base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from surgical_ml.audit.entry import leaf_hash
from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.merkle import HASH_BYTES, consistency_proof, included, inclusion_proof
from surgical_ml.audit.note import LARGEST_NOTE, Checkpoint, Note, VerifierKey, check, decode_base64
from surgical_ml.audit.public import Signed, device_keys, newest, published_entries, read_signed, tree_of
from surgical_ml.audit.publisher import CHECKPOINTS

PROOF = "c2sp.org/tlog-proof@v1"
MOST_HASHES = 63


@dataclass(frozen=True, slots=True)
class Proof:
    """That an entry is in a tree.

    Attributes:
        index: of the entry.
        hashes: from its sibling up, 32 bytes each.
        note: the signed checkpoint of the tree.
    """

    index: int
    hashes: tuple[bytes, ...]
    note: Note

    def encode(self) -> bytes:
        """The bytes of a `.tlog-proof` file."""
        return f"{PROOF}\nindex {self.index}\n{_lines(self.hashes)}\n".encode() + self.note.encode()

    @classmethod
    def parse(cls, data: bytes, thing: str) -> "Proof":
        """The proof of bytes. Extra data, which the format allows, is refused: none is written here.

        Raises:
            AuditError: they are none.
        """
        (first, *lines), note = _split(data, thing)
        if first != PROOF or not lines:
            raise AuditError(thing, f"{PROOF} and an index", repr(first[:40]))
        index, *lines = lines
        return cls(_number(index, "index", thing), _hashes(lines, thing), note)

    def check(self, entry: bytes, keys: Collection[VerifierKey], thing: str) -> Checkpoint:
        """The checkpoint of the tree that the entry is shown to be in.

        Args:
            entry: its stored bytes.
            keys: trusted ones; one of them must have signed the checkpoint.
            thing: name of the proof, for the error.

        Raises:
            AuditError: the checkpoint is not signed by one of the keys, or the entry is not where the proof says.
        """
        check(self.note, keys, thing)
        checkpoint = Checkpoint.parse(self.note.text, thing)
        if not included(leaf_hash(entry), self.index, checkpoint.size, self.hashes, checkpoint.root):
            raise AuditError(thing, f"a proof of entry {self.index} of {checkpoint.size}", "a proof of something else")
        return checkpoint


@dataclass(frozen=True, slots=True)
class Growth:
    """That a tree begins with an older one: what a witness is sent.

    Attributes:
        old: size of the older tree; 0 for none.
        hashes: of the consistency proof, 32 bytes each.
        note: the signed checkpoint of the newer tree.
    """

    old: int
    hashes: tuple[bytes, ...]
    note: Note

    def encode(self) -> bytes:
        """The body of an `add-checkpoint` request."""
        return f"old {self.old}\n{_lines(self.hashes)}\n".encode() + self.note.encode()

    @classmethod
    def parse(cls, data: bytes, thing: str) -> "Growth":
        """The growth of a request's body.

        Raises:
            AuditError: it is none.
        """
        (old, *lines), note = _split(data, thing)
        return cls(_number(old, "old", thing), _hashes(lines, thing), note)


def prove_entry(folder: Path, seq: int, pins: Collection[str] = ()) -> tuple[bytes, Proof]:
    """The stored bytes of an entry, and the proof that it is in the log's newest tree.

    Raises:
        AuditError: no checkpoint covers the entry, or the log does not bear the proof out.
    """
    head = newest(folder, pins)
    size = head.checkpoint.size
    if not 0 <= seq < size:
        raise AuditError(f"{folder}: entry {seq}", f"one of the {size} under the checkpoint", "none")
    proof = Proof(seq, inclusion_proof(seq, size, tree_of(folder, size).node), head.note)
    entry = next(published_entries(folder, size, seq))
    proof.check(entry, head.keys, f"{folder}: entry {seq}")
    return entry, proof


def prove_growth(folder: Path, old: int, pins: Collection[str] = (), *, to: int | None = None) -> tuple[Growth, Signed]:
    """The proof that the log's tree begins with its older tree of `old` entries, and the newer checkpoint.

    Args:
        folder: of the log.
        old: entries of the older tree; 0 for none.
        pins: fingerprints of device keys.
        to: size of a kept checkpoint; None for the newest.

    Raises:
        AuditError: there is no such checkpoint, or it covers fewer entries than `old`.
    """
    if to is None:
        head = newest(folder, pins)
    else:
        head = read_signed(folder, folder / CHECKPOINTS / f"{to}.note", device_keys(folder, pins))
    size = head.checkpoint.size
    hashes = consistency_proof(old, size, tree_of(folder, size).node) if old else ()
    return Growth(old, hashes, head.note), head


def _lines(hashes: Sequence[bytes]) -> str:
    return "".join(base64.b64encode(one).decode("ascii") + "\n" for one in hashes)


def _split(data: bytes, thing: str) -> tuple[list[str], Note]:
    """The lines before the first empty one, and the note behind it."""
    head, empty, note = data.partition(b"\n\n")
    if not empty or len(head) > LARGEST_NOTE:
        raise AuditError(thing, "lines, an empty line and a signed note", "something else")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise AuditError(f"{thing}: byte {error.start}", "ASCII", "another byte") from error
    return lines, Note.parse(note, thing)


def _number(line: str, word: str, thing: str) -> int:
    name, _, digits = line.partition(" ")
    if name != word or not (digits.isascii() and digits.isdigit()) or len(digits) > 19 or str(int(digits)) != digits:
        raise AuditError(thing, f"a line `{word} <number>`", repr(line[:40]))
    return int(digits)


def _hashes(lines: Sequence[str], thing: str) -> tuple[bytes, ...]:
    if len(lines) > MOST_HASHES:
        raise AuditError(thing, f"at most {MOST_HASHES} hashes", f"{len(lines)}")
    hashes = tuple(decode_base64(line, thing) for line in lines)
    if any(len(one) != HASH_BYTES for one in hashes):
        raise AuditError(thing, f"hashes of {HASH_BYTES} bytes", "another length")
    return hashes
