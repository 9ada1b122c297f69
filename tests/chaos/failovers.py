"""Masters that are killed, with and without what they have acknowledged, and masters that pause."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

from chaos.tally import Tally
from chaos.world import Field, World

__all__ = ["kill_master", "lose_acknowledged", "pause_master"]

FILES_PER_S = 40
BACKLOG = 150
WINDOW_S = 0.6
"""For how long commits are acknowledged that will be lost: well below the hold."""

TRIES = 3
"""Failovers for each that is to lose something: on a busy machine nothing may have been acknowledged meanwhile."""


def kill_master(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """A master is killed, and its replica takes its place."""
    for _ in range(times):
        field = world.field()
        shard = world.choice.choice(world.shards.find())
        with field.load(FILES_PER_S):
            time.sleep(world.choice.uniform(0.5, 1.0))
            world.shards.take_over(shard)
            tally.faults += 1
            time.sleep(0.2)
        yield field


def lose_acknowledged(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """The same, but the replica has nothing of what its master has acknowledged last: until so many have lost it."""
    for _ in range(TRIES * times):
        if tally.faults == times:
            break
        field = world.field()
        shard = world.choice.choice(world.shards.find())
        with field.load(FILES_PER_S), world.cluster.node(shard.master) as master:
            time.sleep(world.choice.uniform(0.5, 1.0))
            world.shards.cut_replication(shard)
            before = field.entries(master)
            time.sleep(WINDOW_S)
            gone = field.entries(master) - before
            world.shards.take_over(shard)
            tally.faults += bool(gone)
            tally.gone += len(gone)
            time.sleep(0.2)
        yield field


def pause_master(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """A master is stopped until its replica has taken its place, and then answers what it was asked before.

    Workers wait longer for an answer than the failover takes: else nobody would be there to be told a lie.  There are
    many files in work at once, so that some have an EXEC under way at that moment.
    """
    for _ in range(times):
        field = world.field()
        shard = world.choice.choice(world.shards.find())
        with field.load(FILES_PER_S):
            field.make_busy(BACKLOG)
            time.sleep(world.choice.uniform(0.0, 0.2))
            world.cluster.signal(shard.master, signal.SIGSTOP)
            world.shards.wait_for_master(shard.replica)
            time.sleep(world.choice.uniform(0.0, 0.5))
            world.cluster.signal(shard.master, signal.SIGCONT)
            tally.faults += 1
            time.sleep(0.2)
        yield field
