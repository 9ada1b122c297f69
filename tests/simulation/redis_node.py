"""A simulated redis-server and the connections to it.

What the commands mean is told by `fastfold.store.MemoryStore`.  Added here is what a network and a
cluster add: a packet arrives late, in pieces, in part or not at all; its replies are lost; a server
is killed, paused, cut off, or no longer the one that serves a slot.  What was sent before a client
closed still arrives and is carried out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastfold.errors import Unavailable
from fastfold.resp import Node
from fastfold.store import Command, Connection, MemoryStore, Reply, ReplyError
from simulation.scheduler import Process, World

if TYPE_CHECKING:
    from simulation.redis_fleet import Fleet

__all__ = ["Link", "NetworkFaults", "Server", "Written"]

_KEYED = frozenset({b"WATCH", b"GET", b"SETEX"})
_NOT_NOW = (
    "LOADING Redis is loading the dataset in memory",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "READONLY You can't write against a read only replica.",
    "OOM command not allowed when used memory > 'maxmemory'.",
)


@dataclass
class NetworkFaults:
    """How often what goes wrong, per packet unless said otherwise.

    Attributes
    ----------
    latency_s : float
        Longest ordinary way of a packet.
    cut : float
        The connection breaks while the packet is on its way: a part of it arrives, a part of the
        replies comes back.
    late : float
        The packet takes longer than the client waits.
    split : float
        The packet arrives in pieces with other clients between them; per command.
    not_now : float
        The server refuses a command for the moment; per command.
    connect : float
        A connection cannot be made.
    """

    latency_s: float = 0.002
    cut: float = 0.0
    late: float = 0.0
    split: float = 0.0
    not_now: float = 0.0
    connect: float = 0.0

    def calm(self) -> None:
        """No faults from now on."""
        self.cut = self.late = self.not_now = self.connect = 0.0


@dataclass(frozen=True)
class Written:
    """One write, or all those of an EXEC: what replication carries as one."""

    at: float
    values: tuple[tuple[bytes, bytes, float], ...]  # key, value, when it expires


class Server:
    """One redis-server.

    Attributes
    ----------
    up : bool
    paused_until : float
    shut : bool
        It refuses all commands on keys: it has lost the majority of the cluster.
    view : tuple of Server
        By slot, who serves it as far as this one knows; empty for a single Redis.
    log : list of Written
        What it has written since it became a master.
    epoch : int
        Another one each time that it becomes a master, and when a slot comes to it.
    """

    def __init__(self, world: World, fleet: Fleet, node: Node) -> None:
        self.node = node
        self.up = True
        self.paused_until = 0.0
        self.shut = False
        self.view: tuple[Server, ...] = ()
        self.log: list[Written] = []
        self.epoch = 0
        self.links: dict[Link, None] = {}
        self.world = world
        self.fleet = fleet
        self.store = MemoryStore(lambda: world.now)

    def reset_links(self) -> None:
        """Break every connection, as the end of the server does."""
        for link in list(self.links):
            link.reset()

    def kill(self) -> None:
        """End it; what it holds is gone with it."""
        self.up = False
        self.reset_links()

    def write(self, written: Written) -> None:
        """Take over what another server has written."""
        for key, value, expires_at in written.values:
            self.store.put(key, value, max(expires_at - self.world.now, 0.0))

    def copy_of(self, other: Server) -> None:
        """Hold just what the other holds, as after a full synchronisation."""
        theirs = other.store.snapshot()
        for key in self.store.snapshot().keys() - theirs.keys():
            self.store.put(key, b"", 0.0)
        for key, value in theirs.items():
            self.store.put(key, value, other.store.ttl_s(key) or 0.0)


class Link:
    """A connection of a process to a server: the client's end and the server's.

    Parameters
    ----------
    process : Process
    server : Server
    faults : NetworkFaults
    timeout_s : float
        How long the client waits for replies.
    """

    def __init__(self, process: Process, server: Server, faults: NetworkFaults, timeout_s: float) -> None:
        self.process = process
        self.server = server
        self._world = server.world
        self._faults = faults
        self._timeout_s = timeout_s
        # The client's end
        self._inbox: list[Reply] = []
        self._broken = False
        self._closed = False
        self._reader = self._world.task()
        self._waiting = False
        # The server's end
        self._clear_at = 0.0
        self._memory: Connection = server.store.connect()
        self._gone = False
        self._queued: list[Command] | None = None
        self._refused = False
        self._asking = False
        server.links[self] = None
        process.at_death.append(self.close)

    # The client's end: `fastfold.store.Connection`

    def send(self, commands: Sequence[Command]) -> None:
        """Put a packet on its way."""
        if self._closed or self._broken:
            raise self._fault("send: broken")
        if not commands:
            return
        world, faults = self._world, self._faults
        delay_s = world.between(0, faults.latency_s)
        if world.chance(faults.late):
            delay_s += world.between(0, 2 * self._timeout_s)
        arrives = self._clear_at = max(self._clear_at, world.now + delay_s)
        if not world.chance(faults.cut):
            world.call_at(arrives, lambda: self._arrive(list(commands), None))
            return
        # Just before or behind EXEC is where it hurts.
        ends = [place + side for place, command in enumerate(commands) if command[0] == b"EXEC" for side in (0, 1)]
        reach = world.random.choice(ends) if ends and world.chance(0.5) else world.random.randint(0, len(commands))
        answered = world.random.randint(0, reach)
        world.trace("cut", self.server.node, f"{reach} of {len(commands)} arrive, {answered} answered")
        world.call_at(arrives, lambda: self._arrive(list(commands[:reach]), answered))

    def read(self, count: int) -> list[Reply]:
        """Wait for replies."""
        world = self._world
        self._reader = world.task()
        end = world.now + self._timeout_s
        while len(self._inbox) < count:
            if self._broken or self._closed:
                raise self._fault("receive: closed by the server")
            if world.now >= end:
                raise self._fault("receive: timed out")
            self._waiting = True
            world.wait(end - world.now)
            self._waiting = False
        replies, self._inbox = self._inbox[:count], self._inbox[count:]
        return replies

    def close(self) -> None:
        """Close the client's end; the server's follows behind what was sent."""
        if self._closed:
            return
        self._closed = True
        if self.close in self.process.at_death:
            self.process.at_death.remove(self.close)
        if not self._world.over:
            self._world.call_at(max(self._clear_at, self._world.now) + self._faults.latency_s, self._leave)

    def _fault(self, reason: str) -> Unavailable:
        self.close()
        self._world.trace("fault", self.server.node, reason)
        return Unavailable(str(self.server.node), reason)

    def _wake(self) -> None:
        if self._waiting:
            self._world.wake(self._reader)

    # The server's end

    def reset(self) -> None:
        """Break: the server has ended, or a cut has come to its end."""
        self._broken = True
        self._leave()
        self._wake()

    def _leave(self) -> None:
        if not self._gone:
            self._gone = True
            self._memory.close()
            self.server.links.pop(self, None)

    def _arrive(self, commands: list[Command], answered: int | None) -> None:
        """Commands reach the server; `answered` of the replies come back before the break, if there is one."""
        world, server = self._world, self.server
        if server.paused_until > world.now:
            self._clear_at = max(self._clear_at, server.paused_until)
            world.call_at(server.paused_until, lambda: self._arrive(commands, answered))
            return
        if self._gone or server.fleet.is_cut_off(self.process, server):
            return
        replies: list[Reply] = []
        rest: list[Command] = []
        for place, command in enumerate(commands):
            if place and world.chance(self._faults.split):
                rest = commands[place:]
                break
            replies.append(self._carry_out(command))
        left = answered
        if left is not None:
            replies = replies[:left]
            left -= len(replies)
        back = world.between(0, self._faults.latency_s)
        if replies:
            world.call_at(world.now + back, lambda: self._come_back(replies))
        if rest:
            self._clear_at = max(self._clear_at, world.now + back)
            world.call_at(world.now + back, lambda: self._arrive(rest, left))
        elif answered is not None:
            # Half of the time nobody tells the client.
            if world.chance(0.5):
                world.call_at(world.now + back + self._faults.latency_s, self.reset)
            else:
                self._leave()

    def _come_back(self, replies: list[Reply]) -> None:
        if not self._closed and not self._broken:
            self._inbox += replies
            self._wake()

    def _carry_out(self, command: Command) -> Reply:
        world, server, name = self._world, self.server, command[0]
        asking = self._asking
        if name == b"ASKING":
            self._asking = True
            return b"OK"
        if name == b"CLUSTER":
            return server.fleet.slots_reply(server) if command[1] == b"SLOTS" else server.fleet.info_reply(server)
        if name == b"EXEC":
            reply = self._exec(asking)
            self._asking = False
            return reply
        fault: str | None = None
        if name in _KEYED:
            keys = command[1:] if name == b"WATCH" else command[1:2]
            fault = server.fleet.refusal(server, keys, asking=asking)
            if fault is None and world.chance(self._faults.not_now):
                fault = world.random.choice(_NOT_NOW)
        if fault is not None:
            world.trace("refused", server.node, name.decode(), fault)
            self._refused = True
        reply = ReplyError(fault) if fault is not None else self._forward(command)
        if name == b"MULTI" and reply == b"OK":
            self._queued, self._refused = [], False
        elif self._queued is not None and reply == b"QUEUED":
            self._queued.append(command)
        elif name == b"SETEX" and reply == b"OK":
            self._note([command])
        # ASKING is for one command, or for a whole transaction.
        self._asking = asking and self._queued is not None
        return reply

    def _exec(self, asking: bool) -> Reply:
        server, queued, refused = self.server, self._queued, self._refused
        self._queued, self._refused = None, False
        if queued is not None and refused:
            self._forget()
            return ReplyError("EXECABORT Transaction discarded because of previous errors.")
        keys = [command[1] for command in queued or ()]
        moved = server.fleet.refusal(server, keys, asking=asking)
        if moved is not None:
            self._forget()
            self._world.trace("refused", server.node, "EXEC", moved)
            return ReplyError(moved)
        reply = self._forward((b"EXEC",))
        if isinstance(reply, list) and queued:
            self._note(queued)
        if queued:
            self._world.trace("EXEC", server.node, "nil" if reply is None else f"{len(queued)} written")
        return reply

    def _forget(self) -> None:
        """Drop the transaction and its watches."""
        self._memory.close()

    def _forward(self, command: Command) -> Reply:
        self._memory.send([command])
        (reply,) = self._memory.read(1)
        return reply

    def _note(self, commands: Sequence[Command]) -> None:
        now = self._world.now
        values = tuple(
            (key, value, now + int(ttl_s)) for name, key, ttl_s, value in (c for c in commands if c[0] == b"SETEX")
        )
        if values:
            written = Written(now, values)
            self.server.log.append(written)
            self.server.fleet.note(self.server, written)
