"""The types of entries, each with what it is for. Nothing else is written by this package; a test proves it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EntryType:
    """One type of entry.

    Attributes:
        name: as in the entry's `type`.
        writer: who writes it: the session, the watchdog, the log itself, or whoever keeps the keys.
        purpose: what a reader learns from it, in a sentence.
        checkpoint: a signed checkpoint follows at once: `always`, `sometimes` (as the purpose says) or `in time`.
    """

    name: str
    writer: str
    purpose: str
    checkpoint: str = "in time"


CATALOGUE = {
    one.name: one
    for one in (
        EntryType(
            "case-start",
            "session",
            "What everything after it depends on: the configuration whole, and the digests of software, model, protocol "
            "and calibration. After a restart within a case there is another one, with `resumed`.",
            "always",
        ),
        EntryType(
            "decision",
            "session",
            "One event, what the networks saw of it, what was decided, and which advisories came or went and why. A "
            "checkpoint follows at once where a person started, paused or ended something, or an advisory of high "
            "priority came or went.",
            "sometimes",
        ),
        EntryType(
            "watchdog-start", "watchdog", "The watchdog runs: its version, and the limits that it judges by.", "always"
        ),
        EntryType(
            "watchdog-judgement",
            "watchdog",
            "What the watchdog makes of the assistant's silence or speech, whenever that changes.",
            "always",
        ),
        EntryType("watchdog-stop", "watchdog", "The watchdog was stopped in an orderly way.", "always"),
        EntryType(
            "key-certified",
            "log",
            "From here on checkpoints are signed by this key: its certificate by the device, and every rotation of the "
            "device's own key, each signed by the old one and the new one.",
            "always",
        ),
        EntryType(
            "gap",
            "log",
            "Entries that are not here, because too many waited or the disk was full: how many, of which types, and when.",
            "always",
        ),
        EntryType(
            "space-low",
            "log",
            "The disk is full and the log lives on its reserve; from the last part of it on, only safety events are kept.",
            "always",
        ),
        EntryType(
            "clock-stepped",
            "log",
            "UTC jumped against the monotonic clock; the times of entries on both sides of this one do not compare.",
        ),
        EntryType(
            "checkpoint-failed",
            "log",
            "Tiles or a checkpoint could not be written; entries went on being durable, and are signed when it works again.",
        ),
        EntryType(
            "recovery.torn-tail",
            "log",
            "A power cut or a kill had left an unfinished batch, which was cut off; nothing acknowledged was in it.",
            "always",
        ),
        EntryType(
            "recovery.segment-failed",
            "log",
            "A write or a flush failed; its file was given up, and its batch written again in a new one.",
            "always",
        ),
        EntryType(
            "refused",
            "log",
            "Stands in the place of an entry that could not be written, for instance because it was too large.",
        ),
        EntryType(
            "secret-kept",
            "vault",
            "An identity or a picture was encrypted under the case's key: the digest of the ciphertext, and what it is.",
        ),
        EntryType(
            "secrets-shredded",
            "vault",
            "The case's key was destroyed: what was encrypted under it can never be read again.",
            "always",
        ),
    )
}
"""Every type of entry, by its name."""


def table() -> str:
    """The catalogue as a Markdown table, as it stands in docs/audit.md."""
    rows = [f"| `{one.name}` | {one.writer} | {one.purpose} | {one.checkpoint} |" for one in CATALOGUE.values()]
    return "\n".join(["| type | written by | what it is for | checkpoint |", "|---|---|---|---|", *rows]) + "\n"
