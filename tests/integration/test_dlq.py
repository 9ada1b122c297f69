"""`fastfold dlq` against a queue over HTTP: what it shows, what it moves, and what it never loses."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from aws import CREDENTIALS, notification
from fastfold import dead_letters
from fastfold.cli import cli
from fastfold.dead_letters import Parked
from fastfold.errors import Late, Missing, Reject
from fastfold.exits import Exit
from fastfold.parking import REASON_NAMES, reasons_of
from sqs import AdverseQueue, Cloud, Mischief

NASTY = "a\x1b[2J\x9b\u202e\u2028\r\nb"


class Site:
    """A queue and its dead-letter queue, with messages parked as a worker does."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.dead = cloud.queue("dead", visibility_s=1)
        self.queue = cloud.queue("queue", dead=self.dead)

    def park(
        self, key: str, error: Exception, *, body: str = "", queue: AdverseQueue | None = None, **more: str
    ) -> str:
        name = f"s3://logs/{key}"
        attributes = reasons_of(error, name, (queue or self.queue).url)
        attributes |= {name: {"DataType": "String", "StringValue": value} for name, value in more.items()}
        return self.dead.put(body or notification("logs", key), attributes)

    def dlq(self, *args: str, answer: str | None = None) -> Result:
        flags = ["--queue-url", self.queue.url, "--endpoint-url", self.cloud.url]
        return CliRunner().invoke(cli, ["dlq", *args, *flags], input=answer)

    def parked(self) -> int:
        """Messages in the dead-letter queue, all of which others can see."""
        assert self.dead.visible() == self.dead.alive
        return self.dead.alive


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dead_letters, "_WAIT_S", 0)
    with contextlib.closing(Cloud()) as cloud:
        yield Site(cloud)


REJECT = Reject("record too long", line=812, offset=88213, limit=1024)
LATE = Late("host-a", 9000, 5000)


def some(site: Site) -> dict[str, str]:
    """Three messages, by key."""
    return {
        "bad.gz": site.park("bad.gz", REJECT.at("s3://logs/bad.gz")),
        "old.gz": site.park("old.gz", LATE),
        "gone.gz": site.park("gone.gz", Missing("s3://logs/gone.gz: NoSuchKey")),
    }


def test_a_list_tells_what_why_and_where(site: Site) -> None:
    ids = some(site)
    result = site.dlq("list")
    assert result.exit_code == Exit.OK
    lines = result.stdout.splitlines()
    (line,) = [number for number, line in enumerate(lines) if line.startswith(ids["bad.gz"])]
    assert lines[line].split()[2:] == ["Reject", "s3://logs/bad.gz"]
    assert lines[line + 1] == "    s3://logs/bad.gz: record too long at line 812, offset 88213, limit 1024"
    assert len(lines) == 6
    assert result.stderr.startswith("3 messages: 1 ")
    assert site.parked() == 3


def test_a_list_as_json(site: Site) -> None:
    ids = some(site)
    found = {one["id"]: one for one in map(json.loads, site.dlq("list", "--json").stdout.splitlines())}
    assert found.keys() == set(ids.values())
    bad = found[ids["bad.gz"]]
    assert (bad["error"], bad["line"], bad["offset"], bad["from"]) == ("Reject", 812, 88213, site.queue.url)
    assert bad["file"] == "s3://logs/bad.gz"
    assert "line" not in found[ids["old.gz"]]
    assert site.parked() == 3


@pytest.mark.parametrize(
    ("filters", "keys"),
    [
        (["--error", "late"], {"old.gz"}),
        (["--match", "TOO LONG"], {"bad.gz"}),
        (["--match", "gone.gz"], {"gone.gz"}),
        (["--match", "Gone", "--error", "Reject"], set()),
        (["--since", "1h"], {"bad.gz", "old.gz", "gone.gz"}),
        (["--until", "1h"], set()),
        (["--since", "2020-01-01", "--until", "2120-01-01T00:00:00Z"], {"bad.gz", "old.gz", "gone.gz"}),
    ],
)
def test_filters(site: Site, filters: list[str], keys: set[str]) -> None:
    ids = some(site)
    shown = [json.loads(line)["id"] for line in site.dlq("list", "--json", *filters).stdout.splitlines()]
    assert set(shown) == {ids[key] for key in keys}
    assert len(shown) == len(keys)
    assert site.parked() == 3


def test_a_limit_is_told_when_there_may_be_more(site: Site) -> None:
    for number in range(25):
        site.park(f"{number}.gz", REJECT)
    result = site.dlq("list", "--limit", "12", "--json")
    assert len(result.stdout.splitlines()) == 12
    assert "there may be more; --limit is 12" in result.stderr
    result = site.dlq("list", "--json")
    assert len(result.stdout.splitlines()) == 25
    assert "more" not in result.stderr
    assert site.parked() == 25


def test_a_message_is_shown_in_full(site: Site) -> None:
    site.park("other.gz", LATE)
    name = site.park("bad.gz", REJECT.at("s3://logs/bad.gz"), Trace="abc")
    result = site.dlq("show", name)
    assert result.exit_code == Exit.OK
    for part in (f"message {name}", "s3://logs/bad.gz, line 812, offset 88213", "Trace = abc", '"key": "bad.gz"'):
        assert part in result.stdout
    assert "other.gz" not in result.stdout
    (shown,) = map(json.loads, site.dlq("show", "--json", name).stdout.splitlines())
    assert shown["attributes"] == {"Trace": "abc"}
    assert json.loads(shown["body"])["Records"]
    assert site.dlq("show", "none-such").exit_code == Exit.NOT_FOUND
    assert site.parked() == 2


def test_what_the_redrive_policy_moved_is_shown_without_a_reason(site: Site) -> None:
    site.dead.put(notification("logs", "a+b.gz"), source=site.queue.arn)
    site.dead.put("no notification", source=site.queue.arn)
    shown = [json.loads(line) for line in site.dlq("list", "--json").stdout.splitlines()]
    assert sorted((one["error"], one["file"]) for one in shown) == [("Redrive", ""), ("Redrive", "s3://logs/a b.gz")]
    assert {one["from"] for one in shown} == {site.queue.arn}


@pytest.mark.parametrize("how", [["list"], ["list", "--json"], ["show"], ["show", "--json"]])
def test_nothing_that_others_chose_reaches_the_terminal_raw(site: Site, how: list[str]) -> None:
    # Written by somebody else than a worker: nothing in it is escaped.
    texts = {name: {"DataType": "String", "StringValue": NASTY} for name in (*REASON_NAMES, f"X{NASTY}")}
    name = site.dead.put(f"body {NASTY}", texts)
    result = site.dlq(*how, *([name] if how[0] == "show" else []))
    assert result.exit_code == Exit.OK
    raw = {character for character in result.output if character < " " or character in "\x7f\x9b\u202e\u2028"}
    assert raw == {"\n"}
    assert "u202e" in result.stdout


@pytest.mark.parametrize("verb", ["requeue", "drop"])
@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_nothing_is_done_without_a_yes(site: Site, verb: str, answer: str) -> None:
    some(site)
    result = site.dlq(verb, "--all", answer=answer)
    assert result.exit_code == Exit.INTERRUPTED
    assert "3 messages: " in result.stderr
    assert site.parked() == 3
    assert site.queue.alive == 0


@pytest.mark.parametrize("verb", ["requeue", "drop"])
def test_what_is_meant_must_be_said(site: Site, verb: str) -> None:
    for args in ([verb], [verb, "--all", "--error", "Late"], [verb, "--all", "some-id"]):
        assert site.dlq(*args, "--yes").exit_code == Exit.USAGE


def test_a_message_is_put_back_as_it_was(site: Site) -> None:
    ids = some(site)
    name = site.park("mine.gz", REJECT, Trace="abc")
    result = site.dlq("requeue", name, answer="y\n")
    assert result.exit_code == Exit.OK, result.stderr
    assert "1 put back on the queue" in result.stderr
    (message,) = site.cloud.client().receive_message(QueueUrl=site.queue.url, MessageAttributeNames=["All"])["Messages"]
    assert message["Body"] == notification("logs", "mine.gz")
    assert message["MessageAttributes"] == {"Trace": {"DataType": "String", "StringValue": "abc"}}
    assert site.parked() == len(ids)


def test_only_what_was_asked_about_is_moved(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    some(site)
    asked: list[str] = []

    def confirm(text: str, **more: Any) -> bool:
        asked.append(text)
        site.park("later.gz", REJECT)
        return True

    monkeypatch.setattr("click.confirm", confirm)
    result = site.dlq("drop", "--all", "--json")
    assert result.exit_code == Exit.OK
    assert asked == ["drop these?"]
    outcomes = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["outcome"] for one in outcomes] == ["dropped"] * 3
    assert site.parked() == 1
    assert "later.gz" in site.dead.bodies()[0]


def test_many_are_moved_by_filter(site: Site) -> None:
    for number in range(35):
        site.park(f"{number}.gz", REJECT if number % 2 else LATE)
    result = site.dlq("requeue", "--error", "Late", "--yes")
    assert result.exit_code == Exit.OK, result.stderr
    assert "18 put back on the queue" in result.stderr
    assert site.queue.alive == 18
    assert site.parked() == 17
    assert site.dlq("drop", "--match", "/3", "--yes").exit_code == Exit.OK
    assert site.parked() == 17 - len([number for number in range(1, 35, 2) if str(number).startswith("3")])


def test_long_messages_go_in_requests_of_their_own(site: Site) -> None:
    bodies = [json.dumps({"number": number, "padding": "x" * 100_000}) for number in range(7)]
    for body in bodies:
        site.park("a.gz", REJECT, body=body)
    assert site.dlq("requeue", "--all", "--yes").exit_code == Exit.OK
    assert site.queue.bodies() == sorted(bodies)
    assert site.cloud.counts["SendMessageBatch"] == 4


def test_what_another_queue_parked_is_left(site: Site) -> None:
    other = site.cloud.queue("other", dead=site.dead)
    site.park("theirs.gz", REJECT, queue=other)
    site.dead.put(notification("logs", "theirs-too.gz"), source=other.arn)
    site.park("ours.gz", REJECT)
    site.dead.put(notification("logs", "ours-too.gz"), source=site.queue.arn)
    result = site.dlq("requeue", "--all", "--yes")
    assert result.exit_code == Exit.FAILED
    assert "2 came from another queue" in result.stderr
    assert sorted(json.loads(body)["Records"][0]["s3"]["object"]["key"] for body in site.queue.bodies()) == [
        "ours-too.gz",
        "ours.gz",
    ]
    assert site.parked() == 2


def test_nothing_is_deleted_that_the_queue_has_not_taken(site: Site) -> None:
    for number in range(30):
        site.park(f"{number}.gz", REJECT)
    before = site.dead.bodies()
    site.cloud.mischief = Mischief(fail_send=0.4, refuse_send=0.2)
    result = site.dlq("requeue", "--all", "--yes", "--json")
    assert result.exit_code == Exit.FAILED
    outcomes = [json.loads(line)["outcome"] for line in result.stdout.splitlines()]
    assert outcomes.count("refused") == site.parked() > 0
    assert outcomes.count("requeued") == site.queue.alive > 0
    assert site.cloud.counts["fail_send"] > 0
    assert sorted([*site.queue.bodies(), *site.dead.bodies()]) == before


def test_what_cannot_be_deleted_is_told_to_be_on_both(site: Site) -> None:
    some(site)
    site.cloud.mischief = Mischief(fail_delete=1.0)
    result = site.dlq("requeue", "--all", "--yes")
    assert result.exit_code == Exit.FAILED
    assert "3 put back, but could not be deleted here" in result.stderr
    assert site.queue.alive == site.parked() == 3
    assert site.dlq("drop", "--all", "--yes").exit_code == Exit.FAILED
    site.cloud.mischief = Mischief(fail_delete=0.5)
    assert site.dlq("drop", "--all", "--yes").exit_code in (Exit.OK, Exit.FAILED)


def test_a_queue_that_is_gone_leaves_all_where_it_was(site: Site) -> None:
    some(site)
    flags = ["--queue-url", site.queue.url + "-gone", "--dead-letter-url", site.dead.url]
    args = ["dlq", "requeue", "--all", "--yes", "--endpoint-url", site.cloud.url, *flags]
    # They came from another queue, as far as these flags say, so one that names none is needed to get that far.
    site.dead.put(notification("logs", "x.gz"))
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == Exit.SETUP
    assert "there is no such queue" in result.stderr
    assert site.parked() == 4


def test_an_empty_queue(site: Site) -> None:
    assert site.dlq("list").exit_code == Exit.OK
    assert "no messages" in site.dlq("list").stderr
    assert site.dlq("drop", "--all", "--yes").exit_code == Exit.NOT_FOUND
    assert site.dlq("drop", "--all", answer="y\n").exit_code == Exit.NOT_FOUND


def test_a_dead_letter_queue_is_needed(site: Site) -> None:
    flags = ["--endpoint-url", site.cloud.url, "--queue-url"]
    result = CliRunner().invoke(cli, ["dlq", "list", *flags, site.dead.url])
    assert result.exit_code == Exit.SETUP
    assert "has no redrive policy" in result.stderr
    result = CliRunner().invoke(cli, ["dlq", "list", *flags, site.dead.url, "--dead-letter-url", site.dead.url])
    assert result.exit_code == Exit.SETUP


def test_a_message_seen_again_is_counted_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    # A look that takes longer than a message stays hidden.
    monkeypatch.setattr(dead_letters, "HIDDEN_S", 0)
    some(site)
    assert len(site.dlq("list", "--json").stdout.splitlines()) == 3


def test_where_a_message_came_from() -> None:
    def parked(source: str = "", moved: str = "") -> Parked:
        attributes = {"SourceQueue": {"StringValue": source}} if source else {}
        return Parked("id", "receipt", "", attributes, moved_from=moved)

    url = "https://sqs.eu-1.amazonaws.com/42/q"
    assert parked().is_from(url)
    assert parked(source=url).is_from(url)
    assert not parked(source=url + "2").is_from(url)
    assert parked(moved="arn:aws:sqs:eu-1:42:q").is_from(url)
    assert not parked(moved="arn:aws:sqs:eu-1:43:q").is_from(url)
    assert not parked(source=url + "2", moved="arn:aws:sqs:eu-1:42:q").is_from(url)
