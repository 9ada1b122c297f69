"""Which node serves a slot, from what nodes answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from fastfold.errors import ConfigError, Unavailable
from fastfold.resp import Node, RedisAddress
from fastfold.store import SLOTS, Command, Connection, Reply, ReplyError
from fastfold.topology import Nodes, parse_epoch, parse_slots
from masters import cluster_info

A, B, C = Node("a", 1), Node("b", 2), Node("c", 3)
NOT_A_CLUSTER = ReplyError("ERR This instance has cluster support disabled")


def span(first: int, last: int, host: bytes | None, port: int) -> Reply:
    return [first, last, [host, port, b"id", []], [b"replica", 9, b"id"]]


WHOLE: Reply = [span(0, 99, b"a", 1), span(100, SLOTS - 1, b"b", 2)]


def test_masters_by_slot() -> None:
    owners = parse_slots(WHOLE, C)
    assert (owners[0], owners[99], owners[100], owners[SLOTS - 1]) == (A, A, B, B)


@pytest.mark.parametrize("host", [None, b""])
def test_a_node_that_does_not_know_its_own_address(host: bytes | None) -> None:
    assert parse_slots([span(5, 5, host, 7)], A)[5] == Node("a", 7)


def test_slots_that_nobody_serves() -> None:
    owners = parse_slots([span(5, 6, b"?", 7)], A)
    assert set(owners) == {None}


@pytest.mark.parametrize("reply", [b"OK", None, [b"x"], [[0, 1]], [span(5, 4, b"a", 1)], [span(0, SLOTS, b"a", 1)]])
def test_an_answer_without_sense(reply: Reply) -> None:
    with pytest.raises(Unavailable, match="CLUSTER SLOTS answered"):
        parse_slots(reply, A)


@pytest.mark.parametrize("reply", [b"OK", None, [b"x"], b"cluster_my_epoch:", b"\r\nx_cluster_my_epoch:7\r\n"])
def test_an_answer_without_an_epoch(reply: Reply) -> None:
    with pytest.raises(Unavailable, match="CLUSTER INFO answered"):
        parse_epoch(reply, A)


class Servers:
    """Nodes that answer as told; those without an answer cannot be reached."""

    def __init__(self, **slots: Reply) -> None:
        self.slots = slots
        self.probe: Reply = b"OK"
        self.info: Reply = cluster_info(7)
        self.asked: list[str] = []
        self.open: list[str] = []

    def connect(self, node: Node) -> Connection:
        if node.host not in self.slots:
            raise Unavailable(str(node), "cannot connect")
        self.open.append(node.host)
        return ScriptedConnection(self, node.host)


class ScriptedConnection:
    def __init__(self, servers: Servers, host: str) -> None:
        self._servers = servers
        self._host = host
        self._replies: list[Reply] = []

    def send(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if command == (b"CLUSTER", b"SLOTS"):
                self._servers.asked.append(self._host)
                self._replies.append(self._servers.slots[self._host])
            elif command == (b"CLUSTER", b"INFO"):
                single = self._servers.slots[self._host] is NOT_A_CLUSTER
                self._replies.append(NOT_A_CLUSTER if single else self._servers.info)
            else:
                self._replies.append(self._servers.probe)

    def read(self, count: int) -> list[Reply]:
        replies, self._replies = self._replies[:count], self._replies[count:]
        return replies

    def close(self) -> None:
        self._servers.open.remove(self._host)


def nodes(servers: Servers, url: str, draw: float = 0.0) -> Nodes:
    return Nodes(RedisAddress.from_url(url), servers.connect, lambda: draw)


def test_a_single_redis_is_found_out_by_asking() -> None:
    servers = Servers(a=NOT_A_CLUSTER)
    found = nodes(servers, "redis://a:1")
    assert found.stale
    found.refresh()
    assert not found.stale
    assert found.node_of(7) == A
    found.refresh()
    assert servers.asked == ["a"]


def test_a_single_redis_is_not_asked_when_the_url_says_so() -> None:
    servers = Servers()
    found = nodes(servers, "redis://a:1?cluster=no")
    found.refresh()
    assert found.node_of(7) == A


def test_a_cluster_is_found_from_any_node_that_answers() -> None:
    servers = Servers(b=WHOLE)
    found = nodes(servers, "redis://a:1,b:2")
    found.refresh()
    assert found.node_of(0) == A
    assert found.node_of(100) == B


def test_who_is_asked_first_is_drawn() -> None:
    servers = Servers(a=WHOLE, b=WHOLE, c=WHOLE)
    nodes(servers, "redis://a:1,b:2,c:3", draw=0.99).refresh()
    assert servers.asked == ["c"]


def test_nodes_found_are_asked_when_the_seed_has_gone() -> None:
    servers = Servers(a=WHOLE, b=WHOLE)
    found = nodes(servers, "redis://a:1")
    found.refresh()
    found.drop(A)
    del servers.slots["a"]
    found.refresh()
    assert servers.asked == ["a", "b"]


def test_nobody_answers() -> None:
    found = nodes(Servers(), "redis://a:1")
    with pytest.raises(Unavailable, match="cannot connect"):
        found.refresh()
    assert found.stale


@pytest.mark.parametrize(
    ("url", "reply", "error"),
    [
        ("redis://a:1?cluster=yes", NOT_A_CLUSTER, ConfigError),
        ("redis://a:1,b:2", NOT_A_CLUSTER, ConfigError),
        ("redis://a:1", ReplyError("NOPERM this user has no permissions"), ConfigError),
        ("redis://a:1", ReplyError("LOADING Redis is loading"), Unavailable),
    ],
)
def test_answers_that_do_not_fit(url: str, reply: Reply, error: type[Exception]) -> None:
    with pytest.raises(error):
        nodes(Servers(a=reply), url).refresh()


@pytest.mark.parametrize(
    ("text", "moved_to"),
    [("MOVED 5 c:3", C), ("MOVED 5 :3", Node("a", 3)), ("MOVED 5 ?:3", A), ("MOVED 99999 c:3", A), ("MOVED", A)],
)
def test_a_moved_reply_counts_more_than_a_node_that_has_not_heard_of_it(text: str, moved_to: Node) -> None:
    found = nodes(Servers(a=WHOLE), "redis://a:1")
    found.refresh()
    found.moved(A, ReplyError(text))
    found.refresh()
    assert found.node_of(5) == moved_to
    assert found.node_of(6) == A
    found.refresh()
    assert found.node_of(5) == A


def test_connections_are_kept_and_those_of_lost_nodes_closed() -> None:
    servers = Servers(a=WHOLE, b=WHOLE)
    found = nodes(servers, "redis://a:1")
    found.refresh()
    assert found.connection(B) is found.connection(B)
    servers.slots["a"] = [span(0, SLOTS - 1, b"a", 1)]
    found.refresh()
    assert servers.open == ["a"]
    found.close()
    assert servers.open == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [(ReplyError("NOPERM no multi"), ConfigError), (ReplyError("LOADING"), Unavailable)],
)
def test_a_server_that_refuses_multi_is_found_out_before_anything_is_written(answer: Any, error: Any) -> None:
    servers = Servers(a=WHOLE)
    servers.probe = answer
    with pytest.raises(error):
        nodes(servers, "redis://a:1?cluster=no").connection(A)
    assert servers.open == []


def test_the_epoch_is_that_of_the_moment_when_the_connection_was_opened() -> None:
    servers = Servers(a=WHOLE)
    found = nodes(servers, "redis://a:1")
    found.connection(A)
    servers.info = cluster_info(8)
    assert found.link(A).epoch == 7
    assert found.link(A, 1).epoch == 8
    found.drop(A)
    assert found.link(A).epoch == 8


def test_each_connection_has_a_generation_of_its_own() -> None:
    servers = Servers(a=WHOLE, b=WHOLE)
    found = nodes(servers, "redis://a:1")
    links = [found.link(A), found.link(A, 1), found.link(B)]
    assert len({link.generation for link in links}) == 3
    assert [found.held(link.node, link.generation) for link in links] == links
    assert found.held(B, links[0].generation) is None
    assert found.drop(A)
    assert not found.drop(A)
    assert [found.held(link.node, link.generation) for link in links] == [None, None, links[2]]
    assert servers.open == ["b"]
    assert found.link(A).generation not in {link.generation for link in links}


def test_a_single_redis_has_no_epoch() -> None:
    for url in ("redis://a:1", "redis://a:1?cluster=no"):
        assert nodes(Servers(a=NOT_A_CLUSTER), url).link(A).epoch == 0


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (ReplyError("NOPERM no cluster"), ConfigError, "CLUSTER INFO: NOPERM"),
        (ReplyError("LOADING"), Unavailable, "LOADING"),
        (b"cluster_state:ok", Unavailable, "CLUSTER INFO answered"),
    ],
)
def test_a_node_that_does_not_tell_its_epoch_is_not_written_to(answer: Any, error: Any, told: str) -> None:
    servers = Servers(a=WHOLE)
    servers.info = answer
    with pytest.raises(error, match=told):
        nodes(servers, "redis://a:1").connection(A)
    assert servers.open == []


def test_what_is_known_of_a_cluster_grows_old() -> None:
    servers = Servers(a=WHOLE, b=WHOLE)
    now, draws = [100.0], iter((0.0, 0.5, 0.0, 0.0))
    found = Nodes(
        RedisAddress.from_url("redis://a:1"),
        servers.connect,
        lambda: next(draws),
        refresh_s=60.0,
        clock=lambda: now[0],
    )
    found.refresh()
    now[0] += 44
    assert not found.stale
    now[0] += 1
    assert found.stale, "after three quarters of the time, as drawn"
    servers.slots["a"] = [span(0, SLOTS - 1, b"b", 2)]
    found.refresh()
    assert not found.stale
    assert found.node_of(0) == B
    now[0] += 30
    assert found.stale


def test_at_its_time_those_are_asked_first_that_are_connected() -> None:
    servers = Servers(a=WHOLE, b=WHOLE, c=WHOLE)
    found = nodes(servers, "redis://c:3,a:1,b:2")
    found.stale = False
    found.connection(B)
    found.refresh()
    assert servers.asked == ["b"]
    found.stale = True
    found.refresh()
    assert servers.asked == ["b", "c"]


def test_a_look_that_fails_is_due_again() -> None:
    servers = Servers(a=WHOLE, b=WHOLE)
    now = [0.0]
    found = Nodes(
        RedisAddress.from_url("redis://a:1"), servers.connect, lambda: 0.0, refresh_s=10.0, clock=lambda: now[0]
    )
    found.refresh()
    now[0] = 5.0
    servers.slots.clear()
    found.close()
    with pytest.raises(Unavailable):
        found.refresh()
    assert found.stale
    assert found.node_of(0) == A, "what was known stays"


def test_what_is_known_of_a_single_redis_does_not_grow_old() -> None:
    now = [0.0]
    for url in ("redis://a:1", "redis://a:1?cluster=no"):
        servers = Servers(a=NOT_A_CLUSTER)
        found = Nodes(RedisAddress.from_url(url), servers.connect, lambda: 0.0, refresh_s=10.0, clock=lambda: now[0])
        found.refresh()
        now[0] += 1000
        assert not found.stale
