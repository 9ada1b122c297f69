"""What a parked message carries besides its body: why it is there, as attributes.

============  ======  ==================================================================
attribute     type    meaning
============  ======  ==================================================================
Reason        String  what is wrong, in at most 256 characters, control characters escaped
ErrorType     String  class of the error
SourceQueue   String  URL of the queue it came from
File          String  the object at fault, where one is known
Line, Offset  Number  the place in it, where known (`fastfold.errors.Reject` says what they count)
============  ======  ==================================================================

A worker writes them, `fastfold dlq` reads them and takes them off again.  Other attributes stay with the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastfold.errors import Reject
from fastfold.text import attribute_text

__all__ = ["REASON_CHARACTERS", "REASON_NAMES", "reasons_of", "without_reasons"]

REASON_CHARACTERS = 256
"""Longest text of a reason."""

REASON_NAMES = ("Reason", "ErrorType", "SourceQueue", "File", "Line", "Offset")
"""The attributes of the table above."""


def reasons_of(error: Exception, file: str | None, queue_url: str) -> dict[str, Any]:
    """The attributes for a message that is parked.

    Parameters
    ----------
    error : Exception
        Why.
    file : str or None
        The object at fault, where the error does not name it itself.
    queue_url : str
        Where the message came from.
    """
    reasons = {
        "Reason": _text(str(error), REASON_CHARACTERS),
        "ErrorType": _text(type(error).__name__),
        "SourceQueue": _text(queue_url),
    }
    place = error if isinstance(error, Reject) else None
    name = (place.file if place is not None else None) or file
    if name:
        reasons["File"] = _text(name)
    if place is not None and place.line is not None:
        reasons["Line"] = _number(place.line)
    if place is not None and place.offset is not None:
        reasons["Offset"] = _number(place.offset)
    return reasons


def without_reasons(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that are not ours."""
    return {name: value for name, value in attributes.items() if name not in REASON_NAMES}


def _text(text: str, width: int | None = None) -> dict[str, str]:
    return {"DataType": "String", "StringValue": attribute_text(text, width)}


def _number(number: int) -> dict[str, str]:
    return {"DataType": "Number", "StringValue": str(number)}
