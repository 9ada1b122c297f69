r"""The key space of Redis for those who look: read-only, a single Redis or a cluster.

============================================  ===========================================================
command sent                                  by
============================================  ===========================================================
``CLUSTER SLOTS``                             the start, unless the URL says ``?cluster=no``
``GET``                                       everything
``SCAN``                                      what goes through all keys; few keys in each
``CLUSTER COUNTKEYSINSLOT, GETKEYSINSLOT``    all of a host, in a cluster; who may not sends SCAN instead
``PTTL``, ``MEMORY USAGE``, ``DBSIZE``        the census
``RANDOMKEY``                                 the census of a sample
``INFO memory``                               the census and the demo; a user who may not is told less
``ASKING``                                    a key in the middle of its move to another node
============================================  ===========================================================

Nothing else is ever sent, so an ACL user with ``+@read +cluster|slots`` can do all but the two last.
The connection is our own (`fastfold.resp`), with commands for many keys in one packet.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from fastfold.config import Settings
from fastfold.errors import ConfigError, CorruptValue, Unavailable
from fastfold.resp import REFUSALS, Node, RespConnection
from fastfold.store import SLOTS, Command, Reply, ReplyError, key_slot
from fastfold.topology import parse_slots, redis_connector

__all__ = ["SCAN_COUNT", "Found", "KeySize", "Keyspace", "Pace", "state_pattern"]

SCAN_COUNT = 100
"""Keys that one SCAN looks at, and that one packet asks for: few enough not to hold up a busy server."""

_TAG_CHARACTERS = 11
_SLOT_KEYS = 20_000
"""Most keys of a slot that a node is asked for at once: it answers nobody else meanwhile, some milliseconds."""

_ROUNDS = 4
"""How often keys are asked for again that lie elsewhere than the cluster said."""

Found = bytes | None | CorruptValue
"""What lies under a key: a value, nothing, or something that is no string."""


class KeySize(NamedTuple):
    """What a key costs.

    Attributes
    ----------
    memory_bytes : int
        ``MEMORY USAGE``: key, value and their overheads, without the share of the hash tables.
    life_ms : int
        ``PTTL``; -1 for a key that never expires.
    """

    memory_bytes: int
    life_ms: int


class Pace:
    """Holds work back to a number of keys a second.

    Parameters
    ----------
    keys_per_s : float
        0 for no limit.
    clock, sleep : callable
    """

    def __init__(
        self,
        keys_per_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.keys_per_s = keys_per_s
        self._clock = clock
        self._sleep = sleep
        self._due = 0.0

    @property
    def step(self) -> int:
        """Keys to ask for at once: at a slow pace fewer, so that it is even within a second."""
        return max(1, min(SCAN_COUNT, int(self.keys_per_s / 4))) if self.keys_per_s else SCAN_COUNT

    def spend(self, keys: int) -> None:
        """Wait as long as those keys must take."""
        if self.keys_per_s:
            now = self._clock()
            self._due = max(self._due, now) + keys / self.keys_per_s
            self._sleep(self._due - now)


def state_pattern(namespace: bytes, host_key: bytes | None = None) -> bytes:
    """The pattern of SCAN for the keys of all states, or of those of one host."""
    if host_key is not None:
        return _literal(host_key) + b"?" * _TAG_CHARACTERS
    return _literal(namespace) + b"{" + b"?" * _TAG_CHARACTERS + b"}" + b"?" * _TAG_CHARACTERS


def _literal(text: bytes) -> bytes:
    return re.sub(rb"([\\*?\[\]])", rb"\\\1", text)


class Keyspace:
    """Reads keys; used by one thread.

    Parameters
    ----------
    settings : Settings
    pace : Pace, optional
        Holds back what goes through many keys.
    looked : callable, optional
        Told how many keys a SCAN has looked at.

    Raises
    ------
    Unavailable
        If no node answers.
    ConfigError
        If the server refuses us.
    """

    def __init__(
        self, settings: Settings, pace: Pace | None = None, looked: Callable[[int], None] = lambda count: None
    ) -> None:
        self._address, self._connect = redis_connector(settings)
        self._pace = pace or Pace()
        self._looked = looked
        self._connections: dict[Node, RespConnection] = {}
        self._owners: list[Node | None] = []
        self._clustered = False
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

    @property
    def nodes(self) -> list[Node]:
        """The masters that serve some slot, or the single Redis."""
        return list(dict.fromkeys(node for node in self._owners if node is not None))

    # Many keys

    def pages(self, pattern: bytes, only: Node | None = None) -> Iterator[list[bytes]]:
        """Keys that match a pattern, some at a time, each once; of one node or of all.

        Raises
        ------
        Unavailable
        """
        for node in self.nodes if only is None else [only]:
            # SCAN may give a key twice while the server resizes its table.  Hashes are kept, not keys.
            seen: set[int] = set()
            cursor = b"0"
            while True:
                step = self._pace.step
                reply = self._one(node, (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"%d" % step))
                match reply:
                    case [bytes() as cursor, list() as found]:
                        page = {key: None for key in found if isinstance(key, bytes) and hash(key) not in seen}
                    case _:
                        raise Unavailable(str(node), f"SCAN answered {reply!r:.100}")
                seen.update(map(hash, page))
                self._looked(step)
                if page:
                    yield list(page)
                if cursor == b"0":
                    break
                self._pace.spend(step)

    def states(self, namespace: bytes, host_key: bytes | None = None) -> Iterator[tuple[bytes, Found]]:
        """Keys of all states, or of those of a host, with what lies under them; what expired meanwhile is left out."""
        listed = None if host_key is None else self._slot_pages(host_key)
        for page in self.pages(state_pattern(namespace, host_key)) if listed is None else listed:
            for key, found in zip(page, self.get_many(page), strict=True):
                if found is not None:
                    yield key, found
            if listed is not None:
                self._pace.spend(len(page))

    def _slot_pages(self, host_key: bytes) -> list[list[bytes]] | None:
        """The keys of a host from the list of its slot; ``None`` where there is none to be had."""
        if not self._clustered:
            return None
        slot = b"%d" % key_slot(host_key)
        keys: dict[bytes, None] = {}
        # Every node: while a slot moves, its keys are on two of them.
        for node in self.nodes:
            for name, argument in ((b"COUNTKEYSINSLOT", None), (b"GETKEYSINSLOT", b"%d" % _SLOT_KEYS)):
                command = (b"CLUSTER", name, slot) if argument is None else (b"CLUSTER", name, slot, argument)
                (reply,) = self._packet(node, [command], refusals=True)
                if isinstance(reply, ReplyError) and reply.code == "NOPERM":
                    return None
                match reply:
                    case int(count) if count > _SLOT_KEYS:
                        return None
                    case int():
                        continue
                    case list():
                        keys |= {key: None for key in reply if isinstance(key, bytes) and _is_state_of(key, host_key)}
                    case _:
                        raise Unavailable(str(node), f"{name.decode()} answered {reply!r:.100}")
        found = list(keys)
        return [found[start : start + SCAN_COUNT] for start in range(0, len(found), SCAN_COUNT)]

    def random_keys(self, node: Node, count: int) -> list[bytes]:
        """Keys of a node at random, with repetition; none if it is empty."""
        keys: list[bytes] = []
        while len(keys) < count:
            step = min(self._pace.step, count - len(keys))
            replies = self._packet(node, [(b"RANDOMKEY",)] * step)
            self._pace.spend(step)
            found = [reply for reply in replies if isinstance(reply, bytes)]
            if not found:
                break
            keys += found
        return keys

    # Given keys

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or ``None``.

        Raises
        ------
        CorruptValue
            If it is not a string.
        """
        (found,) = self.get_many([key])
        if isinstance(found, CorruptValue):
            raise found
        return found

    def get_many(self, keys: Sequence[bytes]) -> list[Found]:
        """What lies under several keys."""
        return [_found(key, reply) for key, (reply,) in zip(keys, self._ask(keys, (b"GET",)), strict=True)]

    def size_many(self, keys: Sequence[bytes]) -> list[KeySize | None]:
        """What several keys cost; ``None`` for one that is not there."""
        sizes: list[KeySize | None] = []
        for memory, life in self._ask(keys, (b"MEMORY", b"USAGE"), (b"PTTL",)):
            there = isinstance(memory, int) and isinstance(life, int) and life != -2
            sizes.append(KeySize(memory, life) if there else None)  # type: ignore[arg-type]
        return sizes

    # Servers

    def key_count(self, node: Node | None = None) -> int:
        """Keys of one node or of all, whoever wrote them."""
        nodes = self.nodes if node is None else [node]
        return sum(_number(each, self._one(each, (b"DBSIZE",))) for each in nodes)

    def used_bytes(self) -> int | None:
        """Memory that all servers use in all; ``None`` if the user may not ask.

        Raises
        ------
        Unavailable
        """
        used = 0
        for node in self.nodes:
            (reply,) = self._packet(node, [(b"INFO", b"memory")], refusals=True)
            if isinstance(reply, ReplyError) and reply.code == "NOPERM":
                return None
            found = re.search(rb"^used_memory:(\d+)", reply, re.MULTILINE) if isinstance(reply, bytes) else None
            if found is None:
                raise Unavailable(str(node), f"INFO answered {reply!r:.100}")
            used += int(found[1])
        return used

    # Who serves what

    def _discover(self) -> None:
        candidates = [*self._address.seeds, *filter(None, dict.fromkeys(self._owners))]
        fault: Unavailable | None = None
        for node in dict.fromkeys(candidates):
            if self._address.cluster == "no":
                self._owners = [node] * SLOTS
                self._connection(node)
                return
            try:
                (reply,) = self._packet(node, [(b"CLUSTER", b"SLOTS")], refusals=True)
                single = self._single(node, reply)
                self._owners = single or parse_slots(reply, node)
                self._clustered = not single
            except Unavailable as error:
                fault = error
                continue
            return
        assert fault is not None, "an address has at least one seed"
        raise fault

    def _single(self, node: Node, reply: Reply) -> list[Node | None]:
        """The owners if this is no cluster, else none."""
        if not isinstance(reply, ReplyError):
            return []
        if reply.code in REFUSALS:
            raise ConfigError(f"{node}: CLUSTER SLOTS: {reply.text} (?cluster=no for a single Redis)")
        if "cluster support disabled" not in reply.text:
            raise Unavailable(str(node), reply.text)
        if self._address.cluster == "yes" or len(self._address.seeds) > 1:
            raise ConfigError(f"{node} is a single Redis, but the URL names a cluster")
        return [node] * SLOTS

    def _connection(self, node: Node) -> RespConnection:
        connection = self._connections.get(node)
        if connection is None:
            connection = self._connections[node] = self._connect(node)
        return connection

    # Packets

    def _packet(self, node: Node, commands: Sequence[Command], *, refusals: bool = False) -> list[Reply]:
        """The replies of a node; what only a person can mend is an error, unless it is asked for."""
        connection = self._connection(node)
        try:
            connection.send(commands)
            replies = connection.read(len(commands))
        except BaseException:
            # Replies that were not read must not be taken for those of the next packet.
            self._connections.pop(node).close()
            raise
        if not refusals:
            for reply in replies:
                if isinstance(reply, ReplyError) and reply.code in REFUSALS:
                    raise ConfigError(f"{node}: {reply.text}")
        return replies

    def _one(self, node: Node, command: Command) -> Reply:
        (reply,) = self._packet(node, [command])
        if isinstance(reply, ReplyError):
            raise Unavailable(str(node), reply.text)
        return reply

    def _ask(self, keys: Sequence[bytes], *heads: Command) -> list[list[Reply]]:
        """The replies to some commands on each key, from whichever node has it now."""
        answers: list[list[Reply]] = [[] for _ in keys]
        waiting = list(range(len(keys)))
        for _ in range(_ROUNDS):
            by_node: dict[Node, list[int]] = {}
            for place in waiting:
                by_node.setdefault(self._owner(keys[place]), []).append(place)
            waiting = []
            for node, places in by_node.items():
                for start in range(0, len(places), SCAN_COUNT):
                    waiting += self._ask_node(node, keys, places[start : start + SCAN_COUNT], heads, answers)
            if not waiting:
                return answers
            self._discover()
        raise Unavailable(str(self._address), f"{len(waiting)} keys keep moving between nodes")

    def _owner(self, key: bytes) -> Node:
        slot = key_slot(key)
        node = self._owners[slot]
        if node is None:
            raise Unavailable(str(self._address), f"no node serves slot {slot}")
        return node

    def _ask_node(
        self, node: Node, keys: Sequence[bytes], places: list[int], heads: Sequence[Command], answers: list[list[Reply]]
    ) -> list[int]:
        """Fill in the answers of one packet; returns the places of keys that lie elsewhere."""
        commands = [(*head, keys[place]) for place in places for head in heads]
        replies = iter(self._packet(node, commands))
        moved = []
        for place in places:
            answer = [next(replies) for _ in heads]
            faults = [reply for reply in answer if isinstance(reply, ReplyError)]
            if any(fault.code == "MOVED" for fault in faults):
                moved.append(place)
                continue
            asked = next((fault for fault in faults if fault.code == "ASK"), None)
            if asked is not None:
                answer = self._ask_target(asked, [(*head, keys[place]) for head in heads])
                faults = [reply for reply in answer if isinstance(reply, ReplyError)]
            for fault in faults:
                if fault.code != "WRONGTYPE":
                    raise Unavailable(str(node), fault.text)
            answers[place] = answer
        return moved

    def _ask_target(self, asked: ReplyError, commands: Sequence[Command]) -> list[Reply]:
        """Ask the node to which a slot is on its way for a key that is there already."""
        host, _, port = asked.text.rpartition(" ")[2].rpartition(":")
        target = Node(host, int(port))
        replies = self._packet(target, [part for command in commands for part in ((b"ASKING",), command)])
        return replies[1::2]


def _is_state_of(key: bytes, host_key: bytes) -> bool:
    return key.startswith(host_key) and len(key) == len(host_key) + _TAG_CHARACTERS


def _found(key: bytes, reply: Reply) -> Found:
    if isinstance(reply, ReplyError):
        return CorruptValue("not a string", key=key)
    assert reply is None or isinstance(reply, bytes), "GET gives a string or nothing"
    return reply


def _number(node: Node, reply: Reply) -> int:
    if not isinstance(reply, int):
        raise Unavailable(str(node), f"a number was wanted, not {reply!r:.100}")
    return reply
