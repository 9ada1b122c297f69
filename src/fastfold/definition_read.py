"""Fold definitions: a TOML table, checked, to a `FoldDefinition`.

`fastfold.schema` finds the table and has the public names.
"""

from __future__ import annotations

from fastfold.bounds import least_value_bytes
from fastfold.schema_types import FoldDefinition, Reducer
from fastfold.tables import Table
from fastfold.types import COLUMNS, KINDS, OPS, VALUE_LIMIT_BYTES

__all__ = ["read_definition"]

TAG_MAX = 1 << 20
TTL_RANGE_S = (60, 10 * 365 * 86_400)
SET_LIMIT_MAX = 1024
SET_LIMIT_DEFAULT = 64
# At least one character of up to four bytes must survive a cut.
TEXT_BYTES_MIN = 4
TEXT_BYTES_MAX = 1 << 20
TEXT_BYTES_DEFAULT = 1024
MEMBER_BYTES_DEFAULT = 512
# What members of a set weigh on average where it is filled, and a few of them.
FULL_BYTES_PER_MEMBER = 96
RESERVE_BYTES_DEFAULT = 128
SET_BYTES_MAX = 1 << 30
VALUE_BYTES_RANGE = (1024, 16 << 20)

# Names that `states.to_json` uses beside the reducers.
SHOWN_NAMES = ("tenant", "host", "process", "more", "cut")
_MARKS = "marks"


def read_definition(top: Table) -> FoldDefinition:
    """The fold definition that the top table of a file says.

    Parameters
    ----------
    top : Table

    Raises
    ------
    SchemaError
    """
    top.only("name", "version", "description", "ttl_s", "value_bytes", "reducer")
    tags: set[int] = set()
    names: set[str] = set()
    reducers: list[Reducer] = []
    for part in top.tables("reducer"):
        reducer = _reducer(part)
        if reducer.tag in tags:
            part.fail(f"tag {reducer.tag} is used twice", "tag")
        if reducer.name in names:
            part.fail(f"name {reducer.name!r} is used twice", "name")
        tags.add(reducer.tag)
        names.add(reducer.name)
        reducers.append(reducer)
    if not reducers:
        top.fail("no [[reducer]]")
    definition = FoldDefinition(
        name=top.text("name"),
        version=top.integer("version", 1, 1 << 16),
        description=top.text("description", ""),
        reducers=tuple(sorted(reducers, key=lambda r: r.tag)),
        ttl_s=top.integer("ttl_s", *TTL_RANGE_S, 0) if "ttl_s" in top.values else 0,
        value_bytes=top.integer("value_bytes", *VALUE_BYTES_RANGE, VALUE_LIMIT_BYTES),
    )
    least = least_value_bytes(definition)
    if least > definition.value_bytes:
        told = f"a value may take {least} bytes and its identity, but value_bytes = {definition.value_bytes}"
        top.fail(f"{told}: lower text_bytes or reserve_bytes, or raise value_bytes", "value_bytes")
    return definition


def _reducer(table: Table) -> Reducer:
    table.only("tag", "name", "op", "column", "kinds", "limit", "text_bytes", "bytes", "reserve_bytes")
    op = table.choice("op", tuple(op for op in OPS if op != _MARKS))
    name = table.text("name")
    if name in SHOWN_NAMES:
        table.fail(f"name {name!r} is taken by the format itself", name)
    keeps_text = op in ("first", "last", "set")
    kinds = table.texts("kinds") if "kinds" in table.values else ()
    for kind in kinds:
        if kind not in KINDS:
            table.fail(f"unknown kind {kind!r}; allowed: {', '.join(KINDS)}", kind)
    for only in ("limit", "bytes", "reserve_bytes"):
        if op != "set" and only in table.values:
            table.fail(f"{only} is only for op = 'set'", only)
    if not keeps_text and "text_bytes" in table.values:
        table.fail("text_bytes is only for op = 'first', 'last' or 'set'", "text_bytes")
    default_bytes = MEMBER_BYTES_DEFAULT if op == "set" else TEXT_BYTES_DEFAULT
    limit = table.integer("limit", 1, SET_LIMIT_MAX, SET_LIMIT_DEFAULT) if op == "set" else 0
    full_bytes = table.integer("bytes", 1, SET_BYTES_MAX, limit * FULL_BYTES_PER_MEMBER) if op == "set" else 0
    reserve_bytes = min(RESERVE_BYTES_DEFAULT, full_bytes)
    return Reducer(
        tag=table.integer("tag", 1, TAG_MAX),
        name=name,
        op=op,
        column=_reducer_column(table, op),
        kinds=kinds,
        limit=limit,
        text_bytes=table.integer("text_bytes", TEXT_BYTES_MIN, TEXT_BYTES_MAX, default_bytes) if keeps_text else 0,
        bytes=full_bytes,
        reserve_bytes=table.integer("reserve_bytes", 1, full_bytes, reserve_bytes) if op == "set" else 0,
    )


def _reducer_column(table: Table, op: str) -> str | None:
    if op == "count":
        if "column" in table.values:
            table.fail("op = 'count' reads no column", "column")
        return None
    allowed = ("time", *COLUMNS) if op in ("min", "max") else COLUMNS
    return table.choice("column", allowed)
