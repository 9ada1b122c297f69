"""Sysmon records in the four shapes of collectors, as a test writes them by hand."""

from __future__ import annotations

import json
from typing import Any

from fastfold.reference import Event, parse_lines
from fastfold.schema import (
    load_definition,
    load_schema,
)

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
