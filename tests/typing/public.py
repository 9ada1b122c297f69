"""What a type checker sees of the public interface; read by mypy, never run.

Right uses state the type that is inferred.  Wrong uses carry the error that they must give: mypy
says so when it does not come.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from typing_extensions import assert_type

import fastfold
from fastfold import ArrowTable, Batch, RedisStates, States
from fastfold.errors import CorruptValue, FastfoldError, Reject
from fastfold.schema import FoldDefinition, Schema, load_definition, load_schema
from fastfold.states import State, Text, TextSet, to_json
from fastfold.types import BatchId, FoldCounts, Limits

data = b""

# parse
batch = fastfold.parse(data)
assert_type(batch, Batch)
assert_type(batch.events, NDArray[Any])
assert_type(batch.strings[1], str | None)
assert_type(batch.strings[batch.strings.offsets], NDArray[numpy.object_])
assert_type(iter(batch), Iterator[dict[str, Any]])
assert_type(batch.to_arrow(), ArrowTable)
assert_type(batch.to_arrow().names, list[str])
assert_type(batch.strings.offsets, NDArray[numpy.uint32])
assert_type(batch.hosts, list[tuple[str, str]])
assert_type(batch.processes[0], tuple[str, str, str])
assert_type(batch.counts, FoldCounts)
assert_type(len(batch), int)
fastfold.parse(memoryview(data), Path("mine.toml"), limits=Limits(depth=8))
fastfold.parse("batch.json.gz")
with Path("batch.json.gz").open("rb") as opened:
    fastfold.parse(opened)
fastfold.parse(io.BytesIO(data))
fastfold.parse(["batch.json.gz"])  # type: ignore[arg-type]
fastfold.parse(io.StringIO(""))  # type: ignore[arg-type]
fastfold.parse(data, limits=8)  # type: ignore[arg-type]
fastfold.parse(data, "sysmon", Limits())  # type: ignore[call-arg]

# fold
states = fastfold.fold(data, "sysmon", "process")
assert_type(states, States)
assert_type(states["host", "process"], State)
assert_type(states["tenant", "host", "process"], State)
assert_type(iter(states), Iterator[State])
assert_type(states.counts, FoldCounts)
assert_type(states.counts.no_process, dict[str, int])
assert_type(states.payloads, dict[tuple[str, str, str], bytes])
assert_type(fastfold.fold(data, load_schema("sysmon"), load_definition("process")), States)
assert_type(fastfold.fold(Path("batches").iterdir()), States)
assert_type(fastfold.fold([data, "batch.json.gz"]), States)
assert_type(states.to_arrow(), ArrowTable)
states["host"]  # type: ignore[index]
assert_type(fastfold.detect_schema(data), str)
fastfold.fold(data, schema="auto")

# merge
assert_type(fastfold.merge(states, states, states), States)
fastfold.merge()  # type: ignore[call-arg]
fastfold.merge(states, data)  # type: ignore[arg-type]

# states in a Redis
with fastfold.open_store("redis://h", "process", namespace="ff:") as store:
    assert_type(store, RedisStates)
    assert_type(store["host", "process"], State)
    assert_type(store["tenant", "host", "process"], State)
    assert_type(store.get("host", "process", tenant="tenant"), State | None)
    assert_type(store.host("host"), list[State])
    assert_type(iter(store), Iterator[State])
    assert_type(store["host", "process"].to_dict(), dict[str, object])
    assert_type(store["host", "process"].more, tuple[str, ...])
    store["host"]  # type: ignore[index]
fastfold.open_store(6379)  # type: ignore[arg-type]

# states
for state in states:
    assert_type(state, State)
    assert_type(state.host, str)
    value = state.values["files"]
    assert_type(value, dict[str, int] | int | Text | TextSet)
    if isinstance(value, TextSet):
        assert_type(value.more, bool)
        assert_type(value.members, tuple[Text, ...])
        assert_type(value.members[0].time_ns, int)
    assert_type(fastfold.encode(state), bytes)
    assert_type(to_json(state, states.definition), dict[str, object])
    state.host = "other"  # type: ignore[misc]
assert_type(fastfold.decode(data), State)

# definitions and limits
assert_type(load_schema("sysmon"), Schema)
assert_type(load_definition("process"), FoldDefinition)
assert_type(load_definition("process").columns(), frozenset[str])
assert_type(Limits().record_bytes, int)
Limits().depth = 3  # type: ignore[misc]
assert_type(BatchId(1, data) < BatchId(2, data), bool)

# errors
try:
    fastfold.fold(data)
except Reject as reject:
    assert_type(reject.line, int | None)
    assert_type(reject.at("file"), Reject)
except CorruptValue as corrupt:
    assert_type(corrupt.key, bytes | None)
except FastfoldError as error:
    assert_type(error, FastfoldError)

assert_type(fastfold.__version__, str)
