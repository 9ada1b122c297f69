"""A worker on stages that do what a test tells them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aws import wait_until
from fakes import FakeSqs
from fastfold.breaker import Breaker
from fastfold.errors import Late
from fastfold.fetch import Fetched
from fastfold.keeper import Keeper
from fastfold.metrics import Meter
from fastfold.notification import ObjectRef, parse_body
from fastfold.pipeline import Folded, Pipeline
from fastfold.retry import BackoffPolicy
from fastfold.source import Queue
from fastfold.types import BatchId, FoldCounts
from fastfold.worker import Worker

TIME_MS = 1_767_225_600_000
COUNTS = FoldCounts(bytes=10, records=3, events=4, no_process={"kind": 1})


@dataclass(frozen=True)
class FakeDeltas:
    name: str
    counts: FoldCounts = COUNTS

    def __len__(self) -> int:
        return 2


@dataclass
class FakeResult:
    late: tuple[Late, ...] = ()
    traces: tuple[Any, ...] = ()


class Stages:
    """All stages at once; by the name of an object each may do something else first."""

    def __init__(self) -> None:
        self.fetching: dict[str, Callable[[], object]] = {}
        self.folding: dict[str, Callable[[], object]] = {}
        self.committing: dict[str, Callable[[], object]] = {}
        self.late: dict[str, tuple[Late, ...]] = {}
        self.hold_s = 0.0
        self.lost: set[str] = set()
        self.verified: list[tuple[str, ...]] = []
        self.replaced: set[str] = set()
        self.committed: list[str] = []
        self.batches: list[BatchId] = []
        self.made = 0
        self.closed = 0

    def fetch(self, ref: ObjectRef, deadline: float) -> Fetched | None:
        self.fetching.get(ref.key, int)()
        if ref.key in self.replaced:
            return None
        return Fetched(memoryview(b"body").toreadonly(), "etag", "", TIME_MS)

    def fold(self, data: memoryview, name: str) -> Folded:
        assert bytes(data) == b"body"
        self.folding.get(key(name), int)()
        return Folded(FakeDeltas(name))

    def commit(self, deltas: Any, batch: BatchId, deadline: float, marks: Any = None) -> FakeResult:
        self.committing.get(key(deltas.name), int)()
        self.committed.append(key(deltas.name))
        self.batches.append(batch)
        return FakeResult(self.late.get(key(deltas.name), ()), (key(deltas.name),) if self.hold_s else ())

    def verify(self, held: Any) -> list[bool]:
        self.verified += held
        there = [self.lost.isdisjoint(traces) for traces in held]
        # What is committed again is there.
        self.lost.difference_update(*held)
        return there

    def close(self) -> None:
        self.closed += 1


def key(name: str) -> str:
    return name.removeprefix("s3://logs/")


def fail(error: Exception) -> Callable[[], object]:
    def act() -> object:
        raise error

    return act


class Bench:
    """A worker on fakes."""

    def __init__(self, *bodies: str, slots: int = 2, park: bool = True, held_messages: int = 1000) -> None:
        self.stages, self.meter = Stages(), Meter()
        self.sqs = FakeSqs(*bodies)
        queue = Queue(self.sqs, self.sqs, url="queue", dead_letter_url="dead", visibility_s=120, wait_s=0)
        keeper = Keeper(queue, self.meter)
        read = partial(parse_body, buckets=("logs",), most_records=10)
        self.breaker = Breaker(BackoffPolicy(0.05, 0.05), random=lambda: 1.0)

        def pipeline() -> Pipeline:
            self.stages.made += 1
            return Pipeline(
                queue=queue,
                keeper=keeper,
                read=read,
                fetch=self.stages,
                fold=self.stages.fold,
                commit=self.stages,
                meter=self.meter,
                file_deadline_s=10,
                park=park,
            )

        self.worker = Worker(queue, keeper, pipeline, slots, self.meter, self.breaker, held_messages)
        self.worker.start()

    def ended(self, outcome: str) -> int:
        return int(self.meter.snapshot().values.get(("messages", outcome), 0))

    def wait(self, outcome: str, count: int = 1) -> None:
        wait_until(lambda: self.ended(outcome) >= count, 5, f"{count} messages {outcome}", every_s=0.005)

    def finish(self) -> None:
        assert self.worker.drain(5)

    def parked(self) -> list[dict[str, str]]:
        return [
            {name: value["StringValue"] for name, value in request["MessageAttributes"].items()}
            for request in self.sqs.named("send")
        ]


Make = Callable[..., Bench]
