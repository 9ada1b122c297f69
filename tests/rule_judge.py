"""What rules say of a few events, told the slow and obvious way: one event, one condition, all choices of marks.

Only for a handful of events.  An event is a dictionary: ``time`` in seconds, ``host``, ``process``, ``kind`` and the
columns; what is not in it is absent.
"""

from __future__ import annotations

import ipaddress
import re
from itertools import permutations
from typing import Any

import re2

from fastfold.rule_types import AllOf, AnyOf, Condition, Exists, KindIn, Not, Rule, Step, Test
from fastfold.rule_values import number_of

__all__ = ["matches", "meets"]

Given = dict[str, Any]


def meets(condition: Condition, event: Given) -> bool:
    """Whether one event meets a condition."""
    if isinstance(condition, KindIn):
        return event["kind"] in condition.kinds
    if isinstance(condition, AllOf):
        return all(meets(part, event) for part in condition.parts)
    if isinstance(condition, AnyOf):
        return any(meets(part, event) for part in condition.parts)
    if isinstance(condition, Not):
        return not meets(condition.part, event)
    if isinstance(condition, Exists):
        return condition.column in event
    return condition.column in event and _passes(condition, event[condition.column])


def _passes(test: Test, text: str) -> bool:
    if test.operator == "re":
        return re2.search(test.value if test.cased else f"(?i){test.value}", text) is not None
    if test.operator == "cidr":
        plain = re.sub(r"^\[?([^\]]*?)\]?(:\d+)?$" if text.count(":") < 2 or "[" in text else r"^(.*)$", r"\1", text)
        try:
            return ipaddress.ip_address(plain) in ipaddress.ip_network(test.value)
        except ValueError:
            return False
    if test.operator in ("gt", "gte", "lt", "lte"):
        number, bound = number_of(text), number_of(test.value)
        assert bound is not None
        ways = {"gt": 1, "gte": 1, "lt": -1, "lte": -1}
        if number is None:
            return False
        return (number - bound) * ways[test.operator] > 0 or (number == bound and test.operator.endswith("e"))
    value = test.value
    if not test.cased:
        text, value = text.casefold(), value.casefold()
    return {
        "equals": text == value,
        "contains": value in text,
        "startswith": text.startswith(value),
        "endswith": text.endswith(value),
    }[test.operator]


def matches(rule: Rule, events: list[Given]) -> bool:
    """Whether any choice of the events is a match of a rule."""
    keys = {key for event in events if (key := _scope(rule, event)) is not None}
    return any(_matches(rule, [event for event in events if _scope(rule, event) == key]) for key in keys)


def _scope(rule: Rule, event: Given) -> tuple[str, ...] | None:
    texts = [event["host"], *(event.get(column, "") for column in rule.group)]
    if rule.scope == "process":
        texts.append(event["process"])
    return tuple(texts) if all(texts) else None


def _matches(rule: Rule, events: list[Given]) -> bool:
    marked = [[event for event in events if meets(step.condition, event)] for step in rule.steps]
    within_s = rule.within_ns / 1e9
    if rule.type in ("count", "distinct"):
        for first in marked[0]:
            span = [event for event in marked[0] if 0 <= event["time"] - first["time"] <= within_s]
            found = len(span) if rule.type == "count" else len({event.get(rule.column) for event in span} - {None})
            if found >= rule.least and _stands(rule.unless, first, events, within_s):
                return True
        return False
    orders = [tuple(range(len(marked)))] if rule.type == "sequence" else list(permutations(range(len(marked))))
    return any(
        _chosen([marked[number] for number in order], first["time"], first["time"] + within_s)
        and _stands(rule.unless, first, events, within_s)
        for order in orders
        for first in marked[order[0]]
    )


def _chosen(marked: list[list[Given]], from_s: float, to_s: float) -> bool:
    """One mark of each, none before the one before it."""
    if not marked:
        return True
    return any(from_s <= event["time"] <= to_s and _chosen(marked[1:], event["time"], to_s) for event in marked[0])


def _stands(unless: Step | None, first: Given, events: list[Given], within_s: float) -> bool:
    return unless is None or not any(
        0 <= event["time"] - first["time"] <= within_s and meets(unless.condition, event) for event in events
    )
