"""Several connections to one node that take turns: when, in which order, and what of it others would notice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from committing import NEVER, a_batch, a_committer, count_of, deltas, memory_connect, payload, state_key
from fastfold.commit import Committer
from fastfold.errors import Unavailable
from fastfold.resp import Node
from fastfold.store import Command, Connection, MemoryStore, Reply, host_key
from fastfold.types import HostDeltas

HOSTS = [str(number) for number in range(12)]
Step = tuple[int, str]


class Wires:
    """The connections that a committer opens, by number, and what goes over them, in this order."""

    def __init__(self) -> None:
        self.store = MemoryStore(lambda: 0.0)
        self.opened = 0
        self.steps: list[tuple[int, str]] = []
        self.watched: dict[int, list[bytes]] = {}
        self.before: Callable[[int, Sequence[Command]], None] = lambda number, commands: None
        self.lost: Callable[[int], bool] = lambda number: False

    def connect(self, node: Node) -> Connection:
        self.opened += 1
        return Wire(self, self.opened, self.store.connect())

    def committer(self, **settings: Any) -> Committer:
        return a_committer(self.connect, **{"tracks": 2, "track_groups": 4} | settings)

    def work(self) -> list[Step]:
        """What was sent and read after the connections were made ready."""
        return [step for step in self.steps if step[1] != "probe"]

    def counts(self) -> dict[bytes, int]:
        return {key: count_of(value) for key, value in self.store.snapshot().items() if not key.endswith(b"}")}


class Wire:
    def __init__(self, wires: Wires, number: int, inner: Connection) -> None:
        self._wires, self._number, self._inner = wires, number, inner
        self._probe = True

    def send(self, commands: Sequence[Command]) -> None:
        wires, number = self._wires, self._number
        wires.before(number, commands)
        self._probe = len(commands) == 2
        wires.steps.append((number, "probe" if self._probe else "send"))
        wires.watched.setdefault(number, []).extend(command[1] for command in commands if command[0] == b"WATCH")
        self._inner.send(commands)

    def read(self, count: int) -> list[Reply]:
        if not self._probe:
            self._wires.steps.append((self._number, "read"))
        if self._wires.lost(self._number):
            raise Unavailable("n:1", "cut")
        return self._inner.read(count)

    def close(self) -> None:
        self._inner.close()


@pytest.fixture
def wires() -> Wires:
    return Wires()


def all_once(wires: Wires, hosts: Sequence[str] = HOSTS) -> bool:
    return wires.counts() == {state_key(host, "p"): 1 for host in hosts}


def test_while_the_replies_of_one_are_on_their_way_the_other_is_worked_on(wires: Wires) -> None:
    wires.committer().commit([deltas(host, "p") for host in HOSTS], a_batch(1), NEVER)
    assert wires.opened == 2
    assert wires.work()[:8] == [
        (1, "send"),
        (2, "send"),
        (1, "read"),
        (1, "send"),
        (2, "read"),
        (2, "send"),
        (1, "read"),
        (1, "read"),
    ]
    assert all_once(wires)


def test_they_share_what_waits(wires: Wires) -> None:
    wires.committer().commit([deltas(host, "p") for host in HOSTS], a_batch(1), NEVER)
    keys = [host_key("", host) for host in HOSTS]
    assert wires.watched == {1: keys[::2], 2: keys[1::2]}


def test_what_is_sent_to_a_half_is_sent_together(wires: Wires) -> None:
    wires.committer(tracks=4, track_groups=3).commit([deltas(host, "p") for host in HOSTS], a_batch(1), NEVER)
    assert wires.opened == 4
    sends = [(number, "send") for number in (1, 2, 3, 4)]
    assert wires.work()[:12] == [
        *sends,
        *[(1, "read"), (2, "read"), *sends[:2]],
        *[(3, "read"), (4, "read"), *sends[2:]],
    ]
    keys = [host_key("", host) for host in HOSTS]
    assert wires.watched == {number: keys[number - 1 :: 4] for number in (1, 2, 3, 4)}
    assert all_once(wires)


@pytest.mark.parametrize(
    ("hosts", "states", "connections"),
    [(1, 1, 1), (15, 1, 1), (16, 1, 2), (16, 16, 2), (16, 17, 1), (24, 1, 3), (32, 1, 4), (200, 1, 4), (100, 17, 1)],
)
def test_only_many_small_groups_are_worth_several(wires: Wires, hosts: int, states: int, connections: int) -> None:
    processes = [str(number) for number in range(states)]
    a_committer(wires.connect).commit([deltas(str(number), processes) for number in range(hosts)], a_batch(1), NEVER)
    assert wires.opened == connections


@pytest.mark.parametrize(("tracks", "connections"), [(1, 1), (2, 2), (3, 3), (8, 3)])
def test_how_many_is_a_setting(wires: Wires, tracks: int, connections: int) -> None:
    committer = wires.committer(tracks=tracks, track_groups=1, track_states=2)
    committer.commit([deltas(host, "pq") for host in "abc"], a_batch(1), NEVER)
    assert wires.opened == connections


@pytest.mark.parametrize("tracks", [2, 4])
def test_chunks_of_one_host_are_never_on_two(wires: Wires, monkeypatch: pytest.MonkeyPatch, tracks: int) -> None:
    """They write one host record: one would make the other's EXEC answer nil."""
    monkeypatch.setattr("fastfold.ledger.CHUNK_PROCESSES", 2)
    large = deltas("large", (str(number) for number in range(60)))
    committer = wires.committer(tracks=tracks)
    result = committer.commit([large, *(deltas(host, "p") for host in HOSTS)], a_batch(1), NEVER)
    assert wires.opened == tracks
    assert result.conflicts == 0
    assert set(wires.counts().values()) == {1}
    assert len(wires.counts()) == 72


def test_one_host_alone_goes_over_the_first(wires: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastfold.ledger.CHUNK_PROCESSES", 1)
    processes = [str(number) for number in range(20)]
    result = wires.committer().commit([deltas("large", processes)], a_batch(1), NEVER)
    assert (result.conflicts, result.processes) == (0, 20)
    assert wires.watched.get(2, []) == []


def test_a_conflict_waits_its_time_while_others_are_served(wires: Wires) -> None:
    """It does not hold them up, and is begun behind one of them as soon as its time has come."""
    other = a_committer(memory_connect(wires.store))
    now = [0.0]
    left = [1]

    def before(number: int, commands: Sequence[Command]) -> None:
        now[0] += 0.001
        if left[0] and any(command[:2] == (b"SETEX", host_key("", "a")) for command in commands):
            left[0] = 0
            other.commit([deltas("a", "p")], a_batch("other"), NEVER)

    wires.before = before
    names = ["a", *HOSTS[:6]]
    slept: list[float] = []
    committer = wires.committer(clock=lambda: now[0], sleep=slept.append)
    result = committer.commit([deltas(name, "p") for name in names], a_batch(1), NEVER)
    assert result.conflicts == 1
    assert slept == []
    first, again = (place for place, key in enumerate(wires.watched[1]) if key == host_key("", "a"))
    assert first == 0
    assert 1 < again <= len(names)


@pytest.mark.parametrize("at", range(1, 30))
@pytest.mark.parametrize(("tracks", "number"), [(2, 1), (2, 2), (4, 1), (4, 2), (4, 4)])
def test_when_one_breaks_all_are_given_up_and_nothing_is_lost_or_doubled(
    wires: Wires, tracks: int, number: int, at: int
) -> None:
    reads = [0] * (tracks + 1)

    def lost(which: int) -> bool:
        # After the server has done all that it was sent.
        reads[min(which, tracks)] += 1
        return which == number and reads[which] == at

    wires.lost = lost
    committer = wires.committer(tracks=tracks, track_groups=3)
    result = committer.commit([deltas(host, "p") for host in HOSTS], a_batch(1), NEVER)
    assert all_once(wires)
    if result.retries:
        assert result.retries == 1
        assert wires.opened > tracks
    else:
        assert reads[number] < at


def test_each_vouches_for_what_went_over_it(wires: Wires) -> None:
    committer = wires.committer(hold_single_s=1.0)
    result = committer.commit([deltas(host, "p") for host in HOSTS], a_batch(1), NEVER)
    keys = {tuple(entry.key for entry in trace.entries) for trace in result.traces}
    assert keys == {(host_key("", HOSTS[-2]),), (host_key("", HOSTS[-1]),)}
    assert committer.verify([result.traces]) == [True]
    wires.lost = lambda number: number == 2
    assert committer.verify([result.traces]) == [False]
    wires.lost = lambda number: False
    assert committer.verify([result.traces]) == [False], "a connection that is opened anew vouches for nothing before"


def test_the_same_bytes_as_over_one(wires: Wires) -> None:
    alone = Wires()
    for number in range(5):
        for one, tracks in ((wires, 2), (alone, 1)):
            one.committer(tracks=tracks).commit(
                [deltas(host, "pqr"[number % 3 :]) for host in HOSTS], a_batch(number), NEVER
            )
    assert wires.store.snapshot() == alone.store.snapshot()
    assert wires.opened == 10
    assert alone.opened == 5


def test_a_host_whose_key_clashes_does_not_hold_up_the_other_track(
    wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastfold.group.state_keys", lambda host, processes: [host + b"AAAAAAAAAAA" for _ in processes])
    clash = HostDeltas("", "clash", ["p", "q"], [payload("clash", "p"), payload("clash", "q")])
    hosts = [clash, *(deltas(host, "p") for host in HOSTS)]
    with pytest.raises(Exception, match="clash"):
        wires.committer().commit(hosts, a_batch(1), NEVER)
    assert {key for key in wires.store.snapshot() if not key.endswith(b"}")} == {
        host_key("", host) + b"AAAAAAAAAAA" for host in HOSTS
    }
