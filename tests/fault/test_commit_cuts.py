"""Connections cut around EXEC, and a second writer in the gap: no update is lost, none is counted twice.

The same faults are put to redis-py's pipeline on the same cluster, which loses updates: it sends a transaction
again on a new connection, without its WATCH.  So the test can fail, and this is why the commit has a connection
of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from aws import wait_until
from committing import NEVER, a_batch, a_committer, count_of, deltas, state_key
from fastfold.commit import Committer
from fastfold.local import HOST
from fastfold.resp import Connector, ConnectSettings, Node, RedisAddress
from fastfold.store import Command, Connection, host_key, key_slot
from proxy import CUT, LOSE, PASS, STALL, Proxy
from servers import MASTERS, RedisCluster

pytestmark = pytest.mark.servers

ROUNDS = 300
CONTROL_ROUNDS = 30
HOST_NAME, PROCESS = "a", "p"
TIMEOUT_S = 0.03

BEFORE_EXEC, REPLY_LOST, AT_GET, STALLED = "cut before EXEC", "reply of EXEC lost", "cut at GET", "EXEC stalled"
FAULTS = [BEFORE_EXEC, REPLY_LOST, AT_GET, STALLED]


class Gap:
    """Proxies before all masters that break one command a round, and let another writer in meanwhile.

    Parameters
    ----------
    fault : str
        What to do to a transaction.
    meanwhile : callable
        The other writer.
    """

    def __init__(self, cluster: RedisCluster, stack: ExitStack, fault: str, meanwhile: Callable[[], None]) -> None:
        self.faults = 0
        self.late_execs: list[Any] = []
        self._fault = fault
        self._meanwhile = meanwhile
        self._armed = self._writes = self._lost = False
        self._due = 0
        self._proxies = {
            port: Proxy(port, self._policy, given_up=self._given_up, passed=self.late_execs.append)
            for port in cluster.ports[:MASTERS]
        }
        for proxy in self._proxies.values():
            stack.callback(proxy.close)

    def arm(self) -> None:
        """Break once more."""
        self._armed = True

    def finish(self) -> None:
        """Wait for the EXECs that are still stalled, and let the other writer have the turns that are due to it."""
        if self._fault == STALLED:
            wait_until(lambda: len(self.late_execs) == self.faults, 30.0, "the stalled EXECs to be passed on")
        self._take_turns()

    def through(self, node: Node) -> Node:
        """Where to connect to instead."""
        return Node(HOST, self._proxies[node.port].port) if node.port in self._proxies else node

    def _given_up(self) -> None:
        # Whichever is first: the second writer breaks the watch, or meets what was written late.
        if self.faults % 2:
            self._meanwhile()
        else:
            self._due += 1

    def _take_turns(self) -> None:
        while self._due:
            self._due -= 1
            self._meanwhile()

    def _policy(self, command: Command) -> str:
        name, wrote = command[0].upper(), self._writes
        self._writes = name in (b"SETEX", b"SET") or (name != b"EXEC" and wrote)
        if self._lost:
            # EXEC is done, and its reply lost.
            self._lost = False
            self._meanwhile()
        if name == b"MULTI":
            # GET has been sent again: nobody has written since.
            self._take_turns()
        wanted = name == b"GET" if self._fault == AT_GET else name == b"EXEC" and wrote
        if not (wanted and self._armed):
            return PASS
        self._armed = self._writes = False
        self.faults += 1
        if self._fault == REPLY_LOST:
            self._lost = True
            return LOSE
        if self._fault == STALLED:
            return STALL
        if self._fault == AT_GET:
            self._due += 1
        else:
            self._meanwhile()
        return CUT


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def a_committer_through(gap: Gap, cluster: RedisCluster) -> Committer:
    connector = Connector(RedisAddress.from_url(cluster.url), ConnectSettings(timeout_s=TIMEOUT_S))

    def connect(node: Node) -> Connection:
        return connector(gap.through(node))

    return a_committer(connect, url=cluster.url)


@pytest.mark.parametrize("fault", FAULTS)
def test_with_a_second_writer_in_between_nothing_is_lost(
    redis_cluster: RedisCluster, stack: ExitStack, fault: str
) -> None:
    number = written = 0
    other = a_committer(url=redis_cluster.url)
    stack.callback(other.close)

    def meanwhile() -> None:
        nonlocal written
        written += 1
        other.commit([deltas(HOST_NAME, PROCESS)], a_batch(f"other {written}"), NEVER)

    gap = Gap(redis_cluster, stack, fault, meanwhile)
    committer = a_committer_through(gap, redis_cluster)
    stack.callback(committer.close)
    for number in range(ROUNDS):
        gap.arm()
        committer.commit([deltas(HOST_NAME, PROCESS)], a_batch(number), NEVER)
    gap.finish()
    assert gap.faults == written == ROUNDS
    with redis.RedisCluster(HOST, redis_cluster.ports[0]) as client:
        assert count_of(client.get(state_key(HOST_NAME, PROCESS))) == ROUNDS + written
    met = committer.counters
    assert met.retries >= ROUNDS
    assert met.commits + met.already_applied == ROUNDS
    if fault == REPLY_LOST:
        # A lost reply is not a lost write: the ledger told so.
        assert met.already_applied == ROUNDS


@pytest.mark.parametrize("fault", FAULTS)
def test_the_pipeline_of_redis_py_loses_updates(redis_cluster: RedisCluster, stack: ExitStack, fault: str) -> None:
    """The same on redis-py's own transactions, as its manual shows them: the reason for all this."""
    key = host_key("", HOST_NAME)
    written = 0
    other: Any = stack.enter_context(redis.Redis(HOST, port_of(redis_cluster, key)))
    other.set(key, 0)

    def meanwhile() -> None:
        nonlocal written
        written += 1
        other.incr(key)

    gap = Gap(redis_cluster, stack, fault, meanwhile)
    client: Any = redis.RedisCluster(
        HOST,
        redis_cluster.ports[0],
        socket_timeout=TIMEOUT_S,
        address_remap=lambda address: tuple(gap.through(Node(*address))),
    )
    stack.callback(client.close)
    answered = 0
    for _ in range(CONTROL_ROUNDS):
        gap.arm()
        with client.pipeline(transaction=True) as pipe:
            pipe.watch(key)
            count = int(pipe.get(key))
            pipe.multi()
            pipe.set(key, count + 1)
            try:
                pipe.execute()
            except redis.RedisError:
                continue
            answered += 1
    assert gap.faults > 0
    found = int(other.get(key))
    print(f"{fault}: {answered} transactions acknowledged, {written} by the other, {answered + written - found} lost")
    assert found < answered + written


def port_of(cluster: RedisCluster, key: bytes) -> int:
    """The master of a key."""
    with redis.RedisCluster(HOST, cluster.ports[0]) as client:
        return int(client.nodes_manager.get_node_from_slot(key_slot(key)).port)
