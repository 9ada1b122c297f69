"""The core does what the reference does, byte for byte, however its input is handed over."""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fastfold import reference
from fastfold._core import Batch, Folder, ParsePlan, Parser
from fastfold._core import identity as core_identity
from fastfold._core import merge_group as core_merge_group
from fastfold.errors import CorruptValue, IdentityClash, Reject
from fastfold.folding import fold_file
from fastfold.inflate import open_inflater
from fastfold.reference import Event
from fastfold.reference.version2 import MARK_2
from fastfold.reference.version3 import MARK_3
from fastfold.schema import EventMapping, FoldDefinition, Schema, Source
from fastfold.states import State, Text, TextSet, Value
from fastfold.types import COLUMNS, KINDS, Limits
from property.implementations import CORE, REFERENCE, VERSIONS, core_fold, feed, plan_of
from property.strategies import (
    DEFINITIONS,
    OWN,
    PROCESS,
    SCHEMAS,
    SQUEEZERS,
    SYSMON,
    TIGHT,
    arbitrary_states,
    chunks,
    crowds,
    damaged,
    states,
    texts,
)
from simd import SIMD, SimdName, using_simd

# By name: a failing example then prints in a line.
DEFINED = pytest.mark.parametrize("fold", DEFINITIONS)
IN_SCHEMA = pytest.mark.parametrize("shape", SCHEMAS)
T = TypeVar("T")
WINDOWS = st.one_of(st.integers(64, 200), st.sampled_from([4096, 1 << 20]))
LIMITS = Limits()
TIGHT_LIMITS = Limits(record_bytes=300, depth=5, identity_bytes=8, processes=4)

# --- files ---------------------------------------------------------------------------------------


@IN_SCHEMA
@DEFINED
@given(data=st.data())
def test_sound_files_fold_the_same_in_any_window(shape: str, fold: str, data: st.DataObject) -> None:
    schema = SCHEMAS[shape]
    definition = DEFINITIONS[fold]
    text = data.draw(texts(schema))
    expected = REFERENCE.fold(text, schema, definition, LIMITS)
    window_bytes, sizes = data.draw(WINDOWS), data.draw(chunks())
    assert core_fold(text, schema, definition, LIMITS, window_bytes, sizes) == expected


@IN_SCHEMA
@given(data=st.data())
def test_damaged_files_fold_the_same_or_are_rejected_at_the_same_line(shape: str, data: st.DataObject) -> None:
    schema = SCHEMAS[shape]
    text = data.draw(damaged(texts(schema)))
    limits = data.draw(st.sampled_from([LIMITS, TIGHT_LIMITS]))
    window_bytes, sizes = data.draw(WINDOWS), data.draw(chunks())
    agree_on(text, schema, limits, window_bytes, sizes)


def outcome(call: Callable[[], T]) -> T | Reject:
    try:
        return call()
    except Reject as reject:
        return reject


def agree_on(
    text: bytes, schema: Schema, limits: Limits, window_bytes: int = 4096, sizes: Iterable[int] = (1 << 20,)
) -> None:
    expected = outcome(lambda: REFERENCE.fold(text, schema, TIGHT, limits))
    found = outcome(lambda: core_fold(text, schema, TIGHT, limits, window_bytes, sizes))
    if not isinstance(expected, Reject):
        assert found == expected
        return
    assert isinstance(found, Reject)
    assert (found.line, found.field) == (expected.line, expected.field)
    assert found.offset is not None
    assert text.count(b"\n", 0, found.offset) + 1 == found.line
    if found.reason == expected.reason:
        assert found.limit == expected.limit


@DEFINED
@given(given_events=crowds(), data=st.data())
def test_many_events_of_one_process_fold_the_same(fold: str, given_events: list[Event], data: st.DataObject) -> None:
    """Full sets, many members at one time, times from end to end of what int64 holds."""
    definition = DEFINITIONS[fold]
    text = b"".join(_own_line(event) for event in given_events)
    schema = dataclasses.replace(OWN, roots=("",), require=(), events=(_FILE_WRITE,))
    expected = REFERENCE.fold(text, schema, definition, LIMITS)
    assert core_fold(text, schema, definition, LIMITS, data.draw(WINDOWS)) == expected
    assert expected[1].events == len(given_events)


_FILE_WRITE = EventMapping(
    ("w",),
    "file_write",
    Source(("pid",), "id"),
    (),
    {name: Source((name,)) for name in ("file", "image", "user", "detail")},
)


def _own_line(event: Event) -> bytes:
    record = {"type": "w", "host": event.host, "pid": event.process, "at": str(event.time_ns), **event.columns}
    return json.dumps(record).encode() + b"\n"


@IN_SCHEMA
@given(data=st.data())
def test_a_folder_forgets_the_file_before(shape: str, data: st.DataObject) -> None:
    schema = SCHEMAS[shape]
    first, second = data.draw(damaged(texts(schema))), data.draw(texts(schema))
    folder = Folder(plan_of(schema, TIGHT), 64)
    before = outcome(lambda: fold_file(folder, first, "first", LIMITS))
    assert not isinstance(before, Reject) or before.file == "first"
    deltas = fold_file(folder, second, "second", LIMITS)
    payloads = {(h.tenant, h.host, p): b for h in deltas for p, b in zip(h.processes, h.payloads, strict=True)}
    assert (payloads, deltas.counts) == REFERENCE.fold(second, schema, TIGHT, LIMITS)


@pytest.mark.parametrize("name", SIMD)
@given(data=st.data())
def test_every_instruction_set_reads_the_same(name: SimdName, data: st.DataObject) -> None:
    text = data.draw(st.one_of(texts(SYSMON), damaged(texts(SYSMON)), damaged(texts(OWN))))
    with using_simd(name):
        agree_on(text, SYSMON, LIMITS, data.draw(WINDOWS))


@pytest.mark.parametrize("name", SIMD)
def test_strings_escapes_and_brackets_at_every_place_of_a_block(name: SimdName) -> None:
    """The scanner takes 64 bytes at a time: what spans their borders is tried at each."""
    middles = [rb'"\\"', rb'"\""', rb'"\\\\\\\""', rb'"\u0041"', rb'["a",1]', b"tru", b"true", b"-", b'"\t"', rb'"\x"']
    with using_simd(name):
        for pad, middle in itertools.product(range(70), middles):
            agree_on(b"[" + b" " * pad + middle + b"]\n", SYSMON, LIMITS)
            agree_on(b'["' + b"x" * pad + b'",' + middle + b"]\n", SYSMON, LIMITS)
            agree_on(b'["' + b"\\" * pad + b'",' + middle + b"]\n", SYSMON, LIMITS)


@given(data=st.data())
def test_nothing_is_given_out_before_the_end(data: st.DataObject) -> None:
    """Handing over is the same whether it is looked at between or not: a folder keeps its own bytes."""
    text = data.draw(texts(SYSMON))
    folder = Folder(plan_of(SYSMON, TIGHT), 64)
    for _ in feed(folder, text, itertools.cycle(data.draw(chunks()))):
        folder.window()[:] = b"\xff" * len(folder.window())
    deltas = folder.finish()
    assert deltas.counts == REFERENCE.fold(text, SYSMON, TIGHT, LIMITS)[1]


# --- batches -------------------------------------------------------------------------------------


@IN_SCHEMA
@given(data=st.data())
def test_batches_have_the_events_of_the_reference(shape: str, data: st.DataObject) -> None:
    schema = SCHEMAS[shape]
    text = data.draw(texts(schema))
    parser = Parser(ParsePlan(schema, LIMITS), data.draw(WINDOWS))
    inflater = open_inflater(text, LIMITS)
    parser.begin()
    while count := inflater.readinto(parser.window()):
        parser.advance(count)
    batch = parser.finish()
    reading = reference.read_lines(text, schema)
    assert batch.counts == reading.counts
    assert events_of(batch) == reading.events
    assert len(set(batch.processes)) == len(batch.processes)
    assert len(set(batch.hosts)) == len(batch.hosts)


def events_of(batch: Batch) -> list[Event]:
    found = []
    for row in batch.events:
        texts_of = {name: batch.strings[int(row[name])] for name in COLUMNS}
        found.append(
            Event(
                int(row["time"].astype("int64")),
                *batch.processes[int(row["process"])],
                KINDS[int(row["kind"])],
                int(row["record"]),
                {name: text for name, text in texts_of.items() if text is not None},
            )
        )
        assert batch.hosts[int(row["host"])] == found[-1].identity[:2]
    return found


# --- stored files --------------------------------------------------------------------------------


def inflate_with(stored: bytes, limits: Limits, sizes: Iterable[int]) -> bytes:
    inflater = open_inflater(stored, limits)
    out = b""
    for size in itertools.cycle(sizes):
        room = bytearray(size)
        count = inflater.readinto(memoryview(room))
        if count == 0:
            break
        out += room[:count]
    return out


@given(
    text=st.binary(max_size=2000),
    squeeze=st.sampled_from(sorted(SQUEEZERS)),
    sizes=chunks(),
    zeros=st.integers(0, 3),
)
def test_stored_files_inflate_the_same(text: bytes, squeeze: str, sizes: list[int], zeros: int) -> None:
    # Text that begins as a stored file does is taken for one.
    assume(squeeze != "plain" or not text.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")))
    stored = SQUEEZERS[squeeze](text) + bytes(zeros if "gzip" in squeeze else 0)
    assert inflate_with(stored, LIMITS, sizes) == reference.inflate(stored)


@given(text=st.binary(min_size=20, max_size=200), squeeze=st.sampled_from(sorted(SQUEEZERS)), data=st.data())
def test_damaged_stored_files_are_rejected_by_both(text: bytes, squeeze: str, data: st.DataObject) -> None:
    stored = data.draw(damaged(st.just(SQUEEZERS[squeeze](text))))
    expected = outcome(lambda: reference.inflate(stored))
    found = outcome(lambda: inflate_with(stored, LIMITS, data.draw(chunks())))
    if isinstance(expected, Reject):
        assert isinstance(found, Reject)
    else:
        assert found == expected


@pytest.mark.parametrize("text", [b"x" * 1000, b"", b"abc"], ids=len)
@pytest.mark.parametrize(
    "limits",
    [Limits(file_bytes=size) for size in (0, 3, 30, 999, 1000)]
    + [Limits(inflated_bytes=size) for size in (1, 3, 999, 1000)]
    + [Limits(ratio=ratio, ratio_from_bytes=size) for ratio in (1, 2, 10, 1000) for size in (0, 2, 999, 1000)],
    ids=lambda limits: f"{limits.file_bytes}-{limits.inflated_bytes}-{limits.ratio}-{limits.ratio_from_bytes}",
)
def test_limits_of_stored_files_are_the_same(text: bytes, limits: Limits) -> None:
    for squeeze in SQUEEZERS.values():
        stored = squeeze(text)
        expected = outcome(partial(reference.inflate, stored, limits))
        found = outcome(partial(inflate_with, stored, limits, [7]))
        if isinstance(expected, Reject):
            assert isinstance(found, Reject)
            assert (found.reason, found.limit) == (expected.reason, expected.limit)
        else:
            assert found == expected


# --- payloads ------------------------------------------------------------------------------------


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


# --- long records --------------------------------------------------------------------------------


@pytest.mark.parametrize("window_bytes", [64, 65, 100, 4096])
def test_records_longer_than_a_window_are_read(window_bytes: int) -> None:
    record = (
        b'{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":11,"Hostname":"h","ProcessGuid":"p",'
        b'"UtcTime":"2020-01-01 00:00:00","Message":"' + b"x" * 10_000 + b'","TargetFilename":"f"}'
    )
    text = record + b"\n{}\n" + record
    assert core_fold(text, SYSMON, PROCESS, LIMITS, window_bytes) == REFERENCE.fold(text, SYSMON, PROCESS, LIMITS)
    limits = Limits(record_bytes=len(record) - 1)
    agree_on(b"{}\n" + text, SYSMON, limits, window_bytes, [50])
    agree_on(b"{}\n" + text, SYSMON, dataclasses.replace(limits, record_bytes=len(record)), window_bytes, [50])


def test_stored_and_plain_files_fold_the_same() -> None:
    text = b'{"type":"w"}\n' * 500
    folder = Folder(plan_of(SYSMON, PROCESS), 64)
    for stored in (text, gzip.compress(text), gzip.compress(text) + gzip.compress(b"")):
        assert fold_file(folder, stored, "file", LIMITS).counts.no_process == {"channel": 500}
