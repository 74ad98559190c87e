"""What of a case's decisions may be shown, and as what."""

from collections import deque
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.audit import Ticket
from surgical_ml.ros.publication import DURABLE_WITHIN_NS, LATE, RECOVERED_NS, STALLED_NS, UNRECORDED, Publication
from surgical_ml.ros.running_case import Judged

MS = 1_000_000


class Case:
    """Stands in for a running case: decisions wait in it, and its frames' clock is at `now`."""

    def __init__(self):
        self.pending = deque()
        self.now = 0
        self.feed = SimpleNamespace(now_ns=lambda: self.now)

    def decide(self, decided_ns, stamp_ns=0, frame=True):
        ticket = Ticket(len(self.pending))
        decision = SimpleNamespace(ticket=ticket, stamp_ns=stamp_ns, seq=ticket.seq)
        self.pending.append(Judged(decision, object() if frame else None, {}, decided_ns, decided_ns))
        return ticket


def shown(publication, now_ns):
    return [(one.judged.decision.seq, one.withheld) for one in publication.take(now_ns)]


def test_nothing_is_shown_before_its_record_is_durable():
    case = Case()
    ticket = case.decide(0)
    publication = Publication(case, 120 * MS, 0)
    assert shown(publication, 1 * MS) == []
    ticket.settle()
    assert shown(publication, 2 * MS) == [(0, "")]
    assert shown(publication, 3 * MS) == []


def test_a_later_decision_waits_for_an_earlier_one():
    case = Case()
    first, second = case.decide(0), case.decide(1 * MS)
    publication = Publication(case, 120 * MS, 0)
    second.settle()
    assert shown(publication, 2 * MS) == []
    first.settle()
    assert shown(publication, 3 * MS) == [(0, ""), (1, "")]


def test_after_100_ms_without_a_durable_record_the_only_thing_shown_is_that_it_is_unrecorded():
    case = Case()
    case.decide(0)
    publication = Publication(case, 120 * MS, 0)
    assert shown(publication, DURABLE_WITHIN_NS - 1) == []
    assert shown(publication, DURABLE_WITHIN_NS) == [(0, UNRECORDED)]
    assert publication.newly_unrecorded.decision.seq == 0


def test_a_record_that_failed_is_told_once_and_at_once():
    case = Case()
    for ticket in (case.decide(0), case.decide(0)):
        ticket.settle("no space left on device")
    publication = Publication(case, 120 * MS, 0)
    assert shown(publication, 1) == [(0, UNRECORDED), (1, UNRECORDED)]
    assert publication.newly_unrecorded.decision.seq == 0
    case.decide(2).settle("no space left on device")
    publication.take(3)
    assert publication.newly_unrecorded is None
    assert publication.unrecorded_since_ns is not None
    case.decide(4).settle()
    assert shown(publication, 5) == [(0, UNRECORDED)]
    case.decide(5).settle()
    assert shown(publication, 3 + RECOVERED_NS) == [(0, "")]
    assert publication.unrecorded_since_ns is None


def test_a_result_that_is_too_old_is_withheld_as_late():
    case = Case()
    case.decide(0, stamp_ns=0).settle()
    case.decide(0, stamp_ns=50 * MS).settle()
    case.now = 121 * MS
    assert shown(Publication(case, 120 * MS, 0), 121 * MS) == [(0, LATE), (1, "")]


def test_what_answers_no_frame_is_never_late():
    case = Case()
    case.decide(0, frame=False).settle()
    case.now = 10_000 * MS
    assert shown(Publication(case, 120 * MS, 0), 10_000 * MS) == [(0, "")]


def test_silence_of_the_worker_is_noticed():
    case = Case()
    publication = Publication(case, 120 * MS, 0)
    assert not publication.stalled(STALLED_NS)
    assert publication.stalled(STALLED_NS + 1)
    case.decide(STALLED_NS + 2).settle()
    publication.take(STALLED_NS + 3)
    assert not publication.stalled(STALLED_NS + 4)


@given(st.lists(st.sampled_from(["durable", "failed", "never"]), max_size=30), st.integers(0, 400))
def test_every_decision_is_shown_exactly_once_and_in_order_whatever_becomes_of_its_record(fates, step_ms):
    case = Case()
    publication = Publication(case, 120 * MS, 0)
    for k, fate in enumerate(fates):
        ticket = case.decide(k * MS)
        ticket.seq = k
        case.pending[-1].decision.seq = k
        if fate != "never":
            ticket.settle("" if fate == "durable" else "broken")
    told = []
    now = 0
    while case.pending:
        now += (step_ms + 1) * MS
        told += [(one.judged.decision.seq, one.withheld) for one in publication.take(now)]
    assert [seq for seq, _ in told] == list(range(len(fates)))
    for seq, withheld in told:
        assert withheld == UNRECORDED or fates[seq] == "durable"
    if all(fate == "durable" for fate in fates):
        assert not [seq for seq, withheld in told if withheld == UNRECORDED]
