"""Connections cut around EXEC, with another writer in between; and a mutant that must lose.

The mutant does what some clients do by themselves: it sends the packet again on a new connection.
For the packet of MULTI to EXEC this means: without its WATCH.  The same test that the real
committer passes has to find the update that the mutant overwrites, or it would prove nothing.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import pytest

from committing import NEVER, a_batch, a_committer, count_of, deltas, record_of, state_key
from fastfold.commit import Committer
from fastfold.errors import Unavailable
from fastfold.resp import Connector, Node, RedisAddress
from fastfold.store import Command, Connection, Reply
from proxy import CUT, LOSE, PASS, Proxy
from servers import RedisServer

pytestmark = pytest.mark.servers

ROUNDS = 25
_names = itertools.count()

MakeCommitter = Callable[[str, str], Committer]


@pytest.fixture
def namespace() -> str:
    """A prefix that no other test uses."""
    return f"cuts-{os.getpid()}-{next(_names)}:"


def real(url: str, namespace: str) -> Committer:
    return a_committer(url=url, namespace=namespace)


class Resending:
    """A connection that sends its last packet again, on a new connection, when the old one breaks."""

    def __init__(self, connect: Callable[[Node], Connection], node: Node) -> None:
        self._connect = connect
        self._node = node
        self._inner = connect(node)
        self._last: Sequence[Command] = ()
        self._early: list[Reply] = []

    def send(self, commands: Sequence[Command]) -> None:
        self._last = list(commands)
        self._early = []
        self._inner.send(commands)

    def read(self, count: int) -> list[Reply]:
        try:
            replies = self._inner.read(count)
        except Unavailable:
            self._inner.close()
            self._inner = self._connect(self._node)
            self._inner.send(self._last)
            replies = self._inner.read(count)
        return replies

    def close(self) -> None:
        self._inner.close()


def mutant(url: str, namespace: str) -> Committer:
    connector = Connector(RedisAddress.from_url(url))
    return a_committer(lambda node: Resending(connector, node), url=url, namespace=namespace)


class Faults:
    """The policy of the proxy: the next transaction that writes meets one fault."""

    def __init__(self) -> None:
        self.met = 0
        self.meanwhile: Callable[[], object] | None = None
        self._armed = ""
        self._writing = False

    def arm(self, moment: str, meanwhile: Callable[[], object] | None) -> None:
        self._armed, self.meanwhile, self._writing = moment, meanwhile, False

    def __call__(self, command: Command) -> str:
        name = command[0]
        # The empty MULTI and EXEC of a new connection are let through.
        self._writing = name == b"SETEX" or (self._writing and name == b"EXEC")
        if self._armed == "cut before EXEC" and name == b"EXEC" and self._writing:
            return self._strike(CUT)
        if self._armed == "lose the reply of EXEC" and name == b"EXEC" and self._writing:
            return self._strike(LOSE)
        if self._armed == "cut at GET" and name == b"GET":
            return self._strike(CUT)
        if self._armed == "cut at SETEX" and name == b"SETEX":
            return self._strike(CUT)
        if self._armed == "lose the reply of WATCH" and name == b"WATCH":
            return self._strike(LOSE)
        return PASS

    def _strike(self, fate: str) -> str:
        self._armed = ""
        self.met += 1
        if self.meanwhile is not None and fate == CUT:
            self.meanwhile()
        return fate


MOMENTS = ["cut before EXEC", "lose the reply of EXEC", "cut at GET", "cut at SETEX", "lose the reply of WATCH"]


def run(
    server: RedisServer, namespace: str, make: MakeCommitter, moment: str, *, second_writer: bool
) -> dict[str, Any]:
    """Batches of one process, each meeting the fault; returns what was applied and what is there."""
    faults = Faults()
    other = real(server.url, namespace)
    batches = 0
    with closing(Proxy(server.port, faults)) as proxy:
        committer = make(proxy.url, namespace)
        for number in range(ROUNDS):
            second = a_batch(("second", number)) if second_writer else None

            def meanwhile(second: Any = second) -> None:
                if second is not None:
                    other.commit([deltas("a", "p")], second, NEVER)

            faults.arm(moment, meanwhile)
            committer.commit([deltas("a", "p"), deltas("b", "p")], a_batch(number), NEVER)
            # Where the fault lets EXEC through, the second writer comes after it.
            meanwhile()
            batches += 2 if second_writer else 1
        committer.close()
    other.close()
    client = server.client
    return {
        "faults": faults.met,
        "batches": batches,
        "events": count_of(client.get(state_key("a", "p", namespace))),
        "of b": count_of(client.get(state_key("b", "p", namespace))),
        "ledger": len(record_of(client.get, "a", namespace).entries),
        "counters": committer.counters,
    }


@pytest.mark.parametrize("second_writer", [False, True], ids=["alone", "second writer"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_lost_and_nothing_counted_twice(
    redis_server: RedisServer, namespace: str, moment: str, second_writer: bool
) -> None:
    found = run(redis_server, namespace, real, moment, second_writer=second_writer)
    assert found["faults"] == ROUNDS
    assert found["events"] == found["ledger"] == found["batches"]
    assert found["of b"] == ROUNDS
    assert found["counters"].retries == found["counters"].reconnects == ROUNDS


def test_a_client_that_sends_exec_again_loses_the_update_of_another(redis_server: RedisServer, namespace: str) -> None:
    found = run(redis_server, namespace, mutant, "cut before EXEC", second_writer=True)
    assert found["faults"] == ROUNDS
    assert found["events"] < found["batches"], "the test cannot see a lost update"


def test_a_stalled_exec_that_arrives_after_all(redis_server: RedisServer, namespace: str) -> None:
    """EXEC is held back past our timeout, while we start again; then it reaches the server."""
    held: list[bool] = []
    counts = []

    def policy(command: Command) -> str:
        if command[0] == b"SETEX":
            held.append(True)
        if command[0] == b"EXEC" and len(held) == 2:
            # The committer gives up on this connection and commits over another meanwhile.
            counts.append(len(held))
            stalled.commit([deltas("a", "p")], a_batch(1), NEVER)
            held.append(True)
        return PASS

    stalled = real(redis_server.url, namespace)
    with closing(Proxy(redis_server.port, policy)) as proxy:
        committer = a_committer(url=proxy.url, namespace=namespace, timeout_s=5.0)
        result = committer.commit([deltas("a", "p")], a_batch(1), NEVER)
        committer.close()
    stalled.close()
    assert counts == [2]
    assert (result.conflicts, result.already_applied) == (1, 1)
    assert count_of(redis_server.client.get(state_key("a", "p", namespace))) == 1


def test_a_server_that_stops_in_the_middle(namespace: str) -> None:
    """The process is stopped past our timeout with EXEC in its socket, and goes on later."""
    server = RedisServer()
    try:
        client = server.client
        connector = Connector(RedisAddress.from_url(server.url))
        stopped: list[bool] = []

        class Stopping:
            def __init__(self, node: Node) -> None:
                self.inner = connector(node)

            def send(self, commands: Sequence[Command]) -> None:
                strike = not stopped and any(command[0] == b"SETEX" for command in commands)
                if strike:
                    stopped.append(True)
                    server.pause()
                self.inner.send(commands)
                if strike:
                    # Our side gives up; what was sent is still carried out when the server goes on.
                    self.inner.close()
                    server.resume()

            def read(self, count: int) -> list[Reply]:
                return self.inner.read(count)

            def close(self) -> None:
                self.inner.close()

        committer = a_committer(Stopping, url=server.url, namespace=namespace)
        result = committer.commit([deltas("a", "pq")], a_batch(1), NEVER)
        committer.close()
        assert stopped
        assert result.retries == 1
        assert count_of(client.get(state_key("a", "p", namespace))) == 1
        assert len(record_of(client.get, "a", namespace).entries) == 1
    finally:
        server.stop()


def test_cut_at_every_command(redis_server: RedisServer, namespace: str) -> None:
    """Systematic: the n-th command of a batch of three hosts is cut, or its reply lost, for every n."""
    hosts = [deltas(host, "pq") for host in "abc"]
    batches = 0
    for fate in (CUT, LOSE):
        for at in itertools.count(1):
            seen = 0

            def policy(command: Command, at: int = at, fate: str = fate) -> str:
                nonlocal seen
                seen += 1
                return fate if seen == at else PASS

            with closing(Proxy(redis_server.port, policy)) as proxy:
                committer = real(proxy.url, namespace)
                committer.commit(hosts, a_batch((fate, at)), NEVER)
                committer.close()
            batches += 1
            if seen < at:
                break
        assert at > 20
    for host, process in itertools.product("abc", "pq"):
        assert count_of(redis_server.client.get(state_key(host, process, namespace))) == batches
