"""What `fastfold demo` shows while it runs: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from fastfold.text import escape

__all__ = ["Figures", "Screen", "open_screen"]

_LINE_S = 1.0
"""Time between two plain lines."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How far the demo is."""

    files: int
    done: int
    parked: int
    events: int
    conflicts: int
    keys: int
    seconds: float

    @property
    def finished(self) -> int:
        """Files that need no more work."""
        return self.done + self.parked

    def __str__(self) -> str:
        parked = f" ({self.parked:,} parked)" if self.parked else ""
        rate = self.events / self.seconds if self.seconds else 0.0
        return (
            f"{self.finished:,} of {self.files:,} files{parked}, {self.events:,} events, {rate:,.0f} events/s,"
            f" {self.conflicts:,} conflicts, {self.keys:,} keys"
        )


class Screen(Protocol):
    """Shows progress."""

    def say(self, line: str) -> None:
        """Show a line that stays."""

    def show(self, figures: Figures) -> None:
        """Show how far it is."""

    def close(self) -> None:
        """Show no more progress."""


class _Lines:
    def __init__(self) -> None:
        self._next = 0.0

    def say(self, line: str) -> None:
        sys.stdout.write(escape(line) + "\n")
        sys.stdout.flush()

    def show(self, figures: Figures) -> None:
        if time.monotonic() >= self._next or figures.finished == figures.files:
            self._next = time.monotonic() + _LINE_S
            self.say(str(figures))

    def close(self) -> None:
        pass


class _Live:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = Console(highlight=False)
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._task = self._progress.add_task("starting", total=None)
        self._progress.start()

    def say(self, line: str) -> None:
        self._console.print(escape(line), markup=False)

    def show(self, figures: Figures) -> None:
        self._progress.update(self._task, total=figures.files, completed=figures.finished, description=str(figures))

    def close(self) -> None:
        self._progress.stop()


@contextmanager
def open_screen() -> Iterator[Screen]:
    """The screen for this standard output, closed however the demo ends."""
    screen: Screen = _Live() if sys.stdout.isatty() else _Lines()
    try:
        yield screen
    finally:
        screen.close()
