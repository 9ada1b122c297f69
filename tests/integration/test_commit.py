"""The commit against a real redis-server and a real cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from committing import (
    NEVER,
    PLAN,
    Counts,
    a_batch,
    a_committer,
    count_of,
    deltas,
    payload,
    record_of,
    state_key,
)
from fastfold._core import merge_group
from fastfold.errors import ConfigError, CorruptValue
from fastfold.resp import Connector, Node, RedisAddress
from fastfold.store import SLOTS, ReplyError
from fastfold.values import unpack_value
from servers import RedisCluster, RedisServer
from states import open_redis, read_keys

HOSTS = [f"host-{number}" for number in range(5)]
WRITERS = 4
BATCHES = 25
RIGHTS = ["-@all", "+watch", "+get", "+setex", "+multi", "+exec", "+asking", "+cluster|slots", "+cluster|info", "~ff:*"]
PASSWORD = "only-for-tests"


@pytest.fixture(params=["single", "cluster"])
def redis_url(request: pytest.FixtureRequest) -> str:
    """A single Redis and a cluster."""
    name = "redis_server" if request.param == "single" else "redis_cluster"
    url: str = request.getfixturevalue(name).url
    return url


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """A client that is none of ours."""
    with open_redis(redis_url) as client:
        yield client


@pytest.fixture
def limited_url(redis_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """As a user with the rights that the manual lists, and no other."""
    address = RedisAddress.from_url(redis_url)
    ports = (
        request.getfixturevalue("redis_cluster").ports if "cluster" in request.node.name else [address.seeds[0].port]
    )
    for port in ports:
        _execute(port, "ACL", "SETUSER", "fold", "reset", "on", f">{PASSWORD}", *RIGHTS)
    yield redis_url.replace("redis://", f"redis://fold:{PASSWORD}@")
    for port in ports:
        _execute(port, "ACL", "DELUSER", "fold")


def _execute(port: int, *command: str) -> None:
    with open_one(port) as node:
        node.execute_command(*command)


def open_one(port: int) -> Any:
    import redis

    return redis.Redis("127.0.0.1", port)


def test_many_writers_lose_nothing_and_double_nothing(redis_url: str, client: Any) -> None:
    start = threading.Barrier(WRITERS)
    counts = [Counts() for _ in range(WRITERS)]
    faults: list[BaseException] = []

    def slow_merge(currents: Any, changes: Any, losses: Any) -> Any:
        time.sleep(0.001)  # the others get their turn between WATCH and EXEC
        return merge_group(PLAN, currents, changes, losses=losses)

    def write(writer: int) -> None:
        committer = a_committer(url=redis_url, counts=counts[writer], merge=slow_merge, seed=writer)
        try:
            start.wait()
            for number in range(BATCHES):
                committer.commit([deltas(host, "pq") for host in HOSTS], a_batch((writer, number)), NEVER)
        except BaseException as fault:
            faults.append(fault)
            raise
        finally:
            committer.close()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    states = {state_key(host, process): client.get(state_key(host, process)) for host in HOSTS for process in "pq"}
    assert {count_of(value) for value in states.values()} == {WRITERS * BATCHES}
    expected = [payload(HOSTS[0], "p", WRITERS * BATCHES)]
    assert [unpack_value(states[state_key(HOSTS[0], "p")])] == expected
    assert all(len(record_of(client.get, host).entries) == WRITERS * BATCHES for host in HOSTS)
    assert sum(one.seen["conflicts"] for one in counts) > 0
    assert sum(one.seen["retries"] for one in counts) == 0


def test_the_same_batch_again_changes_no_byte(redis_url: str, client: Any) -> None:
    hosts = [deltas(host, "pq") for host in HOSTS] + [deltas("big", map(str, range(700)))]
    committer = a_committer(url=redis_url)
    first = committer.commit(hosts, a_batch(1), NEVER)
    assert (first.hosts, first.processes) == (6, 710)
    before = read_keys(client, "ff:")
    assert len(before) == 6 + 710
    for again in (committer, a_committer(url=redis_url)):
        result = again.commit(hosts, a_batch(1), NEVER)
        assert (result.hosts, result.processes, result.already_applied) == (0, 0, 6)
        assert read_keys(client, "ff:") == before
        again.close()


def test_keys_live_as_long_as_the_settings_say(redis_url: str, client: Any) -> None:
    committer = a_committer(url=redis_url, state_ttl_s=1000, ledger_window_s=500)
    committer.commit([deltas("a", "p")], a_batch(1), NEVER)
    committer.close()
    key = state_key("a", "p")
    assert 0 < client.ttl(key) <= 1000 < client.ttl(key[: key.index(b"}") + 1]) <= 1500


def test_the_rights_of_the_manual_are_enough(limited_url: str, client: Any) -> None:
    committer = a_committer(url=limited_url)
    hosts = [deltas(host, "pq") for host in HOSTS]
    for number in (1, 2, 2):
        committer.commit(hosts, a_batch(number), NEVER)
    committer.close()
    assert {count_of(client.get(state_key(host, "p"))) for host in HOSTS} == {2}


def test_what_is_not_granted_is_refused(limited_url: str, client: Any) -> None:
    address = RedisAddress.from_url(limited_url)
    connection = Connector(address)(address.seeds[0])
    connection.send([(b"DEL", b"ff:{a}"), (b"FLUSHALL",), (b"CLUSTER", b"NODES"), (b"GET", b"other:{a}")])
    replies = connection.read(4)
    connection.close()
    assert [isinstance(reply, ReplyError) and reply.code for reply in replies] == ["NOPERM"] * 4
    committer = a_committer(url=limited_url, namespace="other:")
    with pytest.raises(ConfigError, match="NOPERM") as caught:
        committer.commit([deltas("a", "p")], a_batch(1), NEVER)
    assert PASSWORD not in str(caught.value)
    assert read_keys(client, "other:") == {}


def test_a_topology_that_is_wrong_is_mended_by_moved(redis_cluster: RedisCluster) -> None:
    committer = a_committer(url=redis_cluster.url)
    committer._nodes.refresh()
    owners = committer._nodes._owners
    one = owners[0]
    assert isinstance(one, Node)
    assert len(set(owners)) == 3
    committer._nodes._owners = [one] * SLOTS
    hosts = [deltas(str(number), "pq") for number in range(30)]
    result = committer.commit(hosts, a_batch(1), NEVER)
    committer.close()
    assert (result.hosts, result.processes) == (30, 60)
    assert committer.counters.moved >= 1
    with open_redis(redis_cluster.url) as client:
        assert {count_of(client.get(state_key(host.host, "q"))) for host in hosts} == {1}


@pytest.mark.parametrize("spoiled", ["state", "record"])
def test_a_key_of_another_type_is_named_and_stays(redis_server: RedisServer, spoiled: str) -> None:
    key = state_key("a", "p")
    if spoiled == "record":
        key = key[: key.index(b"}") + 1]
    committer = a_committer(url=redis_server.url, merge=partial(merge_group, PLAN))
    with redis_server.client() as client:
        client.lpush(key, "ours")
        with pytest.raises(CorruptValue) as caught:
            committer.commit([deltas("a", "pq"), deltas("b", "p")], a_batch(1), NEVER)
        committer.close()
        assert caught.value.key == key
        assert client.lrange(key, 0, -1) == [b"ours"]
        assert client.get(state_key("a", "q")) is None
        assert count_of(client.get(state_key("b", "p"))) == 1
