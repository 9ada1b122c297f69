"""Patterns, pace, and answers that only a script can bring about."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence

import pytest

from fastfold.config import Settings
from fastfold.errors import ConfigError, Unavailable
from fastfold.keyspace import SCAN_COUNT, Keyspace, Pace, state_pattern
from fastfold.resp import Node, RedisAddress
from fastfold.store import Command, Reply, ReplyError, host_key, process_key


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


@pytest.mark.parametrize("keys_per_s", [3.0, 40.0, 5000.0])
def test_a_pace_is_kept(keys_per_s: float) -> None:
    clock = Clock()
    pace = Pace(keys_per_s, lambda: clock.now, clock.sleep)
    done = 0
    while done < 1000:
        done += pace.step
        pace.spend(pace.step)
        clock.now += 0.0001
    assert (clock.now - 100) == pytest.approx(done / keys_per_s, rel=0.5 if keys_per_s > 1000 else 0.02)
    assert (clock.now - 100) >= done / keys_per_s * 0.999
    assert pace.step <= max(1, keys_per_s / 4)


def test_without_a_pace_nothing_is_waited_for() -> None:
    clock = Clock()
    pace = Pace(0.0, lambda: clock.now, clock.sleep)
    pace.spend(10**9)
    assert clock.now == 100
    assert pace.step == SCAN_COUNT


def test_a_pattern_finds_states_and_no_host_record() -> None:
    host = host_key("t", "h")
    for pattern in (state_pattern(b"ff:"), state_pattern(b"ff:", host)):
        assert fnmatch.fnmatchcase(process_key(host, "p").decode(), pattern.decode())
        assert not fnmatch.fnmatchcase(host.decode(), pattern.decode())
    assert not fnmatch.fnmatchcase(process_key(host_key("t", "i"), "p").decode(), state_pattern(b"ff:", host).decode())


def test_a_namespace_is_taken_as_it_is() -> None:
    assert state_pattern(rb"a*[b]?\ ").startswith(rb"a\*\[b\]\?\\ {")
    assert re.fullmatch(rb"x\{\?{11}\}\?{11}", state_pattern(b"x"))


Answer = Callable[[Node, Command], Reply]


class Scripted:
    """A connection to a server that answers as told."""

    def __init__(self, node: Node, answer: Answer) -> None:
        self._node = node
        self._answer = answer
        self._replies: list[Reply] = []
        self.closed = False

    def send(self, commands: Sequence[Command]) -> None:
        self._replies += [self._answer(self._node, command) for command in commands]

    def read(self, count: int) -> list[Reply]:
        replies, self._replies = self._replies[:count], self._replies[count:]
        return replies

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], Keyspace]:
    """Makes a key space of a single server that answers as told."""

    def make(answer: Answer) -> Keyspace:
        address = RedisAddress.from_url("redis://a?cluster=no")
        connector = (address, lambda node: Scripted(node, answer))
        monkeypatch.setattr("fastfold.keyspace.redis_connector", lambda settings: connector)
        return Keyspace(Settings(redis_url="redis://a?cluster=no"))

    return make


def test_a_key_that_scan_gives_twice_is_given_once(script: Callable[[Answer], Keyspace]) -> None:
    pages = {b"0": [b"7", [b"a", b"b", b"a"]], b"7": [b"9", []], b"9": [b"0", [b"b", b"c"]]}

    def answer(node: Node, command: Command) -> Reply:
        assert command[0] == b"SCAN"
        return pages[command[1]]  # type: ignore[return-value]

    assert list(script(answer).pages(b"*")) == [[b"a", b"b"], [b"c"]]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (ReplyError("LOADING Redis is loading the dataset in memory"), Unavailable),
        (ReplyError("NOPERM no permissions to run the 'scan' command"), ConfigError),
        (ReplyError("NOAUTH Authentication required."), ConfigError),
        (b"OK", Unavailable),
        ([b"0"], Unavailable),
    ],
    ids=repr,
)
def test_an_answer_that_is_none(script: Callable[[Answer], Keyspace], reply: Reply, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(script(lambda node, command: reply).pages(b"*"))


def test_a_moved_key_that_is_nowhere_is_given_up(script: Callable[[Answer], Keyspace]) -> None:
    with pytest.raises(Unavailable, match="1 keys keep moving between nodes"):
        script(lambda node, command: ReplyError("MOVED 1 b:6379")).get(b"x")


def test_a_key_that_is_no_string_does_not_hide_the_others(script: Callable[[Answer], Keyspace]) -> None:
    def answer(node: Node, command: Command) -> Reply:
        return ReplyError("WRONGTYPE Operation against a key") if command[1] == b"list" else command[1]

    found = script(answer).get_many([b"x", b"list", b"y"])
    assert (found[0], found[2]) == (b"x", b"y")
    assert "not a string" in str(found[1])


def test_a_connection_that_broke_is_not_used_again(script: Callable[[Answer], Keyspace]) -> None:
    asked: list[Command] = []

    def answer(node: Node, command: Command) -> Reply:
        asked.append(command)
        if len(asked) == 1:
            raise Unavailable(str(node), "receive: timed out")
        return b"new"

    keyspace = script(answer)
    with pytest.raises(Unavailable):
        keyspace.get(b"x")
    assert keyspace.get(b"x") == b"new"


def test_no_keys_need_no_question(script: Callable[[Answer], Keyspace]) -> None:
    def answer(node: Node, command: Command) -> Reply:
        raise AssertionError(command)

    assert script(answer).get_many([]) == []
