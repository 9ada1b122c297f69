"""The progress bars of `fastfold fold` and `fastfold replay`, on a terminal only."""

from __future__ import annotations

from typing import Protocol, final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["Bar", "SendBar"]


class _Total(Protocol):
    @property
    def events(self) -> int: ...


@final
class Bar:
    """A bar over files, with the events so far; it stands from here until `close`."""

    def __init__(self, files: int) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("folding"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("files"),
            TextColumn("{task.fields[events]:,} events"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=files, events=0)
        self._bar.start()

    def say(self, line: str) -> None:
        """Print a line above the bar; the text is shown as it is, never read as markup."""
        self._console.print(Text(line), soft_wrap=True)

    def step(self, total: _Total) -> None:
        """One file is done."""
        self._bar.update(self._task, advance=1, events=total.events)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()


@final
class SendBar:
    """A bar over messages, with the time that is left; it stands from here until `close`."""

    def __init__(self, messages: int) -> None:
        self._bar = Progress(
            TextColumn("sending"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("messages"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=messages)
        self._bar.start()

    def step(self, done: int) -> None:
        """So many messages are taken."""
        self._bar.update(self._task, completed=done)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()
