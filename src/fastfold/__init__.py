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
    from fastfold.redis_states import RedisStates as RedisStates
    from fastfold.redis_states import open_store as open_store

__version__ = "0.1.0"

__all__ = [
    "ArrowTable",
    "Batch",
    "RedisStates",
    "States",
    "__version__",
    "decode",
    "detect_schema",
    "encode",
    "fold",
    "merge",
    "open_store",
    "parse",
]

_HOMES = {
    "ArrowTable": "fastfold._core",
    "Batch": "fastfold._core",
    "RedisStates": "fastfold.redis_states",
    "open_store": "fastfold.redis_states",
}


def __getattr__(name: str) -> object:
    # The core and numpy are loaded when first used: `fastfold --help` needs neither.
    if name not in __all__:
        raise AttributeError(f"module 'fastfold' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "fastfold.api")), name)
