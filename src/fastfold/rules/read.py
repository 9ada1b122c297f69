"""Rules in the language of this project: a YAML document, checked, to a `Rule`.

The language is told in docs/rules.md.  Everything is strict: an unknown key, a field that is no column, a modifier that
is not there, an expression that RE2 does not take are errors with file, line, rule and field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from fastfold.errors import RuleError
from fastfold.rules.types import (
    LEVELS,
    Condition,
    Exists,
    KindIn,
    Not,
    Operator,
    Rule,
    RuleType,
    Scope,
    Step,
    Test,
)
from fastfold.rules.values import ValueFault, all_of, any_of, check, pattern_condition, pattern_of, span_ns
from fastfold.rules.version import versioned
from fastfold.rules.yaml import Node
from fastfold.types import COLUMNS, KINDS

__all__ = ["FIELDS", "LEAST_MOST", "STEPS_MOST", "TYPES", "Outcome", "read_rule"]

TYPES: tuple[RuleType, ...] = ("sequence", "all", "count", "distinct")
FIELDS = (*COLUMNS, "process", "host", "kind")
"""What a condition may look at."""

STEPS_MOST = 16
LEAST_MOST = 64
"""Most marks that a ``count`` or ``distinct`` rule may ask for: so many are kept of a step."""

_SCOPES: tuple[Scope, ...] = ("process", "host")
_KEYS = (
    "id", "title", "description", "level", "tags", "references", "type", "within", "scope", "group", "least", "column",
    "unless", "suppress", "steps",
)  # fmt: skip
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_OPERATORS: tuple[Operator, ...] = ("contains", "startswith", "endswith", "re", "cidr", "gt", "gte", "lt", "lte")
_CASED = ("equals", "contains", "startswith", "endswith", "re")
_LISTS: dict[str, Callable[[Iterable[Condition]], Condition]] = {
    "and": all_of,
    "all of": all_of,
    "or": any_of,
    "1 of": any_of,
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of one document of a rule file.

    Attributes
    ----------
    rule : Rule or RuleError or None
        `None`: it raises nothing of its own, only the correlations that refer to it do.
    absent : tuple of str
        Fields without a column: their tests never hold.
    """

    rule: Rule | RuleError | None
    absent: tuple[str, ...] = ()


def read_rule(file: str, document: Node) -> Rule:
    """The rule that a document says.

    Parameters
    ----------
    file : str
        Name for errors and for `Rule.source`.
    document : Node

    Raises
    ------
    RuleError
    """
    given = _Part(file, "", "", document).take("id")
    rule_id = given.text()
    if not _ID.fullmatch(rule_id):
        given.fail(f"{rule_id!r} is no id: letters, digits and . _ - are, at most 128")
    top = _Part(file, rule_id, "", document)
    top.only(*_KEYS)
    kind = top.take("type").choice(TYPES)
    steps = _steps(top, kind)
    counts = kind in ("count", "distinct")
    for key in () if counts else ("least", "column"):
        if top.has(key):
            top.take(key).fail(f"is for count and distinct, the type is {kind}")
    if kind == "count" and top.has("column"):
        top.take("column").fail("is for distinct, the type is count")
    unless = _step(top.take("unless"), "unless") if top.has("unless") else None
    return versioned(
        Rule(
            id=rule_id,
            version="",
            title=top.take("title").text(),
            description=top.take("description").text() if top.has("description") else "",
            level=top.take("level").choice(LEVELS),
            tags=top.take("tags").texts() if top.has("tags") else (),
            references=top.take("references").texts() if top.has("references") else (),
            type=kind,
            steps=steps,
            within_ns=_span(top.take("within")),
            scope=top.take("scope").choice(_SCOPES),
            group=_group(top),
            least=top.take("least").integer(1, LEAST_MOST) if counts else 1,
            column=top.take("column").choice(COLUMNS) if kind == "distinct" else "",
            unless=unless,
            suppress_ns=_span(top.take("suppress")) if top.has("suppress") else 0,
            source=f"{file}:{document.line}",
        )
    )


def _steps(top: _Part, kind: RuleType) -> tuple[Step, ...]:
    part = top.take("steps")
    steps: list[Step] = []
    for item in part.items():
        step = _step(item)
        if step.name in [known.name for known in steps]:
            item.take("name").fail(f"two steps are called {step.name!r}")
        steps.append(step)
    if kind in ("count", "distinct") and len(steps) != 1:
        part.fail(f"a rule of type {kind} has one step, not {len(steps)}")
    if len(steps) > STEPS_MOST:
        part.fail(f"{len(steps)} steps; at most {STEPS_MOST}")
    return tuple(steps)


def _step(part: _Part, name: str | None = None) -> Step:
    part.only("name", "kind", "where")
    conditions: list[Condition] = []
    if part.has("kind"):
        conditions.append(_kinds(part.take("kind")))
    if part.has("where"):
        conditions.append(_condition(part.take("where")))
    if not conditions:
        part.fail("has neither kind nor where: every event would meet it")
    if name is None or part.has("name"):
        name = part.take("name").text()
    return Step(name, all_of(conditions))


def _span(part: _Part) -> int:
    return part.checked(lambda: span_ns(part.text()))


def _group(top: _Part) -> tuple[str, ...]:
    if not top.has("group"):
        return ()
    part = top.take("group")
    for item in part.items(or_one=True):
        item.choice(COLUMNS)
    return part.texts()


# Conditions


def _condition(part: _Part) -> Condition:
    """A mapping, all of which must hold, or a list of conditions, of which one must."""
    if isinstance(part.node.value, list):
        return any_of(_condition(item) for item in part.items())
    return all_of(_entry(part.take(key), key) for key in part.names())


def _entry(part: _Part, key: str) -> Condition:
    if key == "not":
        return Not(_condition(part))
    if key in _LISTS:
        if not isinstance(part.node.value, list):
            part.fail("must be a list of conditions")
        return _LISTS[key](_condition(item) for item in part.items())
    field, *modifiers = key.split("|")
    if field not in FIELDS:
        part.fail(f"unknown field {field!r}; there are {', '.join(FIELDS)}; and: and, or, not, 1 of, all of")
    if field == "kind":
        if modifiers:
            part.fail("kind has no modifiers")
        return _kinds(part)
    return _compared(part, field, modifiers)


def _compared(part: _Part, column: str, modifiers: list[str]) -> Condition:
    for modifier in modifiers:
        if modifier not in (*_OPERATORS, "all", "cased", "exists"):
            part.fail(f"unknown modifier {modifier!r}; there are {', '.join((*_OPERATORS, 'all', 'cased', 'exists'))}")
        if modifiers.count(modifier) > 1:
            part.fail(f"the modifier {modifier} stands twice")
    if "exists" in modifiers:
        if len(modifiers) > 1:
            part.fail("exists stands alone")
        return Exists(column) if part.flag() else Not(Exists(column))
    operators = [modifier for modifier in _OPERATORS if modifier in modifiers]
    if len(operators) > 1:
        part.fail(f"{' and '.join(operators)}: one of them")
    operator: Operator = operators[0] if operators else "equals"
    cased = "cased" in modifiers
    if cased and operator not in _CASED:
        part.fail(f"cased is not for {operator}")
    if "all" in modifiers and not isinstance(part.node.value, list):
        part.fail("all is for a list of values")
    tests = [_test(item, column, operator, cased) for item in part.items(or_one=True)]
    return all_of(tests) if "all" in modifiers else any_of(tests)


def _test(part: _Part, column: str, operator: Operator, cased: bool) -> Condition:
    if not part.node.is_text:
        part.fail("a value must be a text or a number; an absent column is exists: false")
    value = part.node.text
    if operator == "equals":
        return part.checked(lambda: pattern_condition(column, pattern_of(value), cased))
    part.checked(lambda: check(operator, value))
    return Test(column, operator, value, cased)


def _kinds(part: _Part) -> KindIn:
    return KindIn(frozenset(item.choice(KINDS) for item in part.items(or_one=True)))


# Checked access


@dataclass(frozen=True, slots=True)
class _Part:
    """A node, where it stands in which rule, and what may be taken from it."""

    file: str
    rule: str
    field: str
    node: Node

    def fail(self, reason: str) -> NoReturn:
        raise RuleError(self.file, reason, self.node.line, self.rule, self.field)

    def checked(self, made: Callable[[], T]) -> T:
        try:
            return made()
        except ValueFault as fault:
            self.fail(str(fault))

    def names(self) -> list[str]:
        """The keys of a mapping that is not empty."""
        if not isinstance(self.node.value, dict):
            self.fail("must be a mapping")
        if not self.node.value:
            self.fail("is empty")
        return list(self.node.value)

    def only(self, *allowed: str) -> None:
        for key in self.names():
            if key not in allowed:
                self.take(key).fail(f"unknown key; allowed: {', '.join(allowed)}")

    def has(self, key: str) -> bool:
        return key in self.names()

    def take(self, key: str) -> _Part:
        if not self.has(key):
            self.fail(f"{key} is missing")
        assert isinstance(self.node.value, dict)
        return _Part(self.file, self.rule, f"{self.field}.{key}" if self.field else key, self.node.value[key])

    def items(self, *, or_one: bool = False) -> list[_Part]:
        """The parts of a list that is not empty, or where `or_one` the part itself."""
        if not isinstance(self.node.value, list):
            if or_one:
                return [self]
            self.fail("must be a list")
        if not self.node.value:
            self.fail("is empty")
        return [
            _Part(self.file, self.rule, f"{self.field}[{number}]", node)
            for number, node in enumerate(self.node.value, 1)
        ]

    def text(self) -> str:
        if not self.node.is_text or not self.node.text.strip():
            self.fail("must be a text")
        return self.node.text

    def texts(self) -> tuple[str, ...]:
        texts: list[str] = []
        for item in self.items(or_one=True):
            if item.text() in texts:
                item.fail(f"{item.text()!r} stands twice")
            texts.append(item.text())
        return tuple(texts)

    def choice(self, allowed: tuple[T, ...]) -> T:
        text = self.text()
        if text not in allowed:
            self.fail(f"{text!r} is none of {', '.join(map(str, allowed))}")
        return allowed[allowed.index(text)]

    def flag(self) -> bool:
        if not isinstance(self.node.value, bool):
            self.fail("must be true or false")
        return self.node.value

    def integer(self, least: int, most: int) -> int:
        value = self.node.value
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.fail(f"must be a whole number from {least} to {most}")
        return value
