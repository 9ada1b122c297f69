"""Masters and replicas of a real cluster as they are now, and the ways to lose one of them."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any, NamedTuple

import redis

from fastfold.store import SLOTS
from servers import MASTERS, RedisCluster, wait_for

__all__ = ["Shard", "Shards"]

ANSWER_S = 2.0


class Shard(NamedTuple):
    """The ports of a master and of its replica."""

    master: int
    replica: int


class _Row(NamedTuple):
    """What a node says of another, or of itself."""

    name: str
    flags: frozenset[str]
    master: str
    slots: int


class Shards:
    """The shards of a cluster, whoever is their master.

    Parameters
    ----------
    cluster : RedisCluster
        Every node alive.
    """

    def __init__(self, cluster: RedisCluster) -> None:
        self._cluster = cluster
        self._names = {port: self._name(port) for port in cluster.ports}

    def find(self) -> list[Shard]:
        """All shards, by the port of their masters; every node must be well."""
        ports = {name: port for port, name in self._names.items()}
        rows = self._rows(self._cluster.ports[0])
        replica_of = {row.master: ports[row.name] for row in rows if "slave" in row.flags}
        masters = [row.name for row in rows if row.slots]
        return sorted(Shard(ports[name], replica_of[name]) for name in masters)

    def heal(self) -> None:
        """Start what has ended, let go on what was stopped, and wait until all is as it was made."""
        for port in self._cluster.ports:
            server = self._cluster.server(port)
            if server.alive:
                server.signal(signal.SIGCONT)
            else:
                server.start()
        wait_for(lambda: all(self._is_well(port) for port in self._cluster.ports), "a cluster that is well")

    def cut_replication(self, shard: Shard) -> None:
        """What the master acknowledges from now on, nobody else has.

        Stopping the replica is not enough: what is in its socket it would still read later.
        """
        self._cluster.signal(shard.replica, signal.SIGSTOP)
        with self._cluster.node(shard.master) as node:
            node.execute_command("CLIENT", "KILL", "TYPE", "replica")

    def take_over(self, shard: Shard) -> None:
        """Kill the master, let the replica go on, and wait until it has taken its place."""
        self._cluster.server(shard.master).kill()
        self._cluster.signal(shard.replica, signal.SIGCONT)
        self.wait_for_master(shard.replica)

    def wait_for_master(self, port: int) -> None:
        """Wait until a node is a master, and the cluster serves."""
        with self._cluster.node(port, socket_timeout=ANSWER_S) as node:
            wait_for(lambda: _role(node) == "master", "a failover")
            wait_for(lambda: b"cluster_state:ok" in info(node), "a cluster that is ok")

    @contextlib.contextmanager
    def masters(self) -> Iterator[list[Any]]:
        """A client of each master."""
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(self._cluster.node(shard.master)) for shard in self.find()]

    def _name(self, port: int) -> str:
        with self._cluster.node(port) as node:
            name: str = node.execute_command("CLUSTER", "MYID").decode()
        return name

    def _rows(self, port: int) -> list[_Row]:
        """What a node knows of all."""
        with self._cluster.node(port, socket_timeout=ANSWER_S) as node:
            text: bytes = node.execute_command("CLUSTER", "NODES")
        return [_row(line.decode()) for line in text.splitlines()]

    def _is_well(self, port: int) -> bool:
        """Whether a node knows three masters with all slots and a replica each, and follows its own."""
        try:
            rows = self._rows(port)
            with self._cluster.node(port, socket_timeout=ANSWER_S) as node:
                followed = node.info("replication")
                ok = b"cluster_state:ok" in info(node)
        except redis.RedisError:
            return False
        masters = [row for row in rows if row.slots]
        replicas = {row.master for row in rows if "slave" in row.flags}
        return (
            ok
            and not any(flag.startswith(("fail", "handshake", "noaddr")) for row in rows for flag in row.flags)
            and len(masters) == MASTERS
            and sum(row.slots for row in masters) == SLOTS
            and replicas == {row.name for row in masters}
            and (
                followed.get("master_link_status") == "up"
                if followed["role"] == "slave"
                else followed["connected_slaves"] == 1
            )
        )


def info(node: Any) -> bytes:
    """CLUSTER INFO, as it is written on the wire."""
    found = node.execute_command("CLUSTER", "INFO")
    return found if isinstance(found, bytes) else "\n".join(f"{name}:{value}" for name, value in found.items()).encode()


def _role(node: Any) -> str:
    try:
        return str(node.info("replication")["role"])
    except redis.RedisError:
        return ""


def _row(line: str) -> _Row:
    name, _, flags, master, _, _, _, _, *spans = line.split()
    slots = 0
    for span in spans:
        # What is on its way is in brackets.
        if not span.startswith("["):
            first, _, last = span.partition("-")
            slots += int(last or first) - int(first) + 1
    return _Row(name, frozenset(flags.split(",")), master, slots)
