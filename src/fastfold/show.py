"""States as a person reads them: one row in the table of `fold`, one page in `inspect`.

All text of a state is chosen by whoever started the process, so all of it goes through
`text.escape`, and rich is given `Text`, never markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fastfold.states import State, Text, TextSet, format_time
from fastfold.text import escape

if TYPE_CHECKING:
    from rich.table import Table

    from fastfold.schema import FoldDefinition

__all__ = ["count_of", "page", "short_time", "table"]

_NS_PER_SECOND = 1_000_000_000
_LABEL_WIDTH = 14
_CELL_CHARACTERS = 200
_IMAGE_CHARACTERS = 32
"""Longest text of a cell before rich fits it into the column."""


def short_time(time_ns: int) -> str:
    """A time for people: date and time of day, milliseconds, and more digits only where there are any."""
    text = format_time(time_ns)[:-1].replace("T", " ")
    return text[:-6] if text.endswith("000000") else text.removesuffix("000")


def _duration(first_ns: int, last_ns: int) -> str:
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


def _text(state: State, name: str) -> str:
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
        image = _text(state, "image")
        cells = [
            Cell(escape(state.process, _CELL_CHARACTERS)),
            Cell(short_time(first)[:19] if isinstance(first, int) else ""),
            Cell(f"{count_of(state):,}"),
            # The end of a path tells more than its start.
            Cell(escape(image.rpartition("\\")[2] or image, _IMAGE_CHARACTERS)),
        ]
        if wide:
            cells.append(Cell(escape(_text(state, "command_line"), _CELL_CHARACTERS)))
        shown.add_row(*cells)
    return shown


def page(state: State, definition: FoldDefinition) -> Iterator[str]:
    """The lines of one state: who, when, how often, then each set with its times."""
    values = state.values
    yield escape(_text(state, "image")) or "(no image seen)"
    yield from _row("process", state.process)
    yield from _row("host", state.host)
    if state.tenant:
        yield from _row("tenant", state.tenant)
    for reducer in definition.reducers:
        value = values.get(reducer.name)
        if isinstance(value, Text) and reducer.name != "image":
            yield from _row(reducer.name.replace("_", " "), value.text, " (cut at its limit)" if value.cut else "")
        elif isinstance(value, int) and reducer.column == "time":
            first = values.get("first")
            since = f"  ({_duration(first, value)} later)" if reducer.name == "last" and isinstance(first, int) else ""
            yield from _row(reducer.name, short_time(value) + " UTC" + since)
        elif isinstance(value, int):
            yield from _row(reducer.name, f"{value:,}")
        elif isinstance(value, dict):
            kinds = ", ".join(f"{kind} {count:,}" for kind, count in value.items())
            yield from _row(reducer.name, f"{sum(value.values()):,}: {kinds}")
    for reducer in definition.reducers:
        value = values.get(reducer.name)
        if isinstance(value, TextSet):
            yield ""
            yield f"  {reducer.name} ({_members(value)})"
            for member in value.members:
                yield f"    {short_time(member.time_ns)}  {escape(member.text)}{' (cut)' if member.cut else ''}"


def _members(value: TextSet) -> str:
    count = len(value.members)
    return f"the earliest {count}, more were seen and dropped" if value.more else f"{count}"


def _row(label: str, text: str, note: str = "") -> Iterator[str]:
    yield f"  {label:<{_LABEL_WIDTH}}{escape(text)}{note}"
