r"""The shapes in which collectors ship a Sysmon event: `render` makes one line of one.

=====  ==========================================================================================
shape  form
=====  ==========================================================================================
A      NXLog: flat, ``EventTime`` and ``EventReceivedTime`` in local time without zone
B      Event Log API: flat, ``TimeCreated``, ``Message`` in the middle, HTML characters escaped
C      Winlogbeat 6: the event data nested under ``event_data``
=====  ==========================================================================================
"""

from __future__ import annotations

import itertools
import json
from typing import NamedTuple

from fastfold.generate import words
from fastfold.generate.records import Dice, Host, title_of, utc
from fastfold.states import format_time

__all__ = ["SHAPES", "Event", "render", "render_other"]

SHAPES = ("A", "B", "C")
_NS_PER_MS = 1_000_000

_CHANNEL = "Microsoft-Windows-Sysmon/Operational"
_SOURCE = "Microsoft-Windows-Sysmon"
_PROVIDER = "{5770385f-c22a-43e0-bf4c-06f5698ffbd9}"
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})


class Event(NamedTuple):
    """An event with what the shapes need of it; `number` is counted by the channel of the host."""

    event_id: int
    data: dict[str, str]
    host: Host
    number: int
    time_ms: int

    @property
    def title(self) -> str:
        """The first line of its message."""
        return title_of(self.event_id)


def _shape_a(event: Event, message: str) -> dict[str, object]:
    local = utc(event.time_ms + event.host.clock_ms)[:19]
    record: dict[str, object] = {
        "SeverityValue": 2,
        "EventReceivedTime": local,
        "EventID": event.event_id,
        "ProviderGuid": _PROVIDER.upper(),
        "ExecutionProcessID": 3312,
        "Channel": _CHANNEL,
        "host": "collector.example.net",
        "AccountType": "User",
        "Opcode": "Info",
        "EventTime": local,
        "SourceModuleType": "im_msvistalog",
        "AccountName": "SYSTEM",
        "Domain": "NT AUTHORITY",
        "@version": "1",
        "OpcodeValue": 0,
        "Severity": "INFO",
        "EventType": "INFO",
        "SourceName": _SOURCE,
        "Category": f"{event.title} (rule: {event.title.title().replace(' ', '')})",
        "Keywords": -9223372036854775808,
        "UserID": "S-1-5-18",
        "ThreadID": 3444,
        "@timestamp": format_time((event.time_ms + 900) * _NS_PER_MS)[:23] + "Z",
        "port": 61041,
        "RecordNumber": event.number,
        "Task": event.event_id,
        "SourceModuleName": "eventlog",
        "Version": 5,
        "Hostname": event.host.name,
        "tags": ["generated"],
        "Message": message,
    }
    if "EventType" in event.data:
        # NXLog moves its own EventType out of the way of Sysmon's.
        record["EventTypeOrignal"] = "INFO"
    return record | event.data


def _shape_b(event: Event, message: str) -> dict[str, object]:
    created = format_time((event.time_ms + event.host.clock_ms + 7) * _NS_PER_MS)[:23] + "Z"
    return {
        "SourceName": _SOURCE,
        "ProviderGuid": _PROVIDER,
        "Level": "4",
        "Keywords": "0x8000000000000000",
        "Channel": _CHANNEL,
        "Hostname": event.host.name,
        "TimeCreated": created,
        "@timestamp": created,
        "EventID": event.event_id,
        "Message": message,
        "Task": str(event.event_id),
        **event.data,
    }


def _shape_c(event: Event, message: str) -> dict[str, object]:
    return {
        "@timestamp": format_time(event.time_ms * _NS_PER_MS)[:23] + "Z",
        "@metadata": {"beat": "winlogbeat", "type": "doc", "version": "6.7.0", "topic": "winlogbeat"},
        "log_name": _CHANNEL,
        "message": message,
        "thread_id": 3144,
        "version": 3,
        "event_id": event.event_id,
        "host": {"name": "collector.example.net"},
        "source_name": _SOURCE,
        "task": f"{event.title} (rule: {event.title})",
        "opcode": "Info",
        "level": "Information",
        "user": {"identifier": "S-1-5-18", "name": "SYSTEM", "domain": "NT AUTHORITY", "type": "User"},
        "event_data": {name: value for name, value in event.data.items() if name != "RuleName"},
        "type": "wineventlog",
        "provider_guid": _PROVIDER,
        "record_number": str(event.number),
        "process_id": 2440,
        "computer_name": event.host.name,
        "beat": {"name": "collector", "hostname": "collector.example.net", "version": "6.7.0"},
    }


_SHAPES = {"A": _shape_a, "B": _shape_b, "C": _shape_c}


def render(shape: str, event: Event, record_bytes: int = 0) -> bytes:
    """One record as a line of UTF-8 without its line feed.

    Parameters
    ----------
    shape : str
        One of `SHAPES`.
    event : Event
    record_bytes : int
        Length to reach: the message text is made longer or cut, the event data never.  0 leaves
        the record as it comes.
    """
    message = "\r\n".join([f"{event.title}:", *(f"{name}: {value}" for name, value in event.data.items())])
    form = _SHAPES[shape]
    if record_bytes:
        message = _fit(message, record_bytes - len(_line(form(event, ""), shape)), shape)
    return _line(form(event, message), shape)


def _fit(message: str, room: int, shape: str) -> str:
    """The message, longer or cut, so that its JSON text fills `room` bytes or a few less."""
    if room <= 0:
        return ""
    missing = room - len(_line(message, shape)) + 2
    if missing > 0:
        more = itertools.cycle(words.SENTENCES)
        while missing > 0:
            sentence = " " + next(more)
            message += sentence[:missing]
            missing -= len(sentence)
        return message
    # A character takes at least one byte of JSON text, so cutting the excess in characters is enough.
    message = message[:room]
    excess = len(_line(message, shape)) - 2 - room
    return message[: len(message) - excess] if excess > 0 else message


def _line(value: object, shape: str) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return (text.translate(_HTML) if shape == "B" else text).encode()


def render_other(dice: Dice, host: Host, time_ms: int) -> bytes:
    """A record of another channel, such as stand among Sysmon's in every real file."""
    created = format_time((time_ms + host.clock_ms) * _NS_PER_MS)[:23] + "Z"
    record = {
        "SourceName": "Microsoft-Windows-Security-Auditing",
        "ProviderGuid": "{54849625-5478-4994-a5ba-3e3b0328c30d}",
        "Level": "0",
        "Keywords": "0x8020000000000000",
        "Channel": "Security",
        "Hostname": host.name,
        "TimeCreated": created,
        "@timestamp": created,
        "EventID": dice.pick((4658, 4656, 4663, 4690, 4703)),
        "Message": "An operation was performed on an object.",
        "SubjectUserName": host.user,
        "SubjectLogonId": "0x3e7",
        "HandleId": f"0x{dice.digits(4).lower()}",
        "ObjectServer": "Security",
    }
    return _line(record, "B")
