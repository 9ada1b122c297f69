"""The canary on real servers: a node that lost its data, and a failover that lost the last writes."""

from __future__ import annotations

import random
from contextlib import closing

import pytest

from committing import Counts
from fastfold.canary import Canary, canary_prefix
from fastfold.resp import Connector, RedisAddress
from fastfold.topology import Nodes
from servers import MASTERS, RedisCluster, RedisServer

pytestmark = pytest.mark.servers

RIGHTS = ["-@all", "+watch", "+get", "+setex", "+multi", "+exec", "+asking", "+cluster|slots", "+cluster|info", "~ff:*"]


def a_canary(url: str, counts: Counts) -> Canary:
    address = RedisAddress.from_url(url)
    return Canary(Nodes(address, Connector(address), random.random), b"ff:", "worker", counts)


@pytest.fixture
def counts() -> Counts:
    return Counts()


def test_every_master_has_a_counter_and_one_that_loses_it_is_told(redis_cluster: RedisCluster, counts: Counts) -> None:
    with closing(a_canary(redis_cluster.url, counts)) as canary:
        for _ in range(3):
            canary.beat()
        assert not counts.seen
        for port in redis_cluster.ports[:MASTERS]:
            with redis_cluster.node(port) as node:
                (key,) = node.keys("ff:*")
                assert key.startswith(canary_prefix(b"ff:"))
                assert node.get(key) == b"3"
        with redis_cluster.node(redis_cluster.ports[1]) as node:
            node.flushall()
        canary.beat()
        canary.beat()
    assert counts.seen["rollbacks"] == 1


def test_a_server_that_came_back_with_an_older_copy(redis_server: RedisServer, counts: Counts) -> None:
    with closing(a_canary(redis_server.url, counts)) as canary, redis_server.client() as client:
        canary.beat()
        (key,) = client.keys("ff:*")
        copy = client.dump(key)
        canary.beat()
        client.restore(key, 60_000, copy, replace=True)
        canary.beat()
    assert counts.seen["rollbacks"] == 1


def test_the_rights_of_the_commit_are_enough(redis_server: RedisServer, counts: Counts) -> None:
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "fold", "reset", "on", ">s3cret", *RIGHTS)
        with closing(a_canary(redis_server.url.replace("redis://", "redis://fold:s3cret@"), counts)) as canary:
            canary.beat()
            canary.beat()
        client.execute_command("ACL", "DELUSER", "fold")
    assert not counts.seen
