"""The core encodes, decodes and merges payloads as the reference does, and refuses the same ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastfold import reference
from fastfold._core import identity as core_identity
from fastfold._core import merge_group as core_merge_group
from fastfold.errors import CorruptValue, IdentityClash
from fastfold.reference.version2 import MARK_2
from fastfold.reference.version3 import MARK_3
from fastfold.schema import FoldDefinition
from fastfold.states import State, Text, TextSet, Value
from property.implementations import CORE, REFERENCE, VERSIONS, plan_of
from property.strategies import (
    DEFINITIONS,
    PROCESS,
    arbitrary_states,
    damaged,
    states,
)

# By name: a failing example then prints in a line.
DEFINED = pytest.mark.parametrize("fold", DEFINITIONS)


@DEFINED
@given(data=st.data())
def test_states_encode_decode_and_merge_the_same(fold: str, data: st.DataObject) -> None:
    definition = DEFINITIONS[fold]
    drawn = st.one_of(states(definition), arbitrary_states(definition))
    a, b = data.draw(drawn), data.draw(drawn)
    b = State(a.tenant, a.host, a.process, b.values)
    first, second, wanted = (data.draw(st.sampled_from(VERSIONS)) for _ in range(3))
    payload = REFERENCE.encode(a, definition, first)
    assert CORE.encode(a, definition, first) == payload
    assert CORE.decode(payload, definition) == a
    assert core_identity(payload) == (a.tenant, a.host, a.process)
    other = REFERENCE.encode(b, definition, second)
    merged = REFERENCE.merge(payload, other, definition)
    assert CORE.merge(payload, other, definition) == merged
    plan = plan_of(None, definition)
    # States and deltas of either version give states of the one that is asked for.
    alone = REFERENCE.encode(a, definition, wanted)
    merged = REFERENCE.encode(REFERENCE.decode(merged, definition), definition, wanted)
    found = core_merge_group(plan, [None, payload, other], [payload, other, payload], wanted)
    assert found == [alone, merged, merged]


@pytest.mark.parametrize("time_ns", [reference.TIME_MIN, reference.TIME_MAX])
def test_the_first_and_last_times_are_stored(time_ns: int) -> None:
    state = State("", "h", "p", {"first": time_ns, "last": time_ns, "counts": {"other": 1}})
    payload = REFERENCE.encode(state, PROCESS)
    assert CORE.encode(state, PROCESS) == payload
    assert CORE.decode(payload, PROCESS) == state


@DEFINED
@given(data=st.data())
def test_damaged_payloads_are_refused_the_same(fold: str, data: st.DataObject) -> None:
    definition = DEFINITIONS[fold]
    drawn = st.one_of(states(definition), arbitrary_states(definition))
    version = data.draw(st.sampled_from(VERSIONS))
    payload = data.draw(damaged(drawn.map(lambda state: REFERENCE.encode(state, definition, version))))
    refuse_or_read_the_same(payload, definition)


@given(payload=st.binary(max_size=40))
@example(b"")
def test_any_bytes_are_refused_the_same(payload: bytes) -> None:
    for definition in DEFINITIONS.values():
        for start in (b"", b"\0\1h\1p", MARK_2, MARK_2 + b"\3\0\0p\0\0h\0", MARK_3, MARK_3 + b"\5\0\0\0\0h\0\0p\0"):
            refuse_or_read_the_same(start + payload, definition)


@pytest.mark.parametrize(
    "body",
    [
        b"\x03\x02\x46\x04\0\x02a\x01\x02a",  # a member twice, at two times
        b"\x03\x02\x46\x04\0\x02b\0\x02a",
        b"\x03\x02\x46\x05\0\x02a\0\x02b",
        b"\x03\x02\x09\0\0\x12\0\x80\x00",
        b"\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x09\0\0",
        b"\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x09\0\0",
        b"\x00\xfd\xff\xff\xff\xff\xff\xff\xff\xff\x01\x09\0\0",
        b"\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x09\0\0",
    ],
)
def test_corners_of_payloads_are_refused_the_same(body: bytes) -> None:
    refuse_or_read_the_same(b"\0\1h\1p" + body, PROCESS)


@pytest.mark.parametrize(
    "body",
    [
        b"\x09\0\0\0\0",  # bytes after the end
        b"\x09\1\0\0",  # a number where a time belongs
        b"\x09\0\x09\0\0\0\0",  # a reducer twice
        b"\x12\0\x09\0\0\0\0",  # out of order
        b"\x18\0\0",  # no kind was counted
        b"\x18\1\0\0",  # a count out of range
        b"\x18\x80\x80\x80\1\0\1",  # a kind that is not there yet
        b"\x24\6\0a\0\0",  # a form that is not there yet
        b"\x24\0\0\0\0",  # an empty text
        b"\x24\2\0\0\xfc\xff\xff\xff\x3f\0\0",  # an id that ends too early
        b"\x24\2\0\0\xff\xff\xff\xff\xff\xff\0" + bytes(16),  # an id out of range
        b"\x24\2\0\0\0\0\0",
        b"\x46\x10\0a\0\0",
        b"\x46\x16\0a\0\0",  # a form that is not there yet, of a set
        b"\x46\0\0",  # an empty set
        b"\x46\x28\4\0a\0\0b\0\0\0",  # a bit for a member that is not there
        b"\x46\x28\0\0a\0\0b\0\0\0",  # no member is cut
        b"\x46\x20\0a\0\2b\0\0\0",  # more shared bytes than there are
        b"\x46\x20\0ab\0\0ac\0\0\0",  # fewer than there could be
        b"\x46\x20\0ab\0\2\0\0\0",  # a member twice
        b"\x46\x20\0b\0\0a\0\0\0",
        b"\x46\x20\0\xc3\xa9\0\1\xaa\0\0\0",  # shared bytes may part a character
        b"\x46\x20\0\xc3\xa9\0\1a\0\0\0",
    ],
)
def test_corners_of_version_2_are_refused_the_same(body: bytes) -> None:
    refuse_or_read_the_same(MARK_2 + b"\3\0\0p\0\0h\0" + body, PROCESS)


SECOND_NS = 1_000_000_000
# Ids far from and near to each other, of every form of session; an endpoint; a greatest time before others.
TELLING = State(
    "t",
    "h",
    "39e4a257-79fb-5f92-7117-000000000700",
    {
        "first": 1_603_433_979 * SECOND_NS + 1_000_000,
        "last": 1_603_433_979 * SECOND_NS + 2_000_000,
        "counts": {"other": 1, "pipe": (1 << 64) - 1, "net_connect": 300},
        "parent": Text(1_603_433_980 * SECOND_NS, "39e4a257-79ed-5f92-7017-000000000700"),
        "remotes": TextSet(False, (Text(1_603_433_981 * SECOND_NS, "10.0.0.1:443"),)),
        "targets": TextSet(
            True,
            tuple(
                Text(1_603_433_979 * SECOND_NS + n * 1_000_000, guid)
                for n, guid in enumerate(
                    [
                        "39e4a257-79fc-5f92-7217-000000000700",
                        "39e4a257-0000-0000-0000-000000000900",
                        "39e4a257-ffff-ffff-ffff-0010470702ff",
                        "aaaaaaaa-79fc-5f92-7117-001047070200",
                        "39e4a257-0001-0000-0000-000000000700",
                        "39e4a257-79fb-5f92-7117-000000000700",
                        "39e4a257-79fe-5f92-7317-ffffffffffff",
                    ]
                )
            ),
        ),
    },
)


def test_every_flipped_bit_of_version_3_is_refused_or_read_the_same() -> None:
    payload = REFERENCE.encode(TELLING, PROCESS)
    assert CORE.encode(TELLING, PROCESS) == payload
    assert CORE.decode(payload, PROCESS) == TELLING
    for place in range(8 * len(payload)):
        flipped = bytearray(payload)
        flipped[place // 8] ^= 1 << place % 8
        refuse_or_read_the_same(bytes(flipped), PROCESS)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("state", [State("", "h\0", "p", {}), State("", "h", "p", {"image": Text(0, "a\0b")})])
def test_a_text_with_nul_is_refused_by_both(state: State, version: int) -> None:
    for kit in (CORE, REFERENCE):
        with pytest.raises(CorruptValue, match="NUL"):
            kit.encode(state, PROCESS, version)


def decoded(call: Callable[[], State]) -> State | None:
    """The state, or ``None`` where the payload is refused."""
    try:
        return call()
    except CorruptValue:
        return None


def refuse_or_read_the_same(payload: bytes, definition: FoldDefinition) -> None:
    expected = decoded(lambda: REFERENCE.decode(payload, definition))
    assert decoded(lambda: CORE.decode(payload, definition)) == expected


@given(state=states(PROCESS))
def test_every_truncated_payload_is_refused_the_same(state: State) -> None:
    for version in VERSIONS:
        payload = REFERENCE.encode(state, PROCESS, version)
        for size in range(min(len(payload), 200)):
            refuse_or_read_the_same(payload[:size], PROCESS)


def test_states_of_two_processes_do_not_merge() -> None:
    values: dict[str, Value] = {"counts": {"other": 1}}
    payloads = [
        REFERENCE.encode(State(*identity, values), PROCESS)
        for identity in [("", "h", "p"), ("", "h", "q"), ("", "i", "p"), ("t", "h", "p"), ("", "hp", "")]
    ]
    for a, b in itertools.permutations(payloads, 2):
        with pytest.raises(IdentityClash):
            CORE.merge(a, b, PROCESS)


@pytest.mark.parametrize(
    "values",
    [
        {"image": Text(0, "")},
        {"image": Text(0, "x" * 32769)},
        {"counts": {}},
        {"counts": {"other": 0}},
    ],
)
def test_states_that_no_fold_gives_are_not_encoded(values: dict[str, Value]) -> None:
    with pytest.raises(CorruptValue):
        CORE.encode(State("", "h", "p", values), PROCESS)
