"""The queue: requests as SQS wants them, replies that fail in part, and the attributes of a parked message."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from fakes import FakeSqs, client_error
from fastfold.clients import find_dead_letter_url
from fastfold.errors import ConfigError, Late, NotAllowed, Reject, Unavailable
from fastfold.source import Message, Queue

URL = "https://sqs/1/queue"
DEAD = "https://sqs/1/dead"


def make(client: FakeSqs) -> Queue:
    return Queue(client, client, url=URL, dead_letter_url=DEAD, visibility_s=120, wait_s=20)


def messages(count: int) -> list[Message]:
    return [Message(f"r{index}", "body") for index in range(count)]


def parked(error: Exception, file: str | None = None, message: Message | None = None) -> dict[str, Any]:
    client = FakeSqs()
    make(client).park(message or Message("r", "the body"), error, file)
    (request,) = client.named("send")
    assert request["QueueUrl"] == DEAD
    return request


def test_receive_asks_for_no_more_than_wanted_and_hides_what_it_gets() -> None:
    client = FakeSqs("a", "b", "c")
    assert [message.body for message in make(client).receive(2)] == ["a", "b"]
    (request,) = client.named("receive")
    assert request["MaxNumberOfMessages"] == 2
    assert (request["WaitTimeSeconds"], request["VisibilityTimeout"]) == (20, 120)
    assert make(FakeSqs()).receive(50) == []


def test_a_message_knows_when_it_was_sent_and_received() -> None:
    client = FakeSqs("a", "b")
    client.waiting[0]["Attributes"] = {"SentTimestamp": "1764000000123"}
    before_ns = time.time_ns()
    known, unknown = make(client).receive(2)
    assert client.named("receive")[0]["MessageSystemAttributeNames"] == ["SentTimestamp"]
    assert (known.sent_ms, unknown.sent_ms) == (1_764_000_000_123, 0)
    assert before_ns <= known.received_ns == unknown.received_ns <= time.time_ns()


def test_requests_are_cut_into_batches_and_failed_entries_come_back() -> None:
    client = FakeSqs()
    client.bad = {"r3", "r24"}
    queue = make(client)
    assert [message.receipt for message in queue.delete(messages(25))] == ["r3", "r24"]
    assert [len(request["Entries"]) for request in client.named("delete")] == [10, 10, 5]
    assert [message.receipt for message in queue.hide(messages(4), 60)] == ["r3"]
    assert {entry["VisibilityTimeout"] for entry in client.named("hide")[0]["Entries"]} == {60}
    assert queue.delete([]) == []
    assert len(client.named("delete")) == 3


@pytest.mark.parametrize(
    "fault",
    [client_error("InternalError", 500), client_error("AccessDenied", 403), EndpointConnectionError(endpoint_url=URL)],
)
def test_faults_of_the_server_are_unavailable(fault: Exception) -> None:
    client = FakeSqs("a")
    client.down = fault
    queue = make(client)
    for call in (
        lambda: queue.receive(1),
        lambda: queue.delete(messages(1)),
        lambda: queue.hide(messages(1), 0),
        lambda: queue.park(Message("r", "b"), NotAllowed("no")),
    ):
        with pytest.raises(Unavailable) as caught:
            call()
        assert caught.value.server == "SQS"


def test_a_queue_that_does_not_exist_is_a_wrong_setting() -> None:
    client = FakeSqs()
    client.down = client_error("AWS.SimpleQueueService.NonExistentQueue", 400)
    with pytest.raises(ConfigError, match="no such queue"):
        make(client).receive(1)


def test_a_parked_message_carries_the_reason_and_the_place() -> None:
    error = Reject("invalid escape", file="s3://b/k", line=812, offset=88213, limit=7)
    request = parked(error)
    assert request["MessageBody"] == "the body"
    assert request["MessageAttributes"] == {
        "Reason": {
            "DataType": "String",
            "StringValue": "s3://b/k: invalid escape at line 812, offset 88213, limit 7",
        },
        "ErrorType": {"DataType": "String", "StringValue": "Reject"},
        "SourceQueue": {"DataType": "String", "StringValue": URL},
        "File": {"DataType": "String", "StringValue": "s3://b/k"},
        "Line": {"DataType": "Number", "StringValue": "812"},
        "Offset": {"DataType": "Number", "StringValue": "88213"},
    }


def test_the_place_is_left_out_where_there_is_none() -> None:
    assert parked(NotAllowed("no")).keys() == parked(Late("h", 2, 1)).keys()
    assert set(parked(NotAllowed("no"))["MessageAttributes"]) == {"Reason", "ErrorType", "SourceQueue"}
    assert parked(Late("h", 2, 1), "s3://b/k")["MessageAttributes"]["File"]["StringValue"] == "s3://b/k"


def test_a_reason_is_short_and_holds_nothing_that_sqs_or_a_terminal_minds() -> None:
    reason = parked(NotAllowed("\x1b[2J\u202e\ud800\uffff\n" + "x" * 1000))["MessageAttributes"]["Reason"][
        "StringValue"
    ]
    assert len(reason) == 256
    assert reason.startswith("\\x1b[2J\\u202e\\ud800?\\x0axxx")
    assert parked(NotAllowed(""))["MessageAttributes"]["Reason"]["StringValue"] == "-"


def test_attributes_of_the_message_are_kept_as_far_as_there_is_room() -> None:
    text = {"DataType": "String", "StringValue": "x"}
    own = {f"own{index}": text for index in range(10)} | {"Reason": text}
    attributes = parked(Reject("r", file="f", line=1, offset=1), None, Message("r", "b", own))["MessageAttributes"]
    assert len(attributes) == 10
    assert attributes["Reason"]["StringValue"] != "x"
    assert [name for name in attributes if name.startswith("own")] == ["own0", "own1", "own2", "own3"]


def test_the_dead_letter_queue_is_found_from_the_redrive_policy() -> None:
    client = FakeSqs()
    assert find_dead_letter_url(client, URL) == ""
    client.attributes = {"RedrivePolicy": '{"deadLetterTargetArn":"arn:aws:sqs:eu-1:42:dead","maxReceiveCount":100}'}
    assert find_dead_letter_url(client, URL) == "https://sqs/42/dead"
