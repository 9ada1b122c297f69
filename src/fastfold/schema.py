"""Record schemas and fold definitions: TOML files, checked and frozen.

A schema says, for one vendor format, where identity, time and discriminator of a record are and
which events a record gives; a fold definition says which reducers make the state of a process.
Both come from this package by name (``schemas/*.toml``, ``folds/*.toml``) or from a file.

Every fault is a `SchemaError` with the file, and the line where it can be told.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

from fastfold.errors import SchemaError
from fastfold.tables import Table, parse_table
from fastfold.types import COLUMNS, KINDS, OPS

__all__ = [
    "EVENTS_PER_RECORD",
    "ID_FORMS",
    "MAPPINGS_PER_WHEN",
    "SOURCE_FORMS",
    "TIME_FORMS",
    "Condition",
    "EventMapping",
    "FoldDefinition",
    "Reducer",
    "Schema",
    "Source",
    "list_definitions",
    "list_schemas",
    "load_definition",
    "load_schema",
]

TIME_FORMS = ("iso", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "filetime")
ID_FORMS = ("guid", "text")
SOURCE_FORMS = ("text", "id", "endpoint")
CONDITION_OPS = ("equals", "starts", "contains")

# Most mappings for one discriminator value, and most of them that may hold for one record: the
# core keeps both in fixed room.  Of more that hold, the first in the order of the file count.
MAPPINGS_PER_WHEN = 4
EVENTS_PER_RECORD = 2

# Most keys in a path with its root, and most alternatives a field may have once expanded.
PATH_KEYS = 6
ALTERNATIVES = 64

TAG_MAX = 1 << 20
SET_LIMIT_MAX = 1024
SET_LIMIT_DEFAULT = 64
# At least one character of up to four bytes must survive a cut.
TEXT_BYTES_MIN = 4
TEXT_BYTES_MAX = 1 << 20
TEXT_BYTES_DEFAULT = 32768
MEMBER_BYTES_DEFAULT = 4096

# What records without an event are counted under besides the reasons of `require`.
OUTCOMES = ("not_object", "kind", "host", "process", "time", "identity")
# Names that `states.to_json` uses beside the reducers.
SHOWN_NAMES = ("tenant", "host", "process", "more", "cut")
_MARKS = "marks"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the text of a column comes from.

    Attributes
    ----------
    paths : tuple of str
        Alternatives; the first that is present counts.
    form : str
        ``text``; ``id``, treated as a process id; or ``endpoint``, an address with `port`.
    port : tuple of str
        Alternatives for the port of an endpoint.
    """

    paths: tuple[str, ...]
    form: str = "text"
    port: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of a field's text; an absent field passes only a negated one.

    Attributes
    ----------
    paths : tuple of str
    op : str
        ``equals``, ``starts`` or ``contains``, with any of `values`.
    values : tuple of str
    negate : bool
    reason : str
        What a record that fails is counted under; only of the conditions of `Schema.require`.
    """

    paths: tuple[str, ...]
    op: str
    values: tuple[str, ...]
    negate: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EventMapping:
    """What event a record gives.

    Attributes
    ----------
    when : tuple of str
        Values of the discriminator.
    kind : str
    process : tuple of str
        Paths of the process id.
    where : tuple of Condition
        All must hold.
    columns : dict of str to Source
        The schema's defaults included.
    """

    when: tuple[str, ...]
    kind: str
    process: tuple[str, ...]
    where: tuple[Condition, ...]
    columns: dict[str, Source]


@dataclass(frozen=True, slots=True)
class Schema:
    """One vendor format.

    Attributes
    ----------
    name : str
    version : int
    description : str
    roots : tuple of str
        Every path is tried under each; ``""`` is the record itself.
    tenant, host, discriminator, time_paths : tuple of str
        Paths; `tenant` may be empty.
    time_form : str
    require : tuple of Condition
        Looked at in order before anything else.
    id_form : str
    unknown_ids : tuple of str
        Process ids that mean "unknown", in the form of ids.
    events : tuple of EventMapping
    """

    name: str
    version: int
    description: str
    roots: tuple[str, ...]
    tenant: tuple[str, ...]
    host: tuple[str, ...]
    discriminator: tuple[str, ...]
    time_paths: tuple[str, ...]
    time_form: str
    require: tuple[Condition, ...]
    id_form: str
    unknown_ids: tuple[str, ...]
    events: tuple[EventMapping, ...]

    def expand(self, paths: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """The alternatives of a field in the order they are tried, as sequences of keys.

        Parameters
        ----------
        paths : tuple of str

        Returns
        -------
        tuple of tuple of str
            Path by path, for each root by root; of each, nested keys before dotted ones.
        """
        return _expand(self.roots, paths)

    def columns(self) -> frozenset[str]:
        """The columns that some event can fill."""
        return frozenset(name for event in self.events for name in event.columns)


@dataclass(frozen=True, slots=True)
class Reducer:
    """One part of a state.

    Attributes
    ----------
    tag : int
        Its number in stored values, never used again for another.
    name : str
    op : str
        One of `fastfold.types.OPS`.
    column : str or None
        A column, or ``time``; ``None`` for ``count``.
    kinds : tuple of str
        The kinds of events it sees; empty means all.
    limit : int
        Most members of a set; 0 for other ops.
    text_bytes : int
        Longest text kept, in bytes of UTF-8; 0 for ops that keep none.
    """

    tag: int
    name: str
    op: str
    column: str | None
    kinds: tuple[str, ...]
    limit: int
    text_bytes: int


@dataclass(frozen=True, slots=True)
class FoldDefinition:
    """What a state is made of; `reducers` are in order of their tags."""

    name: str
    version: int
    description: str
    reducers: tuple[Reducer, ...]

    def columns(self) -> frozenset[str]:
        """The columns that some reducer reads (``time`` is not one)."""
        return frozenset(r.column for r in self.reducers if r.column is not None and r.column != "time")


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
    return _schema(_open(name_or_path, "schemas", "schema"))


def load_definition(name_or_path: str | os.PathLike[str]) -> FoldDefinition:
    """A fold definition by its name in this package, or from a file; see `load_schema`."""
    return _definition(_open(name_or_path, "folds", "fold definition"))


def list_schemas() -> tuple[str, ...]:
    """Names of the schemas that come with the package."""
    return _names("schemas")


def list_definitions() -> tuple[str, ...]:
    """Names of the fold definitions that come with the package."""
    return _names("folds")


def _names(folder: str) -> tuple[str, ...]:
    entries = (resources.files("fastfold") / folder).iterdir()
    return tuple(sorted(e.name.removesuffix(".toml") for e in entries if e.name.endswith(".toml")))


def _open(name_or_path: str | os.PathLike[str], folder: str, what: str) -> Table:
    name = os.fspath(name_or_path)
    if isinstance(name_or_path, str) and not _is_path(name):
        if name not in _names(folder):
            raise SchemaError(name, f"no such {what}; there are: {', '.join(_names(folder))}")
        file = f"{name}.toml"
        return parse_table(file, (resources.files("fastfold") / folder / file).read_bytes())
    try:
        data = Path(name).read_bytes()
    except OSError as error:
        raise SchemaError(name, f"cannot be read: {error.strerror or error}") from None
    return parse_table(name, data)


def _is_path(name: str) -> bool:
    return name.endswith(".toml") or os.sep in name or (os.altsep is not None and os.altsep in name)


@lru_cache(maxsize=4096)
def _expand(roots: tuple[str, ...], paths: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    sequences: dict[tuple[str, ...], None] = {}
    for path in paths:
        for root in roots:
            full = f"{root}.{path}" if root else path
            sequences.update(dict.fromkeys(_groupings(full.split("."))))
    return tuple(sequences)


def _groupings(keys: list[str]) -> list[tuple[str, ...]]:
    """All ways to read dotted keys, the most nested first: ``a.b`` is a then b, or one key "a.b"."""
    found: list[tuple[str, ...]] = []
    for count in range(1, len(keys)):
        head = ".".join(keys[:count])
        found += [(head, *rest) for rest in _groupings(keys[count:])]
    return [*found, (".".join(keys),)]


# --- schemas ---------------------------------------------------------------------------------


def _schema(top: Table) -> Schema:
    top.only("name", "version", "description", "roots", "record", "id", "columns", "event")
    roots = top.texts("roots") if "roots" in top.values else ("",)
    for root in roots:
        if root:
            _check_path(top, root)
    record = top.table("record")
    record.only("tenant", "host", "discriminator", "time", "require")
    time = record.table("time")
    time.only("paths", "form")
    ids = top.table("id")
    ids.only("form", "unknown")
    id_form = ids.choice("form", ID_FORMS)
    defaults = _columns(top.table("columns"), roots) if "columns" in top.values else {}
    events = tuple(_event(part, roots, defaults) for part in top.tables("event"))
    if not events:
        top.fail("no [[event]]")
    _check_mappings(top, events)
    return Schema(
        name=top.text("name"),
        version=top.integer("version", 1, 1 << 16),
        description=top.text("description", ""),
        roots=roots,
        tenant=_paths(record, "tenant", roots, needed=False),
        host=_paths(record, "host", roots),
        discriminator=_paths(record, "discriminator", roots),
        time_paths=_paths(time, "paths", roots),
        time_form=time.choice("form", TIME_FORMS),
        require=_require(record, roots),
        id_form=id_form,
        unknown_ids=_unknown_ids(ids, id_form),
        events=events,
    )


def _paths(table: Table, key: str, roots: tuple[str, ...], *, needed: bool = True) -> tuple[str, ...]:
    paths = table.texts(key, needed=needed)
    for path in paths:
        _check_path(table, path)
        for root in roots:
            if (root.count(".") + 1 if root else 0) + path.count(".") + 1 > PATH_KEYS:
                table.fail(f"path {path!r} under root {root!r} has more than {PATH_KEYS} keys", path)
    if len(_expand(roots, paths)) > ALTERNATIVES:
        table.fail(f"{key} has more than {ALTERNATIVES} alternatives under the roots", key)
    return paths


def _check_path(table: Table, path: str) -> None:
    if not all(path.split(".")):
        table.fail(f"path {path!r} has an empty key", path)


def _unknown_ids(ids: Table, form: str) -> tuple[str, ...]:
    unknown = ids.texts("unknown", needed=False)
    for text in unknown:
        if form == "guid" and (text.startswith("{") or text != text.lower()):
            ids.fail(f"unknown id {text!r} must be lower case without braces", text)
    return unknown


def _require(record: Table, roots: tuple[str, ...]) -> tuple[Condition, ...]:
    conditions: list[Condition] = []
    for part in record.tables("require"):
        condition = _condition(part, roots, "reason")
        if condition.reason in OUTCOMES:
            part.fail(f"reason {condition.reason!r} is taken by the format itself", condition.reason)
        conditions.append(condition)
    return tuple(conditions)


def _condition(table: Table, roots: tuple[str, ...], *more: str) -> Condition:
    table.only("paths", *CONDITION_OPS, "negate", *more)
    ops = [op for op in CONDITION_OPS if op in table.values]
    if len(ops) != 1:
        table.fail(f"needs exactly one of {', '.join(CONDITION_OPS)}", *ops)
    values = table.texts(ops[0])
    if "" in values:
        table.fail("an empty text is never there to compare with", ops[0])
    return Condition(
        paths=_paths(table, "paths", roots),
        op=ops[0],
        values=values,
        negate=table.flag("negate"),
        reason=table.text("reason") if "reason" in more else "",
    )


def _event(table: Table, roots: tuple[str, ...], defaults: dict[str, Source | None]) -> EventMapping:
    table.only("when", "kind", "process", "where", "columns")
    own = _columns(table.table("columns"), roots) if "columns" in table.values else {}
    merged = {**defaults, **own}
    return EventMapping(
        when=table.texts("when"),
        kind=table.choice("kind", KINDS),
        process=_paths(table, "process", roots),
        where=tuple(_condition(part, roots) for part in table.tables("where")),
        columns={name: source for name in COLUMNS if (source := merged.get(name)) is not None},
    )


def _columns(table: Table, roots: tuple[str, ...]) -> dict[str, Source | None]:
    table.only(*COLUMNS)
    return {name: _source(table.table(name), roots) for name in table.values}


def _source(table: Table, roots: tuple[str, ...]) -> Source | None:
    """The source of a column; an empty table says that the event has none."""
    if not table.values:
        return None
    table.only("paths", "form", "port")
    form = table.choice("form", SOURCE_FORMS, "text")
    if "port" in table.values and form != "endpoint":
        table.fail("port is only for form = 'endpoint'", "port")
    port = _paths(table, "port", roots) if form == "endpoint" else ()
    return Source(_paths(table, "paths", roots), form, port)


def _check_mappings(top: Table, events: tuple[EventMapping, ...]) -> None:
    counts: dict[str, int] = {}
    for event in events:
        for value in event.when:
            counts[value] = counts.get(value, 0) + 1
            if counts[value] > MAPPINGS_PER_WHEN:
                top.fail(f"more than {MAPPINGS_PER_WHEN} events for when = {value!r}", value)


# --- fold definitions ------------------------------------------------------------------------


def _definition(top: Table) -> FoldDefinition:
    top.only("name", "version", "description", "reducer")
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
    return FoldDefinition(
        name=top.text("name"),
        version=top.integer("version", 1, 1 << 16),
        description=top.text("description", ""),
        reducers=tuple(sorted(reducers, key=lambda r: r.tag)),
    )


def _reducer(table: Table) -> Reducer:
    table.only("tag", "name", "op", "column", "kinds", "limit", "text_bytes")
    op = table.choice("op", tuple(op for op in OPS if op != _MARKS))
    name = table.text("name")
    if name in SHOWN_NAMES:
        table.fail(f"name {name!r} is taken by the format itself", name)
    keeps_text = op in ("first", "last", "set")
    kinds = table.texts("kinds") if "kinds" in table.values else ()
    for kind in kinds:
        if kind not in KINDS:
            table.fail(f"unknown kind {kind!r}; allowed: {', '.join(KINDS)}", kind)
    if op != "set" and "limit" in table.values:
        table.fail("limit is only for op = 'set'", "limit")
    if not keeps_text and "text_bytes" in table.values:
        table.fail("text_bytes is only for op = 'first', 'last' or 'set'", "text_bytes")
    default_bytes = MEMBER_BYTES_DEFAULT if op == "set" else TEXT_BYTES_DEFAULT
    return Reducer(
        tag=table.integer("tag", 1, TAG_MAX),
        name=name,
        op=op,
        column=_reducer_column(table, op),
        kinds=kinds,
        limit=table.integer("limit", 1, SET_LIMIT_MAX, SET_LIMIT_DEFAULT) if op == "set" else 0,
        text_bytes=table.integer("text_bytes", TEXT_BYTES_MIN, TEXT_BYTES_MAX, default_bytes) if keeps_text else 0,
    )


def _reducer_column(table: Table, op: str) -> str | None:
    if op == "count":
        if "column" in table.values:
            table.fail("op = 'count' reads no column", "column")
        return None
    allowed = ("time", *COLUMNS) if op in ("min", "max") else COLUMNS
    return table.choice("column", allowed)
