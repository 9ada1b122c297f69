"""The reference reads what the schema language can say: one small schema for each of its words."""

from __future__ import annotations

import json

import pytest

from fastfold.errors import Reject, SchemaError
from fastfold.reference import Event, Reading, read_lines
from fastfold.schema import Schema
from fastfold.schema_read import read_schema
from fastfold.tables import parse_table
from fastfold.types import Limits

TOP = 'name = "own"\nversion = 1\n'
RECORD = '[record]\nhost = ["host"]\ndiscriminator = ["type"]\ntime = { paths = ["at"], form = "epoch_s" }\n'
ID = '[id]\nform = "text"\nunknown = ["0"]\n'
EVENT = '[[event]]\nwhen = ["a"]\nkind = "other"\nprocess = ["pid"]\n'
ODD = "\ud800"
SHOWN = "\ufffd"


def schema(top: str = "", record: str = RECORD, ids: str = ID, events: str = EVENT) -> Schema:
    return read_schema(parse_table("own.toml", f"{TOP}{top}{record}{ids}{events}".encode()))


def column(source: str, name: str = "detail") -> Schema:
    """A schema of one event with one column."""
    return schema(events=f"{EVENT}columns = {{ {name} = {source} }}\n")


def read(given: Schema, **record: object) -> Reading:
    whole = {"host": "h", "type": "a", "at": 1, "pid": "p", **record}
    return read_lines(json.dumps({key: value for key, value in whole.items() if value is not None}).encode(), given)


def text(given: Schema, **record: object) -> str | None:
    """The only column of the only event."""
    (event,) = read(given, **record).events
    return next(iter(event.columns.values()), None)


def kinds(given: Schema, **record: object) -> list[str]:
    return [event.kind for event in read(given, **record).events]


def outcome(given: Schema, **record: object) -> dict[str, int]:
    reading = read(given, **record)
    assert not reading.events
    return reading.counts.no_process


# --- times ---------------------------------------------------------------------------------------

TIMES = schema(
    record=RECORD.replace(
        'time = { paths = ["at"], form = "epoch_s" }',
        'time = [{ paths = ["a", "b"], form = "epoch_s_or_filetime" }, { paths = ["c"], form = "epoch_ms" }]',
    )
)


@pytest.mark.parametrize(
    ("record", "time_ns"),
    [
        ({"a": "2.5", "c": "1"}, 2_500_000_000),
        ({"b": 3, "c": 1}, 3_000_000_000),
        ({"b": "116444736010000000", "c": 1}, 1_000_000_000),
        ({"a": "", "b": [], "c": "1500"}, 1_500_000_000),
    ],
)
def test_the_first_time_that_is_present_counts_in_its_form(record: dict[str, object], time_ns: int) -> None:
    assert [event.time_ns for event in read(TIMES, **record).events] == [time_ns]


def test_a_time_that_is_present_must_be_readable() -> None:
    with pytest.raises(Reject, match="time: cannot be read as epoch_s_or_filetime at line 1"):
        read(TIMES, a="soon", c="1")
    with pytest.raises(Reject, match="time: cannot be read as epoch_ms"):
        read(TIMES, c="1.5")
    assert outcome(TIMES, a=None) == {"time": 1}


# --- discriminators ------------------------------------------------------------------------------

WILD = schema(
    events="".join(
        f'[[event]]\nwhen = {when}\nkind = "{kind}"\nprocess = ["pid"]\n'
        for when, kind in [
            (["*Written", "Made"], "file_write"),
            (["Network*"], "net_connect"),
            (["NetworkWritten"], "pipe"),
            (["*"], "other"),
        ]
    )
)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("ZipWritten", ["file_write", "other"]),
        ("Written", ["file_write", "other"]),
        ("Made", ["file_write", "other"]),
        ("Network", ["net_connect", "other"]),
        ("NetworkClose", ["net_connect", "other"]),
        # Of more than two that hold, the first in the file count.
        ("NetworkWritten", ["file_write", "net_connect"]),
        ("WrittenBy", ["other"]),
        ("written", ["other"]),
        ("*", ["other"]),
        (7, ["other"]),
    ],
)
def test_a_star_stands_for_any_text(kind: object, found: list[str]) -> None:
    assert kinds(WILD, type=kind) == found


@pytest.mark.parametrize("kind", ["", None, [], {}])
def test_a_star_does_not_stand_for_no_text(kind: object) -> None:
    assert outcome(WILD, type=kind) == {"kind": 1}


def test_a_mapping_that_two_of_its_values_match_counts_once() -> None:
    twice = schema(events='[[event]]\nwhen = ["ab", "a*", "*b"]\nkind = "other"\nprocess = ["pid"]\n')
    assert kinds(twice, type="ab") == ["other"]


# --- conditions ----------------------------------------------------------------------------------


def condition(op: str, *values: str, negate: bool = False) -> Schema:
    test = f'{{ paths = ["x"], {op} = {json.dumps(values)}, negate = {json.dumps(negate)} }}'
    return schema(events=f"{EVENT}where = [{test}]\n")


@pytest.mark.parametrize(
    ("op", "value", "holds"),
    [
        ("equals", "yz", True),
        ("equals", "xyz", False),
        ("starts", "yzx", True),
        ("starts", "xyz", False),
        ("ends", "xyz", True),
        ("ends", "yz", True),
        ("ends", "yzx", False),
        ("contains", "xyzx", True),
        ("contains", "zy", False),
        ("has", "yz", True),
        ("has", "x | yz", True),
        ("has", "yz|x", True),
        ("has", "|  yz  |", True),
        ("has", "xyz | yzx", False),
        ("has", " | | ", False),
        ("has", "y z", False),
        ("has", "yz\t", False),
    ],
)
def test_a_condition_holds(op: str, value: str, holds: bool) -> None:
    assert bool(read(condition(op, "0", "yz"), x=value).events) == holds
    assert bool(read(condition(op, "0", "yz", negate=True), x=value).events) != holds


@pytest.mark.parametrize("op", ["equals", "starts", "ends", "contains", "has"])
def test_an_absent_field_passes_only_a_negated_condition(op: str) -> None:
    assert outcome(condition(op, "a")) == {"kind": 1}
    assert kinds(condition(op, "a", negate=True)) == ["other"]


# --- columns -------------------------------------------------------------------------------------


def test_absent_texts_are_absent_and_hide_what_comes_after() -> None:
    given = column('{ paths = ["x", "y"], absent = ["0", "-"] }')
    assert text(given, x="1", y="2") == "1"
    assert text(given, x="0", y="2") is None
    assert text(given, x=0, y="2") is None
    assert text(given, x=["-"], y="2") is None
    assert text(given, x="", y="2") == "2"
    assert text(given, x="00") == "00"


def test_absent_texts_are_compared_before_a_tail_is_joined() -> None:
    endpoint = column('{ paths = ["ip"], port = ["port"], form = "endpoint", absent = ["0.0.0.0"] }', "remote")
    assert text(endpoint, ip="10.0.0.1", port=80) == "10.0.0.1:80"
    assert text(endpoint, ip="0.0.0.0", port=80) is None
    words = column('{ paths = ["x"], form = "words", absent = ["a b"] }')
    assert text(words, x=["a", "b"]) is None
    assert text(words, x=["a", "b", "c"]) == "a b c"


def test_absent_texts_are_compared_as_they_are_shown() -> None:
    given = column(f'{{ paths = ["x"], absent = ["{SHOWN}"] }}')
    assert text(given, x=ODD) is None
    assert read(given, x=ODD).counts.odd_text == 0


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"key": "HKLM\\a", "name": "b"}, "HKLM\\a\\b"),
        ({"key": "HKLM\\a", "name": ""}, "HKLM\\a"),
        ({"key": "HKLM\\a"}, "HKLM\\a"),
        ({"name": "b"}, None),
        ({"key": "a:b", "name": ["c"]}, "a:b\\c"),
    ],
)
def test_a_registry_value_is_its_key_and_its_name(record: dict[str, object], found: str | None) -> None:
    assert text(column('{ paths = ["key"], name = ["name"], form = "registry" }', "registry"), **record) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (["a", "b c", "d"], "a b c d"),
        (["a"], "a"),
        ("a b", "a b"),
        (7, "7"),
        (["a", 1.50, True, None, "", {"x": 1}, ["b"], False], "a 1.5 true false"),
        # Presence is that of any field: the first element decides.
        (["", "a"], None),
        ([None, "a"], None),
        ([], None),
        ({}, None),
    ],
)
def test_words_are_all_scalars_of_an_array(value: object, found: str | None) -> None:
    assert text(column('{ paths = ["x"], form = "words" }'), x=value) == found


def test_words_are_of_the_first_alternative_that_is_present() -> None:
    given = column('{ paths = ["x", "y"], form = "words" }')
    assert text(given, x=["", "a"], y=["b", "c"]) == "b c"
    assert text(given, x="a", y=["b", "c"]) == "a"


# --- ids with parts ------------------------------------------------------------------------------

PARTS = schema(
    ids='[id]\nform = "guid"\nunknown = ["0"]\n',
    events='[[event]]\nwhen = ["a"]\nkind = "other"\nprocess = { paths = ["uid"], parts = ["pid", "t", "u.v"] }\n'
    'columns = { parent = { parts = ["ppid", "t"], form = "id" } }\n',
)


@pytest.mark.parametrize(
    ("record", "process", "parent"),
    [
        ({"uid": "{AB}", "pid": 1, "t": 2}, "ab", None),
        ({"pid": "{AB}", "t": "{C}", "u": {"v": "D"}}, "ab:c:d", None),
        ({"pid": 1, "u.v": 3, "ppid": 4}, "1:3", "4"),
        ({"pid": 1, "t": 0, "ppid": 0}, "1:0", None),
        ({"pid": 1, "t": "{}", "u": {"v": ""}, "ppid": 5}, "1", "5"),
    ],
)
def test_an_id_without_a_path_is_its_parts(record: dict[str, object], process: str, parent: str | None) -> None:
    (event,) = read(PARTS, **{"pid": None, **record}).events
    assert (event.process, event.columns.get("parent")) == (process, parent)


@pytest.mark.parametrize(
    "record", [{"pid": 0, "t": 2}, {"pid": None, "t": 2}, {"uid": "0", "t": 2}, {"uid": "{0}"}, {"uid": "{}"}]
)
def test_an_unknown_id_or_first_part_is_no_id(record: dict[str, object]) -> None:
    assert outcome(PARTS, **record) == {"process": 1}


# --- the last element of an array ----------------------------------------------------------------

LAST = column('{ paths = ["a.PATH[-1].name", "b"] }')


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"a": {"PATH": [{"name": "x"}, {"name": "y"}]}}, "y"),
        ({"a.PATH": [{"name": ["y", "z"]}]}, "y"),
        ({"a": {"PATH": [{"name": "x"}, {"no": "y"}]}, "b": "c"}, "c"),
        ({"a": {"PATH": [{"name": "x"}, 5]}, "b": "c"}, "c"),
        ({"a": {"PATH": [{"name": "x"}, None]}, "b": "c"}, "c"),
        ({"a": {"PATH": [{"name": "x"}, [{"name": "y"}]]}, "b": "c"}, "c"),
        ({"a": {"PATH": []}, "b": "c"}, "c"),
        ({"a": {"PATH": {"name": "x"}}, "b": "c"}, "c"),
        ({"a": {"PATH": "x", "PATH[-1]": {"name": "x"}}, "b": "c"}, "c"),
        ({"a": {"PATH[-1].name": "x"}, "b": "c"}, "c"),
        # Without the suffix an array of objects is absent.
        ({"b": [{"name": "x"}]}, None),
    ],
)
def test_a_path_leads_into_the_last_object_of_an_array(record: dict[str, object], found: str | None) -> None:
    assert text(LAST, **record) == found


def test_of_an_array_of_arrays_each_last_element_counts() -> None:
    deep = column('{ paths = ["x[-1].y[-1].z"] }')
    assert text(deep, x=[{"y": [{"z": 1}]}, {"y": [{"z": 2}, {"z": 3}]}]) == "3"


# --- JSON inside a string ------------------------------------------------------------------------

EMBEDDED = schema(
    top='roots = ["", "E", "F"]\nembedded = ["E", "F"]\n',
    record=RECORD + 'require = [{ paths = ["drop"], equals = ["yes"], negate = true, reason = "dropped" }]\n',
    events=f'{EVENT}columns = {{ detail = {{ paths = ["x"] }}, file = {{ paths = ["y.z"] }} }}\n',
)


def event_of(**record: object) -> Event:
    (event,) = read(EMBEDDED, **record).events
    return event


def test_fields_are_found_in_the_text_of_a_string() -> None:
    inner = json.dumps({"x": 'a "b"\n', "y": {"z": 1.50}, "pid": "q", "at": 7, "host": "other"})
    event = event_of(pid=None, at=None, E=f" \t\r\n{inner}\n ")
    assert (event.process, event.time_ns, event.host) == ("q", 7_000_000_000, "h")
    assert event.columns == {"detail": 'a "b"\n', "file": "1.5"}
    assert event_of(E='{"y.z": 12345678901234567890.0}').columns == {"file": "12345678901234567890.0"}


def test_an_object_in_the_place_is_taken_as_it_is() -> None:
    assert event_of(E={"x": "a"}).columns == {"detail": "a"}
    for other in (["{}"], 5, True, None, "", []):
        assert event_of(E=other).columns == {}


def test_several_places_may_be_embedded() -> None:
    assert event_of(E='{"x": "a"}', F='{"x": "b", "y": {"z": "c"}}').columns == {"detail": "a", "file": "c"}
    # What is embedded in what is embedded stays text.
    assert event_of(E='{"E": "{}", "F": "{"}').columns == {}


@pytest.mark.parametrize(
    "bad",
    [
        " ",
        "{",
        '{"x": "a"',
        '{"x": "a"} {}',
        '{"x": "a"},',
        "[]",
        '"x"',
        "5",
        "null",
        '{"x": NaN}',
        '{"x": 01}',
        '{"x": "a\nb"}',
        '{"x": "\\ud83"}',
        "\ufeff{}",
        "not JSON",
        '{"x":' + "[" * 64 + "]" * 64 + "}",
    ],
)
def test_a_string_that_is_no_object_is_counted_and_passes(bad: str) -> None:
    assert outcome(EMBEDDED, E=bad, x="a") == {"embedded": 1}
    assert outcome(EMBEDDED, F=bad, x="a") == {"embedded": 1}
    assert outcome(EMBEDDED, E=bad, drop="yes") == {"dropped": 1}
    assert outcome(EMBEDDED, E=bad, type="b", host=None, at="x") == {"embedded": 1}


def test_the_depth_of_an_embedded_text_is_its_own() -> None:
    inner = '{"x":["a",' + "[" * 62 + "]" * 62 + "]}"
    assert event_of(E=inner).columns == {"detail": "a"}
    shallow = read_lines(b'{"host":"h","type":"a","at":1,"pid":1,"E":"{\\"x\\":{}}"}', EMBEDDED, Limits(depth=1))
    assert shallow.counts.no_process == {"embedded": 1}


def test_of_a_repeated_place_the_last_value_counts_also_for_badness() -> None:
    head = b'{"host":"h","type":"a","at":1,"pid":1,'
    assert not read_lines(head + b'"E":"{","E":"{}"}', EMBEDDED).counts.no_process
    assert read_lines(head + b'"E":"{}","E":"{"}', EMBEDDED).counts.no_process == {"embedded": 1}
    assert read_lines(head + b'"E":"{\\"x\\":1}","E":5}', EMBEDDED).events[0].columns == {}


def test_a_string_is_cleaned_before_it_is_read() -> None:
    # A raw NUL would be a fault inside a string; cleaned it is a character like any other.
    assert event_of(E='{"x": "a\0b"}').columns == {"detail": f"a{SHOWN}b"}
    assert event_of(E=f'{{"x": "{ODD}", "{ODD}": 1}}').columns == {"detail": SHOWN}
    assert outcome(EMBEDDED, E='{"x": "a"}\0') == {"embedded": 1}


def test_a_text_is_odd_when_something_was_replaced_in_itself() -> None:
    assert read(EMBEDDED, E='{"x": "\\ud800"}').counts.odd_text == 1
    assert read(EMBEDDED, E=f'{{"x": "{ODD}"}}').counts.odd_text == 0


def test_invalid_bytes_in_an_embedded_string_pass() -> None:
    line = b'{"host":"h","type":"a","at":1,"pid":1,"E":"{\\"x\\":\\"a\xff\\",\\"\xfe\\":1}"}'
    assert [event.columns for event in read_lines(line, EMBEDDED).events] == [{"detail": f"a{SHOWN}"}]


# --- odd text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "record", "found", "odd"),
    [
        ('{ paths = ["x"], name = ["n"], form = "registry" }', {"x": ODD, "n": "b"}, f"{SHOWN}\\b", 1),
        ('{ paths = ["x"], name = ["n"], form = "registry" }', {"x": "a", "n": ODD}, f"a\\{SHOWN}", 1),
        ('{ paths = ["x"], name = ["n"], form = "registry" }', {"n": ODD}, None, 0),
        ('{ paths = ["x"], form = "words" }', {"x": ["a", "b", ODD]}, f"a b {SHOWN}", 1),
        ('{ paths = ["x"], form = "words" }', {"x": ["a", SHOWN, {"y": ODD}]}, f"a {SHOWN}", 0),
        ('{ paths = ["x"], form = "words" }', {"x": [ODD, "\0"]}, f"{SHOWN} {SHOWN}", 1),
        ('{ paths = ["x"] }', {"x": ["a", ODD]}, "a", 0),
        ('{ parts = ["x", "y"], form = "id" }', {"x": "a", "y": ODD}, f"a:{SHOWN}", 1),
        ('{ parts = ["x", "y"], form = "id" }', {"y": ODD}, None, 0),
        ('{ paths = ["x"], parts = ["y"], form = "id" }', {"x": "a", "y": ODD}, "a", 0),
        ('{ paths = ["PATH[-1].name"] }', {"PATH": [{"name": ODD}, {"name": "a"}]}, "a", 0),
        ('{ paths = ["PATH[-1].name"] }', {"PATH": [{"name": ODD}]}, SHOWN, 1),
    ],
)
def test_a_text_is_odd_by_what_it_was_made_of(
    source: str, record: dict[str, object], found: str | None, odd: int
) -> None:
    given = column(source)
    assert text(given, **record) == found
    assert read(given, **record).counts.odd_text == odd


def test_a_process_of_parts_is_odd_by_any_of_them() -> None:
    assert read(PARTS, t=ODD, ppid=1).counts.odd_text == 2
    assert read(PARTS, uid="a", t=ODD).counts.odd_text == 0


# --- the words of the language are checked -------------------------------------------------------


def test_a_fault_has_its_file_and_line() -> None:
    with pytest.raises(SchemaError, match=r"^own\.toml:14: \[\[event\]\] 1 columns detail: name is only for"):
        column('{ paths = ["x"], name = ["n"] }')
