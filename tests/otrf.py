"""The real files (OTRF Security-Datasets), and the states that the reference makes of all of them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
import pytest

import fastfold
from fastfold import reference
from fastfold.schema import load_definition, load_schema

Identity = tuple[str, str, str]

_ROOT = Path(__file__).parents[1]
_PACKAGE = Path(fastfold.__file__).parent
# What the states of the reference depend on, besides the files.
_SOURCES = (
    *(f"reference/{path.name}" for path in sorted((_PACKAGE / "reference").glob("*.py"))),
    "definition_read.py",
    "schema.py",
    "schema_read.py",
    "schema_types.py",
    "tables.py",
    "states.py",
    "types.py",
    "schemas/sysmon.toml",
    "folds/process.toml",
)


def real_files() -> list[Path]:
    """The files, in order of name; skips the test where they are not, and fails it in CI."""
    folder = Path(os.environ.get("FASTFOLD_OTRF") or _ROOT.parent / "shared" / "data" / "otrf")
    files = sorted(folder.glob("*.json.gz"))
    if not files:
        reason = f"no real files in {folder}; FASTFOLD_OTRF names another folder"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return files


def reference_payloads(files: list[Path], cache: Path) -> dict[Identity, bytes]:
    """The canonical payload of every process, by the reference; about a minute when it is not in the cache.

    Parameters
    ----------
    files : list of Path
    cache : Path
        Folder that outlives the run: what is found there was made by the same code of the same files.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in [*files, *(_PACKAGE / name for name in _SOURCES)]:
        digest.update(path.name.encode() + b"\0" + hashlib.blake2b(path.read_bytes()).digest())
    cached = cache / f"reference-{digest.hexdigest()}.msgpack"
    if cached.exists():
        states = msgspec.msgpack.decode(cached.read_bytes(), type=list[tuple[Identity, bytes]])
    else:
        states = _fold(files)
        unfinished = cached.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(msgspec.msgpack.encode(states))
        unfinished.rename(cached)
    return dict(states)


def _fold(files: list[Path]) -> list[tuple[Identity, bytes]]:
    schema, definition = load_schema("sysmon"), load_definition("process")
    columns = definition.columns()
    events: list[reference.Event] = []
    for path in files:
        events += reference.parse_lines(reference.inflate(path.read_bytes()), schema, None, columns)
    states = reference.fold_events(events, definition)
    return [(identity, reference.encode(state, definition)) for identity, state in states.items()]
