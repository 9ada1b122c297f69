"""Workers that die, and workers that are frozen."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

from chaos.tally import Tally
from chaos.world import Field, World
from servers import wait_for

__all__ = ["freeze", "kill"]

BACKLOG = 30


def kill(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """SIGKILL a worker at a random moment of its work."""
    field = world.field()
    for _ in range(times):
        at_work(field, 1)
        field.make_busy(BACKLOG)
        time.sleep(world.choice.uniform(0.0, 0.1))
        os.kill(world.choice.choice(at_work(field, 1)), signal.SIGKILL)
        tally.faults += 1
    yield field


def at_work(field: Field, least: int) -> list[int]:
    """Wait for so many workers that have begun to work; one that lost a connection has not, until it has another."""
    found: list[int] = []

    def are_enough() -> bool:
        found[:] = field.working()
        return len(found) >= least

    wait_for(are_enough, "workers at work")
    return found


def freeze(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """SIGSTOP two workers until what they have was given to others, then SIGCONT."""
    field = world.field()
    for _ in range(times):
        at_work(field, 2)
        field.make_busy(BACKLOG)
        time.sleep(world.choice.uniform(0.0, 0.1))
        frozen = world.choice.sample(at_work(field, 2), 2)
        before = world.cloud.counts["redelivered"]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: world.cloud.counts["redelivered"] > before, "messages that others receive")  # noqa: B023
        time.sleep(world.choice.uniform(0.0, 0.5))
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        tally.faults += 1
    yield field
