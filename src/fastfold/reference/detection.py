"""The definition of right for the detection: all marks of a host, looked at with no limit and no haste.

Every choice of marks is tried.  `fastfold.detection.evaluate` must find the same stretches, and the commit must raise
the same alerts in whatever order batches come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, product

from fastfold.detection.evaluate import stretch_of
from fastfold.detection.mark_types import Mark
from fastfold.detection.raising import alert_id, tell_of
from fastfold.detection.record import rule_digest
from fastfold.rules.types import Rule

__all__ = ["reference_alerts", "reference_stretches"]


def reference_alerts(
    rules: Iterable[Rule], tenant: str, host: str, marks: Iterable[Mark], newest_ns: int | None
) -> set[str]:
    """The ids of all alerts of a host.

    Parameters
    ----------
    rules : iterable of Rule
    tenant, host : str
    marks : iterable of Mark
        Of all batches.
    newest_ns : int or None
        Time of the newest event of the host.
    """
    found = set(marks)
    ids = set()
    for rule in rules:
        own = [mark for mark in found if mark.rule == rule_digest(rule)]
        for scope in {mark.scope for mark in own}:
            here = [mark for mark in own if mark.scope == scope]
            for stretch in reference_stretches(rule, here, newest_ns):
                ids.add(alert_id(tell_of(rule), tenant, host, scope, stretch))
    return ids


def reference_stretches(rule: Rule, marks: Sequence[Mark], newest_ns: int | None) -> set[int]:
    """The stretches of time in which a rule has matches, by the marks of one scope key."""
    steps = [_events(marks, step) for step in range(len(rule.steps))]
    unless = [mark.time_ns for mark in marks if mark.step == len(rule.steps)]
    return {
        stretch_of(rule, max(mark.time_ns for mark in match))
        for match in _choices(rule, steps)
        if _is_match(rule, match, unless, newest_ns)
    }


def _events(marks: Iterable[Mark], step: int) -> list[Mark]:
    """The marks of a step; the same event twice is one."""
    by_event = {(mark.time_ns, mark.event): mark for mark in sorted(marks, reverse=True) if mark.step == step}
    return [by_event[at] for at in sorted(by_event)]


def _choices(rule: Rule, steps: Sequence[Sequence[Mark]]) -> Iterable[Sequence[Mark]]:
    if rule.type in ("sequence", "all"):
        return product(*steps)
    # More marks than are needed are allowed: the first of a match decides on `unless`.
    sizes = range(rule.least, min(len(steps[0]), rule.least + 1) + 1)
    return (choice for size in sizes for choice in combinations(steps[0], size))


def _is_match(rule: Rule, match: Sequence[Mark], unless: Sequence[int], newest_ns: int | None) -> bool:
    times = [mark.time_ns for mark in match]
    first_ns = min(times)
    if max(times) - first_ns > rule.within_ns:
        return False
    if rule.type == "sequence" and times != sorted(times):
        return False
    if rule.type == "distinct" and len({mark.value for mark in match}) < rule.least:
        return False
    if rule.unless is None:
        return True
    end_ns = first_ns + rule.within_ns
    is_over = newest_ns is not None and newest_ns > end_ns
    return is_over and not any(first_ns <= time_ns <= end_ns for time_ns in unless)
