"""What a batch brings to the detection record of a host, and what is raised of it.

::

    a batch that is applied now       record + marks -> matches of what they touch -> not raised before: raised now
    one that was applied before       what it has raised is told again: its worker may have died before it told
    one that is late                  the same, and nothing else

Only matches of touched scope keys are looked at: marks never take a match away, so any other was raised when its own
last mark came.  What `unless` waits for comes with time, so scope keys of such rules are touched by every newer event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fastfold.alerts.types import Alert
from fastfold.detection.evaluate import Match, evaluate
from fastfold.detection.mark_types import HostMarks
from fastfold.detection.raising import raise_alert, tell_of
from fastfold.detection.record import (
    DetectionLimits,
    DetectionRecord,
    Found,
    Keep,
    Keeps,
    Raised,
    RaisedKey,
    rule_digest,
)
from fastfold.rules.types import Rule
from fastfold.types import BatchId

__all__ = ["BatchMarks", "Detected", "DetectionRules", "detect", "detect_again"]

_LIMITS = DetectionLimits()


@dataclass(frozen=True)
class DetectionRules:
    """Rules as the detection looks for them.

    Attributes
    ----------
    rules : mapping of bytes to Rule
        By `fastfold.detection.record.rule_digest`.
    limits : DetectionLimits
    keeps : mapping of bytes to Keep
    waiting : frozenset of bytes
        The rules with `unless`.
    """

    rules: Mapping[bytes, Rule]
    limits: DetectionLimits
    keeps: Keeps
    waiting: frozenset[bytes]

    @classmethod
    def of(cls, rules: Iterable[Rule], limits: DetectionLimits = _LIMITS) -> DetectionRules:
        """These rules."""
        by_digest = {rule_digest(rule): rule for rule in rules}
        return cls(
            by_digest,
            limits,
            {digest: Keep.of(rule, limits) for digest, rule in by_digest.items()},
            frozenset(digest for digest, rule in by_digest.items() if rule.unless is not None),
        )


@dataclass
class BatchMarks:
    """What the rules have found in one batch; and, once it is committed, what is raised of it.

    Attributes
    ----------
    rules : DetectionRules
        Those that it was matched with.
    hosts : sequence of HostMarks
        Hosts without marks need not be there unless a rule has `unless`.
    file : str
        ``s3://bucket/key`` of the batch.
    alerts : dict of str to Alert
        By id: raised in a transaction that was acknowledged, or by this batch before.  Also what was raised before
        the commit failed, for a message that is parked does not come again.
    suppressed : int
        Matches that were not raised because their stretch had been.
    limited : int
        Transactions in which a limit on marks was hit.
    repeated : bool
        Whether a part of the batch turned out to be applied before: then others are likely to be.
    """

    rules: DetectionRules
    hosts: Sequence[HostMarks]
    file: str = ""
    alerts: dict[str, Alert] = field(default_factory=dict)
    suppressed: int = 0
    limited: int = 0
    repeated: bool = False


class Detected(NamedTuple):
    """What becomes of a detection record.

    Attributes
    ----------
    record : DetectionRecord or None
        To be written; ``None`` if it is as it was.
    alerts : list of Alert
    suppressed : int
    limited : bool
        Whether a limit dropped marks.
    """

    record: DetectionRecord | None
    alerts: list[Alert]
    suppressed: int
    limited: bool


def detect(
    record: DetectionRecord, brought: DetectionRecord, rules: DetectionRules, batch: BatchId, file: str
) -> Detected:
    """Add what a batch brings, and raise what that completes.

    Parameters
    ----------
    record : DetectionRecord
        As it was stored.
    brought : DetectionRecord
        What the batch, or a chunk of it, brings: `fastfold.detection.record.DetectionRecord.of_batch`.
    rules : DetectionRules
    batch : BatchId
    file : str
        ``s3://bucket/key`` of the batch.
    """
    # Before the limits: what they drop may be just what was missing.
    union = record.union(brought)
    known = _known(record.raised)
    raised: list[Raised] = []
    alerts: list[tuple[Raised, Match]] = []
    suppressed = 0
    for key, match in _matches(union, _touched(record, brought, rules), rules):
        before = known.get(key)
        if before is None:
            now = _raised(key, match, batch)
            raised.append(now)
            alerts.append((now, match))
        elif match.repeats > before.repeats:
            # The match that was raised is none of its repeats.
            suppressed += match.repeats - before.repeats
            raised.append(before._replace(repeats=match.repeats))
    if not raised and not brought.series and union.newest_ns == record.newest_ns:
        return Detected(None, [], 0, limited=False)
    told = {one.rule: tell_of(rules.rules[one.rule]) for one in raised}
    after = union.with_raised(raised, told).cut(rules.keeps, rules.limits)
    told_of = [raise_alert(after, one, rules.rules[one.rule], match.found, batch, file) for one, match in alerts]
    return Detected(after, told_of, suppressed, limited=after.dropped != union.dropped)


def detect_again(
    record: DetectionRecord, brought: DetectionRecord, rules: DetectionRules, batch: BatchId, file: str, *, late: bool
) -> list[Alert]:
    """What a batch has raised that was applied before.

    An alert of it that the record has forgotten, by its limit, is told again too.  The marks of the batch are looked at
    with those of the record, in case these were dropped since.

    Parameters
    ----------
    record, brought : DetectionRecord
    rules : DetectionRules
    batch : BatchId
    file : str
    late : bool
        Whether it is known only by what it has raised: then only that is told.
    """
    own = {one.key: one for one in record.raised if one.batch == batch.id}
    union = record.union(brought)
    groups = {(key.rule, key.scope) for key in own}
    if not late:
        groups |= _touched(record, brought, rules)
    known = _known(record.raised)
    found: dict[RaisedKey, tuple[Raised, Sequence[Found]]] = {key: (one, ()) for key, one in own.items()}
    for key, match in _matches(union, groups, rules):
        if key in own:
            found[key] = (own[key], match.found)
        elif not late and key not in known:
            found[key] = (_raised(key, match, batch), match.found)
    return [
        raise_alert(union, one, rules.rules.get(one.rule), marks, batch, file)
        for _, (one, marks) in sorted(found.items())
    ]


_Group = tuple[bytes, bytes]


def _touched(record: DetectionRecord, brought: DetectionRecord, rules: DetectionRules) -> set[_Group]:
    """Rules and scope keys whose matches may be others than before."""
    touched = {(key.rule, key.scope) for key in brought.series}
    newest_ns = brought.newest_ns
    if rules.waiting and newest_ns is not None and (record.newest_ns is None or newest_ns > record.newest_ns):
        touched |= {(key.rule, key.scope) for key in record.series if key.rule in rules.waiting}
    return touched


def _matches(union: DetectionRecord, groups: set[_Group], rules: DetectionRules) -> Iterator[tuple[RaisedKey, Match]]:
    steps: dict[_Group, dict[int, Sequence[Found]]] = {}
    for key, found in union.series.items():
        if (key.rule, key.scope) in groups:
            steps.setdefault((key.rule, key.scope), {})[key.step] = found
    for rule, scope in sorted(steps):
        if rule in rules.rules:
            for match in evaluate(rules.rules[rule], steps[rule, scope], union.newest_ns):
                yield RaisedKey(rule, scope, match.stretch), match


def _known(raised: Iterable[Raised]) -> dict[RaisedKey, Raised]:
    return {one.key: one for one in raised}


def _raised(key: RaisedKey, match: Match, batch: BatchId) -> Raised:
    last = match.found[-1].mark
    return Raised(batch.time_ms, batch.id, key.rule, key.scope, key.stretch, last.time_ns, last.process, match.repeats)
