"""What a condition looks at, and at events of which kinds: told without an event."""

from __future__ import annotations

from collections.abc import Iterator

from fastfold.rules.types import AllOf, AnyOf, Condition, KindIn, Not, Rule
from fastfold.schema_types import Schema
from fastfold.types import COLUMNS, KINDS

__all__ = ["columns_of", "implied_kinds", "unpopulated"]

_ALL_KINDS = frozenset(KINDS)


def implied_kinds(condition: Condition) -> frozenset[str]:
    """Kinds of events that can meet a condition, so far as its tests of kinds tell."""
    if isinstance(condition, KindIn):
        return condition.kinds
    if isinstance(condition, AllOf):
        return _ALL_KINDS.intersection(*map(implied_kinds, condition.parts))
    if isinstance(condition, AnyOf):
        return frozenset().union(*map(implied_kinds, condition.parts))
    if isinstance(condition, Not) and isinstance(condition.part, KindIn):
        return _ALL_KINDS - condition.part.kinds
    return _ALL_KINDS


def columns_of(condition: Condition) -> Iterator[tuple[str, frozenset[str]]]:
    """The columns looked at, each with the kinds for which it is."""
    return _columns_of(condition, _ALL_KINDS)


def _columns_of(condition: Condition, kinds: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    if isinstance(condition, (AllOf, AnyOf)):
        inside = kinds & implied_kinds(condition)
        for part in condition.parts:
            yield from _columns_of(part, inside if isinstance(condition, AllOf) else kinds)
    elif isinstance(condition, Not):
        yield from _columns_of(condition.part, kinds)
    elif not isinstance(condition, KindIn) and condition.column in COLUMNS:
        yield condition.column, kinds


def unpopulated(rule: Rule, schema: Schema) -> list[str]:
    """What a rule looks at and events of a schema never have: ``step name: column``, ``step name: kind x``."""
    found: dict[str, None] = {}
    steps = rule.steps if rule.unless is None else (*rule.steps, rule.unless)
    for step in steps:
        kinds = implied_kinds(step.condition)
        there = {event.kind for event in schema.events}
        if not kinds & there:
            found[f"step {step.name}: no event is of kind {', '.join(sorted(kinds))}"] = None
            continue
        keys = [(column, kinds) for column in (*rule.group, *filter(None, [rule.column]))]
        for column, looked_at in (*columns_of(step.condition), *keys):
            # Kinds that the schema does not have are told above, or are alternatives to those it has.
            filled = {event.kind for event in schema.events if column in event.columns}
            if looked_at & there and not looked_at & filled:
                found[f"step {step.name}: {column} of {', '.join(sorted(looked_at & there))}"] = None
    return list(found)
