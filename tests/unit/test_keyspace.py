"""Patterns, pace, and answers that only a script can bring about."""

from __future__ import annotations

import fnmatch
import re

import pytest

from fastfold.keyspace import SCAN_COUNT, Pace, state_pattern
from fastfold.store import host_key, process_key


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


@pytest.mark.parametrize("keys_per_s", [3.0, 40.0, 5000.0])
def test_a_pace_is_kept(keys_per_s: float) -> None:
    clock = Clock()
    pace = Pace(keys_per_s, lambda: clock.now, clock.sleep)
    done = 0
    while done < 1000:
        done += pace.step
        pace.spend(pace.step)
        clock.now += 0.0001
    assert (clock.now - 100) == pytest.approx(done / keys_per_s, rel=0.5 if keys_per_s > 1000 else 0.02)
    assert (clock.now - 100) >= done / keys_per_s * 0.999
    assert pace.step <= max(1, keys_per_s / 4)


def test_without_a_pace_nothing_is_waited_for() -> None:
    clock = Clock()
    pace = Pace(0.0, lambda: clock.now, clock.sleep)
    pace.spend(10**9)
    assert clock.now == 100
    assert pace.step == SCAN_COUNT


def test_a_pattern_finds_states_and_no_host_record() -> None:
    host = host_key("t", "h")
    for pattern in (state_pattern(b"ff:"), state_pattern(b"ff:", host)):
        assert fnmatch.fnmatchcase(process_key(host, "p").decode(), pattern.decode())
        assert not fnmatch.fnmatchcase(host.decode(), pattern.decode())
    assert not fnmatch.fnmatchcase(process_key(host_key("t", "i"), "p").decode(), state_pattern(b"ff:", host).decode())


def test_a_namespace_is_taken_as_it_is() -> None:
    assert state_pattern(rb"a*[b]?\ ").startswith(rb"a\*\[b\]\?\\ {")
    assert re.fullmatch(rb"x\{\?{11}\}\?{11}", state_pattern(b"x"))
