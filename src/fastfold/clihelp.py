r"""Help texts of commands, as they are written here.

click keeps the lines of a paragraph that begins with a backspace character, written ``\b``.  Docstrings
with backslashes are raw, so in them it is two characters: both commands and groups put it right.
"""

from __future__ import annotations

from typing import Any

import click

__all__ = ["HelpCommand", "HelpGroup"]


def _kept(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "help": (settings.get("help") or "").replace("\\b\n", "\b\n")}


class HelpCommand(click.Command):
    """A command whose help may be a raw docstring."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **_kept(settings))


class HelpGroup(click.Group):
    """A group whose help, and that of its commands, may be a raw docstring."""

    command_class = HelpCommand

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **_kept(settings))
