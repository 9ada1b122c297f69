"""The reference makes events of records as the contract says, rule by rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fastfold.reference import Event, parse_lines, read_lines
from sysmon_records import (
    GUID,
    ID,
    NULL_GUID,
    OTHER_GUID,
    OTHER_ID,
    SHAPES,
    SYSMON,
    TIME,
    TIME_NS,
    Record,
    columns_of,
    events_of,
    line,
    one,
    shape_b,
)

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
