"""The detection record within the transactions of a commit, on the store in memory."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from committing import NEVER, a_batch, a_committer, deltas
from fastfold.commit import Committer
from fastfold.detection.detecting import BatchMarks, DetectionRules
from fastfold.detection.mark_types import HostMarks, Mark
from fastfold.detection.marks import Marker
from fastfold.detection.record import detection_key
from fastfold.rules.types import KindIn, Rule, Step
from fastfold.store import Command, Connection, MemoryStore, Reply, host_key

RULE = Rule(
    id="seen",
    version="0" * 16,
    title="Something is seen",
    description="",
    level="low",
    tags=(),
    references=(),
    type="count",
    steps=(Step("seen", KindIn(frozenset({"other"}))),),
    within_ns=0,
    scope="process",
)
HOSTS = [f"host-{number}" for number in range(6)]


def mark(process: str) -> Mark:
    found = Marker(RULE, 0).mark(1_000_000_000, process, "other", {}, b"event-01")
    assert found is not None
    return found


class Watching:
    """A connection that keeps the keys of each WATCH."""

    def __init__(self, inner: Connection, seen: list[tuple[bytes, ...]]) -> None:
        self._inner = inner
        self._seen = seen

    def send(self, commands: Sequence[Command]) -> None:
        self._seen += [command[1:] for command in commands if command[0] == b"WATCH"]
        self._inner.send(commands)

    def read(self, count: int) -> list[Reply]:
        return self._inner.read(count)

    def close(self) -> None:
        self._inner.close()


class Bench:
    def __init__(self) -> None:
        self.store = MemoryStore(lambda: 0.0)
        self.watched: list[tuple[bytes, ...]] = []

    def committer(self) -> Committer:
        return a_committer(lambda node: Watching(self.store.connect(), self.watched))

    def commit(self, *hosts: str) -> set[str]:
        """Commit a batch with a mark of one of the two processes of each host; the ids of what it has raised."""
        self.watched.clear()
        found = [HostMarks("", host, 1_000_000_000, tuple(map(mark, "q"))) for host in HOSTS]
        marks = BatchMarks(DetectionRules.of([RULE]), found)
        self.committer().commit([deltas(host, "pq") for host in hosts], a_batch(1), NEVER, marks)
        return set(marks.alerts)

    def looks(self) -> list[bool]:
        """Of each transaction, whether the detection record took part."""
        return [keys[-1] == detection_key(keys[0]) for keys in self.watched]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    # Each process in a transaction of its own: one of the two of a host has a mark.
    monkeypatch.setattr("fastfold.ledger.CHUNK_PROCESSES", 1)
    return Bench()


def test_only_what_has_marks_looks_at_the_record(bench: Bench) -> None:
    assert len(bench.commit(*HOSTS)) == len(HOSTS)
    assert sorted(bench.looks()) == [False] * 6 + [True] * 6


def test_a_batch_that_comes_again_tells_the_same_and_finds_out_once_that_it_was_applied(bench: Bench) -> None:
    alerts = bench.commit(*HOSTS)
    assert bench.commit(*HOSTS) == alerts
    # The first on each of two connections that did not look at the record, once more; all that come after look at once.
    assert len(bench.watched) <= 2 * len(HOSTS) + 2
    assert bench.looks().count(False) <= 2


def test_what_was_not_applied_before_is_raised_beside_what_was(bench: Bench) -> None:
    before = bench.commit(*HOSTS[:3])
    alerts = bench.commit(*HOSTS)
    assert before < alerts
    assert len(alerts) == len(HOSTS)
    assert bench.commit(*HOSTS) == alerts
    records = [detection_key(host_key("", host)) for host in HOSTS]
    assert bench.store.snapshot().keys() >= set(records)
