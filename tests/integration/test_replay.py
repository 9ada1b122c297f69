"""`fastfold replay` between real HTTP servers: what it sends, what it refuses, and what workers make of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_plus

import pytest
from click.testing import CliRunner, Result

from aws import Site, wait_until
from batches import batch, expected
from fastfold.cli import cli
from fastfold.commands.pod import build_worker
from fastfold.config import Settings
from fastfold.exits import Exit
from fastfold.listing import Lister
from fastfold.metrics import Meter, Snapshot, total
from fleet import HOLD_S
from states import assert_states, open_redis, read_keys

pytestmark = pytest.mark.servers

END_S = 60
KEYS = ["plain.gz", "day=1/a b+ü.gz", "100%/é&=?.gz", "日本/x.gz", "+.gz", "%2B.gz"]


@pytest.fixture
def site(make_aws_site: Callable[..., Site]) -> Site:
    return make_aws_site(notify=False)


def replay(site: Site, *more: str, prefix: str = "", window_s: int = 6 * 3600) -> Result:
    flags = ["--queue-url", site.queue_url, "--endpoint-url", site.server.url, "--ledger-window-s", str(window_s)]
    return CliRunner().invoke(cli, ["replay", f"s3://{site.bucket}/{prefix}", *flags, *more])


def bodies(site: Site) -> list[dict[str, Any]]:
    """Everything on the queue, taken off."""
    found: list[dict[str, Any]] = []
    while messages := site.sqs.receive_message(QueueUrl=site.queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"]))
            site.sqs.delete_message(QueueUrl=site.queue_url, ReceiptHandle=message["ReceiptHandle"])
    return found


def objects(site: Site) -> list[dict[str, Any]]:
    return [record["s3"]["object"] for body in bodies(site) for record in body["Records"]]


def test_every_object_is_told_of_once_whatever_its_key(site: Site) -> None:
    for key in KEYS:
        site.put(key, b"x")
    result = replay(site)
    assert result.exit_code == Exit.OK, result.stderr
    assert f"{len(KEYS)} objects, 0.0 MB, " in result.stderr
    assert f"{len(KEYS)} messages sent to {site.queue_url}" in result.stderr
    found = objects(site)
    assert sorted(unquote_plus(one["key"]) for one in found) == sorted(KEYS)
    assert {one["size"] for one in found} == {1}
    assert all("versionId" not in one and len(one["eTag"]) == 32 for one in found)


def test_only_what_lies_below_the_prefix(site: Site) -> None:
    for key in ("a/1.gz", "a/2.gz", "ab/3.gz", "b/4.gz"):
        site.put(key, b"x")
    assert replay(site, prefix="a/").exit_code == Exit.OK
    assert sorted(one["key"] for one in objects(site)) == ["a%2F1.gz", "a%2F2.gz"]


def test_more_objects_than_a_request_holds(site: Site) -> None:
    for number in range(23):
        site.put(f"{number:02}.gz", b"x")
    assert replay(site).exit_code == Exit.OK
    assert sorted(one["key"] for one in objects(site)) == [f"{number:02}.gz" for number in range(23)]


@pytest.mark.parametrize("page", [1, 2, 7, 1000])
def test_a_listing_goes_over_all_pages(site: Site, page: int) -> None:
    site.s3.put_bucket_versioning(Bucket=site.bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in range(12):
        site.put(f"{number % 4}.gz", b"x" * (1 + number))
    site.s3.delete_object(Bucket=site.bucket, Key="2.gz")
    found = list(Lister(site.s3, site.bucket, page=page).versions(""))
    assert sorted(one.size_bytes for one in found if not one.skipped) == list(range(1, 13))
    assert [one.key for one in found if one.skipped] == ["2.gz"]
    assert len({(one.key, one.version_id) for one in found}) == 13


def test_what_is_no_batch_is_counted_and_left_out(site: Site) -> None:
    site.put("a.gz", b"x")
    site.put("empty.gz", b"")
    site.put("folder/", b"")
    site.s3.put_object(Bucket=site.bucket, Key="cold.gz", Body=b"x", StorageClass="DEEP_ARCHIVE")
    result = replay(site)
    assert result.exit_code == Exit.OK
    (skipped,) = [line for line in result.stderr.splitlines() if line.startswith("skipped: ")]
    assert sorted(skipped.removeprefix("skipped: ").split(", ")) == ["1 archived", "1 empty", "1 folder"]
    assert [one["key"] for one in objects(site)] == ["a.gz"]


def test_every_version_is_a_batch_of_its_own(site: Site) -> None:
    site.put("before.gz", b"0")
    site.s3.put_bucket_versioning(Bucket=site.bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2", b"3"):
        site.put("after.gz", body)
    site.s3.delete_object(Bucket=site.bucket, Key="after.gz")
    result = replay(site)
    assert result.exit_code == Exit.OK
    assert "skipped: 1 deleted" in result.stderr
    found = objects(site)
    assert sorted(one["key"] for one in found) == ["after.gz"] * 3 + ["before.gz"]
    assert len({one["versionId"] for one in found if one["key"] == "after.gz"}) == 3
    assert all("versionId" not in one for one in found if one["key"] == "before.gz")


def test_nothing_is_sent_by_a_dry_run(site: Site) -> None:
    site.put("a.gz", b"x")
    result = replay(site, "--dry-run")
    assert result.exit_code == Exit.OK
    assert "1 objects" in result.stderr
    assert "nothing was sent" in result.stderr
    assert site.depth() == 0


def test_nothing_found_is_told(site: Site) -> None:
    result = replay(site, prefix="nothing/")
    assert result.exit_code == Exit.NOT_FOUND
    assert f"s3://{site.bucket}/nothing/: no objects" in result.stderr


def test_no_such_bucket_and_no_such_queue_are_told(site: Site) -> None:
    flags = ["--queue-url", site.queue_url, "--endpoint-url", site.server.url]
    result = CliRunner().invoke(cli, ["replay", "s3://no-such-bucket-here/", *flags])
    assert result.exit_code == Exit.SETUP
    assert "there is no such bucket" in result.stderr
    site.put("a.gz", b"x")
    flags[1] = site.queue_url + "-other"
    result = CliRunner().invoke(cli, ["replay", f"s3://{site.bucket}/", *flags])
    assert result.exit_code == Exit.SETUP
    assert "there is no such queue" in result.stderr


@pytest.fixture
def aged(site: Site) -> tuple[Site, str]:
    """Two objects more than two seconds apart, and a time between them."""
    site.put("old.gz", batch(0))
    old = site.s3.head_object(Bucket=site.bucket, Key="old.gz")["LastModified"]

    def put_and_look() -> bool:
        site.put("new.gz", batch(3))
        new = site.s3.head_object(Bucket=site.bucket, Key="new.gz")["LastModified"]
        return bool((new - old).total_seconds() > 2)

    wait_until(put_and_look, 15, "three seconds", every_s=0.3)
    return site, old.replace(second=old.second).strftime("%Y-%m-%dT%H:%M:%S")


def test_since_includes_its_second_and_until_does_not(aged: tuple[Site, str]) -> None:
    site, old = aged
    assert replay(site, "--until", f"{old}Z").exit_code == Exit.NOT_FOUND
    assert replay(site, "--since", "1h", "--until", f"{old}.500Z").exit_code == Exit.OK
    assert [one["key"] for one in objects(site)] == ["old.gz"]
    assert replay(site, "--since", f"{old}.500+00:00").exit_code == Exit.OK
    assert [one["key"] for one in objects(site)] == ["new.gz"]
    assert replay(site, "--since", old).exit_code == Exit.OK
    assert len(objects(site)) == 2


def test_what_the_ledger_may_have_forgotten_is_refused_before_anything_is_sent(aged: tuple[Site, str]) -> None:
    site, old = aged
    result = replay(site, window_s=1)
    assert result.exit_code == Exit.SETUP
    assert f"objects are older than the window of the ledger (1 s): oldest {old}" in result.stderr
    assert site.depth() == 0


class Worker:
    """Workers of a namespace at a site, one after the other."""

    def __init__(self, site: Site, redis_url: str, namespace: str, **more: Any) -> None:
        self.site = site
        self.settings = Settings(
            queue_url=site.queue_url,
            endpoint_url=site.server.url,
            redis_url=redis_url,
            namespace=namespace,
            buckets=(site.bucket,),
            **{"wait_s": 1, "hold_s": HOLD_S, **more},
        )
        self.client = open_redis(redis_url)

    def until_empty(self) -> Snapshot:
        meter = Meter()
        worker = build_worker(self.settings, meter)
        worker.start()
        try:
            self.site.wait_empty(END_S)
        finally:
            assert worker.drain(END_S)
        return meter.snapshot()

    def keys(self) -> dict[bytes, bytes]:
        return read_keys(self.client, self.settings.namespace)


@pytest.fixture(params=["redis_server", "redis_cluster"])
def worker(request: pytest.FixtureRequest, site: Site) -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def make(namespace: str, **more: Any) -> Worker:
        made.append(Worker(site, request.getfixturevalue(request.param).url, f"{namespace}-{site.name}:", **more))
        return made[-1]

    yield make
    for one in made:
        one.client.close()


FILES = {f"{number}/ä+ {number}.gz": batch(7 * number, host=f"host-{number % 3}") for number in range(12)}


def test_inside_the_window_a_replay_changes_no_byte(site: Site, worker: Callable[..., Worker]) -> None:
    live = worker("live")
    for key, body in FILES.items():
        site.put(key, body)
    assert replay(site).exit_code == Exit.OK
    counts = live.until_empty()
    assert total(counts, "files") == len(FILES)
    before = live.keys()
    assert_states(before, expected(*FILES.values()), live.settings.namespace)

    # Other writers have versions turned on meanwhile: the same objects, now with a version each.
    site.s3.put_bucket_versioning(Bucket=site.bucket, VersioningConfiguration={"Status": "Enabled"})
    assert replay(site, "--rate", "1000/s").exit_code == Exit.OK
    counts = live.until_empty()
    assert live.keys() == before
    assert total(counts, "already_applied") == len(FILES)
    assert site.dead() == 0


def test_states_that_are_lost_are_restored_while_others_stay(site: Site, worker: Callable[..., Worker]) -> None:
    live = worker("live")
    for key, body in FILES.items():
        site.put(key, body)
    assert replay(site).exit_code == Exit.OK
    live.until_empty()
    before = live.keys()
    lost = sorted(before)[: len(before) // 3]
    # All of a host goes, as with its shard.
    tags = {key[: key.index(b"}") + 1] for key in lost}
    assert tags
    gone = [key for key in before if key[: key.index(b"}") + 1] in tags]
    for key in gone:
        live.client.delete(key)
    assert len(gone) < len(before)
    assert replay(site).exit_code == Exit.OK
    live.until_empty()
    assert live.keys() == before
    assert site.dead() == 0


def test_a_new_key_space_is_rebuilt_from_all_there_is(aged: tuple[Site, str], worker: Callable[..., Worker]) -> None:
    site, _ = aged
    again = worker("again", ledger_window_s=7200)
    result = replay(site, "--into", again.settings.namespace, window_s=1)
    assert result.exit_code == Exit.OK, result.stderr
    assert f"workers of namespace {again.settings.namespace} need --ledger-window-s 7200 or more" in result.stderr
    again.until_empty()
    assert_states(again.keys(), expected(batch(0), batch(3)), again.settings.namespace)
    assert site.dead() == 0


def test_workers_of_another_key_space_do_not_apply_it(site: Site, worker: Callable[..., Worker]) -> None:
    site.put("a.gz", batch(0))
    assert replay(site, "--into", "again:").exit_code == Exit.OK
    live = worker("live")
    live.until_empty()
    assert live.keys() == {}
    (letter,) = site.dead_letters()
    assert letter["ErrorType"] == "NotAllowed"
    assert letter["Reason"].startswith("message is for namespace 'again:'")


def test_a_rate_is_kept(site: Site) -> None:
    for number in range(15):
        site.put(f"{number}.gz", b"x")
    start = time.monotonic()
    assert replay(site, "--rate", "10/s").exit_code == Exit.OK
    # The second batch of ten is due a second after the first: sooner would be a fault, later is a slow machine.
    assert time.monotonic() - start >= 1.0
    assert len(objects(site)) == 15


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["bucket/prefix"], "is no place like s3://bucket/prefix"),
        (["s3://b"], "is no place"),
        (["s3://bucket/", "--since", "yesterday"], "is no time like"),
        (["s3://bucket/", "--rate", "0/s"], "is no rate"),
        (["s3://bucket/", "--rate", "fast"], "is no rate"),
        (["s3://bucket/", "--into", "a{b}"], "holds one of"),
        (["s3://bucket/", "--into", ""], "is empty"),
        (["s3://bucket/", "--into", "ff:"], "is the key space of the live workers"),
    ],
)
def test_wrong_use_is_told(args: list[str], told: str) -> None:
    result = CliRunner().invoke(cli, ["replay", "--queue-url", "https://sqs.example/1/q", *args])
    assert result.exit_code == Exit.USAGE
    assert told in result.stderr
