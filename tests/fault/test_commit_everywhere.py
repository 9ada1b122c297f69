"""Connections that break at every command of a commit, and EXECs that come late."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import closing

import pytest

from committing import NEVER, a_batch, a_committer, count_of, deltas, record_of, state_key
from fastfold.resp import Connector, Node, RedisAddress
from fastfold.store import Command, Reply
from proxy import CUT, LOSE, PASS, Proxy
from servers import RedisServer

pytestmark = pytest.mark.servers

ROUNDS = 30


class Strike:
    """Breaks one command of a name, once each time it is armed."""

    def __init__(self) -> None:
        self.met = 0
        self._wanted: tuple[bytes, str] | None = None

    def arm(self, name: bytes, fate: str) -> None:
        self._wanted = (name, fate)

    def __call__(self, command: Command) -> str:
        if self._wanted is None or command[0] != self._wanted[0]:
            return PASS
        _, fate = self._wanted
        self._wanted = None
        self.met += 1
        return fate


@pytest.mark.parametrize("fate", [CUT, LOSE], ids=["before", "after"])
@pytest.mark.parametrize("name", [b"WATCH", b"GET", b"MULTI", b"SETEX", b"EXEC"])
def test_a_connection_that_breaks_at_each_kind_of_command(redis_server: RedisServer, name: bytes, fate: str) -> None:
    strike = Strike()
    with closing(Proxy(redis_server.port, strike)) as proxy, closing(a_committer(url=proxy.url)) as committer:
        committer.commit([deltas("a", "p")], a_batch("first"), NEVER)
        for number in range(ROUNDS):
            strike.arm(name, fate)
            committer.commit([deltas("a", "p"), deltas("b", "p")], a_batch(number), NEVER)
    assert strike.met == committer.counters.retries == ROUNDS
    assert committer.counters.conflicts == 0
    with redis_server.client() as client:
        assert count_of(client.get(state_key("a", "p"))) == ROUNDS + 1
        assert count_of(client.get(state_key("b", "p"))) == ROUNDS
        assert len(record_of(client.get, "a").entries) == ROUNDS + 1


def test_an_exec_that_is_held_back_while_another_has_its_turn(redis_server: RedisServer) -> None:
    """Two workers on one file: what the slower sends in the end finds its watch broken."""
    turns = 0
    other = a_committer(url=redis_server.url)

    def policy(command: Command) -> str:
        nonlocal turns
        if command[0] == b"SETEX" and not turns:
            turns += 1
            other.commit([deltas("a", "p")], a_batch(1), NEVER)
        return PASS

    with closing(Proxy(redis_server.port, policy)) as proxy, closing(a_committer(url=proxy.url)) as committer:
        result = committer.commit([deltas("a", "p")], a_batch(1), NEVER)
    other.close()
    assert turns == 1
    assert (result.conflicts, result.already_applied, result.hosts) == (1, 1, 0)
    with redis_server.client() as client:
        assert count_of(client.get(state_key("a", "p"))) == 1


def test_an_exec_that_is_carried_out_after_we_gave_up(redis_server: RedisServer) -> None:
    """Our side closes at once after it has sent EXEC, and asks again while it may still be on its way."""
    connector = Connector(RedisAddress.from_url(redis_server.url))
    given_up = 0

    class Hasty:
        def __init__(self, node: Node) -> None:
            self.inner = connector(node)

        def send(self, commands: Sequence[Command]) -> None:
            nonlocal given_up
            self.inner.send(commands)
            if given_up < ROUNDS and any(command[0] == b"SETEX" for command in commands):
                given_up += 1
                self.inner.close()

        def read(self, count: int) -> list[Reply]:
            return self.inner.read(count)

        def close(self) -> None:
            self.inner.close()

    with closing(a_committer(Hasty, url=redis_server.url)) as committer:
        while given_up < ROUNDS:
            before = given_up
            committer.commit([deltas("a", "p")], a_batch(before), NEVER)
            assert given_up > before
            with redis_server.client() as client:
                entries = len(record_of(client.get, "a").entries)
                assert count_of(client.get(state_key("a", "p"))) == entries
    assert committer.counters.retries == ROUNDS


def test_cut_at_every_command(redis_server: RedisServer) -> None:
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

            with closing(Proxy(redis_server.port, policy)) as proxy, closing(a_committer(url=proxy.url)) as committer:
                committer.commit(hosts, a_batch((fate, at)), NEVER)
            batches += 1
            if seen < at:
                break
        assert at > 20
    with redis_server.client() as client:
        for host, process in itertools.product("abc", "pq"):
            assert count_of(client.get(state_key(host, process))) == batches
