"""Workers on a queue that does all that SQS may do: the states are those of the reference, and nothing is left."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aws import CREDENTIALS
from batches import batch, record
from fastfold.config import Settings
from fastfold.errors import ConfigError
from fastfold.metrics import total
from fastfold.source import connect_queue
from fastfold.types import BatchId
from fleet import Fleet
from sqs import ACCOUNT, AdverseQueue, Cloud, Mischief

pytestmark = pytest.mark.servers

BROKEN = gzip.compress(b"".join(record(process) for process in range(20)) + b'{"EventID":11,"Hostname":"host-a\x07"}\n')


@pytest.fixture
def seed() -> int:
    seed = int(os.environ.get("FASTFOLD_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"FASTFOLD_SEED={seed}")
    return seed


@pytest.fixture
def cloud(seed: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with contextlib.closing(Cloud(seed)) as cloud:
        yield cloud


@pytest.fixture(params=["redis_server", "redis_cluster"])
def make(request: pytest.FixtureRequest, cloud: Cloud) -> Iterator[Callable[..., Fleet]]:
    made: list[Fleet] = []

    def make(**more: Any) -> Fleet:
        made.append(Fleet(cloud, request.getfixturevalue(request.param).url, **more))
        return made[-1]

    yield make
    for fleet in made:
        fleet.client.close()


Make = Callable[..., Fleet]


def files(count: int, hosts: int = 5) -> list[bytes]:
    return [batch(3 * number, host=f"host-{number % hosts}") for number in range(count)]


def test_every_message_comes_twice_in_any_order(make: Make) -> None:
    fleet = make()
    keys = fleet.put(*files(100))
    for key in keys * 2:
        fleet.tell(key)
    counts = fleet.run()
    fleet.assert_holds()
    assert total(counts, "already_applied") == total(counts, "files") - len(keys) == len(keys)


def test_with_ids_of_deliveries_these_would_count_twice(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above could not fail."""
    monkeypatch.setattr("fastfold.pipeline.batch_id", lambda *what: BatchId(what[-1], os.urandom(8)))
    fleet = make()
    for key in fleet.put(*files(10)) * 2:
        fleet.tell(key)
    fleet.run()
    with pytest.raises(AssertionError, match="states differ"):
        fleet.assert_holds()


def test_messages_that_name_the_same_objects_and_objects_twice_in_one(make: Make) -> None:
    fleet = make()
    keys = fleet.put(*files(40))
    for start in range(0, 40, 10):
        ten = keys[start : start + 10]
        fleet.tell(*ten, *ten)
        fleet.tell(*reversed(ten))
        fleet.tell(*ten)
        fleet.tell(ten[0])
    counts = fleet.run()
    fleet.assert_holds()
    assert counts.values["messages", "done"] == 16
    assert total(counts, "already_applied") == 4 * 41 - 40


def test_a_message_in_work_is_given_to_others_too(make: Make, cloud: Cloud) -> None:
    fleet = make()
    cloud.mischief = Mischief(duplicate=0.4)
    for key in fleet.put(*files(100)):
        fleet.tell(key)
    fleet.run(3)
    fleet.assert_holds()
    assert cloud.counts["duplicate"] > 10
    # The receipt of the first was no longer the newest when it was done.
    assert cloud.counts["stale"] > 0


def test_a_message_that_expires_in_work_is_done_by_two(make: Make, cloud: Cloud) -> None:
    # Held for less than it is hidden: it could never be deleted otherwise, while no heartbeat arrives.
    fleet = make(visibility_s=2, hold_s=0.5)
    cloud.mischief = Mischief(fail_hide=1.0)
    slow = fleet.put(*files(4), delay_s=3.0)
    for key in (*slow, *fleet.put(*files(20))):
        fleet.tell(key)
    counts = fleet.run(2, empty=lambda: self_done(fleet, cloud))
    fleet.assert_holds()
    assert cloud.counts["visible_again"] > 0
    assert cloud.counts["stale"] > 0
    assert total(counts, "heartbeats_failed") > 0
    assert total(counts, "already_applied") > 0


def self_done(fleet: Fleet, cloud: Cloud) -> bool:
    """Once both workers have been at a slow file, its further deliveries may be quick."""
    if cloud.counts["stale"]:
        for found in cloud.objects.values():
            found.delay_s = 0.0
    return fleet.queue.alive == 0


def test_the_answer_to_a_receive_is_lost(make: Make, cloud: Cloud) -> None:
    fleet = make(visibility_s=2)
    cloud.mischief = Mischief(lose_receive=0.3)
    for key in fleet.put(*files(100)):
        fleet.tell(key)
    fleet.run()
    fleet.assert_holds()
    assert cloud.counts["lose_receive"] > 0
    assert cloud.counts["visible_again"] > 0


def test_deletes_fail_and_what_was_deleted_comes_back(make: Make, cloud: Cloud) -> None:
    fleet = make(visibility_s=2)
    cloud.mischief = Mischief(fail_delete=0.3, undead=0.3)
    for key in fleet.put(*files(100)):
        fleet.tell(key)
    counts = fleet.run()
    fleet.assert_holds()
    assert cloud.counts["undead"] > 0
    assert cloud.counts["fail_delete"] > 0
    assert total(counts, "already_applied") > 0


def test_all_at_once_with_one_broken_file_among_a_thousand_messages(make: Make, cloud: Cloud) -> None:
    fleet = make(visibility_s=2)
    cloud.mischief = Mischief(
        duplicate=0.1, lose_receive=0.05, undead=0.05, fail_delete=0.1, fail_hide=0.1, fail_send=0.1
    )
    keys = fleet.put(*files(250, hosts=20))
    (broken,) = fleet.put(BROKEN)
    for key in [*keys * 3, *keys[:249], broken]:
        fleet.tell(key)
    counts = fleet.run(3)
    fleet.assert_holds(broken)
    assert all(cloud.counts[what] for what in ("duplicate", "lose_receive", "undead", "fail_delete"))
    assert total(counts, "late") == 0
    # Parked once for each time it came: a copy that comes after it was deleted is parked as well.
    assert len(fleet.dead.bodies()) == counts.values["parked", "Reject"] >= 1


@pytest.mark.parametrize("park", [True, False], ids=["parked", "left"])
def test_poison_leaves_the_queue_by_the_worker_or_by_the_redrive_policy(make: Make, cloud: Cloud, park: bool) -> None:
    fleet = make(poison="park" if park else "redrive", receives=3, visibility_s=2)
    keys = fleet.put(*files(10))
    (broken,) = fleet.put(BROKEN)
    for key in (*keys, broken):
        fleet.tell(key)
    counts = fleet.run()
    fleet.assert_holds(broken)
    assert len(fleet.dead.bodies()) == 1
    assert cloud.counts["redriven"] == (0 if park else 1)
    assert counts.values.get(("parked", "Reject"), 0) == (1 if park else 0)
    assert counts.values.get(("left", "Reject"), 0) == (0 if park else 3)
    assert cloud.counts["SendMessage"] == (1 if park else 0)


def test_leaving_poison_needs_a_redrive_policy(cloud: Cloud) -> None:
    queue = cloud.queue("alone")
    settings = Settings(
        queue_url=queue.url, endpoint_url=cloud.url, dead_letter_url=queue.url + "-dead", poison="redrive"
    )
    with pytest.raises(ConfigError, match="would come back for ever"):
        connect_queue(settings)


@pytest.mark.parametrize("owner", [ACCOUNT, "999999999999"])
def test_a_bucket_of_another_account_is_not_read(make: Make, owner: str) -> None:
    fleet = make(bucket_owner=owner)
    (key,) = fleet.put(batch(0))
    fleet.tell(key)
    counts = fleet.run(1)
    if owner == ACCOUNT:
        fleet.assert_holds()
    else:
        assert fleet.keys() == {}
        assert counts.values["parked", "Missing"] == 1


# The server itself


def drain(client: Any, queue: AdverseQueue) -> Iterator[dict[str, Any]]:
    while messages := client.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10).get("Messages"):
        yield from messages
        entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(messages)]
        assert not client.delete_message_batch(QueueUrl=queue.url, Entries=entries).get("Failed")


def test_the_server_gives_ten_thousand_messages_once_each(cloud: Cloud) -> None:
    queue, client = cloud.queue("deep"), cloud.client()
    for start in range(0, 10_000, 10):
        entries = [{"Id": str(n), "MessageBody": str(start + n)} for n in range(10)]
        assert len(client.send_message_batch(QueueUrl=queue.url, Entries=entries)["Successful"]) == 10
    assert client.get_queue_attributes(QueueUrl=queue.url)["Attributes"]["ApproximateNumberOfMessages"] == "10000"
    found = [int(message["Body"]) for message in drain(client, queue)]
    assert sorted(found) == list(range(10_000))
    assert found != sorted(found)
    assert queue.alive == 0


def test_the_server_hides_and_shows_as_sqs_does(cloud: Cloud) -> None:
    queue, client = cloud.queue("q"), cloud.client()
    client.send_message(
        QueueUrl=queue.url, MessageBody="a", MessageAttributes={"X": {"DataType": "String", "StringValue": "y"}}
    )

    def receive(hidden_s: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.receive_message(
            QueueUrl=queue.url, VisibilityTimeout=hidden_s, MessageAttributeNames=["All"]
        ).get("Messages", [])
        return found

    (first,) = receive(1)
    assert first["MessageAttributes"]["X"]["StringValue"] == "y"
    assert receive(1) == []
    time.sleep(1.1)
    (second,) = receive(100)
    assert second["MessageId"] == first["MessageId"]
    # The old receipt answers well and does nothing.
    client.delete_message(QueueUrl=queue.url, ReceiptHandle=first["ReceiptHandle"])
    assert queue.alive == 1
    entry = {"Id": "0", "VisibilityTimeout": 0}
    for receipt, outcome in ((first["ReceiptHandle"], "Failed"), (second["ReceiptHandle"], "Successful")):
        reply = client.change_message_visibility_batch(
            QueueUrl=queue.url, Entries=[{**entry, "ReceiptHandle": receipt}]
        )
        assert len(reply[outcome]) == 1
    (third,) = receive(100)
    client.delete_message(QueueUrl=queue.url, ReceiptHandle=third["ReceiptHandle"])
    assert queue.alive == 0
    with pytest.raises(client.exceptions.QueueDoesNotExist):
        client.get_queue_attributes(QueueUrl=queue.url + "-other")
