"""The commit on a real Redis: many writers at once, other users, real oddities."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import redis

from committing import (
    NEVER,
    NOON_MS,
    Counts,
    a_batch,
    a_committer,
    count_of,
    deltas,
    record_of,
    state_key,
)
from fastfold.errors import ConfigError, Unavailable
from fastfold.resp import Connector, Node, RedisAddress
from fastfold.store import Command, Connection, MemoryStore, Reply, ReplyError, key_slot
from servers import RedisCluster, RedisServer

pytestmark = pytest.mark.servers

_names = itertools.count()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    """A client that is none of ours."""
    with redis_server.client() as client:
        yield client


@pytest.fixture
def namespace() -> str:
    """A prefix that no other test uses."""
    return f"commit-{os.getpid()}-{next(_names)}:"


def counts_of(client: Any, namespace: str) -> dict[bytes, int]:
    keys = [key for key in client.scan_iter(match=f"{namespace}*", count=1000) if not key.endswith(b"}")]
    return {key: count_of(client.get(key)) for key in keys}


def everything(client: Any, namespace: str) -> dict[bytes, bytes]:
    return {key: client.get(key) for key in client.scan_iter(match=f"{namespace}*", count=1000)}


def together(jobs: Sequence[Callable[[], object]]) -> None:
    """Run jobs at once; the first exception of any of them is raised."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result()


def test_one_file_in_the_hands_of_many_counts_once(redis_server: RedisServer, client: Any, namespace: str) -> None:
    hosts = [deltas(str(number), "pq") for number in range(20)]
    writers = [a_committer(url=redis_server.url, namespace=namespace, seed=seed) for seed in range(4)]
    together([lambda one=one: one.commit(hosts, a_batch(1), NEVER) for one in writers])  # type: ignore[misc]
    assert set(counts_of(client, namespace).values()) == {1}
    assert sum(one.counters.commits for one in writers) == 20
    assert sum(one.counters.already_applied for one in writers) == 60
    for one in writers:
        one.close()


def test_values_are_those_of_the_store_in_memory(redis_server: RedisServer, client: Any, namespace: str) -> None:
    memory = MemoryStore(lambda: 0.0)
    real = a_committer(url=redis_server.url, namespace=namespace)
    twin = a_committer(lambda node: memory.connect(), namespace=namespace)
    for number in range(3):
        hosts = [deltas(host, "pq", time_s=number) for host in "abc"[number:]]
        for committer in (real, twin):
            committer.commit(hosts, a_batch(number, NOON_MS + number), NEVER)
    assert everything(client, namespace) == memory.snapshot()
    real.close()


def test_a_host_of_700_processes_is_cut(redis_server: RedisServer, client: Any, namespace: str) -> None:
    whole = deltas("a", (f"process-{number}" for number in range(700)))
    writers = [a_committer(url=redis_server.url, namespace=namespace, seed=seed) for seed in range(3)]
    together([lambda one=one: one.commit([whole], a_batch(1), NEVER) for one in writers])  # type: ignore[misc]
    counts = counts_of(client, namespace)
    assert len(counts) == 700
    assert set(counts.values()) == {1}
    chunks = len(record_of(client.get, "a", namespace).entries)
    assert chunks > 2
    assert sum(one.counters.commits for one in writers) == chunks
    for one in writers:
        one.close()


# Users

ALLOWED = ["+watch", "+get", "+setex", "+multi", "+exec", "+cluster|slots", "+cluster|info"]


@pytest.fixture
def user(redis_server: RedisServer, client: Any, namespace: str) -> Any:
    """Makes a user with some commands on the test's own prefix, and gives its URL."""
    name = namespace.rstrip(":")

    def make(*commands: str) -> str:
        rights = ["reset", "on", ">s3cret", "-@all", *commands, f"~{namespace}*"]
        client.execute_command("ACL", "SETUSER", name, *rights)
        return redis_server.url.replace("redis://", f"redis://{name}:s3cret@")

    yield make
    client.execute_command("ACL", "DELUSER", name)


def test_a_user_with_just_our_commands_on_our_keys(
    redis_server: RedisServer, client: Any, namespace: str, user: Any
) -> None:
    url = user(*ALLOWED)
    writers = [a_committer(url=url, namespace=namespace, seed=seed) for seed in range(3)]
    hosts = [deltas("a", (str(number) for number in range(300))), deltas("b", "pq")]

    def job(seed: int) -> None:
        for number in range(5):
            writers[seed].commit(hosts, a_batch((seed, number)), NEVER)
            writers[seed].commit(hosts, a_batch((seed, number)), NEVER)

    together([lambda seed=seed: job(seed) for seed in range(3)])  # type: ignore[misc]
    assert set(counts_of(client, namespace).values()) == {15}
    for one in writers:
        one.close()


@pytest.mark.parametrize("missing", ALLOWED)
def test_a_user_without_one_of_them_is_told(
    redis_server: RedisServer, client: Any, namespace: str, user: Any, missing: str
) -> None:
    committer = a_committer(url=user(*(one for one in ALLOWED if one != missing)), namespace=namespace)
    with pytest.raises(ConfigError, match="NOPERM"):
        committer.commit([deltas("a", "p")], a_batch(1), time.monotonic() + 10)
    assert everything(client, namespace) == {}


def test_a_wrong_password_is_told_without_it(redis_server: RedisServer, user: Any) -> None:
    url = user(*ALLOWED).replace("s3cret", "wr0ng")
    with pytest.raises(ConfigError, match="WRONGPASS") as caught:
        a_committer(url=url).commit([deltas("a", "p")], a_batch(1), NEVER)
    assert "wr0ng" not in str(caught.value)


def test_a_cluster_is_not_there(redis_server: RedisServer) -> None:
    with pytest.raises(ConfigError, match="single Redis"):
        a_committer(url=f"{redis_server.url}?cluster=yes").commit([deltas("a", "p")], a_batch(1), NEVER)


def test_a_database_of_its_own(redis_server: RedisServer, client: Any, namespace: str) -> None:
    committer = a_committer(url=f"{redis_server.url}/3", namespace=namespace)
    committer.commit([deltas("a", "p")], a_batch(1), NEVER)
    committer.close()
    assert everything(client, namespace) == {}
    with redis.Redis(port=redis_server.port, db=3) as third:
        assert len(everything(third, namespace)) == 2


# Servers that cannot


def test_full_memory_is_waited_out(redis_server: RedisServer, client: Any, namespace: str) -> None:
    counts = Counts()

    def room(seconds: float) -> None:
        client.config_set("maxmemory", 0)

    client.config_set("maxmemory", 1)
    try:
        committer = a_committer(url=redis_server.url, namespace=namespace, counts=counts, sleep=room)
        assert committer.commit([deltas("a", "p")], a_batch(1), NEVER).retries == 1
        client.config_set("maxmemory", 1)
        with pytest.raises(Unavailable, match="OOM"):
            a_committer(url=redis_server.url, namespace=namespace).commit(
                [deltas("a", "p")], a_batch(2), time.monotonic() + 0.2
            )
    finally:
        client.config_set("maxmemory", 0)
    assert counts_of(client, namespace) == {state_key("a", "p", namespace): 1}
    assert counts.seen["retries"] == 1
    committer.close()


@pytest.fixture
def other_server() -> Iterator[RedisServer]:
    """A server that no other test uses."""
    server = RedisServer()
    yield server
    server.stop()


def test_a_replica_is_told_apart_from_its_master(other_server: RedisServer, namespace: str) -> None:
    with other_server.client() as client, closing(a_committer(url=other_server.url, namespace=namespace)) as committer:
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(Unavailable, match="READONLY"):
            committer.commit([deltas("a", "p")], a_batch(1), time.monotonic() + 0.2)
        client.replicaof("NO", "ONE")
        assert committer.commit([deltas("a", "p")], a_batch(1), NEVER).hosts == 1


def test_a_server_that_is_gone(other_server: RedisServer, namespace: str) -> None:
    with closing(a_committer(url=other_server.url, namespace=namespace)) as committer:
        committer.commit([deltas("a", "p")], a_batch(1), NEVER)
        other_server.stop()
        with pytest.raises(Unavailable, match=str(other_server.port)):
            committer.commit([deltas("a", "p")], a_batch(2), time.monotonic() + 0.2)


# The store in memory answers as the server does

WATCH, MULTI, EXEC = (b"WATCH", b"k"), (b"MULTI",), (b"EXEC",)
SET = (b"SETEX", b"k", b"60", b"new")
GET = (b"GET", b"k")
CONVERSATIONS: dict[str, list[tuple[int, Command]]] = {
    "unchanged": [(0, WATCH), (0, GET), (0, MULTI), (0, SET), (0, EXEC), (1, GET)],
    "changed": [(0, WATCH), (1, (b"SETEX", b"k", b"9", b"x")), (0, MULTI), (0, SET), (0, EXEC), (0, GET)],
    "same value": [(1, SET), (0, WATCH), (1, SET), (0, MULTI), (0, SET), (0, EXEC)],
    "own write": [(0, WATCH), (0, SET), (0, MULTI), (0, SET), (0, EXEC)],
    "exec forgets": [(0, WATCH), (0, MULTI), (0, EXEC), (1, SET), (0, MULTI), (0, SET), (0, EXEC)],
    "changed, then empty": [(0, WATCH), (1, SET), (0, MULTI), (0, EXEC), (0, MULTI), (0, EXEC)],
    "another key": [(0, WATCH), (1, (b"SETEX", b"l", b"9", b"x")), (0, MULTI), (0, SET), (0, EXEC)],
    "wrong order": [(0, EXEC), (0, MULTI), (0, MULTI), (0, SET), (0, EXEC)],
    "watch inside": [(0, MULTI), (0, WATCH), (0, SET), (0, EXEC)],
    "bad queue": [(0, MULTI), (0, (b"NOSUCH",)), (0, SET), (0, EXEC), (0, GET)],
    "arity": [(0, (b"GET",)), (0, (b"SETEX", b"k", b"1")), (0, MULTI), (0, (b"GET",)), (0, EXEC)],
    "cluster": [(0, (b"CLUSTER", b"SLOTS"))],
}


def answers(connections: Sequence[Connection], conversation: list[tuple[int, Command]]) -> list[Reply]:
    replies = []
    for who, command in conversation:
        connections[who].send([command])
        (reply,) = connections[who].read(1)
        # The words after the code differ between versions of the server.
        replies.append(reply.code if isinstance(reply, ReplyError) else reply)
    return replies  # type: ignore[return-value]


@pytest.mark.parametrize("conversation", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_the_store_in_memory_answers_as_redis(redis_server: RedisServer, client: Any, conversation: Any) -> None:
    client.delete("k", "l")
    memory = MemoryStore(lambda: 0.0)
    address = RedisAddress.from_url(redis_server.url)
    real = [Connector(address)(Node("127.0.0.1", redis_server.port)) for _ in range(2)]
    assert answers(real, conversation) == answers([memory.connect() for _ in range(2)], conversation)
    for connection in real:
        connection.close()


def test_a_watched_key_that_expires_makes_exec_nil(redis_server: RedisServer, client: Any) -> None:
    address = RedisAddress.from_url(redis_server.url)
    connection = Connector(address)(address.seeds[0])
    client.psetex("k", 1, "x")
    client.psetex("k", 30, "x")
    connection.send([WATCH])
    assert connection.read(1) == [b"OK"]
    threading.Event().wait(0.06)
    connection.send([MULTI, SET, EXEC])
    assert connection.read(3)[-1] is None
    connection.close()


@pytest.mark.parametrize("key", [b"foo", b"ff:{bar}x", b"{}foo", b"{bar", b"a{b}{c}", b"", b"\xff{\x00}"])
def test_slots_are_those_of_redis(redis_cluster: RedisCluster, key: bytes) -> None:
    with redis_cluster.node(redis_cluster.ports[0]) as node:
        assert node.execute_command("CLUSTER", "KEYSLOT", key) == key_slot(key)
