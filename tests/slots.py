"""Slots of a real Redis Cluster: who serves them, and moving them."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from fastfold.local import HOST
from fastfold.resp import Connector, Node, RedisAddress
from fastfold.topology import Nodes
from servers import MASTERS, RedisCluster, wait_for

__all__ = ["Slots"]


class Slots:
    """Which master serves a slot, as the first one knows; and giving it to another."""

    def __init__(self, cluster: RedisCluster, masters: list[Any]) -> None:
        self._masters = masters
        self._ports = cluster.ports[:MASTERS]

    def owner(self, slot: int) -> Any:
        """The master that serves a slot, as the first one knows."""
        return self._owner(slot, self._ports[0])

    def _owner(self, slot: int, asked: int) -> Any:
        address = RedisAddress((Node(HOST, asked),))
        nodes = Nodes(address, Connector(address), lambda: 0.0)
        nodes.refresh()
        owner = nodes.node_of(slot)
        nodes.close()
        assert owner is not None
        return self._masters[self._ports.index(owner.port)]

    def another(self, slot: int) -> Any:
        owner = self.owner(slot)
        return next(node for node in self._masters if node is not owner)

    def begin_move(self, slot: int, target: Any) -> Any:
        """Let a slot be on its way, with all keys where they were; gives the node it leaves."""
        # A new owner that has not heard of the highest epoch would not rise above it, and its claim be nothing.
        wait_for(self._settled, "epochs that all agree on")
        source = self.owner(slot)
        target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self._name(source))
        source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self._name(target))
        return source

    def move_keys(self, source: Any, target: Any, *keys: bytes) -> None:
        """Take keys to where their slot is going."""
        port = target.connection_pool.connection_kwargs["port"]
        source.execute_command("MIGRATE", HOST, port, "", 0, 5000, "REPLACE", "KEYS", *keys)

    def keys_of(self, node: Any, slot: int) -> list[bytes]:
        """The keys of a slot on a node."""
        keys: list[bytes] = node.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 10_000)
        return keys

    def settle(self, slot: int, owner: Any) -> None:
        """Nobody is on the way any more, and the slot is served by one."""
        for node in self._masters:
            node.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
        self.move(slot, owner)

    @staticmethod
    def _name(node: Any) -> str:
        name: str = node.execute_command("CLUSTER", "MYID").decode()
        return name

    def move(self, slot: int, target: Any) -> None:
        """Give a slot to another node, without its keys."""
        owner = self._owner(slot, target.connection_pool.connection_kwargs["port"])
        if owner is not target:
            # Only a node that imports a slot raises its epoch when it gets it, and wins over gossip that is under way.
            target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self._name(owner))
        self._give(slot, target)
        # While epochs are not the same everywhere, what all agree on may still be turned round.
        wait_for(lambda: self._settled() and self._agreed(slot, target), f"slot {slot} has moved for all")

    def _give(self, slot: int, target: Any) -> None:
        # The new owner first: only it raises its epoch, by which the others believe it.
        for node in [target, *(node for node in self._masters if node is not target)]:
            node.execute_command("CLUSTER", "SETSLOT", slot, "NODE", self._name(target))

    def _settled(self) -> bool:
        return len({self._epochs(port) for port in self._ports}) == 1

    def _agreed(self, slot: int, target: Any) -> bool:
        return all(self._owner(slot, port) is target for port in self._ports)

    @staticmethod
    def _epochs(port: int) -> tuple[tuple[bytes, bytes], ...]:
        """Every node and its epoch, as one of them knows."""
        address = RedisAddress((Node(HOST, port),))
        with closing(Connector(address)(address.seeds[0])) as connection:
            connection.send([(b"CLUSTER", b"NODES")])
            (reply,) = connection.read(1)
        assert isinstance(reply, bytes)
        rows = [line.split() for line in reply.splitlines()]
        return tuple(sorted((row[0], row[6]) for row in rows if b"master" in row[2]))
