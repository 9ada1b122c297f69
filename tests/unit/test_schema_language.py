"""What the schema language can say beyond one path for one text, and what of it is refused."""

from __future__ import annotations

import pytest

from fastfold.errors import SchemaError
from fastfold.schema import (
    CONDITION_OPS,
    MAPPINGS_PER_WHEN,
    Schema,
    Source,
    TimeSource,
    expand_paths,
    list_schemas,
    load_schema,
)
from fastfold.schema_read import read_schema
from fastfold.tables import parse_table

SCHEMA = """\
name = "test"
version = 1
roots = ["", "Data"]
embedded = ["Data", "More"]
detect = [
    ["org", "More.type"],
    ["deep.place"],
]

[record]
host = ["host", "More.host"]
discriminator = ["type"]
time = [
    { paths = ["seen"], form = "epoch_s_or_filetime" },
    { paths = ["at"], form = "audit" },
]

[id]
form = "text"
unknown = ["0"]

[columns]
image = { paths = ["exe"], absent = ["-"] }

[[event]]
when = ["*Written", "Made"]
kind = "file_write"
process = { paths = ["uid"], parts = ["pid", "start"] }
where = [
    { paths = ["action"], has = ["WRITE"] },
    { paths = ["name"], ends = [".exe"] },
]
[event.columns]
parent = { parts = ["ppid"], form = "id" }
file = { paths = ["PATH[-1].name"] }
command_line = { paths = ["argv"], form = "words", absent = ["(none)"] }

[[event]]
when = ["*"]
kind = "registry_set"
process = ["pid"]
columns = { registry = { paths = ["key"], name = ["value"], form = "registry" } }
"""


def schema_of(text: str) -> Schema:
    return read_schema(parse_table("given.toml", text.encode()))


def test_the_language_is_read_as_written() -> None:
    schema = schema_of(SCHEMA)
    assert schema.times == (TimeSource(("seen",), "epoch_s_or_filetime"), TimeSource(("at",), "audit"))
    assert schema.embedded == ("Data", "More")
    assert schema.detect == (("org", "More.type"), ("deep.place",))
    written, other = schema.events
    assert written.process == Source(("uid",), "id", (), ("pid", "start"))
    assert [(condition.op, condition.values) for condition in written.where] == [
        ("has", ("WRITE",)),
        ("ends", (".exe",)),
    ]
    assert written.columns == {
        "image": Source(("exe",), absent=("-",)),
        "command_line": Source(("argv",), "words", absent=("(none)",)),
        "parent": Source((), "id", parts=("ppid",)),
        "file": Source(("PATH[-1].name",)),
    }
    assert other.process == Source(("pid",), "id")
    assert other.columns["registry"] == Source(("key",), "registry", ("value",))


def test_a_process_may_be_given_as_a_table_without_parts() -> None:
    text = SCHEMA.replace('process = ["pid"]', 'process = { paths = ["pid"] }')
    assert schema_of(text) == schema_of(SCHEMA)


def test_a_time_may_be_one_table() -> None:
    begin, end = SCHEMA.index("time = ["), SCHEMA.index("\n\n[id]")
    text = SCHEMA[:begin] + 'time = { paths = ["at"], form = "iso" }' + SCHEMA[end:]
    assert schema_of(text).times == (TimeSource(("at",), "iso"),)


def test_no_dotted_key_reaches_over_an_array() -> None:
    assert expand_paths(("r",), ("a.PATH[-1].b.c",)) == (
        ("r", "a", "PATH[-1]", "b", "c"),
        ("r", "a", "PATH[-1]", "b.c"),
        ("r", "a.PATH[-1]", "b", "c"),
        ("r", "a.PATH[-1]", "b.c"),
        ("r.a", "PATH[-1]", "b", "c"),
        ("r.a", "PATH[-1]", "b.c"),
        ("r.a.PATH[-1]", "b", "c"),
        ("r.a.PATH[-1]", "b.c"),
    )


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("a", ["a"], ["", "ab", "ba", "A"]),
        ("a*", ["a", "ab"], ["", "ba"]),
        ("*a", ["a", "ba"], ["", "ab"]),
        ("*", ["a", "*"], []),
    ],
)
def test_what_a_value_of_when_matches(pattern: str, matches: list[str], others: list[str]) -> None:
    event = schema_of(SCHEMA.replace('"*Written", "Made"', f'"{pattern}"')).events[0]
    assert all(map(event.is_for, matches))
    assert not any(map(event.is_for, others))


# --- what is refused -----------------------------------------------------------------------------

# (what to replace, by what, the text that marks the line of the fault, what the error says)
FAULTS = [
    ('form = "audit"', 'form = "audit_s"', "audit_s", "form = 'audit_s'; allowed: iso, .*epoch_s_or_filetime, audit$"),
    ('paths = ["at"], ', "", "time =", r"\[record\] time 2: paths is missing"),
    ('{ paths = ["at"], form = "audit" }', '"at"', "time =", "time must be a list of tables, has 'at'"),
    ('"*Written"', '"Zip*Written"', "Zip", r"when = 'Zip\*Written': one \* may stand, at the start or the end"),
    ('"*Written"', '"*Written*"', "*Written*", "at the start or the end"),
    ('"*Written"', '"**"', "**", "at the start or the end"),
    ('"*Written", "Made"', '"Made", ""', "Made", "an empty text is never the discriminator"),
    ('has = ["WRITE"]', 'has = ["A | B"]', "A | B", r"'A \| B' is never a part between bars"),
    ('has = ["WRITE"]', 'has = [" A"]', '" A"', "' A' is never a part between bars"),
    ('has = ["WRITE"]', 'has = [""]', "has =", "an empty text is never there"),
    ('ends = [".exe"]', 'ends = [".exe"], has = ["a"]', "ends", "exactly one of"),
    ('name = ["value"], ', "", "columns = {", r"\[\[event\]\] 2 columns registry: name is missing"),
    ('name = ["value"]', 'port = ["value"]', "port", "port is only for form = 'endpoint'"),
    ('form = "words"', 'name = ["value"]', 'name = ["value"], abs', "name is only for form = 'registry'"),
    ('form = "words"', 'form = "words", parts = ["a"]', 'parts = ["a"]', "parts is only for form = 'id'"),
    ('absent = ["(none)"]', 'absent = ["", "a"]', 'absent = ["", "a"]', "empty text is absent"),
    ('absent = ["(none)"]', "absent = []", "absent = []", "absent is empty"),
    ('parts = ["ppid"], form = "id"', 'paths = ["a"], form = "id", absent = ["0"]', "\"a\"], form", "absent is not"),
    ('parts = ["ppid"]', "parts = []", "parts = []", "parts is empty"),
    ('parts = ["ppid"]', 'parts = ["a..b"]', "a..b", "has an empty key"),
    ('parts = ["ppid"]', 'parts = ["a.b.c.d.e.f"]', "a.b.c.d.e.f", "more than 6 keys"),
    ('parts = ["ppid"], form = "id"', 'form = "id"', 'form = "id"', "paths is missing"),
    ('paths = ["uid"], parts', 'path = ["uid"], parts', 'path = ["uid"]', "unknown key 'path'; allowed: paths, parts"),
    ('paths = ["uid"], parts = ["pid", "start"]', "", "process = {", "paths is missing"),
    ('process = ["pid"]', 'process = "pid"', 'process = "pid"', "process must be a list"),
    ('"PATH[-1].name"', '"PATH[-1]"', '"PATH[-1]"', r"path 'PATH\[-1\]' ends in \[-1\]"),
    ('"PATH[-1].name"', '"a.[-1].name"', "a.[-1]", "has an empty key"),
    ('"PATH[-1].name"', '"P[-1]A.name"', "P[-1]A", r"\[-1\] may stand once, at the end of a key"),
    ('"PATH[-1].name"', '"P[-1][-1].name"', "P[-1][-1]", "may stand once"),
    ('"PATH[-1].name"', '"PATH[-1].name", "PATH.name"', "PATH[-1]", "as an object and as an array"),
    ('"PATH[-1].name"', '"key[-1].name", "key.name.x"', "key[-1]", "as an object and as an array"),
    ('"PATH[-1].name"', '"Data[-1].name"', "Data[-1]", "as an object and as an array"),
    ('"PATH[-1].name"', '"More[-1].name"', "More[-1]", "as an object and as an array"),
    ('["Data", "More"]', '["Data", "PATH"]', '"PATH[-1].name"', "'PATH' is an embedded object, not an array"),
    ('["Data", "More"]', '["Data", "key"]', "embedded", "'key' is embedded JSON, and cannot be a text itself"),
    ('["Data", "More"]', '["Data", "Other"]', "embedded", "no path leads into the embedded 'Other'"),
    ('["Data", "More"]', '["Data", "a.b"]', "embedded", "'a.b' must be one key of the record itself"),
    ('["Data", "More"]', '["Data", "a[-1]"]', "embedded", "must be one key of the record itself"),
    ('["Data", "More"]', '["Data", ""]', "embedded", "'' must be one key"),
    ('["Data", "More"]', '["a", "b", "c", "d", "e"]', "embedded", "embedded has more than 4 places"),
    ('["Data", "More"]', '"Data"', "embedded", "embedded must be a list"),
    ('["deep.place"]', '[]', "detect", "detect is empty"),
    ('["deep.place"]', '"deep.place"', "detect", "detect must be a list, is 'deep.place'"),
    ('["deep.place"]', '["deep..place"]', "deep..place", "has an empty key"),
    ('["deep.place"]', '["deep", "deep"]', '"deep"', "detect names 'deep' twice"),
    ('["deep.place"]', '["x.y[-1]"]', "y[-1]", r"ends in \[-1\]"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "mark", "reason"), FAULTS, ids=lambda value: str(value)[:40])
def test_a_fault_is_told_with_its_line(old: str, new: str, mark: str, reason: str) -> None:
    assert old in SCHEMA
    text = SCHEMA.replace(old, new, 1)
    with pytest.raises(SchemaError, match=reason) as caught:
        schema_of(text)
    assert caught.value.line == next(number for number, line in enumerate(text.splitlines(), 1) if mark in line)


def more(count: int, *when: str) -> str:
    values = ", ".join(f'"{value}"' for value in when)
    return f'\n[[event]]\nwhen = [{values}]\nkind = "other"\nprocess = ["pid"]\n' * count


def test_the_mappings_of_a_value_are_counted_with_its_wildcards() -> None:
    # "Made" reaches both mappings of SCHEMA already.
    schema_of(SCHEMA + more(MAPPINGS_PER_WHEN - 2, "Made"))
    with pytest.raises(SchemaError, match=r"more than 12 events for when = 'Made'"):
        schema_of(SCHEMA + more(MAPPINGS_PER_WHEN - 1, "Made"))
    with pytest.raises(SchemaError, match=r"more than 12 events for when = 'ZipWritten'"):
        schema_of(SCHEMA + more(MAPPINGS_PER_WHEN - 1, "ZipWritten"))
    # A mapping that a value reaches twice is one.
    schema_of(SCHEMA + more(MAPPINGS_PER_WHEN - 2, "Made", "M*"))


def test_the_mappings_with_a_wildcard_are_counted() -> None:
    schema_of(SCHEMA + more(MAPPINGS_PER_WHEN - 2, "x*", "*y", "z"))
    with pytest.raises(SchemaError, match=r"more than 12 events with a \* in when"):
        schema_of(SCHEMA + more(MAPPINGS_PER_WHEN - 1, "x*"))


def test_a_text_and_what_stands_in_an_array_may_share_a_key() -> None:
    """An array of scalars gives its first, an array of objects its last."""
    schema_of(SCHEMA.replace('"PATH[-1].name"', '"PATH[-1].name", "PATH"'))


def test_conditions_are_named_in_order_of_their_numbers() -> None:
    assert CONDITION_OPS == ("equals", "starts", "ends", "contains", "has")


@pytest.mark.parametrize("name", list_schemas())
def test_every_schema_of_the_package_can_be_recognised(name: str) -> None:
    assert load_schema(name).detect
