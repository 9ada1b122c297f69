"""A master cut off together with a part of the workers, which go on for a while as if nothing had happened.

One node and one pod are in a network namespace.  Two links lead there: one between Redis and its clients, which is
cut, and one to S3 and SQS, which stays, as it would between data centres of one region.  The cut is silent: packets
are sent to a hardware address that nobody has.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import redis

from chaos.pod import PodPlace
from chaos.tally import Tally
from chaos.world import NODE_OPTIONS, NODE_TIMEOUT_MS, Field, World
from servers import MASTERS, Place, RedisCluster
from shards import Shard
from sqs import Cloud

__all__ = ["obstacle", "part"]

FILES_PER_S = 40
NOBODY = "02:ff:ff:ff:ff:ff"


def _ip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def obstacle() -> str:
    """Why there can be no network namespace here; empty if there can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need ip (iproute2)"
    name = f"fastfold-try-{os.getpid()}"
    try:
        _ip("netns", "add", name)
        _ip("netns", "del", name)
    except subprocess.CalledProcessError as error:
        return f"network namespaces are not allowed: {error.stderr.strip()}"
    return ""


class Link:
    """Two ends with an address each, one of them in a namespace."""

    def __init__(self, namespace: str, name: str, network: str) -> None:
        self.here, self.there = f"{network}.1", f"{network}.2"
        self._namespace, self._name = namespace, name
        self._macs = {
            end: f"02:{os.getpid() % 250:02x}:{os.getpid() // 250 % 250:02x}:{len(name):02x}:{ord(name[-1]):02x}:0{end}"
            for end in (1, 2)
        }
        _ip(
            "link",
            "add",
            f"{name}1",
            "address",
            self._macs[1],
            "type",
            "veth",
            "peer",
            f"{name}2",
            "address",
            self._macs[2],
            "netns",
            namespace,
        )
        _ip("address", "add", f"{self.here}/30", "dev", f"{name}1")
        _ip("-n", namespace, "address", "add", f"{self.there}/30", "dev", f"{name}2")
        _ip("link", "set", f"{name}1", "up")
        _ip("-n", namespace, "link", "set", f"{name}2", "up")

    def close(self) -> None:
        """Take both ends away; a namespace that is deleted takes its own away only some time later."""
        _ip("link", "delete", f"{self._name}1")

    def cut(self) -> None:
        """Lose every packet from now on."""
        self._point(NOBODY, NOBODY)

    def heal(self) -> None:
        """Let packets arrive."""
        self._point(self._macs[1], self._macs[2])

    def _point(self, here: str, there: str) -> None:
        _ip("neigh", "replace", self.there, "lladdr", there, "dev", f"{self._name}1", "nud", "permanent")
        _ip(
            "-n",
            self._namespace,
            "neigh",
            "replace",
            self.here,
            "lladdr",
            here,
            "dev",
            f"{self._name}2",
            "nud",
            "permanent",
        )


@contextlib.contextmanager
def _parted(world: World) -> Iterator[tuple[World, Link, str]]:
    """A world of which one master and one pod are behind a link; and an address of that master that stays in reach."""
    number = os.getpid() % 250
    namespace = f"fastfold-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        _ip("netns", "add", namespace)
        stack.callback(_ip, "netns", "del", namespace)
        _ip("-n", namespace, "link", "set", "lo", "up")
        link = stack.enter_context(contextlib.closing(Link(namespace, f"ffr{number}-", f"10.213.{number}")))
        aside = stack.enter_context(contextlib.closing(Link(namespace, f"ffa{number}-", f"10.214.{number}")))
        inside = ("ip", "netns", "exec", namespace)
        places = [Place(link.there, (aside.there,), inside)] + [Place(link.here)] * (2 * MASTERS - 1)
        cluster = RedisCluster(
            node_timeout_ms=NODE_TIMEOUT_MS, more=(*NODE_OPTIONS, "--protected-mode", "no"), places=places
        )
        parted = World(
            world.files,
            world.seed,
            cluster=cluster,
            cloud=Cloud(world.seed, aside.here),
            places=(PodPlace((), link.here, 2), PodPlace(inside, aside.there, 2)),
        )
        parted.variant = world.variant
        stack.enter_context(contextlib.closing(parted))
        yield parted, link, aside.there


def part(world: World, tally: Tally, times: int) -> Iterator[Field]:
    """Cut a master off with a client of it, until its replica has taken its place and for a while longer."""
    world.end_field()
    with _parted(world) as (parted, link, aside):
        port = parted.cluster.ports[0]
        before = parted.counts()
        for _ in range(times):
            field = parted.field(redis_timeout_s=1.0)
            shard = next(one for one in parted.shards.find() if port in one)
            if shard.master != port:
                _swap(parted, shard)
                shard = Shard(port, shard.master)
            with field.load(FILES_PER_S):
                time.sleep(parted.choice.uniform(0.5, 1.0))
                link.cut()
                try:
                    parted.shards.wait_for_master(shard.replica)
                    time.sleep(parted.choice.uniform(0.0, 0.5))
                    lost = _bytes_lost(redis.Redis(aside, port), parted.cluster.node(shard.replica))
                finally:
                    link.heal()
                tally.faults += 1
                tally.note("failovers that lost writes", lost > 0)
                tally.note("bytes lost", lost)
                time.sleep(0.2)
            yield field
            if tally.wrong:
                break
        parted.end_field()
        world.total.update(parted.counts() - before)


def _swap(world: World, shard: Shard) -> None:
    """Let the replica of a shard be its master, in order."""
    with world.cluster.node(shard.replica) as node:
        node.execute_command("CLUSTER", "FAILOVER")
    world.shards.wait_for_master(shard.replica)
    world.shards.heal()


def _bytes_lost(old: Any, new: Any) -> int:
    """How much the old master has written that the new one never had."""
    with contextlib.closing(old), contextlib.closing(new):
        taken_at = int(new.info("replication")["second_repl_offset"])
        return max(0, int(old.info("replication")["master_repl_offset"]) + 1 - taken_at)
