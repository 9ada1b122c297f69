"""What rules mean: one event, one condition, slow and obvious.

`fastfold.detection.matching` gives the same marks for whole batches; tests compare the two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import re2

from fastfold.detection.mark_types import HostMarks, Mark
from fastfold.detection.marks import EVIDENCE_BYTES, Marker, event_digest
from fastfold.rules.comparisons import address_of, caseless, network_of, number_of
from fastfold.rules.types import AllOf, AnyOf, Condition, Exists, KindIn, Rule, Test
from fastfold.types import COLUMNS

__all__ = ["reference_holds", "reference_marks"]


def reference_holds(condition: Condition, event: Mapping[str, Any]) -> bool:
    """Whether an event, as iteration over a `fastfold.Batch` gives it, meets a condition."""
    if isinstance(condition, KindIn):
        return event["kind"] in condition.kinds
    if isinstance(condition, Exists):
        return condition.column in event
    if isinstance(condition, Test):
        return condition.column in event and _passes(condition, event[condition.column])
    if isinstance(condition, AllOf):
        return all(reference_holds(part, event) for part in condition.parts)
    if isinstance(condition, AnyOf):
        return any(reference_holds(part, event) for part in condition.parts)
    return not reference_holds(condition.part, event)


def _passes(test: Test, text: str) -> bool:
    if test.operator in ("gt", "gte", "lt", "lte"):
        number, wanted = number_of(text), number_of(test.value)
        if number is None or wanted is None:
            return False
        return {
            "gt": number > wanted,
            "gte": number >= wanted,
            "lt": number < wanted,
            "lte": number <= wanted,
        }[test.operator]
    if test.operator == "cidr":
        address = address_of(text)
        return address is not None and address in network_of(test.value)
    if test.operator == "re":
        return re2.search(test.value if test.cased else f"(?i){test.value}", text) is not None
    value = test.value
    if not test.cased:
        text, value = caseless(text), caseless(value)
    if test.operator == "contains":
        return value in text
    if test.operator == "startswith":
        return text.startswith(value)
    if test.operator == "endswith":
        return text.endswith(value)
    return text == value


def reference_marks(
    rules: Sequence[Rule], events: Iterable[Mapping[str, Any]], evidence_bytes: int = EVIDENCE_BYTES
) -> list[HostMarks]:
    """The marks that events leave, by host."""
    newest: dict[tuple[str, str], int] = {}
    marks: dict[tuple[str, str], set[Mark]] = defaultdict(set)
    for event in events:
        host = event["tenant"], event["host"]
        newest[host] = max(newest.get(host, event["time_ns"]), event["time_ns"])
        texts = {name: event[name] for name in COLUMNS if name in event}
        digest = event_digest(event["process"], event["kind"], texts)
        texts |= {"process": event["process"], "host": event["host"]}
        for rule in rules:
            for step, condition in enumerate([*(step.condition for step in rule.steps), *_unless(rule)]):
                if reference_holds(condition, event):
                    marker = Marker(rule, step, evidence_bytes)
                    mark = marker.mark(event["time_ns"], event["process"], event["kind"], texts, digest)
                    if mark is not None:
                        marks[host].add(mark)
    return [HostMarks(*host, newest[host], tuple(sorted(marks[host]))) for host in sorted(newest)]


def _unless(rule: Rule) -> list[Condition]:
    return [] if rule.unless is None else [rule.unless.condition]
