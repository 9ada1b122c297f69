"""What the reference refuses, and where it says the fault is."""

from __future__ import annotations

import pytest

from fastfold.errors import Reject
from fastfold.reference import parse_lines, read_lines
from fastfold.types import Limits
from sysmon_records import SYSMON, events_of, line, one

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
