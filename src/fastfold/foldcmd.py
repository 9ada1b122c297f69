"""`fastfold fold`: the fold of files on this machine, without any server.

Files are folded one by one, in this process or in a pool of others, and their deltas merged as
encoded payloads.  By the laws of the fold the result does not depend on the order of the files or
on the number of processes.  A rejected file gives nothing; all others still count.

The pool is `concurrent.futures` with spawned processes: the only place besides the supervisor that
starts any.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from multiprocessing import get_context, resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from fastfold.errors import FastfoldError, ParkError, Reject
from fastfold.exits import Exit
from fastfold.local import hold_signals
from fastfold.recognise import AUTO
from fastfold.schema import FoldDefinition, load_definition, load_schema
from fastfold.show import table
from fastfold.states import State, to_json
from fastfold.text import escape, json_line
from fastfold.types import FoldCounts, Limits

if TYPE_CHECKING:
    from fastfold._core import Folder

__all__ = ["SUFFIXES", "Job", "PoolError", "find_files", "hold_interrupts", "run"]

SUFFIXES = tuple(f".{form}{packed}" for form in ("json", "ndjson", "jsonl") for packed in ("", ".gz", ".zst"))
"""How the files of a folder end that are folded; a file that is named itself may end in anything."""

STANDARD_INPUT = "-"
_AHEAD = 2
"""Files in the hands of the pool for each of its processes: enough to keep them busy, and no more in memory."""
_PAGE_BYTES = 1 << 18
_PIPE_COLUMNS = 160
_WIDE_COLUMNS = 110
"""Width from which the table has room for command lines."""

_Identity = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Job:
    """What to fold and how to show it.

    Attributes
    ----------
    files : sequence of str
        Files, folders, or ``-``.
    schema, fold : str
        Names of a record schema and a fold definition, or paths of TOML files; the schema may be
        ``auto``: recognised for each file.
    form : str
        ``table``, ``jsonl`` or ``parquet``.
    processes : int
        Processes that fold; 1 folds in this one.
    limits : Limits
    """

    files: Sequence[str]
    schema: str = "sysmon"
    fold: str = "process"
    form: str = "table"
    processes: int = 1
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class _Folded:
    """What one file gave: deltas and counts, or the reason why nothing; and the schema that was recognised."""

    name: str
    counts: FoldCounts = field(default_factory=FoldCounts)
    deltas: tuple[tuple[str, str, list[str], list[bytes]], ...] = ()
    fault: str | None = None
    recognised: str | None = None


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

    def add(self, folded: _Folded) -> None:
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


# Folding one file


class _Engine:
    """Plans and folders of one process, used again for each file."""

    def __init__(self, job: Job) -> None:
        from fastfold._core import Plan

        self._limits = job.limits
        self._definition = load_definition(job.fold)
        self._schema = job.schema
        self._folders: dict[str, Folder] = {}
        # States merge and decode without a schema.
        self.plan = Plan(None, self._definition, job.limits)
        if job.schema != AUTO:
            self._folder(job.schema)

    def fold(self, name: str) -> _Folded:
        """Fold one file; a fault of the file is a result, not an exception."""
        from fastfold.folding import fold_file

        shown = _shown(name)
        try:
            data = self._read(name)
            recognised = self._recognise(data, shown) if self._schema == AUTO else None
            deltas = fold_file(self._folder(recognised or self._schema), data, shown, self._limits)
        except OSError as error:
            return _Folded(name, fault=f"{shown}: cannot be read: {error.strerror or error}")
        except ParkError as error:
            return _Folded(name, fault=str(error))
        groups = tuple((host.tenant, host.host, host.processes, host.payloads) for host in deltas)
        return _Folded(name, deltas.counts, groups, recognised=recognised)

    def _folder(self, schema: str) -> Folder:
        from fastfold._core import Folder, Plan

        if schema not in self._folders:
            self._folders[schema] = Folder(Plan(load_schema(schema), self._definition, self._limits))
        return self._folders[schema]

    def _recognise(self, data: bytes, shown: str) -> str:
        from fastfold.folding import detect_schema

        try:
            return detect_schema(data, limits=self._limits)
        except Reject as reject:
            raise reject.at(shown) from None

    def _read(self, name: str) -> bytes:
        limit = self._limits.file_bytes
        if name == STANDARD_INPUT:
            data = sys.stdin.buffer.read(limit + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(limit + 1)
        if len(data) > limit:
            raise Reject("file too long", file=name, limit=limit)
        return data


def _shown(name: str) -> str:
    return "standard input" if name == STANDARD_INPUT else name


_engine: _Engine | None = None


def _start(job: Job) -> None:
    """Make ready a process of the pool."""
    global _engine  # noqa: PLW0603 - an initializer has no other way to leave something for the calls
    # Ctrl-C reaches the whole group; the parent alone decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _engine = _Engine(job)


def _fold_in_pool(name: str) -> _Folded:
    assert _engine is not None, "the initializer ran"
    return _engine.fold(name)


# Folding all


def _fold_all(job: Job, engine: _Engine, names: Sequence[str]) -> Iterator[_Folded]:
    """The results of all files, in the order of the files."""
    processes = min(job.processes, len(names))
    if processes <= 1:
        yield from map(engine.fold, names)
        return
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _start, (job,))
    try:
        yield from _through(pool, engine, names, processes * _AHEAD)
    except BrokenProcessPool:
        raise PoolError from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _through(pool: Executor, engine: _Engine, names: Sequence[str], ahead: int) -> Iterator[_Folded]:
    waiting: deque[Future[_Folded] | str] = deque()
    for name in names:
        # Only this process has the standard input.
        with hold_interrupts():
            waiting.append(name if name == STANDARD_INPUT else pool.submit(_fold_in_pool, name))
        if len(waiting) > ahead:
            yield _result(engine, waiting.popleft())
    while waiting:
        yield _result(engine, waiting.popleft())


@contextmanager
def hold_interrupts() -> Iterator[None]:
    """Let a Ctrl-C wait until Python processes are started.

    Ctrl-C reaches the whole group.  A child begins with SIGINT blocked as it was here, so it cannot be hit
    before it has said that it ignores it.  Here the handlers wait too: an exception between the start of a
    child and what it is sent would leave the child without its orders.  Blocking alone is not enough for
    that, because another thread may take the signal and leave the handler to this one.
    """
    # Python's own helper process is started with the first child, and lets the signals in again: it comes first.
    resource_tracker.ensure_running()
    with hold_signals():
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _result(engine: _Engine, item: Future[_Folded] | str) -> _Folded:
    return engine.fold(item) if isinstance(item, str) else item.result()


class PoolError(FastfoldError):
    """A process of the pool ended before its work was done."""

    def __init__(self) -> None:
        super().__init__("a folding process died; was it out of memory? Try fewer --processes")


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
    from fastfold._core import decode, merge

    names = find_files(job.files)
    engine = _Engine(job)
    total = _Total()
    merged: dict[_Identity, bytes] = {}
    began = time.perf_counter()
    with _progress(len(names)) as progress:
        for folded in _fold_all(job, engine, names):
            total.add(folded)
            if folded.fault is not None:
                progress.say(escape(folded.fault))
            elif folded.recognised is not None:
                progress.say(f"{escape(_shown(folded.name))}: read as {folded.recognised}")
            for tenant, host, processes, payloads in folded.deltas:
                for process, payload in zip(processes, payloads, strict=True):
                    identity = (tenant, host, process)
                    before = merged.get(identity)
                    merged[identity] = payload if before is None else merge(engine.plan, before, payload)
            progress.step(total)
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
    from fastfold.folding import States
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
    from fastfold.progress import Bar

    return closing(Bar(files))
