"""Ways to bring the deltas of a batch into the states of Redis: one process of the benchmark runs one of them.

Every way does the whole job with the same code of fastfold between its replies and its commands: it looks at
the ledger, decompresses, merges, compresses.  What differs is how the commands get to the server and the
replies back.  So all must leave the same bytes in Redis, and the parent compares them.

    python bench/commit_ways.py WAY URL INPUT PROCESSES_PER_HOST ROUNDS
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import pickle
import random
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from fastfold._core import Plan, merge_group
from fastfold.commit import CommitSettings, Committer
from fastfold.group import Group, HostWork
from fastfold.resp import Connector, RedisAddress
from fastfold.schema import load_definition
from fastfold.store import Command, Reply, batch_id
from fastfold.topology import Nodes
from fastfold.transaction import Transactions, Write
from fastfold.types import BatchId, HostDeltas, Limits

__all__ = ["WAYS", "Way", "make_plan"]

TASKS = 16
"""Of the way with asyncio."""

SETTINGS = CommitSettings(hold_s=0.0)


def make_plan() -> Plan:
    """To fold and merge with; events are never parsed here."""
    return Plan(None, load_definition("process"), Limits())


class Way(ABC):
    """A way, from its connection to the server until `close`."""

    def __init__(self, url: str, plan: Plan) -> None:
        self.address = RedisAddress.from_url(url)
        self.node = self.address.seeds[0]
        self.merge = partial(merge_group, plan)
        self.transactions = Transactions(SETTINGS, self.merge)

    @abstractmethod
    def commit(self, hosts: list[HostDeltas], batch: BatchId) -> None:
        """Apply a batch."""

    def writes(self, group: Group, batch: BatchId, replies: list[Reply]) -> list[Command]:
        """The SETEX of a group, from the values of its keys."""
        decision = self.transactions.decide(group, batch, [b"OK", *replies])
        assert isinstance(decision, Write)
        return decision.commands

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""


class OneByOne(Way):
    """A way that commits each group by itself."""

    def commit(self, hosts: list[HostDeltas], batch: BatchId) -> None:
        for group in groups_of(hosts):
            self.commit_group(group, batch)

    @abstractmethod
    def commit_group(self, group: Group, batch: BatchId) -> None:
        """Apply a batch to one group."""


def groups_of(hosts: Iterable[HostDeltas]) -> Iterable[Group]:
    for host in hosts:
        yield from HostWork(host, SETTINGS.namespace).cut()


class Fastfold(Way):
    def __init__(self, url: str, plan: Plan) -> None:
        super().__init__(url, plan)
        nodes = Nodes(self.address, Connector(self.address), random.random)
        self.committer = Committer(nodes, self.merge, SETTINGS)

    def commit(self, hosts: list[HostDeltas], batch: BatchId) -> None:
        result = self.committer.commit(hosts, batch, float("inf"))
        assert (result.conflicts, result.retries, result.hosts) == (0, 0, len(hosts))

    def close(self) -> None:
        self.committer.close()


class Floor(OneByOne):
    """GET and SETEX without a transaction: what no way can be cheaper than, and none may do."""

    def __init__(self, url: str, plan: Plan) -> None:
        super().__init__(url, plan)
        self.connection = Connector(self.address)(self.node)

    def commit_group(self, group: Group, batch: BatchId) -> None:
        reads = group.reads()[1:]
        self.connection.send(reads)
        writes = self.writes(group, batch, self.connection.read(len(reads)))
        self.connection.send(writes)
        self.connection.read(len(writes))

    def close(self) -> None:
        self.connection.close()


class OwnSocket(Floor):
    """A socket and hiredis, two round trips for each host."""

    def commit_group(self, group: Group, batch: BatchId) -> None:
        reads = group.reads()
        self.connection.send(reads)
        writes = self.writes(group, batch, self.connection.read(len(reads))[1:])
        self.connection.send([(b"MULTI",), *writes, (b"EXEC",)])
        assert isinstance(self.connection.read(len(writes) + 2)[-1], list)


class RedisPy(OneByOne):
    def __init__(self, url: str, plan: Plan) -> None:
        super().__init__(url, plan)
        import redis

        self.client: Any = redis.Redis(self.node.host, self.node.port)

    def close(self) -> None:
        self.client.close()


class RedisPyPipeline(RedisPy):
    """As the manual of redis-py shows it: WATCH, GET one by one, MULTI, the writes, EXEC."""

    def commit_group(self, group: Group, batch: BatchId) -> None:
        commands = group.reads()
        with self.client.pipeline(transaction=True) as pipe:
            pipe.watch(*commands[0][1:])
            writes = self.writes(group, batch, [pipe.get(key) for _, key in commands[1:]])
            pipe.multi()
            for write in writes:
                pipe.execute_command("SETEX", *write[1:])
            pipe.execute()


class RedisPySingly(RedisPyPipeline):
    """The same with a transaction for each process, and without a ledger."""

    def commit(self, hosts: list[HostDeltas], batch: BatchId) -> None:
        for group in groups_of(hosts):
            group.reads()
            for key, delta in zip(group.keys, group.host.deltas.payloads, strict=True):
                self._commit_one(key, delta, (group.host.deltas.tenant, group.host.deltas.host))

    def _commit_one(self, key: bytes, delta: bytes, host: tuple[str, str]) -> None:
        codec = self.transactions.codec
        with self.client.pipeline(transaction=True) as pipe:
            pipe.watch(key)
            merged = self.merge(codec.unpack_all([pipe.get(key)], [key], host), [delta])
            pipe.multi()
            pipe.execute_command("SETEX", key, SETTINGS.state_ttl_s, *codec.pack_all(merged))
            pipe.execute()


class RedisPyPacked(RedisPy):
    """A connection of redis-py, with packets made by hand: two round trips for each host."""

    def __init__(self, url: str, plan: Plan) -> None:
        super().__init__(url, plan)
        self.connection = self.client.connection_pool.get_connection()

    def commit_group(self, group: Group, batch: BatchId) -> None:
        connection = self.connection
        reads = group.reads()
        connection.send_packed_command(connection.pack_commands(reads))
        writes = self.writes(group, batch, [connection.read_response() for _ in reads][1:])
        connection.send_packed_command(connection.pack_commands([("MULTI",), *writes, ("EXEC",)]))
        replies = [connection.read_response() for _ in range(len(writes) + 2)]
        assert isinstance(replies[-1], list)


class RedisPyCluster(RedisPyPipeline):
    def __init__(self, url: str, plan: Plan) -> None:
        Way.__init__(self, url, plan)
        import redis

        self.client = redis.RedisCluster(self.node.host, self.node.port)


class RedisPyAsyncio(Way):
    """redis.asyncio, hosts dealt to tasks."""

    def __init__(self, url: str, plan: Plan) -> None:
        super().__init__(url, plan)
        import redis.asyncio

        self.loop = asyncio.new_event_loop()
        self.client: Any = redis.asyncio.Redis(host=self.node.host, port=self.node.port, max_connections=TASKS)

    def commit(self, hosts: list[HostDeltas], batch: BatchId) -> None:
        self.loop.run_until_complete(self._commit_all(hosts, batch))

    async def _commit_all(self, hosts: list[HostDeltas], batch: BatchId) -> None:
        groups = iter(list(groups_of(hosts)))

        async def work() -> None:
            for group in groups:
                await self._commit_one(group, batch)

        await asyncio.gather(*[work() for _ in range(TASKS)])

    async def _commit_one(self, group: Group, batch: BatchId) -> None:
        commands = group.reads()
        async with self.client.pipeline(transaction=True) as pipe:
            await pipe.watch(*commands[0][1:])
            writes = self.writes(group, batch, [await pipe.get(key) for _, key in commands[1:]])
            pipe.multi()
            for write in writes:
                pipe.execute_command("SETEX", *write[1:])
            await pipe.execute()

    def close(self) -> None:
        self.loop.run_until_complete(self.client.aclose())
        self.loop.close()


WAYS: dict[str, type[Way]] = {
    "fastfold": Fastfold,
    "floor": Floor,
    "own socket": OwnSocket,
    "redis-py pipeline": RedisPyPipeline,
    "redis-py singly": RedisPySingly,
    "redis-py packed": RedisPyPacked,
    "redis-py asyncio": RedisPyAsyncio,
    "redis-py cluster": RedisPyCluster,
}


class Server:
    """The masters, seen with redis-py."""

    def __init__(self, url: str) -> None:
        import redis

        seed = RedisAddress.from_url(url).seeds[0]
        client: Any = redis.Redis(seed.host, seed.port)
        self._nodes: list[Any] = [client]
        if client.info("cluster")["cluster_enabled"]:
            cluster: Any = redis.RedisCluster(seed.host, seed.port)
            self._nodes = [cluster.get_redis_connection(node) for node in cluster.get_primaries()]

    def clear(self) -> None:
        for node in self._nodes:
            node.flushall()

    def cpu_s(self) -> float:
        return sum(float(node.info("cpu")[f"used_cpu_{part}"]) for node in self._nodes for part in ("sys", "user"))

    def digest(self, *, records: bool) -> str:
        """Of all keys and values; without host records if told so."""
        found = sorted(
            (key, node.get(key))
            for node in self._nodes
            for key in node.scan_iter(count=1000)
            if records or not key.endswith(b"}")
        )
        return hashlib.blake2b(repr(found).encode(), digest_size=16).hexdigest()


def measure(name: str, url: str, hosts: list[HostDeltas], rounds: int) -> dict[str, Any]:
    """Commit the same deltas as one batch after the other: the first makes the states, the third is compared."""
    server = Server(url)
    server.clear()
    way = WAYS[name](url, make_plan())
    digests: list[str] = []
    client_s: list[float] = []
    server_s: list[float] = []
    try:
        for number in range(3):
            way.commit(hosts, batch_id("logs", f"batch-{number}", None, "etag", 1_600_000_000_000 + number))
        digests = [server.digest(records=True), server.digest(records=False)]
        for number in range(3, 3 + rounds):
            gc.collect()
            batch = batch_id("logs", f"batch-{number}", None, "etag", 1_600_000_000_000 + number)
            server_cpu, own_cpu = server.cpu_s(), time.process_time()
            way.commit(hosts, batch)
            client_s.append(time.process_time() - own_cpu)
            server_s.append(server.cpu_s() - server_cpu)
    finally:
        way.close()
    return {"client_s": min(client_s), "server_s": min(server_s), "all": digests[0], "states": digests[1]}


def regroup(
    states: list[tuple[str, dict[str, Any]]],
    size: int,
    encode: Callable[[str, str, dict[str, Any]], bytes],
    prefix: str = "host",
) -> list[HostDeltas]:
    """Hosts of that many processes."""
    hosts = []
    for first in range(0, len(states) - size + 1, size):
        name = f"{prefix}-{first // size}.example"
        members = sorted(states[first : first + size], key=lambda one: one[0])
        payloads = [encode(name, process, values) for process, values in members]
        hosts.append(HostDeltas("", name, [process for process, _ in members], payloads))
    return hosts


def main() -> None:
    name, url, source, size, rounds = sys.argv[1:]
    from fastfold._core import encode
    from fastfold.states import State

    plan = make_plan()
    states = pickle.loads(Path(source).read_bytes())
    hosts = regroup(states, int(size), lambda host, process, values: encode(plan, State("", host, process, values)))
    print(json.dumps(measure(name, url, hosts, int(rounds)) | {"processes": len(hosts) * int(size)}))


if __name__ == "__main__":
    main()
