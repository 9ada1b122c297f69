"""A network between workers and Redis that cuts, delays, and leaves connections half open."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from chaos.tally import Tally
from chaos.world import World
from fastfold.store import Command
from proxy import CUT, DELAY, HANG, LOSE, PASS, SLOW, Proxy
from servers import wait_for

__all__ = ["cut_after", "cut_before", "delay", "half_open", "slow_down"]

FILES_PER_S = 40
BUS_OFFSET = 10_000


class Net:
    """Proxies before all nodes, which the nodes announce as their own ports: nobody can go around them.

    Parameters
    ----------
    world : World
    fate : str
        What happens to commands (`proxy`).
    share : float
        To how many of them.
    at : bytes
        To commands of this name only; empty: any.
    """

    def __init__(self, world: World, fate: str, share: float, at: bytes) -> None:
        self.faults = 0
        self.armed = False
        self._choice, self._fate, self._share, self._at = world.choice, fate, share, at
        self._cluster = world.cluster
        self.proxies = {port: Proxy(port, self._policy) for port in world.cluster.ports}

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
        name = command[0].upper()
        # Replication goes through here too, and is not meant.
        if not self.armed or name in (b"REPLCONF", b"PSYNC", b"PING") or name != (self._at or name):
            return PASS
        if self._choice.random() >= self._share:
            return PASS
        self.faults += 1
        return self._fate


@contextlib.contextmanager
def _net(world: World, fate: str, share: float, at: bytes) -> Iterator[Net]:
    net = Net(world, fate, share, at)
    try:
        net.announce({port: proxy.port for port, proxy in net.proxies.items()})
        # Pods from before know the ports behind the proxies.
        world.spoil()
        yield net
    finally:
        net.armed = False
        world.spoil()
        world.end_field()
        net.close()


def _through(fate: str, share: float, at: bytes = b"") -> Callable[[World, Tally, int], None]:
    def inject(world: World, tally: Tally, times: int) -> None:
        with _net(world, fate, share, at) as net:
            field = world.field(redis_timeout_s=1.0)
            field.deliver(1)
            net.armed = True
            with field.load(FILES_PER_S):
                while net.faults < times:
                    time.sleep(0.02)
            net.armed = False
            tally.faults += net.faults
            world.settle(field, tally)

    return inject


cut_before = _through(CUT, 0.1, b"EXEC")
cut_after = _through(LOSE, 0.1, b"EXEC")
delay = _through(DELAY, 0.02)
half_open = _through(HANG, 0.005)
slow_down = _through(SLOW, 0.05, b"GET")
