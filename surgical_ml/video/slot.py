"""The one place between two threads where a picture may wait."""

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Slot(Generic[T]):
    """Holds one item; a newer one takes its place, and the loss is counted.

    A queue would let a slow reader fall behind and judge old pictures. What may not be lost is few and small: it waits in
    line and goes first. Any number of threads may put and take.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._line: deque[T] = deque()
        self._closed = False
        self._dropped = 0

    def put(self, item: T) -> None:
        """Leave `item` for the reader; what still lies there unread is dropped. Without effect once closed."""
        with self._changed:
            if self._closed:
                return
            if self._item is not None:
                self._dropped += 1
            self._item = item
            self._changed.notify()

    def interject(self, item: T) -> None:
        """Hand the reader `item` before what lies there, behind what was interjected earlier; without effect once closed."""
        with self._changed:
            if not self._closed:
                self._line.append(item)
                self._changed.notify()

    def take(self, timeout_s: float | None) -> T | None:
        """What was interjected, in order; then the newest item. Each once.

        Args:
            timeout_s: how long to wait for one, in seconds; None waits until there is one or the slot is closed.

        Returns:
            The item, or None when the time is over or the slot is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._line or self._item is not None or self._closed, timeout_s)
            if self._line:
                return self._line.popleft()
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """Release every waiting reader; what lies there is discarded, not counted. Closing twice is harmless."""
        with self._changed:
            self._closed = True
            self._item = None
            self._line.clear()
            self._changed.notify_all()

    @property
    def dropped(self) -> int:
        """How many items were replaced before anyone took them."""
        with self._changed:
            return self._dropped

    @property
    def closed(self) -> bool:
        """No item comes any more."""
        with self._changed:
            return self._closed
