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
from hypothesis import assume, given
from hypothesis import strategies as st

from fastfold import reference
from fastfold._core import Batch, Folder, ParsePlan, Parser
from fastfold.errors import Reject
from fastfold.folding import fold_file
from fastfold.inflate import open_inflater
from fastfold.reference import Event
from fastfold.schema import EventMapping, Schema, Source
from fastfold.types import COLUMNS, KINDS, Limits
from property.implementations import REFERENCE, core_fold, feed, plan_of
from property.strategies import (
    DEFINITIONS,
    OWN,
    PROCESS,
    SCHEMAS,
    SQUEEZERS,
    SYSMON,
    TIGHT,
    chunks,
    crowds,
    damaged,
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
