"""The detection record: what the rules have found on one host so far, and what they have raised.

It is the third value of a host, under a key of its own (`detection_key`), written in the same EXEC as ledger and
states.  It is a set of marks, and a set of raised alerts; merging is union, so it does not matter which worker saw
which step, in which order, or how often::

    found      a mark, and the batch that brought it                        by (rule, step, scope): a *series*
    dropped    for each rule, the time of the newest mark that a limit has dropped
    raised     rule, scope key and stretch, and the batch that completed it

Limits.  A series keeps its latest marks, a host its latest.  What is dropped has so many later ones before it, which
a merge can only make more; so it could not have come back, and cutting before or after a merge gives the same.

A ``distinct`` rule asks how many values there are, not how often one is there.  Its marks are thinned without loss: of
one value, in one stretch of time as long as the span, the first and the last stand for all between them.  Such a *cell*
counts as one; any other mark is a cell of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import NamedTuple

from fastfold.detection.mark_types import Mark
from fastfold.errors import ConfigError
from fastfold.rules.types import Rule
from fastfold.store import prefixed

__all__ = [
    "DetectionLimits",
    "DetectionRecord",
    "Found",
    "Keep",
    "Keeps",
    "Raised",
    "RaisedKey",
    "Series",
    "Told",
    "detection_key",
    "rule_digest",
]

_DIGEST_BYTES = 8


def detection_key(host_key: bytes) -> bytes:
    """Key of the detection record of a host, from the key of its host record; no tag of a process has this sign."""
    return host_key + b"!"


def rule_digest(rule: Rule) -> bytes:
    """By what marks name a rule: a hash of its id and version, so that another version begins with no marks."""
    identity = prefixed(rule.id) + prefixed(rule.version)
    return blake2b(identity, digest_size=_DIGEST_BYTES, person=b"fastfold.rule").digest()


class Series(NamedTuple):
    """Whose marks these are: the parts of a mark by which they are kept together."""

    rule: bytes
    step: int
    scope: bytes


class Found(NamedTuple):
    """A mark, and the id of the batch that brought it; of several the least."""

    mark: Mark
    batch: bytes


class RaisedKey(NamedTuple):
    """What is raised once."""

    rule: bytes
    scope: bytes
    stretch: int


class Raised(NamedTuple):
    """An alert that was raised; in the order of the record, and of what is kept: the latest batches.

    Attributes
    ----------
    batch_ms : int
    batch : bytes
        Time and id of the batch that completed the match.
    rule, scope : bytes
    stretch : int
    last_ns : int
        Time of the last mark of the match.
    process : str
        Process id of that mark.
    repeats : int
        Most marks seen that end other matches of the same stretch, which are not raised again.
    """

    batch_ms: int
    batch: bytes
    rule: bytes
    scope: bytes
    stretch: int
    last_ns: int
    process: str
    repeats: int

    @property
    def key(self) -> RaisedKey:
        """What was raised."""
        return RaisedKey(self.rule, self.scope, self.stretch)


class Told(NamedTuple):
    """What of a rule must be known to tell of its alert again when it is not loaded any more."""

    id: str
    version: str
    title: str
    level: str


@dataclass(frozen=True, slots=True)
class DetectionLimits:
    """Bounds on a detection record.

    Attributes
    ----------
    marks_per_step : int
        Most marks of one step of a rule for one scope key; what a ``count`` or ``distinct`` rule needs to be met,
        it always has.
    marks_per_host : int
        Most marks of a host.
    raised_per_host : int
        Most alerts that a host remembers to have raised; one that it has forgotten may be raised again, with the
        same id.
    """

    marks_per_step: int = 64
    marks_per_host: int = 4096
    raised_per_host: int = 1024

    def __post_init__(self) -> None:
        if min(self.marks_per_step, self.marks_per_host, self.raised_per_host) < 1:
            raise ConfigError("limits of a detection record must be at least 1")


@dataclass(frozen=True, slots=True)
class Keep:
    """Which marks of a rule are kept.

    Attributes
    ----------
    most : int
        Cells of a series.
    lengths_ns : tuple of int
        What cells are cut by, for a rule that counts values: the span, and the stretch of one alert.  Empty where
        each mark is a cell of its own.
    """

    most: int
    lengths_ns: tuple[int, ...] = ()

    @classmethod
    def of(cls, rule: Rule, limits: DetectionLimits) -> Keep:
        """What a rule wants to be kept."""
        if rule.type == "distinct":
            # A span touches two cells of a value, or some more if stretches are shorter.
            most = max(limits.marks_per_step, 4 * rule.least)
            # Where a match has begun decides on `unless`: there, no mark stands for another.
            thin = rule.unless is None
            return cls(
                most, (max(rule.within_ns, 1), *([rule.suppress_ns] if rule.suppress_ns else [])) if thin else ()
            )
        return cls(max(limits.marks_per_step, rule.least))

    def cell(self, mark: Mark) -> tuple[int, bytes]:
        """Of which cell a mark is; cells sort by time."""
        if not self.lengths_ns:
            return mark.time_ns, mark.event
        return max(mark.time_ns // length * length for length in self.lengths_ns), mark.value


Keeps = Mapping[bytes, Keep]
"""By `rule_digest`.  Of a rule that is not there nothing is dropped but for the host's limit: its marks are complete
already, because only who knows a rule finds marks of it."""

_WHOLE = Keep(0)
_Cell = tuple[tuple[int, bytes], Series]


@dataclass(frozen=True, slots=True)
class DetectionRecord:
    """What the rules have found on a host.

    Attributes
    ----------
    tenant, host : str
        The identity.
    newest_ns : int or None
        Time of the newest event of the host, as far as a rule wanted to know.
    series : mapping of Series to tuple of Found
        None is empty; each ascends by (time, event).
    dropped : mapping of bytes to int
        By rule, the time of the newest mark that a limit has dropped.
    raised : tuple of Raised
        In ascending order.
    told : mapping of bytes to Told
        The rules of `raised`.
    """

    tenant: str
    host: str
    newest_ns: int | None = None
    series: Mapping[Series, tuple[Found, ...]] = field(default_factory=dict)
    dropped: Mapping[bytes, int] = field(default_factory=dict)
    raised: tuple[Raised, ...] = ()
    told: Mapping[bytes, Told] = field(default_factory=dict)

    @classmethod
    def of_batch(
        cls, tenant: str, host: str, marks: Iterable[Mark], batch: bytes, newest_ns: int | None
    ) -> DetectionRecord:
        """What one batch brings, without any limit."""
        series: dict[Series, list[Found]] = {}
        for mark in marks:
            series.setdefault(Series(mark.rule, mark.step, mark.scope), []).append(Found(mark, batch))
        return cls(tenant, host, newest_ns, {key: _union(found, ()) for key, found in series.items()})

    def union(self, other: DetectionRecord) -> DetectionRecord:
        """All of both, without any limit."""
        series = dict(self.series)
        for key, found in other.series.items():
            series[key] = _union(series[key], found) if key in series else found
        dropped = dict(self.dropped)
        for rule, time_ns in other.dropped.items():
            dropped[rule] = max(dropped.get(rule, time_ns), time_ns)
        told = dict(self.told)
        for rule, one in other.told.items():
            told[rule] = min(told.get(rule, one), one)
        return replace(
            self,
            newest_ns=_later(self.newest_ns, other.newest_ns),
            series=series,
            dropped=dropped,
            raised=_union_raised(self.raised, other.raised) if other.raised else self.raised,
            told=told,
        )

    def cut(self, keeps: Keeps, limits: DetectionLimits) -> DetectionRecord:
        """What the limits leave."""
        cells = 0
        series: dict[Series, tuple[Found, ...]] = {}
        dropped = dict(self.dropped)
        for key, found in self.series.items():
            keep = keeps.get(key.rule, _WHOLE)
            left, left_cells, lost_ns = _cut_series(found, keep)
            series[key] = left
            cells += left_cells
            if lost_ns is not None:
                dropped[key.rule] = max(dropped.get(key.rule, lost_ns), lost_ns)
        if cells > limits.marks_per_host:
            _cut_host(series, dropped, keeps, cells - limits.marks_per_host)
        if len(dropped) > limits.marks_per_host:
            latest = sorted(dropped.items(), key=lambda item: (item[1], item[0]))[-limits.marks_per_host :]
            dropped = dict(latest)
        raised = self.raised[-limits.raised_per_host :]
        rules = {one.rule for one in raised}
        told = {rule: one for rule, one in self.told.items() if rule in rules}
        return replace(self, series=series, dropped=dropped, raised=raised, told=told)

    def merge(self, other: DetectionRecord, keeps: Keeps, limits: DetectionLimits) -> DetectionRecord:
        """All of both, within the limits: commutative, associative and idempotent."""
        return self.union(other).cut(keeps, limits)

    def with_raised(self, raised: Iterable[Raised], told: Mapping[bytes, Told]) -> DetectionRecord:
        """The record with more alerts, or with more repeats of them."""
        more = tuple(raised)
        return self.union(DetectionRecord(self.tenant, self.host, raised=more, told=told)) if more else self


def _later(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)


def _union(one: Sequence[Found], other: Sequence[Found]) -> tuple[Found, ...]:
    """Marks of a series, each event once, ascending."""
    by_event: dict[tuple[int, bytes], Found] = {}
    for found in (*one, *other):
        at = (found.mark.time_ns, found.mark.event)
        held = by_event.get(at)
        # The same event under other limits on evidence is one event all the same.
        by_event[at] = found if held is None else min(held, found)
    return tuple(by_event[at] for at in sorted(by_event))


def _union_raised(one: Sequence[Raised], other: Sequence[Raised]) -> tuple[Raised, ...]:
    found: dict[tuple[int, bytes, RaisedKey], Raised] = {}
    for raised in (*one, *other):
        at = (raised.batch_ms, raised.batch, raised.key)
        held = found.get(at)
        if held is not None:
            last_ns, process = min((held.last_ns, held.process), (raised.last_ns, raised.process))
            repeats = max(held.repeats, raised.repeats)
            found[at] = held._replace(last_ns=last_ns, process=process, repeats=repeats)
        else:
            found[at] = raised
    return tuple(sorted(found.values()))


def _cut_series(found: tuple[Found, ...], keep: Keep) -> tuple[tuple[Found, ...], int, int | None]:
    """What is left of a series, in how many cells, and the time of the newest mark that is lost."""
    if keep is _WHOLE:
        return found, len(found), None
    if not keep.lengths_ns:
        over = len(found) - keep.most
        return (found, len(found), None) if over <= 0 else (found[over:], keep.most, found[over - 1].mark.time_ns)
    cells = _cells(found, keep)
    kept = sorted(cells)[-keep.most :]
    lost_ns = max((cells[cell][-1].mark.time_ns for cell in cells.keys() - set(kept)), default=None)
    return _joined(cells[cell] for cell in kept), len(kept), lost_ns


def _cells(found: Sequence[Found], keep: Keep) -> dict[tuple[int, bytes], list[Found]]:
    """The first and the last mark of each cell."""
    cells: dict[tuple[int, bytes], list[Found]] = {}
    for one in found:
        held = cells.setdefault(keep.cell(one.mark), [])
        held[1:] = [one]
    return cells


def _joined(cells: Iterable[Sequence[Found]]) -> tuple[Found, ...]:
    found = [one for cell in cells for one in cell]
    return tuple(sorted(found, key=lambda one: (one.mark.time_ns, one.mark.event)))


def _cut_host(series: dict[Series, tuple[Found, ...]], dropped: dict[bytes, int], keeps: Keeps, over: int) -> None:
    """Drop so many of the earliest cells of all series."""
    cells: dict[_Cell, list[Found]] = {}
    for key, found in series.items():
        for cell, some in _cells(found, keeps.get(key.rule, _WHOLE)).items():
            cells[cell, key] = some
    ranked = sorted(cells)
    for at in ranked[:over]:
        rule, last_ns = at[1].rule, cells[at][-1].mark.time_ns
        dropped[rule] = max(dropped.get(rule, last_ns), last_ns)
    left: dict[Series, list[Sequence[Found]]] = {}
    for at in ranked[over:]:
        left.setdefault(at[1], []).append(cells[at])
    for key in list(series):
        if key in left:
            series[key] = _joined(left[key])
        else:
            del series[key]
