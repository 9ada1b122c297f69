"""The fold in polars: its own reader, gzip included, and one grouping for each kind of event."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from fold_groups import EVENTS, FIELDS, HEAD, IN, OUT, SYSMON, TRUE, Event, fold_groups
from states_dict import States

__all__ = ["fold_files"]

_TYPES: dict[str, type[pl.DataType]] = {
    **{name: pl.String if kind is str else pl.Int64 for name, kind in HEAD.items()},
    **dict.fromkeys(FIELDS, pl.String),
}
_SCHEMA: dict[str, type[pl.DataType] | pl.DataType] = {
    **_TYPES,
    "event_data": pl.Struct(dict.fromkeys(FIELDS, pl.String)),
}


def fold_files(files: list[Path], states: States) -> None:
    """Fold all files; only the rows of Sysmon are kept from one file to the next."""
    kept = []
    for path in files:
        frame = pl.read_ndjson(path, schema=_SCHEMA)
        states.records += frame.height
        kept += _rows(frame)
    # In one piece: groupings over many small chunks take twice as long.
    rows = pl.concat(kept, rechunk=True)
    groups = pl.collect_all([_grouped(event, rows.lazy()) for event in EVENTS])
    for event, frame in zip(EVENTS, groups, strict=True):
        fold_groups(event, frame.iter_rows(), states)


def _rows(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """The rows of Sysmon, in one shape."""
    flat = pl.col("Channel").eq_missing(pl.lit(SYSMON))
    nested = pl.col("event_data").struct
    return [
        frame.filter(flat).select(pl.col("Hostname").alias("host"), pl.col("EventID").alias("number"), *FIELDS),
        frame.filter(~flat & (pl.col("log_name") == SYSMON)).select(
            pl.col("computer_name").alias("host"),
            pl.col("event_id").alias("number"),
            *[nested.field(name) for name in FIELDS],
        ),
    ]


def _grouped(event: Event, rows: pl.LazyFrame) -> pl.LazyFrame:
    chosen = rows.filter(pl.col("number").is_in(event.numbers), *_where(event))
    columns = {
        "group_host": pl.col("host"),
        "process": pl.col(event.process),
        "image": pl.col(event.image),
        "user": pl.col("User"),
        "member": _member(event),
        "command_line": pl.col(event.command_line) if event.command_line else pl.lit(""),
        "parent": pl.col(event.parent) if event.parent else pl.lit(""),
    }
    time = pl.col("UtcTime")
    counted = chosen.select(time, **columns).filter(pl.col("group_host") != "", pl.col("process") != "", time != "")
    return counted.group_by(*columns).agg(pl.len(), time.min().alias("first"), time.max().alias("last"))


def _where(event: Event) -> list[pl.Expr]:
    initiated = pl.col("Initiated").is_in(TRUE).fill_null(value=False)
    original = pl.col("EventTypeOrignal")
    change = pl.when(original != "").then(original).otherwise(pl.col("EventType"))
    deletes = change.str.starts_with("Delete").fill_null(value=False)
    conditions = {"initiated": initiated, "not initiated": ~initiated, "deletes": deletes, "not deletes": ~deletes}
    return [conditions[event.where]] if event.where else []


def _member(event: Event) -> pl.Expr:
    if event.member in {OUT, IN}:
        side = "Destination" if event.member == OUT else "Source"
        address, port = pl.col(f"{side}Ip"), pl.col(f"{side}Port")
        bracketed = pl.when(address.str.contains(":", literal=True)).then("[" + address + "]").otherwise(address)
        return pl.when((address != "") & (port != "")).then(bracketed + ":" + port).otherwise(address)
    return pl.col(event.member) if event.member else pl.lit("")
