"""The way to one sink: a bounded queue, a thread that sends, and what happens while the sink takes nothing.

::

    publish --offer--> [ queue ] --thread--> sink --taken-----> told to whoever waits
                          ^                   |----refused---> told, and nobody else is kept back
                          +---- again after --+----later
                                a pause       after `patience_s` without a parcel taken: the sink is *down*

Who waits holds a message of the queue that files come from, and a slot: neither may wait for ever.  While a sink is
down, what waits is given back, and what is offered is refused at once, but for one attempt after each pause.  Nothing
is remembered of what was given back: its message comes again, and with it the alert, under the same id.

A sink that hangs, so that not even the thread comes back, is down too.

An id that was taken is remembered for a while: when one of two sinks is down, the other is not sent the same alert at
each return of its message.
"""

from __future__ import annotations

import logging
import random as _random
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fastfold.errors import RetryError, StopError, Undelivered
from fastfold.metrics import Meter
from fastfold.retry import BackoffPolicy
from fastfold.sinks.types import TAKEN, Answer, Parcel, Sink, SinkFacts
from fastfold.text import escape

__all__ = ["Lane", "Outlet", "Waiter"]

log = logging.getLogger(__name__)

POLICY = BackoffPolicy(base_s=0.2, cap_s=30.0)
"""Pauses after failures in a row."""

RETURN_LEAST_S = 5.0
RETURN_MOST_S = 300.0
"""How long a message that is given back stays hidden: a quarter of the time for which the sink has taken nothing."""

REFUSED_RETURN_S = 60.0
"""The least for one whose alert was refused."""

REMEMBERED = 10_000
REMEMBERED_S = 600.0
"""How many ids that were taken are remembered, and for how long."""


class Outlet(NamedTuple):
    """A sink with its lane: what it is for, and the way to it."""

    facts: SinkFacts
    lane: Lane


class Waiter:
    """Waits for a lane's answers to what one call has offered it.

    Attributes
    ----------
    taken : set of str
        Ids of the parcels that were taken.
    fault : Undelivered or None
        Why another was not.
    """

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.fault: Undelivered | None = None
        self._changed = threading.Condition()
        self._left = 0

    def expect(self, count: int) -> None:
        """Wait for so many more answers."""
        with self._changed:
            self._left += count

    def ended(self, id_: str, fault: Undelivered | None) -> None:
        """Take note of an answer."""
        with self._changed:
            self._left -= 1
            if fault is None:
                self.taken.add(id_)
            self.fault = self.fault or fault
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Wait for all answers; whether they have come."""
        with self._changed:
            return self._changed.wait_for(lambda: self._left == 0, timeout_s)


@dataclass(eq=False, slots=True)
class _Delivery:
    parcel: Parcel
    waiters: list[Waiter] = field(default_factory=list)


class Lane:
    """Sends to one sink; threads may share it.

    Parameters
    ----------
    name : str
    sink : Sink
    meter : Meter
    queue_alerts : int
        Most parcels that wait.
    patience_s : float
        How long the sink may take nothing.
    policy : BackoffPolicy
    clock, random : callable
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        meter: Meter,
        *,
        queue_alerts: int = 1000,
        patience_s: float = 15.0,
        policy: BackoffPolicy = POLICY,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.name = name
        self._sink = sink
        self._meter = meter
        self._queue_alerts = queue_alerts
        self._patience_s = patience_s
        self._policy = policy
        self._clock = clock
        self._random = random
        self._changed = threading.Condition()
        self._queue: deque[_Delivery] = deque()
        self._by_id: dict[str, _Delivery] = {}
        self._taken: OrderedDict[str, float] = OrderedDict()
        self._sending_since: float | None = None
        self._failing_since: float | None = None
        self._refusing_since: float | None = None
        self._failures = 0
        self._resume = 0.0
        self._reason = ""
        self._down = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Give back what waits, and end the thread; one that hangs is left behind."""
        with self._changed:
            self._closed = True
            self._give_back([*self._queue], "the worker ends", RETURN_LEAST_S)
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._sink.close()

    def offer(self, parcels: Sequence[Parcel], waiter: Waiter) -> frozenset[str]:
        """Queue parcels, all or none.

        Returns
        -------
        frozenset of str
            Ids of those that were taken before, and are not sent again.

        Raises
        ------
        Undelivered
            If the sink is down, or the queue is full.
        """
        with self._changed:
            now = self._clock()
            self._forget(now)
            before = frozenset(parcel.id for parcel in parcels if parcel.id in self._taken)
            new = [parcel for parcel in parcels if parcel.id not in before]
            self._admit([parcel for parcel in new if parcel.id not in self._by_id], now)
            waiter.taken |= before
            waiter.expect(len(new))
            for parcel in new:
                delivery = self._by_id.get(parcel.id)
                if delivery is None:
                    delivery = self._by_id[parcel.id] = _Delivery(parcel)
                    self._queue.append(delivery)
                delivery.waiters.append(waiter)
            self._changed.notify_all()
        return before

    def withdraw(self, waiter: Waiter) -> None:
        """Send no longer what only this waiter waits for; what is being sent is."""
        with self._changed:
            for delivery in [*self._by_id.values()]:
                if waiter in delivery.waiters:
                    delivery.waiters.remove(waiter)
                    if not delivery.waiters and delivery in self._queue:
                        self._remove(delivery)

    def stuck(self) -> Undelivered | None:
        """What to tell whoever waits, if the sink hangs."""
        with self._changed:
            if not self._hangs(self._clock()):
                return None
            if not self._down:
                self._failing_since, self._reason = self._sending_since, f"no answer for {self._patience_s:g} s"
                self._meter.add("sink_failures", label=self.name)
                self._go_down()
            return self._undelivered(self._reason, self._return_s())

    def _admit(self, parcels: Sequence[Parcel], now: float) -> None:
        if self._closed:
            raise self._undelivered("the worker ends", RETURN_LEAST_S)
        if not parcels:
            return
        # After a pause one caller may try; the others need not wait for what becomes of it.
        busy = bool(self._queue) or self._sending_since is not None
        if self._hangs(now) or (self._down and (busy or now < self._resume)):
            raise self._undelivered(self._reason or "takes nothing", self._return_s())
        if len(self._queue) + len(parcels) > self._queue_alerts:
            raise self._undelivered(
                f"{len(self._queue)} alerts wait for it, limit {self._queue_alerts}", self._return_s()
            )

    def _run(self) -> None:
        while batch := self._take():
            try:
                answers = self._sink.send([delivery.parcel for delivery in batch])
            except (RetryError, StopError) as error:
                answers = [Answer("later", str(error))] * len(batch)
            except Exception as error:
                log.exception("sink %s: a fault of fastfold", self.name)
                answers = [Answer("later", f"{type(error).__name__}: {error}")] * len(batch)
            self._answered(batch, answers)

    def _take(self) -> list[_Delivery]:
        """The next parcels to send; none when closed."""
        with self._changed:
            while not self._closed:
                pause_s = self._resume - self._clock()
                if self._queue and pause_s <= 0:
                    break
                self._changed.wait(pause_s if self._queue else None)
            # In doubt, one alone: what is taken of a batch that fails is not known.
            most = 1 if self._failures else self._sink.most
            batch = [] if self._closed else [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
            self._sending_since = self._clock() if batch else None
            return batch

    def _answered(self, batch: Sequence[_Delivery], answers: Sequence[Answer]) -> None:
        with self._changed:
            began, self._sending_since = self._sending_since or 0.0, None
            later = [pair for pair in zip(batch, answers, strict=True) if pair[1].kind == "later"]
            for delivery, answer in zip(batch, answers, strict=True):
                if answer.kind != "later":
                    self._end(delivery, answer)
            if len(later) < len(batch):
                self._well()
            if later:
                # In their order, before what came after them.
                self._queue.extendleft(delivery for delivery, _ in reversed(later) if self._is_wanted(delivery))
                self._failed(began, later[-1][1].reason, max(answer.after_s for _, answer in later))

    def _end(self, delivery: _Delivery, answer: Answer) -> None:
        parcel = delivery.parcel
        self._by_id.pop(parcel.id, None)
        now = self._clock()
        if answer == TAKEN:
            self._taken[parcel.id] = now
            self._refusing_since = None
            self._meter.add("sink_taken", label=self.name)
            fault = None
        else:
            if self._refusing_since is None:
                self._refusing_since = now
            # Longer while all are refused: it may be the sink that is at fault, and not what is written in them.
            after_s = min(max(REFUSED_RETURN_S, (now - self._refusing_since) / 4), RETURN_MOST_S)
            fault = self._undelivered(f"refused: {escape(answer.reason)}", after_s)
            self._meter.add("sink_refused", label=self.name)
            log.warning("sink %s: alert %s refused: %s", self.name, parcel.id, escape(answer.reason))
        for waiter in delivery.waiters:
            waiter.ended(parcel.id, fault)

    def _well(self) -> None:
        if self._down:
            log.warning("sink %s takes alerts again", self.name)
            self._meter.add("sinks_down", -1, self.name)
        self._failing_since, self._failures, self._resume, self._reason, self._down = None, 0, 0.0, "", False

    def _failed(self, began: float, reason: str, after_s: float) -> None:
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = began
        self._failures += 1
        self._reason = reason
        pause_s = max(after_s, self._policy.delay_s(self._failures, self._random))
        self._meter.add("sink_failures", label=self.name)
        log.warning("sink %s: %s", self.name, escape(self._reason))
        left_s = self._failing_since + self._patience_s - now
        if self._down or left_s <= 0 or after_s > left_s:
            self._go_down()
        else:
            # One more try at the end: nobody waits longer than that.
            pause_s = min(pause_s, left_s)
        self._resume = now + pause_s

    def _go_down(self) -> None:
        if not self._down:
            log.error("sink %s is down: %s", self.name, escape(self._reason))
            self._meter.add("sinks_down", 1, self.name)
        self._down = True
        self._give_back([*self._queue], self._reason, self._return_s())

    def _give_back(self, deliveries: Sequence[_Delivery], reason: str, after_s: float) -> None:
        fault = self._undelivered(reason, after_s)
        for delivery in deliveries:
            self._remove(delivery)
            for waiter in delivery.waiters:
                waiter.ended(delivery.parcel.id, fault)

    def _remove(self, delivery: _Delivery) -> None:
        self._queue.remove(delivery)
        self._by_id.pop(delivery.parcel.id, None)

    def _is_wanted(self, delivery: _Delivery) -> bool:
        """Whether anybody waits for it still, and it is not given up."""
        wanted = bool(delivery.waiters) and not self._closed
        if not wanted:
            self._by_id.pop(delivery.parcel.id, None)
            for waiter in delivery.waiters:
                waiter.ended(delivery.parcel.id, self._undelivered("the worker ends", RETURN_LEAST_S))
        return wanted

    def _hangs(self, now: float) -> bool:
        return self._sending_since is not None and now - self._sending_since >= self._patience_s

    def _return_s(self) -> float:
        since = self._failing_since if self._failing_since is not None else self._sending_since
        down_s = 0.0 if since is None else self._clock() - since
        return min(max(down_s / 4, RETURN_LEAST_S), RETURN_MOST_S)

    def _forget(self, now: float) -> None:
        while self._taken:
            id_, taken = next(iter(self._taken.items()))
            if len(self._taken) <= REMEMBERED and now - taken < REMEMBERED_S:
                return
            del self._taken[id_]

    def _undelivered(self, reason: str, after_s: float) -> Undelivered:
        return Undelivered(self.name, reason, after_s)
