"""Faults that are put into the protocol on purpose: a simulator that does not find them sees nothing.

None of this is in the program.  A mutant changes it for the time of one run: by a connection that does
not do what it is told, or by a function in the place of another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from fastfold import commit, hold, topology
from fastfold.errors import Unavailable
from fastfold.group import Group
from fastfold.ledger import HostRecord, LedgerEntry
from fastfold.pipeline import Pipeline
from fastfold.resp import Node
from fastfold.source import Message
from fastfold.store import Command, Connection, Reply
from fastfold.topology import Link, Nodes
from fastfold.transaction import Transactions
from fastfold.types import BatchId
from simulation.mutant import Connect, Mutant, Wrapped, transaction
from simulation.mutants_alerts import OF_ALERTS
from simulation.scenario import START_MS, Scenario
from simulation.scheduler import World

__all__ = ["MUTANTS"]

Pruning = Callable[[HostRecord, int], tuple[LedgerEntry, ...]]


class _LedgerApart(Wrapped):
    """Writes the states in the EXEC, and the host record after it."""

    def __init__(self, connect: Connect, world: World) -> None:
        super().__init__(connect, world)
        self._record: Command | None = None

    def send(self, commands: Sequence[Command]) -> None:
        found = transaction(commands)
        if found:
            self._record = found[1]
            self._left = list(commands[len(found) :])
            self._count = len(found)
            self.inner.send([found[0], *found[2:]])
        else:
            self.inner.send(commands)

    def read(self, count: int) -> list[Reply]:
        record, self._record = self._record, None
        if record is None:
            return self.inner.read(count)
        first, *rest = self.inner.read(self._count - 1)
        done = rest[-1]
        if isinstance(done, list):
            self.inner.send([record])
            self.inner.read(1)
            done = [b"OK", *done]
        self.inner.send(self._left)
        return [first, b"QUEUED", *rest[:-1], done][:count]


class _Repeating(Wrapped):
    """Sends a transaction whose reply is lost again, on a new connection without its WATCH, as redis-py does."""

    def __init__(self, connect: Connect, world: World) -> None:
        super().__init__(connect, world)
        self._transaction: list[Command] = []
        self._left: list[Command] = []

    def send(self, commands: Sequence[Command]) -> None:
        self._transaction = transaction(commands)
        self._left = list(commands[len(self._transaction) :])
        try:
            self.inner.send(commands)
        except Unavailable:
            if not self._transaction:
                raise
            self._again()

    def read(self, count: int) -> list[Reply]:
        try:
            replies = self.inner.read(count)
        except Unavailable:
            if not self._transaction:
                raise
            self._again()
            replies = self.inner.read(count)
        self._transaction = []
        return replies

    def _again(self) -> None:
        self.inner.close()
        self.inner = self.connect()
        self.inner.send([*self._transaction, *self._left])
        self._transaction = []


class _ByConnection(Mutant):
    def __init__(self, kind: Callable[[Connect, World], Connection]) -> None:
        self._kind = kind

    def connection(self, connect: Connect, world: World) -> Connection:
        return self._kind(connect, world)


class _UnwatchedRecord(Wrapped):
    """Watches the states and not the host record."""

    def send(self, commands: Sequence[Command]) -> None:
        self.inner.send(
            [(b"WATCH", *(command[2:] or command[1:])) if command[0] == b"WATCH" else command for command in commands]
        )


class _Pruned(Mutant):
    """The ledger drops entries that it should keep; `Pruning` says which are kept."""

    def __init__(self, make: Callable[[World], Pruning]) -> None:
        self._make = make

    def replacements(self, world: World) -> list[tuple[Any, str, Any]]:
        step, kept = Transactions._step, self._make(world)

        def pruned(self: Transactions, group: Group, batch: BatchId, value: bytes | None) -> Any:
            written = step(self, group, batch, value)
            if not isinstance(written, bytes):
                return written
            record = HostRecord.decode(written)
            return replace(record, entries=kept(record, self._window_ms)).encode()

        return [(Transactions, "_step", pruned)]


def _by_wall_clock(world: World) -> Pruning:
    """What is younger than the window by the clock on the wall."""

    def kept(record: HostRecord, window_ms: int) -> tuple[LedgerEntry, ...]:
        oldest_ms = START_MS + int(world.now * 1000) - window_ms
        return tuple(entry for entry in record.entries if entry.time_ms >= oldest_ms)

    return kept


def _by_arrival(world: World) -> Pruning:
    """The four that came last."""
    arrivals: dict[tuple[str, LedgerEntry], int] = {}

    def kept(record: HostRecord, window_ms: int) -> tuple[LedgerEntry, ...]:
        for entry in record.entries:
            arrivals.setdefault((record.host, entry), len(arrivals))
        return tuple(sorted(sorted(record.entries, key=lambda entry: arrivals[record.host, entry])[-4:]))

    return kept


class _Hold(Mutant):
    """Holds for a part of the loss window of failovers; 0: deletes at once.

    Aimed: every world has failovers that lose.
    """

    def __init__(self, share: float) -> None:
        self._share = share

    def adapt(self, scenario: Scenario) -> None:
        scenario.failovers = 4
        scenario.loss_window_s = scenario.loss_window_s or 5.0
        scenario.hold_s = self._share * scenario.loss_window_s


class _NoFence(Mutant):
    """Looks for the last record written to a node, whatever has become of the connection or the slots.

    Aimed: a commit of many transactions, with a failover in the middle that loses the first of them.
    """

    def adapt(self, scenario: Scenario) -> None:
        scenario.shards, scenario.chunk, scenario.network.latency_s = 0, 1, 0.2
        scenario.hold_s, scenario.loss_window_s, scenario.failovers = 10.0, 5.0, 4

    def replacements(self, world: World) -> list[tuple[Any, str, Any]]:
        def link_of(nodes: Nodes, node: Node, generation: int) -> Link | None:
            try:
                return nodes.link(node)
            except Unavailable:
                return None

        on = hold.Tracer.on
        return [
            (hold.Tracer, "on", lambda tracer, node, generation: on(tracer, node, 0)),
            (Nodes, "held", link_of),
            (hold, "_term", lambda nodes: ()),
        ]


class _NoEpoch(Mutant):
    """Takes a node whose connection has lived on for one that was master all the time; once this was in the program.

    Aimed: a worker is frozen in the middle of a commit, and there are failovers there and back meanwhile.
    """

    def adapt(self, scenario: Scenario) -> None:
        scenario.workers, scenario.slots, scenario.shards = 3, 2, 1
        scenario.chunk, scenario.track_groups = 1, 8
        scenario.freezes, scenario.kills, scenario.drains, scenario.aws.doubled = 8, 0, 0, 0.0
        scenario.visibility_s, scenario.deadline_s = 120, 120.0
        scenario.network.latency_s = 0.2
        scenario.hold_s, scenario.loss_window_s = 30.0, 5.0
        scenario.failovers = 0
        scenario.failovers_at = ((1.0, "paused"), (6.0, "planned"), (12.0, "paused"), (20.0, "planned"))

    def replacements(self, world: World) -> list[tuple[Any, str, Any]]:
        return [(module, "parse_epoch", lambda reply, node: 0) for module in (hold, topology)]


class _FoundIsSafe(Mutant):
    """Does not hold what another worker has committed and may lose.

    Aimed: two workers on one file, and a failover.
    """

    def adapt(self, scenario: Scenario) -> None:
        scenario.workers, scenario.aws.doubled, scenario.aws.stale_works = 3, 0.8, 1.0
        scenario.hold_s, scenario.loss_window_s, scenario.failovers = 10.0, 5.0, 4

    def replacements(self, world: World) -> list[tuple[Any, str, Any]]:
        return [(hold.Footprint, "found", lambda *_: None)]


class _NotVerified(Mutant):
    """Holds, and does not look."""

    def replacements(self, world: World) -> list[tuple[Any, str, Any]]:
        return [(commit, "verify", lambda nodes, held, is_applied: [True for _ in held])]


class _DoubtfulForgotten(Mutant):
    """Forgets a message that is in doubt when another cannot be parked just then; once this was in the program.

    Aimed: files at fault beside sound ones, an unsteady network, an SQS that loses requests.
    """

    def adapt(self, scenario: Scenario) -> None:
        scenario.workers = scenario.slots = 1
        scenario.hold_s, scenario.loss_window_s, scenario.held_messages = 10.0, 0.0, 1000
        scenario.kills = scenario.drains = scenario.freezes = 0
        scenario.network.cut, scenario.aws.lost = 0.1, 0.4
        scenario.files = [replace(f, fault="poison" if f.number % 2 else f.fault) for f in scenario.files]
        numbers = range(0, len(scenario.files), 2)
        pairs = [(number, number + 1) for number in numbers[: len(scenario.files) // 2]]
        scenario.messages = [(0.1 + 0.2 * files[0], files, False) for files in [*pairs, *((n,) for n in numbers)]]

    def replacements(self, world: World) -> list[tuple[Any, str, Any]]:
        def verify(self: Pipeline) -> list[Message]:
            due = [held for held in self._held if held.due <= self._clock()]
            if not due:
                return []
            doubtful = []
            for held, is_there in zip(due, self._commit.verify([held.traces for held in due]), strict=True):
                if is_there:
                    self._end(held.message, held.faults)
                else:
                    doubtful.append(held.message)
                self._let_go(held)
            return doubtful

        return [(Pipeline, "verify", verify)]


MUTANTS: dict[str, Mutant] = {
    "none": Mutant(),
    "ledger outside the EXEC": _ByConnection(_LedgerApart),
    "EXEC sent again without WATCH": _ByConnection(_Repeating),
    "host record not watched": _ByConnection(_UnwatchedRecord),
    "ledger pruned by wall clock": _Pruned(_by_wall_clock),
    "ledger pruned by arrival": _Pruned(_by_arrival),
    "deleted at once": _Hold(0.0),
    "held for less than the loss window": _Hold(0.4),
    "held without the fence": _NoFence(),
    "held without the epoch": _NoEpoch(),
    "held without a look": _NotVerified(),
    "found applied is not held": _FoundIsSafe(),
    "doubtful message forgotten": _DoubtfulForgotten(),
    **OF_ALERTS,
}
"""Every mutant by its name."""
