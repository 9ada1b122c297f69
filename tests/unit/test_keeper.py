"""The keeper: messages stay hidden while in work, and are deleted when done, whatever the queue answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from aws import wait_until
from fakes import FakeSqs, client_error
from fastfold.keeper import DELETE_TRIES, Keeper
from fastfold.metrics import Meter, total
from fastfold.source import Message, Queue

VISIBILITY_S = 2
Make = Callable[[], tuple[Keeper, FakeSqs, Meter]]


@pytest.fixture
def make() -> Iterator[Make]:
    keepers: list[Keeper] = []

    def make() -> tuple[Keeper, FakeSqs, Meter]:
        client, meter = FakeSqs(), Meter()
        queue = Queue(client, client, url="q", dead_letter_url="d", visibility_s=VISIBILITY_S, wait_s=0)
        keepers.append(Keeper(queue, meter))
        keepers[-1].start()
        return keepers[-1], client, meter

    yield make
    for keeper in keepers:
        keeper.close(5)


def messages(count: int) -> list[Message]:
    return [Message(f"r{index}", "body") for index in range(count)]


def test_what_is_held_is_hidden_again_at_half_of_the_time(make: Make) -> None:
    keeper, client, _ = make()
    start = time.monotonic()
    keeper.hold(messages(12))
    wait_until(lambda: len(client.named("hide")) == 2, 5, "a heartbeat")
    assert time.monotonic() - start < VISIBILITY_S * 0.75
    assert sorted(client.receipts("hide")) == sorted(message.receipt for message in messages(12))
    assert client.named("hide")[0]["Entries"][0]["VisibilityTimeout"] == VISIBILITY_S


def test_what_is_done_is_deleted_in_batches_and_hidden_no_more(make: Make) -> None:
    keeper, client, _ = make()
    keeper.hold(messages(12))
    for message in messages(12):
        keeper.finish(message)
    wait_until(lambda: len(client.receipts("delete")) == 12, 5, "all deleted")
    assert len(client.named("delete")) <= 3
    assert keeper.held() == []
    assert client.named("hide") == []


def test_a_failed_delete_is_tried_again_and_then_left(make: Make) -> None:
    keeper, client, meter = make()
    client.bad = {"r1"}
    for message in messages(3):
        keeper.finish(message)
    wait_until(lambda: total(meter.snapshot(), "deletes_failed") == 1, 5, "given up")
    assert client.receipts("delete").count("r1") == DELETE_TRIES
    assert client.receipts("delete").count("r0") == 1


def test_an_outage_of_the_queue_does_not_end_the_keeper(make: Make) -> None:
    keeper, client, meter = make()
    client.down = client_error("InternalError", 500)
    keeper.hold(messages(2))
    keeper.finish(messages(1)[0])
    wait_until(lambda: total(meter.snapshot(), "heartbeats_failed") >= 1, 5, "a heartbeat failed")
    client.down = None
    before = len(client.receipts("hide"))
    wait_until(lambda: len(client.receipts("hide")) > before, 5, "the next heartbeat")


def test_what_is_handed_back_is_visible_at_once_and_held_no_more(make: Make) -> None:
    keeper, client, _ = make()
    keeper.hold(messages(3))
    keeper.hand_back(messages(2))
    assert client.named("hide")[0]["Entries"][1] == {"Id": "1", "ReceiptHandle": "r1", "VisibilityTimeout": 0}
    assert [message.receipt for message in keeper.held()] == ["r2"]


def test_closing_deletes_what_is_done_and_hands_back_what_is_not(make: Make) -> None:
    keeper, client, _ = make()
    keeper.hold(messages(3))
    keeper.finish(messages(1)[0])
    keeper.close(5)
    assert client.receipts("delete") == ["r0"]
    assert client.receipts("hide") == ["r1", "r2"]
