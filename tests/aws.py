"""S3, SQS and SNS for tests: moto's HTTP server, and a bucket that notifies a queue.

moto's receive slows with the depth of a queue: keep fewer than a hundred messages in one.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

REGION = "us-east-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    # Nothing of the person who runs the tests, and no question to an instance metadata service.
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_START_S = 30.0


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(true: Callable[[], bool], timeout_s: float, what: str, every_s: float = 0.05) -> None:
    """Wait until something holds, or fail with its name."""
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, f"not within {timeout_s:g} s: {what}"
        time.sleep(every_s)


class MotoServer:
    """moto's server in a process of its own, on a port of loopback."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **CREDENTIALS},
        )
        try:
            wait_until(self._answers, _START_S, f"moto answers; its log is {log}")
        except BaseException:
            self.stop()
            raise

    def client(self, service: str) -> Any:
        """A boto3 client of this server."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 3}),
        )

    def stop(self) -> None:
        """End the server; what it held is gone."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _answers(self) -> bool:
        assert self._process.poll() is None, f"moto ended with {self._process.returncode}"
        try:
            with urllib.request.urlopen(f"{self.url}/moto-api/", timeout=2) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False


@dataclass(frozen=True)
class Site:
    """A bucket whose new objects are notified through a topic to a queue, and the queue's dead-letter queue.

    Attributes
    ----------
    name : str
        Makes the names of all of them unique.
    queue_url, dead_letter_url : str
    """

    server: MotoServer
    name: str
    queue_url: str
    dead_letter_url: str
    s3: Any
    sqs: Any

    @property
    def bucket(self) -> str:
        return f"bucket-{self.name}"

    def put(self, key: str, body: bytes, bucket: str = "") -> None:
        """Put an object; its notification follows."""
        self.s3.put_object(Bucket=bucket or self.bucket, Key=key, Body=body)

    def send(self, body: str) -> None:
        """Put a message on the queue."""
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

    def depth(self) -> int:
        """Messages in the queue, visible and in flight."""
        return self._depth(self.queue_url)

    def dead(self) -> int:
        """Messages in the dead-letter queue."""
        return self._depth(self.dead_letter_url)

    def dead_letters(self) -> list[dict[str, Any]]:
        """The messages of the dead-letter queue, taken out of it: ``body``, and the attributes by name."""
        found: list[dict[str, Any]] = []
        while True:
            reply = self.sqs.receive_message(
                QueueUrl=self.dead_letter_url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            )
            if not reply.get("Messages"):
                return found
            for message in reply["Messages"]:
                attributes = message.get("MessageAttributes", {})
                found.append(
                    {"body": message["Body"], **{name: value["StringValue"] for name, value in attributes.items()}}
                )
                self.sqs.delete_message(QueueUrl=self.dead_letter_url, ReceiptHandle=message["ReceiptHandle"])

    def wait_empty(self, timeout_s: float) -> None:
        """Wait until the queue holds no message."""
        wait_until(lambda: self.depth() == 0, timeout_s, f"{self.queue_url} is empty", every_s=0.2)

    def _depth(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)


def make_site(server: MotoServer, name: str, *, raw: bool = False, notify: bool = True) -> Site:
    """Make a bucket, a topic, a queue and a dead-letter queue, and connect them.

    Parameters
    ----------
    server : MotoServer
    name : str
    raw : bool
        Whether the topic delivers the notification itself, without its envelope.
    notify : bool
        Whether new objects are notified; else only what the test sends is on the queue.
    """
    s3, sqs, sns = (server.client(service) for service in ("s3", "sqs", "sns"))
    dead_letter_url = sqs.create_queue(QueueName=f"dead-{name}")["QueueUrl"]
    dead_letter_arn = _arn(sqs, dead_letter_url)
    queue_url = sqs.create_queue(
        QueueName=f"queue-{name}",
        Attributes={
            "VisibilityTimeout": "120",
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": 100}),
        },
    )["QueueUrl"]
    topic_arn = sns.create_topic(Name=f"topic-{name}")["TopicArn"]
    sns.subscribe(
        TopicArn=topic_arn,
        Protocol="sqs",
        Endpoint=_arn(sqs, queue_url),
        Attributes={"RawMessageDelivery": "true" if raw else "false"},
    )
    site = Site(server, name, queue_url, dead_letter_url, s3, sqs)
    s3.create_bucket(Bucket=site.bucket)
    if not notify:
        return site
    s3.put_bucket_notification_configuration(
        Bucket=site.bucket,
        NotificationConfiguration={"TopicConfigurations": [{"TopicArn": topic_arn, "Events": ["s3:ObjectCreated:*"]}]},
    )
    return site


def notification(bucket: str, *keys: str, etags: tuple[str, ...] = ()) -> str:
    """The body of an S3 notification that names several objects; keys as S3 writes them, form-encoded."""
    records = []
    for index, key in enumerate(keys):
        found: dict[str, Any] = {"key": key, "size": 1, "sequencer": f"{index:016X}"}
        if etags:
            found["eTag"] = etags[index]
        records.append(
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": REGION,
                "eventTime": "2026-01-01T00:00:00.000Z",
                "eventName": "ObjectCreated:Put",
                "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket}, "object": found},
            }
        )
    return json.dumps({"Records": records})


def _arn(sqs: Any, url: str) -> str:
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])
