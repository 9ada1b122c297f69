"""Worker and pipeline: every message ends as it should, whatever a stage does with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from aws import notification, wait_until
from fakes import client_error
from fastfold.errors import Conflict, Late, Missing, Reject, SchemaError, Unavailable, Undelivered
from fastfold.metrics import total
from fastfold.store import batch_id
from worker_bench import TIME_MS, Make, Stages, fail


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
