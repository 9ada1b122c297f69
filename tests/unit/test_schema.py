"""Schemas and fold definitions load, hold together, and tell the line of a fault."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fastfold.errors import SchemaError
from fastfold.schema import (
    ALTERNATIVES,
    MAPPINGS_PER_WHEN,
    Condition,
    FoldDefinition,
    Reducer,
    Schema,
    Source,
    TimeSource,
    list_definitions,
    list_schemas,
    load_definition,
    load_schema,
)
from fastfold.types import COLUMNS, KINDS

SCHEMA = """\
name = "test"
version = 3
description = "a test"
roots = ["", "data"]

[record]
tenant = ["org"]
host = ["host"]
discriminator = ["type"]
time = { paths = ["at"], form = "epoch_ms" }
require = [
    { paths = ["channel"], equals = ["x", "y"], reason = "channel" },
    { paths = ["hidden"], contains = ["yes"], negate = true, reason = "hidden" },
]

[id]
form = "text"
unknown = ["0", "-"]

[columns]
image = { paths = ["path"] }
user = { paths = ["who"] }

[[event]]
when = ["start"]
kind = "process_start"
process = ["pid"]
where = [{ paths = ["ok"], starts = ["t"] }]
[event.columns]
parent = { paths = ["ppid"], form = "id" }
user = {}

[[event]]
when = ["net", "flow"]
kind = "net_connect"
process = ["pid"]
columns = { remote = { paths = ["ip"], port = ["port"], form = "endpoint" } }
"""

DEFINITION = """\
name = "test"
version = 1

[[reducer]]
tag = 9
name = "files"
op = "set"
column = "file"
kinds = ["file_write"]
limit = 3

[[reducer]]
tag = 1
name = "first"
op = "min"
column = "time"

[[reducer]]
tag = 2
name = "counts"
op = "count"

[[reducer]]
tag = 3
name = "image"
op = "last"
column = "image"
text_bytes = 100

[[reducer]]
tag = 4
name = "bytes"
op = "sum"
column = "detail"
"""


def schema_of(text: str, folder: Path) -> Schema:
    path = folder / "given.toml"
    path.write_text(text)
    return load_schema(path)


def definition_of(text: str, folder: Path) -> FoldDefinition:
    path = folder / "given.toml"
    path.write_text(text)
    return load_definition(path)


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


# --- what is read --------------------------------------------------------------------------------


def test_a_schema_is_read_as_written(tmp_path: Path) -> None:
    schema = schema_of(SCHEMA, tmp_path)
    assert (schema.name, schema.version, schema.description) == ("test", 3, "a test")
    assert schema.roots == ("", "data")
    assert (schema.tenant, schema.host, schema.discriminator) == (("org",), ("host",), ("type",))
    assert schema.times == (TimeSource(("at",), "epoch_ms"),)
    assert schema.require == (
        Condition(("channel",), "equals", ("x", "y"), False, "channel"),
        Condition(("hidden",), "contains", ("yes",), True, "hidden"),
    )
    assert (schema.id_form, schema.unknown_ids) == ("text", ("0", "-"))
    start, net = schema.events
    assert (start.when, start.kind, start.process) == (("start",), "process_start", Source(("pid",), "id"))
    assert start.where == (Condition(("ok",), "starts", ("t",)),)
    assert net.when == ("net", "flow")


def test_events_inherit_columns_and_override_them(tmp_path: Path) -> None:
    start, net = schema_of(SCHEMA, tmp_path).events
    assert start.columns == {"image": Source(("path",)), "parent": Source(("ppid",), "id")}
    assert net.columns == {
        "image": Source(("path",)),
        "user": Source(("who",)),
        "remote": Source(("ip",), "endpoint", ("port",)),
    }
    assert schema_of(SCHEMA, tmp_path).columns() == {"image", "user", "parent", "remote"}


def test_a_definition_is_read_in_order_of_tags(tmp_path: Path) -> None:
    definition = definition_of(DEFINITION, tmp_path)
    assert definition.reducers == (
        Reducer(1, "first", "min", "time", (), 0, 0),
        Reducer(2, "counts", "count", None, (), 0, 0),
        Reducer(3, "image", "last", "image", (), 0, 100),
        Reducer(4, "bytes", "sum", "detail", (), 0, 0),
        Reducer(9, "files", "set", "file", ("file_write",), 3, 512, 288, 128),
    )
    assert definition.columns() == {"image", "detail", "file"}


def test_paths_expand_path_by_path_root_by_root_nested_first(tmp_path: Path) -> None:
    schema = schema_of(SCHEMA, tmp_path)
    assert schema.expand(("a", "b.c")) == (
        ("a",),
        ("data", "a"),
        ("data.a",),
        ("b", "c"),
        ("b.c",),
        ("data", "b", "c"),
        ("data", "b.c"),
        ("data.b", "c"),
        ("data.b.c",),
    )


def test_expand_names_no_way_twice(tmp_path: Path) -> None:
    ways = schema_of(SCHEMA, tmp_path).expand(("data.a", "a", "data.a"))
    assert len(set(ways)) == len(ways)
    assert ways[:2] == (("data", "a"), ("data.a",))


def test_the_package_has_sysmon_and_process() -> None:
    assert "sysmon" in list_schemas()
    assert "process" in list_definitions()


@pytest.mark.parametrize("name", list_schemas())
def test_every_schema_of_the_package_loads_under_its_name(name: str) -> None:
    schema = load_schema(name)
    assert schema.name == name
    assert {event.kind for event in schema.events} <= set(KINDS)
    assert schema.columns() <= set(COLUMNS)


@pytest.mark.parametrize("name", list_definitions())
def test_every_definition_of_the_package_loads_under_its_name(name: str) -> None:
    definition = load_definition(name)
    assert definition.name == name
    assert definition.columns() <= set(COLUMNS)
    tags = [reducer.tag for reducer in definition.reducers]
    assert tags == sorted(set(tags))


def test_the_tags_of_process_never_change() -> None:
    """Values in Redis hold them."""
    assert [(r.tag, r.name, r.op) for r in load_definition("process").reducers[:15]] == [
        (1, "first", "min"),
        (2, "last", "max"),
        (3, "counts", "count"),
        (4, "image", "first"),
        (5, "command_line", "first"),
        (6, "user", "first"),
        (7, "parent", "first"),
        (8, "files", "set"),
        (9, "deleted", "set"),
        (10, "remotes", "set"),
        (11, "domains", "set"),
        (12, "registry", "set"),
        (13, "modules", "set"),
        (14, "targets", "set"),
        (15, "sources", "set"),
    ]


def test_schemas_and_definitions_are_frozen() -> None:
    with pytest.raises(AttributeError):
        load_schema("sysmon").name = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        load_definition("process").name = "other"  # type: ignore[misc]


# --- what is refused -----------------------------------------------------------------------------

# (what to replace, by what, the text that marks the line of the fault or None, what the error says)
SCHEMA_FAULTS = [
    ('version = 3\n', 'version = 3\ncolour = 1\n', "colour", r"unknown key 'colour'; allowed: name, version, .*event"),
    ('version = 3', 'version = "3"', "version", "version must be a whole number"),
    ('version = 3', 'version = true', "version", "version must be a whole number"),
    ('version = 3', 'version = 0', "version", "version = 0; allowed: 1 to 65536"),
    ('name = "test"\n', "", None, "name is missing"),
    ('name = "test"', 'name = ""', "name", "name is empty"),
    ('["", "data"]', '["", 5]', "roots", "roots must be a list of texts, has 5"),
    ('["", "data"]', '["", "a..b"]', "a..b", r"path 'a\.\.b' has an empty key"),
    ('["", "data"]', '[]', "roots", "roots is empty"),
    ('host = ["host"]', 'hosts = ["host"]', "hosts", r"\[record\]: unknown key 'hosts'; allowed: tenant, host"),
    ('host = ["host"]', 'host = "host"', 'host = "host"', "host must be a list"),
    ('host = ["host"]', 'host = ["host", "host"]', 'host = ["host"', "host names 'host' twice"),
    ('host = ["host"]', 'host = ["a.b.c.d.e.f"]', "a.b.c.d.e.f", "more than 6 keys"),
    ('host = ["host"]', f'host = {[f"h{i}" for i in range(ALTERNATIVES)]}', "h0", "more than 64 alternatives"),
    ('discriminator = ["type"]\n', "", "[record]", "discriminator is missing"),
    ('form = "epoch_ms"', 'form = "epoch"', "epoch", "form = 'epoch'; allowed: iso, epoch_s, epoch_ms"),
    ('paths = ["at"], ', "", "time =", "paths is missing"),
    ('time = { paths = ["at"], form = "epoch_ms" }', 'time = ["at"]', "time =", "time must be a list of tables"),
    ('equals = ["x", "y"]', 'matches = ["x"]', "matches", "unknown key 'matches'; allowed: paths, equals"),
    ('equals = ["x", "y"]', 'equals = ["x"], starts = ["y"]', "equals", "one of equals, starts, ends, contains, has"),
    ('equals = ["x", "y"], ', "", "require", "exactly one of"),
    ('equals = ["x", "y"]', 'equals = [""]', "equals", "empty text"),
    ('negate = true', 'negate = 1', "negate", "negate must be true or false"),
    ('reason = "hidden"', 'reason = "host"', 'reason = "host"', "reason 'host' is taken"),
    (', reason = "hidden"', "", "require", "reason is missing"),
    ('form = "text"\nunknown', 'form = "uuid"\nunknown', "uuid", "form = 'uuid'; allowed: guid, text"),
    ('form = "text"\nunknown = ["0", "-"]', 'form = "guid"\nunknown = ["{AB}"]', "{AB}", "lower case without braces"),
    ('image = { paths', 'picture = { paths', "picture", "unknown key 'picture'; allowed: image, command_line"),
    ('image = { paths = ["path"] }', 'image = ["path"]', "image =", "image must be a table"),
    ('kind = "process_start"', 'kind = "started"', "started", r"\[\[event\]\] 1: kind = 'started'; allowed: proc"),
    ('kind = "net_connect"', 'kind = "connected"', "connected", r"\[\[event\]\] 2: kind = 'connected'"),
    ('when = ["net", "flow"]', 'when = []', "when = []", "when is empty"),
    ('process = ["pid"]\nwhere', 'where', '[[event]]', r"\[\[event\]\] 1: process is missing"),
    ('starts = ["t"] }', 'starts = ["t"], reason = "x" }', 'reason = "x"', "unknown key 'reason'"),
    ('form = "id"', 'form = "guid"', 'form = "guid"', "form = 'guid'; allowed: text, id, endpoint, registry, words"),
    ('form = "id"', 'port = ["p"]', 'port = ["p"]', "port is only for form = 'endpoint'"),
    (', port = ["port"]', "", "endpoint", "port is missing"),
    (', form = "endpoint"', ', forms = "endpoint"', "forms", "unknown key 'forms'; allowed: paths, form, port, name, "),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "mark", "reason"), SCHEMA_FAULTS, ids=lambda value: str(value)[:40])
def test_a_fault_in_a_schema_is_told_with_its_line(
    old: str, new: str, mark: str | None, reason: str, tmp_path: Path
) -> None:
    assert old in SCHEMA
    text = SCHEMA.replace(old, new, 1)
    with pytest.raises(SchemaError, match=reason) as caught:
        schema_of(text, tmp_path)
    assert caught.value.file == str(tmp_path / "given.toml")
    assert caught.value.line == (line_of(text, mark) if mark is not None else None)


DEFINITION_FAULTS = [
    ("limit = 3", "limit = 0", "limit", "limit = 0; allowed: 1 to 1024"),
    ("limit = 3", "limit = 1025", "limit", "limit = 1025; allowed: 1 to 1024"),
    ("limit = 3", "most = 3", "most", r"\[\[reducer\]\] 1: unknown key 'most'; allowed: tag, name, op"),
    ("text_bytes = 100", "text_bytes = 3", "text_bytes", "text_bytes = 3; allowed: 4 to 1048576"),
    ("text_bytes = 100", "limit = 5", "limit = 5", "limit is only for op = 'set'"),
    ("tag = 2", "tag = 1", None, "tag 1 is used twice"),
    ("tag = 2", "tag = 0", "tag = 0", "tag = 0; allowed: 1 to 1048576"),
    ("tag = 9", "tag = 1048577", "tag", "allowed: 1 to 1048576"),
    ('name = "counts"', 'name = "first"', None, "name 'first' is used twice"),
    ('name = "counts"', 'name = "more"', "more", "name 'more' is taken"),
    ('op = "count"', 'op = "marks"', "marks", "op = 'marks'; allowed: count, min, max, sum, first, last, set$"),
    ('op = "count"', 'op = "count"\ncolumn = "image"', None, "op = 'count' reads no column"),
    ('op = "count"', 'op = "count"\ntext_bytes = 9', "text_bytes = 9", "text_bytes is only for op"),
    ('column = "detail"', 'column = "time"', None, "column = 'time'; allowed: image"),
    ('column = "detail"', 'column = "size"', "size", "column = 'size'; allowed: image"),
    ('column = "detail"\n', "", None, "column is missing"),
    ('kinds = ["file_write"]', 'kinds = ["write"]', "write", "unknown kind 'write'; allowed: process_start"),
    ('kinds = ["file_write"]', "kinds = []", "kinds", "kinds is empty"),
    ('name = "test"\nversion = 1', 'name = "test"\nversion = 1\nextra = 1', "extra", "unknown key 'extra'"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "mark", "reason"), DEFINITION_FAULTS, ids=lambda value: str(value)[:40])
def test_a_fault_in_a_definition_is_told(old: str, new: str, mark: str | None, reason: str, tmp_path: Path) -> None:
    assert old in DEFINITION
    text = DEFINITION.replace(old, new, 1)
    with pytest.raises(SchemaError, match=reason) as caught:
        definition_of(text, tmp_path)
    assert caught.value.line is not None
    if mark is not None:
        assert caught.value.line == line_of(text, mark)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('name = "a"\nversion = = 1\n', 2),
        ('name = "a"\nversion = 1\n[record\n', 3),
        ('name = "a"\nname = "b"\n', 2),
        ('name = "a"\ntext = """\n\n', 4),
    ],
)
def test_a_fault_of_toml_is_told_with_its_line(text: str, line: int, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="not TOML") as caught:
        schema_of(text, tmp_path)
    assert caught.value.line == line
    assert "line" not in caught.value.reason


def test_a_file_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "given.toml"
    path.write_bytes(b'name = "a"\n# \xff\n')
    with pytest.raises(SchemaError, match="not UTF-8") as caught:
        load_schema(path)
    assert caught.value.line == 2


def test_more_mappings_than_fit_are_refused(tmp_path: Path) -> None:
    more = '\n[[event]]\nwhen = ["net"]\nkind = "net_accept"\nprocess = ["pid"]\n'
    schema_of(SCHEMA + more * (MAPPINGS_PER_WHEN - 1), tmp_path)
    with pytest.raises(SchemaError, match=f"more than {MAPPINGS_PER_WHEN} events for when = 'net'"):
        schema_of(SCHEMA + more * MAPPINGS_PER_WHEN, tmp_path)


def test_a_schema_without_events_and_a_definition_without_reducers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=re.escape("no [[event]]")):
        schema_of(SCHEMA[: SCHEMA.index("[[event]]")], tmp_path)
    with pytest.raises(SchemaError, match=re.escape("no [[reducer]]")):
        definition_of(DEFINITION[: DEFINITION.index("[[reducer]]")], tmp_path)


def test_an_unknown_name_tells_the_known_ones() -> None:
    with pytest.raises(SchemaError, match=r"nothing: no such schema; there are: .*sysmon"):
        load_schema("nothing")
    with pytest.raises(SchemaError, match=r"nothing: no such fold definition; there are: .*process"):
        load_definition("nothing")


def test_a_missing_file_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "absent.toml"
    with pytest.raises(SchemaError, match="cannot be read: No such file") as caught:
        load_schema(str(path))
    assert caught.value.file == str(path)


def test_a_text_ending_in_toml_is_a_file_and_a_bare_name_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sysmon").write_text("nonsense")
    (tmp_path / "own.toml").write_text(SCHEMA)
    assert load_schema("sysmon").name == "sysmon"
    assert load_schema("own.toml").name == "test"
