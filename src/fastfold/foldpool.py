"""Folding files in this process or in a pool of others.

The pool is `concurrent.futures` with spawned processes: the only place besides the supervisor that starts any.
A process folds some files on top of each other and gives their states as encoded payloads; by the laws of the
fold nothing depends on the order of the files or on the number of processes.
"""

from __future__ import annotations

import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context, resource_tracker
from typing import TYPE_CHECKING

from fastfold.errors import FastfoldError, ParkError, Reject
from fastfold.local import hold_signals
from fastfold.recognise import AUTO
from fastfold.schema import load_definition, load_schema
from fastfold.types import FoldCounts, Limits

if TYPE_CHECKING:
    from fastfold.folding import Content, Gatherer

__all__ = ["STANDARD_INPUT", "Engine", "Folded", "Job", "PoolError", "fold_all", "hold_interrupts", "shown"]

STANDARD_INPUT = "-"
_AHEAD = 2
"""Lots in the hands of the pool for each of its processes: enough to keep them busy, and no more in memory."""
_LOT_FILES = 16

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
class Folded:
    """What one file held, or the reason why nothing of it counts; and the schema that was recognised."""

    name: str
    counts: FoldCounts = field(default_factory=FoldCounts)
    fault: str | None = None
    recognised: str | None = None


_Lot = tuple[list[Folded], dict[_Identity, bytes]]
"""What some files held, and the states of those that are not left with the engine of this process."""


class Engine:
    """Plans and folders of one process, used again for each file; the states of the files until they are taken."""

    def __init__(self, job: Job) -> None:
        from fastfold._core import Plan

        self._limits = job.limits
        self._definition = load_definition(job.fold)
        self._schema = job.schema
        self._gatherers: dict[str, Gatherer] = {}
        # States merge and decode without a schema.
        self.plan = Plan(None, self._definition, job.limits)
        if job.schema != AUTO:
            self._gatherer(job.schema)

    def fold(self, name: str) -> Folded:
        """Fold one file; a fault of the file is a result, not an exception."""
        from fastfold.given import content_of

        called = shown(name)
        try:
            data, _ = content_of(sys.stdin.buffer if name == STANDARD_INPUT else name, self._limits)
            recognised = self._recognise(data, called) if self._schema == AUTO else None
            counts = self._gatherer(recognised or self._schema).add(data, called)
        except OSError as error:
            return Folded(name, fault=f"{called}: cannot be read: {error.strerror or error}")
        except ParkError as error:
            return Folded(name, fault=str(error))
        return Folded(name, counts, recognised=recognised)

    def take(self) -> dict[_Identity, bytes]:
        """The states of the files since the last call."""
        from fastfold.folding import merge_into

        taken: dict[_Identity, bytes] = {}
        for gatherer in self._gatherers.values():
            gatherer.flush()
            merge_into(taken, self.plan, list(gatherer.payloads), list(gatherer.payloads.values()))
            gatherer.payloads = {}
        return taken

    def _gatherer(self, schema: str) -> Gatherer:
        from fastfold._core import Folder, Plan
        from fastfold.folding import Gatherer

        if schema not in self._gatherers:
            plan = Plan(load_schema(schema), self._definition, self._limits)
            self._gatherers[schema] = Gatherer(Folder(plan), self._limits)
        return self._gatherers[schema]

    def _recognise(self, data: Content, called: str) -> str:
        from fastfold.api import detect_schema

        try:
            return detect_schema(data, limits=self._limits)
        except Reject as reject:
            raise reject.at(called) from None


def shown(name: str) -> str:
    """What to call a file."""
    return "standard input" if name == STANDARD_INPUT else name


_engine: Engine | None = None


def _start(job: Job) -> None:
    """Make ready a process of the pool."""
    global _engine  # noqa: PLW0603 - an initializer has no other way to leave something for the calls
    # Ctrl-C reaches the whole group; the parent alone decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _engine = Engine(job)


def _fold_in_pool(names: list[str]) -> _Lot:
    assert _engine is not None, "the initializer ran"
    return [_engine.fold(name) for name in names], _engine.take()


# Folding all


def fold_all(job: Job, engine: Engine, names: Sequence[str]) -> Iterator[_Lot]:
    """The results of all files, some at a time, in the order of the files."""
    processes = min(job.processes, len(names))
    if processes <= 1:
        for name in names:
            yield [engine.fold(name)], {}
        return
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _start, (job,))
    try:
        yield from _through(pool, engine, _lots(names, processes), processes * _AHEAD)
    except BrokenProcessPool:
        raise PoolError from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _lots(names: Sequence[str], processes: int) -> Iterator[list[str]]:
    """Files that one process folds together: enough that every process gets some lots."""
    size = max(1, min(_LOT_FILES, len(names) // (processes * _AHEAD)))
    lot: list[str] = []
    for name in names:
        # Only this process has the standard input.
        if name == STANDARD_INPUT:
            yield from filter(None, (lot, [name]))
            lot = []
            continue
        lot.append(name)
        if len(lot) == size:
            yield lot
            lot = []
    if lot:
        yield lot


def _through(pool: Executor, engine: Engine, lots: Iterator[list[str]], ahead: int) -> Iterator[_Lot]:
    waiting: deque[Future[_Lot] | list[str]] = deque()
    for lot in lots:
        with hold_interrupts():
            waiting.append(lot if lot == [STANDARD_INPUT] else pool.submit(_fold_in_pool, lot))
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


def _result(engine: Engine, item: Future[_Lot] | list[str]) -> _Lot:
    return ([engine.fold(name) for name in item], {}) if isinstance(item, list) else item.result()


class PoolError(FastfoldError):
    """A process of the pool ended before its work was done."""

    def __init__(self) -> None:
        super().__init__("a folding process died; was it out of memory? Try fewer --processes")
