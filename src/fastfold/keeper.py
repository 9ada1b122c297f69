"""Keeps the messages in work hidden from others, and deletes those that are done.

The time for which a message is hidden is short, so that one whose worker died comes back soon.
The keeper hides it again at half of that time until it is done or handed back::

    hold --> held --+--> finish     --> done --> deleted, with others in one request
                    +--> hand_back  --> visible to others
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence

from fastfold.errors import Unavailable
from fastfold.metrics import Meter
from fastfold.source import BATCH_MESSAGES, Message, Queue

__all__ = ["Keeper"]

log = logging.getLogger(__name__)

FLUSH_S = 0.2
"""How long a message that is done waits for others to be deleted with it."""

DELETE_TRIES = 3
"""Tries to delete a message that is done before it is left to come again, harmlessly."""


class Keeper:
    """Holds messages; one thread of its own hides and deletes them.

    Parameters
    ----------
    queue : Queue
    meter : Meter
    """

    def __init__(self, queue: Queue, meter: Meter) -> None:
        self._queue = queue
        self._meter = meter
        self._changed = threading.Condition()
        self._held: dict[str, Message] = {}
        self._done: dict[str, Message] = {}
        self._tries: dict[str, int] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def hold(self, messages: Iterable[Message]) -> None:
        """Keep messages hidden from now on."""
        with self._changed:
            self._held.update((message.receipt, message) for message in messages)

    def finish(self, message: Message) -> None:
        """Delete a message soon."""
        with self._changed:
            self._held.pop(message.receipt, None)
            self._done[message.receipt] = message
            self._changed.notify()

    def hand_back(self, messages: Sequence[Message], after_s: int = 0) -> None:
        """Stop keeping messages; others may have them after `after_s`.

        If the queue does not answer, they come back by themselves when their time is over.
        """
        with self._changed:
            for message in messages:
                self._held.pop(message.receipt, None)
        try:
            self._queue.hide(messages, after_s)
        except Unavailable as error:
            log.warning("cannot hand back %d messages: %s", len(messages), error)

    def held(self) -> list[Message]:
        """The messages that are held and not done."""
        with self._changed:
            return list(self._held.values())

    def count(self) -> int:
        """How many messages are held and not done."""
        with self._changed:
            return len(self._held)

    def close(self, timeout_s: float) -> None:
        """Delete what is done, hand back what is held, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self.hand_back(self.held())
        self._thread.join(timeout_s)

    def _run(self) -> None:
        half_s = self._queue.visibility_s / 2
        due_s = time.monotonic() + half_s
        while self._wait(due_s):
            if time.monotonic() >= due_s:
                self._hide()
                due_s = time.monotonic() + half_s
            self._delete()

    def _wait(self, due_s: float) -> bool:
        """Wait for something to do; ``False`` when closed and all is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._done or self._closed, max(0.0, due_s - time.monotonic()))
            if self._done:
                self._changed.wait_for(lambda: self._closed or len(self._done) >= BATCH_MESSAGES, FLUSH_S)
            return bool(self._done) or not self._closed

    def _hide(self) -> None:
        held = self.held()
        try:
            lost = self._queue.hide(held, self._queue.visibility_s)
        except Unavailable as error:
            log.warning("cannot extend %d messages: %s", len(held), error)
            lost = held
        # Another worker may have a lost message soon.  Its commits and ours are the same.
        self._meter.add("heartbeats_failed", len(lost))

    def _delete(self) -> None:
        with self._changed:
            done = list(self._done.values())
        if not done:
            return
        try:
            failed = self._queue.delete(done)
        except Unavailable as error:
            log.warning("cannot delete %d messages: %s", len(done), error)
            failed = done
        with self._changed:
            again = {message.receipt: self._tries.get(message.receipt, 0) + 1 for message in failed}
            for message in done:
                if again.get(message.receipt, DELETE_TRIES) >= DELETE_TRIES:
                    del self._done[message.receipt]
            self._tries = {receipt: tries for receipt, tries in again.items() if tries < DELETE_TRIES}
            self._meter.add("deletes_failed", len(again) - len(self._tries))
