"""Alerts on SNS and SQS: real requests to moto, and to a queue that fails in every way."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from alerts import HOSTILE, an_alert, hostile_alert
from aws import REGION, MotoServer
from fastfold.alerts.forms import line_of
from fastfold.alerts.types import Alert
from fastfold.config import Settings
from fastfold.errors import ConfigError, Unavailable
from fastfold.metrics import Meter
from fastfold.sinks.aws import QueueSink, TopicSink
from fastfold.sinks.opening import open_outlets
from fastfold.sinks.read import ATTRIBUTE_BYTES, MESSAGE_BYTES
from fastfold.sinks.types import TAKEN, Parcel, QueueFacts, Sink, SinkFacts, TopicFacts
from sqs import Cloud

MOST = MESSAGE_BYTES - ATTRIBUTE_BYTES
_names = itertools.count()


def parcel(alert: Alert) -> Parcel:
    body, _ = line_of(alert, "native", MOST)
    return Parcel(alert.id, alert.rule_id, alert.level, alert.tenant, alert.host, alert.title, body)


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    server = MotoServer(tmp_path_factory.mktemp("moto") / "log")
    yield server
    server.stop()


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    made = Cloud()
    yield made
    made.close()


def open_sink(facts: QueueFacts | TopicFacts, monkeypatch: pytest.MonkeyPatch) -> Sink:
    """The sink as a worker opens it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    kind = "sqs" if isinstance(facts, QueueFacts) else "sns"
    (outlet,) = open_outlets([SinkFacts("s", kind, of_kind=facts)], Settings(), Meter())
    return outlet.lane._sink


def make_queue(moto: MotoServer, fifo: bool) -> str:
    name = f"alerts-{next(_names)}{'.fifo' if fifo else ''}"
    attributes = {"FifoQueue": "true"} if fifo else {}
    return str(moto.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


def received(moto: MotoServer, url: str) -> list[dict[str, Any]]:
    sqs, found = moto.client("sqs"), []
    while messages := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
    ).get("Messages"):
        found += messages
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def attributes(message: dict[str, Any]) -> dict[str, str]:
    return {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}


@pytest.mark.parametrize("fifo", [False, True])
def test_a_queue_takes_alerts_with_their_attributes(
    moto: MotoServer, fifo: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_queue(moto, fifo)
    sink = open_sink(QueueFacts(url, REGION, moto.url), monkeypatch)
    alerts = [an_alert(number) for number in range(12)]
    assert sink.send([parcel(alert) for alert in alerts]) == [TAKEN] * 12
    found = received(moto, url)
    assert sorted(json.loads(message["Body"])["id"] for message in found) == [alert.id for alert in alerts]
    for message in found:
        assert attributes(message) == {
            "id": json.loads(message["Body"])["id"],
            "rule": "office-shell",
            "level": "high",
            "tenant": "acme",
        }
        if fifo:
            assert message["Attributes"]["MessageDeduplicationId"] == attributes(message)["id"]
    assert len({message["Attributes"].get("MessageGroupId") for message in found}) == 1
    sink.close()


def test_a_fifo_queue_takes_an_alert_that_is_sent_twice_once(moto: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = make_queue(moto, True)
    sink = open_sink(QueueFacts(url, REGION, moto.url), monkeypatch)
    assert [sink.send([parcel(an_alert(1))]) for _ in range(2)] == [[TAKEN]] * 2
    assert len(received(moto, url)) == 1
    sink.close()


@pytest.mark.parametrize("fifo", [False, True])
def test_a_topic_takes_alerts_and_a_subscriber_filters_by_attribute(
    moto: MotoServer, fifo: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sns, sqs, url = moto.client("sns"), moto.client("sqs"), make_queue(moto, fifo)
    end = ".fifo" if fifo else ""
    arn = sns.create_topic(Name=f"t-{next(_names)}{end}", Attributes={"FifoTopic": "true"} if fifo else {})["TopicArn"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"level": ["critical"]})
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn, Attributes={"FilterPolicy": policy})
    # Its region is that of the topic.
    sink = open_sink(TopicFacts(arn, endpoint_url=moto.url), monkeypatch)
    sent = [an_alert(1), an_alert(2, level="critical"), an_alert(3, level="critical", tenant="")]
    assert sink.send([parcel(alert) for alert in sent]) == [TAKEN] * 3
    found = [json.loads(message["Body"]) for message in received(moto, url)]
    assert sorted(json.loads(message["Message"])["id"] for message in found) == [sent[1].id, sent[2].id]
    assert sorted(message["MessageAttributes"]["tenant"]["Value"] for message in found) == ["-", "acme"]
    assert {message["Subject"] for message in found} == {"[critical] Office program starts a shell that connects out"}
    sink.close()


def test_whatever_is_written_in_an_alert_is_taken(moto: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    url = make_queue(moto, False)
    arn = moto.client("sns").create_topic(Name=f"t-{next(_names)}")["TopicArn"]
    parcels = [parcel(hostile_alert(text)) for text in HOSTILE]
    for facts in (QueueFacts(url, REGION, moto.url), TopicFacts(arn, REGION, moto.url)):
        sink = open_sink(facts, monkeypatch)
        assert [answer for each in parcels for answer in sink.send([each])] == [TAKEN] * len(parcels)
        sink.close()
    hosts = {json.loads(message["Body"])["host"] for message in received(moto, url)}
    assert {text for text in HOSTILE if len(text) < 100} <= hosts


def test_large_alerts_are_spread_over_requests(cloud: Cloud) -> None:
    queue = cloud.queue("alerts")
    sink = QueueSink(cloud.client(), queue.url)
    large = [Parcel(f"{number:032x}", "r", "low", "", "h", "t", b'"' + b"x" * 100_000 + b'"') for number in range(10)]
    assert sink.send(large) == [TAKEN] * 10
    assert queue.alive == 10
    assert cloud.counts["SendMessageBatch"] == 5
    sink.close()


def test_what_a_queue_did_not_take_is_told_for_each_alert(cloud: Cloud) -> None:
    queue = cloud.queue("alerts")
    sink = QueueSink(cloud.client(), queue.url)
    cloud.mischief.fail_send = cloud.mischief.refuse_send = 0.3
    answers = sink.send([parcel(an_alert(number)) for number in range(100)])
    kinds = [answer.kind for answer in answers]
    assert set(kinds) == {"taken", "later", "refused"}
    assert sorted(json.loads(body)["id"] for body in queue.bodies()) == [
        f"{number:032x}" for number, kind in enumerate(kinds) if kind == "taken"
    ]
    assert {answer.reason for answer in answers if answer.kind == "refused"} == {"InvalidMessageContents"}
    sink.close()


def test_a_queue_that_is_not_there_is_told(cloud: Cloud, moto: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="there is no such queue"):
        QueueSink(cloud.client(), f"{cloud.url}/1/none").send([parcel(an_alert())])
    gone = open_sink(TopicFacts(f"arn:aws:sns:{REGION}:123456789012:none", endpoint_url=moto.url), monkeypatch)
    with pytest.raises(Unavailable, match="NotFound"):
        gone.send([parcel(an_alert())])
    gone.close()


class RefusingClient:
    """Refuses a whole request for one message in it, as SNS may."""

    def __init__(self, bad: str) -> None:
        self.bad = bad
        self.taken: list[str] = []

    def publish_batch(self, **request: Any) -> Any:
        entries = request["PublishBatchRequestEntries"]
        if any(entry["MessageAttributes"]["id"]["StringValue"] == self.bad for entry in entries):
            raise ClientError({"Error": {"Code": "InvalidParameter", "Message": "Invalid message"}}, "PublishBatch")
        self.taken += [entry["MessageAttributes"]["id"]["StringValue"] for entry in entries]
        return {"Successful": [{"Id": entry["Id"]} for entry in entries]}


def test_one_message_that_spoils_a_request_keeps_no_other_back() -> None:
    alerts = [an_alert(number) for number in range(5)]
    client = RefusingClient(alerts[2].id)
    answers = TopicSink(client, "arn").send([parcel(alert) for alert in alerts])
    assert [answer.kind for answer in answers] == ["taken", "taken", "refused", "taken", "taken"]
    assert client.taken == [alert.id for alert in alerts if alert.id != client.bad]


def test_what_is_not_in_the_answer_was_not_taken() -> None:
    class Silent:
        def send_message_batch(self, **_: Any) -> Any:
            return {}

    answers = QueueSink(Silent(), "q").send([parcel(an_alert(1))])
    assert [(answer.kind, answer.reason) for answer in answers] == [("later", "no answer for this message")]


def test_secrets_and_files_are_looked_at_when_a_sink_is_opened(tmp_path: Path) -> None:
    from fastfold.sinks.types import FileFacts, WebhookFacts

    hook = WebhookFacts("https://soc.example/", secret_env="SOC", authorization_env="TOKEN", ca_file="")

    def fault(kind: Any, of_kind: Any, **environ: str) -> str:
        with pytest.raises(ConfigError) as caught:
            open_outlets([SinkFacts("soc", kind, of_kind=of_kind)], Settings(), Meter(), environ)
        return str(caught.value)

    assert fault("webhook", hook) == "sink soc: the environment has no SOC"
    assert fault("webhook", hook, SOC="s") == "sink soc: the environment has no TOKEN"
    assert "what a header may not" in fault("webhook", hook, SOC="s", TOKEN="a\r\nb: c")
    missing = WebhookFacts("https://soc.example/", ca_file=str(tmp_path / "none.pem"))
    assert "none.pem" in fault("webhook", missing)
    assert "none" in fault("file", FileFacts(str(tmp_path / "none" / "a")))
    (outlet,) = open_outlets(
        [SinkFacts("soc", "webhook", of_kind=hook)], Settings(), Meter(), {"SOC": "s", "TOKEN": "t"}
    )
    outlet.lane.close(0)
