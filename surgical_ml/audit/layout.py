"""Where everything of a log lies: the folder that is given away, and in it `private/`, which is not.

checkpoint                 the newest signed tree head, a note
checkpoints/<size>.note    every signed tree head, as it was published
witnessed/<size>.note      the same with the cosignatures of witnesses
tsr/<size>.tsr             RFC 3161 token over `checkpoints/<size>.note`
tile/<level>/<n>[.p/<w>]   hashes of the tree; tile/entries/<n>[.p/<w>]: the entries
keys/<id>.note             a certificate a key: see `trust`
blobs/<aa>/<sha256>.enc    what only the holder of a case's data key can read
private/wal/<n>.wal        the write-ahead log
"""

from pathlib import Path

CHECKPOINT = Path("checkpoint")
CHECKPOINTS = Path("checkpoints")
WITNESSED = Path("witnessed")
TOKENS = Path("tsr")
TILES = Path("tile")
KEYS = Path("keys")
BLOBS = Path("blobs")
PRIVATE = Path("private")


def note_name(size: int) -> str:
    """The file of a checkpoint, in `checkpoints/` and in `witnessed/`."""
    return f"{size}.note"
