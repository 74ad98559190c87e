"""RFC 3161: a time-stamping authority says that a checkpoint was there at a time; without a network, it is asked later.

A checkpoint without a token is the spool: whatever could not be stamped is stamped the next time.
"""

import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from cryptography.x509 import Certificate, load_pem_x509_certificates

from surgical_ml.audit.errors import AuditError
from surgical_ml.audit.public import TOKENS, add_file, kept_sizes, read_bytes

LARGEST_TOKEN = 1_000_000

Ask = Callable[[bytes], bytes]
"""Sends a DER request to an authority and gives its DER answer.

Raises:
    OSError: it cannot be reached.
"""


def authority(url: str, timeout_s: float = 10.0) -> Ask:
    """An authority that is asked over HTTP, as RFC 3161 section 3.4 has it."""

    def ask(request: bytes) -> bytes:
        headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
        asked = urllib.request.Request(url, request, headers)
        with urllib.request.urlopen(asked, timeout=timeout_s) as answer:
            return bytes(answer.read(LARGEST_TOKEN))

    return ask


def read_authorities(path: Path) -> list[Certificate]:
    """Root certificates from a PEM file.

    Raises:
        AuditError: it holds none.
    """
    try:
        return load_pem_x509_certificates(read_bytes(path))
    except ValueError as error:
        raise AuditError(path, "certificates in PEM", str(error)) from error


def stamp(folder: Path, ask: Ask, authorities: Sequence[Certificate], *, limit: int | None = None) -> list[int]:
    """Have the kept checkpoints of a log stamped that are not yet, newest first.

    A token that does not lead to one of the authorities is not kept.

    Args:
        folder: of the log.
        ask: sends to the authority.
        authorities: its root certificates.
        limit: stamp at most so many; None for all.

    Returns:
        The sizes of the checkpoints that were stamped.

    Raises:
        AuditError: the answer is no token for the checkpoint.
        OSError: the authority cannot be reached, or the token not be written; what was stamped before is kept.
    """
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    done = list[int]()
    for size, path in reversed(kept_sizes(folder)):
        token = folder / TOKENS / f"{size}.tsr"
        if token.exists() or (limit is not None and len(done) >= limit):
            continue
        note = read_bytes(path)
        request = TimestampRequestBuilder(note, HashAlgorithm.SHA256).build()
        answer = ask(request.as_bytes())
        check_answer(answer, note, authorities, f"{token}", nonce=request.nonce)
        add_file(folder, token, answer)
        done.append(size)
    return done


def check_token(path: Path, note: Path, authorities: Sequence[Certificate]) -> datetime:
    """When, by an authority's word, a checkpoint was there.

    Args:
        path: of the token.
        note: of the checkpoint.
        authorities: root certificates, one of which the token must lead to.

    Raises:
        AuditError: the token is none, of something else, or leads to none of the authorities.
    """
    return check_answer(read_bytes(path), read_bytes(note), authorities, str(path))


def check_answer(
    answer: bytes, message: bytes, authorities: Sequence[Certificate], thing: str, *, nonce: int | None = None
) -> datetime:
    """When, by an authority's word, a message was there.

    Raises:
        AuditError: the answer is no token, of another message or request, or leads to none of the authorities.
    """
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    try:
        response = decode_timestamp_response(answer)
        verifier = VerifierBuilder(roots=list(authorities), nonce=nonce).build()
        verifier.verify_message(response, message)
        # A token has one spelling: bytes that the decoder passes over are not the authority's.
        if response.as_bytes() != answer:
            raise AuditError(thing, "a time-stamp in DER", "more than that")
        return response.tst_info.gen_time
    except (VerificationError, ValueError) as error:
        if isinstance(error, AuditError):
            raise
        raise AuditError(thing, "a time-stamp of the checkpoint by a known authority", str(error)[:200]) from error
