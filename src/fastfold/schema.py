"""Record schemas and fold definitions: TOML files, checked and frozen.

A schema says, for one vendor format, where identity, time and discriminator of a record are and
which events a record gives; a fold definition says which reducers make the state of a process.
Both come from this package by name (``schemas/*.toml``, ``folds/*.toml``) or from a file.

Every fault is a `SchemaError` with the file, and the line where it can be told.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from fastfold.definition_read import read_definition
from fastfold.errors import SchemaError
from fastfold.schema_read import read_schema
from fastfold.schema_types import (
    ALTERNATIVES,
    CONDITION_OPS,
    EMBEDDED,
    EVENTS_PER_RECORD,
    ID_FORMS,
    LAST,
    MAPPINGS_PER_WHEN,
    OUTCOMES,
    PATH_KEYS,
    SOURCE_FORMS,
    TIME_FORMS,
    Condition,
    EventMapping,
    FoldDefinition,
    Reducer,
    Schema,
    Source,
    TimeSource,
    expand_paths,
)
from fastfold.tables import Table, parse_table

__all__ = [
    "ALTERNATIVES",
    "CONDITION_OPS",
    "EMBEDDED",
    "EVENTS_PER_RECORD",
    "ID_FORMS",
    "LAST",
    "MAPPINGS_PER_WHEN",
    "OUTCOMES",
    "PATH_KEYS",
    "SOURCE_FORMS",
    "TIME_FORMS",
    "Condition",
    "EventMapping",
    "FoldDefinition",
    "Reducer",
    "Schema",
    "Source",
    "TimeSource",
    "expand_paths",
    "list_definitions",
    "list_schemas",
    "load_definition",
    "load_schema",
    "read_text",
]

_FOLDERS = {"schema": "schemas", "fold definition": "folds"}


def load_schema(name_or_path: str | os.PathLike[str]) -> Schema:
    """A record schema by its name in this package, or from a file.

    Parameters
    ----------
    name_or_path : str or path
        A bare name, or anything with a path separator or ending in ``.toml``.

    Raises
    ------
    SchemaError
    """
    return read_schema(_open(name_or_path, "schema"))


def load_definition(name_or_path: str | os.PathLike[str]) -> FoldDefinition:
    """A fold definition by its name in this package, or from a file; see `load_schema`."""
    return read_definition(_open(name_or_path, "fold definition"))


def list_schemas() -> tuple[str, ...]:
    """Names of the schemas that come with the package."""
    return _names("schema")


def list_definitions() -> tuple[str, ...]:
    """Names of the fold definitions that come with the package."""
    return _names("fold definition")


def read_text(name_or_path: str | os.PathLike[str], what: str) -> tuple[str, bytes]:
    """Name for errors and content of the TOML file of a schema or a fold definition.

    Parameters
    ----------
    name_or_path : str or path
        As for `load_schema`.
    what : str
        ``schema`` or ``fold definition``.

    Raises
    ------
    SchemaError
        No such name, or a file that cannot be read.
    """
    name = os.fspath(name_or_path)
    if isinstance(name_or_path, str) and not _is_path(name):
        if name not in _names(what):
            raise SchemaError(name, f"no such {what}; there are: {', '.join(_names(what))}")
        file = f"{name}.toml"
        return file, (resources.files("fastfold") / _FOLDERS[what] / file).read_bytes()
    try:
        return name, Path(name).read_bytes()
    except OSError as error:
        raise SchemaError(name, f"cannot be read: {error.strerror or error}") from None


def _open(name_or_path: str | os.PathLike[str], what: str) -> Table:
    return parse_table(*read_text(name_or_path, what))


def _names(what: str) -> tuple[str, ...]:
    entries = (resources.files("fastfold") / _FOLDERS[what]).iterdir()
    return tuple(sorted(e.name.removesuffix(".toml") for e in entries if e.name.endswith(".toml")))


def _is_path(name: str) -> bool:
    return name.endswith(".toml") or os.sep in name or (os.altsep is not None and os.altsep in name)
