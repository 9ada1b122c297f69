"""The commit on a real Redis Cluster: hosts on all nodes, and slots that move."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any

import pytest

from committing import NEVER, a_batch, a_committer, count_of, deltas, state_key
from fastfold.commit import Committer
from fastfold.errors import ConfigError, Unavailable
from fastfold.local import HOST
from fastfold.resp import Connector, Node, RedisAddress
from fastfold.store import Command, Connection, Reply, ReplyError, host_key, key_slot
from servers import MASTERS, RedisCluster
from slots import Slots

pytestmark = pytest.mark.servers

HOSTS = [str(number) for number in range(30)]


@pytest.fixture
def committer(redis_cluster: RedisCluster) -> Iterator[Committer]:
    committer = a_committer(url=redis_cluster.url)
    yield committer
    committer.close()


@pytest.fixture
def masters(redis_cluster: RedisCluster) -> Iterator[list[Any]]:
    """Clients of the three masters."""
    with ExitStack() as stack:
        yield [stack.enter_context(redis_cluster.node(port)) for port in redis_cluster.ports[:MASTERS]]


def counts_of(masters: list[Any]) -> dict[bytes, int]:
    """Events by key of a state, over all masters."""
    found: dict[bytes, int] = {}
    for node in masters:
        for key in node.scan_iter(count=1000):
            if not key.endswith(b"}"):
                assert key not in found
                found[key] = count_of(node.get(key))
    return found


@pytest.fixture
def slots(redis_cluster: RedisCluster, masters: list[Any]) -> Slots:
    return Slots(masters)


MOVING = "moving"
MOVING_SLOT = key_slot(host_key("", MOVING))


@pytest.fixture
def target(slots: Slots) -> Iterator[Any]:
    """The master that is to get the slot of the moving host; in the end all is as it was."""
    source, target = slots.owner(MOVING_SLOT), slots.another(MOVING_SLOT)
    yield target
    target.flushall()
    slots.move(MOVING_SLOT, source)


def test_hosts_lie_on_all_nodes(committer: Committer, masters: list[Any]) -> None:
    result = committer.commit([deltas(host, "pq") for host in HOSTS], a_batch(1), NEVER)
    assert (result.hosts, result.processes, result.retries) == (30, 60, 0)
    counts = counts_of(masters)
    assert len(counts) == 60
    assert set(counts.values()) == {1}
    assert all(node.dbsize() for node in masters)
    assert committer.commit([deltas(host, "pq") for host in HOSTS], a_batch(1), NEVER).already_applied == 30
    assert committer.counters.moved == 0


def test_a_slot_that_moved_while_nobody_looked(
    committer: Committer, masters: list[Any], slots: Slots, target: Any
) -> None:
    committer.commit([deltas(HOSTS[0], "p")], a_batch(0), NEVER)
    slots.move(MOVING_SLOT, target)
    result = committer.commit([deltas(MOVING, "pq"), *(deltas(one, "p") for one in HOSTS)], a_batch(1), NEVER)
    assert (result.hosts, result.retries, committer.counters.moved) == (31, 1, 1)
    counts = counts_of(masters)
    assert len(counts) == 32
    assert sum(counts.values()) == 33
    assert target.get(state_key(MOVING, "p")) is not None
    # The new owner is known from now on.
    committer.commit([deltas(MOVING, "pq")], a_batch(2), NEVER)
    assert committer.counters.moved == 1


def test_a_slot_that_moved_is_seen_in_time(
    redis_cluster: RedisCluster, masters: list[Any], slots: Slots, target: Any
) -> None:
    later_s = [0.0]
    committer = a_committer(url=redis_cluster.url, refresh_s=60.0, clock=lambda: time.monotonic() + later_s[0])
    with closing(committer):
        # None of the slot: a node that holds keys of it does not give it away.
        committer.commit([deltas(one, "p") for one in HOSTS], a_batch(0), NEVER)
        slots.move(MOVING_SLOT, target)
        later_s[0] = 60.0
        result = committer.commit([deltas(MOVING, "p"), *(deltas(one, "p") for one in HOSTS)], a_batch(1), NEVER)
        # Nobody had to be told by a node that does not serve it any more.
        assert (result.hosts, result.retries, committer.counters.moved) == (31, 0, 0)
    assert target.get(state_key(MOVING, "p")) is not None


class Moving:
    """A connection under which the slot moves, once, around the packet of a transaction."""

    def __init__(self, inner: Connection, move: Callable[[], None], *, queued_first: bool) -> None:
        self._inner = inner
        self._move = move
        self._queued_first = queued_first
        self._early: list[Reply] = []

    def send(self, commands: Sequence[Command]) -> None:
        if any(command[0] == b"SETEX" for command in commands):
            if self._queued_first:
                place = commands.index((b"EXEC",))
                self._inner.send(commands[:place])
                self._early = self._inner.read(place)
                commands = commands[place:]
            self._move()
        self._inner.send(commands)

    def read(self, count: int) -> list[Reply]:
        early, self._early = self._early, []
        return early + self._inner.read(count - len(early))

    def close(self) -> None:
        self._inner.close()


@pytest.mark.parametrize("queued_first", [False, True], ids=["before MULTI", "before EXEC"])
def test_a_slot_that_moves_in_the_middle_of_a_transaction(
    redis_cluster: RedisCluster, masters: list[Any], slots: Slots, target: Any, queued_first: bool
) -> None:
    """Nothing is written where it no longer belongs, and the transaction is done at the new owner."""
    connector = Connector(RedisAddress.from_url(redis_cluster.url))
    moves = iter([True])

    def move() -> None:
        if next(moves, False):
            slots.move(MOVING_SLOT, target)

    def connect(node: Node) -> Connection:
        return Moving(connector(node), move, queued_first=queued_first)

    with closing(a_committer(connect, url=redis_cluster.url)) as committer:
        result = committer.commit([deltas(MOVING, "pq")], a_batch(1), NEVER)
    assert next(moves, None) is None
    assert (result.hosts, result.retries, committer.counters.moved) == (1, 1, 1)
    assert counts_of(masters) == {state_key(MOVING, "p"): 1, state_key(MOVING, "q"): 1}
    assert count_of(target.get(state_key(MOVING, "p"))) == 1


def test_a_seed_that_is_a_replica(redis_cluster: RedisCluster) -> None:
    committer = a_committer(url=f"redis://{HOST}:{redis_cluster.ports[5]}")
    assert committer.commit([deltas(host, "p") for host in HOSTS], a_batch(1), NEVER).hosts == 30
    committer.close()


def test_a_seed_that_is_gone(redis_cluster: RedisCluster) -> None:
    url = f"redis://{HOST}:1,{HOST}:{redis_cluster.ports[1]}"
    committer = a_committer(url=url)
    assert committer.commit([deltas(host, "p") for host in HOSTS], a_batch(1), NEVER).hosts == 30
    committer.close()


def test_a_cluster_taken_for_a_single_redis(redis_cluster: RedisCluster) -> None:
    committer = a_committer(url=f"{redis_cluster.url}?cluster=no")
    with pytest.raises(Unavailable, match="MOVED"):
        committer.commit([deltas(host, "p") for host in HOSTS], a_batch(1), time.monotonic() + 0.3)
    assert committer.counters.moved > 0
    with pytest.raises(ConfigError, match="not allowed in cluster mode"):
        a_committer(url=f"{redis_cluster.url}/1").commit([deltas("a", "p")], a_batch(1), NEVER)


def test_keys_of_two_slots_in_one_transaction_are_refused(redis_cluster: RedisCluster, slots: Slots) -> None:
    """Why a host shares a slot: the server itself allows nothing else."""
    node = slots.owner(key_slot(b"{a}"))
    names = (b"{%d}" % number for number in range(10_000))
    other = next(key for key in names if slots.owner(key_slot(key)) is node and key_slot(key) != key_slot(b"{a}"))
    port = node.connection_pool.connection_kwargs["port"]
    address = RedisAddress((Node(HOST, port),))
    with closing(Connector(address)(address.seeds[0])) as connection:
        connection.send([(b"WATCH", b"{a}", other)])
        (watched,) = connection.read(1)
        assert isinstance(watched, ReplyError)
        assert watched.code == "CROSSSLOT"
        connection.send([(b"MULTI",), (b"SETEX", b"{a}", b"9", b"x"), (b"SETEX", other, b"9", b"x"), (b"EXEC",)])
        assert isinstance(connection.read(4)[-1], ReplyError)
    assert not node.exists("{a}")
    assert not node.exists(other)


def test_a_host_of_700_processes_is_cut(committer: Committer, masters: list[Any]) -> None:
    whole = deltas("a", (f"process-{number}" for number in range(700)))
    result = committer.commit([whole, deltas("b", "p")], a_batch(1), NEVER)
    assert (result.hosts, result.processes) == (2, 701)
    assert committer.counters.commits > 4
    assert set(counts_of(masters).values()) == {1}
    assert committer.commit([whole, deltas("b", "p")], a_batch(1), NEVER).already_applied == 2
