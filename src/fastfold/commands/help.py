r"""What commands share: times, and help texts as they are written here.

click keeps the lines of a paragraph that begins with a backspace character, written ``\b``.  Docstrings
with backslashes are raw, so in them it is two characters: both commands and groups put it right.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import click

from fastfold.text import escape

__all__ = ["HelpCommand", "HelpGroup", "Moment", "moment"]

_MS_PER_SECOND = 1000
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _kept(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "help": (settings.get("help") or "").replace("\\b\n", "\b\n")}


class HelpCommand(click.Command):
    """A command whose help may be a raw docstring."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **_kept(settings))


class HelpGroup(click.Group):
    """A group whose help, and that of its commands, may be a raw docstring."""

    command_class = HelpCommand

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **_kept(settings))


Moment = Callable[[int], int]
"""A time that may depend on what time it is: from now to then, both in milliseconds since 1970 UTC."""


def moment(context: click.Context, param: click.Parameter, value: str | None) -> Moment | None:
    """Read a time, absolute or counted back from now; a callback of click.

    Raises
    ------
    BadParameter
        If it is neither.
    """
    if value is None:
        return None
    back = re.fullmatch(r"(\d{1,9})([smhd])", value)
    if back:
        back_ms = int(back[1]) * _UNIT_S[back[2]] * _MS_PER_SECOND
        return lambda now_ms: now_ms - back_ms
    try:
        # Before Python 3.11 the Z is not read.
        then = datetime.fromisoformat(re.sub(r"[Zz]\Z", "+00:00", value))
    except ValueError:
        shown = escape(value, 80)
        raise click.BadParameter(f"{shown!r} is no time like 2026-03-04T12:00:00Z, 2026-03-04 or 6h (ago)") from None
    time_ms = round((then if then.tzinfo else then.replace(tzinfo=timezone.utc)).timestamp() * _MS_PER_SECOND)
    return lambda now_ms: time_ms
