"""Masters of a cluster on stores in memory: what CLUSTER answers, the stores do not know."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from fastfold.store import Command, Connection, Reply

__all__ = ["AsMaster", "cluster_info"]


def cluster_info(epoch: int) -> bytes:
    """CLUSTER INFO, shortened."""
    return b"cluster_state:ok\r\ncluster_current_epoch:99\r\ncluster_my_epoch:%d\r\ncluster_size:3\r\n" % epoch


class AsMaster:
    """A connection to a store that answers as one of a cluster.

    Parameters
    ----------
    inner : Connection
    slots, epoch : callable
        What it says at the moment.
    """

    def __init__(self, inner: Connection, slots: Callable[[], Reply], epoch: Callable[[], int] = lambda: 1) -> None:
        self._inner = inner
        self._answers = {b"SLOTS": slots, b"INFO": lambda: cluster_info(epoch())}
        self._sent: deque[Command] = deque()
        self.close = inner.close

    def send(self, commands: Sequence[Command]) -> None:
        self._sent += commands
        self._inner.send(commands)

    def read(self, count: int) -> list[Reply]:
        sent = [self._sent.popleft() for _ in range(count)]
        return [
            self._answers[command[1]]() if command[0] == b"CLUSTER" else reply
            for command, reply in zip(sent, self._inner.read(count), strict=True)
        ]
