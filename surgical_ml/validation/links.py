"""Links that somebody looked at: one is suspect once either of its ends has changed since."""

import json
from pathlib import Path

from surgical_ml.errors import InputError
from surgical_ml.validation.items import ITEMS, Items

REVIEWED = "reviewed.json"


def suspect_links(items: Items, folder: Path = ITEMS) -> list[str]:
    """Each link that was never reviewed, or of which an end has changed since; in words.

    Raises:
        InputError: the file of reviewed links is none.
    """
    path = folder / REVIEWED
    try:
        reviewed = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        known = {str(link): [str(digest) for digest in digests] for link, digests in reviewed.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(path, "links with the digests of both ends", str(error)) from error
    found = []
    present = {f"{left} {right}": (left, right) for left, right in items.links()}
    for link, ends in present.items():
        if link not in known:
            found.append(f"{link}: never reviewed")
            continue
        found += [
            f"{link}: {end} changed since it was reviewed"
            for end, digest in zip(ends, known[link], strict=True)
            if items.digest_of(end) != digest
        ]
    return found + [f"{link}: reviewed, and no longer there" for link in known if link not in present]


def accept_links(items: Items, folder: Path = ITEMS) -> None:
    """Write down that every link was looked at as its ends are now; whole or not at all."""
    reviewed = {
        f"{left} {right}": [items.digest_of(left), items.digest_of(right)] for left, right in sorted(items.links())
    }
    aside = folder / f"{REVIEWED}.partial"
    aside.write_text(json.dumps(reviewed, indent=0) + "\n", "utf-8")
    aside.replace(folder / REVIEWED)
