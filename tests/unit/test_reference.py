"""The reference does what the contract says, rule by rule."""

from __future__ import annotations

import ast
import dataclasses
import gzip
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from fastfold import reference
from fastfold.errors import CorruptValue, IdentityClash, Reject
from fastfold.reference import Event, decode, encode, fold, inflate, merge_states, parse_lines, parse_time, read_lines
from fastfold.reference.bytes import varint
from fastfold.reference.version2 import MARK_2
from fastfold.schema import (
    Condition,
    EventMapping,
    FoldDefinition,
    Reducer,
    Schema,
    Source,
    TimeSource,
    load_definition,
    load_schema,
)
from fastfold.states import State, Text, TextSet
from fastfold.types import Limits

SYSMON = load_schema("sysmon")
PROCESS = load_definition("process")
CHANNEL = "Microsoft-Windows-Sysmon/Operational"
TIME = "2020-10-23 00:36:51.890"
TIME_NS = 1_603_413_411_890_000_000
GUID = "{3940ABCD-0000-0000-0000-00000000000A}"
ID = "3940abcd-0000-0000-0000-00000000000a"
OTHER_GUID = "{3940abcd-0000-0000-0000-00000000000B}"
OTHER_ID = "3940abcd-0000-0000-0000-00000000000b"
NULL_GUID = "{00000000-0000-0000-0000-000000000000}"

Record = dict[str, Any]


def shape_a(event_id: int, data: Record) -> Record:
    """NXLog: its own EventType, so that Sysmon's is moved."""
    data = dict(data)
    if "EventType" in data:
        data["EventTypeOrignal"] = data.pop("EventType")
    return {
        "EventReceivedTime": "2020-10-22 20:36:53",
        "SourceModuleType": "im_msvistalog",
        "EventType": "INFO",
        "EventID": event_id,
        "Hostname": "WS5.shire.com",
        "Channel": CHANNEL,
        "host": "collector",
        **data,
    }


def shape_b(event_id: int, data: Record) -> Record:
    return {
        "TimeCreated": "2020-10-23T04:36:52.1Z",
        "EventID": event_id,
        "Hostname": "WS5.shire.com",
        **data,
        "Channel": CHANNEL,
    }


def shape_c(event_id: int, data: Record) -> Record:
    return {
        "@timestamp": "2020-10-23T00:36:52Z",
        "log_name": CHANNEL,
        "event_id": event_id,
        "computer_name": "WS5.shire.com",
        "host": {"name": "collector"},
        "event_data": data,
    }


def shape_d(event_id: int, data: Record) -> Record:
    """Azure Monitor: the fields are JSON text inside a string."""
    data = dict(data)
    if "UtcTime" in data:
        data["UtcTime"] = data["UtcTime"].replace(" ", "T") + "0000Z"
    return {
        "TimeGenerated": "2020-10-23T00:36:52.21Z",
        "Computer": "WS5.shire.com",
        "EventID": event_id,
        "Channel": CHANNEL,
        "EventData": json.dumps(data),
    }


SHAPES = [shape_a, shape_b, shape_c, shape_d]


def line(record: object) -> bytes:
    return json.dumps(record).encode() + b"\n"


def events_of(data: bytes) -> list[Event]:
    return parse_lines(data, SYSMON)


def one(**changes: Any) -> Record:
    """A flat record of a file write; a change to ``None`` takes the field away."""
    record = shape_b(11, {"UtcTime": TIME, "ProcessGuid": GUID, "Image": "a.exe", "User": "me", "TargetFilename": "f"})
    record.update(changes)
    return {key: value for key, value in record.items() if value is not None}


def columns_of(raw: bytes) -> dict[str, str]:
    """Columns of a file write whose ``TargetFilename`` is the given JSON text."""
    (event,) = events_of(line(one(TargetFilename="@")).replace(b'"@"', raw))
    return event.columns


# --- the table of the schema ---------------------------------------------------------------------

BASE = {"image": "a.exe", "user": "me"}
# id, event data, the events: kind, process, columns beside image and user
ROWS: list[tuple[int, Record, list[tuple[str, str, Record]]]] = [
    (
        1,
        {
            "CommandLine": "a -x",
            "ParentProcessGuid": OTHER_GUID,
            "ParentImage": "p.exe",
            "ParentCommandLine": "p -y",
            "Hashes": "MD5=1",
            "IntegrityLevel": "High",
        },
        [
            (
                "process_start",
                ID,
                {
                    "command_line": "a -x",
                    "parent": OTHER_ID,
                    "hash": "MD5=1",
                    "integrity": "High",
                    "other_image": "p.exe",
                },
            ),
            (
                "child_start",
                OTHER_ID,
                {"image": "p.exe", "command_line": "p -y", "target": ID, "other_image": "a.exe"},
            ),
        ],
    ),
    (5, {}, [("process_end", ID, {})]),
    (
        3,
        {
            "Initiated": "true",
            "DestinationIp": "192.0.2.1",
            "DestinationPort": "443",
            "SourceIp": "10.0.0.1",
            "SourcePort": "1",
        },
        [("net_connect", ID, {"remote": "192.0.2.1:443"})],
    ),
    (
        3,
        {"Initiated": True, "DestinationIp": "2001:db8::1", "DestinationPort": 443},
        [("net_connect", ID, {"remote": "[2001:db8::1]:443"})],
    ),
    (
        3,
        {
            "Initiated": "false",
            "DestinationIp": "192.0.2.1",
            "DestinationPort": "443",
            "SourceIp": "10.0.0.1",
            "SourcePort": "1",
        },
        [("net_accept", ID, {"remote": "10.0.0.1:1"})],
    ),
    (3, {"Initiated": "false", "SourceIp": "fe80::1"}, [("net_accept", ID, {"remote": "fe80::1"})]),
    (3, {"SourcePort": "7"}, [("net_accept", ID, {})]),
    (7, {"ImageLoaded": "m.dll", "Hashes": "MD5=2"}, [("module_load", ID, {"module": "m.dll", "hash": "MD5=2"})]),
    (11, {"TargetFilename": "f"}, [("file_write", ID, {"file": "f"})]),
    (15, {"TargetFilename": "f:s", "Hash": "MD5=3"}, [("file_write", ID, {"file": "f:s", "hash": "MD5=3"})]),
    (12, {"EventType": "DeleteKey", "TargetObject": "HKLM\\a"}, [("registry_delete", ID, {"registry": "HKLM\\a"})]),
    (12, {"EventType": "DeleteValue", "TargetObject": "HKLM\\a"}, [("registry_delete", ID, {"registry": "HKLM\\a"})]),
    (12, {"EventType": "CreateKey", "TargetObject": "HKLM\\a"}, [("registry_set", ID, {"registry": "HKLM\\a"})]),
    (
        13,
        {"EventType": "SetValue", "TargetObject": "HKLM\\a", "Details": "DWORD (0x00000001)"},
        [("registry_set", ID, {"registry": "HKLM\\a", "detail": "DWORD (0x00000001)"})],
    ),
    (14, {"EventType": "RenameKey", "TargetObject": "HKLM\\a"}, [("registry_set", ID, {"registry": "HKLM\\a"})]),
    (17, {"PipeName": "\\p"}, [("pipe", ID, {"detail": "\\p"})]),
    (18, {"PipeName": "\\p"}, [("pipe", ID, {"detail": "\\p"})]),
    (22, {"QueryName": "example.com"}, [("dns_query", ID, {"domain": "example.com"})]),
    (23, {"TargetFilename": "f", "Hashes": "MD5=4"}, [("file_delete", ID, {"file": "f", "hash": "MD5=4"})]),
    (26, {"TargetFilename": "f"}, [("file_delete", ID, {"file": "f"})]),
    *((number, {"TargetFilename": "f"}, [("other", ID, Record())]) for number in (2, 9, 24, 25, 27, 28, 29)),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("event_id", "data", "expected"), ROWS, ids=[f"{r[0]}-{r[2][0][0]}" for r in ROWS])
def test_every_row_of_the_table_in_every_shape(
    shape: Callable[[int, Record], Record], event_id: int, data: Record, expected: list[tuple[str, str, Record]]
) -> None:
    record = shape(event_id, {"UtcTime": TIME, "ProcessGuid": GUID, "Image": "a.exe", "User": "me", **data})
    assert events_of(line(record)) == [
        Event(TIME_NS, "", "WS5.shire.com", process, kind, 1, {**BASE, **columns})
        for kind, process, columns in expected
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_thread_and_access_are_events_of_both_sides(shape: Callable[[int, Record], Record]) -> None:
    images = {"SourceImage": "s.exe", "TargetImage": "t.exe"}
    thread = shape(8, {"UtcTime": TIME, "SourceProcessGuid": GUID, "TargetProcessGuid": OTHER_GUID, **images})
    access = shape(
        10,
        {
            "UtcTime": TIME,
            "SourceProcessGUID": GUID,
            "TargetProcessGUID": OTHER_GUID,
            "GrantedAccess": "0x1000",
            "User": "me",
            **images,
        },
    )
    assert [(e.kind, e.process, e.columns) for e in events_of(line(thread) + line(access))] == [
        ("remote_thread", ID, {"target": OTHER_ID, "other_image": "t.exe"}),
        ("injected_by", OTHER_ID, {"target": ID, "other_image": "s.exe"}),
        (
            "process_access",
            ID,
            {"image": "s.exe", "user": "me", "target": OTHER_ID, "other_image": "t.exe", "detail": "0x1000"},
        ),
        (
            "accessed_by",
            OTHER_ID,
            {"image": "t.exe", "user": "me", "target": ID, "other_image": "s.exe", "detail": "0x1000"},
        ),
    ]


def test_a_remote_thread_has_an_image_only_where_image_is() -> None:
    record = one(EventID=8, ProcessGuid=None, SourceProcessGuid=GUID, TargetProcessGuid=OTHER_GUID)
    assert [event.columns["image"] for event in events_of(line(record))] == ["a.exe", "a.exe"]


def test_a_null_id_in_a_column_is_absent_and_as_a_process_gives_no_event() -> None:
    record = shape_b(1, {"UtcTime": TIME, "ProcessGuid": GUID, "ParentProcessGuid": NULL_GUID})
    (event,) = events_of(line(record))
    assert (event.kind, event.columns) == ("process_start", {})
    assert read_lines(line(record), SYSMON).counts.no_process == {}


# --- records that give no event ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([], "not_object"),
        ([one()], "not_object"),
        (5, "not_object"),
        (None, "not_object"),
        ("text", "not_object"),
        (one(Channel="Security"), "channel"),
        (one(Channel=None), "channel"),
        (one(Channel=None, EventID=None), "channel"),
        (one(EventID=None), "kind"),
        (one(EventID=6), "kind"),
        (one(EventID=19), "kind"),
        (one(EventID=255, Hostname=None), "kind"),
        (one(EventID="11.0"), "kind"),
        (one(Hostname=None), "host"),
        (one(Hostname="", ProcessGuid=None), "host"),
        (one(Hostname=[]), "host"),
        (one(Hostname={"name": "a"}), "host"),
        (one(ProcessGuid=None), "process"),
        (one(ProcessGuid=""), "process"),
        (one(ProcessGuid="{}"), "process"),
        (one(ProcessGuid=NULL_GUID), "process"),
        (one(ProcessGuid=NULL_GUID[1:-1]), "process"),
        (one(ProcessGuid=NULL_GUID, UtcTime="nonsense"), "process"),
        (one(EventID=1, ProcessGuid=NULL_GUID, ParentProcessGuid=""), "process"),
        (one(UtcTime=None), "time"),
        (one(UtcTime=""), "time"),
        (one(Hostname="h" * 1025), "identity"),
        (one(ProcessGuid="é" * 513), "identity"),
    ],
    ids=str,
)
def test_a_record_without_an_event_is_counted_by_the_first_reason(record: object, reason: str) -> None:
    reading = read_lines(line(record), SYSMON)
    assert reading.events == []
    assert reading.counts.no_process == {reason: 1}
    assert (reading.counts.records, reading.counts.events) == (1, 0)


def test_nothing_is_counted_when_one_of_two_events_came() -> None:
    long_parent = shape_b(1, {"UtcTime": TIME, "ProcessGuid": GUID, "ParentProcessGuid": "x" * 2000})
    no_child = shape_b(1, {"UtcTime": TIME, "ParentProcessGuid": OTHER_GUID})
    reading = read_lines(line(long_parent) + line(no_child), SYSMON)
    assert [event.kind for event in reading.events] == ["process_start", "child_start"]
    assert reading.counts.no_process == {}


def test_identities_at_the_limit_pass() -> None:
    assert len(events_of(line(one(Hostname="h" * 1024, ProcessGuid="é" * 512)))) == 1


# --- fields --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('"f"', "f"),
        ('""', None),
        ("null", None),
        ("{}", None),
        ('{"a":"b"}', None),
        ("[]", None),
        ('["f","g"]', "f"),
        ("[7,8]", "7"),
        ("[true]", "true"),
        ("[null,1]", None),
        ('["",1]', None),
        ("[[1]]", None),
        ('[{"a":1}]', None),
        ("true", "true"),
        ("false", "false"),
        ("0", "0"),
        ("-0", "-0"),
        ("1e5", "1e5"),
        ("1.50", "1.50"),
        ("-0.0E-0", "-0.0E-0"),
        ("18446744073709551616", "18446744073709551616"),
        ("9" * 5000, "9" * 5000),
        (r'"\u0041\/\\\""', 'A/\\"'),
        (r'"\b\f\n\r\t"', "\b\f\n\r\t"),
        (r'"\ud83d\ude00"', "\U0001f600"),
    ],
)
def test_what_a_value_counts_as(value: str, text: str | None) -> None:
    assert columns_of(value.encode()).get("file") == text


def test_the_first_alternative_that_is_present_counts() -> None:
    record = one(Hostname="", computer_name="c", event_data={"Hostname": "d", "computer_name": "e"})
    assert events_of(line(record))[0].host == "d"
    del record["event_data"]["Hostname"]
    assert events_of(line(record))[0].host == "c"


def test_dotted_keys_are_read_behind_nested_ones() -> None:
    record = one(TargetFilename=None)
    record["event_data.TargetFilename"] = "dotted"
    assert events_of(line(record))[0].columns["file"] == "dotted"
    record["event_data"] = {"TargetFilename": "nested"}
    assert events_of(line(record))[0].columns["file"] == "nested"


def test_escaped_keys_are_the_same_keys() -> None:
    data = line(one()).replace(b'"TargetFilename"', rb'"\u0054arget\u0046ilename"')
    assert events_of(data)[0].columns["file"] == "f"


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        (b'"TargetFilename":"x","TargetFilename":"y"', "y"),
        (b'"TargetFilename":"x","TargetFilename":null', None),
        (b'"TargetFilename":null,"TargetFilename":"x"', "x"),
        (b'"event_data":{"TargetFilename":"x"},"event_data":{}', None),
        (b'"event_data":{"TargetFilename":"x"},"event_data":[1]', None),
        (b'"event_data":{"Image":"x"},"event_data":{"TargetFilename":"y"}', "y"),
    ],
)
def test_of_equal_keys_the_last_value_counts_whole(pairs: bytes, text: str | None) -> None:
    data = line(one(TargetFilename=None)).replace(b"{", b"{" + pairs + b",", 1)
    assert events_of(data)[0].columns.get("file") == text


@pytest.mark.parametrize(
    ("written", "process"),
    [
        (GUID, ID),
        (GUID[1:-1], ID),
        ("{" + GUID + "}", GUID.lower()),
        ("{ABC", "{abc"),
        ("ABC}", "abc}"),
        ("{", "{"),
        ("ÄÖ", "ÄÖ"),
        ("\u212a", "\u212a"),  # KELVIN SIGN: lower case of ASCII letters only
        (77, "77"),
    ],
)
def test_the_form_of_guids(written: object, process: str) -> None:
    assert events_of(line(one(ProcessGuid=written)))[0].process == process


def test_columns_that_are_not_asked_for_are_not_read() -> None:
    data = line(one(TargetFilename="\ud800"))
    assert parse_lines(data, SYSMON, None, frozenset({"image"}))[0].columns == {"image": "a.exe"}
    assert read_lines(data, SYSMON, None, frozenset({"image"})).counts.odd_text == 0


# --- odd text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text", "odd"),
    [
        (rb'"a\ud800b"', "a\ufffdb", 1),
        (rb'"\udc00\ud800"', "\ufffd\ufffd", 1),
        (rb'"\ud800\ud800\udc00"', "\ufffd\U00010000", 1),
        (rb'"\ud83d\u0041"', "\ufffdA", 1),
        (rb'"\u0000"', "\ufffd", 1),
        (b'"\xff"', "\ufffd", 1),
        (b'"a\xe2\x82b"', "a\ufffdb", 1),
        (b'"\xe2\x82\\n"', "\ufffd\n", 1),
        (b'"\xe2\x82\\u0041"', "\ufffdA", 1),
        (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd", 1),
        (b'"\xf0\x9f\x98"', "\ufffd", 1),
        (b'"\xc0\xaf"', "\ufffd\ufffd", 1),
        (b'"\xf4\x90\x80\x80"', "\ufffd\ufffd\ufffd\ufffd", 1),
        (b'"\\ud83d\xff\\ude00"', "\ufffd\ufffd\ufffd", 1),
        (b'"\xef\xbf\xbd"', "\ufffd", 0),
        (rb'"\ufffd"', "\ufffd", 0),
        ('"é€😀"'.encode(), "é€😀", 0),
        ('"\ufeff\x7f\u2028"'.encode(), "\ufeff\x7f\u2028", 0),
    ],
)
def test_odd_text_becomes_replacement_characters_and_is_counted(raw: bytes, text: str, odd: int) -> None:
    data = line(one(TargetFilename="@")).replace(b'"@"', raw)
    reading = read_lines(data, SYSMON)
    assert reading.events[0].columns["file"] == text
    assert reading.counts.odd_text == odd


def test_invalid_bytes_become_what_python_makes_of_them() -> None:
    for tail in range(0x80, 0x100, 7):
        raw = bytes([0xF1, 0x80, tail, 0xE1, tail])
        assert columns_of(b'"' + raw + b'"')["file"] == raw.decode("utf-8", "replace")


def test_odd_text_counts_each_text_of_each_event() -> None:
    record = shape_b(
        1,
        {
            "UtcTime": TIME,
            "Hostname": "h\0",
            "ProcessGuid": "p\0",
            "ParentProcessGuid": "q\0",
            "User": "u\0",
            "Unread": "\0",
        },
    )
    # start: host, process, user, parent; child_start: host, process, user, target
    assert read_lines(line(record), SYSMON).counts.odd_text == 8


def test_an_endpoint_is_one_text_and_odd_with_its_port() -> None:
    record = one(EventID=3, Initiated="true", DestinationIp="\0", DestinationPort="\0")
    reading = read_lines(line(record), SYSMON)
    assert reading.events[0].columns["remote"] == "\ufffd:\ufffd"
    assert reading.counts.odd_text == 1


def test_odd_text_of_a_record_without_an_event_is_not_counted() -> None:
    assert read_lines(line(one(Hostname="\0", UtcTime=None)), SYSMON).counts.odd_text == 0


def test_odd_text_in_keys_is_accepted_unless_its_bytes_are_invalid() -> None:
    data = line(one()).replace(b"{", rb'{"\ud800\u0000":1,', 1)
    assert read_lines(data, SYSMON).counts.odd_text == 0


# --- lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "lines", "records"),
    [
        (b"", 0, 0),
        (b"\n", 1, 0),
        (b" \t\r\n\r\n  ", 3, 0),
        (b"1", 1, 1),
        (b"1\n", 1, 1),
        (b"1\n2", 2, 2),
        (b"1\r\n2\r\n", 2, 2),
        (b"\n\n1\n\n", 4, 1),
        (b"\xef\xbb\xbf", 0, 0),
        (b"\xef\xbb\xbf1\n", 1, 1),
        (b" \t1 \r\n", 1, 1),
        (b"\r1\r \n", 1, 1),
    ],
)
def test_lines_and_records_are_counted(data: bytes, lines: int, records: int) -> None:
    counts = read_lines(data, SYSMON).counts
    assert (counts.bytes, counts.lines, counts.records) == (len(data), lines, records)


def test_events_carry_their_line() -> None:
    assert [event.line for event in events_of(b"\n" + line(one()) + b"1\n" + line(one()))] == [2, 4]


# --- rejects -------------------------------------------------------------------------------------

NOT_JSON = [
    b"{",
    b"}",
    b"[1,]",
    b'{"a":1,}',
    b'{"a" 1}',
    b'{"a":1 "b":2}',
    b"{a:1}",
    b"{'a':1}",
    b"01",
    b"+1",
    b"1.",
    b".5",
    b"1e",
    b"-",
    b"--1",
    b"0x1",
    b"1_000",
    b"NaN",
    b"[Infinity]",
    b'{"a":-Infinity}',
    b"True",
    b"nul",
    b'"',
    b'"\\',
    b'"\\"',
    b'"\\x"',
    b'"\\u12g4"',
    b'"\\u12"',
    b'"\x01"',
    b'"\x1f"',
    b'"a\tb"',
    b"1 2",
    b"{} {}",
    b"{},",
    b"\x0b1",
    b"\xc2\xa01",
    b"\xff",
    b"[1\xff]",
    b"\xef\xbb\xbf1",
    b"\0",
    b"/**/1",
    b'{1:2}',
    b'{"a"}',
    b'["a":1]',
]  # fmt: skip


@pytest.mark.parametrize("bad", NOT_JSON)
def test_a_line_that_is_not_json_is_rejected_with_its_line(bad: bytes) -> None:
    before = line(one()) + b"\r\n"
    with pytest.raises(Reject, match="not JSON") as caught:
        events_of(before + bad + b"\n" + line(one()))
    assert caught.value.line == 3
    assert caught.value.offset is not None
    assert len(before) <= caught.value.offset <= len(before) + len(bad)


def test_the_offset_of_a_reject_is_in_bytes() -> None:
    before = "\ufeff{}\n".encode()
    bad = '{"é€😀": x}'.encode()
    with pytest.raises(Reject) as caught:
        events_of(before + bad)
    assert (caught.value.line, caught.value.offset) == (2, len(before) + bad.index(b"x"))


def test_depth_is_limited() -> None:
    events_of(b"[" * 64 + b"]" * 64)
    events_of(b'"' + b"[" * 65 + b'"')
    with pytest.raises(Reject, match="nested too deep") as caught:
        events_of(b"1\n" + b"[" * 65 + b"]" * 65)
    assert (caught.value.line, caught.value.offset, caught.value.limit) == (2, 66, 64)
    with pytest.raises(Reject, match="nested too deep"):
        events_of(b'{"a":' * 100_000)
    assert parse_lines(b"[[]]", SYSMON, Limits(depth=2)) == []


def test_records_are_limited_in_length() -> None:
    limits = Limits(record_bytes=10)
    assert read_lines(b'"12345678"\n1234567890', SYSMON, limits).counts.records == 2
    assert read_lines(b"\xef\xbb\xbf1234567890", SYSMON, limits).counts.records == 1
    with pytest.raises(Reject, match="record too long") as caught:
        parse_lines(b"1\n12345678901\n", SYSMON, limits)
    assert (caught.value.line, caught.value.offset, caught.value.limit) == (2, 2, 10)
    with pytest.raises(Reject, match="record too long"):
        parse_lines(b" " * 11, SYSMON, limits)


@pytest.mark.parametrize("key", [b'"\xff"', b'"\xed\xa0\x80"', b'"a\xe2\x82" \t', b'"\\"\xff\\""'])
def test_invalid_utf8_in_a_key_is_rejected(key: bytes) -> None:
    with pytest.raises(Reject, match="invalid UTF-8 in a key") as caught:
        events_of(b"1\n" + b'{"a":[{' + key + b":1}]}\n")
    assert (caught.value.line, caught.value.offset) == (2, 9)


def test_the_number_of_processes_is_limited() -> None:
    limits = Limits(processes=2)
    same = line(one()) + line(one(ProcessGuid="b")) + line(one())
    assert len(parse_lines(same, SYSMON, limits)) == 3
    with pytest.raises(Reject, match="too many processes") as caught:
        parse_lines(same + line(one(Hostname="other")), SYSMON, limits)
    assert (caught.value.line, caught.value.limit) == (4, 2)


@pytest.mark.parametrize("text", ["nonsense", "2020-10-23", 1603413411, True, "2020-10-23 00:36:51.\0"])
def test_a_malformed_time_is_rejected_as_the_field_time(text: object) -> None:
    with pytest.raises(Reject, match="time: cannot be read as iso at line 2") as caught:
        events_of(line(one()) + line(one(UtcTime=text)))
    assert caught.value.field == "time"


# --- times ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "text", "time_ns"),
    [
        ("iso", "1970-01-01 00:00:00", 0),
        ("iso", "1970-01-01T00:00:00Z", 0),
        ("iso", "1970-01-01T00:00:00.1Z", 100_000_000),
        ("iso", "1970-01-01T00:00:00.123456789", 123_456_789),
        ("iso", "1970-01-01T01:00:00+01:00", 0),
        ("iso", "1970-01-01T01:30:00.5+0130", 500_000_000),
        ("iso", "1969-12-31T23:00:00-0100", 0),
        ("iso", "1970-01-01 00:00:01 +0000 UTC", 1_000_000_000),
        ("iso", "1970-01-01 00:00:01.5 +0000 UTC", 1_500_000_000),
        ("iso", "2000-02-29 00:00:00", 951_782_400_000_000_000),
        ("iso", TIME, TIME_NS),
        ("iso", "2262-04-11 23:47:16.854775807", 2**63 - 1),
        ("iso", "1677-09-21 00:12:43.145224193", -(2**63) + 1),
        ("epoch_s", "1603413411.89", TIME_NS),
        ("epoch_s", "-1.5", -1_500_000_000),
        ("epoch_s", "9223372036.854775807", 2**63 - 1),
        ("epoch_ms", "1603413411890", TIME_NS),
        ("epoch_ms", "-1", -1_000_000),
        ("epoch_us", "1603413411890000", TIME_NS),
        ("epoch_ns", "1603413411890000000", TIME_NS),
        ("epoch_ns", "0000000000000000001", 1),
        ("epoch_ns", "-0", 0),
        ("filetime", "132478870118900000", TIME_NS),
        ("filetime", "116444736000000000", 0),
        ("epoch_s_or_filetime", "1603413411.89", TIME_NS),
        ("epoch_s_or_filetime", "1603413411", TIME_NS // 10**9 * 10**9),
        ("epoch_s_or_filetime", "132478870118900000", TIME_NS),
        ("epoch_s_or_filetime", "72057594037927937", (72057594037927937 - 116444736000000000) * 100),
        ("epoch_s_or_filetime", "-1.5", -1_500_000_000),
        ("audit", "1603413411.890:0", TIME_NS),
        ("audit", "1603413411:4711", TIME_NS // 10**9 * 10**9),
        ("audit", "1603413411.89:" + "9" * 40, TIME_NS),
    ],
)
def test_times_that_are_read(form: str, text: str, time_ns: int) -> None:
    assert parse_time(text, form) == time_ns


@pytest.mark.parametrize(
    ("form", "text"),
    [
        *[
            ("iso", text)
            for text in (
                "", "1970-01-01", "1970-1-01 00:00:00", "1970-01-01t00:00:00", "1970-01-01 00:00:00z",
                "1970-01-01  00:00:00", "1970-01-01 00:00:00.", "1970-01-01 00:00:00.1234567890",
                "1970-01-01 00:00:00,5", "1970-13-01 00:00:00", "1970-00-01 00:00:00", "1970-01-32 00:00:00",
                "1970-01-00 00:00:00", "1900-02-29 00:00:00", "2021-02-29 00:00:00", "1970-04-31 00:00:00",
                "1970-01-01 24:00:00", "1970-01-01 00:60:00", "1970-01-01 00:00:60", "1970-01-01 00:00:00+1",
                "1970-01-01 00:00:00+24:00", "1970-01-01 00:00:00+00:60", "1970-01-01 00:00:00 UTC",
                "1970-01-01 00:00:00 +0100 CET", "1970-01-01 00:00:00+00:00Z", " 1970-01-01 00:00:00",
                "1970-01-01 00:00:00 ", "1970-01-01 00:00:00\n", "\u0661970-01-01 00:00:00", "0000-01-01 00:00:00",
                "2262-04-11 23:47:16.854775808", "1677-09-21 00:12:43.145224192", "9999-12-31 23:59:59",
            )
        ],
        *[("epoch_s", text) for text in ("", "-", "1.", ".5", "1e3", "+1", "1.1234567890", "1 ")],
        ("epoch_s", "9223372036.854775808"),
        *[("epoch_ms", text) for text in ("1.5", "", "-", "9223372036855", "12345678901234567890", "0" * 20)],
        ("epoch_ns", "9223372036854775808"),
        ("epoch_ns", "-9223372036854775808"),
        ("filetime", "1.0"),
        ("filetime", "9223372036854775807"),
        # Just above the border the text is FILETIME, and 1829; with a point, or a sign, it is seconds out of range.
        ("epoch_s_or_filetime", "72057594037927936"),
        ("epoch_s_or_filetime", "133500000000000000.0"),
        ("epoch_s_or_filetime", "-133500000000000000"),
        ("epoch_s_or_filetime", "9" * 20),
        ("epoch_s_or_filetime", "9" * 5000),
        ("epoch_s_or_filetime", ""),
        *[("audit", text) for text in ("1", "1:", ":1", "1.5:a", "1:2:3", "1.:2", "1:-2", "1:2 ", " 1:2", "1e3:2", "")],
        ("audit", "1:\u0661"),
    ],
)  # fmt: skip
def test_times_that_cannot_be_read(form: str, text: str) -> None:
    assert parse_time(text, form) is None


# --- other forms of schemas ----------------------------------------------------------------------

OWN = Schema(
    name="own",
    version=1,
    description="",
    roots=("",),
    tenant=("org",),
    host=("host",),
    discriminator=("type",),
    times=(TimeSource(("at",), "epoch_ns"),),
    require=(
        Condition(("drop",), "equals", ("yes",), True, "dropped"),
        Condition(("v",), "contains", ("1",), False, "v"),
    ),
    id_form="text",
    unknown_ids=("0",),
    events=(
        EventMapping(("a",), "other", Source(("pid",), "id"), (Condition(("x",), "starts", ("p", "q")),), {}),
        EventMapping(("a", "b"), "pipe", Source(("pid",), "id"), (), {"detail": Source(("d",))}),
        EventMapping(("a",), "file_open", Source(("pid",), "id"), (), {}),
    ),
)  # fmt: skip


def own(**record: object) -> reference.Reading:
    return read_lines(line({"org": "o", "host": "h", "type": "a", "at": 5, "pid": "{P}", "v": "0.1", **record}), OWN)


def test_tenants_are_part_of_the_identity_and_ids_as_text_are_kept() -> None:
    assert {event.identity for event in own().events} == {("o", "h", "{P}")}
    assert {event.identity for event in own(org=None).events} == {("", "h", "{P}")}
    assert own(org="o" * 1025).counts.no_process == {"identity": 1}
    assert own(pid="0").counts.no_process == {"process": 1}


def test_requirements_hold_in_order() -> None:
    assert own(drop="yes", v="2").counts.no_process == {"dropped": 1}
    assert own(v="2").counts.no_process == {"v": 1}
    assert own(v=[]).counts.no_process == {"v": 1}


def test_of_more_mappings_than_two_the_first_that_hold_count() -> None:
    assert [event.kind for event in own(x="p1").events] == ["other", "pipe"]
    assert [event.kind for event in own(x="r").events] == ["pipe", "file_open"]
    assert [event.kind for event in own(type="b").events] == ["pipe"]


# --- inflate -------------------------------------------------------------------------------------

TEXT = b'{"a":1}\n' * 1000


def member(data: bytes, flags: int = 0, extra: bytes = b"") -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    squeezed = deflater.compress(data) + deflater.flush()
    trailer = struct.pack("<II", zlib.crc32(data), len(data))
    return b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + extra + squeezed + trailer


@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        gzip.compress(TEXT, mtime=0),
        gzip.compress(TEXT[:3000], mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(TEXT[3000:], mtime=0),
        gzip.compress(TEXT, mtime=0) + bytes(7),
        member(TEXT, 8, b"name\0"),
        member(TEXT, 4 | 8 | 16, b"\x03\0abc" + b"name\0" + b"comment\0"),
        zstandard.compress(TEXT),
        zstandard.compress(TEXT[:3000]) + zstandard.compress(TEXT[3000:]),
    ],
)
def test_files_are_inflated_by_their_first_bytes(data: bytes) -> None:
    assert inflate(data) == TEXT


def test_a_header_checksum_is_checked() -> None:
    head = b"\x1f\x8b\x08\x02" + bytes(6)
    body = member(TEXT)[10:]
    good = (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little")
    assert inflate(head + good + body) == TEXT
    with pytest.raises(Reject, match="checksum in a gzip header"):
        inflate(head + b"\0\0" + body)


@pytest.mark.parametrize("squeeze", [gzip.compress, zstandard.compress])
def test_no_truncated_file_is_taken_for_whole(squeeze: Callable[[bytes], bytes]) -> None:
    data = squeeze(TEXT)
    for size in range(4, len(data)):
        with pytest.raises(Reject, match=r"truncated|wrong|damaged"):
            inflate(data[:size])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(TEXT, mtime=0) + b"x", "bytes after the end"),
        (gzip.compress(TEXT, mtime=0) + b"\0x", "bytes after the end"),
        (gzip.compress(TEXT, mtime=0) + b"\0" + gzip.compress(TEXT, mtime=0), "bytes after the end"),
        (gzip.compress(TEXT, mtime=0)[:-8] + bytes(8), "wrong checksum or length"),
        (gzip.compress(TEXT, mtime=0)[:-4] + bytes(4), "wrong checksum or length"),
        (b"\x1f\x8b\x07" + bytes(20), "not a gzip header"),
        (member(TEXT, 0x20), "not a gzip header"),
        (member(TEXT)[:10] + b"\xff" * 50, "damaged gzip data"),
        (zstandard.compress(TEXT) + b"x", "bytes after the end"),
    ],
)
def test_damaged_files_are_rejected(data: bytes, reason: str) -> None:
    with pytest.raises(Reject, match=reason):
        inflate(data)


def test_files_are_limited_in_size_and_ratio() -> None:
    with pytest.raises(Reject, match="file too large"):
        inflate(b"12345", Limits(file_bytes=4))
    for data in (TEXT, gzip.compress(TEXT), zstandard.compress(TEXT)):
        assert inflate(data, Limits(inflated_bytes=len(TEXT))) == TEXT
        with pytest.raises(Reject, match="inflated file too large"):
            inflate(data, Limits(inflated_bytes=len(TEXT) - 1))
    assert inflate(gzip.compress(TEXT), Limits(ratio=10, ratio_from_bytes=len(TEXT))) == TEXT
    with pytest.raises(Reject, match="inflates too far"):
        inflate(gzip.compress(TEXT), Limits(ratio=10, ratio_from_bytes=len(TEXT) - 1))


# --- fold ----------------------------------------------------------------------------------------


def event(time_ns: int, kind: str = "other", process: str = "p", **columns: str) -> Event:
    return Event(time_ns, "", "h", process, kind, 1, columns)


def folded(*events: Event, definition: FoldDefinition = PROCESS) -> State:
    (state,) = reference.fold_events(events, definition).values()
    return state


def test_first_last_and_counts() -> None:
    state = folded(event(5), event(-3, "pipe"), event(9, "process_start"), event(1))
    assert state.values == {"first": -3, "last": 9, "counts": {"process_start": 1, "pipe": 1, "other": 2}}
    assert list(state.values) == ["first", "last", "counts"]
    assert list(state.values["counts"]) == ["process_start", "pipe", "other"]  # type: ignore[arg-type]


def test_the_first_text_is_by_time_then_by_bytes() -> None:
    assert folded(event(2, image="a"), event(1, image="z"), event(1, image="b")).values["image"] == Text(1, "b")
    # U+FFFF is below U+10000 in UTF-8, above it in UTF-16.
    assert folded(event(1, image="\U00010000"), event(1, image="\uffff")).values["image"] == Text(1, "\uffff")
    assert folded(event(1, user="u"), event(0)).values["user"] == Text(1, "u")


def test_sets_keep_each_text_at_its_first_time_for_their_kinds() -> None:
    state = folded(
        event(9, "file_write", file="b"),
        event(3, "file_write", file="b"),
        event(3, "file_write", file="a"),
        event(1, "file_delete", file="c"),
        event(0, "file_open", file="d"),
    )
    assert state.values["files"] == TextSet(False, (Text(3, "a"), Text(3, "b")))
    assert state.values["deleted"] == TextSet(False, (Text(1, "c"),))


def test_a_set_over_its_limit_keeps_the_earliest_and_says_more() -> None:
    events = [event(100 - i, "dns_query", domain=f"d{i:02}") for i in range(65)]
    kept = folded(*events).values["domains"]
    assert isinstance(kept, TextSet)
    assert kept.more
    assert kept.members == tuple(Text(36 + i, f"d{64 - i:02}") for i in range(64))
    assert folded(*events[1:], *events[1:]).values["domains"] == TextSet(False, kept.members)


def test_texts_over_their_limit_are_cut_at_a_character_and_marked() -> None:
    long = "x" * 511 + "é"
    state = folded(event(1, "file_write", file=long), event(1, "file_write", file="x" * 511))
    assert state.values["files"] == TextSet(False, (Text(1, "x" * 511, False), Text(1, "x" * 511, True)))
    assert folded(event(1, command_line="y" * 2048)).values["command_line"] == Text(1, "y" * 2048)
    assert folded(event(1, command_line="y" * 2049)).values["command_line"] == Text(1, "y" * 2048, True)


NUMBERS = FoldDefinition(
    "numbers",
    1,
    "",
    (
        Reducer(1, "low", "min", "detail", (), 0, 0),
        Reducer(2, "high", "max", "detail", (), 0, 0),
        Reducer(3, "total", "sum", "detail", (), 0, 0),
        Reducer(4, "newest", "last", "image", (), 0, 8),
    ),
)


def test_numbers_are_one_to_nineteen_digits() -> None:
    texts = [
        "7",
        "007",
        "9223372036854775807",
        "9223372036854775808",
        "-1",
        "1.0",
        "1e3",
        "\u0661",
        "0" * 20,
        "x",
        " 1",
    ]
    state = folded(*[event(1, detail=text) for text in texts], definition=NUMBERS)
    assert state.values == {"low": 7, "high": 2**63 - 1, "total": 2**63 - 1 + 14}
    assert folded(event(1, detail="x"), definition=NUMBERS).values == {}
    assert folded(event(1, detail="0"), definition=NUMBERS).values == {"low": 0, "high": 0, "total": 0}


def test_a_sum_saturates() -> None:
    events = [event(1, detail=str(2**63 - 1))] * 3
    assert folded(*events, definition=NUMBERS).values["total"] == 2**64 - 1


def test_the_last_text_is_the_largest() -> None:
    state = folded(event(1, image="z"), event(2, image="a"), event(2, image="b"), definition=NUMBERS)
    assert state.values["newest"] == Text(2, "b")


def test_fold_reads_files_and_orders_processes() -> None:
    data = line(one(ProcessGuid="b")) + line(one(Hostname="A", ProcessGuid="c")) + line(one(ProcessGuid="a"))
    for stored in (data, gzip.compress(data), zstandard.compress(data)):
        states = fold(stored, SYSMON, PROCESS)
        assert list(states) == [("", "A", "c"), ("", "WS5.shire.com", "a"), ("", "WS5.shire.com", "b")]
    assert fold(b"", SYSMON, PROCESS) == {}


def test_only_states_of_one_process_merge() -> None:
    a = folded(event(1, image="x"))
    assert merge_states(a, folded(event(0, image="y")), PROCESS) == folded(event(1, image="x"), event(0, image="y"))
    with pytest.raises(IdentityClash):
        merge_states(a, folded(event(1, process="q")), PROCESS)


# --- payloads ------------------------------------------------------------------------------------

GOLDEN = State(
    "t",
    "h",
    "p",
    {
        "first": 2_000_000_000,
        "last": 5_000_000_000,
        "counts": {"process_start": 1, "other": 300},
        "image": Text(3_000_000_000, "é", True),
        "files": TextSet(True, (Text(2_000_000_000, "a"), Text(4_000_000_000, "b", True))),
    },
)
GOLDEN_BYTES = bytes.fromhex(
    "01 74 01 68 01 70"  # identity
    "03 04"  # seconds, from second 2
    "09 00 00"  # 1 min time
    "12 00 03"  # 2 max time
    "18 02 00 01 14 ac 02"  # 3 count: kind 0 once, kind 20 300 times
    "24 01 05 c3 a9"  # 4 first: a second in, two bytes, cut
    "46 05 00 02 61 02 03 62"  # 8 set: two members and more
)


def test_the_layout_of_version_1() -> None:
    assert encode(GOLDEN, PROCESS, 1) == GOLDEN_BYTES
    assert decode(GOLDEN_BYTES, PROCESS) == GOLDEN


GOLDEN_2 = State(
    "t",
    "h",
    "39e4a257-79fb-5f92-7117-000000000700",
    {
        **GOLDEN.values,
        "parent": Text(2_000_000_000, "39e4a257-79fa-5f92-0100-000000000700"),
        "remotes": TextSet(False, (Text(2_000_000_000, "10.0.0.1:443"),)),
        "modules": TextSet(False, (Text(2_000_000_000, "C:\\ab"), Text(2_000_000_000, "C:\\ac"))),
        "sources": TextSet(False, (Text(3_000_000_000, "00000000-79fb-5f92-0100-00000000abcd"),)),
    },
)
GOLDEN_2_BYTES = bytes.fromhex(
    "80 00"  # mark
    "03 04"  # seconds, from second 2
    "01 39e4a257 f2e793f90b 7117 000000000700"  # process: host, 0x5f9279fb seconds less 2, counter, session
    "74 00 68 00"  # tenant, host
    "09 00 12 00"  # 1 and 2: min and max of times
    "18 81 80 40"  # 3 count: kinds 0 and 20
    "24 01"  # 4 first: plain, cut
    "3c 02"  # 7 first: a GUID
    "46 29 02"  # 8 set: two plain members, the second cut, and more
    "56 14"  # 10 set: one endpoint
    "6e 20"  # 13 set: two plain members
    "7e 12"  # 15 set: one GUID
    "00"
    "c3 a9 00"  # texts of 4
    "61 00 00 62 00"  # of 8
    "43 3a 5c 61 62 00 04 63 00"  # of 13
    "01 ac 02"  # numbers of 3
    "00 03 01 00 00 02 00 00 00 01"  # times of 1, 2, 4, 7, 8, 10, 13, 15
    "04 0100"  # id of 7: a second before
    "0a000001 01bb"  # of 10
    "0b 00000000 0100 00000000abcd"  # of 15: a second after, another host and session
)


def test_the_layout_of_version_2() -> None:
    assert encode(GOLDEN_2, PROCESS, 2) == GOLDEN_2_BYTES
    assert decode(GOLDEN_2_BYTES, PROCESS) == GOLDEN_2


@pytest.mark.parametrize(
    ("times", "unit", "base"),
    [
        ([], 3, 0),
        ([0], 3, 0),
        ([1], 0, 2),
        ([-1], 0, 1),
        ([-3_000_000_000], 3, 5),
        ([1_000, 2_000_000], 1, 2),
        ([1_000_000, 2_000_000], 2, 2),
        ([-(2**63) + 1, 2**63 - 1], 0, 2**64 - 3),
    ],
)
def test_the_unit_is_the_coarsest_that_divides_every_time(times: list[int], unit: int, base: int) -> None:
    values: dict[str, Any] = {"first": min(times), "last": max(times)} if times else {"counts": {"other": 1}}
    state = State("", "", "", values)
    for version, before in ((1, b"\0\0\0"), (2, MARK_2)):
        payload = encode(state, PROCESS, version)
        assert payload.startswith(before + bytes([unit]) + varint(base))
        assert decode(payload, PROCESS) == state


IDENTITY = b"\0\x01h\x01p"
HEAD = IDENTITY + b"\x03\x04"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "truncated"),
        (b"\x05h", "truncated"),
        (IDENTITY, "truncated"),
        (b"\x01\xff\x01h\x01p\x03\0", "invalid UTF-8"),
        (b"\0\x81\0h\x01p\x03\0", "not canonical"),
        (b"\xff" * 10 + b"\x01", "varint"),
        (b"\xff" * 9 + b"\x02", "varint out of range"),
        (IDENTITY + b"\x04\0", "unknown unit"),
        (IDENTITY + b"\x03" + b"\xff" * 9 + b"\x01", "time out of range"),
        (IDENTITY + b"\x03\x04", "not canonical"),  # a base without times
        (HEAD + b"\x09\0\x01", "not canonical"),  # no time at the base
        (IDENTITY + b"\x02\x80\xfa\x01" + b"\x09\0\0", "not canonical"),  # milliseconds where seconds do
        (HEAD + b"\x09\x01\0", "where a number belongs"),
        (HEAD + b"\x0a\0\0", "unknown reducer 1 of op 2"),
        (HEAD + b"\x09\0\0" + b"\xb8\x01\0", "unknown reducer 23 of op 0"),
        (HEAD + b"\x09\0\0\x09\0\0", "stands twice"),
        (HEAD + b"\x12\0\0\x09\0\0", "not canonical"),  # order of tags
        (HEAD + b"\x09\0\x80\0", "not canonical"),  # varint
        (HEAD + b"\x09\0", "truncated"),
        (HEAD + b"\x09\0\0\0", "unknown reducer 0"),
        (HEAD + b"\x09\0\0\x18\0", "count out of range"),
        (HEAD + b"\x09\0\0\x18\x01\0\0", "count out of range"),
        (HEAD + b"\x09\0\0\x18\x01\x15\x01", "unknown kind 21"),
        (HEAD + b"\x09\0\0\x18\x02\x01\x01\0\x01", "not canonical"),  # order of kinds
        (HEAD + b"\x09\0\0\x18\x02\x01\x01\x01\x01", "not canonical"),  # a kind twice
        (HEAD + b"\x24\0\0", "text that is empty"),
        (HEAD + b"\x24\0\x02\xff", "invalid UTF-8"),
        (HEAD + b"\x24\0\x82\x80\x04" + b"x" * 32769, "over its limit"),
        (HEAD + b"\x46\0", "set that is empty"),
        (HEAD + b"\x46\x04\0\x02b\0\x02a", "out of order"),
        (HEAD + b"\x46\x04\0\x02a\0\x02a", "twice"),
        (HEAD + b"\x46\x04\0\x02a\x01\x02a", "twice"),
        (HEAD + b"\x46\x82\x01" + b"".join(b"\0\x02" + bytes([48 + i]) for i in range(65)), "over its limit"),
        (IDENTITY + b"\0\xfe" + b"\xff" * 8 + b"\x01" + b"\x12\0\x01", "time out of range"),
    ],
)
def test_what_encode_does_not_write_decode_does_not_read(payload: bytes, reason: str) -> None:
    with pytest.raises(CorruptValue, match=reason):
        decode(payload, PROCESS)


def test_numbers_are_stored_apart_from_times() -> None:
    state = State("", "h", "p", {"low": 0, "high": 2**63 - 1, "total": 2**64 - 1})
    assert decode(encode(state, NUMBERS), NUMBERS) == state
    payload = encode(state, NUMBERS, 1)
    assert decode(payload, NUMBERS) == state
    with pytest.raises(CorruptValue, match="where a number belongs"):
        decode(payload.replace(b"\x09\x01", b"\x09\x00"), NUMBERS)
    with pytest.raises(CorruptValue, match="number out of range"):
        decode(payload.replace(b"\x7f\x1b", b"\xff\x01\x1b"), NUMBERS)


def test_every_truncation_and_every_extension_of_a_payload_is_refused() -> None:
    # Whole reducers at the end are not missed: the frame around a payload has its length and checksum.
    whole = {len(GOLDEN_BYTES) - cut for cut in (8, 13, 20, 23)}
    for size in set(range(len(GOLDEN_BYTES))) - whole:
        with pytest.raises(CorruptValue):
            decode(GOLDEN_BYTES[:size], PROCESS)
    with pytest.raises(CorruptValue):
        decode(GOLDEN_BYTES + b"\0", PROCESS)
    for size in range(len(GOLDEN_2_BYTES)):
        with pytest.raises(CorruptValue):
            decode(GOLDEN_2_BYTES[:size], PROCESS)
    with pytest.raises(CorruptValue, match="after the end"):
        decode(GOLDEN_2_BYTES + b"\0", PROCESS)


# --- the reference stands alone ------------------------------------------------------------------


def test_the_reference_imports_nothing_of_the_core() -> None:
    modules: set[str | None] = set()
    for path in Path(reference.__file__).parent.glob("*.py"):
        # What these two know of marks and records has nothing of the core either, but they are no part of a state.
        if path.stem in {"detection", "matching"}:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    ours = {name for name in modules if name and name.startswith("fastfold")}
    assert {name for name in ours if not name.startswith("fastfold.reference.")} == {
        "fastfold.bounds",
        "fastfold.errors",
        "fastfold.schema",
        "fastfold.states",
        "fastfold.types",
    }


def test_counts_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        read_lines(b"", SYSMON).counts.lines = 1  # type: ignore[misc]
