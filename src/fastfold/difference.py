"""What differs between two states: of one process at two times, or of two processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fastfold.printing import Line, shown
from fastfold.schema import FoldDefinition
from fastfold.show import short_time
from fastfold.states import State, Text, TextSet, Value, format_time

__all__ = ["Change", "changes", "difference_lines", "difference_object"]


class Change(NamedTuple):
    """One difference.

    Attributes
    ----------
    name : str
        The reducer, or ``tenant``, ``host`` or ``process``; with a kind where it counts.
    before, after : str or None
        ``None`` where there is nothing on that side.
    """

    name: str
    before: str | None
    after: str | None


def changes(before: State, after: State, definition: FoldDefinition) -> Iterator[Change]:
    """The differences, in the order of the fold definition.

    Between two processes the times of texts do not count: no text would have the same.
    """
    is_one = (before.tenant, before.host, before.process) == (after.tenant, after.host, after.process)
    for name in ("tenant", "host", "process"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield Change(name, old or None, new or None)
    for reducer in definition.reducers:
        sides = before.values.get(reducer.name), after.values.get(reducer.name)
        if sides[0] != sides[1]:
            olds, news = (_parts(value, is_time=reducer.column == "time", dated=is_one) for value in sides)
            for part in dict.fromkeys([*olds, *news]):
                if olds.get(part) != news.get(part):
                    yield Change(f"{reducer.name} {part[0]}".rstrip(), olds.get(part), news.get(part))


def _parts(value: Value | None, *, is_time: bool, dated: bool) -> dict[tuple[str, str], str]:
    """The parts of a value that come and go by themselves: by a label, and what tells equals under it apart."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return {(kind, ""): str(count) for kind, count in value.items()}
    if isinstance(value, TextSet):
        members = {("", member.text): _shown(member, dated=dated) for member in value.members}
        return members | ({("overflow", ""): "more were seen and dropped"} if value.more else {})
    if isinstance(value, Text):
        return {("", ""): _shown(value, dated=dated)}
    return {("", ""): format_time(value) if is_time else str(value)}


def _shown(text: Text, *, dated: bool) -> str:
    return f"{short_time(text.time_ns) + '  ' if dated else ''}{text.text}{' (cut)' if text.cut else ''}"


def difference_lines(found: list[Change]) -> Iterator[Line]:
    """The differences for a person."""
    for change in found:
        for mark, style, text in (("-", "removed", change.before), ("+", "added", change.after)):
            if text is not None:
                yield [(f"{mark} {change.name:<22}  ", style), *shown(text, style)]


def difference_object(found: list[Change]) -> list[dict[str, str | None]]:
    """The differences for a program."""
    return [change._asdict() for change in found]
