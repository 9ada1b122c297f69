"""One worker: a receiver, a keeper and a few file slots, each a thread.

The receiver takes no more messages than there are free slots, so that none waits here while it
could be worked on elsewhere.  Inflating, parsing, folding and waiting for sockets all release the
GIL, so two slots keep one core busy while the other file waits for its commits.

A message that is held after its commit takes no slot.  Between two files a slot verifies what it has
held long enough, on the connections on which it has committed.

A message whose alert a sink has not taken is handed back for as long as the lane of the sink says.  Redis is well then:
receiving goes on.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

from fastfold.alert import Publisher
from fastfold.breaker import Breaker
from fastfold.canary import CanaryThread
from fastfold.errors import RereadError, RetryError, StopError, Unavailable, Undelivered
from fastfold.keeper import Keeper
from fastfold.metrics import Meter
from fastfold.pipeline import Pipeline
from fastfold.source import Message, Queue
from fastfold.text import escape
from fastfold.waiting import OldestWaiting

__all__ = ["Worker"]

log = logging.getLogger(__name__)

HAND_BACK_S = 5
"""How long a message that could not be applied now stays hidden."""

KEEPER_CLOSE_S = 5.0
"""How long the last deletes may take when a worker ends."""

PUBLISHER_CLOSE_S = 2.0
"""How long the sinks may take to finish what they are sending."""

_LOOK_S = 0.2


class Worker:
    """Receives, handles and ends messages until it is drained.

    Parameters
    ----------
    source : Queue
    keeper : Keeper
    pipeline : callable
        Makes the pipeline of one slot.
    slots : int
    meter : Meter
    breaker : Breaker, optional
    held_messages : int
        Messages in work and held at which no more are received.
    canary : CanaryThread, optional
    publisher : Publisher, optional
        Started and ended with the worker.
    reload : callable, optional
        Has rules loaded again.

    Attributes
    ----------
    stopped : StopError or None
        Why this worker ended by itself.
    """

    def __init__(
        self,
        source: Queue,
        keeper: Keeper,
        pipeline: Callable[[], Pipeline],
        slots: int,
        meter: Meter,
        breaker: Breaker | None = None,
        held_messages: int = 1000,
        canary: CanaryThread | None = None,
        publisher: Publisher | None = None,
        reload: Callable[[], None] | None = None,
    ) -> None:
        self.stopped: StopError | None = None
        self._source = source
        self._keeper = keeper
        self._pipeline = pipeline
        self._meter = meter
        self._breaker = breaker or Breaker()
        self._held_messages = held_messages
        self._canary = canary
        self._publisher = publisher
        self._reload = reload
        self._waiting = OldestWaiting()
        self._drain_end = float("inf")
        # Not a SimpleQueue: slots wait for it with a limit, to verify what they hold, and CPython's (3.11.7) waits
        # without end where the limit has passed when another slot takes what woke it.
        self._work: queue.Queue[Message | None] = queue.Queue()
        self._free = threading.Semaphore(slots)
        self._draining = threading.Event()
        self._receiver = threading.Thread(target=self._receive, name="receiver", daemon=True)
        self._slots = [
            # Made here, so that a wrong setting is an error of the start.
            threading.Thread(target=self._run_slot, args=(pipeline(),), name=f"slot-{index}", daemon=True)
            for index in range(slots)
        ]

    @property
    def paused(self) -> bool:
        """Whether this worker does not receive because a server is down."""
        return self._breaker.paused

    @property
    def oldest_waiting_s(self) -> float:
        """Age of the oldest message that waits, as far as this worker knows."""
        return self._waiting.seconds()

    def reload(self) -> None:
        """Load the rules again before the next file; nothing without rules."""
        if self._reload is not None:
            self._reload()

    def start(self) -> None:
        """Start all threads."""
        self._keeper.start()
        if self._publisher is not None:
            self._publisher.start()
        if self._canary is not None:
            self._canary.start()
        for thread in (*self._slots, self._receiver):
            thread.start()

    def begin_drain(self) -> None:
        """Receive no more."""
        self._draining.set()

    def drain(self, grace_s: float) -> bool:
        """Finish what fits into `grace_s` and hand back the rest.

        Returns
        -------
        bool
            Whether all threads have ended.
        """
        end = self._drain_end = time.monotonic() + grace_s
        self.begin_drain()
        # A long poll cannot be taken back: what it still brings would stay hidden with nobody at work on it.
        self._receiver.join(max(0.0, end - time.monotonic()))
        for _ in self._slots:
            self._work.put(None)
        for thread in self._slots:
            thread.join(max(0.0, end - time.monotonic()))
        if self._publisher is not None:
            self._publisher.close(PUBLISHER_CLOSE_S)
        if self._canary is not None:
            self._canary.close(max(0.0, end - time.monotonic()))
        self._keeper.close(KEEPER_CLOSE_S)
        return not any(thread.is_alive() for thread in (self._receiver, *self._slots))

    def _receive(self) -> None:
        while self._wait_for_slot():
            slots = 1
            # In doubt about the servers, one message alone is tried.
            while not self._breaker.paused and self._free.acquire(blocking=False):
                slots += 1
            messages = self._poll(slots)
            for _ in range(slots - len(messages)):
                self._free.release()
            if self._draining.is_set():
                self._keeper.hand_back(messages)
                return
            for message in messages:
                self._work.put(message)

    def _wait_for_slot(self) -> bool:
        """Wait for a free slot and for the servers; ``False`` when draining."""
        pause_s = 0.0
        while not self._draining.wait(min(max(pause_s, self._breaker.pause_s()), _LOOK_S)):
            pause_s = _LOOK_S if self._keeper.count() >= self._held_messages else 0.0
            if not pause_s and not self._breaker.pause_s() and self._free.acquire(timeout=_LOOK_S):
                return True
        return False

    def _poll(self, most: int) -> list[Message]:
        try:
            messages = self._source.receive(most)
        except Unavailable as error:
            log.warning("cannot receive: %s", error)
            self._meter.add("retries", label="receive")
            self._breaker.failed()
            return []
        except StopError as error:
            self._stop(error)
            return []
        self._keeper.hold(messages)
        self._waiting.received([message.sent_ms for message in messages])
        return messages

    def _run_slot(self, pipeline: Pipeline) -> None:
        while True:
            try:
                message = self._work.get(timeout=pipeline.pause_s())
            except queue.Empty:
                self._verify(pipeline)
                continue
            if message is None:
                break
            pipeline = self._work_on(pipeline, message)
            self._verify(pipeline)
        self._verify_last(pipeline)
        pipeline.close()

    def _work_on(self, pipeline: Pipeline, message: Message) -> Pipeline:
        """Handle a message; the pipeline to go on with."""
        self._meter.add("in_flight", 1)
        try:
            pipeline.handle(message)
            self._breaker.succeeded()
        except Undelivered as error:
            self._breaker.succeeded()
            self._hand_back(message, round(error.after_s), error)
        except RetryError as error:
            self._breaker.failed()
            self._hand_back(message, HAND_BACK_S, error)
        except RereadError as error:
            # Others won on its hosts until the deadline: the servers are well.
            self._hand_back(message, HAND_BACK_S, error)
        except StopError as error:
            self._hand_back(message, 0, error)
            self._stop(error)
        except Exception as error:
            # One message must not end a worker that has others in work.
            log.exception("a fault of fastfold")
            self._hand_back(message, self._source.visibility_s, error)
            # Its connections are not trusted any more, so what was held on them is to be committed again.
            self._give_up(pipeline.let_go())
            pipeline.close()
            pipeline = self._pipeline()
        finally:
            self._meter.add("in_flight", -1)
            self._free.release()
        return pipeline

    def _verify(self, pipeline: Pipeline) -> None:
        """End what has been held long enough."""
        try:
            self._give_up(pipeline.verify())
        except RetryError as error:
            # The dead-letter queue: what could not be parked is still held, and is tried again after a while.
            log.warning("cannot end a message: %s", escape(str(error)))
            self._draining.wait(_LOOK_S)
        except StopError as error:
            self._give_up(pipeline.let_go())
            self._stop(error)
        except Exception:
            log.exception("a fault of fastfold")
            self._give_up(pipeline.let_go())
            pipeline.close()

    def _verify_last(self, pipeline: Pipeline) -> None:
        """Wait for what will have been held long enough within the grace period; hand back the rest at once."""
        self._give_up(pipeline.let_go(self._drain_end))
        while (pause_s := pipeline.pause_s()) is not None and time.monotonic() < self._drain_end:
            time.sleep(pause_s)
            self._verify(pipeline)

    def _give_up(self, messages: list[Message]) -> None:
        """Hand back messages that are committed, but not known to be so for good; others commit them again."""
        if messages:
            self._keeper.hand_back(messages)
            self._meter.add("messages", len(messages), "handed_back")

    def _hand_back(self, message: Message, after_s: int, error: Exception) -> None:
        log.warning("message handed back: %s", escape(str(error)))
        self._keeper.hand_back([message], after_s)
        self._meter.add("messages", label="handed_back")

    def _stop(self, error: StopError) -> None:
        self.stopped = self.stopped or error
        self._draining.set()
