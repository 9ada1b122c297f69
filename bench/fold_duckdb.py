"""The fold in DuckDB: its own reader, gzip included, into a table, and one grouping for each kind of event."""

from __future__ import annotations

from pathlib import Path

import duckdb

from fold_groups import EVENTS, FIELDS, HEAD, IN, OUT, SYSMON, TRUE, Event, fold_groups
from states_dict import States

__all__ = ["fold_files"]

_THREAD = 8
"""Event id of a remote thread, whose ids are spelled as those of a process access but for the case of two letters.

Columns of DuckDB are the same whatever their case, so its records are read once more, with the other spelling.
"""
_OTHER_SPELLING = ("SourceProcessGuid", "TargetProcessGuid")


def fold_files(files: list[Path], states: States) -> None:
    """Fold all files."""
    with duckdb.connect(config={"threads": 1}) as database:
        _read(database, [str(path) for path in files])
        counted = database.execute("SELECT count(*) FROM records").fetchone()
        assert counted is not None
        states.records += counted[0]
        for event in EVENTS:
            fold_groups(event, database.execute(_grouping(event)).fetchall(), states)


def _read(database: duckdb.DuckDBPyConnection, files: list[str]) -> None:
    fields = [name for name in FIELDS if name not in _OTHER_SPELLING]
    head = {name: "VARCHAR" if kind is str else "BIGINT" for name, kind in HEAD.items()}
    texts = dict.fromkeys(fields, "VARCHAR")
    _load(database, "records", files, {**head, **texts, "event_data": "MAP(VARCHAR, VARCHAR)"})
    again = [
        name
        for (name,) in database.execute(
            f"SELECT DISTINCT filename FROM records WHERE Channel = '{SYSMON}' AND EventID = {_THREAD}"
        ).fetchall()
    ]
    names = ("UtcTime", "Image", "User", *_OTHER_SPELLING)
    _load(database, "threads", again or files[:1], {**head, **dict.fromkeys(names, "VARCHAR")})

    flat = ", ".join(fields)
    nested = ", ".join(f"event_data['{name}'] AS {name}" for name in fields)
    database.execute(
        f"CREATE VIEW events AS SELECT Hostname AS host, EventID AS number, {flat} FROM records"
        f" WHERE Channel = '{SYSMON}' UNION ALL"
        f" SELECT computer_name, event_id, {nested} FROM records"
        f" WHERE Channel IS DISTINCT FROM '{SYSMON}' AND log_name = '{SYSMON}'"
    )
    nested = ", ".join(f"event_data['{name}']" for name in names)
    database.execute(
        f"CREATE VIEW thread_events AS SELECT Hostname AS host, EventID AS number, {', '.join(names)} FROM threads"
        f" WHERE Channel = '{SYSMON}' UNION ALL"
        f" SELECT computer_name, event_id, {nested} FROM records"
        f" WHERE Channel IS DISTINCT FROM '{SYSMON}' AND log_name = '{SYSMON}'"
    )


def _load(database: duckdb.DuckDBPyConnection, table: str, files: list[str], columns: dict[str, str]) -> None:
    database.execute(
        f"CREATE TABLE {table} AS SELECT * FROM read_json(?, format='newline_delimited', columns=?, filename=true)",
        [files, columns],
    )


def _grouping(event: Event) -> str:
    numbers = ", ".join(map(str, event.numbers))
    return (
        f"SELECT host, {event.process} AS process, {event.image} AS image, User AS owner, {_member(event)} AS member,"
        f" {event.command_line or 'NULL'} AS command_line, {event.parent or 'NULL'} AS parent,"
        " count(*), min(UtcTime), max(UtcTime)"
        f" FROM {'thread_events' if event.numbers == (_THREAD,) else 'events'}"
        f" WHERE number IN ({numbers}) AND host <> '' AND process <> '' AND UtcTime <> ''{_where(event)}"
        " GROUP BY ALL"
    )


def _where(event: Event) -> str:
    words = ", ".join(f"'{word}'" for word in TRUE)
    initiated = f"coalesce(Initiated IN ({words}), false)"
    deletes = "coalesce(starts_with(coalesce(nullif(EventTypeOrignal, ''), EventType), 'Delete'), false)"
    conditions = {
        "initiated": initiated,
        "not initiated": f"NOT {initiated}",
        "deletes": deletes,
        "not deletes": f"NOT {deletes}",
    }
    return f" AND {conditions[event.where]}" if event.where else ""


def _member(event: Event) -> str:
    if event.member in {OUT, IN}:
        side = "Destination" if event.member == OUT else "Source"
        address, port = f"{side}Ip", f"{side}Port"
        bracketed = f"CASE WHEN contains({address}, ':') THEN '[' || {address} || ']' ELSE {address} END"
        return f"CASE WHEN {address} <> '' AND {port} <> '' THEN {bracketed} || ':' || {port} ELSE {address} END"
    return event.member or "NULL"
