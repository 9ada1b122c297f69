"""Slots under way from node to node: what real servers answer, and that the commit follows.

The first tests are of the servers alone: they hold what the commit relies on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from committing import NEVER, Counts, a_batch, a_committer, count_of, deltas, state_key
from fastfold.errors import ConfigError
from fastfold.local import HOST
from fastfold.resp import Connector, Node, RedisAddress
from fastfold.store import Command, Reply, ReplyError, host_key, key_slot
from servers import MASTERS, RedisCluster
from slots import Slots

pytestmark = pytest.mark.servers

MOVING = "moving"
RECORD = host_key("", MOVING)
KEYS = [RECORD, state_key(MOVING, "p"), state_key(MOVING, "q")]
SLOT = key_slot(RECORD)
ASKING: Command = (b"ASKING",)
MULTI: Command = (b"MULTI",)
EXEC: Command = (b"EXEC",)
Ask = Callable[..., list[Reply]]


def watch(*keys: bytes) -> Command:
    return (b"WATCH", *keys)


def get(key: bytes) -> Command:
    return (b"GET", key)


def put(key: bytes) -> Command:
    return (b"SETEX", key, b"60", b"new")


def codes(replies: list[Reply]) -> list[Any]:
    """Replies, of errors only the code; EXECABORT as itself."""
    return [reply.text.partition(" ")[0] if isinstance(reply, ReplyError) else reply for reply in replies]


@pytest.fixture
def masters(redis_cluster: RedisCluster) -> Iterator[list[Any]]:
    with ExitStack() as stack:
        yield [stack.enter_context(redis_cluster.node(port)) for port in redis_cluster.ports[:MASTERS]]


@pytest.fixture
def slots(redis_cluster: RedisCluster, masters: list[Any]) -> Slots:
    return Slots(redis_cluster, masters)


@pytest.fixture
def target(masters: list[Any], slots: Slots) -> Any:
    return slots.another(SLOT)


@pytest.fixture
def source(slots: Slots, target: Any) -> Iterator[Any]:
    """The node that the slot leaves, as long as a test lasts; the target is on the other side."""
    source = slots.begin_move(SLOT, target)
    yield source
    target.flushall()
    source.flushall()
    slots.settle(SLOT, source)


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def asker(node: Any, stack: ExitStack) -> Ask:
    """Sends commands to one node on a connection of its own, and reads the replies."""
    port = node.connection_pool.connection_kwargs["port"]
    address = RedisAddress((Node(HOST, port),))
    connection = stack.enter_context(closing(Connector(address)(address.seeds[0])))

    def ask(*commands: Command) -> list[Reply]:
        connection.send(commands)
        return connection.read(len(commands))

    return ask


# The servers


@pytest.mark.parametrize(
    "change",
    [lambda node: node.pexpire(RECORD, 1), lambda node: node.delete(RECORD), lambda node: node.set(RECORD, "old")],
    ids=["expires", "is deleted", "is written with the same value"],
)
def test_a_watched_key_that_changes_makes_exec_nil(slots: Slots, connections: ExitStack, change: Any) -> None:
    node = slots.owner(SLOT)
    node.set(RECORD, "old")
    ask = asker(node, connections)
    assert ask(watch(RECORD), get(RECORD)) == [b"OK", b"old"]
    change(node)
    threading.Event().wait(0.02)
    assert ask(MULTI, put(RECORD), EXEC)[-1] is None
    node.delete(RECORD)


def test_a_key_that_is_not_there_is_asked_for_at_the_target(source: Any, connections: ExitStack) -> None:
    assert codes(asker(source, connections)(watch(RECORD), get(RECORD))) == ["ASK", "ASK"]


def test_a_present_key_commits_on_the_source_and_one_that_left_meanwhile_is_refused(
    slots: Slots, target: Any, connections: ExitStack
) -> None:
    source = slots.owner(SLOT)
    source.mset(dict.fromkeys(KEYS, "old"))
    slots.begin_move(SLOT, target)
    try:
        ask = asker(source, connections)
        assert ask(watch(*KEYS), get(RECORD)) == [b"OK", b"old"]
        assert ask(MULTI, put(RECORD), EXEC)[-1] == [b"OK"]
        assert ask(watch(RECORD), get(RECORD)) == [b"OK", b"new"]
        slots.move_keys(source, target, RECORD)
        assert codes(ask(MULTI, put(RECORD), EXEC)) == [b"OK", "ASK", "EXECABORT"]
        # The group is torn now: neither side can serve it.
        assert codes(ask(watch(*KEYS)))[0] in ("TRYAGAIN", "ASK")
        assert codes(asker(target, connections)(ASKING, watch(*KEYS))) == [b"OK", "TRYAGAIN"]
    finally:
        target.flushall()
        source.flushall()
        slots.settle(SLOT, source)


def test_asking_is_for_one_command_and_stands_before_watch_each_get_and_multi(
    source: Any, target: Any, connections: ExitStack
) -> None:
    ask = asker(target, connections)
    assert codes(ask(watch(RECORD), get(RECORD))) == ["MOVED", "MOVED"]
    assert codes(ask(ASKING, watch(RECORD), get(RECORD))) == [b"OK", b"OK", "MOVED"]
    assert codes(ask(MULTI, ASKING, put(RECORD), EXEC))[2:] == ["MOVED", "EXECABORT"]
    replies = ask(ASKING, watch(RECORD), ASKING, get(RECORD), ASKING, MULTI, put(RECORD), EXEC)
    assert replies[1:4] == [b"OK", b"OK", None]
    assert replies[-1] == [b"OK"]


# The commit


def test_a_host_that_has_not_left_is_committed_where_it_is(
    redis_cluster: RedisCluster, slots: Slots, target: Any
) -> None:
    with closing(a_committer(url=redis_cluster.url)) as committer:
        committer.commit([deltas(MOVING, "pq")], a_batch(1), NEVER)
        source = slots.begin_move(SLOT, target)
        try:
            result = committer.commit([deltas(MOVING, "pq")], a_batch(2), NEVER)
            assert (result.hosts, result.retries, committer.counters.redirects) == (1, 0, 0)
            assert count_of(source.get(KEYS[1])) == 2
        finally:
            slots.settle(SLOT, source)


def test_a_host_that_has_left_is_asked_for_where_it_went(
    redis_cluster: RedisCluster, slots: Slots, target: Any
) -> None:
    others = [deltas(str(number), "p") for number in range(10)]
    with closing(a_committer(url=redis_cluster.url)) as committer:
        committer.commit([deltas(MOVING, "pq")], a_batch(1), NEVER)
        source = slots.begin_move(SLOT, target)
        try:
            slots.move_keys(source, target, *KEYS)
            result = committer.commit([deltas(MOVING, "pq"), *others], a_batch(2), NEVER)
            assert (result.hosts, result.retries) == (11, 0)
            assert (committer.counters.redirects, committer.counters.reconnects, committer.counters.moved) == (1, 0, 0)
            slots.move(SLOT, target)
            assert count_of(target.get(KEYS[1])) == count_of(target.get(KEYS[2])) == 2
            assert committer.commit([deltas(MOVING, "pq")], a_batch(2), NEVER).already_applied == 1
        finally:
            target.flushall()
            slots.settle(SLOT, source)


def test_a_user_who_may_not_ask_is_told(
    redis_cluster: RedisCluster, masters: list[Any], slots: Slots, target: Any
) -> None:
    for node in masters:
        rights = [
            "reset",
            "on",
            ">s3cret",
            "-@all",
            "+watch",
            "+get",
            "+setex",
            "+multi",
            "+exec",
            "+cluster|slots",
            "+cluster|info",
        ]
        node.execute_command("ACL", "SETUSER", "fold", *rights, "~ff:*")
    with closing(a_committer(url=redis_cluster.url.replace("redis://", "redis://fold:s3cret@"))) as committer:
        committer.commit([deltas(MOVING, "pq")], a_batch(1), NEVER)
        source = slots.begin_move(SLOT, target)
        try:
            slots.move_keys(source, target, *KEYS)
            with pytest.raises(ConfigError, match="asking"):
                committer.commit([deltas(MOVING, "pq")], a_batch(2), NEVER)
        finally:
            target.flushall()
            slots.settle(SLOT, source)
            for node in masters:
                node.execute_command("ACL", "DELUSER", "fold")


@pytest.mark.parametrize("processes", ["pq", "pqr"], ids=["known processes", "a new process"])
def test_a_host_that_is_torn_waits_until_it_is_whole(
    redis_cluster: RedisCluster, slots: Slots, target: Any, processes: str
) -> None:
    """Neither node has all keys, or a new one could be on either: whoever guessed would lose an update."""
    source = slots.owner(SLOT)
    waits = 0

    def sleep(seconds: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 3:
            slots.move_keys(source, target, *slots.keys_of(source, SLOT))
            slots.move(SLOT, target)

    with closing(a_committer(url=redis_cluster.url, sleep=sleep)) as committer:
        committer.commit([deltas(MOVING, "pq")], a_batch(1), NEVER)
        slots.begin_move(SLOT, target)
        try:
            slots.move_keys(source, target, KEYS[1])
            result = committer.commit([deltas(MOVING, processes)], a_batch(2), NEVER)
            assert (result.hosts, result.processes) == (1, len(processes))
            assert committer.counters.redirects >= 2
            assert waits >= 3
            assert [count_of(target.get(key)) for key in KEYS[1:]] == [2, 2]
            assert slots.keys_of(source, SLOT) == []
        finally:
            target.flushall()
            slots.settle(SLOT, source)


def test_writers_lose_nothing_while_a_slot_goes_to_and_fro(redis_cluster: RedisCluster, slots: Slots) -> None:
    writers, batches = 3, 60
    counts = Counts()
    done = threading.Event()
    faults: list[BaseException] = []
    home = slots.owner(SLOT)

    def write(writer: int) -> None:
        committer = a_committer(url=redis_cluster.url, counts=counts, seed=writer)
        try:
            for number in range(batches):
                committer.commit([deltas(MOVING, "pq"), deltas("other", "p")], a_batch((writer, number)), NEVER)
                done.wait(0.01)
        except BaseException as fault:
            faults.append(fault)
            raise
        finally:
            committer.close()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    moves = 0
    source, target = home, slots.another(SLOT)
    while any(thread.is_alive() for thread in threads):
        slots.begin_move(SLOT, target)
        while keys := slots.keys_of(source, SLOT):
            slots.move_keys(source, target, keys[0])
        slots.move(SLOT, target)
        source, target = target, source
        moves += 1
    for thread in threads:
        thread.join()
    found = [count_of(source.get(key)) for key in KEYS[1:]]
    source.flushall()
    slots.settle(SLOT, home)
    assert not faults
    assert moves > 2
    assert found == [writers * batches] * 2
