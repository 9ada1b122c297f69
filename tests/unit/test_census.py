"""The arithmetic of the census: exact totals are exact, and margins hold what they promise."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from fastfold.census.costs import reducer_costs
from fastfold.census.totals import Census, Observation, age_of, mean_and_margin, spread
from fastfold.decoding import Decoder
from fastfold.schema import load_definition
from fastfold.states import State, Text, TextSet

DEFINITION = load_definition("process")


def seen(number: int, memory_bytes: int, tenant: str = "t") -> Observation:
    return Observation(memory_bytes, "state", b"%d" % number, tenant, f"h{number % 7}", str(number), "age", 1, 0)


def test_what_was_counted_is_exact() -> None:
    census = Census(top=3)
    for node in "ab":
        census.begin(node, None)
        for number in range(10):
            census.add(node, seen(number + 10 * (node == "b"), 100 + number, tenant=f"t{number % 2}"))
    census.add("a", Observation(50, "host record", b"{x}", "t0", "h0", age="age", version=1, dictionary=0))
    assert census.estimate("all", "") == (21, 0, 2 * 1045 + 50, 0)
    assert dict(census.groups("kind")) == {"state": (20, 0, 2090, 0), "host record": (1, 0, 50, 0)}
    assert [name for name, _ in census.groups("tenant")] == ["t0", "t1"]
    assert [one.memory_bytes for one in census.largest()] == [109, 109, 108]
    assert census.looked_at == 21


def test_a_key_met_twice_is_named_once() -> None:
    census = Census(top=3)
    census.begin("a", 5)
    for _ in range(4):
        census.add("a", seen(1, 100))
    assert [one.key for one in census.largest()] == [b"1"]


def test_a_margin_holds_the_truth_in_about_95_of_100_samples() -> None:
    dice = random.Random(5)
    populations = {
        node: [(seen(number, int(dice.lognormvariate(6, 1)), f"t{dice.randrange(4)}")) for number in range(size)]
        for node, size in (("a", 4000), ("b", 1000))
    }
    truth = sum(one.memory_bytes for keys in populations.values() for one in keys)
    of_t1 = sum(one.memory_bytes for keys in populations.values() for one in keys if one.tenant == "t1")
    held: Counter[str] = Counter()
    for _ in range(200):
        census = Census(top=1)
        for node, keys in populations.items():
            census.begin(node, len(keys))
            for _ in range(len(keys) // 10):
                census.add(node, dice.choice(keys))
        for dimension, group, wanted in (("all", "", truth), ("tenant", "t1", of_t1)):
            found = census.estimate(dimension, group)
            held[dimension] += abs(found.bytes - wanted) <= found.bytes_margin
    # Fixed seed; a margin that is off by a factor of two would hold 68 or 99.99 of 100.
    assert 180 <= held["all"] <= 198
    assert 180 <= held["tenant"] <= 198


@pytest.mark.parametrize(
    ("life_ms", "age"),
    [
        (86_400_000, "under 1 min"),
        (86_400_001, "under 1 min"),
        (86_400_000 - 60_000, "1 to 10 min"),
        (1000, "6 to 24 h"),
        (-1, "never expires"),
    ],
)
def test_age_is_what_is_missing_of_the_life(life_ms: int, age: str) -> None:
    assert age_of(life_ms, 86_400) == age


def test_quantiles() -> None:
    assert spread(Counter()) is None
    assert spread(Counter({7: 1})) == (7, 7, 7, 7, 7)
    assert spread(Counter(dict.fromkeys(range(1, 101), 1))) == (50.5, 50, 90, 99, 100)


def test_one_value_tells_no_margin() -> None:
    assert mean_and_margin([4.0], 1) == (4.0, float("inf"))
    assert mean_and_margin([3.0, 3.0], 2) == (3.0, 0.0)


def test_a_reducer_costs_what_the_value_is_shorter_without_it() -> None:
    decoder = Decoder(DEFINITION)
    dice = random.Random(3)
    members = tuple(Text(number, "".join(dice.choices("abcdefghijklmnop", k=40))) for number in range(64))
    big = State("", "h", "big", {"first": 0, "files": TextSet(True, members), "image": Text(0, "x.exe")})
    small = State("", "h", "small", {"first": 0, "image": Text(0, "x.exe")})
    costs = {cost.name: cost for cost in reducer_costs([big, small], decoder)}
    files = costs["files"]
    without = State("", "h", "big", {"first": 0, "image": Text(0, "x.exe")})
    assert files.bytes_per_state == (decoder.value_bytes(big) - decoder.value_bytes(without)) / 2
    assert (files.states, files.full, files.members, files.limit) == (1, 1, 64, 64)
    assert files.share > 0.9
    assert list(files.at_limit) == [32, 16, 8]
    assert 0 < files.at_limit[32] < files.at_limit[16] < files.at_limit[8] < files.bytes_per_state
    assert costs["domains"].states == 0
    assert costs["domains"].bytes_per_state == 0
