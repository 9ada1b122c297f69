"""Sends messages to a queue, ten in a request, and knows which of them the queue has taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastfold.clients import translated
from fastfold.errors import Unavailable
from fastfold.retry import Backoff, BackoffPolicy

__all__ = ["BATCH_BYTES", "BATCH_MESSAGES", "Outgoing", "Sender"]

BATCH_MESSAGES = 10
"""Most messages that SQS takes in one request."""

BATCH_BYTES = 256 << 10
"""Most bytes of the messages of one request."""

POLICY = BackoffPolicy(base_s=0.2, cap_s=10.0)
"""Waits between tries."""

DEADLINE_S = 120.0
"""Longest time in which a batch is tried."""

_SERVER = "SQS"

Outgoing = tuple[str, Mapping[str, Any]]
"""Body and attributes of a message."""


class Sender:
    """Sends to one queue.

    Parameters
    ----------
    client : client of SQS
    url : str
    clock, sleep : callable
        Seconds.

    Attributes
    ----------
    sent : int
        Messages that the queue has acknowledged.
    """

    def __init__(
        self,
        client: Any,
        url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.sent = 0
        self._client = client
        self._url = url
        self._clock = clock
        self._sleep = sleep

    def send(self, messages: Sequence[Outgoing]) -> list[int]:
        """Send a batch, and again what of it was not taken.

        An answer that was lost makes a message be sent twice: whoever reads the queue must bear that anyway.

        Parameters
        ----------
        messages : sequence of Outgoing
            At most `BATCH_MESSAGES`, of at most `BATCH_BYTES` in all.

        Returns
        -------
        list of int
            Places of the messages that SQS will never take, whatever is tried.

        Raises
        ------
        Unavailable
            If SQS does not take them within `DEADLINE_S`.
        ConfigError
            If there is no such queue.
        """
        backoff = Backoff(POLICY, self._clock() + DEADLINE_S, clock=self._clock, sleep=self._sleep)
        left = list(range(len(messages)))
        refused: list[int] = []
        while left:
            try:
                failed = self._try(messages, left)
            except Unavailable:
                if not backoff.wait():
                    raise
                continue
            self.sent += len(left) - len(failed)
            refused += [place for place, entry in failed.items() if entry.get("SenderFault")]
            left = [place for place, entry in failed.items() if not entry.get("SenderFault")]
            if left and not backoff.wait():
                entry = failed[left[0]]
                raise Unavailable(
                    _SERVER, f"{len(left)} messages not taken: {entry.get('Code')} {entry.get('Message')}"
                )
        return sorted(refused)

    def _try(self, messages: Sequence[Outgoing], places: Sequence[int]) -> dict[int, Mapping[str, Any]]:
        """Send once; what failed, by place."""
        entries = []
        for place in places:
            body, attributes = messages[place]
            entry: dict[str, Any] = {"Id": str(place), "MessageBody": body}
            if attributes:
                entry["MessageAttributes"] = attributes
            entries.append(entry)
        with translated(_SERVER):
            reply = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        taken = {entry["Id"] for entry in reply.get("Successful", ())}
        failed = {int(entry["Id"]): entry for entry in reply.get("Failed", ())}
        # Taken is what the reply says was taken, and nothing else.
        return {place: failed.get(place, {"Code": "NoAnswer"}) for place in places if str(place) not in taken}
