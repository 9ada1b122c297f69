"""Sinks of AWS: SNS topics and SQS queues, up to ten alerts in a request.

Attributes of a message, by which subscribers filter and consumers choose without reading the body:

=========  ==========================================================================================
attribute  meaning
=========  ==========================================================================================
id         of the alert, the same in all copies of it
rule       id of the rule
level      ``informational`` to ``critical``
tenant     at most 256 characters, control characters escaped; ``-`` where there is none
=========  ==========================================================================================

A FIFO queue or topic gets the id of the alert for its deduplication too, and orders the alerts of a host.  It
forgets an id after five minutes: consumers must bear doubles anyway.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from fastfold.clients import translated
from fastfold.sinks.types import TAKEN, Answer, Parcel
from fastfold.text import attribute_text

__all__ = ["QueueSink", "TopicSink"]

BATCH_MESSAGES = 10
BATCH_BYTES = 256 << 10
"""Most bytes of the messages of one request, attributes included."""

_ATTRIBUTE_CHARACTERS = 256
_SUBJECT_CHARACTERS = 100

# Faults of one message.  SNS calls others the sender's too, such as a right that is missing.
_OF_THE_MESSAGE = frozenset(
    {
        "InvalidMessageContents",
        "InvalidParameter",
        "InvalidParameterValue",
        "InvalidAttributeValue",
        "InvalidParameterException",
        "ParameterValueInvalid",
    }
)

_Entry = dict[str, Any]
_Request = Callable[[list[_Entry]], Mapping[str, Any]]


class QueueSink:
    """Sends to a queue of SQS.

    Parameters
    ----------
    client : client of SQS
    url : str
    """

    most = BATCH_MESSAGES

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url
        self._is_fifo = url.endswith(".fifo")

    def send(self, parcels: Sequence[Parcel]) -> list[Answer]:
        """Send parcels.

        Raises
        ------
        Unavailable, ConfigError
        """
        return _send(parcels, self._entry, self._request, "SQS")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _request(self, entries: list[_Entry]) -> Mapping[str, Any]:
        reply: Mapping[str, Any] = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        return reply

    def _entry(self, parcel: Parcel) -> _Entry:
        entry: _Entry = {"MessageBody": parcel.body.decode(), "MessageAttributes": _attributes(parcel)}
        return entry | (_ordered(parcel) if self._is_fifo else {})


class TopicSink:
    """Publishes on a topic of SNS.

    Parameters
    ----------
    client : client of SNS
    arn : str
    """

    most = BATCH_MESSAGES

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self._arn = arn
        self._is_fifo = arn.endswith(".fifo")

    def send(self, parcels: Sequence[Parcel]) -> list[Answer]:
        """Publish parcels.

        Raises
        ------
        Unavailable, ConfigError
        """
        return _send(parcels, self._entry, self._request, "SNS")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _request(self, entries: list[_Entry]) -> Mapping[str, Any]:
        reply: Mapping[str, Any] = self._client.publish_batch(TopicArn=self._arn, PublishBatchRequestEntries=entries)
        return reply

    def _entry(self, parcel: Parcel) -> _Entry:
        entry: _Entry = {
            "Message": parcel.body.decode(),
            "Subject": _subject(parcel),
            "MessageAttributes": _attributes(parcel),
        }
        return entry | (_ordered(parcel) if self._is_fifo else {})


def _send(parcels: Sequence[Parcel], make: Callable[[Parcel], _Entry], request: _Request, server: str) -> list[Answer]:
    answers: list[Answer] = []
    for entries in _batches([{"Id": str(place), **make(parcel)} for place, parcel in enumerate(parcels)]):
        answers += _ask(entries, request, server)
    return answers


def _ask(entries: list[_Entry], request: _Request, server: str) -> list[Answer]:
    """Answers for the entries of one request."""
    try:
        with translated(server):
            reply = _refused_at_once(entries, request)
    except _RefusedError as error:
        if len(entries) == 1:
            return [Answer("refused", str(error))]
        # One of them is at fault: it must not keep back the others.
        return [answer for entry in entries for answer in _ask([entry], request, server)]
    taken = {entry["Id"] for entry in reply.get("Successful", ())}
    failed = {entry["Id"]: entry for entry in reply.get("Failed", ())}
    # Taken is what the reply says was taken, and nothing else.
    return [TAKEN if entry["Id"] in taken else _answer(failed.get(entry["Id"])) for entry in entries]


class _RefusedError(Exception):
    """A request was refused for what is in one of its messages."""


def _refused_at_once(entries: list[_Entry], request: _Request) -> Mapping[str, Any]:
    try:
        return request(entries)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _OF_THE_MESSAGE:
            raise _RefusedError(str(error)) from None
        raise


def _answer(failed: Mapping[str, Any] | None) -> Answer:
    if failed is None:
        return Answer("later", "no answer for this message")
    reason = f"{failed.get('Code')}: {failed.get('Message', '')}".rstrip(": ")
    return Answer("refused" if failed.get("Code") in _OF_THE_MESSAGE else "later", reason)


def _batches(entries: list[_Entry]) -> Iterator[list[_Entry]]:
    """Entries, as many in a request as it may have."""
    batch: list[_Entry] = []
    size_bytes = 0
    for entry in entries:
        bytes_ = _size_bytes(entry)
        if batch and (len(batch) == BATCH_MESSAGES or size_bytes + bytes_ > BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(entry)
        size_bytes += bytes_
    if batch:
        yield batch


def _size_bytes(entry: _Entry) -> int:
    texts = [entry.get("MessageBody", ""), entry.get("Message", ""), entry.get("Subject", "")]
    for name, value in entry["MessageAttributes"].items():
        texts += [name, value["DataType"], value["StringValue"]]
    return sum(len(text.encode()) for text in texts)


def _attributes(parcel: Parcel) -> dict[str, dict[str, str]]:
    texts = {"id": parcel.id, "rule": parcel.rule, "level": parcel.level, "tenant": parcel.tenant}
    return {
        name: {"DataType": "String", "StringValue": attribute_text(text, _ATTRIBUTE_CHARACTERS)}
        for name, text in texts.items()
    }


def _ordered(parcel: Parcel) -> dict[str, str]:
    # The group of a message is of few characters, which a host need not keep to.
    host = f"{len(parcel.tenant)}:{parcel.tenant}{parcel.host}".encode("utf-8", "surrogatepass")
    return {
        "MessageGroupId": hashlib.blake2b(host, digest_size=16).hexdigest(),
        "MessageDeduplicationId": parcel.id,
    }


def _subject(parcel: Parcel) -> str:
    """The subject of a mail: SNS takes ASCII that does not begin with white space."""
    text = attribute_text(f"[{parcel.level}] {parcel.title}".rstrip(), _SUBJECT_CHARACTERS - 2)
    return text.encode("ascii", "replace").decode()
