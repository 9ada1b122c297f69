"""Reads Redis for a person: on connections of our own, and with no command but those asked for.

GET and CLUSTER SLOTS are enough to read by key, so that the user of the workers may do it; SCAN, DBSIZE and INFO are
sent only where all keys are looked at.  A server that does not answer is reported, not tried again: a person waits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastfold.config import Settings
from fastfold.errors import ConfigError, CorruptValue, Unavailable
from fastfold.resp import REFUSALS, Node
from fastfold.store import Command, Connection, Reply, ReplyError, key_slot
from fastfold.topology import parse_slots, redis_connector

__all__ = ["SCAN_COUNT", "Reader"]

SCAN_COUNT = 200
"""Keys that one SCAN looks at: few enough not to hold up a busy server."""

REDIRECTS = 8
"""Most nodes that one GET is sent on to, while slots move."""

_TAG_CHARACTERS = 11
_ASKING: Command = (b"ASKING",)


class Reader:
    """Reads keys of a single Redis or of a cluster; owned by one thread.

    Parameters
    ----------
    settings : Settings

    Raises
    ------
    Unavailable
        If no node answers.
    ConfigError
        If the server refuses us.
    """

    def __init__(self, settings: Settings) -> None:
        self._address, self._connect = redis_connector(settings)
        self._connections: dict[Node, Connection] = {}
        # By slot; of a single Redis, one node for all.
        self._owners: list[Node | None] = []
        self._single: Node | None = self._address.seeds[0] if self._address.cluster == "no" else None
        try:
            self._discover()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or ``None``.

        Raises
        ------
        CorruptValue
            If it is not a string.
        Unavailable
            If its node does not answer, or nobody serves its slot.
        ConfigError
            If the server refuses us.
        """
        slot = key_slot(key)
        node, asking = self._single or self._owners[slot], False
        for _ in range(REDIRECTS):
            if node is None:
                raise Unavailable(str(self._address), f"no node serves slot {slot}")
            get: Command = (b"GET", key)
            reply = self._talk(node, [_ASKING, get] if asking else [get])[-1]
            if reply is None or isinstance(reply, bytes):
                return reply
            if not isinstance(reply, ReplyError):
                raise Unavailable(str(node), f"GET answered {reply!r:.100}")
            if reply.code == "WRONGTYPE":
                raise CorruptValue("not a string", key=key)
            if reply.code not in ("MOVED", "ASK"):
                raise _refused(node, reply)
            asking = reply.code == "ASK"
            node = _target(node, reply)
        raise Unavailable(str(self._address), f"slot {slot} was not found on {REDIRECTS} nodes")

    def key_count(self) -> int:
        """Keys on all servers, whoever wrote them.

        Raises
        ------
        Unavailable, ConfigError
            See `Reader.get`.
        """
        return sum(self._key_count(node) for node in self._serving())

    def used_bytes(self) -> int:
        """Memory that all servers use in all.

        Raises
        ------
        Unavailable, ConfigError
            See `Reader.get`.
        """
        return sum(self._used_bytes(node) for node in self._serving())

    def state_keys(self, namespace: bytes) -> Iterator[bytes]:
        """Keys of all states, in the order in which the servers give them, each once.

        Raises
        ------
        Unavailable, ConfigError
            See `Reader.get`.
        """
        pattern = re.sub(rb"([\\*?\[\]])", rb"\\\1", namespace) + b"{*}" + b"?" * _TAG_CHARACTERS
        # SCAN may give a key twice while the server grows its table, and slots move between servers.
        seen: set[bytes] = set()
        for node in self._serving():
            cursor = b"0"
            while True:
                cursor, keys = self._scan(node, cursor, pattern)
                fresh = [key for key in dict.fromkeys(keys) if key not in seen]
                seen.update(fresh)
                yield from fresh
                if cursor == b"0":
                    break

    def _scan(self, node: Node, cursor: bytes, pattern: bytes) -> tuple[bytes, list[bytes]]:
        match self._ask(node, b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"%d" % SCAN_COUNT):
            case [bytes(after), list(keys)]:
                return after, [key for key in keys if isinstance(key, bytes)]
            case reply:
                raise Unavailable(str(node), f"SCAN answered {reply!r:.100}")

    def _key_count(self, node: Node) -> int:
        count = self._ask(node, b"DBSIZE")
        if not isinstance(count, int):
            raise Unavailable(str(node), f"DBSIZE answered {count!r:.100}")
        return count

    def _used_bytes(self, node: Node) -> int:
        text = self._ask(node, b"INFO", b"memory")
        found = re.search(rb"^used_memory:(\d+)\r?$", text, re.MULTILINE) if isinstance(text, bytes) else None
        if found is None:
            raise Unavailable(str(node), f"INFO answered {text!r:.100}")
        return int(found[1])

    def _discover(self) -> None:
        """Find out who serves what, from the first seed that answers."""
        fault: Unavailable | None = None
        for node in self._address.seeds if self._single is None else ():
            try:
                (reply,) = self._talk(node, [(b"CLUSTER", b"SLOTS")])
                if not isinstance(reply, ReplyError):
                    self._owners = parse_slots(reply, node)
                    return
                if "cluster support disabled" not in reply.text:
                    raise _refused(node, reply)
                if self._address.cluster == "yes" or len(self._address.seeds) > 1:
                    raise ConfigError(f"{node} is a single Redis, but the URL names a cluster")
            except Unavailable as error:
                fault = error
            else:
                self._single = node
                return
        if fault is not None:
            raise fault

    def _serving(self) -> list[Node]:
        if self._single is not None:
            return [self._single]
        return [node for node in dict.fromkeys(self._owners) if node is not None]

    def _ask(self, node: Node, *command: bytes) -> Reply:
        (reply,) = self._talk(node, [command])
        if isinstance(reply, ReplyError):
            raise _refused(node, reply)
        return reply

    def _talk(self, node: Node, commands: list[Command]) -> list[Reply]:
        connection = self._connections.get(node)
        if connection is None:
            connection = self._connections[node] = self._connect(node)
        try:
            connection.send(commands)
            return connection.read(len(commands))
        except Unavailable:
            # Closed by its own fault; the next question opens another.
            del self._connections[node]
            raise


def _target(node: Node, reply: ReplyError) -> Node:
    match reply.text.split():
        case [_, _, place]:
            host, _, port = place.rpartition(":")
            if port.isdecimal() and host != "?":
                return Node(host or node.host, int(port))
    raise Unavailable(str(node), reply.text)


def _refused(node: Node, reply: ReplyError) -> ConfigError | Unavailable:
    return ConfigError(f"{node}: {reply.text}") if reply.code in REFUSALS else Unavailable(str(node), reply.text)
