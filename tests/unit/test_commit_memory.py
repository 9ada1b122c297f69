"""The commit on the store in memory: every fault at every step, and no server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from committing import (
    NEVER,
    NOON_MS,
    Counts,
    a_batch,
    a_committer,
    count_of,
    deltas,
    memory_connect,
    payload,
    record_of,
    state_key,
)
from fastfold import group as group_module
from fastfold.errors import ConfigError, Conflict, CorruptValue, IdentityClash, ParkError, Unavailable
from fastfold.ledger import HostRecord, cut_chunks
from fastfold.resp import Node
from fastfold.store import (
    Command,
    Connection,
    MemoryStore,
    Reply,
    ReplyError,
    host_key,
    key_slot,
    process_key,
)
from fastfold.types import HostDeltas
from fastfold.values import pack_value, unpack_value
from masters import AsMaster

HOUR_MS = 3_600_000
DAY_S = 86_400
WINDOW_S = 6 * 3600


class Time:
    """A clock that only sleep moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        # The clock of a real machine moves also where nobody sleeps.
        self.now += max(seconds, 1e-6)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def store(time: Time) -> MemoryStore:
    return MemoryStore(time)


@pytest.fixture
def counts() -> Counts:
    return Counts()


def counts_of(store: MemoryStore) -> dict[bytes, int]:
    """Events by key of a state."""
    return {key: count_of(value) for key, value in store.snapshot().items() if not key.endswith(b"}")}


class Tapped:
    """A connection that shows a test each packet before it is sent, and may change what is answered."""

    def __init__(self, inner: Connection, tap: Callable[[Sequence[Command]], None]) -> None:
        self.inner = inner
        self.tap = tap
        self.change: Callable[[list[Reply]], list[Reply]] = lambda replies: replies

    def send(self, commands: Sequence[Command]) -> None:
        self.tap(commands)
        self.inner.send(commands)

    def read(self, count: int) -> list[Reply]:
        return self.change(self.inner.read(count))

    def close(self) -> None:
        self.inner.close()


def writes(commands: Sequence[Command]) -> bool:
    return any(command[0] == b"SETEX" for command in commands)


# What is written


def test_states_and_ledger(store: MemoryStore, time: Time, counts: Counts) -> None:
    committer = a_committer(memory_connect(store), counts=counts, clock=time, sleep=time.sleep)
    result = committer.commit([deltas("a", "pq"), deltas("b", "p")], a_batch(1), NEVER)
    assert (result.hosts, result.processes, result.already_applied, result.conflicts, result.retries) == (2, 3, 0, 0, 0)
    assert result.late == ()
    assert set(store.snapshot()) == {
        host_key("", "a"),
        host_key("", "b"),
        state_key("a", "p"),
        state_key("a", "q"),
        state_key("b", "p"),
    }
    assert record_of(store.snapshot().get, "a") == HostRecord("", "a").with_entry(a_batch(1), 0)
    assert unpack_value(store.snapshot()[state_key("a", "q")], None, ("", "a")) == payload("a", "q")


def test_the_host_record_outlives_its_states(store: MemoryStore, time: Time) -> None:
    committer = a_committer(memory_connect(store), clock=time, sleep=time.sleep)
    committer.commit([deltas("a", "p")], a_batch(1), NEVER)
    assert store.ttl_s(state_key("a", "p")) == DAY_S
    assert store.ttl_s(host_key("", "a")) == DAY_S + WINDOW_S


def test_the_same_batch_again_changes_no_byte(store: MemoryStore, time: Time, counts: Counts) -> None:
    committer = a_committer(memory_connect(store), counts=counts, clock=time, sleep=time.sleep)
    committer.commit([deltas("a", "pq"), deltas("b", "p")], a_batch(1), NEVER)
    before = store.snapshot()
    result = committer.commit([deltas("a", "pq"), deltas("b", "p")], a_batch(1), NEVER)
    assert (result.hosts, result.already_applied, result.processes) == (0, 2, 0)
    assert store.snapshot() == before
    assert counts.seen["already_applied"] == 2


def test_batches_in_any_order_give_the_same_bytes(time: Time) -> None:
    found = []
    for order in ([1, 2, 3], [3, 1, 2], [2, 3, 1]):
        store = MemoryStore(time)
        committer = a_committer(memory_connect(store), clock=time, sleep=time.sleep)
        for number in order:
            committer.commit([deltas("a", "pq", time_s=number)], a_batch(number, NOON_MS + number), NEVER)
        found.append(store.snapshot())
    assert found[0] == found[1] == found[2]
    assert count_of(found[0][state_key("a", "p")]) == 3


def test_nothing_to_commit(store: MemoryStore) -> None:
    assert a_committer(memory_connect(store)).commit([], a_batch(1), NEVER).hosts == 0
    assert store.snapshot() == {}


def test_a_packet_carries_the_end_of_one_host_and_the_begin_of_the_next(store: MemoryStore) -> None:
    packets: list[list[bytes]] = []

    def connect(node: Node) -> Connection:
        return Tapped(store.connect(), lambda commands: packets.append([command[0] for command in commands]))

    a_committer(connect).commit([deltas(host, "pq") for host in "abc"], a_batch(1), NEVER)
    reads, ends = [b"WATCH", *[b"GET"] * 3], [b"MULTI", *[b"SETEX"] * 3, b"EXEC"]
    assert packets == [[b"MULTI", b"EXEC"], reads, ends + reads, ends + reads, ends]


def test_a_host_that_needs_nothing_leaves_no_watch(store: MemoryStore) -> None:
    committer = a_committer(memory_connect(store))
    committer.commit([deltas("a", "p")], a_batch(1), NEVER)
    committer.commit([deltas("a", "p")], a_batch(1), NEVER)
    assert store._watchers == {}


def test_deltas_are_taken_as_they_are_needed(store: MemoryStore) -> None:
    taken = 0

    def many() -> Any:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield deltas(str(number), "p")

    def tap(commands: Sequence[Command]) -> None:
        assert taken < 1000 or len(store._values) > 1000

    a_committer(lambda node: Tapped(store.connect(), tap)).commit(many(), a_batch(1), NEVER)
    assert len(store.snapshot()) == 2000


# Conflicts


def test_another_writer_in_between(store: MemoryStore, time: Time, counts: Counts) -> None:
    other = a_committer(memory_connect(store), clock=time, sleep=time.sleep)
    interruptions = iter([2, 3, 4])

    def tap(commands: Sequence[Command]) -> None:
        if any(command[:2] == (b"SETEX", host_key("", "a")) for command in commands):
            number = next(interruptions, None)
            if number is not None:
                other.commit([deltas("a", "p")], a_batch(number), NEVER)

    committer = a_committer(lambda n: Tapped(store.connect(), tap), counts=counts, clock=time, sleep=time.sleep)
    result = committer.commit([deltas("a", "pq"), deltas("b", "p")], a_batch(1), NEVER)
    assert result.conflicts == counts.seen["conflicts"] == counts.seen["hot_hosts"] == 3
    assert result.tries == 4
    assert result.hosts == 2
    assert counts_of(store) == {state_key("a", "p"): 4, state_key("a", "q"): 1, state_key("b", "p"): 1}
    assert len(record_of(store.snapshot().get, "a").entries) == 4


def test_two_workers_on_one_file(store: MemoryStore, time: Time) -> None:
    other = a_committer(memory_connect(store), clock=time, sleep=time.sleep)

    def tap(commands: Sequence[Command]) -> None:
        if writes(commands):
            other.commit([deltas("a", "p")], a_batch(1), NEVER)

    committer = a_committer(lambda node: Tapped(store.connect(), tap), clock=time, sleep=time.sleep)
    result = committer.commit([deltas("a", "p")], a_batch(1), NEVER)
    assert (result.conflicts, result.already_applied, result.hosts) == (1, 1, 0)
    assert counts_of(store) == {state_key("a", "p"): 1}


def test_conflicts_without_end_stop_at_the_deadline(store: MemoryStore, time: Time) -> None:
    def tap(commands: Sequence[Command]) -> None:
        if writes(commands):
            store.put(host_key("", "a"), pack_value(HostRecord("", "a").encode()), 60)

    committer = a_committer(lambda node: Tapped(store.connect(), tap), clock=time, sleep=time.sleep)
    with pytest.raises(Conflict, match=r"nil .* \(deadline passed\)"):
        committer.commit([deltas("a", "p")], a_batch(1), time.now + 1)
    assert counts_of(store) == {}


# Faults


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


# Late


def test_a_late_batch_writes_nothing_for_that_host_and_is_told(store: MemoryStore, counts: Counts) -> None:
    committer = a_committer(memory_connect(store), counts=counts)
    committer.commit([deltas("a", "p")], a_batch(1, NOON_MS), NEVER)
    before = store.snapshot()
    batch = a_batch(2, NOON_MS - WINDOW_S * 1000 - 1)
    result = committer.commit([deltas("a", "p"), deltas("b", "p")], batch, NEVER)
    (late,) = result.late
    assert (late.host, late.behind_ms, late.limit_ms) == ("a", WINDOW_S * 1000 + 1, WINDOW_S * 1000)
    assert (result.hosts, result.already_applied) == (1, 0)
    assert {key: value for key, value in store.snapshot().items() if key in before} == before


def test_the_edge_of_the_window_is_not_late(store: MemoryStore) -> None:
    committer = a_committer(memory_connect(store))
    committer.commit([deltas("a", "p")], a_batch(1, NOON_MS), NEVER)
    assert committer.commit([deltas("a", "p")], a_batch(2, NOON_MS - WINDOW_S * 1000), NEVER).hosts == 1
    assert counts_of(store) == {state_key("a", "p"): 2}


# Values that are not ours


def flip(value: bytes) -> bytes:
    return value[:-1] + bytes([value[-1] ^ 1])


OTHER_HOST = pack_value(HostRecord("", "somebody").encode())


@pytest.mark.parametrize(
    ("key", "spoil", "error"),
    [
        (state_key("b", "p"), flip, CorruptValue),
        (state_key("b", "p"), lambda value: b"", CorruptValue),
        (state_key("b", "p"), lambda value: pack_value(b"\xff"), CorruptValue),
        (state_key("b", "p"), lambda value: pack_value(payload("b", "q")), IdentityClash),
        (state_key("b", "p"), lambda value: pack_value(payload("b", "p", tenant="t")), CorruptValue),
        (host_key("", "b"), flip, CorruptValue),
        (host_key("", "b"), lambda value: pack_value(b"\xff"), CorruptValue),
        (host_key("", "b"), lambda value: OTHER_HOST, IdentityClash),
    ],
)
def test_a_value_that_is_not_ours_is_named_and_stays(
    store: MemoryStore, counts: Counts, key: bytes, spoil: Any, error: type[ParkError]
) -> None:
    committer = a_committer(memory_connect(store), counts=counts)
    committer.commit([deltas("b", "pq")], a_batch(1), NEVER)
    store.put(key, spoil(store.snapshot()[key]), 600)
    before = store.snapshot()
    with pytest.raises(error) as caught:
        committer.commit([deltas("a", "p"), deltas("b", "pq"), deltas("c", "p")], a_batch(2), NEVER)
    assert repr(key) in str(caught.value)
    after = store.snapshot()
    assert {key: value for key, value in after.items() if key in before} == before
    # One host must not hold up the others of the file.
    assert count_of(after[state_key("a", "p")]) == count_of(after[state_key("c", "p")]) == 1
    assert store._watchers == {}


def test_a_key_of_another_type(store: MemoryStore) -> None:
    def connect(node: Node) -> Connection:
        connection = Tapped(store.connect(), lambda commands: None)
        wrong = ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")
        connection.change = lambda replies: [*replies[:2], wrong] if len(replies) == 3 else replies
        return connection

    with pytest.raises(CorruptValue) as caught:
        a_committer(connect).commit([deltas("a", "p")], a_batch(1), NEVER)
    assert caught.value.key == state_key("a", "p")
    assert store.snapshot() == {}


def test_two_processes_of_a_batch_under_one_key(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_module, "state_keys", lambda host_key, processes: [host_key + b"p"] * len(processes))
    with pytest.raises(IdentityClash, match=r"'p', 'q'"):
        a_committer(memory_connect(store)).commit([deltas("a", "pq")], a_batch(1), NEVER)
    assert store.snapshot() == {}


# Chunks


def big(count: int) -> HostDeltas:
    return deltas("a", (f"process-{number}" for number in range(count)))


def test_a_large_host_is_cut(store: MemoryStore) -> None:
    sizes: list[int] = []

    def tap(commands: Sequence[Command]) -> None:
        sizes.append(sum(command[0] == b"SETEX" for command in commands))

    committer = a_committer(lambda node: Tapped(store.connect(), tap))
    result = committer.commit([big(700)], a_batch(1), NEVER)
    assert (result.hosts, result.processes) == (1, 700)
    assert max(sizes) <= 257
    assert sum(sizes) == 700 + len(record_of(store.snapshot().get, "a").entries)
    assert len(record_of(store.snapshot().get, "a").entries) > 2
    assert set(counts_of(store).values()) == {1}
    before = store.snapshot()
    assert committer.commit([big(700)], a_batch(1), NEVER).already_applied == 1
    assert store.snapshot() == before


@pytest.mark.parametrize("bits", [0, 1, 5])
def test_a_batch_begun_under_another_cut_goes_on_with_it(store: MemoryStore, bits: int) -> None:
    committer = a_committer(memory_connect(store))
    # As if another version of us had applied one chunk of this cut.
    whole = big(700)
    first = cut_chunks(whole.processes, bits)[0]
    key = host_key("", "a")
    for place in first.members:
        store.put(process_key(key, whole.processes[place]), pack_value(whole.payloads[place]), 600)
    record = HostRecord("", "a").with_entry(a_batch(1), 1, bits, first.chunk_index)
    store.put(key, pack_value(record.encode()), 600)
    result = committer.commit([whole, deltas("b", "p")], a_batch(1), NEVER)
    assert result.processes == 701 - len(first.members)
    counts = counts_of(store)
    assert len(counts) == 701
    assert set(counts.values()) == {1}
    assert {entry.bits for entry in record_of(store.snapshot().get, "a").entries} == {bits}


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
