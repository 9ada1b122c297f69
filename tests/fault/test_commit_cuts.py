"""Connections cut around EXEC, and a second writer in the gap: no update is lost, none is counted twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from committing import NEVER, a_batch, a_committer, count_of, deltas, state_key
from fastfold.errors import Unavailable
from fastfold.resp import Connector, Node, RedisAddress
from fastfold.store import Command, Connection, Reply
from proxy import CUT, LOSE, PASS, Proxy
from servers import RedisServer

ROUNDS = 30
HOSTS = "ab"
PROCESSES = "pq"

BEFORE_EXEC, AFTER_EXEC, FIRST_GET = "before EXEC", "after EXEC", "first GET"


class Gap:
    """Breaks one command of a round, and lets another writer in before the connection is there again.

    Parameters
    ----------
    where : str
        Which command to break.
    meanwhile : callable
        The other writer.
    """

    def __init__(self, where: str, meanwhile: Callable[[], None]) -> None:
        self.cuts = 0
        self._where = where
        self._meanwhile = meanwhile
        self._skip = 0
        self._armed = self._writes = self._lost = False

    def arm(self, skip: int) -> None:
        """Break once more, after passing that many commands of the kind."""
        self._skip, self._armed = skip, True

    def __call__(self, command: Command) -> str:
        if self._lost:
            # EXEC is done and its reply lost: nobody has begun again yet.
            self._lost = False
            self._meanwhile()
        name, wrote = command[0], self._writes
        self._writes = name == b"SETEX" or (name != b"EXEC" and wrote)
        wanted = name == b"GET" if self._where == FIRST_GET else name == b"EXEC" and wrote
        if not wanted or not self._armed:
            return PASS
        if self._skip:
            self._skip -= 1
            return PASS
        self._armed = self._writes = False
        self.cuts += 1
        if self._where == AFTER_EXEC:
            self._lost = True
            return LOSE
        self._meanwhile()
        return CUT


class Resending:
    """The mistake that the commit must not make: the writes again, on a new connection, without WATCH."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._inner = connect()
        self._sent: Sequence[Command] = ()

    def send(self, commands: Sequence[Command]) -> None:
        self._sent = commands
        self._inner.send(commands)

    def read(self, count: int) -> list[Reply]:
        try:
            return self._inner.read(count)
        except Unavailable:
            if not any(command[0] == b"SETEX" for command in self._sent):
                raise
            self._inner = self._connect()
            self._inner.send(self._sent)
            return self._inner.read(count)

    def close(self) -> None:
        self._inner.close()


def run_rounds(server: RedisServer, where: str, make: Callable[[str], Any]) -> tuple[set[int], Any]:
    """The counts after all rounds of a committer through the proxy, and what it met."""
    other = a_committer(url=f"{server.url}?cluster=no")
    number = 0

    def meanwhile() -> None:
        other.commit([deltas(host, PROCESSES) for host in HOSTS], a_batch(f"other {number}"), NEVER)

    gap = Gap(where, meanwhile)
    proxy = Proxy(server.port, gap)
    committer = make(proxy.url)
    try:
        for number in range(ROUNDS):
            gap.arm(number % len(HOSTS))
            committer.commit([deltas(host, PROCESSES) for host in HOSTS], a_batch(number), NEVER)
        assert gap.cuts == ROUNDS
    finally:
        committer.close()
        other.close()
        proxy.close()
    with server.client() as client:
        keys = [state_key(host, process) for host in HOSTS for process in PROCESSES]
        return {count_of(value) for value in client.mget(keys)}, committer.counters


def resending(url: str) -> Any:
    connector = Connector(RedisAddress.from_url(url))

    def connect(node: Node) -> Connection:
        return Resending(lambda: connector(node))

    return a_committer(connect, url=url)


@pytest.mark.parametrize("where", [BEFORE_EXEC, AFTER_EXEC, FIRST_GET])
def test_cut_with_a_second_writer_in_between(redis_server: RedisServer, where: str) -> None:
    counts, met = run_rounds(redis_server, where, lambda url: a_committer(url=url))
    assert counts == {2 * ROUNDS}
    assert met.retries == met.reconnects == ROUNDS
    # A lost reply is not a lost write: the ledger told so.
    assert met.commits == 2 * ROUNDS - (ROUNDS if where == AFTER_EXEC else 0)
    assert met.already_applied == (ROUNDS if where == AFTER_EXEC else 0)


@pytest.mark.parametrize("where", [BEFORE_EXEC, AFTER_EXEC])
def test_sending_exec_again_would_lose_the_second_writer(redis_server: RedisServer, where: str) -> None:
    counts, _ = run_rounds(redis_server, where, resending)
    assert min(counts) < 2 * ROUNDS
