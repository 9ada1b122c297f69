"""Which format a file is in, told from its first records.

Every schema of the package says by `Schema.detect` what its records look like: lists of paths, of
which one must be present as a whole.  Looked at are at most `HEAD_RECORDS` records in the first
`HEAD_BYTES` of the text.  Records that look like no format do not count, since vendors put records of
other kinds into the same files; nor do lines that are no JSON, since refusing them is the fold's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache

from fastfold.errors import Reject
from fastfold.schema import LAST, Schema, expand_paths, list_schemas, load_schema

__all__ = ["AUTO", "HEAD_BYTES", "HEAD_RECORDS", "looks_like", "recognise"]

AUTO = "auto"
"""What is given for the name of a schema to have it recognised."""

HEAD_BYTES = 256 << 10
HEAD_RECORDS = 64

_BOM = b"\xef\xbb\xbf"


def recognise(head: bytes, *, whole: bool) -> str:
    """Name of the only schema of the package whose records these are.

    Parameters
    ----------
    head : bytes
        Beginning of an NDJSON text.
    whole : bool
        Whether it is the whole text: else its last line may be cut, and is left out.

    Raises
    ------
    Reject
        No record is of a known format, they are of two, or they could be of two.
    """
    possible: set[str] = set(list_schemas())
    first_lines: dict[str, int] = {}
    records = 0
    for line, record in _records(head, whole):
        records += 1
        names = {schema.name for schema in _schemas() if looks_like(record, schema)}
        if not names:
            continue
        if not names & possible:
            first, other = min(possible), min(names)
            raise Reject(
                f"records of two formats: {first} first at line {first_lines[first]}, {other} first at line {line}"
            )
        for name in names:
            first_lines.setdefault(name, line)
        possible &= names
    known = ", ".join(list_schemas())
    if not first_lines:
        told = f"none of the first {records} records is" if records else "there is no record that could be"
        raise Reject(f"{told} of a known format; known are {known}")
    if len(possible) > 1:
        raise Reject(f"records that could be of {' or '.join(sorted(possible))}: name one")
    return possible.pop()


def looks_like(record: object, schema: Schema) -> bool:
    """Whether all paths of one of the lists of `Schema.detect` are present in a record."""
    return any(all(_is_present(record, path) for path in paths) for paths in schema.detect)


@lru_cache(maxsize=1)
def _schemas() -> tuple[Schema, ...]:
    return tuple(load_schema(name) for name in list_schemas())


def _records(head: bytes, whole: bool) -> Iterator[tuple[int, object]]:
    """Line and value of the first records."""
    lines = head.removeprefix(_BOM).split(b"\n")
    if not whole:
        lines.pop()
    count = 0
    for number, line in enumerate(lines, 1):
        if not line.strip(b" \t\r"):
            continue
        try:
            # Numbers are as good as texts here: a long one must not cost more than its digits.
            value = json.loads(line.decode("utf-8", "replace"), parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            continue
        yield number, value
        count += 1
        if count == HEAD_RECORDS:
            return


def _is_present(record: object, path: str) -> bool:
    return any(_has_text(_value(record, keys)) for keys in expand_paths(("",), (path,)))


def _value(value: object, keys: tuple[str, ...]) -> object:
    for key in keys:
        if not isinstance(value, dict):
            return None
        if key.endswith(LAST):
            array = value.get(key.removesuffix(LAST))
            value = array[-1] if isinstance(array, list) and array else None
        else:
            value = value.get(key)
    return value


def _has_text(value: object) -> bool:
    """Present as a field is: a scalar, or an array that begins with one."""
    if isinstance(value, list):
        value = value[0] if value else None
    return value != "" and isinstance(value, (str, bool, int, float))
