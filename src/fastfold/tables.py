"""TOML tables that check what is taken from them, and tell the line of a fault.

`tomllib` gives values without their places.  A `Table` therefore keeps the lines of its file beside
the values, and looks for the line of a fault the way a reader would: in its section, from the key
of the table on, the first line that has the faulty key or value.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from fastfold.errors import SchemaError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Table", "parse_table"]

T = TypeVar("T")

_HEADER = re.compile(r"\s*(\[{1,2})\s*([^\[\]]+?)\s*\]")
_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_TYPE_NAMES: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}


def parse_table(file: str, data: bytes) -> Table:
    """The top table of a TOML file.

    Parameters
    ----------
    file : str
        Name for errors.
    data : bytes
        The content.

    Raises
    ------
    SchemaError
        Not UTF-8, or not TOML.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SchemaError(file, "not UTF-8", data.count(b"\n", 0, error.start) + 1) from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        lines = text.split("\n")
        place = _SYNTAX_PLACE.search(str(error))
        line = int(place[1]) if place is not None and place[1] else len(lines)
        raise SchemaError(file, f"not TOML: {_SYNTAX_PLACE.sub('', str(error))}", line) from None
    lines = text.split("\n")
    return Table(file, "the file", values, lines, 0, len(lines))


@dataclass(frozen=True, slots=True)
class Table:
    """One table, the lines it stands in, and checked access to its values.

    Attributes
    ----------
    file : str
    title : str
        How errors call it: ``[record]``, ``[[event]] 3``.
    values : dict
    lines : list of str
        All lines of the file.
    start, stop : int
        The lines, from 0, to search for a fault.
    """

    file: str
    title: str
    values: dict[str, object]
    lines: list[str]
    start: int
    stop: int

    def fail(self, reason: str, *words: object) -> NoReturn:
        """Raise a `SchemaError` with the first line that has the first of `words` found at all."""
        for word in words:
            line = self._line_of(str(word))
            if line is not None:
                raise SchemaError(self.file, f"{self.title}: {reason}", line + 1)
        known = self.start + 1 if self.start > 0 else None
        raise SchemaError(self.file, f"{self.title}: {reason}", known)

    def only(self, *allowed: str) -> None:
        """Refuse keys that are not `allowed`."""
        for key in self.values:
            if key not in allowed:
                self.fail(f"unknown key {key!r}; allowed: {', '.join(allowed)}", key)

    def text(self, key: str, default: str | None = None) -> str:
        """A non-empty text."""
        if key not in self.values and default is not None:
            return default
        value = self._typed(key, str)
        if not value:
            self.fail(f"{key} is empty", key)
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """One of the `allowed` words."""
        value = self.text(key, default)
        if value not in allowed:
            self.fail(f"{key} = {value!r}; allowed: {', '.join(allowed)}", value, key)
        return value

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number from `low` to `high`."""
        if key not in self.values and default is not None:
            return default
        value = self._typed(key, int)
        if not low <= value <= high:
            self.fail(f"{key} = {value}; allowed: {low} to {high}", key)
        return value

    def flag(self, key: str) -> bool:
        """True or false; false when absent."""
        return key in self.values and self._typed(key, bool)

    def texts(self, key: str, *, needed: bool = True) -> tuple[str, ...]:
        """A list of distinct texts; it may be absent or empty only when not `needed`."""
        if key not in self.values and not needed:
            return ()
        items = self._typed(key, list)
        texts: list[str] = []
        for item in items:
            if not isinstance(item, str):
                self.fail(f"{key} must be a list of texts, has {item!r}", item, key)
            if item in texts:
                self.fail(f"{key} names {item!r} twice", item, key)
            texts.append(item)
        if needed and not texts:
            self.fail(f"{key} is empty", key)
        return tuple(texts)

    def text_lists(self, key: str) -> tuple[tuple[str, ...], ...]:
        """A list of lists of distinct texts, none of them empty; empty when absent."""
        if key not in self.values:
            return ()
        lists = []
        for item in self._typed(key, list):
            # Read as if it stood alone, so that it is checked, and faults are told, as any list.
            alone = Table(self.file, self.title, {key: item}, self.lines, self.start, self.stop)
            lists.append(alone.texts(key))
        return tuple(lists)

    def table(self, key: str) -> Table:
        """A table of this table."""
        return self._part(key, 0, self._typed(key, dict), f"[{key}]")

    def tables(self, key: str) -> list[Table]:
        """A list of tables, empty when absent."""
        if key not in self.values:
            return []
        parts: list[Table] = []
        for index, item in enumerate(self._typed(key, list)):
            if not isinstance(item, dict):
                self.fail(f"{key} must be a list of tables, has {item!r}", key)
            parts.append(self._part(key, index, item, f"[[{key}]] {index + 1}"))
        return parts

    def _typed(self, key: str, kind: type[T]) -> T:
        if key not in self.values:
            self.fail(f"{key} is missing")
        value = self.values[key]
        # A bool is an int to Python, not to a reader of TOML.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.fail(f"{key} must be {_TYPE_NAMES[kind]}, is {value!r}", key)
        return value

    def _part(self, key: str, index: int, values: dict[str, object], title: str) -> Table:
        start, stop = self._place_of(key, index)
        if self.title != "the file":
            title = f"{self.title} {title.replace('[', '').replace(']', '')}"
        return Table(self.file, title, values, self.lines, start, stop)

    def _place_of(self, key: str, index: int) -> tuple[int, int]:
        """Lines of the section ``[key]`` or the `index`-th ``[[key]]``, else from ``key =`` on."""
        seen = -1
        start: int | None = None
        for number in range(self.start, self.stop):
            header = _HEADER.match(self.lines[number])
            if header is None:
                continue
            name = header[2]
            if start is not None:
                if header[1] == "[" and name.startswith(key + "."):
                    continue
                return start, number
            if name == key:
                seen += 1
                if seen == index:
                    start = number
        if start is not None:
            return start, self.stop
        line = self._line_of(key)
        return (line if line is not None else self.start), self.stop

    def _line_of(self, word: str) -> int | None:
        quoted = re.escape(word)
        as_key = re.compile(rf"""(?:^|[\s{{,.\["'])["']?{quoted}["']?\s*(?:=|\.|\])""")
        as_value = re.compile(rf"""["']{quoted}["']|=\s*{quoted}\b""")
        for pattern in (as_key, as_value):
            for number in range(self.start, self.stop):
                if pattern.search(self.lines[number]):
                    return number
        return None
