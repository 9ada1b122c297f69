"""Lines of text with styles, for a terminal in colour and for a pipe without.

A line is made of spans, each with the name of a style.  What others chose goes into it through `shown`
only, which escapes it and sets off what was escaped.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO

from fastfold.text import json_line, pieces

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["Line", "Printer", "Span", "plain", "shown"]

Span = tuple[str, str]
"""A text that is safe to show, and the name of its style; empty for none."""

Line = list[Span]

_PIPE_COLUMNS = 160

_STYLES = {
    "title": "bold",
    "label": "cyan",
    "faint": "dim",
    "warn": "yellow",
    "escaped": "bold red",
    "added": "green",
    "removed": "red",
}


def shown(text: str, style: str = "", width: int | None = None) -> Line:
    """Spans of a text that somebody else chose.

    Parameters
    ----------
    text : str
    style : str
    width : int, optional
        Longest result, characters; a longer one ends in ``…``.
    """
    # Escaping only lengthens: what lies beyond the width can never be shown.
    given = text if width is None else text[: width + 1]
    line: Line = [(part, "escaped" if escaped else style) for part, escaped in pieces(given)]
    if width is None or len(plain(line)) <= width:
        return line
    cut: Line = []
    room = max(width - 1, 0)
    for part, part_style in line:
        cut.append((part[:room], part_style))
        room -= len(part[:room])
    return [*cut, ("…", style)]


def plain(line: Iterable[Span]) -> str:
    """A line without its styles."""
    return "".join(text for text, _ in line)


class Printer:
    """Writes lines, or objects as lines of JSON.

    Parameters
    ----------
    output : BinaryIO
        In colour if it is a terminal, unless NO_COLOR is set.
    as_json : bool
    """

    def __init__(self, output: BinaryIO, as_json: bool = False) -> None:
        self.as_json = as_json
        self.is_terminal = output.isatty() and not as_json
        self._output = output
        self._console: Console | None = None

    def lines(self, lines: Iterable[Line]) -> None:
        """Write lines; each is out before the next thing is waited for."""
        render = self._coloured if self.is_terminal else plain
        self._output.write("".join(f"{render(line).rstrip()}\n" for line in lines).encode())
        self._output.flush()

    def json(self, value: object) -> None:
        """Write an object."""
        self._output.write(json_line(value).encode() + b"\n")
        self._output.flush()

    def render(self, what: RenderableType) -> None:
        """Write what rich lays out: tables."""
        from rich.console import Console

        # In a pipe there is no width to keep to; COLUMNS still decides where it is set.
        width = None if self.is_terminal or "COLUMNS" in os.environ else _PIPE_COLUMNS
        terminal = self.is_terminal
        console = Console(width=width, highlight=False, force_terminal=terminal, no_color=None if terminal else True)
        with console.capture() as captured:
            console.print(what)
        self._output.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()).encode())
        self._output.flush()

    def _coloured(self, line: Iterable[Span]) -> str:
        from rich.console import Console
        from rich.text import Text

        if self._console is None:
            self._console = Console(force_terminal=True, highlight=False, soft_wrap=True)
        whole = Text()
        for text, style in line:
            whole.append(text, _STYLES.get(style))
        with self._console.capture() as captured:
            self._console.print(whole, end="")
        return captured.get()
