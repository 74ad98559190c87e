"""Small case folders, written as `replay` writes them, and a reader of the pages that are made from them."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser

FPS = 10
PHASES = ("Preparation", "CalotTriangleDissection", "ClippingCutting")
TOOLS = ("grasper", "hook", "specimen_bag")
JPEG = b"\xff\xd8\xff\xd9"

REASON = {
    "rule": "p/Preparation/tools",
    "expected": ["grasper"],
    "observed": ["hook"],
    "evidence_frames": [11, 13],
    "certainty": "medium",
    "degraded_inputs": [],
    "clears": "hook out of view",
}


def ns(seconds):
    return round(seconds * 1e9)


def advisory(presence="on", *, onset=1.0, announced=2.0, reason=None, **changes):
    """A departure from the protocol, as a line of `decisions.jsonl` tells it."""
    return {
        "code": "tool-mismatch",
        "subject": "hook",
        "kind": "procedural",
        "priority": "medium",
        "presence": presence,
        "onset_ns": ns(onset),
        "announced_ns": ns(announced),
        "text": "Unexpected instrument: hook during Preparation",
        "reason": REASON | (reason or {}),
    } | changes


def silence(why, presence="on", *, onset):
    """The advisory that goes with a withheld stretch."""
    return advisory(
        presence,
        onset=onset,
        announced=onset,
        code="assistance-withheld",
        subject=why,
        kind="technical",
        priority="low",
        text=f"Assistance withheld: {why}",
        reason={"rule": f"gate/{why}", "expected": ["judged video"], "observed": [why], "evidence_frames": []},
    )


def decision(
    index,
    *,
    at=None,
    event="frame",
    withheld="",
    degraded=(),
    phase="Preparation",
    candidate=None,
    tools=(),
    advisories=(),
):
    """A line of `decisions.jsonl`; its time in seconds is `at`, or follows from the index."""
    validity = "WITHHELD" if withheld else "DEGRADED" if degraded else "OK"
    return {
        "schema": 1,
        "seq": index,
        "event": event,
        "index": index if event == "frame" else None,
        "stamp_ns": ns(index / FPS if at is None else at),
        "input_sha256": "",
        "state": "WITHHELD" if withheld else "ACTIVE",
        "validity": validity,
        "withheld": withheld,
        "degraded": list(degraded),
        "phase": None if withheld else {"committed": phase, "candidate": candidate, "scores": [10**6, 0, 0]},
        "instruments": [] if withheld else [{"track": 1, "type": tool} for tool in tools],
        "guidance": None,
        "advisories": list(advisories),
    }


def write_case(folder, decisions, *, timings=({"record": 100, "total": 900},), keyframes=(), **changes):
    """A case folder; `changes` are keys of the summary, `keyframes` pairs of an index and a caption."""
    folder.mkdir()
    frames = 0
    with (folder / "decisions.jsonl").open("w") as file:
        for line in decisions:
            file.write(line if isinstance(line, str) else json.dumps(line) + "\n")
            frames += isinstance(line, str) or line["event"] == "frame"
    with (folder / "timings.jsonl").open("w") as file:
        for index, stages in enumerate(timings):
            file.write(json.dumps({"index": index, "stages_us": stages}) + "\n")
    (folder / "keyframes").mkdir()
    for index, _ in keyframes:
        (folder / "keyframes" / f"{index:06d}.jpg").write_bytes(JPEG)
    summary = {
        "schema": 1,
        "video": "case.mp4",
        "frames": frames,
        "every": 1,
        "fps": float(FPS),
        "seconds": 1.0,
        "frames_per_s": 30.5,
        "software": {"name": "surgical_ml", "version": "0.1.0"},
        "engine": "onnxruntime",
        "model": {"name": "cholecystectomy", "version": "1", "sha256": "aa" * 32},
        "config_sha256": "bb" * 32,
        "protocol": {"name": "cholecystectomy", "sha256": "cc" * 32},
        "phases": list(PHASES),
        "tools": list(TOOLS),
        "keyframes": [
            {"index": index, "file": f"keyframes/{index:06d}.jpg", "caption": caption} for index, caption in keyframes
        ],
        "audit": {"entries": frames + 3, "head": "dd" * 32, "ok": True},
    }
    (folder / "summary.json").write_text(json.dumps(summary | changes))
    return folder


VOID = {"meta", "br", "img", "link", "input", "hr"}


@dataclass
class Node:
    """An element of a page that was read back; `inside` holds nodes and text, in order."""

    name: str
    attributes: dict
    inside: list = field(default_factory=list)

    def all(self, name=None, **attributes):
        """Every element below with that name and these attributes (`class_` for `class`), in order."""
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        found = []
        for one in self.inside:
            if isinstance(one, Node):
                if name in (None, one.name) and wanted.items() <= one.attributes.items():
                    found.append(one)
                found += one.all(name, **attributes)
        return found

    @property
    def text(self):
        """Everything it says, with single spaces."""
        return " ".join("".join(self._pieces()).split())

    def _pieces(self):
        for one in self.inside:
            if isinstance(one, Node):
                if one.name != "style":
                    yield from one._pieces()
                    yield " "
            else:
                yield one

    def section(self, id_):
        """What stands between the heading of that id and the next heading of its kind."""
        after = Node("section", {})
        main = self.all("main")[0].inside
        start = next(k for k, one in enumerate(main) if isinstance(one, Node) and one.attributes.get("id") == id_)
        for one in main[start + 1 :]:
            if isinstance(one, Node) and one.name == "h2":
                break
            after.inside.append(one)
        return after

    def rows(self):
        """The cells of every row of its tables, as text."""
        return [[cell.text for cell in row.inside] for row in self.all("tr")]


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.root = Node("document", {})
        self.open = [self.root]

    def handle_starttag(self, name, attributes):
        node = Node(name, dict(attributes))
        assert len(node.attributes) == len(attributes), f"an attribute twice in {name}"
        self.open[-1].inside.append(node)
        if name not in VOID:
            self.open.append(node)

    def handle_endtag(self, name):
        assert self.open.pop().name == name, f"{name} closes what it did not open"

    def handle_data(self, data):
        self.open[-1].inside.append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")


def read_page(path):
    """A page as a tree; every element is closed by its own tag, in order."""
    text = path.read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>\n<html")
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == [reader.root], "elements are left open"
    return reader.root
