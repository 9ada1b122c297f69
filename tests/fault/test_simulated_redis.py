"""The simulated Redis answers as a real one was seen to: what a worker may rely on, and what it may not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from unittest.mock import patch

import pytest

from fastfold import store, topology
from fastfold.errors import Unavailable
from fastfold.store import Command, Reply, ReplyError, key_slot
from simulation.redis_fleet import FAILOVERS, SLOTS, Fleet
from simulation.redis_node import Link, NetworkFaults
from simulation.scheduler import Process, World

KEY, OTHER = b"ff:{a}", b"ff:{a}p"


@pytest.fixture(autouse=True)
def _few_slots() -> Iterator[None]:
    with patch.object(store, "SLOTS", SLOTS), patch.object(topology, "SLOTS", SLOTS):
        yield


def setex(key: bytes, value: bytes = b"v", ttl_s: int = 100) -> Command:
    return (b"SETEX", key, b"%d" % ttl_s, value)


class Scene:
    """A world with one client."""

    def __init__(self, shards: int = 2, seed: int = 1, **faults: float) -> None:
        self.world = World(seed)
        self.faults = NetworkFaults(**faults)
        self.fleet = Fleet(self.world, shards, self.faults, timeout_s=3.0, connect_timeout_s=1.0)
        self.process = Process(self.world, "client")
        self.home = self.fleet.owners[key_slot(KEY)]
        self.away = next((shard for shard in self.fleet.shards if shard is not self.home), self.home)

    def play(self, play: Callable[[], None]) -> None:
        """Run the steps of the client to their end."""
        ended: list[bool] = []

        def run() -> None:
            play()
            ended.append(True)

        self.world.start(self.process, "main", run)
        self.world.run(lambda: bool(ended), 1000)
        self.world.close()

    def link(self, at_home: bool = True) -> Link:
        return self.fleet.connect(self.process, (self.home if at_home else self.away).master.node)


def ask(link: Link, *commands: Command) -> list[Reply]:
    link.send(commands)
    return link.read(len(commands))


def code(reply: Reply) -> str:
    assert isinstance(reply, ReplyError)
    return reply.code


def test_keys_of_two_slots_are_refused_together() -> None:
    scene = Scene()

    def play() -> None:
        other = next(b"ff:{%d}" % n for n in range(99) if key_slot(b"{%d}" % n) != key_slot(KEY))
        assert code(ask(scene.link(), (b"WATCH", KEY, other))[0]) == "CROSSSLOT"
        assert code(ask(scene.link(at_home=False), (b"GET", KEY))[0]) == "MOVED"

    scene.play(play)


@pytest.mark.parametrize("meanwhile", ["rewritten", "expired", "nothing"])
def test_a_watched_key_that_changes_makes_exec_nil(meanwhile: str) -> None:
    scene = Scene(shards=0)

    def play() -> None:
        link = scene.link()
        ask(link, setex(KEY, b"v", 5), (b"WATCH", KEY))
        if meanwhile == "rewritten":
            ask(scene.link(), setex(KEY, b"v", 5))
        if meanwhile == "expired":
            scene.world.sleep(6)
        done = ask(link, (b"MULTI",), setex(KEY, b"w"), (b"EXEC",))[-1]
        assert done == ([b"OK"] if meanwhile == "nothing" else None)

    scene.play(play)


def _begin_move(scene: Scene, keys: Sequence[bytes]) -> None:
    """Move some of the keys of a slot, and leave the move there."""
    scene.fleet._move_on = lambda *_: None  # type: ignore[method-assign]
    scene.fleet.move_slot(key_slot(KEY), scene.away)
    for key in keys:
        scene.away.master.store.put(key, b"v", 100)
        scene.home.master.store.put(key, b"", 0)


def test_a_slot_on_the_move_is_served_key_by_key() -> None:
    scene = Scene()

    def play() -> None:
        source, target = scene.link(), scene.link(at_home=False)
        ask(source, setex(KEY), setex(OTHER))
        ask(source, (b"WATCH", KEY))
        _begin_move(scene, [KEY])
        assert code(ask(source, (b"GET", KEY))[0]) == "ASK"
        assert code(ask(source, (b"WATCH", KEY, OTHER))[0]) == "TRYAGAIN"
        assert ask(source, (b"GET", OTHER)) == [b"v"]
        assert code(ask(target, (b"GET", KEY))[0]) == "MOVED"
        assert ask(target, (b"ASKING",), (b"GET", KEY)) == [b"OK", b"v"]
        # For one command only; before MULTI, for all of the transaction.
        assert code(ask(target, (b"ASKING",), (b"GET", KEY), (b"GET", KEY))[2]) == "MOVED"
        assert ask(target, (b"ASKING",), (b"MULTI",), setex(KEY, b"w"), (b"EXEC",))[-1] == [b"OK"]
        assert [code(reply) for reply in ask(source, (b"MULTI",), setex(KEY), (b"EXEC",))[1:]] == ["ASK", "EXECABORT"]

    scene.play(play)


def test_an_exec_after_the_slot_has_moved_is_refused() -> None:
    scene = Scene()

    def play() -> None:
        link = scene.link()
        ask(link, (b"WATCH", KEY), (b"MULTI",), setex(KEY))
        scene.fleet.move_slot(key_slot(KEY), scene.away)
        scene.world.sleep(60)
        assert code(ask(link, (b"EXEC",))[0]) == "MOVED"
        assert scene.fleet.snapshot() == {}

    scene.play(play)


@pytest.mark.parametrize("shards", [0, 2])
@pytest.mark.parametrize("how", FAILOVERS)
@pytest.mark.parametrize("window_s", [0.0, 5.0])
def test_a_failover_loses_what_is_in_its_window_and_nothing_else(shards: int, how: str, window_s: float) -> None:
    lost = 0
    for seed in range(12):
        scene = Scene(shards, seed, latency_s=0.05)

        def play(scene: Scene = scene) -> None:
            nonlocal lost
            world, fleet = scene.world, scene.fleet
            node = scene.home.master.node
            link: Link | None = scene.link()
            acknowledged: list[tuple[float, bytes]] = []
            starts_at = world.now + 10
            world.call_at(starts_at, lambda: fleet.fail_over(scene.home, how, window_s, [scene.process]))
            answered_at = starts_at
            while world.now < starts_at + 30:
                key = KEY + b"%d" % len(acknowledged)
                try:
                    link = link or fleet.connect(scene.process, node)
                    if ask(link, setex(key, ttl_s=1000)) == [b"OK"]:
                        acknowledged.append((world.now, key))
                        if link.server.node == node:
                            answered_at = max(answered_at, world.now)
                except Unavailable:
                    link = None
                world.sleep(0.1)
            world.sleep(60)
            gone = [at for at, key in acknowledged if key not in fleet.snapshot()]
            lost += len(gone)
            assert len(gone) <= fleet.lost
            # From the first that is lost to the last answer of the old master: no longer than the window.
            assert not gone or answered_at - min(gone) <= window_s + 0.2

        scene.play(play)
    if how == "planned" or not window_s:
        assert lost == 0
    # A single Redis that was paused is not found under its name any more: only who is connected still may lose.
    elif how != "paused" or shards:
        assert lost > 0


def test_what_was_sent_before_a_client_closed_is_carried_out() -> None:
    scene = Scene(shards=0, latency_s=0.5)

    def play() -> None:
        link = scene.link()
        link.send([(b"MULTI",), setex(KEY), (b"EXEC",)])
        link.close()
        with pytest.raises(Unavailable):
            link.send([(b"GET", KEY)])
        scene.world.sleep(2)
        assert KEY in scene.fleet.snapshot()

    scene.play(play)


def test_a_packet_that_is_cut_arrives_in_part() -> None:
    written = set()
    for seed in range(60):
        scene = Scene(0, seed, cut=1.0)

        def play(scene: Scene = scene) -> None:
            link = scene.link()
            link.send([setex(KEY), (b"MULTI",), setex(OTHER), (b"EXEC",)])
            with pytest.raises(Unavailable):
                link.read(5)  # one more than there can be
            scene.world.sleep(2)
            written.add(len(scene.fleet.snapshot()))

        scene.play(play)
    assert written == {0, 1, 2}
