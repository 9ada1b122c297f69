r"""The stage that publishes: alerts to every sink that they are for, before their message is deleted.

::

    alerts --render--> one line per form --route--> lanes of the sinks --> all taken: the message may go
                                                                      \\-> else: Undelivered, it comes again

A sink that takes nothing does not keep the others from taking.  What was not taken is raised again when the message
comes back, since Redis knows that its batch raised it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from fastfold.alerts.forms import line_of
from fastfold.alerts.types import Alert
from fastfold.errors import Undelivered
from fastfold.metrics import Meter
from fastfold.sinks.lane import RETURN_LEAST_S, Lane, Outlet, Waiter
from fastfold.sinks.types import Parcel

__all__ = ["Publisher"]

CHUNK = 100
"""Alerts that are offered at once; no queue is shorter."""

_LOOK_S = 0.2
_NS_PER_SECOND = 1_000_000_000


class Publisher:
    """Publishes alerts; the threads of a worker share it.

    Parameters
    ----------
    outlets : sequence of Outlet
    meter : Meter
    clock, now_ns : callable
        Seconds of a clock that is never set; nanoseconds since 1970 UTC.
    """

    def __init__(
        self,
        outlets: Sequence[Outlet],
        meter: Meter,
        *,
        clock: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._outlets = tuple(outlets)
        self._meter = meter
        self._clock = clock
        self._now_ns = now_ns

    def start(self) -> None:
        """Start the threads of the sinks."""
        for outlet in self._outlets:
            outlet.lane.start()

    def close(self, timeout_s: float) -> None:
        """Give back what waits, and end the threads."""
        end = self._clock() + timeout_s
        for outlet in self._outlets:
            outlet.lane.close(max(0.0, end - self._clock()))

    def publish(self, alerts: Sequence[Alert], deadline: float) -> None:
        """Have every alert taken by every sink that it is for.

        Parameters
        ----------
        alerts : sequence of Alert
        deadline : float
            Longest wait, on `clock`; a sink that takes nothing is given up before it.

        Raises
        ------
        Undelivered
            If not all were taken.  Those that were may be published again, under the same id.
        """
        faults: list[Undelivered] = []
        distinct = [*{alert.id: alert for alert in alerts}.values()]
        for start in range(0, len(distinct), CHUNK):
            faults += self._publish(distinct[start : start + CHUNK], deadline)
        if faults:
            soonest = min(faults, key=lambda fault: fault.after_s)
            raise Undelivered(soonest.sink, soonest.reason, soonest.after_s)

    def _publish(self, alerts: Sequence[Alert], deadline: float) -> list[Undelivered]:
        offers: dict[Lane, list[Parcel]] = {}
        wanted: Counter[str] = Counter()
        published_ns = self._now_ns()
        for alert in alerts:
            dated = replace(alert, times=replace(alert.times, published_ns=published_ns))
            for lane, parcel in self._parcels(dated):
                offers.setdefault(lane, []).append(parcel)
                wanted[parcel.id] += 1
        waiters: dict[Lane, Waiter] = {}
        before: Counter[str] = Counter()
        faults: list[Undelivered] = []
        for lane, parcels in offers.items():
            waiter = waiters[lane] = Waiter()
            try:
                before.update(lane.offer(parcels, waiter))
            except Undelivered as error:
                faults.append(error)
        for lane, waiter in waiters.items():
            fault = self._wait(lane, waiter, deadline)
            if fault is not None:
                faults.append(fault)
        taken = Counter(id_ for waiter in waiters.values() for id_ in waiter.taken)
        for alert in alerts:
            self._count(alert, wanted[alert.id], taken[alert.id], before[alert.id])
        return faults

    def _parcels(self, alert: Alert) -> list[tuple[Lane, Parcel]]:
        """What each sink is to get; a form of one length is made once."""
        made: dict[tuple[str, int], bytes] = {}
        parcels = []
        for facts, lane in self._outlets:
            if not facts.route.takes(alert):
                continue
            key = (facts.form, facts.body_bytes)
            if key not in made:
                made[key], cut = line_of(alert, *key)
                if cut:
                    self._meter.add("alerts_cut", label=facts.name)
            parcel = Parcel(
                id=alert.id,
                rule=alert.rule_id,
                level=alert.level,
                tenant=alert.tenant,
                host=alert.host,
                title=alert.title,
                body=made[key],
            )
            parcels.append((lane, parcel))
        return parcels

    def _wait(self, lane: Lane, waiter: Waiter, deadline: float) -> Undelivered | None:
        """Wait for the answers of one sink; why not all of them are good."""
        while not waiter.wait(_LOOK_S):
            fault = lane.stuck()
            if fault is None and self._clock() >= deadline:
                fault = Undelivered(lane.name, "the deadline of the file has passed", RETURN_LEAST_S)
            if fault is not None:
                lane.withdraw(waiter)
                return fault
        return waiter.fault

    def _count(self, alert: Alert, wanted: int, taken: int, before: int) -> None:
        rule = alert.rule_id
        if not wanted:
            self._meter.add("alerts_unrouted", label=rule)
        elif taken < wanted:
            self._meter.add("alerts_delayed", label=rule)
        elif before == wanted:
            self._meter.add("alerts_repeated", label=rule)
        else:
            self._meter.add("alerts", label=rule)
            if alert.suppressed:
                self._meter.add("alerts_suppressed", alert.suppressed, rule)
            self._observe(alert)

    def _observe(self, alert: Alert) -> None:
        """Take note of how long it took."""
        now_ns = self._now_ns()
        times = alert.times
        since = {
            "alert_event_seconds": times.event_ns,
            "alert_stored_seconds": times.stored_ns,
            "alert_received_seconds": times.received_ns,
            "alert_committed_seconds": times.committed_ns,
        }
        for name, time_ns in since.items():
            if time_ns:
                # The clock of a host may be ahead of ours.
                self._meter.observe(name, max(0, now_ns - time_ns) / _NS_PER_SECOND, alert.rule_id)
