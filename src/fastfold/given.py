"""What the functions of the library are given: files, and schemas and fold definitions by name."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from fastfold._core import Plan
from fastfold.schema import FoldDefinition, Schema, load_definition, load_schema
from fastfold.types import Limits

__all__ = ["File", "Named", "Readable", "definition_of", "load_file", "plan_of", "schema_of"]


class Readable(Protocol):
    """A file opened for reading bytes."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""


File = bytes | bytearray | memoryview | str | os.PathLike[str] | Readable
"""One batch file: its content as stored (gzip, zstd or plain NDJSON), its path, or the open file."""

Named = str | os.PathLike[str]


def load_file(file: File, limits: Limits) -> tuple[bytes | memoryview, str]:
    """The content of a file, and its name for an error.

    Raises
    ------
    OSError
        The file cannot be read.
    TypeError
        It gives text instead of bytes.
    """
    if isinstance(file, (bytes, bytearray, memoryview)):
        return (file if isinstance(file, bytes) else memoryview(file)), ""
    # One byte more than allowed: enough for the inflater to refuse the file.
    if isinstance(file, (str, os.PathLike)):
        with Path(file).open("rb") as opened:
            return opened.read(limits.file_bytes + 1), os.fspath(file)
    data = file.read(limits.file_bytes + 1)
    if not isinstance(data, bytes):
        raise TypeError(f"the file gives {type(data).__name__}, not bytes: open it with mode 'rb'")
    return data, str(getattr(file, "name", ""))


def plan_of(definition: Named | FoldDefinition) -> Plan:
    """The plan to merge and decode states with."""
    return _plan_of(definition_of(definition))


@lru_cache(maxsize=16)
def _plan_of(definition: FoldDefinition) -> Plan:
    return Plan(None, definition, Limits())


# What ships with the package is read once; a file may change.
_shipped_schema = lru_cache(load_schema)
_shipped_definition = lru_cache(load_definition)


def schema_of(schema: Named | Schema) -> Schema:
    """A schema, loaded where only its name is given."""
    if isinstance(schema, str) and schema.isidentifier():
        return _shipped_schema(schema)
    return schema if isinstance(schema, Schema) else load_schema(schema)


def definition_of(definition: Named | FoldDefinition) -> FoldDefinition:
    """A fold definition, loaded where only its name is given."""
    if isinstance(definition, str) and definition.isidentifier():
        return _shipped_definition(definition)
    return definition if isinstance(definition, FoldDefinition) else load_definition(definition)
