"""Hold and verify: whether commits that Redis has acknowledged are still there.

Redis acknowledges a write before a replica has it, so a failover may lose it.  A message is therefore
not deleted when its file is committed: it is held for at least twice the node timeout of the
cluster, and then it is looked whether what was written is still there.

A node is in one *term* as long as it is master without a break and no slot comes to it.  What it holds in a term
only grows, write by write; between two terms another node was master, and has left it what that one had.  So
where the look falls into the same term as the commit, all that was written or found in the commit is there;
and as it is older than any failover reaches back, it stays.  It is the same term if

* the connection is the one on which all of it was acknowledged: the server was not restarted, and a single Redis
  was not replaced;
* the config epoch of the node is the one it had when the connection was opened: it was not made a replica and
  master again meanwhile, which no client is told, nor have slots gone and come back;
* the node says of itself that it still serves all their slots.

The last host record that was written on a connection is read as well, and those that were found applied after it: keys
may be deleted or evicted in any term.

Where any of that fails, nothing is known to be lost; the batch is committed again, which does nothing where
it is still there, and is held again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fastfold.errors import Unavailable
from fastfold.resp import Node
from fastfold.store import Command, Reply
from fastfold.topology import CLUSTER_INFO, CLUSTER_SLOTS, Link, Nodes, parse_epoch, parse_slots
from fastfold.types import BatchId

__all__ = ["Entry", "Footprint", "IsApplied", "Trace", "Tracer", "verify"]


class Entry(NamedTuple):
    """What the host record under a key must say."""

    key: bytes
    bits: int
    chunk_index: int


IsApplied = Callable[[Entry, BatchId, Reply], bool]
"""Whether the reply to GET of a host record says that the batch is applied."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What a batch left on one node, over one connection.

    Attributes
    ----------
    batch : BatchId
    node : Node
    generation : int
        Of the connection on which it was acknowledged.
    slots : frozenset of int
        Of all its hosts there.
    entries : tuple of Entry
        Those that are looked for: the last one written, and those found applied since.
    """

    batch: BatchId
    node: Node
    generation: int
    slots: frozenset[int]
    entries: tuple[Entry, ...]


class Footprint:
    """What a batch has left on one connection so far."""

    __slots__ = ("_entries", "_slots")

    def __init__(self) -> None:
        self._slots: set[int] = set()
        self._entries: list[Entry] = []

    def wrote(self, slot: int, entry: Entry) -> None:
        """A transaction was acknowledged: it comes after everything that was seen before."""
        self._slots.add(slot)
        self._entries = [entry]

    def found(self, slot: int, entry: Entry) -> None:
        """The ledger held the chunk already."""
        self._slots.add(slot)
        self._entries.append(entry)

    def trace(self, batch: BatchId, node: Node, generation: int) -> Trace | None:
        """The same as a value; ``None`` if there is nothing."""
        if not self._entries:
            return None
        return Trace(batch, node, generation, frozenset(self._slots), tuple(self._entries))


class Tracer:
    """Collects what one batch leaves on all nodes.

    Parameters
    ----------
    batch : BatchId
    """

    def __init__(self, batch: BatchId) -> None:
        self._batch = batch
        self._footprints: dict[tuple[Node, int], Footprint] = {}

    def on(self, node: Node, generation: int) -> Footprint:
        """Where to note what happens on a connection."""
        return self._footprints.setdefault((node, generation), Footprint())

    def traces(self) -> tuple[Trace, ...]:
        """What there is to verify."""
        traces = (print_.trace(self._batch, *where) for where, print_ in self._footprints.items())
        return tuple(trace for trace in traces if trace is not None)


def verify(nodes: Nodes, held: Sequence[Sequence[Trace]], is_applied: IsApplied) -> list[bool]:
    """Look whether batches are still where they were acknowledged; one packet on each connection.

    Parameters
    ----------
    nodes : Nodes
    held : sequence of sequence of Trace
        The traces of each batch.
    is_applied : IsApplied

    Returns
    -------
    list of bool
        For each batch, whether all of it is known to be there.
    """
    by_link: dict[Link, list[Trace]] = {}
    lost: set[Trace] = set()
    for trace in dict.fromkeys(trace for traces in held for trace in traces):
        link = nodes.held(trace.node, trace.generation)
        if link is None:
            lost.add(trace)
        else:
            by_link.setdefault(link, []).append(trace)
    asked: list[tuple[Link, list[Trace]]] = []
    for link, traces in by_link.items():
        try:
            link.connection.send([*_term(nodes), *((b"GET", entry.key) for trace in traces for entry in trace.entries)])
            asked.append((link, traces))
        except Unavailable:
            nodes.drop(link.node)
            lost.update(traces)
    for link, traces in asked:
        try:
            lost.update(_lost(nodes, link, traces, is_applied))
        except Unavailable:
            nodes.drop(link.node)
            lost.update(traces)
    return [lost.isdisjoint(traces) for traces in held]


def _term(nodes: Nodes) -> tuple[Command, ...]:
    # In this order: what it serves at the first, it has served all the time if its epoch is the same at the second.
    return (CLUSTER_SLOTS, CLUSTER_INFO) if nodes.is_cluster else ()


def _lost(nodes: Nodes, link: Link, traces: Sequence[Trace], is_applied: IsApplied) -> list[Trace]:
    """Those of the traces that are not known to be there, from the replies to what was sent on their connection."""
    term = _term(nodes)
    replies = link.connection.read(len(term) + sum(len(trace.entries) for trace in traces))
    owners = None
    if term:
        # Itself it asks, because nobody knows sooner what a node no longer serves.
        owners = parse_slots(replies[0], link.node)
        if parse_epoch(replies[1], link.node) != link.epoch:
            raise Unavailable(str(link.node), "has been made master, or given a slot, since it was connected")
    values = iter(replies[len(term) :])
    lost = []
    for trace in traces:
        found = [is_applied(entry, trace.batch, next(values)) for entry in trace.entries]
        stayed = owners is None or all(owners[slot] == link.node for slot in trace.slots)
        if not (stayed and all(found)):
            lost.append(trace)
    return lost
