"""What several commands of the command line share: flags of settings, and files that are not there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from fastfold.config import SETTINGS, Setting
from fastfold.text import escape

__all__ = ["REDIS_SETTINGS", "files_named", "setting_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])


@contextmanager
def files_named() -> Iterator[None]:
    """A file or folder of the command line that is not there, or has nothing to read, is wrong use of it."""
    try:
        yield
    except FileNotFoundError as error:
        raise click.UsageError(f"{escape(str(error.filename))}: {error.strerror}") from None


def setting_options(names: Iterable[str]) -> Callable[[_Command], _Command]:
    """Flags for settings, with ranges, defaults and environment names in the help."""
    names = frozenset(names)
    wanted = [setting for setting in SETTINGS if setting.name in names]

    def decorate(command: _Command) -> _Command:
        for setting in reversed(wanted):
            # Values stay text here: `config.load` reads flag and environment alike, and names every fault at once.
            command = click.option(
                setting.flag, setting.name, metavar=_metavar(setting), default=None, help=_help(setting)
            )(command)
        return command

    return decorate


def _metavar(setting: Setting) -> str:
    if setting.choices:
        return "|".join(setting.choices)
    return {int: "N", float: "SECONDS" if setting.name.endswith("_s") else "N"}.get(setting.kind, "TEXT")


def _help(setting: Setting) -> str:
    text = setting.help[:1].upper() + setting.help[1:] + "."
    if setting.least is not None and setting.most is not None:
        text += f" {setting.allowed}."
    if setting.required:
        text += " Needed."
    elif setting.default not in ("", ()):
        text += f" Default: {setting.default}."
    return f"{text} [{setting.environment}]"


REDIS_SETTINGS = (
    "redis_url",
    "redis_ca_file",
    "namespace",
    "dictionary_folder",
    "redis_connect_timeout_s",
    "redis_timeout_s",
)
