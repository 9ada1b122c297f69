"""Times, and what a schema may say, as the reference reads them."""

from __future__ import annotations

import pytest

from fastfold import reference
from fastfold.reference import parse_time, read_lines
from fastfold.schema import (
    Condition,
    EventMapping,
    Schema,
    Source,
    TimeSource,
)
from sysmon_records import TIME, TIME_NS, line

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
