"""The canary: a counter on every node by which a worker sees that the node has lost data.

A master that comes back empty, or with an older copy, answers as if all were well.  Each worker process
therefore keeps one counter on each node.  Before it writes the next number it looks at the one before::

    GET canary   SETEX canary n                  one packet to each node, every `canary_s` seconds

================  ====================================================================================
the node has      what that says
================  ====================================================================================
the last number   nothing is lost
a lower one       ``older``: acknowledged writes are lost, as many beats as the number is behind.  A failover
                  does that; hold and verify commits again what was lost since, if the hold is not shorter
none              ``empty``: the node has lost everything.  `fastfold replay` puts it back
================  ====================================================================================

The key is ``<namespace>canary:<worker>{<tag>}``: the tag puts it into a slot of the node, and it moves with
that slot.  It is told from a state by what stands before the brace.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from fastfold.errors import ConfigError, StopError, Unavailable
from fastfold.resp import REFUSALS, Node
from fastfold.store import Reply, ReplyError, key_slot
from fastfold.topology import Nodes

__all__ = ["Canary", "CanaryThread", "canary_prefix"]

log = logging.getLogger(__name__)

TTL_S = 3600
"""Life of a counter after its last beat.  A node that was silent for longer is not called empty."""


class Counts(Protocol):
    """Where the canary counts, for instance `fastfold.metrics.Meter`."""

    def add(self, name: str, amount: float = 1, label: str = "") -> None:
        """Count something."""


def canary_prefix(namespace: bytes) -> bytes:
    """What all keys of canaries begin with, and no other key."""
    return namespace + b"canary:"


class Canary:
    """Beats on every node; owned by one thread.

    Parameters
    ----------
    nodes : Nodes
        Owned by this canary from here on.
    namespace : bytes
    worker : str
        A name that no other worker has, of letters, digits and dashes.
    counts : Counts
        Counted into: ``rollbacks``.
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        nodes: Nodes,
        namespace: bytes,
        worker: str,
        counts: Counts,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nodes = nodes
        self._prefix = canary_prefix(namespace) + worker.encode()
        self._counts = counts
        self._clock = clock
        self._number = 0
        self._tags = 0
        # By key, not by node: a replica that takes over a slot answers for what its master had.
        self._written: dict[bytes, tuple[int, float]] = {}

    def beat(self) -> None:
        """Look at all counters and write the next number.

        Raises
        ------
        StopError
            Redis refuses us.
        """
        self._number += 1
        try:
            if self._nodes.stale:
                self._nodes.refresh()
        except Unavailable as error:
            log.warning("canary: %s", error)
            return
        for node, keys in self._keys_by_node().items():
            try:
                self._beat(node, keys)
            except Unavailable as error:
                log.warning("canary: %s", error)
                self._nodes.drop(node)
                self._nodes.stale = True

    def close(self) -> None:
        """Close all connections."""
        self._nodes.close()

    def _keys_by_node(self) -> dict[Node, list[bytes]]:
        found: dict[Node, list[bytes]] = {node: [] for node in self._nodes.serving()}
        for key in self._written:
            node = self._nodes.node_of(key_slot(key))
            if node is not None:
                found[node].append(key)
        for keys in found.values():
            if not keys:
                self._add_keys(found)
                break
        return found

    def _add_keys(self, found: dict[Node, list[bytes]]) -> None:
        """Take the next tags until each node has one in a slot of its own."""
        bare = {node for node, keys in found.items() if not keys}
        while bare:
            key = b"%b{%d}" % (self._prefix, self._tags)
            self._tags += 1
            node = self._nodes.node_of(key_slot(key))
            if node in bare:
                found[node].append(key)
                bare.remove(node)

    def _beat(self, node: Node, keys: list[bytes]) -> None:
        connection = self._nodes.connection(node)
        number, ttl = b"%d" % self._number, b"%d" % TTL_S
        connection.send([command for key in keys for command in ((b"GET", key), (b"SETEX", key, ttl, number))])
        replies = connection.read(2 * len(keys))
        for reply in replies:
            if isinstance(reply, ReplyError):
                # Moved, loading, out of memory: it has not said what it has.
                if reply.code in REFUSALS:
                    raise ConfigError(f"{node}: {reply.text}")
                raise Unavailable(str(node), reply.text)
        now = self._clock()
        for key, reply in zip(keys, replies[::2], strict=True):
            before, at = self._written.get(key, (0, now))
            if now - at < TTL_S:
                self._compare(node, _number(reply), before)
            self._written[key] = (self._number, now)

    def _compare(self, node: Node, found: int, before: int) -> None:
        if found >= before:
            return
        how = "older" if found else "empty"
        self._counts.add("rollbacks", label=how)
        log.error("%s has lost data: the canary was at %d, and is %s", node, before, found or "gone")


def _number(reply: Reply) -> int:
    """What a counter says; 0 where there is none."""
    return int(reply) if isinstance(reply, bytes) and reply.isdigit() else 0


class CanaryThread:
    """Beats until it is closed.

    Parameters
    ----------
    canary : Canary
    every_s : float
    """

    def __init__(self, canary: Canary, every_s: float) -> None:
        self._canary = canary
        self._every_s = every_s
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canary", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not self._closed.wait(self._every_s):
                self._canary.beat()
        except StopError as error:
            # The file slots meet the same refusal, and end the worker with it.
            log.error("canary: %s", error)
        finally:
            self._canary.close()
