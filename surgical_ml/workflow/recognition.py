"""Which tools are in view, and how well each of them is recognised."""

from surgical_ml.perception import Observation

SURE_PPM, DOUBTFUL_PPM = 880_000, 800_000
"""Mean probability over its pixels from which an instrument counts as seen, and up to which it does not count; between the
two it counts in proportion. They belong to the shipped model: a tool that is in view has a median of 0.85 (irrigator) to 0.97,
graspers apart, and an irrigator that is a grasper has 0.75. Chosen on clean cases (seeds 31-40, of which two still name a tool
that is not there) and clips of the demo's kind (930-939, of which nine have just that named which was put in). The presence
head is not asked: it has learnt which tools go with which anatomy, and a tool mismatch is just what it has not learnt."""


def recognition(seen: Observation) -> dict[str, int]:
    """How well each type in view is recognised, ppm: the score of its largest piece, times that piece's share of its area.

    What is seen as three pieces of one tool between pieces of others is mostly none of them.
    """
    largest: dict[str, tuple[int, int]] = {}
    area: dict[str, int] = {}
    for thing in seen.instruments:
        area[thing.type] = area.get(thing.type, 0) + thing.area_px
        largest[thing.type] = max(largest.get(thing.type, (0, 0)), (thing.area_px, thing.score_ppm))
    return {kind: score * own // area[kind] for kind, (own, score) in largest.items() if area[kind]}
