"""The version of a rule: a hash of all that decides what it matches and how often it is raised.

Titles, levels and tags, names of steps, and the order in which alternatives are written change nothing, and so leave
the version as it is.  Another version begins with no marks.
"""

from __future__ import annotations

import dataclasses
import json
from hashlib import blake2b

from fastfold.rules.types import AllOf, AnyOf, Condition, Exists, KindIn, Not, Rule, Test

__all__ = ["version_of", "versioned"]

_DIGEST_BYTES = 8


def versioned(rule: Rule) -> Rule:
    """The same rule with its version."""
    return dataclasses.replace(rule, version=version_of(rule))


def version_of(rule: Rule) -> str:
    """Sixteen hexadecimal digits of BLAKE2b over the canonical form."""
    form = [
        rule.type,
        [_form(step.condition) for step in rule.steps],
        rule.within_ns,
        rule.scope,
        list(rule.group),
        rule.least,
        rule.column,
        None if rule.unless is None else _form(rule.unless.condition),
        rule.suppress_ns,
    ]
    data = json.dumps(form, ensure_ascii=True, separators=(",", ":")).encode()
    return blake2b(data, digest_size=_DIGEST_BYTES, person=b"fastfold.rule").hexdigest()


def _form(condition: Condition) -> list[object]:
    if isinstance(condition, KindIn):
        return ["kind", *sorted(condition.kinds)]
    if isinstance(condition, Test):
        return ["test", condition.column, condition.operator, condition.value, condition.cased]
    if isinstance(condition, Exists):
        return ["exists", condition.column]
    if isinstance(condition, Not):
        return ["not", _form(condition.part)]
    word = {AllOf: "all", AnyOf: "any"}[type(condition)]
    # Parts in the order of their texts, equal ones once.
    parts = {json.dumps(form): form for form in map(_form, condition.parts)}
    return [word, *(parts[text] for text in sorted(parts))]
