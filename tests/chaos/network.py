"""A network between workers and Redis that cuts, delays, and leaves connections half open."""

from __future__ import annotations

from collections.abc import Iterator

from chaos.tally import Tally
from chaos.world import Field, Inject, World
from fastfold.store import Command
from proxy import CUT, DELAY, HANG, LOSE, PASS, SLOW, Proxy
from servers import wait_for

__all__ = ["cut_after", "cut_before", "delay", "half_open", "slow_down"]

FILES_PER_S = 40
FAULTS_S = 600.0
BUS_OFFSET = 10_000


class Net:
    """Proxies before all nodes, which the nodes announce as their own ports: nobody can go around them.

    Parameters
    ----------
    world : World

    Attributes
    ----------
    faults : int
        How often something happened to a command.
    """

    def __init__(self, world: World) -> None:
        self.faults = 0
        self._choice = world.choice
        self._cluster = world.cluster
        self._plan = (PASS, 0.0, b"")
        self.proxies = {port: Proxy(port, self._policy) for port in world.cluster.ports}

    def arm(self, fate: str, share: float, at: bytes) -> None:
        """From now on this happens to a share of the commands of a name, or of all where that is empty (`proxy`)."""
        self._plan = (fate, share, at)

    def disarm(self) -> None:
        """Let everything pass."""
        self._plan = (PASS, 0.0, b"")

    def announce(self, ports: dict[int, int]) -> None:
        """Let the nodes announce these ports, and wait until all of them say so of all."""
        for port, shown in ports.items():
            with self._cluster.node(port) as node:
                node.config_set("cluster-announce-bus-port", port + BUS_OFFSET)
                node.config_set("cluster-announce-port", shown)
        wanted = set(ports.values())
        wait_for(lambda: all(self._shown(port) == wanted for port in ports), "ports that are announced")

    def close(self) -> None:
        """Let the nodes announce their own ports again, and end the proxies."""
        self.announce({port: port for port in self.proxies})
        for proxy in self.proxies.values():
            proxy.close()

    def _shown(self, port: int) -> set[int]:
        with self._cluster.node(port) as node:
            spans = node.execute_command("CLUSTER", "SLOTS")
        return {int(node[1]) for span in spans for node in span[2:]}

    def _policy(self, command: Command) -> str:
        fate, share, at = self._plan
        name = command[0].upper()
        # Replication goes through here too, and is not meant.
        if name in (b"REPLCONF", b"PSYNC", b"PING") or name != (at or name) or self._choice.random() >= share:
            return PASS
        self.faults += 1
        return fate


def _net(world: World) -> tuple[Field, Net]:
    """A field whose pod goes through proxies, and these; the ones in use, or new ones."""
    # A field that ends now, for a mutant or because it is spoiled, takes its proxies with it.
    field = world.field(redis_timeout_s=1.0)
    if world.net is None:
        # Pods from before know the ports behind the proxies.
        world.end_field()
        net = world.net = Net(world)
        net.announce({port: proxy.port for port, proxy in net.proxies.items()})
        field = world.field(redis_timeout_s=1.0)

        def close() -> None:
            world.net = None
            net.close()

        field.undo.append(close)
    return field, world.net


def _through(fate: str, share: float, at: bytes = b"") -> Inject:
    def inject(world: World, tally: Tally, times: int) -> Iterator[Field]:
        field, net = _net(world)
        field.deliver(1)
        faults = net.faults
        net.arm(fate, share, at)
        with field.load(FILES_PER_S):
            wait_for(lambda: net.faults >= faults + times, "faults", FAULTS_S)
        net.disarm()
        tally.faults += net.faults - faults
        yield field

    return inject


cut_before = _through(CUT, 0.1, b"EXEC")
cut_after = _through(LOSE, 0.1, b"EXEC")
delay = _through(DELAY, 0.02)
half_open = _through(HANG, 0.005)
slow_down = _through(SLOW, 0.05, b"GET")
