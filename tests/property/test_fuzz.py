"""The decoder under damaged values, a bounded part of what `make fuzz` does."""

from __future__ import annotations

import os

import pytest

from fuzzing import Fuzzer

EXECUTIONS = 30_000


@pytest.mark.parametrize("turn", range(2))
def test_damaged_values_are_read_or_refused_by_name(turn: int) -> None:
    seed = turn if os.environ.get("CI") else int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    fuzzer = Fuzzer(seed)
    fuzzer.run(EXECUTIONS)
    assert sum(fuzzer.outcomes.values()) == EXECUTIONS
    # The inputs reach deep: most refusals there are, and some that are read.
    assert fuzzer.outcomes["read"] > EXECUTIONS // 100
    assert len(fuzzer.outcomes) > 15
