"""`fastfold census`: what the memory of Redis is spent on."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from fastfold.census.taking import Wish, take
from fastfold.commands.census_screen import print_report
from fastfold.config import Settings
from fastfold.errors import ConfigError
from fastfold.exits import Exit
from fastfold.lookup import say
from fastfold.scan_progress import open_progress

__all__ = ["Wish", "run"]


def run(settings: Settings, wish: Wish, definition: str, *, as_json: bool, plot: str | None, output: BinaryIO) -> Exit:
    """Take a census and print it.

    Parameters
    ----------
    settings : Settings
    wish : Wish
    definition : str
        Name of the fold definition that the states were made with.
    as_json : bool
    plot : str or None
        File for a drawing, its form told by its suffix.
    output : BinaryIO

    Returns
    -------
    Exit
        `Exit.NOT_FOUND` if there is no key, `Exit.CORRUPT` if a value of ours cannot be read.

    Raises
    ------
    ConfigError
        If the drawing cannot be written.
    """
    with closing(open_progress()) as progress:
        report = take(settings, wish, definition, progress)
    print_report(report, output, as_json=as_json)
    for error in report.unknown_forms:
        say(str(error))
    if plot is not None:
        from fastfold.census.plot import draw

        try:
            draw(report, Path(plot))
        except OSError as error:
            raise ConfigError(f"{plot}: {error.strerror or error}") from None
    if not report.census.looked_at:
        return Exit.NOT_FOUND
    return Exit.CORRUPT if report.census.estimate("kind", "unreadable").keys else Exit.OK
