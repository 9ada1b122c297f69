"""Fetching: the object that was notified, whole, or an error by whose fault it is."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from botocore.exceptions import IncompleteReadError, ParamValidationError, ReadTimeoutError, ResponseStreamingError

from fakes import FakeS3, client_error, s3_reply
from fastfold.errors import Missing, Reject, Unavailable
from fastfold.fetch import MISSING_TRIES, PIECE_BYTES, Fetcher
from fastfold.metrics import Meter, total
from fastfold.notification import ObjectRef

REF = ObjectRef("b", "k/ü 1.gz", "", "e1")
LIMIT = 3 * PIECE_BYTES
DEADLINE_S = 100.0


class Clock:
    """Time that passes only when slept."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def make(client: FakeS3, meter: Meter | None = None) -> Fetcher:
    clock = Clock()
    return Fetcher(client, LIMIT, meter or Meter(), clock=clock, sleep=clock.sleep)


def test_a_body_is_given_whole_with_what_makes_its_identity() -> None:
    pieces = (b"a" * PIECE_BYTES, b"b", b"c" * (PIECE_BYTES + 7))
    client = FakeS3({**s3_reply(*pieces), "VersionId": "v"})
    found = make(client).fetch(REF, DEADLINE_S)
    assert found is not None
    assert bytes(found.body) == b"".join(pieces)
    assert found.body.readonly
    assert (found.etag, found.version_id, found.last_modified_ms) == ("e1", "v", 1_767_225_600_000)
    assert client.requests == [{"Bucket": "b", "Key": "k/ü 1.gz", "IfMatch": "e1"}]


def test_a_version_is_asked_for_by_its_id_and_an_object_without_etag_by_its_key() -> None:
    client = FakeS3(s3_reply(b"x"), s3_reply(b"x"))
    make(client).fetch(dataclasses.replace(REF, version_id="v"), DEADLINE_S)
    make(client).fetch(dataclasses.replace(REF, etag=""), DEADLINE_S)
    assert client.requests == [
        {"Bucket": "b", "Key": REF.key, "VersionId": "v"},
        {"Bucket": "b", "Key": REF.key},
    ]


def test_turning_versions_on_does_not_give_an_object_another_identity() -> None:
    client = FakeS3(s3_reply(b"x"), {**s3_reply(b"x"), "VersionId": "null"})
    before = make(client).fetch(REF, DEADLINE_S)
    after = make(client).fetch(dataclasses.replace(REF, version_id="null"), DEADLINE_S)
    assert before is not None
    assert after is not None
    assert (before.version_id, before.etag) == (after.version_id, after.etag) == ("", "e1")
    # What lies under this version may be replaced, as an object without any.
    assert client.requests[1] == {"Bucket": "b", "Key": REF.key, "VersionId": "null", "IfMatch": "e1"}


def test_the_owner_of_the_bucket_is_named_in_every_request() -> None:
    client, clock = FakeS3(s3_reply(b"x")), Clock()
    fetcher = Fetcher(client, LIMIT, Meter(), owner="123456789012", clock=clock, sleep=clock.sleep)
    fetcher.fetch(REF, DEADLINE_S)
    assert client.requests[0]["ExpectedBucketOwner"] == "123456789012"


def test_an_object_that_was_replaced_needs_no_work() -> None:
    assert make(FakeS3(client_error("PreconditionFailed", 412))).fetch(REF, DEADLINE_S) is None


@pytest.mark.parametrize(
    "fault",
    [
        client_error("NoSuchKey", 404),
        client_error("NoSuchVersion", 404),
        client_error("AccessDenied", 403),
        client_error("InvalidObjectState", 403),
        client_error("InvalidArgument", 400),
    ],
    ids=lambda fault: fault.response["Error"]["Code"],
)
def test_faults_of_the_object_are_tried_a_few_times_and_then_given_up(fault: Exception) -> None:
    client = FakeS3(fault)
    with pytest.raises(Missing, match=re.escape(REF.name)):
        make(client).fetch(REF, DEADLINE_S)
    assert len(client.requests) == MISSING_TRIES


def test_an_object_that_appears_late_is_fetched() -> None:
    client = FakeS3(client_error("NoSuchKey", 404), client_error("NoSuchKey", 404), s3_reply(b"x"))
    found = make(client).fetch(REF, DEADLINE_S)
    assert found is not None
    assert bytes(found.body) == b"x"


PASSING: list[Any] = [
    client_error("InternalError", 500),
    client_error("SlowDown", 503),
    client_error("SlowDown", 429),
    client_error("RequestTimeout", 400),
    client_error("ExpiredToken", 400),
    client_error("InvalidAccessKeyId", 403),
    ReadTimeoutError(endpoint_url="u"),
]


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_faults_of_the_server_are_tried_until_the_deadline(fault: Exception) -> None:
    client, meter = FakeS3(fault), Meter()
    with pytest.raises(Unavailable) as caught:
        make(client, meter).fetch(REF, DEADLINE_S)
    assert caught.value.server == "S3"
    assert len(client.requests) > MISSING_TRIES
    assert total(meter.snapshot(), "retries") == len(client.requests)
    assert make(FakeS3(*[fault] * 5, s3_reply(b"x"))).fetch(REF, DEADLINE_S) is not None


@pytest.mark.parametrize(
    "reply",
    [
        s3_reply(b"abc", length=4),
        s3_reply(b"abc", length=2),
        s3_reply(b"", length=1),
        s3_reply(b"abc", IncompleteReadError(actual_bytes=3, expected_bytes=4), length=4),
        s3_reply(b"abc", ResponseStreamingError(error="reset"), length=4),
    ],
    ids=["short", "long", "empty", "incomplete", "reset"],
)
def test_a_body_of_another_length_is_fetched_again(reply: dict[str, Any]) -> None:
    client = FakeS3(reply, s3_reply(b"abcd"))
    found = make(client).fetch(REF, DEADLINE_S)
    assert found is not None
    assert bytes(found.body) == b"abcd"
    assert reply["Body"].closed


def test_an_object_over_the_limit_is_rejected_unread() -> None:
    reply = s3_reply(b"x", length=LIMIT + 1)
    with pytest.raises(Reject, match=f"limit {LIMIT}") as caught:
        make(FakeS3(reply)).fetch(REF, DEADLINE_S)
    assert caught.value.file == "s3://b/k/ü 1.gz"
    assert reply["Body"].read(10) == b"x"
    assert make(FakeS3(s3_reply(b"x" * LIMIT))).fetch(REF, DEADLINE_S) is not None


def test_a_body_that_only_trickles_ends_with_the_deadline() -> None:
    clock = Clock()

    class Slow:
        def read(self, size_bytes: int) -> bytes:
            clock.sleep(9.0)
            return b"x"

        def close(self) -> None:
            clock.sleep(1.0)

    fetcher = Fetcher(FakeS3({**s3_reply(length=1000), "Body": Slow()}), LIMIT, Meter(), clock=clock, sleep=clock.sleep)
    with pytest.raises(Unavailable, match="of 1000 bytes when the deadline passed"):
        fetcher.fetch(REF, DEADLINE_S)
    assert clock.now < DEADLINE_S + 20


def test_a_request_that_the_client_itself_refuses_is_a_fault_of_the_object() -> None:
    with pytest.raises(Missing):
        make(FakeS3(ParamValidationError(report="bad"))).fetch(REF, DEADLINE_S)
