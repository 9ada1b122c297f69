"""`fastfold fold`: the fold of files on this machine, without any server.

A rejected file gives nothing; all others still count.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, Protocol

from fastfold.exits import Exit
from fastfold.foldpool import STANDARD_INPUT, Engine, Folded, Job, fold_all, shown
from fastfold.schema import FoldDefinition, load_definition
from fastfold.show import table
from fastfold.states import State, to_json
from fastfold.text import escape, json_line
from fastfold.types import FoldCounts

__all__ = ["SUFFIXES", "Job", "find_files", "run"]

SUFFIXES = tuple(f".{form}{packed}" for form in ("json", "ndjson", "jsonl") for packed in ("", ".gz", ".zst"))
"""How the files of a folder end that are folded; a file that is named itself may end in anything."""

_PAGE_BYTES = 1 << 18
_PIPE_COLUMNS = 160
_WIDE_COLUMNS = 110
"""Width from which the table has room for command lines."""

_Identity = tuple[str, str, str]


@dataclass(slots=True)
class _Total:
    """Sums over all files."""

    files: int = 0
    rejected: int = 0
    bytes: int = 0
    records: int = 0
    events: int = 0
    odd_text: int = 0
    no_process: Counter[str] = field(default_factory=Counter)

    def add(self, folded: Folded) -> None:
        """Count one file; a rejected one gives only itself."""
        self.files += 1
        if folded.fault is not None:
            self.rejected += 1
            return
        counts = folded.counts
        self.bytes += counts.bytes
        self.records += counts.records
        self.events += counts.events
        self.odd_text += counts.odd_text
        self.no_process.update(counts.no_process)


# Finding files


def find_files(names: Iterable[str]) -> list[str]:
    """The files that names stand for: folders are searched, in order of their names; none comes twice.

    Raises
    ------
    FileNotFoundError
        If a folder holds no file with one of `SUFFIXES`.
    """
    found: dict[str, str] = {}
    for name in names:
        members = [name] if name == STANDARD_INPUT or not Path(name).is_dir() else list(_folder(name))
        if not members:
            endings = ", ".join(SUFFIXES)
            raise FileNotFoundError(errno.ENOENT, f"no file in this folder ends in one of {endings}", name)
        for member in members:
            # A file named twice, or by its folder too, is still one file: its events happened once.
            found.setdefault(STANDARD_INPUT if member == STANDARD_INPUT else os.path.realpath(member), member)
    return list(found.values())


def _folder(name: str) -> Iterator[str]:
    for parent, folders, files in os.walk(name):
        folders.sort()
        for file in sorted(files):
            # Hidden files are editors' and archivers' own, as the ._ forks that macOS puts into archives.
            if file.endswith(SUFFIXES) and not file.startswith("."):
                yield str(Path(parent) / file)


def run(job: Job, output: BinaryIO) -> Exit:
    """Fold, print the states to `output` and the summary to standard error.

    Returns
    -------
    Exit
        `Exit.REJECTED` if some file was rejected.

    Raises
    ------
    StopError
        If the schema or the fold definition does not hold together.
    PoolError
        If a process of the pool did.
    """
    from fastfold._core import decode
    from fastfold.folding import merge_into

    names = find_files(job.files)
    engine = Engine(job)
    total = _Total()
    merged: dict[_Identity, bytes] = {}
    began = time.perf_counter()
    with _progress(len(names)) as progress:
        for lot, states_of_lot in fold_all(job, engine, names):
            for folded in lot:
                total.add(folded)
                if folded.fault is not None:
                    progress.say(escape(folded.fault))
                elif folded.recognised is not None:
                    progress.say(f"{escape(shown(folded.name))}: read as {folded.recognised}")
                progress.step(total)
            merge_into(merged, engine.plan, list(states_of_lot), list(states_of_lot.values()))
        of_engine = engine.take()
        merge_into(merged, engine.plan, list(of_engine), list(of_engine.values()))
    seconds = time.perf_counter() - began
    states = (decode(engine.plan, merged[identity]) for identity in sorted(merged))
    if job.form == "parquet":
        _write_parquet(engine.plan.definition, merged, output)
    elif job.form == "jsonl":
        _print_jsonl(job, states, output)
    else:
        _print_tables(states, output)
    for line in _summary(total, len(merged), seconds):
        print(line, file=sys.stderr)
    return Exit.REJECTED if total.rejected else Exit.OK


# Showing


def _print_jsonl(job: Job, states: Iterable[State], output: BinaryIO) -> None:
    definition = load_definition(job.fold)
    lines = bytearray()
    for state in states:
        lines += json_line(to_json(state, definition)).encode() + b"\n"
        if len(lines) >= _PAGE_BYTES and not _write(output, lines):
            return
    _write(output, lines)


def _print_tables(states: Iterable[State], output: BinaryIO) -> None:
    from rich.console import Console

    terminal = output.isatty()
    # In a pipe there is no width to keep to; COLUMNS still decides where it is set.
    width = None if terminal or "COLUMNS" in os.environ else _PIPE_COLUMNS
    console = Console(width=width, highlight=False, force_terminal=terminal, no_color=None if terminal else True)
    for (tenant, host), group in groupby(states, key=lambda state: (state.tenant, state.host)):
        with console.capture() as text:
            console.print(table(tenant, host, list(group), wide=console.width >= _WIDE_COLUMNS))
        lines = (line.rstrip() for line in text.get().splitlines())
        if not _write(output, bytearray("".join(f"{line}\n" for line in lines).encode())):
            return


def _write_parquet(definition: FoldDefinition, merged: dict[_Identity, bytes], output: BinaryIO) -> None:
    from fastfold.api import States
    from fastfold.parquet import write

    try:
        write(States(definition, merged, FoldCounts()), output)
        output.flush()
    except BrokenPipeError:
        _write_nowhere(output)


def _write(output: BinaryIO, data: bytearray) -> bool:
    """Write and empty the buffer; whether the reader still listens."""
    try:
        output.write(data)
        output.flush()
    except BrokenPipeError:
        _write_nowhere(output)
        return False
    data.clear()
    return True


def _write_nowhere(output: BinaryIO) -> None:
    # `| head` had enough.  What is still buffered must not raise again when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


def _summary(total: _Total, processes: int, seconds: float) -> Iterator[str]:
    rejected = f" ({total.rejected:,} rejected)" if total.rejected else ""
    yield (
        f"{total.files:,} files{rejected}, {total.records:,} records, {total.events:,} events, {processes:,} processes"
    )
    if total.no_process:
        reasons = ", ".join(f"{escape(reason)} {count:,}" for reason, count in sorted(total.no_process.items()))
        yield f"{sum(total.no_process.values()):,} records of no process: {reasons}"
    if total.odd_text:
        yield f"{total.odd_text:,} texts held odd characters, shown as U+FFFD"
    rate = max(seconds, 1e-9)
    yield f"{seconds:.2f} s, {total.events / rate:,.0f} events/s, {total.bytes / rate / 1e6:,.1f} MB/s"


class _Progress(Protocol):
    def say(self, line: str) -> None: ...
    def step(self, total: _Total) -> None: ...


class _Quiet:
    """No bar: standard error is not a terminal."""

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def step(self, total: _Total) -> None:
        pass


def _progress(files: int) -> AbstractContextManager[_Progress]:
    if not sys.stderr.isatty():
        return nullcontext(_Quiet())
    from fastfold.commands.progress import Bar

    return closing(Bar(files))
