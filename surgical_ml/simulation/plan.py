"""The script of a synthetic operation: phases, tools, events, disturbances and injected deviations, before any pixel."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from surgical_ml.errors import InputError

PHASES = (
    "Preparation",
    "CalotTriangleDissection",
    "ClippingCutting",
    "GallbladderDissection",
    "GallbladderPackaging",
    "CleaningCoagulation",
    "GallbladderRetraction",
)
TOOLS = ("grasper", "bipolar", "hook", "scissors", "clipper", "irrigator", "specimen_bag")
STRUCTURES = ("liver", "gallbladder", "cystic_duct", "cystic_artery")
CLASSES = ("background", *TOOLS, *STRUCTURES)
QUALITIES = ("smoke", "blood", "blur", "dark", "overexposed")
DISTURBANCES = (*QUALITIES, "out_of_body")
RICH_DISTURBANCES = ("fog", "lens_dirt", "droplets", "motion_blur", "interlacing", "blocks", "white_balance")
"""What else may spoil a picture of the rich look."""

DEVIATIONS = ("tool-mismatch", "order")
LOOKS = ("plain", "rich")
SCENES = ("operation", "tissue", "texture", "images")
PROCEDURES = ("cholecystectomy",)

_SHARE = np.array([0.06, 0.30, 0.13, 0.25, 0.09, 0.11, 0.06])
"""Share of each phase in an operation: close to what is published for cholecystectomies, the shortest ones stretched."""

LONGEST_S = 86_400.0
"""A day: no operation is longer."""

_SIGMA = 0.25
"""Spread of the logarithm of a phase's duration."""

NEVER: dict[int, tuple[str, ...]] = {
    0: ("clipper", "scissors", "specimen_bag", "irrigator"),
    1: ("clipper", "specimen_bag"),
    2: ("irrigator", "specimen_bag"),
    3: ("clipper",),
    4: ("clipper", "scissors", "hook"),
    5: ("clipper", "scissors"),
    6: ("clipper", "scissors", "hook"),
}
"""Tools that have no business in a phase; what a tool-mismatch shows. Not the bag in the dissection of the gallbladder: where
it comes in, packaging begins, and nothing in the picture says that it does not."""

Split = Literal["train", "held-out"]
Look = Literal["plain", "rich"]
Scene = Literal["operation", "tissue", "texture", "images"]


@dataclass(frozen=True, slots=True)
class Segment:
    """One phase, from `start_s` to `end_s`."""

    phase: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One tool in the view, entering from the trocar of its slot (0 left, 1 right, 2 assistant)."""

    tool: str
    slot: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Injected:
    """A deviation put in on purpose. `onset_s` is when the first frame shows it."""

    kind: str
    subject: str
    onset_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Something that makes the picture worse, of `strength` in 0..1."""

    kind: str
    start_s: float
    end_s: float
    strength: float


@dataclass(frozen=True, slots=True)
class CasePlan:
    """Everything that a renderer or a label-only study needs to know of a case.

    Attributes:
        seed: names the case; the same seed and arguments give the same plan, whatever the machine.
        procedure: kind of operation.
        split: which family of textures, shapes and lights it is drawn with.
        segments: phases in order, without gaps.
        tools: sorted by start.
        deviations, disturbances: sorted by onset.
        clipped_s, cut_s: when the duct is clipped and cut; infinite where it never is.
        duration_s: of the whole case.
        look: `plain`, which the shipped networks were trained on, or `rich`: randomised heavily, for transfer.
        scene: what lies behind the instruments: the `operation` with its structures, or, in the rich look only, `tissue`
            of no named organ, `texture` that is no tissue, or a user's `images`.
    """

    seed: int
    procedure: str
    split: Split
    segments: tuple[Segment, ...]
    tools: tuple[ToolUse, ...]
    deviations: tuple[Injected, ...]
    disturbances: tuple[Disturbance, ...]
    clipped_s: float
    cut_s: float
    duration_s: float = field(default=0.0)
    look: Look = "plain"
    scene: Scene = "operation"

    def segment_at(self, t_s: float) -> Segment:
        """The phase at a time; the first or last one outside the case."""
        for segment in self.segments:
            if t_s < segment.end_s:
                return segment
        return self.segments[-1]

    def tools_at(self, t_s: float) -> tuple[ToolUse, ...]:
        """The tools in view at a time."""
        return tuple(use for use in self.tools if use.start_s <= t_s < use.end_s)

    def strength(self, kind: str, t_s: float) -> float:
        """How strong a disturbance is at a time, fading in and out within half a second; 0 while there is none."""
        strongest = 0.0
        for one in self.disturbances:
            if one.kind == kind and one.start_s <= t_s < one.end_s:
                edge = min(t_s - one.start_s, one.end_s - t_s) / 0.5
                strongest = max(strongest, one.strength * min(1.0, edge))
        return strongest

    def phase_progress(self, phase: int, t_s: float) -> float:
        """How much of all the time that the case spends in a phase has passed, 0..1; 0 for a phase that never comes."""
        spans = [(s.start_s, s.end_s) for s in self.segments if s.phase == phase]
        total = sum(end - start for start, end in spans)
        done = sum(min(max(t_s - start, 0.0), end - start) for start, end in spans)
        return done / total if total else 0.0


def plan_case(
    seed: int,
    *,
    procedure: str = "cholecystectomy",
    duration_s: float = 300.0,
    deviation: str = "none",
    disturbances: tuple[str, ...] = (),
    split: Split = "train",
    shortest_phase_s: float = 6.0,
    look: Look = "plain",
    scene: Scene = "operation",
) -> CasePlan:
    """Write the script of one case.

    Args:
        seed: names the case.
        procedure: one of `PROCEDURES`.
        duration_s: expected length; the real one varies with the phases.
        deviation: `none`, one of `DEVIATIONS`, or `random`: one case in four has none.
        disturbances: which kinds of `DISTURBANCES` may come up; each does with probability 0.6, once or twice.
        split: which family of appearances.
        shortest_phase_s: no phase is shorter.
        look, scene: as in `CasePlan`; they change pixels only. The rich look has `RICH_DISTURBANCES` as well.

    Raises:
        InputError: a name is unknown (the message lists those there are), or a number is out of its range.
    """
    if seed < 0:
        raise InputError("seed", "a whole number from 0", str(seed))
    if not 0 < duration_s <= LONGEST_S:
        raise InputError("duration", f"seconds in (0, {LONGEST_S:g}]", str(duration_s))
    if procedure not in PROCEDURES:
        raise InputError("procedure", f"one of {list(PROCEDURES)}", procedure)
    if deviation not in ("none", "random", *DEVIATIONS):
        raise InputError("deviation", f"none, random, or one of {list(DEVIATIONS)}", deviation)
    if look not in LOOKS:
        raise InputError("look", f"one of {list(LOOKS)}", look)
    scenes = SCENES if look == "rich" else SCENES[:1]
    if scene not in scenes:
        raise InputError("scene", f"one of {list(scenes)} in the {look} look", scene)
    known = (*DISTURBANCES, *RICH_DISTURBANCES) if look == "rich" else DISTURBANCES
    unknown = sorted(set(disturbances) - set(known))
    if unknown:
        raise InputError("disturbance", f"one of {list(known)}", ", ".join(unknown))
    rng = np.random.default_rng([seed, 1])
    kind = deviation
    if deviation == "random":
        kind = str(rng.choice(["none", "tool-mismatch", "tool-mismatch", "order"]))
    order = [0, 1, 2, 3, 4, 5, 6] if rng.random() < 0.7 else [0, 1, 2, 3, 5, 4, 6]
    if kind == "order":
        # Dissection without clipping shows at its very beginning. No other phase is skipped: nobody can pack or clean up
        # what is still attached, and a clip of it would show a bag held to an untouched gallbladder.
        order.remove(2)
    lengths = _SHARE * duration_s * np.exp(rng.normal(0.0, _SIGMA, len(PHASES)))
    lengths = np.maximum(lengths, shortest_phase_s)
    segments: list[Segment] = []
    t = 0.0
    for phase in order:
        segments.append(Segment(phase, t, t + float(lengths[phase])))
        t += float(lengths[phase])
    tools = [use for segment in segments for use in phase_tools(segment, rng)]
    injected: list[Injected] = []
    if kind == "order":
        first = next(s for k, s in enumerate(segments) if k and s.phase not in _ordinary_next(segments[k - 1].phase))
        injected.append(Injected("order", PHASES[first.phase], first.start_s, first.end_s))
    if kind == "tool-mismatch":
        tools, one = _mismatch(segments, tools, rng)
        injected.append(one)
    clip = [use for use in tools if use.tool == "clipper" and _phase_of(segments, use.start_s) == 2]
    cut = [use for use in tools if use.tool == "scissors" and _phase_of(segments, use.start_s) == 2]
    return CasePlan(
        seed=seed,
        procedure=procedure,
        split=split,
        segments=tuple(segments),
        tools=tuple(sorted(tools, key=lambda use: (use.start_s, use.slot, use.tool))),
        deviations=tuple(injected),
        disturbances=_disturbances(disturbances, t, rng),
        clipped_s=clip[0].start_s + 0.5 * (clip[0].end_s - clip[0].start_s) if clip else float("inf"),
        cut_s=cut[0].start_s + 0.6 * (cut[0].end_s - cut[0].start_s) if cut else float("inf"),
        duration_s=t,
        look=look,
        scene=scene,
    )


def shuffle_tools(plan: CasePlan, seed: int) -> CasePlan:
    """The same case with a random tool in every hand: training on some of these keeps tool and anatomy apart."""
    rng = np.random.default_rng([seed, 8])
    tools = tuple(replace(use, tool=str(rng.choice(TOOLS))) for use in plan.tools)
    return replace(plan, tools=tools)


def _ordinary_next(phase: int) -> tuple[int, ...]:
    return {0: (1,), 1: (2,), 2: (3,), 3: (4, 5), 4: (5, 6), 5: (4, 6), 6: (5,)}[phase]


def _phase_of(segments: list[Segment], t_s: float) -> int:
    return next((s.phase for s in segments if t_s < s.end_s), segments[-1].phase)


def phase_tools(segment: Segment, rng: np.random.Generator) -> list[ToolUse]:
    """The usual tools of a phase, with the short gaps that exchanging them leaves."""
    start, end = segment.start_s, segment.end_s
    length = end - start

    def span(tool: str, slot: int, begin: float, finish: float) -> ToolUse:
        gap = min(1.2, 0.1 * (finish - begin))
        return ToolUse(tool, slot, begin + gap * float(rng.random()), finish - gap * float(rng.random()))

    left = [span("grasper", 0, start, end)] if rng.random() < 0.9 else []
    match segment.phase:
        case 0:
            right = [span("grasper", 1, start + 0.3 * length, end)] if rng.random() < 0.6 or not left else []
        case 1:
            right = _mostly(segment, "hook", "bipolar", rng, span)
        case 2:
            middle = start + length * float(rng.uniform(0.5, 0.62))
            right = [span("clipper", 1, start, middle), span("scissors", 1, middle, end)]
        case 3:
            right = _mostly(segment, "hook", "bipolar", rng, span)
        case 5:
            middle = start + length * float(rng.uniform(0.55, 0.75))
            right = [span("irrigator", 1, start, middle), span("bipolar", 1, middle, end)]
            if rng.random() < 0.3:
                right = [span("irrigator", 1, start, end)]
        case _:
            right = [span("specimen_bag", 1, start, end)]
    return left + right


def _mostly(segment: Segment, usual: str, other: str, rng: np.random.Generator, span) -> list[ToolUse]:  # type: ignore[no-untyped-def]
    start, end = segment.start_s, segment.end_s
    if end - start < 20 or rng.random() < 0.4:
        return [span(usual, 1, start, end)]
    at = start + (end - start) * float(rng.uniform(0.35, 0.65))
    length = float(rng.uniform(4.0, 7.0))
    return [span(usual, 1, start, at), span(other, 1, at, at + length), span(usual, 1, at + length, end)]


def _mismatch(
    segments: list[Segment], tools: list[ToolUse], rng: np.random.Generator
) -> tuple[list[ToolUse], Injected]:
    """Put a tool that has no business there into the middle of a phase, in the place of the right hand's."""
    long_enough = [segment for segment in segments[:-1] if segment.end_s - segment.start_s >= 9.0]
    segment = long_enough[int(rng.integers(len(long_enough)))] if long_enough else segments[1]
    tool = str(rng.choice(NEVER[segment.phase]))
    length = min(10.0, max(6.0, 0.4 * (segment.end_s - segment.start_s)))
    onset = segment.start_s + 0.55 * (segment.end_s - segment.start_s - length) + 1.0
    end = min(onset + length, segment.end_s - 0.5)
    kept: list[ToolUse] = []
    for use in tools:
        if use.slot != 1 or use.end_s <= onset or use.start_s >= end:
            kept.append(use)
            continue
        if use.start_s < onset - 1.0:
            kept.append(ToolUse(use.tool, use.slot, use.start_s, onset - 0.4))
        if use.end_s > end + 1.0:
            kept.append(ToolUse(use.tool, use.slot, end + 0.4, use.end_s))
    kept.append(ToolUse(tool, 1, onset, end))
    return kept, Injected("tool-mismatch", tool, onset, end)


def _disturbances(kinds: tuple[str, ...], duration_s: float, rng: np.random.Generator) -> tuple[Disturbance, ...]:
    found: list[Disturbance] = []
    for kind in kinds:
        for _ in range(2):
            if rng.random() < 0.6:
                length = float(rng.uniform(2.0, max(3.0, 0.04 * duration_s)))
                start = float(rng.uniform(2.0, max(2.1, duration_s - length - 2.0)))
                found.append(Disturbance(kind, start, start + length, float(rng.uniform(0.5, 1.0))))
    return tuple(sorted(found, key=lambda one: (one.start_s, one.kind)))
