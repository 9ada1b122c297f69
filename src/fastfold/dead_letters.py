r"""The dead-letter queue: look at what is parked there, put it back on the queue it came from, or delete it.

A queue cannot be read without receiving: what is looked at is hidden from others for `HIDDEN_S`, and made visible
again as soon as the look is over::

    receive ... receive --> found --+--> requeue: sent to the queue, and when that has acknowledged it, deleted here
             \              |       +--> drop: deleted here
              \--> others --+-------+--> visible again

A message that is sent and then cannot be deleted is on both queues; the ledger makes that harmless.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastfold.clients import find_dead_letter_url, make_client, translated
from fastfold.config import Settings
from fastfold.errors import ConfigError, ParkError, Unavailable
from fastfold.notification import ANY_BUCKET, parse_body
from fastfold.parking import without_reasons
from fastfold.sender import BATCH_BYTES, BATCH_MESSAGES, Outgoing, Sender

__all__ = ["HIDDEN_S", "Filter", "Look", "Parked", "connect_dead_letters"]

HIDDEN_S = 300
"""How long what is looked at stays hidden if the look ends without a word."""

DELETE_TRIES = 3

_WAIT_S = 1
"""A receive that waits asks every server of the queue, so its empty answer means that there is no more."""

_REPLY_TIMEOUT_S = 10.0
_MOST_RECORDS = 1_000_000
_SERVER = "SQS"


@dataclass(frozen=True, slots=True)
class Parked:
    """A message in the dead-letter queue.

    Attributes
    ----------
    id : str
        Of the message; stays as long as it is in this queue.
    receipt : str
        Of this look at it.
    body : str
    attributes : mapping
        As received.
    sent_ms : int
        When it was parked, or, of one that the redrive policy moved, first sent; milliseconds since 1970 UTC.
    receives : int
        How often it was received in this queue.
    moved_from : str
        ARN of the queue from which the redrive policy moved it; empty when a worker parked it.
    """

    id: str
    receipt: str
    body: str
    attributes: Mapping[str, Any]
    sent_ms: int = 0
    receives: int = 0
    moved_from: str = ""

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Parked:
        """The message of a reply to ReceiveMessage."""
        facts = found.get("Attributes", {})
        return cls(
            id=found["MessageId"],
            receipt=found["ReceiptHandle"],
            body=found["Body"],
            attributes=found.get("MessageAttributes", {}),
            sent_ms=int(facts.get("SentTimestamp", 0)),
            receives=int(facts.get("ApproximateReceiveCount", 0)),
            moved_from=facts.get("DeadLetterQueueSourceArn", ""),
        )

    def text(self, name: str) -> str:
        """The text of an attribute; empty without it."""
        return str(self.attributes.get(name, {}).get("StringValue", ""))

    @property
    def error(self) -> str:
        """Class of the error; ``Redrive`` when it was the queue that gave up."""
        return self.text("ErrorType") or "Redrive"

    @property
    def reason(self) -> str:
        """What is wrong, as the worker wrote it."""
        return self.text("Reason") or "moved by the redrive policy of the queue, without a reason"

    @property
    def file(self) -> str:
        """The object at fault, or else the objects that the body names; empty when it names none."""
        named = self.text("File")
        if named:
            return named
        try:
            found = parse_body(self.body, (ANY_BUCKET,), _MOST_RECORDS).objects
        except ParkError:
            return ""
        return " ".join(ref.name for ref in found)

    def is_from(self, queue_url: str) -> bool:
        """Whether it came from a queue, as far as can be told."""
        source = self.text("SourceQueue")
        if source:
            return source == queue_url
        # .../account/name and ...:account:name
        place = urlsplit(queue_url).path.rstrip("/").split("/")[-2:]
        return not self.moved_from or self.moved_from.split(":")[-2:] == place

    @property
    def outgoing(self) -> Outgoing:
        """The message as it was before it was parked."""
        return self.body, without_reasons(self.attributes)

    @property
    def size_bytes(self) -> int:
        """What counts towards the limit of a request."""
        size = len(self.body.encode(errors="surrogatepass"))
        for name, value in self.attributes.items():
            size += len(name) + sum(len(part) if isinstance(part, (str, bytes)) else 0 for part in value.values()) * 4
        return size


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which messages are wanted: those for which everything holds.

    Attributes
    ----------
    ids : collection of str or None
        ``None``: whatever the id.
    error : str
        Class of the error; empty for any.
    match : str
        A text in reason, file or body, in any case; empty for any.
    since_ms, until_ms : int or None
        Bounds of the time it was parked, the first included.
    """

    ids: Collection[str] | None = None
    error: str = ""
    match: str = ""
    since_ms: int | None = None
    until_ms: int | None = None

    def __call__(self, parked: Parked) -> bool:
        """Whether a message is wanted."""
        wanted = self.match.casefold()
        return (
            (self.ids is None or parked.id in self.ids)
            and (not self.error or parked.error.casefold() == self.error.casefold())
            and (not wanted or any(wanted in text.casefold() for text in (parked.reason, parked.file, parked.body)))
            and (self.since_ms is None or parked.sent_ms >= self.since_ms)
            and (self.until_ms is None or parked.sent_ms < self.until_ms)
        )


class Look:
    """One look at the dead-letter queue, up to `close`.

    Parameters
    ----------
    client : client of SQS
    url : str
        Of the dead-letter queue.

    Attributes
    ----------
    seen : int
        Messages looked at.
    complete : bool
        Whether the queue had no more.
    """

    def __init__(self, client: Any, url: str) -> None:
        self.seen = 0
        self.complete = False
        self._client = client
        self._url = url
        self._hidden: dict[str, str] = {}

    def close(self) -> None:
        """Make visible again what is left; a second time does nothing."""
        receipts = list(self._hidden.values())
        self._hidden.clear()
        for batch in _cut(receipts, BATCH_MESSAGES):
            entries = [
                {"Id": str(place), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for place, receipt in enumerate(batch)
            ]
            try:
                with translated(_SERVER):
                    self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
            except Unavailable:
                # They come back by themselves when their time is over; what was done before is what counts.
                return

    def find(self, wanted: Callable[[Parked], bool], limit: int) -> Iterator[Parked]:
        """Messages that are wanted, at most `limit`, each once.

        Raises
        ------
        Unavailable
            If SQS does not answer.
        ConfigError
            If there is no such queue.
        """
        found = 0
        while found < limit:
            with translated(_SERVER):
                reply = self._client.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=BATCH_MESSAGES,
                    WaitTimeSeconds=_WAIT_S,
                    VisibilityTimeout=HIDDEN_S,
                    MessageAttributeNames=["All"],
                    MessageSystemAttributeNames=["All"],
                )
            messages = [Parked.of(message) for message in reply.get("Messages", ())]
            fresh = [parked for parked in messages if parked.id not in self._hidden]
            self._hidden.update((parked.id, parked.receipt) for parked in messages)
            self.seen += len(fresh)
            # Nothing but what was seen before: our own time is over, and it comes round again.
            if not fresh:
                self.complete = True
                return
            for parked in fresh:
                if found < limit and wanted(parked):
                    found += 1
                    yield parked

    def requeue(self, messages: Iterable[Parked], sender: Sender) -> Iterator[tuple[Parked, str]]:
        """Send messages to the queue, and delete those that it has acknowledged.

        Yields
        ------
        tuple of Parked and str
            ``requeued``; ``doubled``: on the queue, and still here, since it could not be deleted; ``refused``: the
            queue will never take it, it stays here.

        Raises
        ------
        Unavailable
            If the queue does not take them; what it has not acknowledged is still here.
        ConfigError
            If there is no such queue.
        """
        for batch in _fitting(messages):
            refused = set(sender.send([parked.outgoing for parked in batch]))
            left = self._delete([parked for place, parked in enumerate(batch) if place not in refused])
            for place, parked in enumerate(batch):
                yield parked, "refused" if place in refused else "doubled" if parked in left else "requeued"

    def drop(self, messages: Sequence[Parked]) -> Iterator[tuple[Parked, str]]:
        """Delete messages.

        Yields
        ------
        tuple of Parked and str
            ``dropped``, or ``refused``: still here.

        Raises
        ------
        ConfigError
            If there is no such queue.
        """
        for batch in _cut(messages, BATCH_MESSAGES):
            left = self._delete(batch)
            for parked in batch:
                yield parked, "refused" if parked in left else "dropped"

    def _delete(self, batch: Sequence[Parked]) -> list[Parked]:
        """Delete at most ten messages; those that could not be are returned."""
        left = list(batch)
        for tries in range(DELETE_TRIES):
            if not left:
                break
            if tries:
                time.sleep(0.1 * tries)
            entries = [{"Id": str(place), "ReceiptHandle": parked.receipt} for place, parked in enumerate(left)]
            try:
                with translated(_SERVER):
                    reply = self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
            except Unavailable:
                continue
            gone = {int(entry["Id"]) for entry in reply.get("Successful", ())}
            for place in gone:
                self._hidden.pop(left[place].id, None)
            left = [parked for place, parked in enumerate(left) if place not in gone]
        return left


def _cut(items: Sequence[Any], size: int) -> Iterator[Any]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _fitting(messages: Iterable[Parked]) -> Iterator[list[Parked]]:
    """Batches that SQS takes in one request."""
    batch: list[Parked] = []
    size_bytes = 0
    for parked in messages:
        if batch and (len(batch) == BATCH_MESSAGES or size_bytes + parked.size_bytes > BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(parked)
        size_bytes += parked.size_bytes
    if batch:
        yield batch


def connect_dead_letters(settings: Settings) -> tuple[Look, Sender]:
    """A look at the dead-letter queue of the settings, and what sends to their queue.

    Raises
    ------
    Unavailable
        If SQS does not answer.
    ConfigError
        If there is no such queue, or no dead-letter queue.
    """
    client = make_client(settings, "sqs", reply_timeout_s=_WAIT_S + _REPLY_TIMEOUT_S, connections=1)
    url = settings.dead_letter_url or find_dead_letter_url(client, settings.queue_url)
    if not url:
        raise ConfigError(f"queue {settings.queue_url} has no redrive policy; --dead-letter-url names the other queue")
    if url == settings.queue_url:
        raise ConfigError("--queue-url and --dead-letter-url name one queue")
    return Look(client, url), Sender(client, settings.queue_url)
