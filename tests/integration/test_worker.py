"""One worker between moto and a real Redis: every kind of message, and every way in which one may be at fault."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aws import Site, notification, wait_until
from batches import batch, expected, record
from fastfold.commands.pod import build_worker
from fastfold.config import Settings
from fastfold.metrics import Meter, Snapshot, total
from fastfold.types import Limits
from fastfold.worker import Worker
from states import assert_states, open_redis, read_keys

pytestmark = pytest.mark.servers

END_S = 30


class Run:
    """A worker at a site, with a namespace of its own."""

    def __init__(self, site: Site, redis_url: str, **more: Any) -> None:
        self.site = site
        self.meter = Meter()
        self.settings = Settings(
            queue_url=site.queue_url,
            endpoint_url=site.server.url,
            redis_url=redis_url,
            namespace=f"{site.name}:",
            **{"buckets": (site.bucket,), "wait_s": 1, **more},
        )
        self._redis = open_redis(redis_url)
        self._worker: Worker | None = None

    def until_empty(self) -> Snapshot:
        """Work until the queue is empty."""
        self._worker = build_worker(self.settings, self.meter)
        self._worker.start()
        self.site.wait_empty(END_S)
        assert self._worker.drain(END_S)
        return self.meter.snapshot()

    def keys(self) -> dict[bytes, bytes]:
        return read_keys(self._redis, self.settings.namespace)

    def assert_holds(self, *files: bytes) -> None:
        assert_states(self.keys(), expected(*files), self.settings.namespace)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.drain(0)
        self._redis.close()


Make = Callable[..., Run]


@pytest.fixture
def make(make_aws_site: Callable[..., Site], redis_server: Any) -> Iterator[Make]:
    runs: list[Run] = []

    def make(*, raw: bool = False, notify: bool = True, **more: Any) -> Run:
        runs.append(Run(make_aws_site(raw=raw, notify=notify), redis_server.url, **more))
        return runs[-1]

    yield make
    for run in runs:
        run.close()


@pytest.mark.parametrize("raw", [False, True], ids=["sns", "raw"])
def test_new_objects_become_states(make: Make, raw: bool) -> None:
    run = make(raw=raw)
    files = [batch(0), batch(3), batch(100, host="host-b"), b"".join(map(gzip.compress, [record(7), record(9)]))]
    for index, body in enumerate(files):
        run.site.put(f"day=1/a b+ü={index}%.json.gz", body)
    counts = run.until_empty()
    run.assert_holds(*files)
    assert total(counts, "files") == 4
    assert total(counts, "events") == total(counts, "records") == 17
    # Setting up the notification sent a message too.
    assert counts.values["skipped", "test_event"] == 1
    assert run.site.dead() == 0


def test_several_objects_of_one_message_are_one_piece_of_work(make: Make) -> None:
    run = make(notify=False)
    files = [batch(0), batch(5), batch(10)]
    keys = [f"{index}.gz" for index in range(3)]
    for key, body in zip(keys, files, strict=True):
        run.site.put(key, body)
    run.site.send(notification(run.site.bucket, *keys))
    counts = run.until_empty()
    run.assert_holds(*files)
    assert counts.values["messages", "done"] == 1


def test_the_same_object_again_changes_no_byte(make: Make) -> None:
    run = make()
    run.site.put("a.gz", batch(0))
    run.until_empty()
    before = run.keys()
    run.site.send(notification(run.site.bucket, "a.gz"))
    run.site.send(notification(run.site.bucket, "a.gz", "a.gz"))
    counts = run.until_empty()
    assert run.keys() == before
    assert total(counts, "already_applied") == 3


LAST_LINE_BROKEN = b"".join(record(process) for process in range(50)) + b'{"EventID":11,"Hostname":"host-a\x07"}\n'
BROKEN = {
    "record": (gzip.compress(LAST_LINE_BROKEN), "Reject", 51),
    "plain record": (LAST_LINE_BROKEN, "Reject", 51),
    "truncated": (batch(0, 500)[:-9], "Reject", None),
    "checksum": (batch(0)[:-8] + b"\0\0\0\0" + batch(0)[-4:], "Reject", None),
    "trailing": (batch(0) + b"garbage", "Reject", None),
    "not gzip, not JSON": (b"hello\n", "Reject", 1),
}


@pytest.mark.parametrize(("body", "error", "line"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_leaves_redis_untouched_and_is_parked_with_the_reason(
    make: Make, body: bytes, error: str, line: int | None
) -> None:
    run = make()
    run.site.put("bad/file 1.gz", body)
    counts = run.until_empty()
    assert run.keys() == {}
    (letter,) = run.site.dead_letters()
    assert letter["ErrorType"] == error
    assert letter["File"] == f"s3://{run.site.bucket}/bad/file 1.gz"
    assert letter["Reason"].startswith(letter["File"] + ": ")
    assert letter.get("Line") == (None if line is None else str(line))
    assert int(letter["Offset"]) >= 0
    assert letter["SourceQueue"] == run.site.queue_url
    assert "bad%2Ffile+1.gz" in letter["body"]
    assert counts.values["parked", error] == 1
    assert total(counts, "rejects") == 1


def test_a_broken_file_does_not_harm_its_neighbours(make: Make) -> None:
    run = make(notify=False)
    run.site.put("bad.gz", LAST_LINE_BROKEN)
    files = [batch(index * 3) for index in range(6)]
    for index, body in enumerate(files):
        run.site.put(f"{index}.gz", body)
    run.site.send(notification(run.site.bucket, "0.gz", "bad.gz", "1.gz"))
    for index in range(2, 6):
        run.site.send(notification(run.site.bucket, f"{index}.gz"))
    run.until_empty()
    run.assert_holds(*files)
    assert len(run.site.dead_letters()) == 1


def test_objects_over_a_limit_are_parked(make: Make) -> None:
    run = make(limits=Limits(record_bytes=1024, file_bytes=4096))
    run.site.put("line.gz", gzip.compress(record(1) + record(2, padding="x" * 2000)))
    run.site.put("file.gz", os.urandom(5000))
    counts = run.until_empty()
    assert run.keys() == {}
    assert {letter["Reason"].rsplit(", ", 1)[1] for letter in run.site.dead_letters()} == {"limit 1024", "limit 4096"}
    assert total(counts, "limit_hits") == 2


def test_an_object_that_is_gone_is_parked(make: Make) -> None:
    run = make()
    run.site.send(notification(run.site.bucket, "never.gz"))
    run.until_empty()
    (letter,) = run.site.dead_letters()
    assert letter["ErrorType"] == "Missing"
    assert letter["File"] == f"s3://{run.site.bucket}/never.gz"


def test_an_object_that_was_replaced_is_left_to_its_own_notification(make: Make) -> None:
    run = make()
    run.site.put("a.gz", batch(0))
    run.site.put("a.gz", batch(50))
    counts = run.until_empty()
    run.assert_holds(batch(50))
    assert counts.values["skipped", "replaced"] == 1
    assert run.site.dead() == 0


def test_another_bucket_is_never_read(make: Make, make_aws_site: Callable[..., Site]) -> None:
    run = make()
    other = make_aws_site()
    other.put("secret.gz", batch(0))
    run.site.send(notification(other.bucket, "secret.gz"))
    run.until_empty()
    (letter,) = run.site.dead_letters()
    assert letter["ErrorType"] == "NotAllowed"
    assert run.keys() == {}


@pytest.mark.parametrize(
    "body",
    [
        "hello",
        '{"Type":"SubscriptionConfirmation","Token":"t","SubscribeURL":"https://example.org/","Message":"m"}',
        '{"Records":[]}',
    ],
    ids=["text", "subscription", "no records"],
)
def test_a_message_that_is_no_notification_is_parked(make: Make, body: str) -> None:
    run = make()
    run.site.send(body)
    run.until_empty()
    (letter,) = run.site.dead_letters()
    assert letter["body"] == body
    assert letter["ErrorType"] == "ParkError"


def test_a_late_batch_is_parked_with_the_reason(make: Make) -> None:
    run = make(notify=False, ledger_window_s=1)
    run.site.put("old.gz", batch(0))
    # S3 tells times in whole seconds.
    old = run.site.s3.head_object(Bucket=run.site.bucket, Key="old.gz")["LastModified"]

    def put_and_look() -> bool:
        run.site.put("new.gz", batch(0))
        new = run.site.s3.head_object(Bucket=run.site.bucket, Key="new.gz")["LastModified"]
        return bool((new - old).total_seconds() > 1)

    wait_until(put_and_look, 10, "two seconds", every_s=0.3)
    run.site.send(notification(run.site.bucket, "new.gz"))
    run.until_empty()
    before = run.keys()
    run.site.send(notification(run.site.bucket, "old.gz"))
    counts = run.until_empty()
    assert run.keys() == before
    (letter,) = run.site.dead_letters()
    assert letter["ErrorType"] == "Late"
    assert "'host-a'" in letter["Reason"]
    assert total(counts, "late") == 1
