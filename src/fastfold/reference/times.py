"""The definition of right, times: texts to nanoseconds.

`fastfold.reference` is the whole.
"""

from __future__ import annotations

import re
from datetime import date

__all__ = ["TIME_MAX", "TIME_MIN", "parse_time"]

# The smallest int64 is numpy's "not a time".
TIME_MAX = (1 << 63) - 1
TIME_MIN = -TIME_MAX

_NS = 1_000_000_000
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):?(\d\d)| \+0000 UTC)?",
    re.ASCII,
)
_SECONDS = re.compile(r"(-?)(\d{1,19})(?:\.(\d{1,9}))?", re.ASCII)
_UNSIGNED = re.compile(r"\d{1,19}", re.ASCII)
_SERIAL = re.compile(r"\d+", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,19}", re.ASCII)
_EPOCH_UNITS = {"epoch_ms": 1_000_000, "epoch_us": 1_000, "epoch_ns": 1}
_FILETIME_EPOCH = 116_444_736_000_000_000  # 1970 in steps of 100 ns since 1601
# Epoch seconds reach it in the year 2,283,000,000; as FILETIME it is in 1829.
_FILETIME_ABOVE = 0x0100000000000000


def parse_time(text: str, form: str) -> int | None:
    """Nanoseconds since 1970 UTC, or ``None`` when the text is not of the form or out of range.

    Parameters
    ----------
    text : str
    form : str
        One of `fastfold.schema.TIME_FORMS`.
    """
    if form == "epoch_s_or_filetime":
        form = "filetime" if _UNSIGNED.fullmatch(text) and int(text) > _FILETIME_ABOVE else "epoch_s"
    elif form == "audit":
        text, colon, serial = text.partition(":")
        form = "epoch_s"
        if not colon or _SERIAL.fullmatch(serial) is None:
            return None
    if form == "iso":
        time_ns = _parse_iso(text)
    elif form == "epoch_s":
        found = _SECONDS.fullmatch(text)
        time_ns = None if found is None else int(found[2]) * _NS + _fraction(found[3])
        if time_ns is not None and found is not None and found[1]:
            time_ns = -time_ns
    elif _WHOLE.fullmatch(text) is None:
        time_ns = None
    elif form == "filetime":
        time_ns = (int(text) - _FILETIME_EPOCH) * 100
    else:
        time_ns = int(text) * _EPOCH_UNITS[form]
    return time_ns if time_ns is not None and TIME_MIN <= time_ns <= TIME_MAX else None


def _fraction(digits: str | None) -> int:
    return int((digits or "0").ljust(9, "0"))


def _parse_iso(text: str) -> int | None:
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = int(found[4]), int(found[5]), int(found[6])
    ahead_hours, ahead_minutes = int(found[9] or 0), int(found[10] or 0)
    if hour > 23 or minute > 59 or second > 59 or ahead_hours > 23 or ahead_minutes > 59:
        return None
    try:
        days = date(int(found[1]), int(found[2]), int(found[3])).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None
    ahead = (ahead_hours * 60 + ahead_minutes) * (-60 if found[8] == "-" else 60)
    return (days * 86_400 + hour * 3600 + minute * 60 + second - ahead) * _NS + _fraction(found[7])
