"""Which node serves a slot, and the connections to each node.

A cluster is asked with CLUSTER SLOTS and CLUSTER INFO, by our own connection: after a fault, after MOVED, and when
what is known has grown old.  The seeds of the URL stay candidates for ever: after all nodes were replaced, a
configuration endpoint still leads to the new ones.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from fastfold.config import Settings
from fastfold.errors import ConfigError, Unavailable
from fastfold.resp import REFUSALS, Connector, ConnectSettings, Node, RedisAddress
from fastfold.store import ABORTED_FOR, SLOTS, Command, Connection, Reply, ReplyError

__all__ = [
    "CLUSTER_INFO",
    "CLUSTER_SLOTS",
    "Connect",
    "Link",
    "Nodes",
    "parse_epoch",
    "parse_redirect",
    "parse_slots",
    "redis_connector",
]

Connect = Callable[[Node], Connection]

CLUSTER_SLOTS: Command = (b"CLUSTER", b"SLOTS")
CLUSTER_INFO: Command = (b"CLUSTER", b"INFO")
_PROBE: tuple[Command, ...] = ((b"MULTI",), (b"EXEC",))


def redis_connector(settings: Settings) -> tuple[RedisAddress, Connector]:
    """The address of Redis, and what opens connections to its nodes."""
    address = RedisAddress.from_url(settings.redis_url)
    how = ConnectSettings(
        connect_timeout_s=settings.redis_connect_timeout_s,
        timeout_s=settings.redis_timeout_s,
        ca_file=settings.redis_ca_file,
        cert_file=settings.redis_cert_file,
        key_file=settings.redis_key_file,
    )
    return address, Connector(address, how)


def parse_slots(reply: Reply, asked: Node) -> list[Node | None]:
    """The masters by slot, from the reply to CLUSTER SLOTS.

    Parameters
    ----------
    reply : Reply
    asked : Node
        Who answered: a node that does not know its own address leaves it empty.

    Returns
    -------
    list of Node or None
        One entry per slot; ``None`` where no node serves it.

    Raises
    ------
    Unavailable
        If the reply is no such list.
    """
    owners: list[Node | None] = [None] * SLOTS
    if not isinstance(reply, list):
        raise Unavailable(str(asked), f"CLUSTER SLOTS answered {reply!r:.100}")
    for span in reply:
        match span:
            case [int(first), int(last), [bytes() | None as host, int(port), *_], *_] if 0 <= first <= last < SLOTS:
                # "?" is a server whose host name is wanted but not known yet.
                owner = None if host == b"?" else Node(host.decode() if host else asked.host, port)
                owners[first : last + 1] = [owner] * (last + 1 - first)
            case _:
                raise Unavailable(str(asked), f"CLUSTER SLOTS answered {span!r:.100}")
    return owners


def parse_epoch(reply: Reply, asked: Node) -> int:
    """The config epoch of the node that answered, from its reply to CLUSTER INFO.

    A node gets another one whenever it is made master, and when a slot is given to it: while it is the same, the node
    has been master without a break, and no slot has come to it.

    Raises
    ------
    Unavailable
        If the reply names none.
    """
    found = re.search(rb"^cluster_my_epoch:(\d+)\r?$", reply, re.MULTILINE) if isinstance(reply, bytes) else None
    if found is None:
        raise Unavailable(str(asked), f"CLUSTER INFO answered {reply!r:.100}")
    return int(found[1])


def parse_redirect(node: Node, error: ReplyError) -> tuple[int, Node] | None:
    """Slot and node of a MOVED or ASK reply of `node`; ``None`` where it is in no form that we know."""
    match error.text.removeprefix(ABORTED_FOR).split():
        case [_, slot, target] if slot.isdigit() and int(slot) < SLOTS:
            host, _, port = target.rpartition(":")
            if port.isdigit() and host != "?":
                return int(slot), Node(host or node.host, int(port))
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A connection to a node, and what was so when it was opened.

    Attributes
    ----------
    node : Node
    connection : Connection
    generation : int
        No two that were ever opened have the same.
    epoch : int
        The config epoch of the node; 0 for a single Redis.
    """

    node: Node
    connection: Connection
    generation: int
    epoch: int


class Nodes:
    """The nodes behind an address, used by one thread.

    Parameters
    ----------
    address : RedisAddress
    connect : callable
        Opens a connection to a node.
    random : callable
        Chooses the node to ask first, so that a thousand workers do not all ask one, and when.
    refresh_s : float
        How old what is known of a cluster may be; 0: any age.
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        address: RedisAddress,
        connect: Connect,
        random: Callable[[], float],
        *,
        refresh_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._in_doubt = True
        self._address = address
        self._connect = connect
        self._random = random
        self._refresh_s = refresh_s
        self._clock = clock
        self._due = float("inf")
        self._links: dict[tuple[Node, int], Link] = {}
        self._opened = 0
        self._owners: list[Node | None] = []
        self._single: Node | None = address.seeds[0] if address.cluster == "no" else None
        self._hints: dict[int, Node] = {}

    @property
    def stale(self) -> bool:
        """Whether the cluster is to be asked again before the next transaction; to be set after a fault."""
        return self._in_doubt or self._clock() >= self._due

    @stale.setter
    def stale(self, in_doubt: bool) -> None:
        self._in_doubt = in_doubt

    @property
    def is_cluster(self) -> bool:
        """Whether there are several nodes; ``True`` as long as nobody was asked."""
        return self._single is None

    def node_of(self, slot: int) -> Node | None:
        """The node that serves a slot, as far as is known."""
        return self._single or self._owners[slot]

    def serving(self) -> list[Node]:
        """The nodes that serve any slot, each once, as far as is known."""
        if self._single is not None:
            return [self._single]
        return [node for node in dict.fromkeys(self._owners) if node is not None]

    def connection(self, node: Node) -> Connection:
        """The first connection to a node, opened if there is none."""
        return self.link(node).connection

    def link(self, node: Node, number: int = 0) -> Link:
        """A connection to a node by its number, opened if there is none."""
        link = self._links.get((node, number))
        if link is None:
            connection = self._connect(node)
            try:
                epoch = _probe(node, connection, is_cluster=self.is_cluster)
            except BaseException:
                connection.close()
                raise
            self._opened += 1
            link = self._links[node, number] = Link(node, connection, self._opened, epoch)
        return link

    def held(self, node: Node, generation: int) -> Link | None:
        """The connection to a node of that generation, if it is still there."""
        return next((link for link in self._links.values() if (link.node, link.generation) == (node, generation)), None)

    def drop(self, node: Node) -> bool:
        """Close the connections to a node, and tell whether there were any."""
        found = [where for where in self._links if where[0] == node]
        for where in found:
            self._links.pop(where).connection.close()
        return bool(found)

    def close(self) -> None:
        """Close all connections."""
        for link in self._links.values():
            link.connection.close()
        self._links.clear()

    def moved(self, node: Node, error: ReplyError) -> None:
        """Note what a MOVED reply of `node` says; the next refresh takes it into account."""
        found = parse_redirect(node, error)
        # In a form that we do not know: the refresh alone must do.
        if found is not None:
            slot, target = found
            self._hints[slot] = target

    def refresh(self) -> None:
        """Ask the cluster who serves what; a single Redis is only asked whether it is one.

        Raises
        ------
        Unavailable
            If no node answers.
        """
        if self._single is None:
            self._owners = self._ask()
            # A hint is what the node said that refused us; whom we asked may know less.
            for slot, node in self._hints.items():
                if self._single is None:
                    self._owners[slot] = node
            self._hints.clear()
            self._forget_lost_nodes()
        self._in_doubt = False
        if self.is_cluster and self._refresh_s:
            # Not all at one moment: between half of the time and all of it.
            self._due = self._clock() + self._refresh_s * (1 + self._random()) / 2

    def _ask(self) -> list[Node | None]:
        candidates = list(dict.fromkeys([*self._address.seeds, *filter(None, self._owners)]))
        start = int(self._random() * len(candidates))
        candidates = candidates[start:] + candidates[:start]
        if not self._in_doubt:
            # All is well with those that we speak with, and a seed may be gone: do not wait for it.
            candidates.sort(key=lambda node: (node, 0) not in self._links)
        fault: Unavailable | None = None
        for node in candidates:
            try:
                connection = self.connection(node)
                connection.send([CLUSTER_SLOTS])
                (reply,) = connection.read(1)
                if isinstance(reply, ReplyError):
                    return self._not_a_cluster(node, reply)
                return parse_slots(reply, node)
            except Unavailable as error:
                self.drop(node)
                fault = error
        if fault is None:
            raise ConfigError("Redis: no node to ask")
        raise fault

    def _not_a_cluster(self, node: Node, reply: ReplyError) -> list[Node | None]:
        _expect_no_cluster(node, CLUSTER_SLOTS, reply)
        if self._address.cluster == "yes" or len(self._address.seeds) > 1:
            raise ConfigError(f"{node} is a single Redis, but the URL names a cluster")
        self._single = node
        return []

    def _forget_lost_nodes(self) -> None:
        for node in {node for node, _ in self._links} - set(self.serving()):
            self.drop(node)


def _probe(node: Node, connection: Connection, *, is_cluster: bool) -> int:
    """See whether a connection can be used; the config epoch of its node."""
    # A server that refuses MULTI would carry out the SETEX that follow it in the packet one by one,
    # whatever the state of the watched keys.  So it is asked before anything is written.
    commands = (*_PROBE, CLUSTER_INFO) if is_cluster else _PROBE
    connection.send(commands)
    replies = connection.read(len(commands))
    for reply in replies[: len(_PROBE)]:
        if isinstance(reply, ReplyError):
            if reply.code in REFUSALS:
                raise ConfigError(f"{node}: {reply.text}")
            raise Unavailable(str(node), reply.text)
    for info in replies[len(_PROBE) :]:
        if not isinstance(info, ReplyError):
            return parse_epoch(info, node)
        _expect_no_cluster(node, CLUSTER_INFO, info)
    return 0


def _expect_no_cluster(node: Node, command: Command, error: ReplyError) -> None:
    """Raise what a CLUSTER command was refused for, unless that is that the server is a single Redis."""
    if error.code in REFUSALS:
        name = b" ".join(command).decode()
        raise ConfigError(f"{node}: {name}: {error.text} (?cluster=no for a single Redis)")
    if "cluster support disabled" not in error.text:
        raise Unavailable(str(node), error.text)
