"""Rules in words, for people."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from fastfold.rules.types import AllOf, AnyOf, Condition, Exists, KindIn, Not, Rule

__all__ = ["condition_text", "span_text", "unknown_rule"]

_UNIT_NS = (("d", 86_400 * 10**9), ("h", 3600 * 10**9), ("m", 60 * 10**9), ("s", 10**9), ("ms", 10**6))
_NEAR_IDS = 5
_PART_CHARACTERS = 3
"""Less of an id is in too many others."""


def span_text(span_ns: int) -> str:
    """A span of time as rule files have it, in the largest unit that loses nothing.

    Examples
    --------
    >>> span_text(300 * 10**9), span_text(1_500 * 10**6), span_text(7)
    ('5m', '1500ms', '7ns')
    """
    for unit, unit_ns in _UNIT_NS:
        if span_ns and not span_ns % unit_ns:
            return f"{span_ns // unit_ns}{unit}"
    return f"{span_ns}ns" if span_ns else "0s"


def condition_text(condition: Condition) -> str:
    """A condition on one line."""
    if isinstance(condition, KindIn):
        return f"kind is {' or '.join(sorted(condition.kinds))}"
    if isinstance(condition, Exists):
        return f"{condition.column} exists"
    if isinstance(condition, Not):
        return f"not ({condition_text(condition.part)})"
    if isinstance(condition, (AllOf, AnyOf)):
        return _joined(" and " if isinstance(condition, AllOf) else " or ", condition.parts)
    cased = " (cased)" if condition.cased else ""
    return f"{condition.column} {condition.operator}{cased} {condition.value!r}".replace("\\\\", "\\")


def _joined(word: str, parts: Iterable[Condition]) -> str:
    return word.join(
        f"({condition_text(part)})" if isinstance(part, (AllOf, AnyOf)) else condition_text(part) for part in parts
    )


def unknown_rule(rule_id: str, loaded: Iterable[Rule]) -> str:
    """That no rule has an id, and which ids are near it."""
    ids = [rule.id for rule in loaded]
    is_part = len(rule_id) >= _PART_CHARACTERS
    near = [one for one in ids if is_part and rule_id.lower() in one.lower()]
    near += [one for one in get_close_matches(rule_id, ids, _NEAR_IDS) if one not in near]
    hint = f"; near it are {', '.join(near[:_NEAR_IDS])}" if near else f"; {len(ids)} rules are loaded"
    return f"no rule has the id {rule_id}{hint}"
