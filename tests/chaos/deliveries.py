"""Deliveries as bad as SQS may make them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from chaos.tally import Tally
from chaos.world import Field, World
from fleet import BUCKET

__all__ = ["lose_receives", "make_stale", "reorder", "send_ten_twice", "send_to_two", "send_twice"]

HOUR_S = 3600


def send_twice(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """The same message twice."""
    field = world.field()
    field.deliver(times, 2)
    tally.faults += times
    yield field


def send_to_two(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """The same object in two messages that differ: each also names another one."""
    field = world.field()
    keys = field.pieces(times + 1)
    for key, other in itertools.pairwise(keys):
        field.tell(key, other)
    tally.faults += times - 1
    yield field


def send_ten_twice(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """A message with ten records, twice; and some of the records twice in it."""
    field = world.field()
    for _ in range(times):
        keys = field.pieces(10)
        for _ in range(2):
            field.tell(*keys, *keys[:3])
        tally.faults += 1
    yield field


def reorder(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """The newest first, whatever the queue makes of that."""
    field = world.field()
    keys = field.pieces(times)
    for number, key in enumerate(keys):
        # All within the window of the ledger.
        found = field.cloud.objects[BUCKET, key]
        found.modified -= HOUR_S * (times - number) / times
    for key in reversed(keys):
        field.tell(key)
        tally.faults += 1
    yield field


def make_stale(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """A message is given to others while it is in work: what its first receiver has no longer deletes it."""
    field = world.field()
    before = world.cloud.counts["stale"]
    world.cloud.mischief.duplicate = 0.5
    field.deliver(times)
    yield field
    tally.faults += world.cloud.counts["stale"] - before


def lose_receives(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """The answer to a receive is lost: nobody works on what is in it until it is visible again."""
    field = world.field()
    before = world.cloud.counts["lose_receive"]
    world.cloud.mischief.lose_receive = 0.3
    field.deliver(times)
    yield field
    tally.faults += world.cloud.counts["lose_receive"] - before
