"""How old the oldest message is that waits to be worked on, as one worker can know it.

SQS tells the age of the oldest message to CloudWatch only, minutes late.  A worker sees how long ago each message that
it receives was sent: however often it was handed back since, the time of its sending stays.  What is shown::

    the greatest age at its receive of the messages of the last `WINDOW_S`, and on top of it the time since the last
    receive, while there is none: whoever does not ask cannot know that the queue is empty

A receive that brings nothing shows that nothing waits.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

__all__ = ["OldestWaiting"]

WINDOW_S = 60.0

_MS_PER_SECOND = 1000


class OldestWaiting:
    """Takes note of what is received; threads may share it.

    Parameters
    ----------
    now : callable
        Seconds since 1970.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._ages: deque[tuple[float, float]] = deque()
        self._asked = 0.0

    def received(self, sent_ms: Sequence[int]) -> None:
        """Take note of when the messages of one receive were sent, milliseconds since 1970; 0 where that is unknown."""
        now = self._now()
        ages = [now - sent / _MS_PER_SECOND for sent in sent_ms if sent]
        with self._lock:
            self._asked = now
            if not sent_ms:
                self._ages.clear()
            elif ages:
                self._ages.append((now, max(0.0, *ages)))
            while self._ages and self._ages[0][0] < now - WINDOW_S:
                self._ages.popleft()

    def seconds(self) -> float:
        """The age; 0 if nothing is known to wait."""
        with self._lock:
            if not self._ages:
                return 0.0
            return max(age for _, age in self._ages) + max(0.0, self._now() - self._asked)
