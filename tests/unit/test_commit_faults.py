"""The commit on the store in memory: every fault at every step, and no server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from committing import (
    NEVER,
    Counts,
    Tapped,
    Time,
    a_batch,
    a_committer,
    big,
    counts_of,
    deltas,
    memory_connect,
    state_key,
    writes,
)
from fastfold.errors import ConfigError, ParkError, Unavailable
from fastfold.resp import Node
from fastfold.store import (
    Command,
    Connection,
    MemoryStore,
    Reply,
    ReplyError,
    host_key,
    key_slot,
)
from masters import AsMaster


class Breaking:
    """Connections that break at one operation, counted over all of them: before it, or after it took effect."""

    def __init__(self, store: MemoryStore, at: int, *, after: bool, meanwhile: Callable[[], None]) -> None:
        self._store = store
        self._at = at
        self._after = after
        self._meanwhile = meanwhile
        self.operations = 0
        self.open = 0

    def connect(self, node: Node) -> Connection:
        self._step(lambda: None)
        self.open += 1
        return _BreakingConnection(self, self._store.connect())

    def _step(self, operate: Callable[[], Any]) -> Any:
        self.operations += 1
        if self.operations != self._at:
            return operate()
        if self._after:
            operate()
        self._meanwhile()
        raise Unavailable("memory", "broken by the test")


class _BreakingConnection:
    def __init__(self, owner: Breaking, inner: Connection) -> None:
        self._owner = owner
        self._inner = inner
        self._closed = False

    def send(self, commands: Sequence[Command]) -> None:
        assert not self._closed
        self._owner._step(lambda: self._inner.send(commands))

    def read(self, count: int) -> list[Reply]:
        assert not self._closed
        replies: list[Reply] = self._owner._step(lambda: self._inner.read(count))
        return replies

    def close(self) -> None:
        self._inner.close()
        self._owner.open -= not self._closed
        self._closed = True


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("second_writer", [False, True], ids=["alone", "second writer"])
def test_broken_at_every_step_nothing_is_lost_or_doubled(time: Time, after: bool, second_writer: bool) -> None:
    hosts = [deltas(host, "pq") for host in "abc"]
    at = 0
    while True:
        at += 1
        store = MemoryStore(time)
        other = a_committer(memory_connect(store), clock=time, sleep=time.sleep)

        def meanwhile(other: Any = other) -> None:
            if second_writer:
                other.commit(hosts, a_batch("other"), NEVER)

        breaking = Breaking(store, at, after=after, meanwhile=meanwhile)
        committer = a_committer(breaking.connect, clock=time, sleep=time.sleep)
        result = committer.commit(hosts, a_batch(1), NEVER)
        broken = breaking.operations >= at
        assert set(counts_of(store).values()) == {2 if second_writer and broken else 1}
        assert len(counts_of(store)) == 6
        assert result.hosts + result.already_applied == 3
        assert result.retries == broken
        assert breaking.open == 1
        if not broken:
            break
    assert at > 8


def test_a_server_that_is_gone(time: Time, counts: Counts) -> None:
    def connect(node: Node) -> Connection:
        raise Unavailable(str(node), "cannot connect")

    committer = a_committer(connect, counts=counts, clock=time, sleep=time.sleep)
    with pytest.raises(Unavailable, match=r"memory:6379.*cannot connect"):
        committer.commit([deltas("a", "p")], a_batch(1), time.now + 5)
    assert counts.seen["retries"] > 1


ABORTED = ReplyError("EXECABORT Transaction discarded because of previous errors.")
TRANSIENT = [
    "MOVED 5 memory:6379",
    "CLUSTERDOWN The cluster is down",
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down",
    "READONLY You can't write against a read only replica.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "ERR something new",
]


@pytest.mark.parametrize("text", TRANSIENT)
@pytest.mark.parametrize("place", ["watch", "get", "queue", "exec"])
def test_an_error_reply_starts_again_at_watch(store: MemoryStore, time: Time, text: str, place: str) -> None:
    connections: list[Tapped] = []
    error = ReplyError(text)

    def change(replies: list[Reply]) -> list[Reply]:
        if len(connections) > 1:
            return replies
        if replies[0] == b"OK" and len(replies) == 3 and place in ("watch", "get"):
            return [error, *replies[1:]] if place == "watch" else [replies[0], replies[1], error]
        if isinstance(replies[-1], list) and len(replies) > 2 and place in ("queue", "exec"):
            return [replies[0], error, replies[2], ABORTED] if place == "queue" else [*replies[:-1], error]
        return replies

    def connect(node: Node) -> Connection:
        connection = Tapped(store.connect(), lambda commands: None)
        connection.change = change
        connections.append(connection)
        return connection

    committer = a_committer(connect, clock=time, sleep=time.sleep)
    result = committer.commit([deltas("a", "p")], a_batch(1), NEVER)
    assert result.retries == 1
    assert len(connections) == 2
    assert counts_of(store) == {state_key("a", "p"): 1}


@pytest.mark.parametrize("place", ["watch", "queue", "exec"])
def test_try_again_costs_no_connection(store: MemoryStore, time: Time, place: str) -> None:
    """A slot under way may answer so for hours: what is held on the connection must not begin anew each time."""
    connections: list[Tapped] = []
    error = ReplyError("TRYAGAIN Multiple keys request during rehashing of slot")
    left = [error] * 3

    def change(replies: list[Reply]) -> list[Reply]:
        if len(replies) == 3 and place == "watch" and left:
            return [left.pop(), *replies[1:]]
        if isinstance(replies[-1], list) and len(replies) > 2 and place != "watch" and left:
            # Nothing of it is written: the store must not keep what the server would have refused.
            for key in (host_key("", "a"), state_key("a", "p")):
                store.put(key, b"", 0)
            return [replies[0], left.pop(), replies[2], ABORTED] if place == "queue" else [*replies[:-1], left.pop()]
        return replies

    def connect(node: Node) -> Connection:
        connection = Tapped(store.connect(), lambda commands: None)
        connection.change = change
        connections.append(connection)
        return connection

    committer = a_committer(connect, clock=time, sleep=time.sleep)
    result = committer.commit([deltas("a", "p")], a_batch(1), NEVER)
    assert (result.hosts, result.retries, committer.counters.redirects) == (1, 0, 3)
    assert len(connections) == 1
    assert counts_of(store) == {state_key("a", "p"): 1}


def test_a_write_that_fails_inside_exec_is_not_tried_again(store: MemoryStore) -> None:
    error = ReplyError("ERR disk")
    packets: list[Sequence[Command]] = []

    def change(replies: list[Reply]) -> list[Reply]:
        done = replies[-1]
        return [*replies[:-1], [*done[:-1], error]] if isinstance(done, list) and done else replies

    def connect(node: Node) -> Connection:
        connection = Tapped(store.connect(), packets.append)
        connection.change = change
        return connection

    with pytest.raises(ParkError, match="memory:6379: a write inside EXEC failed: ERR disk"):
        a_committer(connect).commit([deltas("a", "p")], a_batch(1), NEVER)
    assert sum(map(writes, packets)) == 1


@pytest.mark.parametrize("code", ["NOPERM", "NOAUTH", "WRONGPASS"])
def test_a_refusal_is_for_a_person(store: MemoryStore, code: str) -> None:
    def connect(node: Node) -> Connection:
        connection = Tapped(store.connect(), lambda commands: None)
        connection.change = lambda replies: replies if len(replies) == 2 else [ReplyError(f"{code} no"), *replies[1:]]
        return connection

    with pytest.raises(ConfigError, match=f"{code} no"):
        a_committer(connect).commit([deltas("a", "p")], a_batch(1), NEVER)


def test_the_deadline_holds_also_while_all_goes_well(store: MemoryStore, time: Time) -> None:
    def tap(commands: Sequence[Command]) -> None:
        time.now += 1

    committer = a_committer(lambda node: Tapped(store.connect(), tap), clock=time, sleep=time.sleep)
    with pytest.raises(Unavailable, match="deadline"):
        committer.commit([deltas(str(number), "p") for number in range(100)], a_batch(1), time.now + 10)
    done = len(counts_of(store))
    assert 5 < done < 15
    result = committer.commit([deltas(str(number), "p") for number in range(100)], a_batch(1), NEVER)
    assert (result.already_applied, result.hosts) == (done, 100 - done)


def test_after_any_exception_the_connection_serves_nothing_else(store: MemoryStore) -> None:
    def merge(currents: Any, deltas: Any, losses: Any) -> Any:
        raise KeyboardInterrupt

    committer = a_committer(memory_connect(store), merge=merge)
    with pytest.raises(KeyboardInterrupt):
        committer.commit([deltas("a", "p"), deltas("b", "p")], a_batch(1), NEVER)
    assert store._watchers == {}
    assert store.snapshot() == {}


TWO_SPANS: Reply = [[0, 8191, [b"n", 1, b"i"]], [8192, 16383, [b"n", 2, b"i"]]]


class TwoNodes:
    """A cluster of two stores; one of them may be down."""

    def __init__(self, time: Time) -> None:
        self.stores = {1: MemoryStore(time), 2: MemoryStore(time)}
        self.down: set[int] = set()

    def connect(self, node: Node) -> Connection:
        if node.port in self.down:
            raise Unavailable(str(node), "cannot connect")
        return AsMaster(self.stores[node.port].connect(), lambda: TWO_SPANS)

    def owner(self, host: str) -> int:
        return 1 if key_slot(host_key("", host)) < 8192 else 2


def test_a_node_that_is_down_does_not_hold_up_the_others(time: Time) -> None:
    cluster = TwoNodes(time)
    hosts = [deltas(str(number), "p") for number in range(20)]
    of_first = sum(cluster.owner(host.host) == 1 for host in hosts)
    assert 0 < of_first < 20
    cluster.down = {2}
    committer = a_committer(cluster.connect, url="redis://n:1", clock=time, sleep=time.sleep)
    with pytest.raises(Unavailable, match="n:2"):
        committer.commit(hosts, a_batch(1), time.now + 5)
    assert len(counts_of(cluster.stores[1])) == of_first
    cluster.down = set()
    result = committer.commit(hosts, a_batch(1), NEVER)
    assert (result.already_applied, result.hosts) == (of_first, 20 - of_first)


def test_broken_between_chunks(time: Time) -> None:
    whole, at = big(700), 0
    while True:
        at += 1
        store = MemoryStore(time)
        breaking = Breaking(store, at, after=True, meanwhile=lambda: None)
        with pytest.raises(Unavailable):
            a_committer(breaking.connect, clock=time, sleep=time.sleep).commit([whole], a_batch(1), time.now)
        committer = a_committer(breaking.connect, clock=time, sleep=time.sleep)
        committer.commit([whole], a_batch(1), NEVER)
        assert set(counts_of(store).values()) == {1}
        assert len(counts_of(store)) == 700
        if breaking.operations < at:
            break
