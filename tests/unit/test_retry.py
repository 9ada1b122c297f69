"""Back-off with full jitter."""

from __future__ import annotations

import pytest

from fastfold.errors import ConfigError
from fastfold.retry import Backoff, BackoffPolicy


def almost_one() -> float:
    return 1.0


def test_the_span_doubles_up_to_the_cap() -> None:
    policy = BackoffPolicy(0.1, 1.0)
    assert [policy.delay_s(failures, almost_one) for failures in range(1, 7)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_the_wait_is_drawn_from_the_whole_span() -> None:
    policy = BackoffPolicy(0.1, 1.0)
    assert policy.delay_s(3, lambda: 0.0) == 0.0
    assert policy.delay_s(3, lambda: 0.5) == 0.2


def test_any_number_of_failures_has_a_wait() -> None:
    assert BackoffPolicy(0.1, 7.0).delay_s(100_000, almost_one) == 7.0


@pytest.mark.parametrize(("base_s", "cap_s"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0)])
def test_a_policy_without_sense_is_refused(base_s: float, cap_s: float) -> None:
    with pytest.raises(ConfigError, match="back-off"):
        BackoffPolicy(base_s, cap_s)


class Time:
    """A clock that only sleep moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_waits_until_the_next_would_pass_the_deadline() -> None:
    time = Time()
    backoff = Backoff(BackoffPolicy(1.0, 8.0), 110.0, random=almost_one, clock=time, sleep=time.sleep)
    assert [backoff.wait() for _ in range(4)] == [True, True, True, False]
    assert time.slept == [1.0, 2.0, 4.0]
    assert backoff.failures == 4


def test_waits_are_short_again_after_a_success() -> None:
    time = Time()
    backoff = Backoff(BackoffPolicy(1.0, 8.0), 1000.0, random=almost_one, clock=time, sleep=time.sleep)
    assert backoff.wait()
    assert backoff.wait()
    backoff.reset()
    assert backoff.wait()
    assert time.slept == [1.0, 2.0, 1.0]
