"""Shards that lose everything, slots that move, memory that is full."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from aws import CREDENTIALS
from chaos.tally import Tally
from chaos.world import Field, World, bucket_url
from fastfold.store import host_key, key_slot
from servers import wait_for
from shards import Shard
from slots import Slots

__all__ = ["empty_master", "fill_memory", "lose_shard", "move_slots"]

FILES_PER_S = 40
MOVED_AT_ONCE = 10
ROOM_BYTES = 20_000


def lose_shard(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """A master and its replica are killed, and both come back with nothing."""

    def lose(shard: Shard) -> None:
        for port in shard:
            world.cluster.server(port).kill()
        for port in shard:
            world.cluster.server(port).start()

    yield from _lose_all(world, tally, times, lose)


def empty_master(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """A master is killed and is back, with nothing, before anybody misses it; its replica follows it."""

    def lose(shard: Shard) -> None:
        server = world.cluster.server(shard.master)
        server.kill()
        server.start()

    yield from _lose_all(world, tally, times, lose)


def _lose_all(world: World, tally: Tally, times: int, lose: Callable[[Shard], None]) -> Iterator[Field]:
    for _ in range(times):
        field = world.field()
        field.deliver(30)
        # The lost states would be no loss if all of them were still to come.
        yield field
        shard = world.choice.choice([one for one in world.shards.find() if _holds_states(world, field, one)])
        before = field.counts()["rollbacks:empty"]
        applied = _applied(world, field)
        with field.load(FILES_PER_S):
            lose(shard)
            world.shards.heal()
            # Nothing is, where the replica was the faster one.
            gone = applied - _applied(world, field)
            if gone:
                wait_for(lambda: field.counts()["rollbacks:empty"] > before, "an alarm of the canary")  # noqa: B023
            tally.faults += bool(gone)
            tally.gone += len(gone)
            tally.note("alarms", field.counts()["rollbacks:empty"] - before)
            _replay(field)
        yield field


def _holds_states(world: World, field: Field, shard: Shard) -> bool:
    with world.cluster.node(shard.master) as master:
        return bool(field.entries(master))


def _applied(world: World, field: Field) -> set[tuple[bytes, object]]:
    """What the ledgers on all nodes say."""
    with world.shards.masters() as masters:
        return {entry for master in masters for entry in field.entries(master)}


def _replay(field: Field) -> None:
    settings = field.settings
    flags = ["--queue-url", settings.queue_url, "--endpoint-url", settings.endpoint_url, "--namespace"]
    subprocess.run(
        [sys.executable, "-m", "fastfold", "replay", bucket_url(), *flags, settings.namespace],
        env={**os.environ, **CREDENTIALS},
        check=True,
        capture_output=True,
        timeout=60,
    )


def move_slots(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """Slots of hosts go to another node, some keys at a time."""
    field = world.field()
    field.deliver(60)
    field.wait_for_rest()
    prefix = field.settings.namespace.encode()
    hosts = sorted({(tenant, host) for tenant, host, _ in field.truth.payloads()})
    with world.shards.masters() as masters, field.load(FILES_PER_S):
        slots = Slots(masters)
        for _ in range(times):
            slot = key_slot(host_key(*world.choice.choice(hosts), prefix))
            target = slots.another(slot)
            source = slots.begin_move(slot, target)
            while keys := slots.keys_of(source, slot)[:MOVED_AT_ONCE]:
                slots.move_keys(source, target, *keys)
                time.sleep(0.02)
            slots.move(slot, target)
            tally.faults += 1
    yield field


def fill_memory(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """No node takes a write any more, and then all do."""
    for _ in range(times):
        field = world.field()
        with world.shards.masters() as masters, ExitStack() as stack:
            for master in masters:
                stack.callback(master.config_set, "maxmemory", 0)
                master.config_set("maxmemory-policy", "noeviction")
            before = _refused(masters)
            with field.load(FILES_PER_S):
                for master in masters:
                    master.config_set("maxmemory", master.info("memory")["used_memory"] + ROOM_BYTES)
                wait_for(lambda: _refused(masters) > before + 10, "writes that are refused")  # noqa: B023
                time.sleep(world.choice.uniform(0.5, 1.5))
                stack.close()
            tally.faults += 1
            tally.note("writes refused", _refused(masters) - before)
        yield field


def _refused(masters: list[Any]) -> int:
    """How many commands were refused because the memory is full."""
    return sum(master.info("errorstats").get("errorstat_OOM", {}).get("count", 0) for master in masters)
