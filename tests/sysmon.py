"""Sysmon records of a few words, as a collector writes them."""

from __future__ import annotations

import json

CHANNEL = "Microsoft-Windows-Sysmon/Operational"


TIME = "2026-01-02 03:04:05.678"


def line(event_id: int, process: str = "1", host: str = "a", time: str = TIME, **more: str) -> bytes:
    """One line, with its line feed."""
    record = {"Channel": CHANNEL, "EventID": event_id, "Hostname": host, "ProcessGuid": f"{{{process}}}"}
    return json.dumps(record | {"UtcTime": time} | more).encode() + b"\n"


FEW = (
    line(1, Image="C:\\Zoë\\😀.exe", CommandLine="a.exe /x", User="dom\\Zoë")
    + line(11, TargetFilename="C:\\Temp\\a\u202eb.txt", time="2026-01-02 03:04:06.000000123")
    + line(5, "2", "b", Image="C:\\Zoë\\😀.exe")
    + line(22, "2", "b", QueryName="example.org", time="1969-12-31 23:59:59.9")
)
"""Four events of two processes on two hosts; texts beyond ASCII, a time of single nanoseconds, one before 1970."""
