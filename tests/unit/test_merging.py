"""A merge takes what the one before it has left to work with, and nobody notices."""

from __future__ import annotations

import threading

import pytest

from fastfold import reference
from fastfold._core import Plan, encode, merge_group
from fastfold.errors import CorruptValue, IdentityClash
from fastfold.schema import load_definition
from fastfold.states import State, Text, TextSet
from fastfold.types import Limits

DEFINITION = load_definition("process")
SETS = [reducer for reducer in DEFINITION.reducers if reducer.op == "set"]


def a_plan() -> Plan:
    return Plan(None, DEFINITION, Limits())


def a_payload(process: str, members: int, word: str, last: int = 1) -> bytes:
    """A state with so many members in each set, as far as its limits go."""
    sets = {
        one.name: TextSet(
            False, tuple(Text(number, f"{word}{number:04}", False) for number in range(min(members, one.limit)))
        )
        for one in SETS
    }
    values = {"first": 1, "last": last, "counts": {"other": 1}} | (sets if members else {})
    return encode(a_plan(), State("", "host", process, values))


def slowly(a: bytes, b: bytes) -> bytes:
    """As `fastfold.reference` merges them."""
    merged = reference.merge_states(reference.decode(a, DEFINITION), reference.decode(b, DEFINITION), DEFINITION)
    return reference.encode(merged, DEFINITION)


SMALL, OTHER = a_payload("p", 1, "a"), a_payload("p", 2, "b", 7)
LARGE, LARGER = a_payload("p", 60, "large-" * 8), a_payload("p", 60, "larger-" * 8, 9)
MERGED = slowly(SMALL, OTHER)


@pytest.mark.parametrize("between", [b"", SMALL[:-1], OTHER[:-1], LARGE[:-3], b"\x80\x80\x00", a_payload("q", 3, "c")])
@pytest.mark.parametrize("first", [True, False])
def test_after_one_that_failed(between: bytes, first: bool) -> None:
    plan = a_plan()
    assert merge_group(plan, [SMALL], [OTHER]) == [MERGED]
    with pytest.raises((CorruptValue, IdentityClash)):
        merge_group(plan, [LARGE, between if first else LARGE], [LARGE, LARGE if first else between])
    assert merge_group(plan, [None, SMALL], [SMALL, OTHER]) == [SMALL, MERGED]


def test_after_one_of_much_more() -> None:
    plan = a_plan()
    large = slowly(LARGE, LARGER)
    count = 2000
    assert len(large) * count > 1 << 20, "more than is kept for the next"
    for _ in range(2):
        assert merge_group(plan, [LARGE] * count, [LARGER] * count) == [large] * count
        assert merge_group(plan, [SMALL], [OTHER]) == [MERGED]


def test_of_many_threads_with_one_plan() -> None:
    plan = a_plan()
    wrong: list[object] = []

    def merge(current: bytes, delta: bytes) -> None:
        wanted = [slowly(current, delta)] * 50
        for _ in range(40):
            merged = merge_group(plan, [current] * 50, [delta] * 50)
            if merged != wanted:
                wrong.append(merged)

    pairs = [(SMALL, OTHER), (LARGE, LARGER), (OTHER, LARGE), (LARGER, SMALL)]
    threads = [threading.Thread(target=merge, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
