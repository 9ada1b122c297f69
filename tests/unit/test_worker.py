"""Worker and pipeline: every message ends as it should, whatever a stage does with it."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from aws import notification, wait_until
from fakes import FakeSqs, client_error
from fastfold.breaker import Breaker
from fastfold.errors import Conflict, Late, Missing, Reject, SchemaError, Unavailable, Undelivered
from fastfold.fetch import Fetched
from fastfold.keeper import Keeper
from fastfold.metrics import Meter, total
from fastfold.notification import ObjectRef, parse_body
from fastfold.pipeline import Folded, Pipeline
from fastfold.retry import BackoffPolicy
from fastfold.source import Queue
from fastfold.store import batch_id
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


Make = Callable[..., Bench]


def test_a_message_is_deleted_after_all_its_objects_are_committed(make: Make) -> None:
    bench = make(notification("logs", "a", "b", "c"))
    bench.wait("done")
    bench.finish()
    assert bench.stages.committed == ["a", "b", "c"]
    assert bench.stages.batches[0] == batch_id("logs", "a", None, "etag", TIME_MS)
    assert bench.sqs.receipts("delete") == ["r0"]
    assert bench.parked() == []
    snapshot = bench.meter.snapshot()
    counted = {name: total(snapshot, name) for name in ("files", "records", "events", "processes", "no_process")}
    assert counted == {"files": 3, "records": 9, "events": 12, "processes": 6, "no_process": 3}


def test_nothing_is_committed_of_a_file_at_fault_and_its_neighbours_are(make: Make) -> None:
    reject = Reject("record too long", line=3, offset=70, limit=9)
    bench = make(
        notification("logs", "a", "b", "c"), before=lambda s: s.folding.update(b=fail(reject.at("s3://logs/b")))
    )
    bench.wait("parked")
    bench.finish()
    assert bench.stages.committed == ["a", "c"]
    (attributes,) = bench.parked()
    assert attributes["ErrorType"] == "Reject"
    assert (attributes["File"], attributes["Line"], attributes["Offset"]) == ("s3://logs/b", "3", "70")
    assert bench.sqs.receipts("delete") == ["r0"]
    values = bench.meter.snapshot().values
    assert (
        values["parked", "Reject"]
        == values["rejects", "record too long"]
        == values["limit_hits", "record too long"]
        == 1
    )


def test_a_message_at_fault_may_be_left_to_the_redrive_policy(make: Make) -> None:
    reject = Reject("record too long", line=3, offset=70, limit=9)
    bench = make(notification("logs", "a", "b"), park=False, before=lambda s: s.folding.update(b=fail(reject)))
    bench.wait("left")
    bench.finish()
    assert bench.stages.committed == ["a"]
    assert bench.parked() == bench.sqs.receipts("delete") == []
    # Not at once: SQS counts receives, and a message at fault must not use up its own in a moment.
    assert [entry["VisibilityTimeout"] for entry in bench.sqs.named("hide")[0]["Entries"]] == [120]
    assert bench.meter.snapshot().values["left", "Reject"] == 1
    assert total(bench.meter.snapshot(), "parked") == 0


@pytest.mark.parametrize(
    ("body", "error"),
    [("nonsense", "ParkError"), (notification("others", "a"), "NotAllowed")],
    ids=["malformed", "bucket"],
)
def test_a_message_that_is_refused_is_parked_unread(make: Make, body: str, error: str) -> None:
    bench = make(body)
    bench.wait("parked")
    bench.finish()
    assert bench.stages.committed == []
    assert bench.parked()[0]["ErrorType"] == error
    assert bench.sqs.named("send")[0]["MessageBody"] == body
    assert bench.sqs.receipts("delete") == ["r0"]


def test_a_late_host_parks_the_message_after_the_rest_is_committed(make: Make) -> None:
    bench = make(notification("logs", "a", "b"), before=lambda s: s.late.update(a=(Late("h", 9, 5), Late("i", 8, 5))))
    bench.wait("parked")
    bench.finish()
    assert bench.stages.committed == ["a", "b"]
    assert bench.parked()[0]["Reason"] == "late batch for host 'h': 9 ms behind the newest, limit 5 ms"
    assert bench.parked()[0]["File"] == "s3://logs/a"
    assert total(bench.meter.snapshot(), "late") == 2
    assert total(bench.meter.snapshot(), "files") == 1


def test_an_object_that_is_missing_is_parked_and_one_replaced_is_skipped(make: Make) -> None:
    def before(stages: Stages) -> None:
        stages.fetching["a"] = fail(Missing("s3://logs/a: 404"))
        stages.replaced.add("b")

    bench = make(notification("logs", "a"), notification("logs", "b"), before=before)
    bench.wait("parked")
    bench.wait("done")
    bench.finish()
    assert [found["ErrorType"] for found in bench.parked()] == ["Missing"]
    assert bench.meter.snapshot().values["skipped", "replaced"] == 1


def test_the_test_event_is_deleted_and_counted(make: Make) -> None:
    bench = make('{"Event":"s3:TestEvent"}')
    bench.wait("done")
    bench.finish()
    assert bench.sqs.receipts("delete") == ["r0"]
    assert bench.meter.snapshot().values["skipped", "test_event"] == 1


# Hold and verify


def hold(seconds: float, *lost: str) -> Callable[[Stages], None]:
    def before(stages: Stages) -> None:
        stages.hold_s = seconds
        stages.lost.update(lost)

    return before


def test_a_message_is_deleted_only_after_the_hold_and_takes_no_slot_meanwhile(make: Make) -> None:
    names = [f"{index}" for index in range(5)]
    bench = make(*[notification("logs", name) for name in names], slots=1, before=hold(0.5))
    wait_until(lambda: total(bench.meter.snapshot(), "held") == 5, 5, "all held")
    assert (bench.stages.committed, bench.stages.verified) == (names, [])
    assert bench.ended("done") == 0
    assert bench.sqs.receipts("delete") == []
    bench.wait("done", 5)
    bench.finish()
    assert sorted(name for names in bench.stages.verified for name in names) == names
    values = bench.meter.snapshot().values
    assert (values["held", ""], values["verified", "there"]) == (0, 5)
    assert sorted(bench.sqs.receipts("delete")) == [f"r{index}" for index in range(5)]


def test_all_objects_of_a_message_are_verified(make: Make) -> None:
    bench = make(notification("logs", "a", "b", "c"), before=hold(0.05))
    bench.wait("done")
    assert bench.stages.verified == [["a", "b", "c"]]


def test_what_is_not_known_to_be_there_is_handed_back_and_not_deleted(make: Make) -> None:
    bench = make(notification("logs", "a"), notification("logs", "b"), before=hold(0.05, "a"))
    bench.wait("handed_back")
    bench.wait("done")
    bench.finish()
    assert bench.sqs.receipts("delete") == ["r1"]
    assert [entry["VisibilityTimeout"] for request in bench.sqs.named("hide") for entry in request["Entries"]] == [0]
    assert bench.meter.snapshot().values["verified", "in doubt"] == 1


def test_a_message_at_fault_is_parked_after_the_hold_of_the_rest(make: Make) -> None:
    def before(stages: Stages) -> None:
        hold(0.3)(stages)
        stages.folding["b"] = fail(Reject("record too long", line=1, offset=1))

    bench = make(notification("logs", "a", "b"), before=before)
    wait_until(lambda: total(bench.meter.snapshot(), "held") == 1, 5, "held")
    assert bench.parked() == []
    bench.wait("parked")
    assert bench.stages.verified == [["a"]]
    assert len(bench.parked()) == 1


def test_draining_verifies_what_fits_the_grace_period_and_hands_back_the_rest(make: Make) -> None:
    bench = make(notification("logs", "a"), before=hold(0.4), slots=1)
    wait_until(lambda: total(bench.meter.snapshot(), "held") == 1, 5, "held")
    bench.stages.hold_s = 60
    bench.sqs.waiting.append({"ReceiptHandle": "long", "Body": notification("logs", "b")})
    wait_until(lambda: total(bench.meter.snapshot(), "held") == 2, 5, "held")
    start = time.monotonic()
    assert bench.worker.drain(3)
    assert time.monotonic() - start < 2
    assert bench.sqs.receipts("delete") == ["r0"]
    assert bench.sqs.receipts("hide") == ["long"]


def test_no_more_is_received_while_too_much_is_held(make: Make) -> None:
    names = [f"{index}" for index in range(6)]
    bench = make(*[notification("logs", name) for name in names], slots=1, before=hold(60), held_messages=2)
    wait_until(lambda: total(bench.meter.snapshot(), "held") == 2, 5, "held")
    time.sleep(0.5)
    assert len(bench.sqs.waiting) == 4


def test_after_a_fault_of_our_own_nothing_held_before_is_trusted(make: Make) -> None:
    def before(stages: Stages) -> None:
        hold(60)(stages)
        stages.folding["b"] = fail(ZeroDivisionError("bug"))

    bench = make(notification("logs", "a"), notification("logs", "b"), slots=1, before=before)
    bench.wait("handed_back", 2)
    bench.finish()
    assert sorted(bench.sqs.receipts("hide")) == ["r0", "r1"]
    assert bench.sqs.receipts("delete") == []


def test_a_slot_that_waits_for_work_with_a_limit_never_waits_without(make: Make) -> None:
    """A get of `queue.SimpleQueue` can, and what the slot held stayed in the queue until more work came."""
    work = type(make().worker._work)()
    laps, ended = [0] * 6, threading.Event()

    def wait_for_work(slot: int) -> None:
        while not ended.is_set():
            with contextlib.suppress(queue.Empty):
                work.get(timeout=0.0003 * (slot + 1))
            laps[slot] += 1

    slots = [threading.Thread(target=wait_for_work, args=(slot,), daemon=True) for slot in range(len(laps))]
    for thread in slots:
        thread.start()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for _ in range(3):
            work.put(None)
        # One that is busy keeps the others from the interpreter past their limit.
        sum(range(20_000))
    work_ends = list(laps)
    wait_until(lambda: all(now > then for now, then in zip(laps, work_ends, strict=True)), 10, "slots that look again")
    ended.set()
    for thread in slots:
        thread.join()


def test_a_server_that_is_down_hands_back_and_stops_receiving(make: Make) -> None:
    down = threading.Event()
    down.set()

    def commit() -> object:
        if down.is_set():
            raise Unavailable("127.0.0.1:6379", "refused")
        return None

    bodies = [notification("logs", f"{index}") for index in range(20)]
    bench = make(*bodies, before=lambda s: s.committing.update({f"{index}": commit for index in range(20)}))
    bench.wait("handed_back", 2)
    assert bench.worker.paused
    # One receive may have been under way; those after it try one message alone.
    before = len(bench.sqs.named("receive")) + 1
    bench.wait("handed_back", 5)
    assert {request["MaxNumberOfMessages"] for request in bench.sqs.named("receive")[before:]} == {1}
    assert {entry["VisibilityTimeout"] for request in bench.sqs.named("hide") for entry in request["Entries"]} == {5}
    down.clear()
    bench.wait("done", 10)
    assert not bench.worker.paused
    assert bench.parked() == []


def test_a_lost_race_hands_back_without_pausing(make: Make) -> None:
    bench = make(notification("logs", "a"), before=lambda s: s.committing.update(a=fail(Conflict("h"))))
    bench.wait("handed_back")
    assert not bench.worker.paused
    bench.finish()
    assert bench.sqs.receipts("delete") == []


def test_an_alert_that_no_sink_takes_delays_its_message_and_no_other(make: Make) -> None:
    bench = make(
        notification("logs", "a"),
        *(notification("logs", f"b{number}") for number in range(6)),
        slots=1,
        before=lambda stages: stages.committing.update({"a": fail(Undelivered("soc", "connection refused", 217.4))}),
    )
    bench.wait("done", 6)
    bench.finish()
    assert bench.ended("handed_back") == 1
    hidden = [entry for request in bench.sqs.named("hide") for entry in request["Entries"]]
    assert [(entry["ReceiptHandle"], entry["VisibilityTimeout"]) for entry in hidden] == [("r0", 217)]


def test_an_alert_that_no_sink_takes_is_no_sign_against_redis(make: Make) -> None:
    bench = make(
        notification("logs", "a"),
        before=lambda stages: stages.committing.update({"a": fail(Undelivered("soc", "connection refused", 5.0))}),
    )
    bench.wait("handed_back")
    assert not bench.worker.paused
    bench.finish()


def test_a_worker_knows_how_old_the_oldest_message_is(make: Make) -> None:
    bench = make()
    bench.sqs.waiting = [
        {
            "ReceiptHandle": "r0",
            "Body": notification("logs", "a"),
            "Attributes": {"SentTimestamp": str(int(time.time() * 1000) - 700_000)},
        }
    ]
    ages: list[float] = []
    bench.stages.fetching["a"] = lambda: ages.append(bench.worker.oldest_waiting_s)
    bench.wait("done")
    assert 700 <= ages[0] < 760
    wait_until(lambda: bench.worker.oldest_waiting_s == 0, 5, "an empty receive shows that nothing waits")
    bench.finish()


def test_a_message_that_cannot_be_parked_stays(make: Make) -> None:
    bench = make()
    bench.sqs.send_message = lambda **_: fail(client_error("InternalError", 500))()  # type: ignore[method-assign]
    bench.sqs.waiting = [{"ReceiptHandle": "r", "Body": "nonsense"}]
    bench.wait("handed_back")
    bench.finish()
    assert bench.sqs.receipts("delete") == []


def test_a_fault_of_our_own_costs_one_message_its_turn(make: Make) -> None:
    bench = make(
        notification("logs", "a"),
        notification("logs", "b"),
        before=lambda s: s.folding.update(a=fail(ZeroDivisionError("bug"))),
    )
    bench.wait("handed_back")
    bench.wait("done")
    bench.finish()
    assert bench.stages.committed == ["b"]
    assert bench.stages.made == bench.stages.closed == 3, "the slot began anew"
    assert bench.sqs.receipts("delete") == ["r1"]


def test_an_error_that_needs_a_person_ends_the_worker(make: Make) -> None:
    error = SchemaError("x.toml", "no such column")
    bench = make(notification("logs", "a"), before=lambda s: s.folding.update(a=fail(error)))
    wait_until(lambda: bench.worker.stopped is error, 5, "stopped")
    bench.finish()
    assert bench.sqs.receipts("hide") == ["r0"]


def test_draining_finishes_what_is_in_work_and_receives_no_more(make: Make) -> None:
    started, go = threading.Event(), threading.Event()

    def wait() -> object:
        started.set()
        return go.wait(5)

    bench = make(notification("logs", "a"), before=lambda s: s.folding.update(a=wait), slots=1)
    assert started.wait(5)
    bench.sqs.waiting.append({"ReceiptHandle": "next", "Body": notification("logs", "b")})
    bench.worker.begin_drain()
    threading.Timer(0.2, go.set).start()
    assert bench.worker.drain(5)
    assert bench.stages.committed == ["a"]
    assert bench.sqs.receipts("delete") == ["r0"]
    assert bench.sqs.receipts("hide") == []


def test_what_does_not_fit_the_grace_period_is_handed_back(make: Make) -> None:
    started, go = threading.Event(), threading.Event()

    def wait() -> object:
        started.set()
        return go.wait(10)

    bench = make(notification("logs", "a"), before=lambda s: s.folding.update(a=wait), slots=1)
    assert started.wait(5)
    start = time.monotonic()
    assert not bench.worker.drain(0.2)
    assert time.monotonic() - start < 2
    assert bench.sqs.named("hide")[0]["Entries"][0]["VisibilityTimeout"] == 0
    go.set()


def test_no_more_messages_are_taken_than_slots_are_free(make: Make) -> None:
    go = threading.Event()
    names = [f"{index}" for index in range(6)]
    waits: dict[str, Callable[[], object]] = {name: lambda: go.wait(5) for name in names}
    bench = make(*[notification("logs", name) for name in names], before=lambda s: s.folding.update(waits), slots=3)
    time.sleep(0.5)
    assert len(bench.sqs.waiting) == 3
    assert total(bench.meter.snapshot(), "in_flight") == 3
    go.set()
    bench.wait("done", 6)
