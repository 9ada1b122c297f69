"""The progress bar of what goes through many keys, on a terminal only."""

from __future__ import annotations

import sys
from typing import Protocol, final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

__all__ = ["Progress", "open_progress"]


class Progress(Protocol):
    """Shows how far it is."""

    def begin(self, what: str, total: int | None) -> None:
        """A part of the work begins; ``None``: nobody knows how much it is."""

    def step(self, count: int) -> None:
        """So much more of it is done."""

    def close(self) -> None:
        """Take it away."""


class _Quiet:
    """No bar: standard error is not a terminal."""

    def begin(self, what: str, total: int | None) -> None:
        pass

    def step(self, count: int) -> None:
        pass

    def close(self) -> None:
        pass


@final
class _Bar:
    def __init__(self) -> None:
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

    def begin(self, what: str, total: int | None) -> None:
        self._bar.start()
        self._bar.reset(self._task, description=what, total=total)

    def step(self, count: int) -> None:
        self._bar.update(self._task, advance=count)

    def close(self) -> None:
        self._bar.stop()


def open_progress() -> Progress:
    """A progress bar for this standard error."""
    return _Bar() if sys.stderr.isatty() else _Quiet()
