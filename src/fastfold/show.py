"""States as rows of the table that `fold` prints, and times as a person reads them.

All text of a state is chosen by whoever started the process, so all of it goes through
`text.escape`, and rich is given `Text`, never markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastfold.states import State, Text, format_time
from fastfold.text import escape

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["count_of", "duration", "short_time", "table", "text_of"]

_NS_PER_SECOND = 1_000_000_000
_CELL_CHARACTERS = 200
_IMAGE_CHARACTERS = 32
"""Longest text of a cell before rich fits it into the column."""


def short_time(time_ns: int) -> str:
    """A time for people: date and time of day, milliseconds, and more digits only where there are any."""
    text = format_time(time_ns)[:-1].replace("T", " ")
    return text[:-6] if text.endswith("000000") else text.removesuffix("000")


def duration(first_ns: int, last_ns: int) -> str:
    """How long it is from one time to a later one."""
    seconds = (last_ns - first_ns) / _NS_PER_SECOND
    if seconds < 120:
        return f"{seconds:.3f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02d}:{minutes:02d}:{rest:02d}" if days else f"{hours:02d}:{minutes:02d}:{rest:02d}"


def count_of(state: State) -> int:
    """Events of a state, over all its counters."""
    return sum(sum(value.values()) for value in state.values.values() if isinstance(value, dict))


def text_of(state: State, name: str) -> str:
    """The text under a name; empty where there is none."""
    value = state.values.get(name)
    return value.text if isinstance(value, Text) else ""


def table(tenant: str, host: str, states: Sequence[State], *, wide: bool) -> Table:
    """One table for one host: process, first time, number of events, program; its command line if `wide`."""
    from rich import box
    from rich.table import Table
    from rich.text import Text as Cell

    name = f"{escape(tenant)} / {escape(host)}" if tenant else escape(host)
    title = Cell(f"{name}: {len(states)} processes", style="bold")
    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    shown.add_column("process", no_wrap=True, overflow="ellipsis", min_width=12)
    shown.add_column("first", no_wrap=True, min_width=19)
    shown.add_column("events", justify="right", no_wrap=True)
    shown.add_column("image", no_wrap=True, overflow="ellipsis")
    if wide:
        shown.add_column("command line", no_wrap=True, overflow="ellipsis")
    for state in states:
        first = state.values.get("first")
        image = text_of(state, "image")
        cells = [
            Cell(escape(state.process, _CELL_CHARACTERS)),
            Cell(short_time(first)[:19] if isinstance(first, int) else ""),
            Cell(f"{count_of(state):,}"),
            # The end of a path tells more than its start.
            Cell(escape(image.rpartition("\\")[2] or image, _IMAGE_CHARACTERS)),
        ]
        if wide:
            cells.append(Cell(escape(text_of(state, "command_line"), _CELL_CHARACTERS)))
        shown.add_row(*cells)
    return shown
