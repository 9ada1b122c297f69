"""Verify: what is taken for there, and every reason to commit again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from committing import NEVER, NOON_MS, a_batch, a_committer, deltas
from fastfold.commit import Committer
from fastfold.errors import ConfigError, Unavailable
from fastfold.ledger import HostRecord
from fastfold.resp import Node
from fastfold.store import Connection, MemoryStore, Reply, ReplyError, host_key, key_slot
from fastfold.transaction import CommitSettings
from fastfold.values import pack_value
from masters import AsMaster

HOSTS = [str(number) for number in range(12)]
HALF = 8192
WINDOW_MS = 6 * 3600 * 1000


class Site:
    """Two masters on stores in memory, that can be made to lose, to move slots and to fail."""

    def __init__(self) -> None:
        self.stores = {1: MemoryStore(lambda: 0.0), 2: MemoryStore(lambda: 0.0)}
        self.bound = HALF
        self.epochs = {1: 1, 2: 2}
        self.change: Callable[[int, list[Reply]], list[Reply]] = lambda port, replies: replies
        self.sent: list[tuple[int, list[bytes]]] = []
        self.committer = a_committer(self.connect, url="redis://n:1", hold_s=4.0)

    def connect(self, node: Node) -> Connection:
        port = node.port
        return Watched(self, port, AsMaster(self.stores[port].connect(), self.slots, lambda: self.epochs[port]))

    def slots(self) -> Reply:
        return [[0, self.bound - 1, [b"n", 1, b"i"]], [self.bound, 16383, [b"n", 2, b"i"]]]

    def commit(self, number: int, hosts: list[str] = HOSTS, **more: Any) -> Any:
        return self.committer.commit([deltas(host, "p") for host in hosts], a_batch(number, **more), NEVER)

    def verify(self, *results: Any) -> list[bool]:
        return self.committer.verify([result.traces for result in results])

    def lose(self, port: int, host: str) -> None:
        """A host is as it was before everything, on whatever connection."""
        self.stores[port].put(host_key("", host), pack_value(HostRecord("", host).encode()), 60)


class Watched:
    def __init__(self, site: Site, port: int, inner: Connection) -> None:
        self._site, self._port, self._inner = site, port, inner
        self.close = inner.close

    def send(self, commands: Any) -> None:
        self._site.sent.append((self._port, [command[0] for command in commands]))
        self._inner.send(commands)

    def read(self, count: int) -> list[Reply]:
        return self._site.change(self._port, self._inner.read(count))


def owned(port: int) -> list[str]:
    return [host for host in HOSTS if (key_slot(host_key("", host)) < HALF) == (port == 1)]


@pytest.fixture
def site() -> Site:
    return Site()


def test_what_is_there_is_found_with_one_packet_to_each_node(site: Site) -> None:
    results = [site.commit(number) for number in range(3)]
    assert [len(result.traces) for result in results] == [2, 2, 2]
    site.sent.clear()
    assert site.verify(*results) == [True, True, True]
    packet = [b"CLUSTER", b"CLUSTER", b"GET", b"GET", b"GET"]
    assert sorted(site.sent) == [(1, packet), (2, packet)]


def test_the_last_record_that_was_written_vouches_for_all_before_it(site: Site) -> None:
    result = site.commit(1)
    (trace,) = [trace for trace in result.traces if trace.node.port == 2]
    assert [entry.key for entry in trace.entries] == [host_key("", owned(2)[-1])]
    assert trace.slots == {key_slot(host_key("", host)) for host in owned(2)}
    site.lose(2, owned(2)[-1])
    assert site.verify(result) == [False]


def test_records_found_applied_vouch_for_themselves(site: Site) -> None:
    """Another worker wrote them, in an order that we do not know."""
    site.commit(1)
    again = site.commit(1)
    assert again.already_applied == len(HOSTS)
    assert sum(len(trace.entries) for trace in again.traces) == len(HOSTS)
    site.lose(1, owned(1)[0])
    assert site.verify(again) == [False]


def test_what_was_found_before_a_write_is_vouched_for_by_that(site: Site) -> None:
    first, *_, last = owned(1)
    site.commit(1, [first])
    both = site.commit(1, [first, last])
    assert [entry.key for trace in both.traces for entry in trace.entries] == [host_key("", last)]


def test_a_batch_that_is_gone_does_not_condemn_the_others(site: Site) -> None:
    first, second = site.commit(1, owned(1)), site.commit(2, owned(2))
    site.lose(2, owned(2)[-1])
    assert site.verify(first, second) == [True, False]


def test_a_connection_that_was_opened_anew_is_no_fence(site: Site) -> None:
    """The last record may have been written after a failover that lost those before it."""
    result = site.commit(1)
    site.committer.close()
    site.commit(2)
    assert site.verify(result) == [False]


def test_a_connection_that_breaks_meanwhile_is_none_either(site: Site) -> None:
    before = site.commit(1)

    reads = 0

    def break_once(port: int, replies: list[Reply]) -> list[Reply]:
        nonlocal reads
        reads += 1
        if reads < 12:
            return replies
        site.change = lambda port, replies: replies
        raise Unavailable("n", "broken by the test")

    site.change = break_once
    after = site.commit(2)
    assert site.verify(before, after) == [False, False], "what was sent before the cut is not vouched for"
    again = site.commit(2)
    assert site.verify(again) == [True]


def test_a_slot_that_moved_is_seen_though_the_record_that_vouches_stayed(site: Site) -> None:
    result = site.commit(1)
    moved = max(key_slot(host_key("", host)) for host in owned(1)[:-1])
    last = key_slot(host_key("", owned(1)[-1]))
    assert last != moved
    site.bound = moved
    assert site.verify(result) == [False]


def test_a_master_that_was_a_replica_meanwhile_is_seen_though_the_connection_lived_on(site: Site) -> None:
    """It has lost a commit that it acknowledged, and another worker has put back the last part of it."""
    result = site.commit(1)
    first, *_, last = owned(1)
    assert first != last
    site.lose(1, first)
    assert site.verify(result) == [True], "the record that is looked for is there"
    site.epochs[1] = 3
    assert site.verify(result) == [False]
    again = site.commit(1)
    assert again.hosts == 1
    assert site.verify(result, again) == [False, True], "from the new connection on it is one term"


def test_a_slot_that_moved_away_and_back_is_seen(site: Site) -> None:
    kept, moved = site.commit(1, owned(2)), site.commit(1, owned(1))
    site.epochs = {1: 4, 2: 3}
    assert site.verify(moved) == [False]
    assert site.verify(kept) == [False], "of a node that a slot has come to nothing is known"


@pytest.mark.parametrize("info", [b"", b"cluster_state:ok", None, ReplyError("LOADING")])
def test_a_node_that_names_no_epoch_is_in_doubt(site: Site, info: Reply) -> None:
    result = site.commit(1)
    site.change = lambda port, replies: [replies[0], info, *replies[2:]]
    assert site.verify(result) == [False]


@pytest.mark.parametrize("reply", [None, b"", b"spoiled", ReplyError("MOVED 1 n:2"), ReplyError("CLUSTERDOWN no")])
def test_a_record_that_cannot_be_read_is_not_there(site: Site, reply: Reply) -> None:
    result = site.commit(1)
    site.change = lambda port, replies: [*replies[:2], *[reply] * (len(replies) - 2)]
    assert site.verify(result) == [False]


def test_a_node_that_does_not_answer_condemns_only_what_it_holds(site: Site) -> None:
    first, second = site.commit(1, owned(1)), site.commit(2, owned(2))

    def broken(port: int, replies: list[Reply]) -> list[Reply]:
        if port == 1:
            raise Unavailable("n:1", "broken by the test")
        return replies

    site.change = broken
    assert site.verify(first, second) == [False, True]
    site.change = lambda port, replies: replies
    assert site.verify(first, second) == [False, True], "a new connection proves nothing of the old one"


def test_an_entry_that_newer_batches_drove_out_was_there(site: Site) -> None:
    """Else a replayed batch at the edge of the window would be committed, and held, for ever."""
    old = site.commit(1, time_ms=NOON_MS - WINDOW_MS)
    site.commit(2, time_ms=NOON_MS + 1)
    assert site.verify(old) == [True]


def test_late_hosts_leave_nothing_to_verify(site: Site) -> None:
    site.commit(1)
    late = site.commit(2, time_ms=NOON_MS - WINDOW_MS - 1)
    assert len(late.late) == len(HOSTS)
    assert late.traces == ()


def test_a_single_redis_is_not_held_unless_told_so() -> None:
    store = MemoryStore(lambda: 0.0)
    for hold_s, traces in ((0.0, 0), (1.0, 1)):
        committer: Committer = a_committer(lambda node: store.connect(), hold_single_s=hold_s)
        result = committer.commit([deltas("a", "p")], a_batch(hold_s), NEVER)
        assert (committer.hold_s, len(result.traces)) == (hold_s, traces)
        assert committer.verify([result.traces]) == [True]


def test_a_hold_below_nothing_is_refused() -> None:
    with pytest.raises(ConfigError):
        CommitSettings(hold_s=-1)
