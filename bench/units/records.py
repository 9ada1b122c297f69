"""Records whose fields are chosen, so that nearly all of a reading is one unit's."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

__all__ = ["lines", "text_of"]

TEXT_BYTES = 4 << 20


def lines(*, seed: int = 1, **change: Any) -> Iterator[dict[str, Any]]:
    """Endless records of one kind; `change` gives a field a value, or a function of dice and number."""
    dice = random.Random(seed)
    number = 0
    while True:
        record = {
            "Channel": "Microsoft-Windows-Sysmon/Operational",
            "EventID": 11,
            "Hostname": "ws-1.corp.example",
            "UtcTime": "2026-01-02 03:04:05.678",
            "ProcessGuid": "{5a8f94a3-7fd0-65e5-0004-000000000700}",
            "Image": "C:\\Windows\\System32\\svchost.exe",
            "TargetFilename": "C:\\Windows\\Temp\\a.tmp",
        }
        record |= {name: value(dice, number) if callable(value) else value for name, value in change.items()}
        yield record
        number += 1


def text_of(records: Iterator[dict[str, Any]], size: int = TEXT_BYTES) -> bytes:
    """Lines of about `size` bytes."""
    made = bytearray()
    while len(made) < size:
        made += json.dumps(next(records), separators=(",", ":")).encode() + b"\n"
    return bytes(made)
