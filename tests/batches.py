"""Small batches of Sysmon records, and the states that the reference makes of them."""

from __future__ import annotations

import gzip
import json

from fastfold import reference
from fastfold.schema import load_definition, load_schema
from states import Identity


def record(process: int, host: str = "host-a", **more: object) -> bytes:
    """A line: a file written by a process."""
    found = {
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "EventID": 11,
        "Hostname": host,
        "UtcTime": f"2026-01-01 00:00:{process % 60:02d}.123",
        "ProcessGuid": f"{{00000000-0000-0000-0000-{process + 1:012d}}}",
        "Image": r"C:\Windows\System32\cmd.exe",
        "TargetFilename": rf"C:\Temp\{process}.txt",
        **more,
    }
    return json.dumps(found).encode() + b"\n"


def batch(first: int, count: int = 5, host: str = "host-a") -> bytes:
    """A file of some processes, one event of each."""
    return gzip.compress(b"".join(record(process, host) for process in range(first, first + count)), mtime=0)


def expected(*files: bytes) -> dict[Identity, bytes]:
    """The states of all files together, by the reference."""
    definition = load_definition("process")
    text = b"".join(map(gzip.decompress, files))
    states = reference.fold(text, load_schema("sysmon"), definition)
    return {identity: reference.encode(state, definition) for identity, state in states.items()}
