"""The canary: what it says of nodes that come back with less than they had."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from committing import Counts
from fastfold.canary import TTL_S, Canary, canary_prefix
from fastfold.errors import ConfigError, Unavailable
from fastfold.resp import Node, RedisAddress
from fastfold.store import Connection, MemoryStore, Reply, ReplyError
from fastfold.topology import Nodes
from masters import AsMaster

NAMESPACE = b"ff:"


class Site:
    """Two nodes of a cluster, or one alone, on stores in memory."""

    def __init__(self, url: str) -> None:
        self.now = 0.0
        self.stores = {port: MemoryStore(lambda: self.now) for port in (1, 2)}
        self.bounds = {1: (0, 8191), 2: (8192, 16383)}
        self.down: set[int] = set()
        self.answer: Callable[[Reply], Reply] = lambda reply: reply
        self.counts = Counts()
        nodes = Nodes(RedisAddress.from_url(url), self.connect, random.Random(1).random)
        self.canary = Canary(nodes, NAMESPACE, "w", self.counts, clock=lambda: self.now)

    def connect(self, node: Node) -> Connection:
        if node.port in self.down:
            raise Unavailable(str(node), "down")
        return Answering(self, AsMaster(self.stores[node.port].connect(), self.slots))

    def slots(self) -> Reply:
        return [[first, last, [b"n", port, b"id"]] for port, (first, last) in self.bounds.items()]

    def replace(self, port: int, keep: dict[bytes, bytes]) -> None:
        """The node has lost its connections, and all but some keys."""
        self.canary.close()
        self.stores[port] = MemoryStore(lambda: self.now)
        for key, value in keep.items():
            self.stores[port].put(key, value, TTL_S)


class Answering:
    def __init__(self, site: Site, inner: Connection) -> None:
        self._site = site
        self._inner = inner
        self.send, self.close = inner.send, inner.close

    def read(self, count: int) -> list[Reply]:
        return [self._site.answer(reply) for reply in self._inner.read(count)]


@pytest.fixture
def site() -> Site:
    return Site("redis://n:1")


def test_one_counter_on_each_node(site: Site) -> None:
    for _ in range(3):
        site.canary.beat()
    for store in site.stores.values():
        ((key, value),) = store.snapshot().items()
        assert key.startswith(canary_prefix(NAMESPACE))
        assert value == b"3"
    assert not site.counts.seen


def test_a_single_redis_has_one() -> None:
    site = Site("redis://n:1?cluster=no")
    site.canary.beat()
    assert len(site.stores[1].snapshot()) == 1
    site.replace(1, {})
    site.canary.beat()
    assert site.counts.seen["rollbacks"] == 1


def test_a_node_that_came_back_empty_is_told_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.canary.beat()
    site.replace(2, {})
    for _ in range(3):
        site.canary.beat()
    assert site.counts.seen["rollbacks"] == 1
    assert "n:2 has lost data: the canary was at 1, and is gone" in caplog.text


def test_a_node_that_came_back_older(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.canary.beat()
    before = site.stores[1].snapshot()
    site.canary.beat()
    site.replace(1, before)
    site.canary.beat()
    assert site.counts.seen["rollbacks"] == 1
    assert "the canary was at 2, and is 1" in caplog.text


def test_a_replica_that_took_over_answers_for_its_master(site: Site) -> None:
    site.canary.beat()
    lost = site.stores[2].snapshot()
    site.canary.beat()
    site.canary.close()
    site.down = {2}
    site.stores[3] = MemoryStore(lambda: site.now)
    for key, value in lost.items():
        site.stores[3].put(key, value, TTL_S)
    site.bounds = {1: (0, 8191), 3: (8192, 16383)}
    site.canary.beat()  # learns that it is no longer so
    site.canary.beat()
    assert site.counts.seen["rollbacks"] == 1


def test_a_node_that_is_down_or_loading_has_said_nothing(site: Site) -> None:
    site.canary.beat()
    site.down = {2}
    site.canary.close()
    site.canary.beat()
    site.down = set()
    site.answer = lambda reply: ReplyError("LOADING") if reply is None or isinstance(reply, bytes) else reply
    site.canary.beat()
    site.answer = lambda reply: reply
    assert not site.counts.seen
    site.replace(2, {})
    site.canary.beat()
    assert site.counts.seen["rollbacks"] == 1, "what it had before is not forgotten"


def test_a_counter_that_has_expired_is_no_loss(site: Site) -> None:
    site.canary.beat()
    site.now += TTL_S + 1
    site.canary.beat()
    assert not site.counts.seen


def test_a_refusal_is_for_a_person(site: Site) -> None:
    site.canary.beat()
    site.answer = lambda reply: ReplyError("NOPERM no") if isinstance(reply, bytes) else reply
    with pytest.raises(ConfigError, match="NOPERM"):
        site.canary.beat()
