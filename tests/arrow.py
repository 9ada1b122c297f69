"""Arrow tables as plain rows, and the rows that batches and states should give."""

from __future__ import annotations

from typing import Any

import pyarrow

import fastfold
from fastfold.states import State, Text, TextSet
from fastfold.types import COLUMNS, KINDS

Row = dict[str, Any]

_NOTHING: dict[str, Any] = {"count": dict.fromkeys(KINDS, 0), "set": [], "sum": 0}
_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


def rows(table: pyarrow.Table) -> list[Row]:
    """The rows of a table: dicts, lists, texts and numbers; times as nanoseconds."""
    table.validate(full=True)
    columns = {name: [_plain(value) for value in table[name]] for name in table.column_names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value: Any) -> Any:
    if not value.is_valid:
        return None
    if isinstance(value, pyarrow.TimestampScalar):
        assert value.type.tz is not None, "a time that is no instant"
        return value.value * _NS[value.type.unit]
    if isinstance(value, pyarrow.StructScalar):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (pyarrow.ListScalar, pyarrow.LargeListScalar)):
        return [_plain(part) for part in value.values]
    return value.as_py()


def batch_rows(batch: fastfold.Batch) -> list[Row]:
    """What the table of a batch should hold, from its events as Python objects."""
    names = ("tenant", "host", "process", "kind", "record", *COLUMNS)
    return [{"time": event["time_ns"]} | {name: event.get(name) or None for name in names} for event in batch]


def state_row(state: State, states: fastfold.States) -> Row:
    """What the table of states should hold of one, from its Python objects."""
    row: Row = {"tenant": state.tenant or None, "host": state.host, "process": state.process}
    more, cut = [], []
    for reducer in states.definition.reducers:
        value = state.values.get(reducer.name)
        if isinstance(value, dict):
            row[reducer.name] = {kind: value.get(kind, 0) for kind in KINDS}
        elif isinstance(value, Text):
            row[reducer.name] = value.text
            cut += [reducer.name] * value.cut
        elif isinstance(value, TextSet):
            row[reducer.name] = [{"time": m.time_ns, "text": m.text, "cut": m.cut} for m in value.members]
            more += [reducer.name] * value.more
            cut += [reducer.name] * any(m.cut for m in value.members)
        else:
            row[reducer.name] = _NOTHING.get(reducer.op) if value is None else value
    return row | {"more": sorted(more), "cut": sorted(cut)}


def state_rows(states: fastfold.States) -> list[Row]:
    """What the table of states should hold."""
    return [state_row(state, states) for state in states]
