"""The fold in pyarrow: its reader over text that ISA-L inflated, and one grouping for each kind of event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from fold_groups import EVENTS, FIELDS, HEAD, IN, OUT, SYSMON, TRUE, Event, fold_groups
from states_dict import States

__all__ = ["fold_texts"]

_TEXTS = [(name, pa.string()) for name in FIELDS]
_SCHEMA = pa.schema(
    [
        *[(name, pa.string() if kind is str else pa.int64()) for name, kind in HEAD.items()],
        *_TEXTS,
        ("event_data", pa.struct(_TEXTS)),
    ]
)
_SCHEMA_OF_OTHERS = pa.schema([("Channel", pa.string())])
_MARK = SYSMON.encode()
_ROWS = pa.schema([("host", pa.string()), ("number", pa.int64()), *_TEXTS])


def fold_texts(texts: Iterable[bytes], states: States) -> None:
    """Fold pieces of whole lines; only the rows of Sysmon are kept from one to the next."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    kept: list[pa.Table] = []
    for text in texts:
        records, table = _read(text)
        states.records += records
        kept += _rows(table)
    rows = pa.concat_tables([_ROWS.empty_table(), *kept]).combine_chunks()
    for event in EVENTS:
        groups = _grouped(event, rows)
        fold_groups(event, zip(*(column.to_pylist() for column in groups.columns), strict=True), states)


def _read(text: bytes) -> tuple[int, pa.Table]:
    """The number of records of a piece, and its columns.

    A column is of one type for pyarrow, and other channels have numbers where Sysmon has texts: a piece
    where that is so is read in two parts, the other channels without those columns.
    """
    try:
        table = _parse(text, _SCHEMA)
    except pa.ArrowInvalid:
        ours = b"\n".join(line for line in text.splitlines() if _MARK in line)
        others = b"\n".join(line for line in text.splitlines() if _MARK not in line)
        table = _parse(ours, _SCHEMA) if ours else _SCHEMA.empty_table()
        return table.num_rows + _parse(others, _SCHEMA_OF_OTHERS).num_rows, table
    return table.num_rows, table


def _parse(text: bytes, schema: pa.Schema) -> pa.Table:
    return pyarrow.json.read_json(
        pa.BufferReader(text),
        pyarrow.json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )


def _rows(table: pa.Table) -> list[pa.Table]:
    """The rows of Sysmon, in one shape."""
    flat = pc.fill_null(pc.equal(table["Channel"], SYSMON), fill_value=False)
    nested = pc.and_(pc.invert(flat), pc.fill_null(pc.equal(table["log_name"], SYSMON), fill_value=False))
    made = [table.filter(flat).select(["Hostname", "EventID", *FIELDS]).rename_columns(_ROWS.names)]
    if pc.any(nested).as_py():
        part = table.filter(nested)
        inner = [pc.struct_field(part["event_data"], name) for name in FIELDS]
        made.append(pa.table([part["computer_name"], part["event_id"], *inner], schema=_ROWS))
    return made


def _grouped(event: Event, rows: pa.Table) -> pa.Table:
    # One filter, and only over the columns that the event needs.
    chosen = pc.is_in(rows["number"], value_set=pa.array(event.numbers, pa.int64()))
    for name in ("host", event.process, "UtcTime"):
        chosen = pc.and_(chosen, _filled(rows[name]))
    rows = rows.select([name for name in rows.column_names if name in _needed(event)]).filter(chosen)
    rows = rows.filter(_where(event, rows)) if event.where else rows
    nothing = pa.nulls(rows.num_rows, pa.string())
    keys: dict[str, Any] = {
        "host": rows["host"],
        "process": rows[event.process],
        "image": rows[event.image],
        "user": rows["User"],
        "member": _member(event, rows, nothing),
        "command_line": rows[event.command_line] if event.command_line else nothing,
        "parent": rows[event.parent] if event.parent else nothing,
    }
    grouped = pa.table({**keys, "time": rows["UtcTime"]}).group_by(list(keys), use_threads=False)
    counted = grouped.aggregate([("time", "count"), ("time", "min"), ("time", "max")])
    return counted.select([*keys, "time_count", "time_min", "time_max"])


def _needed(event: Event) -> set[str]:
    columns = {"host", event.process, event.image, "User", event.member, event.command_line, event.parent, "UtcTime"}
    if event.member in {OUT, IN}:
        side = "Destination" if event.member == OUT else "Source"
        columns |= {f"{side}Ip", f"{side}Port"}
    if event.where.endswith("initiated"):
        columns.add("Initiated")
    return columns | ({"EventTypeOrignal", "EventType"} if event.where.endswith("deletes") else set())


def _filled(column: Any) -> Any:
    return pc.fill_null(pc.not_equal(column, ""), fill_value=False)


def _where(event: Event, rows: pa.Table) -> Any:
    if event.where.endswith("initiated"):
        condition = pc.is_in(rows["Initiated"], value_set=pa.array(TRUE))
    else:
        original = rows["EventTypeOrignal"]
        change = pc.if_else(_filled(original), original, rows["EventType"])
        condition = pc.fill_null(pc.starts_with(change, "Delete"), fill_value=False)
    return pc.invert(condition) if event.where.startswith("not") else condition


def _member(event: Event, rows: pa.Table, nothing: pa.Array) -> Any:
    if event.member in {OUT, IN}:
        side = "Destination" if event.member == OUT else "Source"
        address, port = rows[f"{side}Ip"], rows[f"{side}Port"]
        colon = pc.fill_null(pc.match_substring(address, ":"), fill_value=False)
        bracketed = pc.if_else(colon, pc.binary_join_element_wise("[", address, "]", ""), address)
        both = pc.and_(_filled(address), _filled(port))
        return pc.if_else(both, pc.binary_join_element_wise(bracketed, port, ":"), address)
    return rows[event.member] if event.member else nothing
