"""What a session hands to the record: what was at work, why an advisory came or went, and what cannot wait."""

import hashlib
from collections.abc import Mapping
from typing import Any

from scripted_case import ScriptedCase

from surgical_ml import record
from surgical_ml.audit import MemoryRecorder, Ticket, canonical
from surgical_ml.events import Action

SKIPPED = "GallbladderDissection"


class Watching(MemoryRecorder):
    """Remembers which entries were urgent."""

    def __init__(self) -> None:
        super().__init__()
        self.urgent: list[bool] = []

    def append(self, type: str, body: Mapping[str, Any], *, urgent: bool = False, **rest: Any) -> Ticket:
        self.urgent.append(urgent)
        return super().append(type, body, urgent=urgent, **rest)


def test_a_change_of_an_advisory_is_recorded_with_its_reason_and_its_hazard():
    case = ScriptedCase().start()
    case.show(10, phase=SKIPPED)
    told = [
        entry for entry in case.entries[1:] if ["order", SKIPPED] in [one[:2] for one in entry["body"]["transitions"]]
    ]
    assert all("HAZ-01" in entry["hazards"] for entry in told)
    reasons = [one for entry in told for one in entry["body"]["reasons"] if one[:2] == ["order", SKIPPED]]
    advisory = next(one for decision in case.decisions for one in decision.advisories if one.code == "order")
    assert reasons == [record.write_reason(advisory)]
    assert ["CalotTriangleDissection"] in reasons[0]


def test_every_entry_names_what_was_at_work_and_what_a_person_turns_is_urgent():
    recorder = Watching()
    case = ScriptedCase(recorder)
    for action in (Action.START, Action.PAUSE, Action.RESUME, Action.ACKNOWLEDGE, Action.END):
        case.act(action)
    assert recorder.urgent == [True, True, True, True, False, True]
    kept = ScriptedCase().start()
    assert len({entry["identity"] for entry in kept.entries}) == 1
    assert kept.entries[0]["identity"] == hashlib.sha256(canonical.encode(kept.session.identity())).hexdigest()
