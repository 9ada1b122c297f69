"""Stops a worker from receiving while a server that it needs is down.

A message that is received while nothing can be committed only loses time and one of its receives.
After a failure receiving pauses, longer after each further one; then one message is tried alone,
and its success opens the way again::

    closed --failure--> open --pause over--> trial --success--> closed
                         ^                     |
                         +------failure--------+
"""

from __future__ import annotations

import random as _random
import threading
import time
from collections.abc import Callable

from fastfold.retry import BackoffPolicy

__all__ = ["Breaker"]

POLICY = BackoffPolicy(base_s=2.0, cap_s=30.0)
"""Pauses of receiving."""


class Breaker:
    """Whether to receive, and how many; the threads of a worker share it.

    Parameters
    ----------
    policy : BackoffPolicy
    clock, random : callable
    """

    def __init__(
        self,
        policy: BackoffPolicy = POLICY,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()
        self._failures = 0
        self._until = 0.0

    @property
    def paused(self) -> bool:
        """Whether the last thing heard of the servers is a failure."""
        return self._failures > 0

    def pause_s(self) -> float:
        """Seconds to wait before the next receive; 0 for none."""
        with self._lock:
            return max(0.0, self._until - self._clock()) if self._failures else 0.0

    def failed(self) -> None:
        """Take note that a server did not serve."""
        with self._lock:
            now = self._clock()
            if self._failures and now < self._until:
                # Another thread met the same outage: one pause is enough.
                return
            self._failures += 1
            self._until = now + self._policy.delay_s(self._failures, self._random)

    def succeeded(self) -> None:
        """Take note that the servers serve."""
        with self._lock:
            self._failures = 0
