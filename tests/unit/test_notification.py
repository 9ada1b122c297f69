"""Message bodies: every envelope that is understood, and everything else refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from aws import notification
from fastfold.errors import NotAllowed, ParkError
from fastfold.notification import ObjectRef, parse_body

BUCKETS = ("logs", "more")
MOST = 5


def parse(body: str, buckets: tuple[str, ...] = BUCKETS) -> Any:
    return parse_body(body, buckets, MOST)


def wrapped(message: str, kind: str = "Notification") -> str:
    return json.dumps({"Type": kind, "MessageId": "1", "TopicArn": "arn", "Message": message, "Signature": "x"})


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    body = json.loads(notification("logs", "a.gz"))
    change(body["Records"][0])
    return json.dumps(body)


@pytest.mark.parametrize("wrap", [str, wrapped], ids=["raw", "sns"])
def test_objects_of_a_notification(wrap: Callable[[str], str]) -> None:
    found = parse(wrap(notification("logs", "a.gz", "b/c.gz", etags=('"e1"', "e2"))))
    assert found.objects == (ObjectRef("logs", "a.gz", "", "e1"), ObjectRef("logs", "b/c.gz", "", "e2"))
    assert found.skipped == {}
    assert found.objects[1].name == "s3://logs/b/c.gz"


@pytest.mark.parametrize("wrap", [str, wrapped], ids=["raw", "sns"])
def test_the_test_event_needs_no_work(wrap: Callable[[str], str]) -> None:
    found = parse(wrap('{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"t","Bucket":"any","RequestId":"r"}'))
    assert found.objects == ()
    assert found.skipped == {"test_event": 1}


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("a+b%2F%C3%BC%2B1.gz", "a b/ü+1.gz"),
        ("x%3Dy/%25.gz", "x=y/%.gz"),
        ("100%.gz", "100%.gz"),
        ("%00", "\0"),
        ("k" * 1024, "k" * 1024),
    ],
)
def test_keys_are_form_decoded(written: str, key: str) -> None:
    assert parse(notification("logs", written)).objects[0].key == key


def test_the_version_is_kept() -> None:
    body = changed(lambda record: record["s3"]["object"].update(versionId="v-1", eTag="e"))
    assert parse(body).objects == (ObjectRef("logs", "a.gz", "v-1", "e"),)


def test_a_size_that_is_not_given_is_not_zero() -> None:
    assert len(parse(changed(lambda record: record["s3"]["object"].pop("size"))).objects) == 1


def test_what_needs_no_work_is_skipped_and_counted() -> None:
    body = json.loads(notification("logs", "a.gz", "folder/", "empty.gz", "gone.gz"))
    body["Records"][2]["s3"]["object"]["size"] = 0
    body["Records"][3]["eventName"] = "ObjectRemoved:Delete"
    del body["Records"][3]["s3"]["object"]["size"]
    found = parse(json.dumps(body))
    assert [ref.key for ref in found.objects] == ["a.gz"]
    assert found.skipped == {"folder": 1, "empty": 1, "not_created": 1}


@pytest.mark.parametrize("wrap", [str, wrapped], ids=["raw", "sns"])
def test_a_message_for_another_namespace_is_not_allowed(wrap: Callable[[str], str]) -> None:
    body = wrap(json.dumps({**json.loads(notification("logs", "a.gz")), "FastfoldNamespace": "again:"}))
    assert len(parse_body(body, BUCKETS, MOST, "again:").objects) == 1
    for other in ("ff:", "", "again"):
        with pytest.raises(NotAllowed, match="for namespace 'again:'"):
            parse_body(body, BUCKETS, MOST, other)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(eventSource="aws:sqs"),
        lambda record: record["s3"]["bucket"].update(name="others"),
        lambda record: record["s3"]["bucket"].update(name="logs "),
        lambda record: record["s3"]["bucket"].update(name=""),
    ],
    ids=["source", "bucket", "blank", "empty"],
)
def test_other_sources_and_buckets_are_not_allowed(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(NotAllowed):
        parse(changed(change))


@pytest.mark.parametrize("bucket", ["arn:aws:s3:eu-1:1:accesspoint/x", "a/b", "b?c", "xy", "l\nogs", "..%2f"])
def test_a_star_allows_only_names_that_are_buckets(bucket: str) -> None:
    assert parse(notification("any-bucket", "k"), ("*",)).objects[0].bucket == "any-bucket"
    with pytest.raises(NotAllowed):
        parse(notification(bucket, "k"), ("*",))


def test_one_record_of_another_bucket_refuses_the_whole_message() -> None:
    body = json.loads(notification("logs", "a.gz", "b.gz"))
    body["Records"][1]["s3"]["bucket"]["name"] = "others"
    with pytest.raises(NotAllowed, match="'others'"):
        parse(json.dumps(body))


REFUSED = {
    "empty": "",
    "not JSON": "hello",
    "number": "7",
    "list": "[]",
    "object": "{}",
    "null records": '{"Records":null}',
    "no records": '{"Records":[]}',
    "records of text": '{"Records":["a"]}',
    "deep": "[" * 100_000,
    "deep records": '{"Records":' + "[" * 100_000,
    "other event": '{"Event":"s3:OtherEvent"}',
    "subscription": wrapped("You have chosen to subscribe", "SubscriptionConfirmation"),
    "unsubscribed": wrapped("x", "UnsubscribeConfirmation"),
    "no message": '{"Type":"Notification"}',
    "message of a number": '{"Type":"Notification","Message":7}',
    "wrapped text": wrapped("hello"),
    "wrapped twice": wrapped(wrapped(notification("logs", "a.gz"))),
    "CloudTrail": wrapped('{"s3Bucket":"logs","s3ObjectKey":["a.gz"]}'),
    "EventBridge": '{"version":"0","detail-type":"Object Created","source":"aws.s3","detail":{}}',
    "too many": notification("logs", *(f"{index}" for index in range(MOST + 1))),
    "surrogate": '{"Records":[{"eventSource":"\\ud800"}]}',
    "lone surrogate in the body": "\ud800",
    "version 3": changed(lambda record: record.update(eventVersion="3.0")),
    "no name": changed(lambda record: record.pop("eventName")),
    "no s3": changed(lambda record: record.pop("s3")),
    "key of a number": changed(lambda record: record["s3"]["object"].update(key=7)),
    "size of text": changed(lambda record: record["s3"]["object"].update(size="7")),
    "empty key": notification("logs", ""),
    "long key": notification("logs", "k" * 1025),
    "long key in bytes": notification("logs", "%C3%BC" * 513),
    "key that is not UTF-8": notification("logs", "%ff.gz"),
    "header in the ETag": notification("logs", "a.gz", etags=("e\r\nX-Header: 1",)),
    "version of blanks": changed(lambda record: record["s3"]["object"].update(versionId="a b")),
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_everything_else_is_refused(body: str) -> None:
    with pytest.raises(ParkError):
        parse(body)


def test_cutting_a_body_anywhere_refuses_it() -> None:
    body = wrapped(notification("logs", "a.gz"))
    for end in range(len(body)):
        with pytest.raises(ParkError):
            parse(body[:end])


def test_missing_members_are_refused_and_unknown_ones_pass() -> None:
    whole = json.loads(notification("logs", "a.gz"))
    for path in (("eventVersion",), ("eventSource",), ("s3", "bucket"), ("s3", "object"), ("s3", "bucket", "name")):
        body = copy.deepcopy(whole)
        *parents, last = path
        record = body["Records"][0]
        for parent in parents:
            record = record[parent]
        del record[last]
        with pytest.raises(ParkError):
            parse(json.dumps(body))
    assert parse(changed(lambda record: record.update(new={"member": [1]}))).objects
