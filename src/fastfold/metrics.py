"""What a pod counts, and how it is shown to Prometheus.

Each worker process counts in a `Meter` of its own and sends snapshots of it to the supervisor over
a pipe.  The supervisor adds them up in a `Tally` and shows the sum.  Nothing is kept on disk.  What
a killed worker counted after its last snapshot is not shown: the counts tell how the pod fares,
the states in Redis do not depend on them.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

__all__ = ["ALERT_BUCKETS_S", "BUCKETS_S", "METRICS", "Collector", "Meter", "Metric", "Snapshot", "Tally", "total"]

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper ends of the histograms, seconds."""

ALERT_BUCKETS_S = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
"""The same, of how long alerts took."""

LABELS = 64
"""Most values of one label; further ones are counted together."""

RULES = 256
"""The same where the label is a rule."""

OTHER = "other"
"""The label value that takes what comes after those."""

TOP = 16
"""How many label values a metric of the kind ``top`` keeps: those with the most."""

_PREFIX = "fastfold_"


class Metric(NamedTuple):
    """What a metric is.

    Attributes
    ----------
    kind : str
        ``counter``, ``gauge``, ``histogram``; ``highest``, a gauge of which that of a pod is the highest of those of
        its workers, not their sum; or ``top``, which counts by a label of any number of values, and keeps only
        those with the most.
    help, label : str
    buckets_s : tuple of float
        Of a histogram.
    """

    kind: str
    help: str
    label: str = ""
    buckets_s: tuple[float, ...] = BUCKETS_S

    @property
    def labels_most(self) -> int:
        """Most values of the label."""
        return RULES if self.label == "rule" else LABELS


METRICS: dict[str, Metric] = {
    "messages": Metric("counter", "Messages that ended, by outcome", "outcome"),
    "files": Metric("counter", "Files committed on all hosts they name"),
    "skipped": Metric("counter", "Notified objects that needed no work, by reason", "reason"),
    "stored_bytes": Metric("counter", "Bytes of files as stored"),
    "inflated_bytes": Metric("counter", "Bytes of files once inflated"),
    "records": Metric("counter", "Records read"),
    "events": Metric("counter", "Events made of records"),
    "processes": Metric("counter", "Processes of files committed"),
    "odd_text": Metric("counter", "Texts in which something was replaced by U+FFFD"),
    "no_process": Metric("counter", "Records that gave no event, by reason", "reason"),
    "rejects": Metric("counter", "Files rejected, by reason", "reason"),
    "limit_hits": Metric("counter", "Files rejected for a limit, by reason", "reason"),
    "state_limit_hits": Metric("counter", "States that lost something to a limit first, by reducer", "reducer"),
    "parked": Metric("counter", "Messages sent to the dead-letter queue, by class of error", "class"),
    "left": Metric("counter", "Receives of messages left to the queue's redrive policy, by class of error", "class"),
    "conflicts": Metric("counter", "Transactions that another writer forced to start again"),
    "hot_hosts": Metric("top", "Conflicts of the hosts that have the most of them", "host"),
    "retries": Metric("counter", "Tries after a fault that may pass, by stage", "stage"),
    "already_applied": Metric("counter", "Hosts of batches whose ledger already held the batch"),
    "late": Metric("counter", "Hosts of batches refused as older than the window of the ledger"),
    "heartbeats_failed": Metric("counter", "Messages whose visibility could not be extended"),
    "deletes_failed": Metric("counter", "Messages done that could not be deleted, and will come again"),
    "restarts": Metric("counter", "Workers started again after a crash"),
    "in_flight": Metric("gauge", "Messages whose files are in work"),
    "held": Metric("gauge", "Messages whose files are committed, and wait to be verified"),
    "verified": Metric("counter", "Messages whose commits were looked for after the hold, by outcome", "outcome"),
    "rollbacks": Metric("counter", "Nodes of Redis that came back without what they had acknowledged, by how", "how"),
    "rule_loads": Metric("counter", "Times that changed rule files were loaded or, at fault, were not", "outcome"),
    "paused": Metric("gauge", "Workers that do not receive because a server is down"),
    "workers": Metric("gauge", "Worker processes alive"),
    "oldest_waiting_seconds": Metric("highest", "Age of the oldest message that waits to be worked on"),
    "stage_seconds": Metric("histogram", "Time in a stage", "stage"),
    "marks": Metric("counter", "Events that met a step of a rule"),
    "suppressed": Metric("counter", "Matches not raised because their alert was out already"),
    "alerts": Metric("counter", "Alerts taken by every sink that they are for", "rule"),
    "alerts_repeated": Metric("counter", "Alerts raised again that every sink had taken before", "rule"),
    "alerts_delayed": Metric("counter", "Alerts not taken by every sink, whose message was handed back", "rule"),
    "alerts_unrouted": Metric("counter", "Alerts that no sink is for", "rule"),
    "alerts_suppressed": Metric("counter", "Matches that were counted in an alert instead of raising another", "rule"),
    "alerts_cut": Metric("counter", "Alerts whose evidence was cut to fit a sink", "sink"),
    "sink_taken": Metric("counter", "Alerts that a sink took", "sink"),
    "sink_refused": Metric("counter", "Alerts that a sink refused", "sink"),
    "sink_failures": Metric("counter", "Times a sink did not answer, or took nothing", "sink"),
    "sinks_down": Metric("gauge", "Workers for which a sink has taken nothing for its patience", "sink"),
    "alert_event_seconds": Metric("histogram", "From event to publication", "rule", ALERT_BUCKETS_S),
    "alert_stored_seconds": Metric("histogram", "From arrival on S3 to publication", "rule", ALERT_BUCKETS_S),
    "alert_received_seconds": Metric("histogram", "From receive to publication", "rule", ALERT_BUCKETS_S),
    "alert_committed_seconds": Metric("histogram", "From commit to publication", "rule", ALERT_BUCKETS_S),
}
"""Every metric, by its name without prefix and suffix."""

_Key = tuple[str, str]


@dataclass(slots=True)
class Snapshot:
    """Values at one moment, by metric and label value (empty where the metric has no label).

    Attributes
    ----------
    values : dict
        Counters and gauges.
    times : dict
        Histograms: one count per bucket, one for what is beyond the last; and the sum of seconds.
    """

    values: dict[_Key, float] = field(default_factory=dict)
    times: dict[_Key, tuple[list[int], float]] = field(default_factory=dict)

    def add(self, other: Snapshot, *, gauges: bool = True) -> None:
        """Add the values of `other`; those of gauges only if asked to."""
        for key, value in other.values.items():
            kind = METRICS[key[0]].kind
            if kind == "highest":
                if gauges:
                    self.values[key] = max(self.values.get(key, 0), value)
            elif gauges or kind != "gauge":
                self.values[key] = self.values.get(key, 0) + value
        for key, (counts, seconds) in other.times.items():
            ours, our_seconds = self.times.get(key, ([0] * len(counts), 0.0))
            self.times[key] = ([a + b for a, b in zip(ours, counts, strict=True)], our_seconds + seconds)


def total(snapshot: Snapshot, name: str) -> int:
    """A counter's or gauge's value, summed over its labels."""
    return int(sum(value for (metric, _), value in snapshot.values.items() if metric == name))


class Meter:
    """The counts of one process; its threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = Snapshot()
        self._labels: dict[str, set[str]] = {}

    def add(self, name: str, amount: float = 1, label: str = "") -> None:
        """Add to a counter or gauge."""
        with self._lock:
            key = self._key(name, label)
            before = self._now.values.get(key)
            if before is None:
                before = self._make_room(name) if METRICS[name].kind == "top" else 0
            self._now.values[key] = before + amount

    def set(self, name: str, value: float) -> None:
        """Set a gauge."""
        with self._lock:
            self._now.values[self._key(name, "")] = value

    def add_all(self, name: str, amounts: Mapping[str, int]) -> None:
        """Add to a counter under several values of its label."""
        for label, amount in amounts.items():
            self.add(name, amount, label)

    def observe(self, name: str, seconds: float, label: str = "") -> None:
        """Count a time in a histogram."""
        with self._lock:
            key = self._key(name, label)
            buckets_s = METRICS[name].buckets_s
            counts, sum_s = self._now.times.get(key, ([0] * (len(buckets_s) + 1), 0.0))
            counts[bisect_left(buckets_s, seconds)] += 1
            self._now.times[key] = (counts, sum_s + seconds)

    def snapshot(self) -> Snapshot:
        """A copy of the values of this moment."""
        copy = Snapshot()
        with self._lock:
            copy.add(self._now)
        return copy

    def _make_room(self, name: str) -> float:
        """What a new label of a ``top`` begins with: the least of those kept, whose place it takes.

        So no label that has many is ever missing; one that has few may be shown with too many (Space-Saving).
        """
        kept = [item for item in self._now.values.items() if item[0][0] == name]
        if len(kept) < TOP:
            return 0
        key, least = min(kept, key=lambda item: item[1])
        del self._now.values[key]
        return least

    def _key(self, name: str, label: str) -> _Key:
        if not METRICS[name].label:
            return (name, "")
        if METRICS[name].kind == "top":
            return (name, label)
        seen = self._labels.setdefault(name, set())
        if label not in seen:
            if len(seen) >= METRICS[name].labels_most:
                label = OTHER
            seen.add(label)
        return (name, label)


class Tally:
    """The sum over the workers of a pod, those that have ended included."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = Snapshot()
        self._latest: dict[int, Snapshot] = {}
        self.own = Meter()

    def update(self, pid: int, snapshot: Snapshot) -> None:
        """Take the latest snapshot of a worker."""
        with self._lock:
            self._latest[pid] = snapshot

    def end(self, pid: int) -> None:
        """Keep the counts of a worker that has ended, and forget its gauges."""
        with self._lock:
            self._ended.add(self._latest.pop(pid, Snapshot()), gauges=False)

    def snapshot(self) -> Snapshot:
        """The sum of this moment."""
        sum_ = self.own.snapshot()
        with self._lock:
            sum_.add(self._ended)
            for latest in self._latest.values():
                sum_.add(latest)
        return sum_


class Collector:
    """Shows a tally to prometheus_client."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Family]:
        """One family per metric; those never counted are shown as zero where they have no label."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        snapshot = self._tally.snapshot()
        for name, metric in METRICS.items():
            labels = [metric.label] if metric.label else []
            if metric.kind == "histogram":
                histogram = HistogramMetricFamily(_PREFIX + name, metric.help, labels=labels)
                for (_, label), (counts, seconds) in _of(snapshot.times, name):
                    histogram.add_metric([label] if labels else [], _cumulated(counts, metric.buckets_s), seconds)
                yield histogram
                continue
            family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            plain = family(_PREFIX + name, metric.help, labels=labels)
            found = _of(snapshot.values, name)
            if metric.kind == "top":
                found = sorted(found, key=lambda item: -item[1])[:TOP]
            if not found and not labels:
                found = [((name, ""), 0)]
            for (_, label), value in found:
                plain.add_metric([label] if labels else [], value)
            yield plain


_T = TypeVar("_T")


def _of(values: Mapping[_Key, _T], name: str) -> list[tuple[_Key, _T]]:
    return sorted((item for item in values.items() if item[0][0] == name), key=lambda item: item[0])


def _cumulated(counts: list[int], buckets_s: tuple[float, ...]) -> list[tuple[str, float]]:
    """Prometheus counts in a bucket what lies in all buckets below it too."""
    ends = [*map(str, buckets_s), "+Inf"]
    return list(zip(ends, accumulate(counts), strict=True))
