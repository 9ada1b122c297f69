"""The progress bar of the census, and how sizes are written."""

from __future__ import annotations

import io
import sys

import pytest

from fastfold.commands.census_screen import size
from fastfold.scan_progress import open_progress


class Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_on_a_terminal_and_nothing_in_a_pipe(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    stream = Stream(terminal=terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    progress = open_progress()
    progress.begin("looking at keys", 50)
    progress.step(20)
    progress.begin("scanning", None)
    progress.step(100)
    progress.begin("weighing reducers", 3)
    progress.step(3)
    progress.close()
    assert ("weighing reducers" in stream.getvalue()) is terminal
    assert ("3/3" in stream.getvalue()) is terminal
    assert terminal or stream.getvalue() == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (2.5e6, "2.5 MB"), (7e15, "7,000.0 TB")],
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text
