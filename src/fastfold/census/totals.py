"""Counting what Redis holds: totals by group, exact or estimated from a sample, with how sure they are.

A sample is drawn node by node, each key as likely as any other of its node, with repetition.  The total of a group
is then, over the nodes, ``keys of the node x mean over its sample of (bytes if the key is of the group, else 0)``,
and the variance follows from the same numbers.  The margin is 1.96 standard errors: where many keys were looked at,
the true total lies within it in 95 of 100 censuses.  A group that the sample did not meet is not in the report.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["AGES_S", "Age", "Census", "Estimate", "Observation", "Spread", "age_of", "spread"]

MARGIN = 1.96
"""Standard errors within which the true value lies in 95 of 100 samples."""

AGES_S: tuple[tuple[float, str], ...] = (
    (60.0, "under 1 min"),
    (600.0, "1 to 10 min"),
    (3600.0, "10 to 60 min"),
    (6 * 3600.0, "1 to 6 h"),
    (24 * 3600.0, "6 to 24 h"),
    (7 * 86_400.0, "1 to 7 d"),
    (math.inf, "over 7 d"),
)
"""Times since the last write, by upper bound."""

Age = str
_NEVER = "never expires"


class Observation(NamedTuple):
    """One key that was looked at.

    Attributes
    ----------
    memory_bytes : int
        What Redis counts for it.
    kind : str
        ``state``, ``host record``, ``detection record``, ``unreadable`` or ``not ours``.
    tenant, host, process : str
        Empty where they are not known.
    key : bytes
    age : str
        Time since its last write, in the words of `age_of`.
    version, dictionary : int or None
        Of its value.
    """

    memory_bytes: int
    kind: str
    key: bytes
    tenant: str = ""
    host: str = ""
    process: str = ""
    age: Age = ""
    version: int | None = None
    dictionary: int | None = None


class Estimate(NamedTuple):
    """How many keys, and bytes, a group has; margins are 0 where all was counted."""

    keys: float
    keys_margin: float
    bytes: float
    bytes_margin: float


class Spread(NamedTuple):
    """How a size is spread over keys."""

    mean: float
    median: int
    p90: int
    p99: int
    largest: int


@dataclass(slots=True)
class _Sums:
    keys: int = 0
    bytes: int = 0
    squares: int = 0

    def add(self, memory_bytes: int) -> None:
        self.keys += 1
        self.bytes += memory_bytes
        self.squares += memory_bytes * memory_bytes


@dataclass(slots=True)
class _Stratum:
    """What was looked at of one node."""

    population: int | None
    looked_at: int = 0
    groups: dict[tuple[str, Hashable], _Sums] = field(default_factory=dict)


def age_of(life_ms: int, full_life_s: float) -> Age:
    """Time since the last write of a key, from what is left of its life."""
    if life_ms < 0:
        return _NEVER
    age_s = full_life_s - life_ms / 1000.0
    return next(name for bound_s, name in AGES_S if age_s < bound_s)


def spread(sizes: Counter[int]) -> Spread | None:
    """Quantiles of sizes; ``None`` of none."""
    count = sizes.total()
    if not count:
        return None
    ranks = [max(math.ceil(count * part), 1) for part in (0.5, 0.9, 0.99)]
    found: list[int] = []
    passed = 0
    for size in sorted(sizes):
        passed += sizes[size]
        while len(found) < len(ranks) and passed >= ranks[len(found)]:
            found.append(size)
    mean = sum(size * times for size, times in sizes.items()) / count
    return Spread(mean, found[0], found[1], found[2], max(sizes))


class Census:
    """Takes observations in, gives totals out.

    Parameters
    ----------
    top : int
        Largest processes to remember.
    """

    def __init__(self, top: int) -> None:
        self.state_sizes: Counter[int] = Counter()
        self._top = top
        self._strata: dict[Hashable, _Stratum] = {}
        self._largest: list[tuple[int, bytes, Observation]] = []

    @property
    def looked_at(self) -> int:
        """Keys that were looked at; of a sample, some may have been met twice."""
        return sum(stratum.looked_at for stratum in self._strata.values())

    def begin(self, node: Hashable, population: int | None) -> None:
        """What follows of this node is a sample of so many keys; ``None``: it is all of them."""
        self._strata[node] = _Stratum(population)

    def add(self, node: Hashable, seen: Observation) -> None:
        """Count a key of a node."""
        stratum = self._strata[node]
        stratum.looked_at += 1
        groups: list[tuple[str, Hashable]] = [("all", ""), ("kind", seen.kind)]
        if seen.kind in ("state", "host record", "detection record"):
            groups += [("tenant", seen.tenant), ("host", (seen.tenant, seen.host)), ("age", seen.age)]
            groups += [("version", seen.version), ("dictionary", seen.dictionary)]
        for group in groups:
            sums = stratum.groups.get(group)
            if sums is None:
                sums = stratum.groups[group] = _Sums()
            sums.add(seen.memory_bytes)
        if seen.kind == "state":
            self.state_sizes[seen.memory_bytes] += 1
            self._remember(seen)

    def _remember(self, seen: Observation) -> None:
        ranked = (seen.memory_bytes, seen.key, seen)
        if any(key == seen.key for _, key, _ in self._largest):
            return
        if len(self._largest) < self._top:
            heapq.heappush(self._largest, ranked)
        elif ranked[:2] > self._largest[0][:2]:
            heapq.heapreplace(self._largest, ranked)

    def largest(self) -> list[Observation]:
        """The processes that cost most, of those that were looked at."""
        return [seen for _, _, seen in sorted(self._largest, key=lambda ranked: ranked[:2], reverse=True)]

    def hosts(self) -> list[tuple[str, Estimate]]:
        """The hosts by bytes, each as ``tenant/host``, or as its name alone where there is no tenant."""
        found = self.groups("host")
        return [("/".join(filter(None, name)) if isinstance(name, tuple) else "", each) for name, each in found]

    def groups(self, dimension: str) -> list[tuple[Hashable, Estimate]]:
        """The groups of ``kind``, ``tenant``, ``host``, ``age``, ``version`` or ``dictionary``, by bytes."""
        names = dict.fromkeys(
            group for stratum in self._strata.values() for of, group in stratum.groups if of == dimension
        )
        found = [(name, self.estimate(dimension, name)) for name in names]
        return sorted(found, key=lambda one: (-one[1].bytes, str(one[0])))

    def estimate(self, dimension: str, group: Hashable) -> Estimate:
        """The total of one group; of all keys with ``("all", "")``."""
        keys = keys_variance = size = variance = 0.0
        for stratum in self._strata.values():
            sums = stratum.groups.get((dimension, group))
            if sums is None:
                continue
            if stratum.population is None:
                keys += sums.keys
                size += sums.bytes
                continue
            count, population = stratum.looked_at, stratum.population
            keys += population * sums.keys / count
            size += population * sums.bytes / count
            keys_variance += population**2 * _variance_of_mean(sums.keys, sums.keys, count)
            variance += population**2 * _variance_of_mean(sums.bytes, sums.squares, count)
        return Estimate(keys, MARGIN * math.sqrt(keys_variance), size, MARGIN * math.sqrt(variance))


def _variance_of_mean(total: float, squares: float, count: int) -> float:
    if count < 2:
        return math.inf
    return max(squares - total * total / count, 0.0) / (count - 1) / count


def mean_and_margin(values: Iterable[float], count: int) -> tuple[float, float]:
    """Mean over `count` values, of which those not given are 0, and its margin."""
    total = squares = 0.0
    for value in values:
        total += value
        squares += value * value
    return total / count, MARGIN * math.sqrt(_variance_of_mean(total, squares, count))
