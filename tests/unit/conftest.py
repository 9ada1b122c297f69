"""What the tests of the commit in memory, and those of the worker, are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from committing import Counts, Time
from fastfold.store import MemoryStore
from worker_bench import Bench, Stages


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def store(time: Time) -> MemoryStore:
    return MemoryStore(time)


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(*bodies: str, slots: int = 2, before: Callable[[Stages], object] = id, **more: int) -> Bench:
        bench = Bench(slots=slots, **more)
        before(bench.stages)
        bench.sqs.waiting = [{"ReceiptHandle": f"r{index}", "Body": body} for index, body in enumerate(bodies)]
        benches.append(bench)
        return bench

    yield make
    for bench in benches:
        bench.worker.drain(5)
