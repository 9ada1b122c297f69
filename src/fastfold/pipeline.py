"""The way of one message through the stages: the only place that knows their order.

::

    message -> objects -> fetch -> fold -> commit -> publish -> next object ... -> hold -> verify -> delete
                            |        |        |                                   |
                            +--------+--------+--> ParkError: parked with its reason, where else deleted,
                            |        |        |    or left to the redrive policy of its queue
                            +--------+--------+--> RetryError: handed back <------+ not known to be there


A message is held only where a commit could be lost although it was acknowledged (`fastfold.hold`).
Nothing is written before the last byte of a file is read and checked: `fold` returns only then.  A
file at fault does not keep the other files of its message from being committed; a second delivery
of these finds their ledgers.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple, Protocol

from fastfold.alerts.types import Alert
from fastfold.detection.detecting import BatchMarks
from fastfold.errors import Late, ParkError, Reject, Undelivered
from fastfold.fetch import Fetched
from fastfold.hold import Trace
from fastfold.keeper import Keeper
from fastfold.metrics import Meter
from fastfold.notification import Notification, ObjectRef
from fastfold.source import Message, Queue
from fastfold.store import batch_id
from fastfold.text import escape
from fastfold.types import BatchId, FoldCounts, HostDeltas

__all__ = ["Commit", "CommitResult", "Deltas", "Fault", "Fetch", "Fold", "Folded", "Pipeline", "Publish"]

log = logging.getLogger(__name__)


class Deltas(Protocol):
    """The fold of one file."""

    @property
    def counts(self) -> FoldCounts:
        """What the file held."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[HostDeltas]: ...


class CommitResult(Protocol):
    """What became of the hosts of one batch."""

    @property
    def late(self) -> Sequence[Late]:
        """Hosts for which the batch came too late."""

    @property
    def traces(self) -> Sequence[Trace]:
        """What is to be verified after the hold."""


class Fetch(Protocol):
    """`fastfold.fetch.Fetcher`."""

    def fetch(self, ref: ObjectRef, deadline: float) -> Fetched | None:
        """The object, or ``None`` if another has taken its place."""


class Commit(Protocol):
    """`fastfold.commit.Committer`."""

    @property
    def hold_s(self) -> float:
        """How long a batch is held before it is verified."""

    def commit(self, deltas: Deltas, batch: BatchId, deadline: float, marks: BatchMarks | None = None) -> CommitResult:
        """Apply the deltas of a batch, and raise what rules have found in it."""

    def verify(self, held: Sequence[Sequence[Trace]]) -> list[bool]:
        """For the traces of each message, whether all of it is known to be there still."""

    def close(self) -> None:
        """Close the connections."""


class Folded(NamedTuple):
    """What a file holds."""

    deltas: Deltas
    marks: BatchMarks | None = None


Fold = Callable[[memoryview, str], Folded]
"""Folds the file of a name, and looks for what rules ask."""

Publish = Callable[[Sequence[Alert], float], None]
"""Publishes alerts before a deadline; raises Undelivered if not every sink took all it is for."""


class Fault(NamedTuple):
    """Why a message is parked, and which of its objects is at fault."""

    error: ParkError
    file: str | None


class Held(NamedTuple):
    """A message that is committed and waits to be verified."""

    due: float
    message: Message
    faults: list[Fault]
    traces: list[Trace]


class Pipeline:
    """Handles messages, one at a time: each thread has its own.

    Parameters
    ----------
    queue, keeper : Queue, Keeper
        Where messages end.
    read : callable
        Makes a notification of a body.
    fetch : Fetch
    fold : Fold
    commit : Commit
    meter : Meter
    file_deadline_s : float
        Longest work on one object.
    publish : callable, optional
        Where the alerts of a batch go before its message may end.
    park : bool
        Whether messages that cannot be applied are parked; else they are left in the queue, whose redrive policy
        moves them after so many receives.
    clock, now_ns : callable
        Seconds; nanoseconds since 1970 UTC.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        keeper: Keeper,
        read: Callable[[str], Notification],
        fetch: Fetch,
        fold: Fold,
        commit: Commit,
        meter: Meter,
        file_deadline_s: float,
        publish: Publish | None = None,
        park: bool = True,
        clock: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._queue = queue
        self._keeper = keeper
        self._read = read
        self._fetch = fetch
        self._fold = fold
        self._commit = commit
        self._meter = meter
        self._file_deadline_s = file_deadline_s
        self._publish = publish
        self._now_ns = now_ns
        self._park = park
        self._clock = clock
        self._held: deque[Held] = deque()

    def handle(self, message: Message) -> None:
        """Apply a message; then hold it, or end it at once if nothing of it could be lost.

        Raises
        ------
        RetryError, RereadError
            If it could not be applied now; it still is in the queue.
        StopError
            If no message can be applied.
        """
        traces: list[Trace] = []
        with self._timed("message"):
            try:
                faults = self._apply(self._read(message.body), message.received_ns, traces)
            except ParkError as error:
                faults = [Fault(error, None)]
        if traces:
            self._held.append(Held(self._clock() + self._commit.hold_s, message, faults, traces))
            self._meter.add("held", 1)
        else:
            self._end(message, faults)

    def pause_s(self) -> float | None:
        """Seconds until a message is to be verified; ``None`` if none is held."""
        return max(0.0, self._held[0].due - self._clock()) if self._held else None

    def verify(self) -> list[Message]:
        """End the messages whose hold is over; those that are not known to be committed still are given back.

        Raises
        ------
        RetryError
            If one could not be parked now; it still is held.
        """
        now = self._clock()
        due = [held for held in self._held if held.due <= now]
        if not due:
            return []
        there = self._commit.verify([held.traces for held in due])
        for held in (held for held, is_there in zip(due, there, strict=True) if is_there):
            self._end(held.message, held.faults)
            self._let_go(held)
            self._meter.add("verified", label="there")
        # Only now: had one above not been parked, these must still be held.
        doubtful = [held for held, is_there in zip(due, there, strict=True) if not is_there]
        for held in doubtful:
            self._let_go(held)
        self._meter.add("verified", len(doubtful), "in doubt")
        return [held.message for held in doubtful]

    def let_go(self, after: float = float("-inf")) -> list[Message]:
        """Hold no longer what is due after that time, on the clock."""
        late = [held for held in self._held if held.due > after]
        for held in late:
            self._let_go(held)
        return [held.message for held in late]

    def _let_go(self, held: Held) -> None:
        self._held.remove(held)
        self._meter.add("held", -1)

    def _end(self, message: Message, faults: Sequence[Fault]) -> None:
        if not faults:
            self._keeper.finish(message)
            self._meter.add("messages", label="done")
        elif self._park:
            self._queue.park(message, faults[0].error, faults[0].file)
            self._keeper.finish(message)
            self._tell(faults, "parked")
        else:
            # Hidden as long as a message whose worker died: sooner, its receives would be used up in a moment.
            self._keeper.hand_back([message], self._queue.visibility_s)
            self._tell(faults, "left")

    def close(self) -> None:
        """Close what only this pipeline uses."""
        self._commit.close()

    def _apply(self, notification: Notification, received_ns: int, traces: list[Trace]) -> list[Fault]:
        self._meter.add_all("skipped", notification.skipped)
        faults: list[Fault] = []
        undelivered: Undelivered | None = None
        for ref in notification.objects:
            try:
                faults += [Fault(late, ref.name) for late in self._apply_object(ref, received_ns, traces)]
            except ParkError as error:
                faults.append(Fault(error, ref.name))
            except Undelivered as error:
                # A sink that is down keeps the message, and not the other objects of it from being applied.
                undelivered = undelivered or error
        if undelivered is not None:
            raise undelivered
        return faults

    def _apply_object(self, ref: ObjectRef, received_ns: int, traces: list[Trace]) -> Sequence[Late]:
        deadline = self._clock() + self._file_deadline_s
        with self._timed("fetch"):
            fetched = self._fetch.fetch(ref, deadline)
        if fetched is None:
            self._meter.add("skipped", label="replaced")
            return ()
        self._meter.add("stored_bytes", len(fetched.body))
        with self._timed("fold"):
            deltas, marks = self._fold(fetched.body, ref.name)
        batch = batch_id(ref.bucket, ref.key, fetched.version_id, fetched.etag, fetched.last_modified_ms)
        try:
            with self._timed("commit"):
                result = self._commit.commit(deltas, batch, deadline, marks)
        except ParkError:
            # What is parked does not come again: what other hosts of the batch have raised goes out now.
            self._alert(marks, received_ns, deadline)
            raise
        self._alert(marks, received_ns, deadline)
        self._count(deltas, result)
        traces += result.traces
        return result.late

    def _alert(self, marks: BatchMarks | None, received_ns: int, deadline: float) -> None:
        """Publish what a batch has raised.

        Raises
        ------
        Undelivered
            If a sink did not take all of it; the batch is committed, and raises the same when it comes again.
        """
        if marks is None:
            return
        self._meter.add("marks", sum(len(host.marks) for host in marks.hosts))
        self._meter.add("suppressed", marks.suppressed)
        self._meter.add("limit_hits", marks.limited, "marks")
        if self._publish is not None and marks.alerts:
            committed_ns = self._now_ns()
            alerts = [
                replace(alert, times=replace(alert.times, received_ns=received_ns, committed_ns=committed_ns))
                for alert in marks.alerts.values()
            ]
            with self._timed("publish"):
                self._publish(alerts, deadline)

    def _tell(self, faults: Sequence[Fault], outcome: str) -> None:
        """Count and log why a message could not be applied."""
        self._meter.add("messages", label=outcome)
        self._meter.add(outcome, label=type(faults[0].error).__name__)
        for error, file in faults:
            if isinstance(error, Reject):
                self._meter.add("rejects", label=error.reason)
                if error.limit is not None:
                    self._meter.add("limit_hits", label=error.reason)
            log.warning("%s: %s: %s", outcome, escape(file or "message"), escape(str(error)))

    def _count(self, deltas: Deltas, result: CommitResult) -> None:
        counts = deltas.counts
        self._meter.add("files", 0 if result.late else 1)
        self._meter.add("inflated_bytes", counts.bytes)
        self._meter.add("records", counts.records)
        self._meter.add("events", counts.events)
        self._meter.add("odd_text", counts.odd_text)
        self._meter.add_all("no_process", counts.no_process)
        self._meter.add("processes", len(deltas))
        self._meter.add("late", len(result.late))

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = self._clock()
        try:
            yield
        finally:
            self._meter.observe("stage_seconds", self._clock() - start, stage)
