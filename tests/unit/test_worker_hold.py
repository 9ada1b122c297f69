"""A worker that holds messages: they end when what was committed is known to be there."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable

from aws import notification, wait_until
from fastfold.errors import Reject
from fastfold.metrics import total
from worker_bench import Make, Stages, fail


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
