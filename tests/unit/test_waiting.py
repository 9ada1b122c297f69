"""The age of the oldest message that waits, as a worker can know it."""

from __future__ import annotations

from fastfold.waiting import WINDOW_S, OldestWaiting


class Clock:
    now_s = 1_764_000_000.0

    def __call__(self) -> float:
        return self.now_s


def ms_ago(clock: Clock, seconds: float) -> int:
    return int((clock.now_s - seconds) * 1000)


def test_the_oldest_of_the_last_minute_counts() -> None:
    clock = Clock()
    oldest = OldestWaiting(clock)
    assert oldest.seconds() == 0
    oldest.received([ms_ago(clock, 3), ms_ago(clock, 400), 0])
    assert oldest.seconds() == 400
    clock.now_s += WINDOW_S / 2
    oldest.received([ms_ago(clock, 10)])
    assert oldest.seconds() == 400
    clock.now_s += WINDOW_S / 2 + 1
    oldest.received([ms_ago(clock, 20)])
    assert oldest.seconds() == 20


def test_a_receive_that_brings_nothing_shows_that_nothing_waits() -> None:
    clock = Clock()
    oldest = OldestWaiting(clock)
    oldest.received([ms_ago(clock, 400)])
    oldest.received([])
    assert oldest.seconds() == 0


def test_who_does_not_ask_must_take_it_that_the_oldest_gets_older() -> None:
    clock = Clock()
    oldest = OldestWaiting(clock)
    oldest.received([ms_ago(clock, 100)])
    clock.now_s += 3600
    assert oldest.seconds() == 3700


def test_a_clock_that_is_behind_that_of_sqs_gives_no_age_below_zero() -> None:
    clock = Clock()
    oldest = OldestWaiting(clock)
    oldest.received([ms_ago(clock, -5)])
    assert oldest.seconds() == 0
    # A message of which SQS does not say when it was sent is no sign that nothing waits.
    oldest.received([ms_ago(clock, 50)])
    oldest.received([0])
    assert oldest.seconds() == 50
