"""Sending batches: what the queue took, what it did not take yet, and what it never will."""

from __future__ import annotations

from typing import Any

import pytest

from fakes import client_error
from fastfold.errors import ConfigError, Unavailable
from fastfold.listing import Listed, Lister
from fastfold.notification import parse_body
from fastfold.replay import Replay, replay, write_body
from fastfold.sender import Sender

URL = "https://sqs/1/queue"


class Queue:
    """Fails as told: each answer is an error, or what becomes of each body: taken, failed or refused."""

    def __init__(self, *answers: Exception | dict[str, str]) -> None:
        self.requests: list[list[str]] = []
        self._answers = list(answers)

    def send_message_batch(self, **request: Any) -> Any:
        entries = request["Entries"]
        assert request["QueueUrl"] == URL
        self.requests.append([entry["MessageBody"] for entry in entries])
        answer = self._answers.pop(0) if self._answers else {}
        if isinstance(answer, Exception):
            raise answer
        reply: dict[str, list[dict[str, Any]]] = {"Successful": [], "Failed": []}
        for entry in entries:
            match answer.get(entry["MessageBody"]):
                case None:
                    reply["Successful"].append({"Id": entry["Id"]})
                case "silent":
                    continue
                case what:
                    reply["Failed"].append({"Id": entry["Id"], "Code": what, "SenderFault": what == "refused"})
        return reply


class Clock:
    """Time that passes only when slept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def make(queue: Queue) -> Sender:
    clock = Clock()
    return Sender(queue, URL, clock=clock, sleep=clock.sleep)


def outgoing(*bodies: str) -> list[tuple[str, dict[str, Any]]]:
    return [(body, {}) for body in bodies]


def test_what_was_not_taken_is_sent_again_alone() -> None:
    queue = Queue({"b": "failed", "d": "silent"}, client_error("InternalError", 500), {"d": "failed"})
    sender = make(queue)
    assert sender.send(outgoing("a", "b", "c", "d")) == []
    assert queue.requests == [["a", "b", "c", "d"], ["b", "d"], ["b", "d"], ["d"]]
    assert sender.sent == 4


def test_what_will_never_be_taken_is_told_by_its_place() -> None:
    queue = Queue({"b": "refused", "c": "failed"})
    sender = make(queue)
    assert sender.send(outgoing("a", "b", "c")) == [1]
    assert queue.requests == [["a", "b", "c"], ["c"]]
    assert sender.sent == 2


@pytest.mark.parametrize("fault", [client_error("InternalError", 500), {"a": "failed"}, {"a": "silent"}])
def test_a_queue_that_takes_nothing_is_given_up_in_time(fault: Any) -> None:
    queue = Queue(*[fault] * 1000)
    sender = make(queue)
    with pytest.raises(Unavailable, match="SQS"):
        sender.send(outgoing("a"))
    assert sender.sent == 0
    assert 3 < len(queue.requests) < 1000


def test_a_queue_that_is_not_there_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError):
        make(Queue(client_error("QueueDoesNotExist", 400))).send(outgoing("a"))


def listed(key: str, time_ms: int = 1_767_225_600_000, **more: Any) -> Listed:
    return Listed(
        **{"key": key, "version_id": "", "etag": "e1", "size_bytes": 7, "time_ms": time_ms, "skipped": "", **more}
    )


@pytest.mark.parametrize("key", ["a b+c%2F.gz", "line\nfeed", "ü/日本\U0001f600", "k" * 1024, '"\\\x00\x7f', "&=?#;"])
def test_a_worker_reads_the_key_that_was_listed(key: str) -> None:
    (found,) = parse_body(write_body("logs", listed(key, version_id="v1")), ("logs",), 1).objects
    assert (found.bucket, found.key, found.version_id, found.etag) == ("logs", key, "v1", "e1")


class Listing:
    """A bucket with so many objects."""

    def __init__(self, count: int) -> None:
        self.count = count

    def versions(self, prefix: str) -> Any:
        return (listed(f"{number}.gz") for number in range(self.count))


class Steps:
    """A progress bar that remembers."""

    def __init__(self) -> None:
        self.done: list[int] = []

    def step(self, done: int) -> None:
        self.done.append(done)


@pytest.mark.parametrize(
    ("rate", "sizes", "seconds"),
    [(0.0, [10, 10, 5], 0.0), (50.0, [10, 10, 5], 0.4), (4.0, [4, 4, 4, 4, 4, 4, 1], 6.0), (0.5, [1] * 25, 48.0)],
)
def test_a_rate_is_kept_on_average_and_without_bursts(rate: float, sizes: list[int], seconds: float) -> None:
    clock, queue, steps = Clock(), Queue(), Steps()
    sender = Sender(queue, URL, clock=clock, sleep=clock.sleep)
    job = Replay(bucket="logs", rate=rate)
    replay(Listing(25), sender, job, steps, clock=clock, sleep=clock.sleep)  # type: ignore[arg-type]
    assert [len(request) for request in queue.requests] == sizes
    assert clock.now == pytest.approx(seconds)
    assert steps.done[-1] == sender.sent == 25


def test_a_listing_names_the_owner_in_every_request() -> None:
    requests: list[dict[str, Any]] = []

    class S3:
        def list_object_versions(self, **request: Any) -> Any:
            requests.append(request)
            return {"ResponseMetadata": {"HTTPHeaders": {"date": "Thu, 01 Jan 2026 00:00:00 GMT"}}}

        def get_paginator(self, name: str) -> Any:
            return self

        def paginate(self, **request: Any) -> Any:
            requests.append(request)
            return [{}]

    lister = Lister(S3(), "logs", "123456789012")
    assert lister.now_ms("a/") == 1_767_225_600_000
    assert list(lister.versions("a/")) == []
    assert [(one["ExpectedBucketOwner"], one["Prefix"]) for one in requests] == [("123456789012", "a/")] * 2
