"""Where a JSON text stands in a batch file, and what the core and the reference say of it there."""

from __future__ import annotations

from fastfold.errors import Reject
from fastfold.types import FoldCounts, Limits
from property.implementations import Implementation, Payloads
from property.strategies import PROCESS, SYSMON

__all__ = ["LIMITS", "PLACES", "fold", "placed"]

LIMITS = Limits()
# Alone, under a key that the schema wants, under one that it does not, deeper.
PLACES = {
    "record": b"%s",
    "kept": b'{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":11,"Hostname":"h","TargetFilename":%s,'
    b'"ProcessGuid":"p","UtcTime":"2020-01-01 00:00:00"}',
    "skipped": b'{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":11,"Hostname":"h","Unwanted":%s,'
    b'"ProcessGuid":"p","UtcTime":"2020-01-01 00:00:00","TargetFilename":"f"}',
    "in an array": b'{"TargetFilename":["f",%s],"Unwanted":[[%s]]}',
    "below": b'{"event_data":{"TargetFilename":%s},"Unwanted":{"x":%s}}',
}


def placed(text: bytes, place: str) -> bytes:
    """A record with a text in it."""
    return PLACES[place].replace(b"%s", text)


def fold(kit: Implementation, data: bytes, limits: Limits = LIMITS) -> tuple[Payloads, FoldCounts] | None:
    """What a file gives, or ``None`` when it is refused at the first line."""
    try:
        return kit.fold(data, SYSMON, PROCESS, limits)
    except Reject as reject:
        if reject.line != 1:
            raise
        return None
