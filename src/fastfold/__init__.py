"""Fast compaction of endpoint process events.

Batch files of NDJSON records become one small state per process: counts, first and last times, command line,
files, addresses, registry keys.  States merge in any order, which is what lets many workers, or many runs of
a script, build them up.

>>> import fastfold
>>> states = fastfold.fold(b"")
>>> len(states)
0
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastfold._core import ArrowTable as ArrowTable
    from fastfold._core import Batch as Batch
    from fastfold.api import States as States
    from fastfold.api import decode as decode
    from fastfold.api import detect_schema as detect_schema
    from fastfold.api import encode as encode
    from fastfold.api import fold as fold
    from fastfold.api import merge as merge
    from fastfold.api import parse as parse

__version__ = "0.1.0"

__all__ = [
    "ArrowTable",
    "Batch",
    "States",
    "__version__",
    "decode",
    "detect_schema",
    "encode",
    "fold",
    "merge",
    "parse",
]

_HOMES = dict.fromkeys(("ArrowTable", "Batch"), "fastfold._core")


def __getattr__(name: str) -> object:
    # The core and numpy are loaded when first used: `fastfold --help` needs neither.
    if name not in __all__:
        raise AttributeError(f"module 'fastfold' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "fastfold.api")), name)
