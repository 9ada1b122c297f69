"""Simulated Redis as a whole: one server with a replica, or a cluster of shards.

Replication is asynchronous: an acknowledged write is on the replica only when a failover finds it
there.  What every failover keeps to is the loss window: a write that it loses was acknowledged at
most so long before the old master stopped to answer for the key.  That is the assumption on which
hold and verify rests; `Failover` says how a real one comes about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastfold import store
from fastfold.errors import Unavailable
from fastfold.resp import Node
from fastfold.store import Reply, ReplyError, key_slot
from simulation.redis_node import Link, NetworkFaults, Server, Written
from simulation.scheduler import Process, World

__all__ = ["FAILOVERS", "SLOTS", "Fleet", "Shard"]

SLOTS = 48
"""Slots of a simulated cluster: a real one has more, and is asked for all of them again and again."""

FAILOVERS = ("planned", "killed", "cut_off", "paused")


@dataclass
class Shard:
    """A master and its replica.

    Attributes
    ----------
    master, replica : Server
    in_step : int
        Entries of the master's log that the replica's store already holds.
    seen : int
        Entries of the old master's log that were looked at when the replica took over.
    busy : bool
        A failover or a move is going on.
    """

    master: Server
    replica: Server
    in_step: int = 0
    seen: int = 0
    busy: bool = False


@dataclass(frozen=True)
class _Move:
    """A slot on its way."""

    source: Server
    target: Server


class Fleet:
    """All servers.

    Parameters
    ----------
    world : World
    shards : int
        0 for a single Redis.
    faults : NetworkFaults
    timeout_s, connect_timeout_s : float
        Of the clients.

    Attributes
    ----------
    lost : int
        Acknowledged writes that failovers have lost.
    failovers, writes : int
    at_write : callable or None
        Called with the server after each write, for faults that strike just then.
    expired : set of bytes
        Keys that were written again after their life was over.
    """

    def __init__(
        self, world: World, shards: int, faults: NetworkFaults, *, timeout_s: float, connect_timeout_s: float
    ) -> None:
        self.cluster = shards > 0
        self.lost = 0
        self.failovers = 0
        self.writes = 0
        self.at_write: Callable[[Server], object] | None = None
        self.expired: set[bytes] = set()
        self._ends: dict[bytes, list[float]] = {}
        self._world = world
        self._faults = faults
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._cut_off: set[tuple[Process, Server]] = set()
        self._moves: dict[int, _Move] = {}
        self.shards = [
            Shard(
                Server(world, self, Node(f"redis{number}a", 6379)),
                Server(world, self, Node(f"redis{number}b", 6379)),
            )
            for number in range(max(shards, 1))
        ]
        self.servers = [server for shard in self.shards for server in (shard.master, shard.replica)]
        self.owners = [self.shards[slot * len(self.shards) // SLOTS] for slot in range(SLOTS)]
        for shard in self.shards:
            shard.master.epoch = shard.replica.epoch = self._next_epoch()
        self._tell(0.0)

    @property
    def url(self) -> str:
        """What a worker is told."""
        if not self.cluster:
            return "redis://redis?cluster=no"
        return "redis://" + ",".join(f"{server.node}" for server in self.servers) + "?cluster=yes"

    # What servers and clients ask

    def connect(self, process: Process, node: Node) -> Link:
        """A connection of a process to a node."""
        world = self._world
        world.sleep(world.between(0, self._faults.latency_s))
        # A single Redis has one name, which leads to whoever is master.
        server = self.shards[0].master if not self.cluster else next(s for s in self.servers if s.node == node)
        if not server.up or world.chance(self._faults.connect):
            raise Unavailable(str(node), "cannot connect: refused")
        if self.is_cut_off(process, server) or server.paused_until > world.now + self._connect_timeout_s:
            world.sleep(self._connect_timeout_s)
            raise Unavailable(str(node), "cannot connect: timed out")
        return Link(process, server, self._faults, self._timeout_s)

    def is_cut_off(self, process: Process, server: Server) -> bool:
        """Whether nothing of a process reaches a server."""
        return (process, server) in self._cut_off

    def refusal(self, server: Server, keys: Sequence[bytes], *, asking: bool = False) -> str | None:
        """Why a server does not carry out a command on keys; ``None`` when it does."""
        if server.shut:
            return "CLUSTERDOWN The cluster is down"
        if not self.cluster or not keys:
            return None
        slots = {key_slot(key) for key in keys}
        if len(slots) > 1:
            return "CROSSSLOT Keys in request don't hash to the same slot"
        (slot,) = slots
        move = self._moves.get(slot)
        owner = server.view[slot]
        if move is not None and server in (move.source, move.target):
            return self._refusal_on_the_move(slot, move, server, set(keys), asking=asking)
        return None if owner is server else f"MOVED {slot} {owner.node}"

    @staticmethod
    def _refusal_on_the_move(slot: int, move: _Move, server: Server, keys: set[bytes], *, asking: bool) -> str | None:
        there = sum(server.store.ttl_s(key) is not None for key in keys)
        if server is move.target:
            if not asking:
                return f"MOVED {slot} {move.source.node}"
            return "TRYAGAIN Multiple keys request during rehashing of slot" if 1 < len(keys) != there else None
        if there == len(keys):
            return None
        return "TRYAGAIN Multiple keys request during rehashing of slot" if there else f"ASK {slot} {move.target.node}"

    def slots_reply(self, server: Server) -> Reply:
        """CLUSTER SLOTS."""
        if not self.cluster:
            return ReplyError("ERR This instance has cluster support disabled")
        spans: list[Reply] = []
        first = 0
        for slot in range(1, SLOTS + 1):
            owner = server.view[first]
            if slot == SLOTS or server.view[slot] is not owner:
                spans.append([first, slot - 1, [owner.node.host.encode(), owner.node.port, b"id"]])
                first = slot
        return spans

    def info_reply(self, server: Server) -> Reply:
        """CLUSTER INFO, as far as anybody asks."""
        if not self.cluster:
            return ReplyError("ERR This instance has cluster support disabled")
        return b"cluster_state:ok\r\ncluster_my_epoch:%d\r\n" % server.epoch

    def _next_epoch(self) -> int:
        return 1 + max(server.epoch for server in self.servers)

    def note(self, server: Server, written: Written) -> None:
        """Keep account of writes, and of lives that ended."""
        self.writes += 1
        if self.at_write is not None:
            self.at_write(server)
        if not any(shard.master is server for shard in self.shards):
            return  # it is replaced already: this is lost
        for key, _, expires_at in written.values:
            ends = self._ends.setdefault(key, [])
            if ends and max(ends) <= written.at:
                self.expired.add(key)
            ends.append(expires_at)

    def _forget(self, written: Written) -> None:
        """A write is lost."""
        self.lost += 1
        for key, _, expires_at in written.values:
            self._ends[key].remove(expires_at)

    def snapshot(self) -> dict[bytes, bytes]:
        """What the masters hold."""
        found: dict[bytes, bytes] = {}
        for shard in self.shards:
            for key, value in shard.master.store.snapshot().items():
                if not self.cluster or self.owners[key_slot(key)] is shard:
                    found[key] = value
        for key, ends in self._ends.items():
            if ends and max(ends) <= self._world.now:
                self.expired.add(key)
        return found

    # Failovers

    def fail_over(self, shard: Shard, how: str, window_s: float, processes: Sequence[Process]) -> None:
        """Begin a failover of a shard.

        ``planned``: the master hands over, nothing is lost.  ``killed``: it dies, the replica was
        behind.  ``cut_off``: it and some clients are parted from the rest, it goes on for a while;
        the replica may be master before that.  ``paused``: it stops, is replaced, and answers
        again for a moment before it learns.

        Parameters
        ----------
        window_s : float
            The loss window; 0 for a replica that is never behind.
        processes : sequence of Process
            The clients.
        """
        if shard.busy:
            return
        shard.busy = True
        self.failovers += 1
        world, old = self._world, shard.master
        took_s = world.between(0.2, 3.0) if window_s == 0 else world.between(0.5, 2.0) * window_s
        lost_s = world.between(0, window_s)
        world.trace("failover", how, old.node, f"within {took_s:.2f} s, {lost_s:.2f} s may be lost")
        start = world.now
        if how == "planned":
            self._promote(shard, start)
            self._demote(shard, old)
        elif how == "killed":
            old.kill()
            world.call_at(start + took_s, lambda: self._promote(shard, start - lost_s))
            world.call_at(start + took_s + world.between(0, 10), lambda: self._demote(shard, old))
        elif how == "cut_off":
            for process in processes:
                if world.chance(0.5) or window_s == 0:
                    self._cut_off.add((process, old))
                else:
                    self._cut_off |= {(process, server) for server in self.servers if server is not old}
            world.call_at(start + lost_s, lambda: self._shut(old))
            world.call_at(start + took_s, lambda: self._promote(shard, start))
            healed = start + max(took_s, lost_s) + world.between(0.1, 10)
            world.call_at(healed, lambda: self._heal(shard, old))
        else:
            resumes = start + took_s + world.between(0, 5)
            old.paused_until = resumes
            world.call_at(start + took_s, lambda: self._promote(shard, start))
            # Without a loss window it learns at once that it is no longer master.
            world.call_at(resumes + lost_s, lambda: self._demote(shard, old))
            if window_s == 0:
                world.call_at(start + took_s, lambda: self._shut(old))

    def move_slot(self, slot: int, target: Shard) -> None:
        """Begin to give a slot to another shard, key by key, while it is in use."""
        source = self.owners[slot]
        if source is target or source.busy or target.busy:
            return
        world = self._world
        world.trace("slot", slot, "moves to", target.master.node)
        # No failover meanwhile: what becomes of half a move is for an operator to mend.
        source.busy = target.busy = True
        self._moves[slot] = _Move(source.master, target.master)
        self._move_on(slot, source, target, world.between(0, 3.0))

    def _move_on(self, slot: int, source: Shard, target: Shard, pace_s: float) -> None:
        """Move one key, or end the move when none is left."""
        world = self._world
        left = [key for key in source.master.store.snapshot() if key_slot(key) == slot]
        if left:
            key = world.random.choice(left)
            target.master.store.put(key, source.master.store.snapshot()[key], source.master.store.ttl_s(key) or 0.0)
            source.master.store.put(key, b"", 0.0)
            world.call_at(world.now + world.between(0, pace_s), lambda: self._move_on(slot, source, target, pace_s))
            return
        del self._moves[slot]
        self.owners[slot] = target
        target.master.epoch = self._next_epoch()
        for shard in (source, target):
            shard.busy = False
            self._synchronise(shard)
        # Those concerned know at once, the others by and by.
        source.master.view = target.master.view = self._table()
        self._tell(world.between(0, 1))
        world.trace("slot", slot, "has moved")

    def _table(self) -> tuple[Server, ...]:
        return tuple(shard.master for shard in self.owners)

    def _tell(self, delay_s: float) -> None:
        """Let the servers learn who serves what."""
        if not self.cluster:
            return

        def learn() -> None:
            table = self._table()
            for server in self.servers:
                if not server.shut and server.paused_until <= self._world.now and server not in self._deposed():
                    server.view = table

        learn() if not delay_s else self._world.call_at(self._world.now + delay_s, learn)

    def _deposed(self) -> list[Server]:
        """Old masters that do not know yet that they are."""
        return [shard.replica for shard in self.shards if shard.busy]

    def _promote(self, shard: Shard, up_to: float) -> None:
        """The replica takes over with what it has: all that was written up to a time."""
        old, new = shard.master, shard.replica
        fresh = old.log[shard.in_step :]
        for written in fresh:
            if written.at <= up_to:
                new.write(written)
            else:
                self._forget(written)
        shard.seen = len(old.log)
        self._world.trace("promoted", new.node, f"{sum(w.at > up_to for w in fresh)} of {len(fresh)} writes lost")
        shard.master, shard.replica = new, old
        new.epoch = self._next_epoch()
        new.log = []
        shard.in_step = 0
        table = self._table()
        new.view = table if self.cluster else ()
        self._tell(self._world.between(0, 0.5))

    def _shut(self, server: Server) -> None:
        """A master that is cut off stops to serve; a single one is ended by whoever replaced it."""
        if self.cluster:
            server.shut = True
        else:
            server.kill()

    def _heal(self, shard: Shard, old: Server) -> None:
        self._cut_off.clear()
        self._demote(shard, old)

    def _demote(self, shard: Shard, old: Server) -> None:
        """The old master comes back as the replica of the new one."""
        if not self.cluster:
            old.reset_links()
        elif not old.up:
            old.links.clear()
        old.up = True
        old.shut = False
        old.paused_until = 0.0
        self._synchronise(shard)
        # What it still acknowledged after the replica had taken over.
        self.lost += len(old.log) - shard.seen
        old.log = []
        old.epoch = shard.master.epoch  # a replica names its master's
        shard.busy = False
        old.view = self._table() if self.cluster else ()
        self._world.trace("demoted", old.node)

    def _synchronise(self, shard: Shard) -> None:
        shard.replica.copy_of(shard.master)
        shard.in_step = len(shard.master.log)


assert store.SLOTS > SLOTS
