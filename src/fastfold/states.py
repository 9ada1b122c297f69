"""The decoded state of a process, and the JSON object shown of it.

A state is what Redis holds of one process, decoded: an identity and one value per reducer that
has any.  Values are plain and frozen, so states compare with ``==``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from fastfold.schema import FoldDefinition

__all__ = ["State", "Text", "TextSet", "Value", "format_time", "to_json"]

_NS_PER_SECOND = 1_000_000_000


class Text(NamedTuple):
    """A text with the event time that goes with it; `cut` when it was longer than its limit."""

    time_ns: int
    text: str
    cut: bool = False


class TextSet(NamedTuple):
    """The earliest distinct texts of a column; `more` when others were dropped for the limit."""

    more: bool
    members: tuple[Text, ...]


Value = dict[str, int] | int | Text | TextSet


@dataclass(frozen=True, slots=True)
class State:
    r"""The fold of all of a process's events so far.

    Attributes
    ----------
    tenant, host, process : str
        The identity; `tenant` is empty where the format has none.
    values : dict of str to Value
        By reducer name, in order of reducer tags; reducers that saw nothing are left out.
    definition : FoldDefinition or None
        What it was read with, where that is known; no part of what it is.

    Notes
    -----
    Values are also plain attributes: ``state.image`` is a text, ``state.files`` a tuple of `Text`,
    ``state.counts`` a dict, ``state.first`` nanoseconds since 1970 UTC.  Where the definition is known, a
    reducer that saw nothing is ``None``, ``()`` or ``{}``.

    Examples
    --------
    >>> state = State("", "h", "p", {"image": Text(5, "C:\\x.exe"), "files": TextSet(True, (Text(7, "a"),))})
    >>> state.image, state.files[0].text, state.more
    ('C:\\x.exe', 'a', ('files',))
    """

    tenant: str
    host: str
    process: str
    values: dict[str, Value]
    definition: FoldDefinition | None = field(default=None, compare=False, repr=False)

    def __getattr__(self, name: str) -> Any:
        # Names with an underscore are asked for by copy and pickle, before there are any values.
        if not name.startswith("_"):
            if name in self.values:
                value = self.values[name]
                return value.text if isinstance(value, Text) else value.members if isinstance(value, TextSet) else value
            for reducer in self.definition.reducers if self.definition is not None else ():
                if reducer.name == name:
                    return {"count": {}, "set": ()}.get(reducer.op)
        raise AttributeError(f"this state has no {name!r}; it has {', '.join(self.values)}")

    @property
    def more(self) -> tuple[str, ...]:
        """Names of the sets that dropped members for their limit."""
        return tuple(name for name, value in self.values.items() if isinstance(value, TextSet) and value.more)

    @property
    def cut(self) -> tuple[str, ...]:
        """Names of the reducers that hold a text cut at its limit."""
        return tuple(name for name, value in self.values.items() if _is_cut(value))

    def to_dict(self) -> dict[str, object]:
        """The state as plain values, under the names that `to_json` uses.

        Returns
        -------
        dict
            ``tenant``, ``host``, ``process``; each reducer that saw something under its name: a text, a number
            (times in nanoseconds since 1970 UTC), a dict of counts, or a list of ``(time_ns, text)``; ``more``
            and ``cut``, lists of names.
        """
        shown: dict[str, object] = {"tenant": self.tenant, "host": self.host, "process": self.process}
        for name, value in self.values.items():
            if isinstance(value, TextSet):
                shown[name] = [(member.time_ns, member.text) for member in value.members]
            else:
                shown[name] = (
                    value.text if isinstance(value, Text) else dict(value) if isinstance(value, dict) else value
                )
        return shown | {"more": list(self.more), "cut": list(self.cut)}


def _is_cut(value: Value) -> bool:
    texts = value.members if isinstance(value, TextSet) else (value,)
    return any(isinstance(text, Text) and text.cut for text in texts)


def format_time(time_ns: int) -> str:
    """RFC 3339 text of a time in nanoseconds since 1970 UTC, always with nine digits.

    Examples
    --------
    >>> format_time(1_603_413_411_890_000_000)
    '2020-10-23T00:36:51.890000000Z'
    """
    seconds, fraction = divmod(time_ns, _NS_PER_SECOND)
    days, second = divmod(seconds, 86_400)
    year, month, day = _civil(days)
    hour, rest = divmod(second, 3600)
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{rest // 60:02d}:{rest % 60:02d}.{fraction:09d}Z"


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month, day of a day number since 1970 (proleptic Gregorian; years count from March)."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    return year, month, day


def to_json(state: State, definition: FoldDefinition) -> dict[str, object]:
    """The object that ``fold --format jsonl`` and ``inspect --json`` print for a state.

    Parameters
    ----------
    state : State
    definition : FoldDefinition
        Tells times from numbers, and the order of the names.

    Returns
    -------
    dict
        ``tenant`` (left out when there is none), ``host``, ``process``, each reducer under its
        name, then ``more`` (sets that dropped members) and ``cut`` (reducers that hold a text cut
        at its limit), both sorted and left out when empty.
    """
    shown: dict[str, object] = {"tenant": state.tenant} if state.tenant else {}
    shown["host"] = state.host
    shown["process"] = state.process
    for reducer in definition.reducers:
        value = state.values.get(reducer.name)
        if value is None:
            continue
        if isinstance(value, TextSet):
            shown[reducer.name] = [[format_time(member.time_ns), member.text] for member in value.members]
        elif isinstance(value, Text):
            shown[reducer.name] = value.text
        elif isinstance(value, int) and reducer.column == "time":
            shown[reducer.name] = format_time(value)
        else:
            shown[reducer.name] = value
    if state.more:
        shown["more"] = sorted(state.more)
    if state.cut:
        shown["cut"] = sorted(state.cut)
    return shown
