"""Deltas that can be counted, and committers on whatever store a test has."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from fastfold._core import Plan, decode, encode, merge_group
from fastfold.commit import CommitSettings, Committer
from fastfold.errors import CorruptValue
from fastfold.ledger import HostRecord
from fastfold.resp import Connector, ConnectSettings, Node, RedisAddress
from fastfold.retry import BackoffPolicy
from fastfold.schema import load_definition
from fastfold.states import State
from fastfold.store import Command, Connection, MemoryStore, Reply, batch_id, host_key, process_key
from fastfold.topology import Nodes
from fastfold.types import BatchId, HostDeltas, Limits
from fastfold.values import unpack_value

DEFINITION = load_definition("process")
PLAN = Plan(None, DEFINITION, Limits())
NEVER = float("inf")
SECOND_NS = 1_000_000_000
NOON_MS = 1_600_000_000_000
QUICK = BackoffPolicy(0.001, 0.02)


class Counts:
    """Counts by name, as `fastfold.metrics.Meter` does."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def add(self, name: str, amount: float = 1, label: str = "") -> None:
        self.seen[name] += int(amount)


def a_batch(name: object, time_ms: int = NOON_MS) -> BatchId:
    """The id of an object of that name."""
    return batch_id("logs", str(name), None, "etag", time_ms)


_named: dict[tuple[str, str], None] = {}
"""Every host of which a test has made a payload."""


def payload(host: str, process: str, count: int = 1, *, tenant: str = "", time_s: int = 1) -> bytes:
    """A delta of that many events of one process."""
    _named.pop((tenant, host), None)
    _named[tenant, host] = None
    values = {"first": time_s * SECOND_NS, "last": time_s * SECOND_NS, "counts": {"other": count}}
    return encode(PLAN, State(tenant, host, process, values))


def deltas(host: str, processes: Iterable[str], *, tenant: str = "", time_s: int = 1) -> HostDeltas:
    """One event of each process."""
    names = sorted(processes)
    return HostDeltas(tenant, host, names, [payload(host, name, tenant=tenant, time_s=time_s) for name in names])


def a_committer(
    connect: Callable[[Node], Connection] | None = None,
    *,
    url: str = "redis://memory?cluster=no",
    counts: Counts | None = None,
    namespace: str = "ff:",
    timeout_s: float = 10.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
    merge: Any = None,
    seed: int = 1,
    refresh_s: float = 0.0,
    **settings: Any,
) -> Committer:
    """A committer with short waits, on real connections unless told otherwise."""
    address = RedisAddress.from_url(url)
    draw = random.Random(seed).random
    connect = connect or Connector(address, ConnectSettings(timeout_s=timeout_s))
    return Committer(
        Nodes(address, connect, draw, refresh_s=refresh_s, clock=clock),
        merge or partial(merge_group, PLAN),
        CommitSettings(namespace=namespace.encode(), **{"conflict_backoff": QUICK, "fault_backoff": QUICK, **settings}),
        counts or Counts(),
        random=draw,
        clock=clock,
        sleep=sleep,
    )


def memory_connect(store: MemoryStore) -> Callable[[Node], Connection]:
    """Connections to a store in memory."""
    return lambda node: store.connect()


def payload_of(value: bytes) -> bytes:
    """The payload of a stored state, which is read under the name of its host alone: that host is found."""
    # The newest first: most states that are looked at are of the test that runs.
    for host in reversed(_named):
        with contextlib.suppress(CorruptValue):
            return unpack_value(value, None, host)
    raise AssertionError("a value of none of these hosts")


def count_of(value: bytes | None) -> int:
    """How many events a stored state holds."""
    if value is None:
        return 0
    counts: Any = decode(PLAN, payload_of(value)).values["counts"]
    return int(counts["other"])


def record_of(get: Callable[[bytes], bytes | None], host: str, namespace: str = "ff:") -> HostRecord:
    """The host record of a store."""
    value = get(host_key("", host, namespace.encode()))
    assert value is not None
    return HostRecord.decode(unpack_value(value))


def state_key(host: str, process: str, namespace: str = "ff:") -> bytes:
    """Key of a state."""
    return process_key(host_key("", host, namespace.encode()), process)


class Time:
    """A clock that only sleep moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        # The clock of a real machine moves also where nobody sleeps.
        self.now += max(seconds, 1e-6)


def counts_of(store: MemoryStore) -> dict[bytes, int]:
    """Events by key of a state."""
    return {key: count_of(value) for key, value in store.snapshot().items() if not key.endswith(b"}")}


class Tapped:
    """A connection that shows a test each packet before it is sent, and may change what is answered."""

    def __init__(self, inner: Connection, tap: Callable[[Sequence[Command]], None]) -> None:
        self.inner = inner
        self.tap = tap
        self.change: Callable[[list[Reply]], list[Reply]] = lambda replies: replies

    def send(self, commands: Sequence[Command]) -> None:
        self.tap(commands)
        self.inner.send(commands)

    def read(self, count: int) -> list[Reply]:
        return self.change(self.inner.read(count))

    def close(self) -> None:
        self.inner.close()


def writes(commands: Sequence[Command]) -> bool:
    return any(command[0] == b"SETEX" for command in commands)


def big(count: int) -> HostDeltas:
    """A host of so many processes."""
    return deltas("a", (f"process-{number}" for number in range(count)))
