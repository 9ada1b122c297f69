"""The reference folds events to states, and writes these as payloads."""

from __future__ import annotations

import ast
import dataclasses
import gzip
from pathlib import Path
from typing import Any

import pytest
import zstandard

from fastfold import reference
from fastfold.errors import CorruptValue, IdentityClash
from fastfold.reference import Event, decode, encode, fold, merge_states, read_lines
from fastfold.reference.bytes import varint
from fastfold.reference.version2 import MARK_2
from fastfold.schema import (
    FoldDefinition,
    Reducer,
)
from fastfold.states import State, Text, TextSet
from sysmon_records import PROCESS, SYSMON, line, one

# --- fold ----------------------------------------------------------------------------------------


def event(time_ns: int, kind: str = "other", process: str = "p", **columns: str) -> Event:
    return Event(time_ns, "", "h", process, kind, 1, columns)


def folded(*events: Event, definition: FoldDefinition = PROCESS) -> State:
    (state,) = reference.fold_events(events, definition).values()
    return state


def test_first_last_and_counts() -> None:
    state = folded(event(5), event(-3, "pipe"), event(9, "process_start"), event(1))
    assert state.values == {"first": -3, "last": 9, "counts": {"process_start": 1, "pipe": 1, "other": 2}}
    assert list(state.values) == ["first", "last", "counts"]
    assert list(state.values["counts"]) == ["process_start", "pipe", "other"]  # type: ignore[arg-type]


def test_the_first_text_is_by_time_then_by_bytes() -> None:
    assert folded(event(2, image="a"), event(1, image="z"), event(1, image="b")).values["image"] == Text(1, "b")
    # U+FFFF is below U+10000 in UTF-8, above it in UTF-16.
    assert folded(event(1, image="\U00010000"), event(1, image="\uffff")).values["image"] == Text(1, "\uffff")
    assert folded(event(1, user="u"), event(0)).values["user"] == Text(1, "u")


def test_sets_keep_each_text_at_its_first_time_for_their_kinds() -> None:
    state = folded(
        event(9, "file_write", file="b"),
        event(3, "file_write", file="b"),
        event(3, "file_write", file="a"),
        event(1, "file_delete", file="c"),
        event(0, "file_open", file="d"),
    )
    assert state.values["files"] == TextSet(False, (Text(3, "a"), Text(3, "b")))
    assert state.values["deleted"] == TextSet(False, (Text(1, "c"),))


def test_a_set_over_its_limit_keeps_the_earliest_and_says_more() -> None:
    events = [event(100 - i, "dns_query", domain=f"d{i:02}") for i in range(65)]
    kept = folded(*events).values["domains"]
    assert isinstance(kept, TextSet)
    assert kept.more
    assert kept.members == tuple(Text(36 + i, f"d{64 - i:02}") for i in range(64))
    assert folded(*events[1:], *events[1:]).values["domains"] == TextSet(False, kept.members)


def test_texts_over_their_limit_are_cut_at_a_character_and_marked() -> None:
    long = "x" * 511 + "é"
    state = folded(event(1, "file_write", file=long), event(1, "file_write", file="x" * 511))
    assert state.values["files"] == TextSet(False, (Text(1, "x" * 511, False), Text(1, "x" * 511, True)))
    assert folded(event(1, command_line="y" * 2048)).values["command_line"] == Text(1, "y" * 2048)
    assert folded(event(1, command_line="y" * 2049)).values["command_line"] == Text(1, "y" * 2048, True)


NUMBERS = FoldDefinition(
    "numbers",
    1,
    "",
    (
        Reducer(1, "low", "min", "detail", (), 0, 0),
        Reducer(2, "high", "max", "detail", (), 0, 0),
        Reducer(3, "total", "sum", "detail", (), 0, 0),
        Reducer(4, "newest", "last", "image", (), 0, 8),
    ),
)


def test_numbers_are_one_to_nineteen_digits() -> None:
    texts = [
        "7",
        "007",
        "9223372036854775807",
        "9223372036854775808",
        "-1",
        "1.0",
        "1e3",
        "\u0661",
        "0" * 20,
        "x",
        " 1",
    ]
    state = folded(*[event(1, detail=text) for text in texts], definition=NUMBERS)
    assert state.values == {"low": 7, "high": 2**63 - 1, "total": 2**63 - 1 + 14}
    assert folded(event(1, detail="x"), definition=NUMBERS).values == {}
    assert folded(event(1, detail="0"), definition=NUMBERS).values == {"low": 0, "high": 0, "total": 0}


def test_a_sum_saturates() -> None:
    events = [event(1, detail=str(2**63 - 1))] * 3
    assert folded(*events, definition=NUMBERS).values["total"] == 2**64 - 1


def test_the_last_text_is_the_largest() -> None:
    state = folded(event(1, image="z"), event(2, image="a"), event(2, image="b"), definition=NUMBERS)
    assert state.values["newest"] == Text(2, "b")


def test_fold_reads_files_and_orders_processes() -> None:
    data = line(one(ProcessGuid="b")) + line(one(Hostname="A", ProcessGuid="c")) + line(one(ProcessGuid="a"))
    for stored in (data, gzip.compress(data), zstandard.compress(data)):
        states = fold(stored, SYSMON, PROCESS)
        assert list(states) == [("", "A", "c"), ("", "WS5.shire.com", "a"), ("", "WS5.shire.com", "b")]
    assert fold(b"", SYSMON, PROCESS) == {}


def test_only_states_of_one_process_merge() -> None:
    a = folded(event(1, image="x"))
    assert merge_states(a, folded(event(0, image="y")), PROCESS) == folded(event(1, image="x"), event(0, image="y"))
    with pytest.raises(IdentityClash):
        merge_states(a, folded(event(1, process="q")), PROCESS)


# --- payloads ------------------------------------------------------------------------------------

GOLDEN = State(
    "t",
    "h",
    "p",
    {
        "first": 2_000_000_000,
        "last": 5_000_000_000,
        "counts": {"process_start": 1, "other": 300},
        "image": Text(3_000_000_000, "é", True),
        "files": TextSet(True, (Text(2_000_000_000, "a"), Text(4_000_000_000, "b", True))),
    },
)
GOLDEN_BYTES = bytes.fromhex(
    "01 74 01 68 01 70"  # identity
    "03 04"  # seconds, from second 2
    "09 00 00"  # 1 min time
    "12 00 03"  # 2 max time
    "18 02 00 01 14 ac 02"  # 3 count: kind 0 once, kind 20 300 times
    "24 01 05 c3 a9"  # 4 first: a second in, two bytes, cut
    "46 05 00 02 61 02 03 62"  # 8 set: two members and more
)


def test_the_layout_of_version_1() -> None:
    assert encode(GOLDEN, PROCESS, 1) == GOLDEN_BYTES
    assert decode(GOLDEN_BYTES, PROCESS) == GOLDEN


GOLDEN_2 = State(
    "t",
    "h",
    "39e4a257-79fb-5f92-7117-000000000700",
    {
        **GOLDEN.values,
        "parent": Text(2_000_000_000, "39e4a257-79fa-5f92-0100-000000000700"),
        "remotes": TextSet(False, (Text(2_000_000_000, "10.0.0.1:443"),)),
        "modules": TextSet(False, (Text(2_000_000_000, "C:\\ab"), Text(2_000_000_000, "C:\\ac"))),
        "sources": TextSet(False, (Text(3_000_000_000, "00000000-79fb-5f92-0100-00000000abcd"),)),
    },
)
GOLDEN_2_BYTES = bytes.fromhex(
    "80 00"  # mark
    "03 04"  # seconds, from second 2
    "01 39e4a257 f2e793f90b 7117 000000000700"  # process: host, 0x5f9279fb seconds less 2, counter, session
    "74 00 68 00"  # tenant, host
    "09 00 12 00"  # 1 and 2: min and max of times
    "18 81 80 40"  # 3 count: kinds 0 and 20
    "24 01"  # 4 first: plain, cut
    "3c 02"  # 7 first: a GUID
    "46 29 02"  # 8 set: two plain members, the second cut, and more
    "56 14"  # 10 set: one endpoint
    "6e 20"  # 13 set: two plain members
    "7e 12"  # 15 set: one GUID
    "00"
    "c3 a9 00"  # texts of 4
    "61 00 00 62 00"  # of 8
    "43 3a 5c 61 62 00 04 63 00"  # of 13
    "01 ac 02"  # numbers of 3
    "00 03 01 00 00 02 00 00 00 01"  # times of 1, 2, 4, 7, 8, 10, 13, 15
    "04 0100"  # id of 7: a second before
    "0a000001 01bb"  # of 10
    "0b 00000000 0100 00000000abcd"  # of 15: a second after, another host and session
)


def test_the_layout_of_version_2() -> None:
    assert encode(GOLDEN_2, PROCESS, 2) == GOLDEN_2_BYTES
    assert decode(GOLDEN_2_BYTES, PROCESS) == GOLDEN_2


@pytest.mark.parametrize(
    ("times", "unit", "base"),
    [
        ([], 3, 0),
        ([0], 3, 0),
        ([1], 0, 2),
        ([-1], 0, 1),
        ([-3_000_000_000], 3, 5),
        ([1_000, 2_000_000], 1, 2),
        ([1_000_000, 2_000_000], 2, 2),
        ([-(2**63) + 1, 2**63 - 1], 0, 2**64 - 3),
    ],
)
def test_the_unit_is_the_coarsest_that_divides_every_time(times: list[int], unit: int, base: int) -> None:
    values: dict[str, Any] = {"first": min(times), "last": max(times)} if times else {"counts": {"other": 1}}
    state = State("", "", "", values)
    for version, before in ((1, b"\0\0\0"), (2, MARK_2)):
        payload = encode(state, PROCESS, version)
        assert payload.startswith(before + bytes([unit]) + varint(base))
        assert decode(payload, PROCESS) == state


IDENTITY = b"\0\x01h\x01p"
HEAD = IDENTITY + b"\x03\x04"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "truncated"),
        (b"\x05h", "truncated"),
        (IDENTITY, "truncated"),
        (b"\x01\xff\x01h\x01p\x03\0", "invalid UTF-8"),
        (b"\0\x81\0h\x01p\x03\0", "not canonical"),
        (b"\xff" * 10 + b"\x01", "varint"),
        (b"\xff" * 9 + b"\x02", "varint out of range"),
        (IDENTITY + b"\x04\0", "unknown unit"),
        (IDENTITY + b"\x03" + b"\xff" * 9 + b"\x01", "time out of range"),
        (IDENTITY + b"\x03\x04", "not canonical"),  # a base without times
        (HEAD + b"\x09\0\x01", "not canonical"),  # no time at the base
        (IDENTITY + b"\x02\x80\xfa\x01" + b"\x09\0\0", "not canonical"),  # milliseconds where seconds do
        (HEAD + b"\x09\x01\0", "where a number belongs"),
        (HEAD + b"\x0a\0\0", "unknown reducer 1 of op 2"),
        (HEAD + b"\x09\0\0" + b"\xb8\x01\0", "unknown reducer 23 of op 0"),
        (HEAD + b"\x09\0\0\x09\0\0", "stands twice"),
        (HEAD + b"\x12\0\0\x09\0\0", "not canonical"),  # order of tags
        (HEAD + b"\x09\0\x80\0", "not canonical"),  # varint
        (HEAD + b"\x09\0", "truncated"),
        (HEAD + b"\x09\0\0\0", "unknown reducer 0"),
        (HEAD + b"\x09\0\0\x18\0", "count out of range"),
        (HEAD + b"\x09\0\0\x18\x01\0\0", "count out of range"),
        (HEAD + b"\x09\0\0\x18\x01\x15\x01", "unknown kind 21"),
        (HEAD + b"\x09\0\0\x18\x02\x01\x01\0\x01", "not canonical"),  # order of kinds
        (HEAD + b"\x09\0\0\x18\x02\x01\x01\x01\x01", "not canonical"),  # a kind twice
        (HEAD + b"\x24\0\0", "text that is empty"),
        (HEAD + b"\x24\0\x02\xff", "invalid UTF-8"),
        (HEAD + b"\x24\0\x82\x80\x04" + b"x" * 32769, "over its limit"),
        (HEAD + b"\x46\0", "set that is empty"),
        (HEAD + b"\x46\x04\0\x02b\0\x02a", "out of order"),
        (HEAD + b"\x46\x04\0\x02a\0\x02a", "twice"),
        (HEAD + b"\x46\x04\0\x02a\x01\x02a", "twice"),
        (HEAD + b"\x46\x82\x01" + b"".join(b"\0\x02" + bytes([48 + i]) for i in range(65)), "over its limit"),
        (IDENTITY + b"\0\xfe" + b"\xff" * 8 + b"\x01" + b"\x12\0\x01", "time out of range"),
    ],
)
def test_what_encode_does_not_write_decode_does_not_read(payload: bytes, reason: str) -> None:
    with pytest.raises(CorruptValue, match=reason):
        decode(payload, PROCESS)


def test_numbers_are_stored_apart_from_times() -> None:
    state = State("", "h", "p", {"low": 0, "high": 2**63 - 1, "total": 2**64 - 1})
    assert decode(encode(state, NUMBERS), NUMBERS) == state
    payload = encode(state, NUMBERS, 1)
    assert decode(payload, NUMBERS) == state
    with pytest.raises(CorruptValue, match="where a number belongs"):
        decode(payload.replace(b"\x09\x01", b"\x09\x00"), NUMBERS)
    with pytest.raises(CorruptValue, match="number out of range"):
        decode(payload.replace(b"\x7f\x1b", b"\xff\x01\x1b"), NUMBERS)


def test_every_truncation_and_every_extension_of_a_payload_is_refused() -> None:
    # Whole reducers at the end are not missed: the frame around a payload has its length and checksum.
    whole = {len(GOLDEN_BYTES) - cut for cut in (8, 13, 20, 23)}
    for size in set(range(len(GOLDEN_BYTES))) - whole:
        with pytest.raises(CorruptValue):
            decode(GOLDEN_BYTES[:size], PROCESS)
    with pytest.raises(CorruptValue):
        decode(GOLDEN_BYTES + b"\0", PROCESS)
    for size in range(len(GOLDEN_2_BYTES)):
        with pytest.raises(CorruptValue):
            decode(GOLDEN_2_BYTES[:size], PROCESS)
    with pytest.raises(CorruptValue, match="after the end"):
        decode(GOLDEN_2_BYTES + b"\0", PROCESS)


# --- the reference stands alone ------------------------------------------------------------------


def test_the_reference_imports_nothing_of_the_core() -> None:
    modules: set[str | None] = set()
    for path in Path(reference.__file__).parent.glob("*.py"):
        # What these two know of marks and records has nothing of the core either, but they are no part of a state.
        if path.stem in {"detection", "matching"}:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    ours = {name for name in modules if name and name.startswith("fastfold")}
    assert {name for name in ours if not name.startswith("fastfold.reference.")} == {
        "fastfold.bounds",
        "fastfold.errors",
        "fastfold.schema",
        "fastfold.states",
        "fastfold.types",
    }


def test_counts_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        read_lines(b"", SYSMON).counts.lines = 1  # type: ignore[misc]
