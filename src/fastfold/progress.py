"""The progress bar of `fastfold fold`, on a terminal only."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text
from typing_extensions import Self

__all__ = ["Bar"]


class _Total(Protocol):
    @property
    def events(self) -> int: ...


class Bar:
    """A bar over files, with the events so far; gone when the work is done."""

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

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar; the text is shown as it is, never read as markup."""
        self._console.print(Text(line), soft_wrap=True)

    def step(self, total: _Total) -> None:
        """One file is done."""
        self._bar.update(self._task, advance=1, events=total.events)
