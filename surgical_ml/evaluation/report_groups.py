"""Which advisories a case report lists: those that say the same together, the most urgent first."""

from collections.abc import Sequence
from dataclasses import dataclass

from surgical_ml.evaluation.case_story import URGENCY, CaseStory, Episode
from surgical_ml.guidance import Kind

MOST_GROUPS, MOST_ALIKE = 40, 20
"""How many different advisories are listed, the most urgent ones, and how many of those that say the same."""


@dataclass(frozen=True, slots=True)
class Group:
    """Advisories that say the same for the same reason: those that are listed, by number, and how many are not."""

    listed: dict[int, Episode]
    more: int
    last: Episode


def groups(story: CaseStory, kind: Kind) -> tuple[list[Group], int]:
    """What is listed of one kind, and how many advisories are not; numbers follow the order of announcement."""
    alike: dict[object, list[Episode]] = {}
    for one in story.episodes:
        if one.told.kind is kind:
            said = (one.told.code, one.told.subject, one.told.reason, one.priority, *one.sentences, *one.degraded)
            alike.setdefault(said, []).append(one)
    urgent = sorted(alike.values(), key=lambda group: URGENCY.index(group[0].priority))[:MOST_GROUPS]
    urgent.sort(key=lambda group: group[0].told.announced_ns)
    listed = sorted((one for group in urgent for one in group[:MOST_ALIKE]), key=lambda one: one.told.announced_ns)
    numbers = {id(one): number for number, one in enumerate(listed, 1)}
    groups = [
        Group({numbers[id(one)]: one for one in group[:MOST_ALIKE]}, len(group[MOST_ALIKE:]), group[-1])
        for group in urgent
    ]
    return groups, sum(map(len, alike.values())) - sum(map(len, urgent))


def numbered(groups: Sequence[Group]) -> list[tuple[int, Episode]]:
    """Every listed advisory with its number, in order."""
    return sorted(((k, one) for group in groups for k, one in group.listed.items()), key=lambda pair: pair[0])
