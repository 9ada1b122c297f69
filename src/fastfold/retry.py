"""Back-off with full jitter: how long to wait before the next try, and when to stop trying.

The wait before try n is drawn evenly from 0 to ``min(cap, base * 2**n)``.  Drawing from the whole
span spreads writers that met once; a fixed wait would let them meet again.
"""

from __future__ import annotations

import random as _random
import time
from collections.abc import Callable
from dataclasses import dataclass

from fastfold.errors import ConfigError

__all__ = ["Backoff", "BackoffPolicy"]

_MOST_DOUBLINGS = 63


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """The span of the waits.

    Attributes
    ----------
    base_s : float
        Longest wait before the second try, seconds.
    cap_s : float
        Longest wait before any try, seconds.
    """

    base_s: float
    cap_s: float

    def __post_init__(self) -> None:
        if not 0 < self.base_s <= self.cap_s:
            raise ConfigError(f"back-off: base {self.base_s} s must be above 0 and at most the cap, {self.cap_s} s")

    def delay_s(self, failures: int, random: Callable[[], float]) -> float:
        """Seconds to wait after the given number of failures in a row, counted from 1."""
        doublings = min(failures - 1, _MOST_DOUBLINGS)
        return random() * min(self.cap_s, self.base_s * (1 << doublings))


class Backoff:
    """The waits of one piece of work, up to its deadline.

    Parameters
    ----------
    policy : BackoffPolicy
    deadline : float
        When to give up, on `clock`.
    random : callable
        Number from 0 to 1, 1 excluded.
    clock, sleep : callable
        Seconds.

    Examples
    --------
    ::

        backoff = Backoff(policy, deadline)
        while True:
            try:
                return fetch()
            except Unavailable:
                if not backoff.wait():
                    raise
    """

    def __init__(
        self,
        policy: BackoffPolicy,
        deadline: float,
        *,
        random: Callable[[], float] = _random.random,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.failures = 0
        self._policy = policy
        self._deadline = deadline
        self._random = random
        self._clock = clock
        self._sleep = sleep

    def wait(self) -> bool:
        """Wait before the next try; ``False`` at once when the deadline would pass meanwhile."""
        self.failures += 1
        delay_s = self._policy.delay_s(self.failures, self._random)
        if self._clock() + delay_s >= self._deadline:
            return False
        self._sleep(delay_s)
        return True

    def reset(self) -> None:
        """Begin again with short waits, after a success."""
        self.failures = 0
