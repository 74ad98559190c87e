"""The few frames that tell a case: where a phase begins, an advisory appears, or the module falls silent."""

from pathlib import Path
from typing import Any

import cv2

from surgical_ml.decision import Decision
from surgical_ml.guidance import Presence
from surgical_ml.video import Image

MOST = 24
WIDTH_PX = 640
FOLDER = "keyframes"


class Keyframes:
    """Chooses and keeps annotated frames of one case, at most 24: the first of each kind of thing that happens."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told: set[str] = set()
        self._kept: list[dict[str, Any]] = []

    def wants(self, decision: Decision) -> bool:
        """Whether this decision is the first to show something."""
        return len(self._kept) < MOST and bool(self._news(decision))

    def add(self, decision: Decision, drawn: Image) -> None:
        """Keep a frame that is wanted, with a caption that says why."""
        news = self._news(decision)
        self._told.update(news)
        (self._folder / FOLDER).mkdir(exist_ok=True)
        path = self._folder / FOLDER / f"{decision.index:06d}.jpg"
        height = round(drawn.shape[0] * WIDTH_PX / drawn.shape[1])
        small = cv2.resize(drawn, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
        _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
        path.write_bytes(data.tobytes())
        caption = "; ".join(news)
        self._kept.append({"index": decision.index, "file": f"{FOLDER}/{path.name}", "caption": caption})

    def listing(self) -> list[dict[str, Any]]:
        """The kept frames, in order: index, file, caption."""
        return self._kept

    def _news(self, decision: Decision) -> list[str]:
        told: list[str] = []
        if decision.withheld:
            told.append(f"withheld: {decision.withheld}")
        elif decision.phase is not None and decision.phase.committed is not None:
            told.append(f"phase {decision.phase.committed}")
        told += [advisory.text for advisory in decision.advisories if advisory.presence is Presence.ON]
        return [thing for thing in told if thing not in self._told]
