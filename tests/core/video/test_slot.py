"""The size-one slot between two threads."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.video import Slot


def test_what_is_put_is_taken_once():
    slot = Slot[str]()
    slot.put("a")
    assert slot.take(0) == "a"
    assert slot.take(0) is None
    assert slot.dropped == 0


def test_a_newer_item_replaces_an_older_one_and_the_loss_is_counted():
    slot = Slot[int]()
    for number in range(5):
        slot.put(number)
    assert slot.take(0) == 4
    assert slot.dropped == 4


def test_take_gives_none_when_the_time_is_over():
    assert Slot[int]().take(0.001) is None


def test_a_waiting_reader_gets_what_is_put_later():
    slot = Slot[int]()
    taken = []
    reader = threading.Thread(target=lambda: taken.append(slot.take(None)))
    reader.start()
    slot.put(7)
    reader.join(20)
    assert taken == [7]


def test_closing_releases_a_waiting_reader_and_refuses_what_comes_later():
    slot = Slot[int]()
    taken = []
    reader = threading.Thread(target=lambda: taken.append(slot.take(None)))
    reader.start()
    slot.close()
    slot.close()
    reader.join(20)
    slot.put(1)
    assert taken == [None]
    assert slot.closed
    assert slot.take(0) is None
    assert slot.dropped == 0


def test_an_item_that_is_falsy_is_an_item():
    slot = Slot[int]()
    slot.put(0)
    assert slot.take(0) == 0


@given(st.lists(st.booleans(), max_size=60))
def test_every_item_is_taken_once_or_counted_as_dropped_and_order_holds(puts):
    slot = Slot[int]()
    taken = []
    number = 0
    for put in puts:
        if put:
            number += 1
            slot.put(number)
        else:
            item = slot.take(0)
            if item is not None:
                taken.append(item)
    left = slot.take(0)
    taken += [] if left is None else [left]
    assert len(taken) + slot.dropped == number
    assert taken == sorted(set(taken))


def test_many_writers_and_one_reader_lose_nothing_uncounted():
    slot = Slot[int]()
    each, writers = 2000, 4
    taken = 0
    threads = [threading.Thread(target=lambda: [slot.put(n) for n in range(each)]) for _ in range(writers)]
    for thread in threads:
        thread.start()
    while taken + slot.dropped < each * writers:
        taken += slot.take(0.01) is not None
    for thread in threads:
        thread.join(20)
    assert slot.take(0) is None
    assert taken + slot.dropped == each * writers


def test_what_is_interjected_goes_first_in_its_own_order_and_is_never_replaced():
    slot = Slot[str]()
    slot.put("picture")
    slot.interject("start")
    slot.interject("acknowledge")
    slot.put("newer picture")
    assert [slot.take(0) for _ in range(4)] == ["start", "acknowledge", "newer picture", None]
    assert slot.dropped == 1


def test_a_closed_slot_takes_no_interjection():
    slot = Slot[str]()
    slot.interject("lost with the slot")
    slot.close()
    slot.interject("too late")
    assert slot.take(0) is None
