"""The queue: receive messages, hide them longer, delete them, hand them back or park them.

A message that cannot be applied is parked: it is sent to the dead-letter queue with the reason as
attributes (`fastfold.parking`), and deleted only after that has succeeded.

Every batch request may fail for some entries and still answer 200: each reply's `Failed` is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastfold.clients import find_dead_letter_url, make_client, translated
from fastfold.config import Settings
from fastfold.errors import ConfigError
from fastfold.parking import reasons_of

__all__ = ["BATCH_MESSAGES", "Message", "Queue", "SqsClient", "connect_queue"]

BATCH_MESSAGES = 10
"""Most entries that SQS takes in one request."""

ATTRIBUTES = 10
"""Most attributes of a message."""

_REPLY_TIMEOUT_S = 5.0
_SERVER = "SQS"
_SENT = "SentTimestamp"


class SqsClient(Protocol):
    """What is used of boto3's client; keyword arguments and replies are those of the SQS API."""

    receive_message: Callable[..., Any]
    delete_message_batch: Callable[..., Any]
    change_message_visibility_batch: Callable[..., Any]
    send_message: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A message that this process holds.

    Attributes
    ----------
    receipt : str
        Handle of this receive of the message: the only one by which it can be deleted.
    body : str
    attributes : mapping
        Message attributes as received; a parked message keeps them.
    sent_ms : int
        When it was put on the queue, by the clock of SQS, milliseconds since 1970; 0 where SQS does not say.
    received_ns : int
        When this process received it, by its own clock, nanoseconds since 1970.
    """

    receipt: str
    body: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    sent_ms: int = 0
    received_ns: int = 0


class Queue:
    """Requests to one queue and its dead-letter queue; threads may share it.

    Parameters
    ----------
    receiver : SqsClient
        Client for long polls, patient.
    client : SqsClient
        Client for everything else: an answer that is late must not keep the keeper from its work.
    url, dead_letter_url : str
    visibility_s, wait_s : int
    """

    def __init__(
        self,
        receiver: SqsClient,
        client: SqsClient,
        *,
        url: str,
        dead_letter_url: str,
        visibility_s: int,
        wait_s: int,
    ) -> None:
        self.visibility_s = visibility_s
        self._receiver = receiver
        self._client = client
        self._url = url
        self._dead_letter_url = dead_letter_url
        self._wait_s = wait_s

    def receive(self, most: int) -> list[Message]:
        """At most `most` messages; waits for the first.

        Raises
        ------
        Unavailable
        """
        with translated(_SERVER):
            reply = self._receiver.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(most, BATCH_MESSAGES),
                WaitTimeSeconds=self._wait_s,
                VisibilityTimeout=self.visibility_s,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=[_SENT],
            )
        received_ns = time.time_ns()
        return [
            Message(
                receipt=found["ReceiptHandle"],
                body=found["Body"],
                attributes=found.get("MessageAttributes", {}),
                sent_ms=int(found.get("Attributes", {}).get(_SENT, 0)),
                received_ns=received_ns,
            )
            for found in reply.get("Messages", ())
        ]

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Delete messages; those that could not be are returned.

        Raises
        ------
        Unavailable
        """
        failed: list[Message] = []
        for batch in _batches(messages):
            entries = [{"Id": str(index), "ReceiptHandle": message.receipt} for index, message in enumerate(batch)]
            with translated(_SERVER):
                reply = self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
            failed += _failed(reply, batch)
        return failed

    def hide(self, messages: Sequence[Message], hidden_s: int) -> list[Message]:
        """Hide messages for a time from now; 0 hands them back.  Those that could not be are returned.

        Raises
        ------
        Unavailable
        """
        failed: list[Message] = []
        for batch in _batches(messages):
            entries = [
                {"Id": str(index), "ReceiptHandle": message.receipt, "VisibilityTimeout": hidden_s}
                for index, message in enumerate(batch)
            ]
            with translated(_SERVER):
                reply = self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
            failed += _failed(reply, batch)
        return failed

    def park(self, message: Message, error: Exception, file: str | None = None) -> None:
        """Send a message to the dead-letter queue with the reason.  The caller deletes it after that.

        Parameters
        ----------
        message : Message
        error : Exception
            Why it cannot be applied.
        file : str, optional
            The object at fault, where the error does not name it itself.

        Raises
        ------
        Unavailable
        """
        reasons = reasons_of(error, file, self._url)
        kept = [(name, value) for name, value in sorted(message.attributes.items()) if name not in reasons]
        attributes = dict(kept[: ATTRIBUTES - len(reasons)]) | reasons
        with translated(_SERVER):
            self._client.send_message(
                QueueUrl=self._dead_letter_url, MessageBody=message.body, MessageAttributes=attributes
            )


def connect_queue(settings: Settings) -> Queue:
    """The queue that the settings name, with clients of its own; make it after a process has started.

    Raises
    ------
    Unavailable
        If SQS does not answer.
    ConfigError
        If there is no such queue, no region, or no dead-letter queue.
    """
    # The receiver alone; the keeper, and every slot that parks.
    receiver = make_client(settings, "sqs", reply_timeout_s=settings.wait_s + _REPLY_TIMEOUT_S, connections=1)
    client = make_client(settings, "sqs", reply_timeout_s=_REPLY_TIMEOUT_S, connections=settings.file_slots + 1)
    found_url = find_dead_letter_url(client, settings.queue_url)
    dead_letter_url = settings.dead_letter_url or found_url
    if settings.poison == "redrive" and not found_url:
        raise ConfigError(
            f"queue {settings.queue_url} has no redrive policy, so with --poison redrive (FASTFOLD_POISON)"
            " a message that cannot be applied would come back for ever"
        )
    if not dead_letter_url:
        raise ConfigError(
            f"queue {settings.queue_url} has no redrive policy, and --dead-letter-url"
            " (FASTFOLD_DEAD_LETTER_URL) is not given"
        )
    return Queue(
        receiver,
        client,
        url=settings.queue_url,
        dead_letter_url=dead_letter_url,
        visibility_s=settings.visibility_s,
        wait_s=settings.wait_s,
    )


def _batches(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    for start in range(0, len(messages), BATCH_MESSAGES):
        yield messages[start : start + BATCH_MESSAGES]


def _failed(reply: Mapping[str, Any], batch: Sequence[Message]) -> list[Message]:
    return [batch[int(entry["Id"])] for entry in reply.get("Failed", ())]
