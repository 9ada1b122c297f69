"""Commit: the deltas of a batch into the states of Redis, by optimistic transactions.

Keys are those of `fastfold.store`: a host record ``h`` and states ``p1 .. pn``, all in one slot.  One
transaction is one group: a host, or one chunk of a host that has more than 256 processes::

     packet 1   WATCH h p1 .. pn   GET h   GET p1 .. GET pn
     here       in the ledger?  late?  else merge                      nothing is held on the server
     packet 2   MULTI   SETEX h   SETEX p1 .. SETEX pn   EXEC
                and behind the EXEC packet 1 of the next group for this node

EXEC clears every WATCH of its connection, so a transaction begins only behind the EXEC of the one before:
packet 1 of the next may ride in the same packet, never earlier.  What leaves nothing to write still sends an
empty MULTI and EXEC, to forget what it watched.

What can go wrong, and what is done:

===========================  =========================================================================
EXEC answers nil             a conflict: wait with full jitter, start again at WATCH
any other error before the   the connection is closed, the topology asked for again, and what was in
reply of EXEC                flight starts again at WATCH: the ledger tells whether EXEC was done
NOPERM, NOAUTH, WRONGPASS    `ConfigError`: a person must act
a value that is not ours,    nothing is written of its group; the others go on, then it is raised
or that we cannot read yet
a write fails inside EXEC    `ParkError` at once: Redis rolls nothing back, so another try could lose or double
===========================  =========================================================================

EXEC is never sent again by itself.
"""

from __future__ import annotations

import random as _random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Protocol

from fastfold.errors import ConfigError, Conflict, Late, ParkError, Unavailable, UnknownForm
from fastfold.resp import REFUSALS, Node
from fastfold.store import Command, Reply, ReplyError
from fastfold.topology import Nodes
from fastfold.transaction import (
    CommitSettings,
    ErrorAnswer,
    Group,
    HostWork,
    MergeGroup,
    Recut,
    Transactions,
    Write,
)
from fastfold.types import BatchId, HostDeltas

__all__ = ["CommitResult", "CommitSettings", "Committer", "Counters", "Counts", "MergeGroup"]

_MULTI: Command = (b"MULTI",)
_EXEC: Command = (b"EXEC",)


class Counts(Protocol):
    """Where the committer counts, for instance `fastfold.metrics.Meter`."""

    def add(self, name: str, amount: float = 1, label: str = "") -> None:
        """Count something."""


@dataclass(slots=True)
class Counters:
    """What a committer has met since it was made; anybody may read it.

    Attributes
    ----------
    commits : int
        Transactions acknowledged.
    processes : int
        States written by them.
    conflicts : int
        EXECs that answered nil.
    retries : int
        Faults after which work started again at WATCH.
    reconnects : int
        Connections given up after a fault.
    moved : int
        MOVED replies.
    already_applied : int
        Hosts whose ledger held all of their batch.
    late : int
        Hosts for which their batch came too late.
    refused : int
        Groups not written: corrupt or unknown value, identity clash, or a value too long.
    """

    commits: int = 0
    processes: int = 0
    conflicts: int = 0
    retries: int = 0
    reconnects: int = 0
    moved: int = 0
    already_applied: int = 0
    late: int = 0
    refused: int = 0

    def since(self, before: Counters) -> Counters:
        """The difference to an earlier copy."""
        return Counters(*(getattr(self, one.name) - getattr(before, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What became of the hosts of one batch.

    Attributes
    ----------
    hosts : int
        Hosts written to.
    already_applied : int
        Hosts whose ledger already held all of the batch.
    late : tuple of Late
        Hosts for which the batch came too late: what of it was not applied before, is not applied.
    conflicts, retries : int
        Transactions that started again, because of another writer and because of a fault.
    processes : int
        Processes whose states were written.
    """

    hosts: int
    already_applied: int
    late: tuple[Late, ...]
    conflicts: int
    retries: int
    processes: int


@dataclass(slots=True)
class _Run:
    """One call of `Committer.commit`."""

    batch: BatchId
    deadline: float
    pending: list[Group] = field(default_factory=list)
    hosts: int = 0
    late: list[Late] = field(default_factory=list)
    refusal: ParkError | UnknownForm | None = None
    faults: dict[Node | None, int] = field(default_factory=dict)
    last: Unavailable | Conflict | None = None


class Committer:
    """Applies batches to the states in Redis.

    Parameters
    ----------
    nodes : Nodes
        The servers; owned by this committer from here on.
    merge_group : MergeGroup
    settings : CommitSettings
    counts : Counts or None
        Counted into after each batch: ``conflicts``, ``retries``, ``already_applied``.
    random, clock, sleep : callable
        For tests; `clock` is that of the deadlines.

    Attributes
    ----------
    counters : Counters

    Notes
    -----
    Owned by one thread.
    """

    def __init__(
        self,
        nodes: Nodes,
        merge_group: MergeGroup,
        settings: CommitSettings,
        counts: Counts | None = None,
        *,
        random: Callable[[], float] = _random.random,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.counters = Counters()
        self._nodes = nodes
        self._transactions = Transactions(settings, merge_group)
        self._settings = settings
        self._counts = counts
        self._random = random
        self._clock = clock
        self._sleep = sleep

    def close(self) -> None:
        """Close all connections; a later commit opens new ones."""
        self._nodes.close()

    def commit(self, deltas: Iterable[HostDeltas], batch: BatchId, deadline: float) -> CommitResult:
        """Apply the deltas of a batch, each host once, whatever has happened before.

        Parameters
        ----------
        deltas : iterable of HostDeltas
            Each host once.
        batch : BatchId
        deadline : float
            When to give up, on the clock; passed by one network timeout at most.

        Returns
        -------
        CommitResult
            Every host is committed, was so before, or is late.

        Raises
        ------
        Unavailable, Conflict
            The deadline passed, after a fault or after another writer's win.  What was committed stays; a
            second call does the rest.
        CorruptValue, IdentityClash, ParkError
            The first value that is damaged, of another identity or too long; nothing is written for its
            group, and all others are applied.
        UnknownForm
            The same for a value that another version wrote, or with a dictionary that is not here.
        ConfigError
            Redis refuses us.
        """
        before = replace(self.counters)
        run = _Run(batch, deadline)
        groups = (group for host in deltas for group in HostWork(host, self._settings.namespace).cut())
        try:
            while self._refill(run, groups):
                self._advance(run)
        except BaseException:
            # Watches and replies of unfinished transactions must not meet the next ones.
            self.close()
            raise
        finally:
            met = self.counters.since(before)
            self._tell(met)
        if run.refusal is not None:
            raise run.refusal
        return CommitResult(
            hosts=run.hosts,
            already_applied=met.already_applied,
            late=tuple(run.late),
            conflicts=met.conflicts,
            retries=met.retries,
            processes=met.processes,
        )

    def _tell(self, met: Counters) -> None:
        if self._counts is not None:
            self._counts.add("conflicts", met.conflicts)
            self._counts.add("retries", met.retries, "commit")
            self._counts.add("already_applied", met.already_applied)

    # The order of work

    def _refill(self, run: _Run, groups: Iterator[Group]) -> bool:
        while len(run.pending) < self._settings.pending_groups:
            group = next(groups, None)
            if group is None:
                break
            run.pending.append(group)
        return bool(run.pending)

    def _advance(self, run: _Run) -> None:
        """Serve what is ready, node after node; if nothing is, wait."""
        now = self._clock()
        if now >= run.deadline:
            raise self._too_late(run)
        if self._nodes.stale:
            try:
                self._nodes.refresh()
            except Unavailable as error:
                self._postpone(run, None, error, run.pending)
        ready = [group for group in run.pending if group.ready_at <= now]
        if not ready:
            wake = min(group.ready_at for group in run.pending)
            self._sleep(max(min(wake, run.deadline) - now, 0.0))
            return
        run.pending = [group for group in run.pending if group.ready_at > now]
        by_node: dict[Node | None, list[Group]] = {}
        for group in ready:
            by_node.setdefault(self._nodes.node_of(group.host.slot), []).append(group)
        for node, groups in by_node.items():
            if node is None:
                slot = groups[0].host.slot
                self._postpone(run, None, Unavailable("Redis Cluster", f"no node serves slot {slot}"), groups)
                run.pending += groups
            else:
                self._serve(run, node, deque(groups))

    def _serve(self, run: _Run, node: Node, waiting: deque[Group]) -> None:
        """Transaction after transaction for one node; what fails is pending again."""
        try:
            connection = self._nodes.connection(node)
            reads = waiting[0].reads()
            connection.send(reads)
            while reads:
                group = waiting[0]
                writes = self._decide(run, group, connection.read(len(reads)))
                more = len(waiting) > 1 and self._clock() < run.deadline
                reads = waiting[1].reads() if more else []
                connection.send([_MULTI, *writes, _EXEC, *reads])
                self._settle(run, node, group, connection.read(len(writes) + 2))
                waiting.popleft()
                run.faults.pop(node, None)
            run.pending += waiting
        except (Unavailable, ErrorAnswer) as fault:
            error = self._explain(node, fault)
            self.counters.reconnects += self._nodes.drop(node)
            left = [group for group in waiting if not group.done]
            self._postpone(run, node, error, left)
            run.pending += left

    def _explain(self, node: Node, fault: Unavailable | ErrorAnswer) -> Unavailable:
        if isinstance(fault, Unavailable):
            return fault
        if fault.reply.code in REFUSALS:
            raise ConfigError(f"{node}: {fault.reply.text}") from fault
        if fault.reply.code == "MOVED":
            self.counters.moved += 1
            self._nodes.moved(node, fault.reply)
        return Unavailable(str(node), fault.reply.text)

    def _postpone(self, run: _Run, node: Node | None, error: Unavailable, groups: Sequence[Group]) -> None:
        self.counters.retries += 1
        self._nodes.stale = True
        run.last = error
        run.faults[node] = run.faults.get(node, 0) + 1
        ready_at = self._clock() + self._settings.fault_backoff.delay_s(run.faults[node], self._random)
        for group in groups:
            group.ready_at = ready_at

    def _too_late(self, run: _Run) -> Unavailable | Conflict:
        """Why the deadline passed: a fault, or other writers on a hot host, which is no outage."""
        error: Unavailable | Conflict
        if isinstance(run.last, Conflict):
            error = Conflict(f"{run.last} (deadline passed)")
        elif run.last is not None:
            error = Unavailable(run.last.server, f"{run.last.reason} (deadline passed)")
        else:
            host = run.pending[0].host.deltas.host
            return Unavailable("Redis", f"host {host!r} has not had its turn (deadline passed)")
        error.__cause__ = run.last
        return error

    # One transaction

    def _decide(self, run: _Run, group: Group, replies: list[Reply]) -> list[Command]:
        """What to write; nothing when the group is done without."""
        host = group.host
        try:
            decision = self._transactions.decide(group, run.batch, replies)
        except (ParkError, UnknownForm) as error:
            self.counters.refused += 1
            host.refused = True
            # What comes again goes before what is parked: a parked message is not applied to the other host.
            if run.refusal is None or isinstance(error, UnknownForm):
                run.refusal = error
        else:
            match decision:
                case Write(commands):
                    return commands
                case Recut(bits) if bits != host.bits:
                    run.pending += host.cut(bits)
                case Late():
                    host.late = decision
        self._finish(run, group)
        return []

    def _settle(self, run: _Run, node: Node, group: Group, answer: list[Reply]) -> None:
        """Note what the replies to packet 2 say."""
        done = answer[-1]
        # The first error is the cause; EXECABORT, the last, only says that there was one.
        for reply in answer:
            if isinstance(reply, ReplyError):
                raise ErrorAnswer(reply)
        for reply in done if isinstance(done, list) else ():
            if isinstance(reply, ReplyError):
                if reply.code in REFUSALS:
                    raise ErrorAnswer(reply)
                # Redis rolls nothing back, so the ledger may stand without its states, or they without it:
                # another try could lose or double.
                raise ParkError(f"{node}: a write inside EXEC failed: {reply.text}")
        if group.done:
            return
        if done is None:
            self.counters.conflicts += 1
            group.conflicts += 1
            run.last = Conflict(f"host {group.host.deltas.host!r}: EXEC answered nil {group.conflicts} times")
            delay_s = self._settings.conflict_backoff.delay_s(group.conflicts, self._random)
            group.ready_at = self._clock() + delay_s
            run.pending.append(group)
            return
        self.counters.commits += 1
        self.counters.processes += len(group.keys)
        group.host.written = True
        self._finish(run, group)

    def _finish(self, run: _Run, group: Group) -> None:
        """A group is done; with the last of its host, see what became of the host."""
        group.done = True
        host = group.host
        host.open -= 1
        if host.open:
            return
        if host.late is not None:
            self.counters.late += 1
            run.late.append(host.late)
        elif host.written:
            run.hosts += 1
        elif not host.refused:
            self.counters.already_applied += 1
