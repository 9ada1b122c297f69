"""Record schemas: a TOML table, checked, to a `Schema`.

`fastfold.schema` finds the table and has the public names.  Checks of one value stand where the
value is read; `_check_*` at the end look at the schema as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastfold.schema_types import (
    ALTERNATIVES,
    CONDITION_OPS,
    EMBEDDED,
    ID_FORMS,
    LAST,
    MAPPINGS_PER_WHEN,
    OUTCOMES,
    PATH_KEYS,
    SOURCE_FORMS,
    TIME_FORMS,
    Condition,
    EventMapping,
    Schema,
    Source,
    TimeSource,
    expand_paths,
)
from fastfold.tables import Table
from fastfold.types import COLUMNS, KINDS

__all__ = ["read_schema"]

# What the second text of a source is called, by its form.
_TAILS = {"endpoint": "port", "registry": "name"}


def read_schema(top: Table) -> Schema:
    """The schema that the top table of a file says.

    Parameters
    ----------
    top : Table

    Raises
    ------
    SchemaError
    """
    top.only("name", "version", "description", "roots", "embedded", "detect", "record", "id", "columns", "event")
    roots = top.texts("roots") if "roots" in top.values else ("",)
    for root in roots:
        if root:
            _check_keys(top, root)
    record = top.table("record")
    record.only("tenant", "host", "discriminator", "time", "require")
    ids = top.table("id")
    ids.only("form", "unknown")
    id_form = ids.choice("form", ID_FORMS)
    defaults = _columns(top.table("columns"), roots) if "columns" in top.values else {}
    events = tuple(_event(part, roots, defaults) for part in top.tables("event"))
    if not events:
        top.fail("no [[event]]")
    schema = Schema(
        name=top.text("name"),
        version=top.integer("version", 1, 1 << 16),
        description=top.text("description", ""),
        roots=roots,
        tenant=_paths(record, "tenant", roots, needed=False),
        host=_paths(record, "host", roots),
        discriminator=_paths(record, "discriminator", roots),
        times=_times(record, roots),
        require=_require(record, roots),
        id_form=id_form,
        unknown_ids=_unknown_ids(ids, id_form),
        events=events,
        embedded=_embedded(top),
        detect=_detect(top),
    )
    _check_mappings(top, schema)
    _check_places(top, schema)
    return schema


# --- paths -----------------------------------------------------------------------------------


def _paths(table: Table, key: str, roots: tuple[str, ...], *, needed: bool = True) -> tuple[str, ...]:
    paths = table.texts(key, needed=needed)
    _check_paths(table, key, roots, paths)
    return paths


def _check_paths(table: Table, key: str, roots: tuple[str, ...], paths: tuple[str, ...]) -> None:
    for path in paths:
        _check_keys(table, path)
        if path.endswith(LAST):
            table.fail(f"path {path!r} ends in {LAST}: it must name a key of the last element", path)
        for root in roots:
            if (root.count(".") + 1 if root else 0) + path.count(".") + 1 > PATH_KEYS:
                table.fail(f"path {path!r} under root {root!r} has more than {PATH_KEYS} keys", path)
    if len(expand_paths(roots, paths)) > ALTERNATIVES:
        table.fail(f"{key} has more than {ALTERNATIVES} alternatives under the roots", key)


def _check_keys(table: Table, path: str) -> None:
    for key in path.split("."):
        name = key.removesuffix(LAST)
        if not name:
            table.fail(f"path {path!r} has an empty key", path)
        if LAST in name:
            table.fail(f"path {path!r}: {LAST} may stand once, at the end of a key", path)


# --- record ----------------------------------------------------------------------------------


def _times(record: Table, roots: tuple[str, ...]) -> tuple[TimeSource, ...]:
    """One table, or a list of them that are tried in order."""
    parts = record.tables("time") if isinstance(record.values.get("time"), list) else [record.table("time")]
    if not parts:
        record.fail("time is empty", "time")
    times: list[TimeSource] = []
    for part in parts:
        part.only("paths", "form")
        times.append(TimeSource(_paths(part, "paths", roots), part.choice("form", TIME_FORMS)))
    return tuple(times)


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
    for value in values:
        if ops[0] == "has" and ("|" in value or value.strip(" ") != value):
            table.fail(f"{value!r} is never a part between bars", value)
    return Condition(
        paths=_paths(table, "paths", roots),
        op=ops[0],
        values=values,
        negate=table.flag("negate"),
        reason=table.text("reason") if "reason" in more else "",
    )


def _embedded(top: Table) -> tuple[str, ...]:
    places = top.texts("embedded", needed=False)
    if len(places) > EMBEDDED:
        top.fail(f"embedded has more than {EMBEDDED} places", "embedded")
    for place in places:
        if not place or "." in place or LAST in place:
            top.fail(f"embedded place {place!r} must be one key of the record itself", "embedded")
    return places


def _detect(top: Table) -> tuple[tuple[str, ...], ...]:
    found = top.text_lists("detect")
    for paths in found:
        _check_paths(top, "detect", ("",), paths)
    return found


# --- events ----------------------------------------------------------------------------------


def _event(table: Table, roots: tuple[str, ...], defaults: dict[str, Source | None]) -> EventMapping:
    table.only("when", "kind", "process", "where", "columns")
    own = _columns(table.table("columns"), roots) if "columns" in table.values else {}
    merged = {**defaults, **own}
    return EventMapping(
        when=_when(table),
        kind=table.choice("kind", KINDS),
        process=_process(table, roots),
        where=tuple(_condition(part, roots) for part in table.tables("where")),
        columns={name: source for name in COLUMNS if (source := merged.get(name)) is not None},
    )


def _when(table: Table) -> tuple[str, ...]:
    when = table.texts("when")
    for pattern in when:
        if not pattern:
            table.fail("an empty text is never the discriminator", "when")
        if "*" in pattern[1:-1] or pattern.count("*") > 1:
            table.fail(f"when = {pattern!r}: one * may stand, at the start or the end", pattern)
    return when


def _process(table: Table, roots: tuple[str, ...]) -> Source:
    """A list of paths, or a table that may have parts."""
    if not isinstance(table.values.get("process"), dict):
        return Source(_paths(table, "process", roots), "id")
    part = table.table("process")
    part.only("paths", "parts")
    return _id_source(part, roots)


def _columns(table: Table, roots: tuple[str, ...]) -> dict[str, Source | None]:
    table.only(*COLUMNS)
    return {name: _source(table.table(name), roots) for name in table.values}


def _source(table: Table, roots: tuple[str, ...]) -> Source | None:
    """The source of a column; an empty table says that the event has none."""
    if not table.values:
        return None
    table.only("paths", "form", *_TAILS.values(), "parts", "absent")
    form = table.choice("form", SOURCE_FORMS, "text")
    for owner, tail in _TAILS.items():
        if tail in table.values and form != owner:
            table.fail(f"{tail} is only for form = {owner!r}", tail)
    if form == "id":
        if "absent" in table.values:
            table.fail("absent is not for form = 'id': [id] unknown is", "absent")
        return _id_source(table, roots)
    if "parts" in table.values:
        table.fail("parts is only for form = 'id'", "parts")
    absent = table.texts("absent") if "absent" in table.values else ()
    if "" in absent:
        table.fail("an empty text is absent already", "absent")
    tail_paths = _paths(table, _TAILS[form], roots) if form in _TAILS else ()
    return Source(_paths(table, "paths", roots), form, tail_paths, (), absent)


def _id_source(table: Table, roots: tuple[str, ...]) -> Source:
    has_parts = "parts" in table.values
    parts = table.texts("parts") if has_parts else ()
    for part in parts:
        _check_paths(table, "parts", roots, (part,))
    return Source(_paths(table, "paths", roots, needed=not has_parts), "id", (), parts)


# --- the whole -------------------------------------------------------------------------------


def _check_mappings(top: Table, schema: Schema) -> None:
    """The core has fixed room for the mappings that one discriminator value may reach."""
    wild = [event for event in schema.events if any("*" in pattern for pattern in event.when)]
    if len(wild) > MAPPINGS_PER_WHEN:
        top.fail(f"more than {MAPPINGS_PER_WHEN} events with a * in when", *(w for w in wild[-1].when if "*" in w))
    for value in dict.fromkeys(value for event in schema.events for value in event.when if "*" not in value):
        if sum(event.is_for(value) for event in schema.events) > MAPPINGS_PER_WHEN:
            top.fail(f"more than {MAPPINGS_PER_WHEN} events for when = {value!r}", value)


def _check_places(top: Table, schema: Schema) -> None:
    """No place of a record may have to be two things at once."""
    above: dict[tuple[str, ...], str] = {}
    leaves: set[tuple[str, ...]] = set()
    for path in _all_paths(schema):
        for keys in schema.expand((path,)):
            leaves.add(keys)
            for count in range(1, len(keys)):
                above.setdefault(keys[:count], path)
    for place, path in above.items():
        if place[-1].endswith(LAST) and (*place[:-1], place[-1].removesuffix(LAST)) in above:
            top.fail(f"path {path!r}: the same key is taken as an object and as an array of them", path)
    for name in schema.embedded:
        if (name,) in leaves:
            top.fail(f"{name!r} is embedded JSON, and cannot be a text itself", name)
        if (name + LAST,) in above:
            top.fail(f"{name!r} is an embedded object, not an array", above[name + LAST,], name)
        if (name,) not in above:
            top.fail(f"no path leads into the embedded {name!r}", name)


def _all_paths(schema: Schema) -> Iterator[str]:
    yield from (*schema.tenant, *schema.host, *schema.discriminator)
    for time in schema.times:
        yield from time.paths
    for condition in schema.require:
        yield from condition.paths
    for event in schema.events:
        for condition in event.where:
            yield from condition.paths
        for source in (event.process, *event.columns.values()):
            yield from (*source.paths, *source.tail, *source.parts)
