"""Commit: the deltas of a batch into the states of Redis, by optimistic transactions.

Keys are those of `fastfold.store`: a host record ``h`` and states ``p1 .. pn``, all in one slot.  One
transaction is one host, or one chunk of a host that has more than `CHUNK_PROCESSES`::

     packet 1   WATCH h p1 .. pn   GET h   GET p1 .. GET pn
     here       in the ledger?  late?  else merge                      nothing is held on the server
     packet 2   MULTI   SETEX p1 .. SETEX pn   SETEX h   EXEC
                and behind the EXEC packet 1 of the next chunk for this node

EXEC clears every WATCH of its connection, so a transaction begins only behind the EXEC of the one before:
packet 1 of the next may ride in the same packet, never earlier.  What leaves nothing to write still sends an
empty MULTI and EXEC, to forget what it watched.

What can go wrong, and what is done:

===========================  =========================================================================
EXEC answers nil             a conflict: wait with full jitter, start again at WATCH
any other error before the   the connection is closed, the topology asked for again, and every chunk
reply of EXEC                in flight starts again at WATCH: the ledger tells whether EXEC was done
NOPERM, NOAUTH, WRONGPASS    `ConfigError`: a person must act
===========================  =========================================================================

EXEC is never sent again by itself.
"""

from __future__ import annotations

import random as _random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from fastfold._core import Plan, merge_group
from fastfold.config import Settings
from fastfold.errors import ConfigError, CorruptValue, IdentityClash, Late, ParkError, Unavailable
from fastfold.ledger import Chunk, HostRecord, cut_chunks
from fastfold.resp import REFUSALS, Node
from fastfold.retry import Backoff, BackoffPolicy
from fastfold.store import Codec, Command, Connection, Reply, ReplyError, host_key, key_slot, process_key
from fastfold.topology import Nodes, redis_connector
from fastfold.types import BatchId, HostDeltas

__all__ = ["CommitResult", "CommitSettings", "Committer", "Counts", "MergeGroup", "connect_committer"]

MergeGroup = Callable[[list[bytes | None], list[bytes]], list[bytes]]
"""Merges deltas into the payloads they belong to, for instance `fastfold._core.merge_group` of a plan."""

_MULTI: Command = (b"MULTI",)
_EXEC: Command = (b"EXEC",)


class Counts(Protocol):
    """Where the committer counts, for instance `fastfold.metrics.Meter`."""

    def add(self, name: str, amount: float = 1, label: str = "") -> None:
        """Count something."""


@dataclass(frozen=True, slots=True)
class CommitSettings:
    """How to commit.

    Attributes
    ----------
    namespace : bytes
        Prefix of every key.
    state_ttl_s : int
        Life of a state after its last commit, seconds.
    ledger_window_s : int
        How far a batch may lie behind the newest of its host, seconds.
    backoff : BackoffPolicy
        Waits after conflicts and faults.
    """

    namespace: bytes = b"ff:"
    state_ttl_s: int = 86_400
    ledger_window_s: int = 6 * 3600
    backoff: BackoffPolicy = field(default=BackoffPolicy(0.005, 1.0))


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What became of the hosts of one batch.

    Attributes
    ----------
    written : int
        Processes whose states were written.
    already_applied : int
        Chunks that the ledger already held.
    conflicts, retries : int
        Transactions that started again, because of another writer and because of a fault.
    late : tuple of Late
        Hosts for which the batch came too late: nothing was written for them.
    """

    written: int = 0
    already_applied: int = 0
    conflicts: int = 0
    retries: int = 0
    late: tuple[Late, ...] = ()


@dataclass(slots=True)
class _Work:
    """One transaction to be done: a chunk of a host."""

    deltas: HostDeltas
    chunk: Chunk
    host_key: bytes
    slot: int
    keys: list[bytes] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    failures: int = 0

    def __post_init__(self) -> None:
        self.keys = [process_key(self.host_key, self.deltas.processes[place]) for place in self.chunk.members]
        self.payloads = [self.deltas.payloads[place] for place in self.chunk.members]

    @property
    def identity(self) -> tuple[str, str]:
        return self.deltas.tenant, self.deltas.host

    def read_commands(self) -> list[Command]:
        """Packet 1."""
        keys = [self.host_key, *self.keys]
        return [(b"WATCH", *keys), *((b"GET", key) for key in keys)]


class _Tally:
    """The result of a commit, as it grows."""

    def __init__(self) -> None:
        self.written = self.already_applied = self.conflicts = self.retries = 0
        self.late: dict[tuple[str, str], Late] = {}

    def result(self) -> CommitResult:
        late = tuple(self.late[identity] for identity in sorted(self.late))
        return CommitResult(self.written, self.already_applied, self.conflicts, self.retries, late)


class Committer:
    """Applies batches to the states in Redis.

    Parameters
    ----------
    nodes : Nodes
        The servers; owned by this committer from here on.
    merge_group : MergeGroup
    settings : CommitSettings
    counts : Counts
    random, clock, sleep : callable
        For tests; `clock` is that of the deadlines.

    Notes
    -----
    Owned by one thread.
    """

    def __init__(
        self,
        nodes: Nodes,
        merge_group: MergeGroup,
        settings: CommitSettings,
        counts: Counts,
        *,
        random: Callable[[], float] = _random.random,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._nodes = nodes
        self._merge_group = merge_group
        self._settings = settings
        self._counts = counts
        self._random = random
        self._clock = clock
        self._sleep = sleep
        self._codec = Codec()
        self._window_ms = settings.ledger_window_s * 1000
        self._state_ttl = b"%d" % settings.state_ttl_s
        # The ledger outlives its states: gone before them, it would let a batch be applied twice.
        self._host_ttl = b"%d" % (settings.state_ttl_s + settings.ledger_window_s)

    def close(self) -> None:
        """Close all connections."""
        self._nodes.close()

    def commit(self, deltas: Iterable[HostDeltas], batch: BatchId, deadline: float) -> CommitResult:
        """Apply the deltas of a batch, each host once, whatever has happened before.

        Parameters
        ----------
        deltas : iterable of HostDeltas
        batch : BatchId
        deadline : float
            When to give up, on the clock.

        Returns
        -------
        CommitResult
            Every host is committed, was so before, or is late.

        Raises
        ------
        Unavailable
            The deadline passed.  What was committed stays; a second call does the rest.
        CorruptValue, IdentityClash
            A stored value is damaged or of another identity; nothing is written for its chunk.
        ConfigError
            Redis refuses us.
        """
        tally = _Tally()
        backoff = Backoff(self._settings.backoff, deadline, random=self._random, clock=self._clock, sleep=self._sleep)
        waiting = deque(work for host in deltas for work in self._cut(host, None))
        while waiting:
            try:
                if self._nodes.stale:
                    self._nodes.refresh()
                self._run_node(waiting, batch, tally, backoff)
            except Unavailable as fault:
                self._nodes.stale = True
                tally.retries += 1
                self._counts.add("retries", label="commit")
                if not backoff.wait():
                    raise Unavailable(fault.server, f"{fault.reason} (deadline passed)") from fault
        return tally.result()

    def _cut(self, host: HostDeltas, bits: int | None) -> list[_Work]:
        key = host_key(host.tenant, host.host, self._settings.namespace)
        slot = key_slot(key)
        return [_Work(host, chunk, key, slot) for chunk in cut_chunks(host.processes, bits)]

    def _run_node(self, waiting: deque[_Work], batch: BatchId, tally: _Tally, backoff: Backoff) -> None:
        """Do all that waits for the node of the first; what fails waits again.

        Raises
        ------
        Unavailable
            The connection is closed; whatever was in flight waits again.
        """
        node = self._nodes.node_of(waiting[0].slot)
        if node is None:
            raise Unavailable("Redis Cluster", f"no node serves slot {waiting[0].slot}")
        mine = deque(work for work in waiting if self._nodes.node_of(work.slot) == node)
        others = [work for work in waiting if self._nodes.node_of(work.slot) != node]
        waiting.clear()
        waiting.extend(others)
        in_flight: list[_Work] = []
        try:
            connection = self._nodes.connection(node)
            self._run_chain(node, connection, mine, in_flight, batch, tally, backoff)
        except BaseException:
            # Watches and replies of an unfinished transaction must not meet the next one.
            self._nodes.drop(node)
            waiting.extendleft(reversed([*in_flight, *mine]))
            raise

    def _run_chain(
        self,
        node: Node,
        connection: Connection,
        mine: deque[_Work],
        in_flight: list[_Work],
        batch: BatchId,
        tally: _Tally,
        backoff: Backoff,
    ) -> None:
        """Transaction after transaction on one connection, the next one's reads behind each EXEC."""
        while mine:
            work = mine.popleft()
            in_flight.append(work)
            if work.failures and not backoff.wait():
                raise Unavailable(str(node), f"{work.failures} conflicts on one host")
            connection.send(work.read_commands())
            replies = self._read(node, connection, work)
            while True:
                commands = self._decide(work, replies, batch, mine, tally)
                follower = mine.popleft() if mine and not mine[0].failures else None
                if follower is not None:
                    in_flight.append(follower)
                    connection.send([*commands, *follower.read_commands()])
                else:
                    connection.send(commands)
                if self._finish(node, connection, len(commands)):
                    backoff.reset()
                    tally.written += len(commands) - 3 if len(commands) > 2 else 0
                else:
                    work.failures += 1
                    tally.conflicts += 1
                    self._counts.add("conflicts")
                    mine.append(work)
                in_flight.remove(work)
                if follower is None:
                    break
                work = follower
                replies = self._read(node, connection, work)

    def _read(self, node: Node, connection: Connection, work: _Work) -> list[bytes | None]:
        """The values of a chunk, host record first."""
        watched, *replies = connection.read(2 + len(work.keys))
        self._check(node, watched)
        values: list[bytes | None] = []
        for reply, key in zip(replies, [work.host_key, *work.keys], strict=True):
            if isinstance(reply, ReplyError) and reply.code == "WRONGTYPE":
                raise CorruptValue("not a string", key=key)
            self._check(node, reply)
            if reply is not None and not isinstance(reply, bytes):
                raise Unavailable(str(node), f"GET answered {reply!r:.100}")
            values.append(reply)
        return values

    def _check(self, node: Node, reply: Reply) -> None:
        """Turn an error reply into the error it is for us."""
        if not isinstance(reply, ReplyError):
            return
        if reply.code in REFUSALS:
            raise ConfigError(f"{node}: {reply.text}")
        if reply.code == "MOVED":
            self._nodes.moved(node, reply)
        raise Unavailable(str(node), reply.text)

    def _finish(self, node: Node, connection: Connection, count: int) -> bool:
        """Read the replies to a packet 2; false for a conflict."""
        *queued, done = connection.read(count)
        for reply in queued:
            self._check(node, reply)
        self._check(node, done)
        if done is None:
            return False
        if not isinstance(done, list):
            raise Unavailable(str(node), f"EXEC answered {done!r:.100}")
        for reply in done:
            if isinstance(reply, ReplyError):
                # Redis rolls nothing back: the ledger may stand and this state not.  Not for us to mend.
                raise ParkError(f"{node}: a write inside EXEC failed: {reply.text}")
        return True

    def _decide(
        self, work: _Work, values: Sequence[bytes | None], batch: BatchId, mine: deque[_Work], tally: _Tally
    ) -> list[Command]:
        """Packet 2: the new states and the ledger, or nothing to write."""
        record = self._record(work, values[0])
        bits = record.bits_of(batch)
        if bits is not None and bits != work.chunk.bits:
            # Begun with another cut, by a version that folds this batch otherwise: that cut stays.
            recut = {id(other) for other in mine if other.identity == work.identity}
            kept = [other for other in mine if id(other) not in recut]
            mine.clear()
            mine.extend([*self._cut(work.deltas, bits), *kept])
            return [_MULTI, _EXEC]
        if record.has(batch, work.chunk.bits, work.chunk.chunk_index):
            tally.already_applied += 1
            self._counts.add("already_applied")
            return [_MULTI, _EXEC]
        behind_ms = record.behind_ms(batch)
        if behind_ms > self._window_ms:
            tally.late[work.identity] = Late(work.deltas.host, behind_ms, self._window_ms)
            return [_MULTI, _EXEC]
        record = record.with_entry(batch, self._window_ms, work.chunk.bits, work.chunk.chunk_index)
        states = self._codec.pack_all(self._merge(work, values[1:]))
        writes = [(b"SETEX", key, self._state_ttl, state) for key, state in zip(work.keys, states, strict=True)]
        ledger = (b"SETEX", work.host_key, self._host_ttl, self._codec.pack(record.encode()))
        return [_MULTI, *writes, ledger, _EXEC]

    def _record(self, work: _Work, value: bytes | None) -> HostRecord:
        if value is None:
            return HostRecord(*work.identity)
        try:
            record = HostRecord.decode(self._codec.unpack(value, work.host_key))
        except CorruptValue as error:
            raise error.at(work.host_key) from None
        if (record.tenant, record.host) != work.identity:
            raise IdentityClash(f"host {work.deltas.host!r} and host {record.host!r} have one key, {work.host_key!r}")
        return record

    def _merge(self, work: _Work, values: Sequence[bytes | None]) -> list[bytes]:
        currents = self._codec.unpack_all(values, work.keys)
        try:
            return self._merge_group(currents, work.payloads)
        except (CorruptValue, IdentityClash):
            raise self._blame(work, currents) from None

    def _blame(self, work: _Work, currents: list[bytes | None]) -> CorruptValue | IdentityClash:
        """Which key's value cannot be merged."""
        for key, current, payload in zip(work.keys, currents, work.payloads, strict=True):
            try:
                self._merge_group([current], [payload])
            except CorruptValue as error:
                return error.at(key)
            except IdentityClash as error:
                return IdentityClash(f"{error}: key {key!r}")
        raise AssertionError("a group cannot be merged, but each of its members can")


def connect_committer(settings: Settings, plan: Plan, counts: Counts) -> Committer:
    """A committer to the Redis of the settings; connections are opened when they are first needed.

    Parameters
    ----------
    settings : Settings
    plan : Plan
        Merges the states; may be shared.
    counts : Counts

    Raises
    ------
    ConfigError
        The URL or a certificate file cannot be used.
    """
    address, connector = redis_connector(settings)
    how = CommitSettings(
        namespace=settings.namespace.encode(),
        state_ttl_s=settings.state_ttl_s,
        ledger_window_s=settings.ledger_window_s,
    )
    return Committer(Nodes(address, connector, _random.random), partial(merge_group, plan), how, counts)
