"""Batches and states as Arrow: what other libraries read, and who keeps the memory for how long."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import numpy
import polars
import pyarrow
import pytest

import fastfold
from arrow import batch_rows, rows, state_rows
from fastfold import Batch, States
from fastfold._core import Texts
from fastfold.api import encode
from fastfold.states import State, Text
from fastfold.types import COLUMNS, KINDS, FoldCounts
from sysmon import FEW, line

BATCH_NAMES = ["time", "tenant", "host", "process", "kind", "record", *COLUMNS]
READERS: dict[str, Callable[[Any], pyarrow.Table]] = {
    "pyarrow": pyarrow.table,
    "polars": lambda given: polars.DataFrame(given).to_arrow(),
    "duckdb": lambda given: duckdb.sql("from given").to_arrow_table(),
}


@pytest.fixture
def batch() -> Batch:
    return fastfold.parse(FEW)


@pytest.fixture
def states() -> States:
    return fastfold.fold(FEW)


@pytest.mark.parametrize("name", READERS)
def test_a_library_reads_the_events(name: str, batch: Batch) -> None:
    assert len(batch) == 4
    assert rows(READERS[name](batch)) == batch_rows(batch)
    assert rows(READERS[name](batch.to_arrow())) == batch_rows(batch)


@pytest.mark.parametrize("name", READERS)
def test_a_library_reads_the_states(name: str, states: States) -> None:
    assert len(states) == 2
    assert rows(READERS[name](states)) == state_rows(states)
    assert rows(READERS[name](states.to_arrow())) == state_rows(states)


@pytest.mark.parametrize("name", READERS)
def test_nothing_gives_empty_tables_of_the_same_columns(name: str, batch: Batch, states: States) -> None:
    for empty, full in ((fastfold.parse(b""), batch), (fastfold.fold(b""), states)):
        table = READERS[name](empty)
        assert len(table) == 0
        assert table.schema == READERS[name](full).schema
        assert rows(table) == []


def test_the_types_are_those_that_are_told(batch: Batch, states: States) -> None:
    events = pyarrow.schema(batch)
    assert events.names == BATCH_NAMES == batch.to_arrow().names
    text = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    assert [events.field(name).type for name in ("host", *COLUMNS)] == [text] * 15
    assert events.field("kind").type == pyarrow.dictionary(pyarrow.int8(), pyarrow.string())
    assert events.field("time").type == pyarrow.timestamp("ns", "UTC")
    assert events.field("record").type == pyarrow.uint32()
    assert not events.field("host").nullable
    assert events.field("tenant").nullable

    folded = pyarrow.schema(states)
    names = [reducer.name for reducer in states.definition.reducers]
    assert folded.names == ["tenant", "host", "process", *names, "more", "cut"] == states.to_arrow().names
    time = pyarrow.timestamp("ns", "UTC")
    assert folded.field("first").type == time
    assert folded.field("image").type == pyarrow.string()
    assert folded.field("counts").type == pyarrow.struct(
        [pyarrow.field(kind, pyarrow.uint64(), nullable=False) for kind in KINDS]
    )
    member = [("time", time), ("text", pyarrow.string()), ("cut", pyarrow.bool_())]
    parts = [pyarrow.field(name, kind, nullable=False) for name, kind in member]
    assert folded.field("files").type == pyarrow.list_(pyarrow.field("item", pyarrow.struct(parts), nullable=False))
    assert folded.field("more").type == pyarrow.list_(pyarrow.field("item", pyarrow.string(), nullable=False))


def test_what_is_absent_is_null(batch: Batch) -> None:
    table = pyarrow.table(batch)
    assert table["command_line"].null_count == 3
    assert table["tenant"].null_count == 4
    assert table["host"].null_count == 0
    # As many rows as make several bytes of the bitmap, some of them absent.
    many = fastfold.parse(b"".join(line(5, **({"Image": "x"} if n % 3 else {})) for n in range(1001)))
    assert [value is None for value in pyarrow.table(many)["image"].to_pylist()] == [n % 3 == 0 for n in range(1001)]


def test_all_columns_share_the_texts_of_the_batch(batch: Batch) -> None:
    (chunk,) = pyarrow.table(batch).to_batches()
    addresses = {
        tuple(buffer.address for buffer in chunk[name].dictionary.buffers()[1:]) for name in ("host", *COLUMNS)
    }
    ((offsets, text),) = addresses
    assert offsets == batch.strings.offsets.ctypes.data
    assert text == numpy.frombuffer(batch.strings.text, "u1").ctypes.data


def test_texts_of_more_than_two_gib_are_large() -> None:
    # Zeros that nobody touches need no memory.
    strings = Texts(bytes((1 << 31) + 8), numpy.array([0, 0, 3, (1 << 31) + 8], "<u4"))
    small = fastfold.parse(line(5))
    pairs = numpy.array([[0, 1]], "<u4")
    batch = Batch(small.events, strings, pairs, pairs, FoldCounts())
    host = pyarrow.table(batch)["host"]
    assert host.type == pyarrow.dictionary(pyarrow.int32(), pyarrow.large_string())
    assert host.to_pylist() == ["\0\0\0"]


def test_many_states_come_in_chunks() -> None:
    count = (1 << 16) + 1
    payloads = fastfold.fold(line(5)).payloads
    ((_, payload),) = payloads.items()
    states = States(fastfold.fold(b"").definition, {("", "a", f"{n}"): payload for n in range(count)}, FoldCounts())
    table = pyarrow.table(states)
    assert [len(chunk) for chunk in table.to_batches()] == [1 << 16, 1]
    assert len(states.to_arrow()) == count
    assert table["process"].to_pylist() == ["1"] * count


def test_large_states_come_in_smaller_chunks() -> None:
    empty = fastfold.fold(b"")
    state = State("", "h", "p", {"command_line": Text(1, "x" * 30_000)})
    text = encode(state, empty.definition)
    states = States(empty.definition, {("", "a", f"{n:05}"): text for n in range(5000)}, FoldCounts())
    chunks = pyarrow.table(states).to_batches()
    assert len(chunks) == 3
    assert all(chunk.nbytes < 80 << 20 for chunk in chunks)


def test_a_damaged_state_is_told_to_the_reader(states: States) -> None:
    wrong = {("", "a", "1"): states.payloads["", "a", "1"][:-1]}
    broken = States(states.definition, wrong, FoldCounts())
    with pytest.raises(OSError, match=r"CorruptValue: corrupt value: .* at offset"):
        pyarrow.table(broken)
    with pytest.raises(Exception, match="CorruptValue"):
        polars.DataFrame(broken)


def test_no_pyarrow_is_needed() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('pyarrow', 'pandas')))\n"
        "import duckdb, fastfold, polars\n"
        f"batch, states = fastfold.parse({FEW!r}), fastfold.fold({FEW!r})\n"
        "print(polars.DataFrame(batch).shape, polars.DataFrame(states).shape)\n"
        "print(duckdb.sql('select count(*), count(distinct image) from batch').fetchall())\n"
        "print(duckdb.sql('select sum(counts.file_write) from states').fetchall())\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == ["(4, 20) (2, 20)", "[(4, 1)]", "[(1,)]"]


# Who keeps the memory: the texts of a batch have one reference more for each column that is out.


def held(batch: Batch) -> int:
    gc.collect()
    return sys.getrefcount(batch.strings.text)


def test_a_capsule_that_nobody_takes_gives_all_back(batch: Batch, states: States) -> None:
    before = held(batch)
    capsules = [batch.__arrow_c_schema__(), *batch.__arrow_c_array__(), batch.__arrow_c_stream__()]
    capsules += [batch.to_arrow().__arrow_c_schema__(), batch.to_arrow().__arrow_c_stream__()]
    capsules += [states.__arrow_c_schema__(), states.__arrow_c_stream__(), states.to_arrow().__arrow_c_schema__()]
    assert held(batch) > before
    del capsules
    assert held(batch) == before


@pytest.mark.parametrize("name", ["pyarrow", "polars"])
def test_a_table_outlives_its_batch_and_gives_all_back(name: str) -> None:
    batch = fastfold.parse(FEW)
    expected, text = batch_rows(batch), batch.strings.text
    table = READERS[name](batch)
    del batch
    gc.collect()
    assert rows(table) == expected
    del table
    gc.collect()
    assert sys.getrefcount(text) == 2, "this name, and the argument of the call"


def test_a_capsule_is_taken_once(batch: Batch) -> None:
    class Given:
        def __init__(self) -> None:
            self.capsule = batch.__arrow_c_stream__()

        def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
            return self.capsule

    given, before = Given(), held(batch)
    first = pyarrow.table(given)
    with pytest.raises(ValueError, match="released"):
        pyarrow.table(given)
    assert rows(first) == batch_rows(batch)
    del first
    assert held(batch) < before


def test_another_thread_may_give_back(batch: Batch) -> None:
    before = held(batch)
    tables = [pyarrow.table(batch)]
    thread = threading.Thread(target=tables.clear)
    thread.start()
    thread.join()
    assert held(batch) == before


# The interface itself, as a library in C would use it.


class CSchema(ctypes.Structure):
    pass


class CArray(ctypes.Structure):
    pass


class CStream(ctypes.Structure):
    pass


def function(of: type[ctypes.Structure], *out: type[ctypes.Structure]) -> Any:
    return ctypes.CFUNCTYPE(ctypes.c_int if out else None, *map(ctypes.POINTER, (of, *out)))


CSchema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(CSchema))),
    ("dictionary", ctypes.POINTER(CSchema)),
    ("release", function(CSchema)),
    ("private_data", ctypes.c_void_p),
]
CArray._fields_ = [
    *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(CArray))),
    ("dictionary", ctypes.POINTER(CArray)),
    ("release", function(CArray)),
    ("private_data", ctypes.c_void_p),
]
CStream._fields_ = [
    ("get_schema", function(CStream, CSchema)),
    ("get_next", function(CStream, CArray)),
    ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.POINTER(CStream))),
    ("release", function(CStream)),
    ("private_data", ctypes.c_void_p),
]


def struct_of(capsule: object, name: bytes, kind: Any) -> Any:
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return ctypes.cast(pointer(capsule, name), ctypes.POINTER(kind)).contents


def is_released(struct: Any) -> bool:
    return not ctypes.cast(struct.release, ctypes.c_void_p).value


@pytest.fixture
def stream(batch: Batch) -> Iterator[Any]:
    capsule = batch.__arrow_c_stream__()
    given = struct_of(capsule, b"arrow_array_stream", CStream)
    yield given
    del capsule


def test_a_stream_gives_schema_rows_and_its_end(batch: Batch, stream: Any) -> None:
    schema, array = CSchema(), CArray()
    assert stream.get_schema(stream, schema) == 0
    assert (schema.format, schema.n_children) == (b"+s", len(BATCH_NAMES))
    assert [schema.children[n].contents.name.decode() for n in range(schema.n_children)] == BATCH_NAMES
    assert stream.get_next(stream, array) == 0
    assert (array.length, array.null_count, array.offset, array.n_children) == (4, 0, 0, len(BATCH_NAMES))
    array.release(array)
    assert is_released(array)
    assert stream.get_next(stream, array) == 0
    assert is_released(array), "the end of a stream is an array that is released"
    assert stream.get_last_error(stream) is None
    schema.release(schema)
    assert is_released(schema)


def test_a_part_that_was_moved_out_lives_on(batch: Batch, stream: Any) -> None:
    before = held(batch)
    array = CArray()
    assert stream.get_next(stream, array) == 0
    inside = array.children[BATCH_NAMES.index("image")].contents
    moved = CArray.from_buffer_copy(inside)
    inside.release = function(CArray)()
    array.release(array)
    stream.release(stream)
    assert is_released(stream)
    assert held(batch) == before, "the dictionary of the part keeps the texts"
    codes = (ctypes.c_int32 * 4).from_address(moved.buffers[1])
    ends = (ctypes.c_int32 * 8).from_address(moved.dictionary.contents.buffers[1])
    start = moved.dictionary.contents.buffers[2]
    assert ctypes.string_at(start + ends[codes[0]], ends[codes[0] + 1] - ends[codes[0]]).decode() == "C:\\Zoë\\😀.exe"
    moved.release(moved)
    assert is_released(moved)
    assert held(batch) < before
